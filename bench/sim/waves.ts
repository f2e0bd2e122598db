// Loads that rise and fall, with preprocessing among them: what tidal lanes are for.
import { hashUnit } from "./random.ts";
import type { Arrivals, Trace } from "./trace.ts";

/** @returns the trace with this part of its requests, by lot, only to be read: one output token, and declared as such */
export function withPreprocessing(trace: Trace, part: number, seed: number): { readonly trace: Trace; readonly isPrep: Uint8Array } {
  const isPrep = Uint8Array.from(trace.outputTokens, (_, row) => (hashUnit(seed, row) < part ? 1 : 0));
  return { trace: { ...trace, outputTokens: trace.outputTokens.map((tokens, row) => (isPrep[row] === 1 ? 1 : tokens)) }, isPrep };
}

/** @param partAt which part of the arrivals of a moment stays, 0 to 1 */
export function thinned(arrivals: Arrivals, partAt: (timeMs: number) => number, seed: number): Arrivals {
  const stays = [...arrivals.timeMs.keys()].filter((i) => hashUnit(seed, i) < partAt(arrivals.timeMs[i]!));
  return { ...arrivals, timeMs: Float64Array.from(stays, (i) => arrivals.timeMs[i]!), row: Int32Array.from(stays, (i) => arrivals.row[i]!), copy: Int32Array.from(stays, (i) => arrivals.copy[i]!) };
}

/** From the least at 0 to the most after half a period, as a cosine. */
export const wave = (timeMs: number, periodMs: number, least: number, most: number): number =>
  least + ((most - least) * (1 - Math.cos((2 * Math.PI * timeMs) / periodMs))) / 2;
