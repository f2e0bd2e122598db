// The soft choice: probability ~ exp(-(cost - least) / T), in whole numbers, so that every machine draws the same candidate.
//
// Never normalised by range: that amplifies noise when all are equal, and one outlier flattens the rest.
import { EXP_Q16 } from "./expTable.ts";
import type { Micros } from "./parameters.ts";

const STEPS_PER_UNIT = 256;

/**
 * Writes each candidate's weight; the least cost weighs 65,536, and a cost of 16 temperatures more weighs nothing.
 * @param costs whole microseconds; only the first `count` are read
 * @returns the sum of the weights: weight / sum is the probability, at most 16 x 65,536
 */
export function softWeights(costs: Float64Array, count: number, temperatureUs: Micros, weights: Uint32Array): number {
  let least = Infinity;
  for (let i = 0; i < count; i++) if (costs[i]! < least) least = costs[i]!;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const step = Math.floor(((costs[i]! - least) * STEPS_PER_UNIT) / temperatureUs);
    weights[i] = step < EXP_Q16.length ? EXP_Q16[step]! : 0;
    sum += weights[i]!;
  }
  return sum;
}

/**
 * @param word 32 even bits of the draw: the product stays below 2^53, and no candidate's probability is off by more than 2^-32
 * @returns the index of the candidate whose share of the sum the word falls into
 */
export function drawByWeight(weights: Uint32Array, count: number, sum: number, word: number): number {
  let ticket = Math.floor((word * sum) / 2 ** 32);
  for (let i = 0; i < count; i++) {
    if (ticket < weights[i]!) return i;
    ticket -= weights[i]!;
  }
  return count - 1;
}
