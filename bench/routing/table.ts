// A report as a table for people.
import type { ExperimentReport } from "../sim/experiment.ts";
import type { PolicyReport } from "../sim/score.ts";

const COLUMNS: readonly [title: string, cell: (report: PolicyReport, all: ExperimentReport) => string][] = [
  ["goodput", (one) => one.goodput.toFixed(3)],
  ["by size", (one) => one.goodputByQuartile.map((part) => part.toFixed(2)).join(" ")],
  ["work/B2", (one, all) => (one.usefulWork / Math.max(1e-9, all.bounds.B2.usefulWork)).toFixed(3)],
  ["refused", (one) => String(one.refused)],
  ["done", (one) => String(one.completedEventually)],
  ["ttft p50", (one) => milliseconds(one.ttftMsP50)],
  ["ttft p99", (one) => milliseconds(one.ttftMsP99)],
  ["tpot p50", (one) => milliseconds(one.tpotMsP50)],
  ["tpot p99", (one) => milliseconds(one.tpotMsP99)],
  ["busiest", (one) => one.busiestOverMean.toFixed(2)],
  ["Jain", (one) => one.fairnessJain.toFixed(3)],
];

const milliseconds = (value: number | null): string => (value === null ? "-" : `${value.toFixed(0)} ms`);

export function tableOf(report: ExperimentReport): string {
  const head = `${report.trace} on ${report.fleet} (${report.nodes} nodes), ${report.load} x capacity = ${report.copies.toFixed(1)} copies, seed ${report.seed}: `
    + `${Object.values(report.policies)[0]?.offered ?? 0} requests counted, ${report.excluded} excluded; bounds: B1 goodput ${report.bounds.B1.goodput.toFixed(3)}, `
    + `B2 goodput ${report.bounds.B2.goodput.toFixed(3)} and ${report.bounds.B2.usefulWork.toFixed(0)} tokens/s`;
  const rows = Object.entries(report.policies).map(([name, policy]) => [name, ...COLUMNS.map(([, cell]) => cell(policy, report))]);
  return [head, ...aligned([["policy", ...COLUMNS.map(([title]) => title)], ...rows])].join("\n");
}

/** Columns of text, the first to the left, the others to the right. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join("  "));
}
