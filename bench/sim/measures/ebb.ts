// While there is room: first tokens as quick as any peer's, and no node busier than it need be.
import { OURS, POLICIES } from "../policies.ts";
import { atMost, reported, told, type Measure, type Measurement } from "./measure.ts";
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

/** A refused request counts as an infinite time; where there is nobody to compare with the figure is told, and it is none. */
export function compared(ours: PolicyReport, baselines: readonly PolicyReport[], at: string): Measure[] {
  const equals = baselines.filter((one) => one.goodput >= GOODPUT_PART * ours.goodput);
  const best = Math.min(...equals.map(ttftP99));
  const quick = equals.filter((one) => ttftP99(one) <= ABOUT_AS_QUICK_TIMES * best);
  const judged = (name: string, peer: number, value: number, bound: number): Measure => (peer === Infinity ? told(name, at, NaN) : atMost(name, at, value, bound));
  const evenest = Math.min(...quick.map((one) => one.busiestOverMean));
  return [
    judged("TTFT p99 / best peer's", best, ttftP99(ours) / best, TTFT_TIMES),
    judged("busiest over mean / lowest of the quick peers'", evenest, ours.busiestOverMean / evenest, BUSIEST_TIMES),
  ];
}

const ttftP99 = (report: PolicyReport): number => report.ttftMsP99 ?? Infinity;
