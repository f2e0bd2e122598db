// `npm run bench:measures`: what the router promises, each promise as an experiment in the simulator with its figure and its bound.
// usage: npm run bench:measures -- [--measures all|A,B] [--traces A,B] [--fleet FILE] [--seeds N,M] [--threads N] [--keep FOLDER] [--out FOLDER] [--missed-max N] [--json [OUT]]
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { kept } from "./routing/kept.ts";
import { runAll } from "./routing/matrix.ts";
import { listOf, numbersOf, SEED_MAX, wholeOf, withoutNoise } from "./routing/options.ts";
import { figure, writeMeasures, type MeasuredCell } from "./routing/measuresPage.ts";
import { howMade } from "./routing/report.ts";
import { aligned } from "./routing/table.ts";
import { MEASUREMENTS, measurementsOf } from "./sim/measures/all.ts";
import type { MeasureTask } from "./routing/measureWorker.ts";

const HELP = `What the router promises, measured in the simulator.
  --measures LIST  all, or names separated by commas                       all
  --traces LIST    CSV files (plain or gzip), or names from bench/traces   azure2023_conv
  --fleet FILE     JSON with nodes and profiles                            the reference fleet (eight times for mooncake_*)
  --seeds LIST     of arrivals and policies                                1
  --threads N                                                              1
  --keep FOLDER    keeps each finished measurement there; what is there already is not run again
  --out FOLDER     writes measures.md there
  --missed-max N   exits with 1 where more promises are missed             any number
  --json [OUT]     all figures as JSON: one line on standard output, or into a file
${MEASUREMENTS.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join("\n")}
`;

const THREADS_MAX = 64;
const options = {
  measures: { type: "string", default: "all" }, traces: { type: "string", default: "azure2023_conv" }, fleet: { type: "string" }, seeds: { type: "string", default: "1" },
  threads: { type: "string", default: "1" }, keep: { type: "string" }, out: { type: "string" }, "missed-max": { type: "string" }, json: { type: "string" }, help: { type: "boolean", default: false },
} as const;

async function main(args: readonly string[]): Promise<void> {
  const startedMs = performance.now();
  const { values } = parseArgs({ args: jsonToDash(args), options });
  if (values.help) return void process.stdout.write(HELP);
  const missedMax = values["missed-max"] === undefined ? Infinity : wholeOf("--missed-max", values["missed-max"], 0, SEED_MAX);
  const tasks: MeasureTask[] = listOf(values.traces).flatMap((trace) => numbersOf("--seeds", values.seeds, wholeOf).flatMap((seed) =>
    measurementsOf(values.measures).map(({ name }) => ({ measurement: name, trace, fleet: values.fleet, seed }))));
  const cells = await runAll<MeasureTask, MeasuredCell>(tasks, {
    threads: wholeOf("--threads", values.threads, 1, THREADS_MAX), worker: new URL("./routing/measureWorker.ts", import.meta.url),
    labelOf: (task) => `${task.measurement}, ${task.trace}, seed ${task.seed}`, store: kept(values.keep),
  });
  const failed = cells.flatMap(({ measures }) => measures).filter((one) => one.pass === false).length;
  const json = `${JSON.stringify({ failed, cells })}\n`;
  process.stdout.write(values.json === "-" ? json : `${cells.map(textOf).join("\n\n")}\n\n${failed} of the promises are missed\n`);
  if (values.out !== undefined) writeMeasures(values.out, cells, howMade("bench:measures", args, (performance.now() - startedMs) / 1_000));
  if (values.json !== undefined && values.json !== "-") writeFileSync(values.json, json);
  if (failed > missedMax) process.exitCode = 1;
}

/** `--json` alone means standard output. */
const jsonToDash = (args: readonly string[]): string[] => args.flatMap((one, i) => (one === "--json" && (args[i + 1] ?? "--").startsWith("--") ? [one, "-"] : [one]));

function textOf({ measurement, trace, seed, measures }: MeasuredCell): string {
  const rows = measures.map(({ name, at, value, bound, sense, pass }) =>
    [pass === null ? "told" : pass ? "kept" : "missed", name, at, figure(value), bound === null ? "" : `${sense} ${figure(bound)}`]);
  return [`${measurement}: ${trace}, seed ${seed}`, ...aligned(rows)].join("\n");
}

await withoutNoise(() => main(process.argv.slice(2)));
