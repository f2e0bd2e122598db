// Experiments over seeds put together: means with confidence intervals, tables and charts as text.
import { lineChart, type Series } from "./chart.ts";
import { OURS } from "./policies.ts";
import type { ExperimentReport } from "./experiment.ts";
import type { PolicyReport } from "./score.ts";

export interface Interval {
  readonly mean: number;
  /** Half of the 95 % confidence interval; 0 for one seed. */
  readonly half: number;
}

/** Two-sided 95 % quantiles of Student's t by degrees of freedom. */
const STUDENT_95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262] as const;

export function interval(values: readonly number[]): Interval {
  const mean = values.reduce((sum, one) => sum + one, 0) / values.length;
  if (values.length < 2 || !Number.isFinite(mean)) return { mean, half: 0 };
  const variance = values.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (values.length - 1);
  return { mean, half: (STUDENT_95[Math.min(values.length - 2, STUDENT_95.length - 1)]! * Math.sqrt(variance)) / Math.sqrt(values.length) };
}

type Figure = (report: PolicyReport, all: ExperimentReport) => number;

const COLUMNS: readonly (readonly [title: string, figure: Figure, digits: number, best: "most" | "least"])[] = [
  ["goodput", (one) => one.goodput, 3, "most"],
  ["worst quartile", (one) => Math.min(...one.goodputByQuartile), 3, "most"],
  ["largest / mean", (one) => (one.goodput > 0 ? one.goodputByQuartile[3]! / one.goodput : 0), 2, "most"],
  ["useful work / B2", (one, all) => one.usefulWork / all.bounds.B2.usefulWork, 3, "most"],
  ["refused", (one) => one.refused / one.offered, 3, "least"],
  ["done in the end", (one) => one.completedEventually / one.offered, 3, "most"],
  ["TTFT p50 ms", (one) => one.ttftMsP50 ?? Infinity, 0, "least"],
  ["TTFT p99 ms", (one) => one.ttftMsP99 ?? Infinity, 0, "least"],
  ["TPOT p50 ms", (one) => one.tpotMsP50 ?? Infinity, 0, "least"],
  ["TPOT p99 ms", (one) => one.tpotMsP99 ?? Infinity, 0, "least"],
  ["busiest / mean", (one) => one.busiestOverMean, 2, "least"],
  ["Jain", (one) => one.fairnessJain, 3, "most"],
  ["contexts lost", (one) => one.failed, 0, "least"],
];

/** One trace, one load, all seeds: a table in Markdown, the best of each column in bold, whoever it is. */
export function loadTable(reports: readonly ExperimentReport[]): string {
  const names = Object.keys(reports[0]!.policies);
  const cells = COLUMNS.map(([, figure]) => names.map((name) => interval(reports.map((all) => figure(all.policies[name]!, all)))));
  const rows = names.map((name, row) => `| ${name === OURS ? `**${name}**` : name} | ${COLUMNS.map(([, , digits, best], column) => cellOf(cells[column]!, row, digits, best)).join(" | ")} |`);
  return [`| policy | ${COLUMNS.map(([title]) => title).join(" | ")} |`, `|---|${COLUMNS.map(() => "---:").join("|")}|`, ...rows].join("\n");
}

function cellOf(column: readonly Interval[], row: number, digits: number, best: "most" | "least"): string {
  const { mean, half } = column[row]!;
  const means = column.map((one) => one.mean);
  const text = Number.isFinite(mean) ? `${mean.toFixed(digits)}${half > 0 ? ` ± ${half.toFixed(digits)}` : ""}` : "-";
  const isBest = mean === (best === "most" ? Math.max(...means) : Math.min(...means)) && new Set(means).size > 1;
  return isBest ? `**${text}**` : text;
}

export interface NamedChart {
  readonly file: string;
  readonly title: string;
  readonly svg: string;
}

/** @param reports of one trace, any loads and seeds */
export function charts(trace: string, reports: readonly ExperimentReport[]): NamedChart[] {
  const loads = [...new Set(reports.map((one) => one.load))].sort((one, other) => one - other);
  const at = (load: number): ExperimentReport[] => reports.filter((one) => one.load === load);
  const lines = (figure: Figure): Series[] => Object.keys(reports[0]!.policies).map((name) => ({
    name, isOurs: name === OURS,
    points: loads.map((load) => [load, finiteOrNull(interval(at(load).map((all) => figure(all.policies[name]!, all))).mean)] as const),
  }));
  const bound = (name: string, figure: (all: ExperimentReport) => number): Series =>
    ({ name, isBound: true, points: loads.map((load) => [load, interval(at(load).map(figure)).mean] as const) });
  const chart = (file: string, title: string, yLabel: string, yMax: number, series: readonly Series[]): NamedChart =>
    ({ file: `routing-${trace}-${file}.svg`, title, svg: lineChart({ title: `${trace}: ${title}`, xLabel: "load, times capacity", yLabel, yMax, series }) });
  return [
    chart("goodput", "goodput", "part of offered requests", 1, [...lines((one) => one.goodput), bound("B1", (all) => all.bounds.B1.goodput), bound("B2", (all) => all.bounds.B2.goodput)]),
    chart("worst", "worst-served size quartile", "part of its requests", 1, [...lines((one) => Math.min(...one.goodputByQuartile)), bound("B2", (all) => all.bounds.B2.goodput)]),
    chart("work", "useful work", "part of B2's", 1.1, lines((one, all) => one.usefulWork / all.bounds.B2.usefulWork)),
    chart("ttft", "time to first token, p99 over all offered", "ms", 4_000, lines((one) => one.ttftMsP99 ?? Infinity)),
  ];
}

const finiteOrNull = (value: number): number | null => (Number.isFinite(value) ? value : null);
