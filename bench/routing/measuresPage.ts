// docs/benchmarks/measures.md: each promise with its figures over seeds, and those that are missed as plainly as those that are kept.
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { MEASUREMENTS } from "../sim/measures/all.ts";
import type { Measure } from "../sim/measures/measure.ts";
import type { MeasureTask } from "./measureWorker.ts";

/** One measurement of one trace with one seed. */
export interface MeasuredCell extends MeasureTask {
  readonly measures: readonly Measure[];
}

/** @param how command, commit and machine, as sentences */
export function writeMeasures(folder: string, cells: readonly MeasuredCell[], how: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "measures.md"), pageOf(cells, how));
}

export function pageOf(cells: readonly MeasuredCell[], how: string): string {
  const all = cells.flatMap(({ measures }) => measures);
  const missed = all.filter((one) => one.pass === false).length;
  const judged = all.filter((one) => one.pass !== null).length;
  const sections = MEASUREMENTS.flatMap(({ name, about }) => {
    const own = cells.filter((cell) => cell.measurement === name);
    return own.length === 0 ? [] : [[`## ${name}`, about, "", ...tableOf(own)].join("\n")];
  });
  return [`# What the router promises, measured\nEach row is a figure of a run in the simulator against its bound; ${judged - missed} of ${judged} are kept, ${missed} missed. Rows without a bound are told for what they are.\n\n${how}`, ...sections].join("\n\n") + "\n";
}

function tableOf(cells: readonly MeasuredCell[]): string[] {
  const rows = cells.flatMap(({ trace, seed, measures }) => measures.map(({ name, at, value, bound, sense, pass }) =>
    `| ${basename(trace)}, ${seed} | ${name} | ${at} | ${figure(value)} | ${bound === null ? "" : `${sense} ${figure(bound)}`} | ${pass === null ? "" : pass ? "kept" : "**missed**"} |`));
  return ["| trace, seed | figure | at | value | bound | |", "|---|---|---|---:|---|---|", ...rows];
}

/** For people: three digits behind the point, `none` for no number. */
export const figure = (value: number | null): string => (value === null ? "none" : Number.isInteger(value) ? String(value) : value.toFixed(3));
