// docs/benchmarks/routing.md: tables and charts of a matrix of experiments, with all that is needed to make them again.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { commit, commitText } from "./commit.ts";
import { promisesOf } from "./promises.ts";
import { charts, loadTable } from "../sim/summary.ts";
import type { ExperimentReport } from "../sim/experiment.ts";

const GB = 2 ** 30;

/** Options that say nothing about how figures were made: where they were written to names somebody's disk. */
const UNTOLD = ["--out", "--json", "--keep"] as const;

/** Command, commit and machine of figures. @param script of package.json */
export function howMade(script: string, args: readonly string[], seconds: number): string {
  const told = args.filter((one, i) => !UNTOLD.some((name) => one.startsWith(name) || args[i - 1] === name));
  return `Made with \`npm run ${script} -- ${told.join(" ")}\` at commit ${commitText(commit())} on ${cpus().length} x ${cpus()[0]?.model ?? "unknown processor"}, `
    + `${Math.round(totalmem() / GB)} GB, Node ${process.version}, in ${Math.round(seconds)} s, cells kept from earlier runs not counted.`;
}

/** @param folder where the page and its charts go @param how command, commit and machine, as sentences */
export function writeReport(folder: string, reports: readonly ExperimentReport[], how: string): void {
  mkdirSync(folder, { recursive: true });
  const traces = [...new Set(reports.map((one) => one.trace))];
  const sections = traces.map((trace) => section(folder, trace, reports.filter((one) => one.trace === trace)));
  writeFileSync(join(folder, "routing.md"), [head(reports, how), ...sections].join("\n\n") + "\n");
}

function head(reports: readonly ExperimentReport[], how: string): string {
  const { attestationAgeMs, targets } = reports[0]!;
  const seeds = [...new Set(reports.map((one) => one.seed))].join(", ");
  return `# Routing under a surge: policies in the simulator
Every policy meets the same arrivals, the same engines and the same attestations, ${attestationAgeMs} ms old in the mean; its own dispatches and completions it knows at once. An answer is good when its first token comes within ${targets.ttftRule} and the others within ${targets.tpotMs} ms each in the mean. Load is scaled by overlaying copies of a trace at random phases. Counted are the requests that arrive in ten minutes after two of warm-up. Useful work is input + 2 x output tokens of good answers; B1 and B2 are fluid bounds that know everything beforehand: B1 serves as many as can be, B2 as much work as can be with one served part for all sizes. The best of each column is bold, whoever it is; ± is half a 95 % confidence interval over the seeds (${seeds}).

${how} How the baselines were taken from their sources stands in bench/sim/baselines; how the simulator was checked in test/bench/sim/validation.test.ts.`;
}

function section(folder: string, trace: string, reports: readonly ExperimentReport[]): string {
  const first = reports[0]!;
  const drawn = charts(trace, reports);
  for (const chart of drawn) writeFileSync(join(folder, chart.file), chart.svg);
  const loads = [...new Set(reports.map((one) => one.load))].sort((one, other) => one - other);
  const tables = loads.map((load) => {
    const at = reports.filter((one) => one.load === load);
    const { bounds, copies } = at[0]!;
    return `### ${load} x capacity (${copies.toFixed(1)} copies)\nB1 goodput ${bounds.B1.goodput.toFixed(3)}; B2 goodput ${bounds.B2.goodput.toFixed(3)}, ${Math.round(bounds.B2.usefulWork)} tokens/s; `
      + `${at.map((one) => one.excluded).join(", ")} requests excluded because no idle node could serve them in time.\n\n${loadTable(at)}`;
  });
  return [`## ${trace} on ${first.fleet} (${first.nodes} nodes)\nCapacity: ${first.capacityCopies.toFixed(1)} copies.`, drawn.map((chart) => `![${chart.title}](${chart.file})`).join("\n"), promisesOf(reports), ...tables].filter((part) => part !== "").join("\n\n");
}
