// Under a surge: flat work, the large not refused for it, and what the baselines make of the same arrivals.
import { BASELINES } from "../baselines/all.ts";
import { OURS, POLICIES } from "../policies.ts";
import { tidelane } from "../tidelane.ts";
import { atLeast, reported, told, type Measure, type Measurement } from "./measure.ts";
import type { ExperimentReport } from "../experiment.ts";
import type { PolicyReport } from "../score.ts";

/** The maximum is sought over all of these, the measure is taken at the last four. */
const LOADS = [0.9, 1, 1.25, 1.5, 2, 3, 4] as const;
const SURGE_FROM = 1.5;
const FLAT_PART = 0.97;
const LARGEST_PART = 0.65;

const WITHOUT_ADMISSION_TIMES = 2.5;
const WORK_OF_PEER = 0.95;
const WORK_OF_BOUND = 0.9;
/** How many times a peer's worst-served quartile, by load. */
const WORST_TIMES = new Map([[1.5, 1.1], [2, 1.25]]);

export const flat: Measurement = {
  name: "flat",
  about: "Useful work holds its own maximum up to four times the capacity, and the largest quarter of the requests is served like the rest.",
  measure: (place, onProgress) => flatOf(LOADS.map((load) => reported(place, load, [tidelane], onProgress))),
};

export const peers: Measurement = {
  name: "peers",
  about: "Against every baseline on the same arrivals: the worst-served quartile, useful work, goodput.",
  measure: (place, onProgress) => [...WORST_TIMES.keys()].flatMap((load) => peersOf(reported(place, load, POLICIES, onProgress))),
};

/** @param reports of one trace and seed, by ascending load */
export function flatOf(reports: readonly ExperimentReport[]): Measure[] {
  let most = 0;
  return reports.flatMap(({ load, policies }) => {
    const { usefulWork, goodput, goodputByQuartile } = policies[OURS]!;
    most = Math.max(most, usefulWork);
    return load < SURGE_FROM ? [] : [
      atLeast("useful work / own maximum so far", `${load} x capacity`, usefulWork / most, FLAT_PART),
      atLeast("largest quartile / mean goodput", `${load} x capacity`, goodputByQuartile[3]! / goodput, LARGEST_PART),
    ];
  });
}

/** @returns nothing for a load at which nothing is promised, and of peers that the report does not hold */
export function peersOf({ load, policies, bounds, hasPrefixes }: ExperimentReport): Measure[] {
  const worstTimes = WORST_TIMES.get(load);
  if (worstTimes === undefined) return [];
  const ours = policies[OURS]!;
  const at = `${load} x capacity`;
  const theirs = BASELINES.flatMap(({ name, hasAdmission }) => (policies[name] ? [{ name, hasAdmission, report: policies[name] }] : []));
  const [admitting, artless] = [theirs.filter((one) => one.hasAdmission), theirs.filter((one) => !one.hasAdmission)];
  // Where prefixes are shared, the comparison with the bound and with those that admit everybody is told and not judged.
  const least = hasPrefixes ? (name: string, value: number): Measure => told(name, at, value) : (name: string, value: number, bound: number): Measure => atLeast(name, at, value, bound);
  return [
    ...(artless.length === 0 ? [] : [least("goodput / best without admission", ours.goodput / Math.max(...artless.map(({ report }) => report.goodput)), WITHOUT_ADMISSION_TIMES)]),
    ...admitting.flatMap(({ name, report }) => (hasPrefixes ? looselyWith(ours, report, `${at}, ${name}`) : strictly(ours, report, `${at}, ${name}`, worstTimes))),
    least("useful work / B2", ours.usefulWork / bounds.B2.usefulWork, WORK_OF_BOUND),
    ...admitting.map(({ name, report }) => told("goodput / peer's", `${at}, ${name}`, ours.goodput / report.goodput)),
  ];
}

const worstOf = (report: PolicyReport): number => Math.min(...report.goodputByQuartile);

function strictly(ours: PolicyReport, theirs: PolicyReport, at: string, worstTimes: number): Measure[] {
  return [
    atLeast("worst quartile / peer's", at, worstOf(ours) / worstOf(theirs), worstTimes),
    atLeast("useful work / peer's", at, ours.usefulWork / theirs.usefulWork, WORK_OF_PEER),
  ];
}

/** With shared prefixes: ahead on the one or the other, behind on neither by more than a twentieth. */
function looselyWith(ours: PolicyReport, theirs: PolicyReport, at: string): Measure[] {
  const [worst, work] = [worstOf(ours) / worstOf(theirs), ours.usefulWork / theirs.usefulWork];
  return [
    atLeast("greater of worst quartile and useful work / peer's", at, Math.max(worst, work), 1),
    atLeast("lesser of worst quartile and useful work / peer's", at, Math.min(worst, work), WORK_OF_PEER),
  ];
}
