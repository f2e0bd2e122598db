// What a policy made of a load: everything a report says about one run.
import { QUARTILES, quartileOf } from "./classes.ts";
import { workOf } from "./targets.ts";
import type { Job } from "./job.ts";

export interface PolicyReport {
  /** Requests of the window that an idle fleet could have served in time. */
  readonly offered: number;
  /** Answers that met both targets. */
  readonly good: number;
  readonly goodput: number;
  /** By size, smallest first. */
  readonly goodputByQuartile: readonly number[];
  /** Input + 2 x output tokens of good answers, per second. */
  readonly usefulWork: number;
  readonly refused: number;
  /** Answers that were finished, however late. */
  readonly completedEventually: number;
  /** Broken off by a node: contexts lost. */
  readonly failed: number;
  /** Over all offered; null where so many were refused that it is infinite. */
  readonly ttftMsP50: number | null;
  readonly ttftMsP99: number | null;
  /** Over answers that were finished; null where there is none. */
  readonly tpotMsP50: number | null;
  readonly tpotMsP99: number | null;
  /** Slot use of the busiest node over the fleet's mean, the mean over windows of 10 s. */
  readonly busiestOverMean: number;
  /** Jain's index over what payers were served relative to their max-min fair share. */
  readonly fairnessJain: number;
  readonly preemptions: number;
}

export interface ScoreInput {
  /** Those that are counted: of the window, and feasible. */
  readonly jobs: readonly Job[];
  readonly quartileBounds: readonly [number, number, number];
  readonly windowSeconds: number;
  readonly slotUse: readonly Float64Array[];
}

export function score(input: ScoreInput): PolicyReport {
  const { jobs, windowSeconds } = input;
  const good = jobs.filter((job) => job.isGood);
  const finished = jobs.filter((job) => job.state === "done");
  const ttfts = sorted(jobs.map((job) => job.ttftMs));
  const tpots = sorted(finished.map((job) => job.tpotMs));
  return {
    offered: jobs.length, good: good.length, goodput: good.length / Math.max(1, jobs.length), goodputByQuartile: byQuartile(input),
    usefulWork: good.reduce((sum, job) => sum + workOfJob(job), 0) / windowSeconds, refused: jobs.filter((job) => job.state === "refused").length,
    completedEventually: finished.length, failed: jobs.filter((job) => job.state === "failed").length,
    ttftMsP50: quantile(ttfts, 0.5), ttftMsP99: quantile(ttfts, 0.99), tpotMsP50: quantile(tpots, 0.5), tpotMsP99: quantile(tpots, 0.99),
    busiestOverMean: busiestOverMean(input.slotUse), fairnessJain: fairnessOf(jobs), preemptions: jobs.reduce((sum, job) => sum + job.preemptions, 0),
  };
}

/** Of sizes that do not occur, because many are alike, what holds for all. */
function byQuartile({ jobs, quartileBounds }: ScoreInput): number[] {
  const offered = new Array<number>(QUARTILES).fill(0);
  const good = new Array<number>(QUARTILES).fill(0);
  for (const job of jobs) {
    const quartile = quartileOf(workOfJob(job), quartileBounds);
    offered[quartile]!++;
    if (job.isGood) good[quartile]!++;
  }
  const ofAll = good.reduce((sum, count) => sum + count, 0) / Math.max(1, jobs.length);
  return good.map((count, quartile) => (offered[quartile]! > 0 ? count / offered[quartile]! : ofAll));
}

export const workOfJob = (job: Job): number => workOf(job.inputTokens, job.outputTokens);

const sorted = (values: readonly number[]): Float64Array => Float64Array.from(values).sort();

/** The nearest-rank quantile of ascending values; null where it is infinite or there is none. */
export function quantile(ascending: Float64Array, part: number): number | null {
  if (ascending.length === 0) return null;
  const value = ascending[Math.min(ascending.length - 1, Math.ceil(ascending.length * part) - 1)]!;
  return Number.isFinite(value) ? value : null;
}

/** @param slotUse of each window, each node's mean use of its slots @returns 1 where all are alike, or where nobody works */
export function busiestOverMean(slotUse: readonly Float64Array[]): number {
  const ratios = slotUse.map((use) => {
    const mean = use.reduce((sum, one) => sum + one, 0) / use.length;
    return mean > 0 ? Math.max(...use) / mean : 1;
  });
  return ratios.length === 0 ? 1 : ratios.reduce((sum, one) => sum + one, 0) / ratios.length;
}

/** Jain's index (1984) of what each payer was served over its fair share. */
export const fairnessOf = (jobs: readonly Job[]): number => jain([...servedParts(jobs).values()]);

/** By payer: served work over its max-min fair share of all that was served, the share capped at what the payer asked for. */
export function servedParts(jobs: readonly Job[]): Map<number, number> {
  const [asked, served] = [new Map<number, number>(), new Map<number, number>()];
  for (const job of jobs) {
    asked.set(job.payer, (asked.get(job.payer) ?? 0) + workOfJob(job));
    if (job.state === "done") served.set(job.payer, (served.get(job.payer) ?? 0) + workOfJob(job));
  }
  const payers = [...asked.keys()];
  const total = [...served.values()].reduce((sum, one) => sum + one, 0);
  const shares = maxMinShares(payers.map((payer) => asked.get(payer)!), total);
  return new Map(payers.map((payer, i) => [payer, shares[i]! > 0 ? (served.get(payer) ?? 0) / shares[i]! : 1]));
}

/** Fills all alike until each has what it asked for or all is given out. */
export function maxMinShares(asked: readonly number[], total: number): number[] {
  const order = asked.map((_, i) => i).sort((one, other) => asked[one]! - asked[other]!);
  const shares = new Array<number>(asked.length).fill(0);
  let left = total;
  for (const [done, i] of order.entries()) {
    shares[i] = Math.min(asked[i]!, left / (order.length - done));
    left -= shares[i]!;
  }
  return shares;
}

/** (sum x)^2 / (n sum x^2): 1 where all are equal, 1/n where one has all. */
export function jain(values: readonly number[]): number {
  const sum = values.reduce((total, one) => total + one, 0);
  const squares = values.reduce((total, one) => total + one * one, 0);
  return squares === 0 ? 1 : (sum * sum) / (values.length * squares);
}
