// `npm run bench:routing`: routing policies on a trace at a multiple of a fleet's capacity, in the simulator.
// usage: npm run bench:routing -- [--trace FILE] [--fleet FILE] [--load X] [--policies all|A,B] [--seed N] [--json OUT]
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { readFleet, readTrace } from "./routing/files.ts";
import { Progress } from "./routing/progress.ts";
import { tableOf } from "./routing/table.ts";
import { Experiment, type ExperimentReport } from "./sim/experiment.ts";
import { policiesOf } from "./sim/policies.ts";
import { TidelaneError, InvalidValueError } from "../protocol/errors.ts";

const HELP = `Routing policies in the simulator: the same arrivals for each, from a trace overlaid to a multiple of the fleet's capacity.
  --trace FILE     CSV (plain or gzip), or a name from bench/traces        azure2023_conv
  --fleet FILE     JSON with nodes and profiles                            the reference fleet (eight times for mooncake_*)
  --load X         times the capacity, 0.01 to 20                          1
  --policies LIST  all, or names separated by commas                       all
  --seed N         of arrivals and policies                                1
  --age MS         mean age of what a relayer knows of a node              500
  --json OUT       writes the report there; - for standard output          none`;

const LOAD_MAX = 20;
const AGE_MS_MAX = 600_000;

function main(args: readonly string[]): void {
  const { values } = parseArgs({
    args: [...args],
    options: {
      trace: { type: "string", default: "azure2023_conv" }, fleet: { type: "string" }, load: { type: "string", default: "1" }, seed: { type: "string", default: "1" },
      policies: { type: "string", default: "all" }, age: { type: "string", default: "500" }, json: { type: "string" }, help: { type: "boolean", default: false },
    },
  });
  if (values.help) return void process.stdout.write(`${HELP}\n`);
  const trace = readTrace(values.trace);
  const report = run(new Experiment({
    trace, fleet: readFleet(values.fleet, trace.name), load: numberOf("--load", values.load, 0.01, LOAD_MAX),
    seed: Math.floor(numberOf("--seed", values.seed, 0, 2 ** 32 - 1)), attestationAgeMs: numberOf("--age", values.age, 0, AGE_MS_MAX),
  }), values.policies);
  const json = `${JSON.stringify(report, null, 2)}\n`;
  if (values.json === "-") process.stdout.write(json);
  else process.stdout.write(`${tableOf(report)}\n`);
  if (values.json !== undefined && values.json !== "-") writeFileSync(values.json, json);
}

function run(experiment: Experiment, names: string): ExperimentReport {
  const policies = policiesOf(names);
  const progress = new Progress(policies.length);
  for (const policy of policies) {
    experiment.run(policy, (part) => progress.at(policy.name, part));
    progress.finished(policy.name);
  }
  return experiment.report;
}

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= least && value <= most)) throw new InvalidValueError(name, `a number from ${least} to ${most}, not ${text}`);
  return value;
}

try {
  main(process.argv.slice(2));
} catch (error) {
  const isTold = error instanceof TidelaneError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  if (!isTold) throw error;
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 2;
}
