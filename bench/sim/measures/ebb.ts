// While there is room: first tokens as quick as any peer's, and no node busier than it need be.
import { OURS, POLICIES } from "../policies.ts";
import { atMost, reported, type Measure, type Measurement } from "./measure.ts";
import type { ExperimentReport } from "../experiment.ts";
import type { PolicyReport } from "../score.ts";

const LOADS = [0.5, 0.6, 0.7, 0.8, 0.9] as const;
/** A peer counts that serves about as many. */
const GOODPUT_PART = 0.99;
const TTFT_TIMES = 1.1;
/** Of those, who is about as quick is compared by how evenly it uses its nodes. */
const [ABOUT_AS_QUICK_TIMES, BUSIEST_TIMES] = [1.5, 1.1] as const;

export const ebb: Measurement = {
  name: "ebb",
  about: "Below capacity: the 99th percentile of the time to a first token over all offered, and the busiest node over the mean.",
  measure: (place, onProgress) => LOADS.flatMap((load) => ebbOf(reported(place, load, POLICIES, onProgress))),
};

/** @returns nothing for a load at which nothing is promised */
export function ebbOf({ load, policies }: ExperimentReport): Measure[] {
  if (load < LOADS[0] || load > LOADS.at(-1)!) return [];
  const { [OURS]: ours, ...theirs } = policies;
  return compared(ours!, Object.values(theirs), `${load} x capacity`);
}

/** A refused request counts as an infinite time; a bound of infinity is none. */
export function compared(ours: PolicyReport, baselines: readonly PolicyReport[], at: string): Measure[] {
  const equals = baselines.filter((one) => one.goodput >= GOODPUT_PART * ours.goodput);
  const best = Math.min(...equals.map(ttftP99));
  const quick = equals.filter((one) => ttftP99(one) <= ABOUT_AS_QUICK_TIMES * best);
  const ratio = best === Infinity ? 0 : ttftP99(ours) / best;
  return [
    atMost("TTFT p99 / best peer's", at, ratio, TTFT_TIMES),
    atMost("busiest over mean / lowest of the quick peers'", at, quick.length === 0 ? 0 : ours.busiestOverMean / Math.min(...quick.map((one) => one.busiestOverMean)), BUSIEST_TIMES),
  ];
}

const ttftP99 = (report: PolicyReport): number => report.ttftMsP99 ?? Infinity;
