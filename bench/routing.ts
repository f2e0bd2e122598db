// `npm run bench:routing`: routing policies on a trace at a multiple of a fleet's capacity, in the simulator.
// usage: npm run bench:routing -- [--trace FILE] [--fleet FILE] [--load X] [--policies all|A,B] [--seed N] [--json OUT]
//        npm run bench:routing -- --report [--traces A,B] [--loads X,Y] [--seeds N,M] [--threads N] [--keep FOLDER]
import { statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readFleet, readTrace } from "./routing/files.ts";
import { kept } from "./routing/kept.ts";
import { runAll, type Task } from "./routing/matrix.ts";
import { listOf, numberOf, numbersOf, SEED_MAX, wholeOf, withoutNoise } from "./routing/options.ts";
import { Progress } from "./routing/progress.ts";
import { howMade, writeReport } from "./routing/report.ts";
import { tableOf } from "./routing/table.ts";
import { InvalidValueError } from "../protocol/errors.ts";
import { Experiment, type ExperimentReport } from "./sim/experiment.ts";
import { policiesOf } from "./sim/policies.ts";

const HELP = `Routing policies in the simulator: the same arrivals for each, from a trace overlaid to a multiple of the fleet's capacity.
  --trace FILE     CSV (plain or gzip), or a name from bench/traces        azure2023_conv
  --fleet FILE     JSON with nodes and profiles                            the reference fleet (eight times for mooncake_*)
  --load X         times the capacity, 0.01 to 20                          1
  --policies LIST  all, or names separated by commas                       all
  --seed N         of arrivals and policies                                1
  --age MS         mean age of what a relayer knows of a node              500
  --relayers N     that share the fleet, requests coming to each alike     1
  --json OUT       writes the report there; - for standard output          none
  --report         many experiments: writes tables and charts
    --traces LIST                                                          azure2023_conv,mooncake_conversation
    --loads LIST                                                           0.5,0.7,0.8,0.9,1,1.5,2,3,4
    --seeds LIST                                                           1,2,3
    --threads N                                                            2
    --keep FOLDER  keeps each finished experiment there; what is there already is not run again
    --out FOLDER                                                           docs/benchmarks`;

const LOAD_MAX = 20;
const AGE_MS_MAX = 600_000;
const RELAYERS_MAX = 64;
const THREADS_MAX = 64;
const DOCS = join(dirname(fileURLToPath(import.meta.url)), "../docs/benchmarks");

const options = {
  trace: { type: "string", default: "azure2023_conv" }, fleet: { type: "string" }, load: { type: "string", default: "1" }, seed: { type: "string", default: "1" },
  policies: { type: "string", default: "all" }, age: { type: "string", default: "500" }, relayers: { type: "string", default: "1" }, json: { type: "string" }, help: { type: "boolean", default: false },
  report: { type: "boolean", default: false }, traces: { type: "string", default: "azure2023_conv,mooncake_conversation" },
  loads: { type: "string", default: "0.5,0.7,0.8,0.9,1,1.5,2,3,4" }, seeds: { type: "string", default: "1,2,3" }, threads: { type: "string", default: "2" },
  out: { type: "string", default: DOCS }, keep: { type: "string" },
} as const;
type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>["values"];

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options });
  if (values.help) return void process.stdout.write(`${HELP}\n`);
  requireWritable(values.json);
  if (values.report) await report(values, args);
  else single(values);
}

function single(values: Values): void {
  const trace = readTrace(values.trace);
  const experiment = new Experiment({
    trace, fleet: readFleet(values.fleet, trace.name), load: numberOf("--load", values.load, 0.01, LOAD_MAX), seed: wholeOf("--seed", values.seed, 0, SEED_MAX),
    attestationAgeMs: numberOf("--age", values.age, 0, AGE_MS_MAX),
  });
  const relayers = wholeOf("--relayers", values.relayers, 1, RELAYERS_MAX);
  const policies = policiesOf(values.policies);
  const progress = new Progress(policies.length);
  for (const policy of policies) {
    experiment.run(policy, { relayers, onProgress: (part) => progress.at(policy.name, part) });
    progress.finished(policy.name);
  }
  output(values.json, experiment.report, () => tableOf(experiment.report));
}

async function report(values: Values, args: readonly string[]): Promise<void> {
  const startedMs = performance.now();
  policiesOf(values.policies);
  const ageMs = numberOf("--age", values.age, 0, AGE_MS_MAX);
  const loads = numbersOf("--loads", values.loads, numberOf, 0.01, LOAD_MAX);
  const seeds = numbersOf("--seeds", values.seeds, wholeOf);
  const tasks: Task[] = listOf(values.traces).flatMap((trace) => loads.flatMap((load) => seeds.map((seed) => ({ trace, fleet: values.fleet, load, seed, ageMs, policies: values.policies }))));
  const reports = await runAll<Task, ExperimentReport>(tasks, {
    threads: wholeOf("--threads", values.threads, 1, THREADS_MAX), worker: new URL("./routing/worker.ts", import.meta.url), store: kept(values.keep),
    labelOf: ({ trace, load, seed }) => `${trace} at ${load} x capacity, seed ${seed}`,
  });
  writeReport(values.out, reports, howMade("bench:routing", args, (performance.now() - startedMs) / 1_000));
  output(values.json, reports, () => reports.map(tableOf).join("\n\n"));
}

/** Known before hours of work, not after them. @throws InvalidValueError */
function requireWritable(to: string | undefined): void {
  if (to === undefined || to === "-") return;
  if (!statSync(dirname(to), { throwIfNoEntry: false })?.isDirectory() || statSync(to, { throwIfNoEntry: false })?.isDirectory()) {
    throw new InvalidValueError("--json", `a file in a folder that exists, or -, not ${to}`);
  }
}

function output(to: string | undefined, result: ExperimentReport | readonly ExperimentReport[], table: () => string): void {
  const json = `${JSON.stringify(result, null, 2)}\n`;
  process.stdout.write(to === "-" ? json : `${table()}\n`);
  if (to !== undefined && to !== "-") writeFileSync(to, json);
}

await withoutNoise(() => main(process.argv.slice(2)));
