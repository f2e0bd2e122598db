// Under a surge: flat work, the large not refused for it, and what the baselines make of the same arrivals.
import { BASELINES } from "../baselines/all.ts";
import { Experiment } from "../experiment.ts";
import { tidelane } from "../tidelane.ts";
import { atLeast, MEAN_AGE_MS, progressOf, told, type Measure, type Measurement, type OnProgress, type Place } from "./measure.ts";
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
  measure: (place, onProgress) => {
    const measures: Measure[] = [];
    let most = 0;
    for (const load of LOADS) {
      const { usefulWork, goodput, goodputByQuartile } = experimentAt(place, load).run(tidelane, progressOf(onProgress, tidelane, load));
      most = Math.max(most, usefulWork);
      if (load < SURGE_FROM) continue;
      measures.push(
        atLeast("useful work / own maximum so far", `${load} x capacity`, usefulWork / most, FLAT_PART),
        atLeast("largest quartile / mean goodput", `${load} x capacity`, goodputByQuartile[3]! / goodput, LARGEST_PART),
      );
    }
    return measures;
  },
};

export const peers: Measurement = {
  name: "peers",
  about: "Against every baseline on the same arrivals: the worst-served quartile, useful work, goodput.",
  measure: (place, onProgress) => [...WORST_TIMES.keys()].flatMap((load) => comparedAt(place, load, onProgress)),
};

const experimentAt = (place: Place, load: number): Experiment => new Experiment({ ...place, load, attestationAgeMs: MEAN_AGE_MS });

function comparedAt(place: Place, load: number, onProgress: OnProgress): Measure[] {
  const experiment = experimentAt(place, load);
  const ours = experiment.run(tidelane, progressOf(onProgress, tidelane, load));
  const theirs = BASELINES.map((kind) => ({ kind, report: experiment.run(kind, progressOf(onProgress, kind, load)) }));
  const artless = Math.max(...theirs.filter(({ kind }) => !kind.hasAdmission).map(({ report }) => report.goodput));
  const admitting = theirs.filter(({ kind }) => kind.hasAdmission);
  const compare = place.trace.blocks === null ? strictly : looselyWith;
  return [
    atLeast("goodput / best without admission", `${load} x capacity`, ours.goodput / artless, WITHOUT_ADMISSION_TIMES),
    ...admitting.flatMap(({ kind, report }) => compare(ours, report, `${load} x capacity, ${kind.name}`, WORST_TIMES.get(load)!)),
    atLeast("useful work / B2", `${load} x capacity`, ours.usefulWork / experiment.report.bounds.B2.usefulWork, WORK_OF_BOUND),
    ...admitting.map(({ kind, report }) => told("goodput / peer's", `${load} x capacity, ${kind.name}`, ours.goodput / report.goodput)),
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
