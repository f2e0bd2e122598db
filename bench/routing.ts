// `npm run bench:routing`: routing policies on a trace at a multiple of a fleet's capacity, in the simulator.
// usage: npm run bench:routing -- [--trace FILE] [--fleet FILE] [--load X] [--policies all|A,B] [--seed N] [--json OUT]
//        npm run bench:routing -- --report [--traces A,B] [--loads X,Y] [--seeds N,M] [--threads N]
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readFleet, readTrace } from "./routing/files.ts";
import { runAll, type Task } from "./routing/matrix.ts";
import { Progress } from "./routing/progress.ts";
import { writeReport } from "./routing/report.ts";
import { tableOf } from "./routing/table.ts";
import { Experiment, type ExperimentReport } from "./sim/experiment.ts";
import { policiesOf } from "./sim/policies.ts";
import { InvalidValueError, TidelaneError } from "../protocol/errors.ts";

const HELP = `Routing policies in the simulator: the same arrivals for each, from a trace overlaid to a multiple of the fleet's capacity.
  --trace FILE     CSV (plain or gzip), or a name from bench/traces        azure2023_conv
  --fleet FILE     JSON with nodes and profiles                            the reference fleet (eight times for mooncake_*)
  --load X         times the capacity, 0.01 to 20                          1
  --policies LIST  all, or names separated by commas                       all
  --seed N         of arrivals and policies                                1
  --age MS         mean age of what a relayer knows of a node              500
  --json OUT       writes the report there; - for standard output          none
  --report         many experiments: writes tables and charts
    --traces LIST                                                          azure2023_conv,mooncake_conversation
    --loads LIST                                                           0.5,0.7,0.8,0.9,1,1.5,2,3,4
    --seeds LIST                                                           1,2,3
    --threads N                                                            2
    --out FOLDER                                                           docs/benchmarks`;

const LOAD_MAX = 20;
const AGE_MS_MAX = 600_000;
const SEED_MAX = 2 ** 32 - 1;
const THREADS_MAX = 64;
const DOCS = join(dirname(fileURLToPath(import.meta.url)), "../docs/benchmarks");

const options = {
  trace: { type: "string", default: "azure2023_conv" }, fleet: { type: "string" }, load: { type: "string", default: "1" }, seed: { type: "string", default: "1" },
  policies: { type: "string", default: "all" }, age: { type: "string", default: "500" }, json: { type: "string" }, help: { type: "boolean", default: false },
  report: { type: "boolean", default: false }, traces: { type: "string", default: "azure2023_conv,mooncake_conversation" },
  loads: { type: "string", default: "0.5,0.7,0.8,0.9,1,1.5,2,3,4" }, seeds: { type: "string", default: "1,2,3" }, threads: { type: "string", default: "2" },
  out: { type: "string", default: DOCS },
} as const;
type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>["values"];

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options });
  if (values.help) return void process.stdout.write(`${HELP}\n`);
  if (values.report) await report(values, args);
  else single(values);
}

function single(values: Values): void {
  const trace = readTrace(values.trace);
  const experiment = new Experiment({
    trace, fleet: readFleet(values.fleet, trace.name), load: numberOf("--load", values.load, 0.01, LOAD_MAX), seed: wholeOf("--seed", values.seed, 0, SEED_MAX),
    attestationAgeMs: numberOf("--age", values.age, 0, AGE_MS_MAX),
  });
  const policies = policiesOf(values.policies);
  const progress = new Progress(policies.length);
  for (const policy of policies) {
    experiment.run(policy, (part) => progress.at(policy.name, part));
    progress.finished(policy.name);
  }
  output(values.json, experiment.report, () => tableOf(experiment.report));
}

async function report(values: Values, args: readonly string[]): Promise<void> {
  const startedMs = performance.now();
  policiesOf(values.policies);
  const list = (text: string): string[] => text.split(",").map((one) => one.trim());
  const ageMs = numberOf("--age", values.age, 0, AGE_MS_MAX);
  const tasks: Task[] = list(values.traces).flatMap((trace) => list(values.loads).flatMap((load) => list(values.seeds).map((seed) => ({
    trace, fleet: values.fleet, load: numberOf("--loads", load, 0.01, LOAD_MAX), seed: wholeOf("--seeds", seed, 0, SEED_MAX), ageMs, policies: values.policies,
  }))));
  const reports = await runAll(tasks, wholeOf("--threads", values.threads, 1, THREADS_MAX));
  // Where it was written to says nothing about how it was made, and names somebody's disk.
  const told = args.filter((one, i) => !one.startsWith("--out") && !one.startsWith("--json") && !["--out", "--json"].includes(args[i - 1] ?? ""));
  writeReport(values.out, reports, `npm run bench:routing -- ${told.join(" ")}`, (performance.now() - startedMs) / 1_000);
  output(values.json, reports, () => reports.map(tableOf).join("\n\n"));
}

function output(to: string | undefined, result: ExperimentReport | readonly ExperimentReport[], table: () => string): void {
  const json = `${JSON.stringify(result, null, 2)}\n`;
  process.stdout.write(to === "-" ? json : `${table()}\n`);
  if (to !== undefined && to !== "-") writeFileSync(to, json);
}

function wholeOf(name: string, text: string, least: number, most: number): number {
  const value = numberOf(name, text, least, most);
  if (!Number.isInteger(value)) throw new InvalidValueError(name, `a whole number, not ${text}`);
  return value;
}

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= least && value <= most)) throw new InvalidValueError(name, `a number from ${least} to ${most}, not ${text}`);
  return value;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const isTold = error instanceof TidelaneError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  if (!isTold) throw error;
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 2;
}
