// What of a report's figures is promised: each against its bound, one value for each seed.
import { figure } from "./measuresPage.ts";
import { ebbOf } from "../sim/measures/ebb.ts";
import { flatOf, peersOf } from "../sim/measures/surge.ts";
import { OURS } from "../sim/policies.ts";
import type { ExperimentReport } from "../sim/experiment.ts";
import type { Measure } from "../sim/measures/measure.ts";

/** @param reports of one trace @returns Markdown; empty where ours is not among the policies or nothing is promised at these loads */
export function promisesOf(reports: readonly ExperimentReport[]): string {
  const seeds = [...new Set(reports.map((one) => one.seed))];
  const bySeed = seeds.map((seed) => judged(reports.filter((one) => one.seed === seed && OURS in one.policies)));
  const rows = [...new Set(bySeed.flat().map(keyOf))].map((key) => rowOf(bySeed.map((measures) => measures.find((one) => keyOf(one) === key))));
  if (rows.length === 0) return "";
  const all = bySeed.flat().filter((one) => one.pass !== null);
  const kept = all.filter((one) => one.pass).length;
  return [
    `### What is promised of these figures`, `${kept} of ${all.length} are kept, ${all.length - kept} missed. One value for each seed (${seeds.join(", ")}); "none" where a peer has nothing to compare with. What each says: bench/sim/measures.`,
    "", "| figure | at | values | bound | |", "|---|---|---:|---|---|", ...rows,
  ].join("\n");
}

function judged(reports: readonly ExperimentReport[]): Measure[] {
  const byLoad = [...reports].sort((one, other) => one.load - other.load);
  return [...flatOf(byLoad), ...byLoad.flatMap(peersOf), ...byLoad.flatMap(ebbOf)];
}

const keyOf = ({ name, at }: Measure): string => JSON.stringify([name, at]);

function rowOf(values: readonly (Measure | undefined)[]): string {
  const there = values.filter((one) => one !== undefined);
  // With some seeds there may be nothing to compare with: those are told, the others judged.
  const { name, at, bound, sense } = there.find((one) => one.pass !== null) ?? there[0]!;
  const missed = there.filter((one) => one.pass === false).length;
  const verdict = bound === null ? "" : missed === 0 ? "kept" : `**missed** by ${missed} of ${there.length}`;
  return `| ${name} | ${at} | ${values.map((one) => (one ? figure(one.value) : "")).join(", ")} | ${bound === null ? "" : `${sense} ${figure(bound)}`} | ${verdict} |`;
}
