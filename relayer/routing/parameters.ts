// Every number that shapes a routing decision, frozen under one version that stands in each decision record.
import type { Millis } from "../../protocol/units.ts";

/** Costs are whole microseconds: a unit in which unlike nodes, prices and risks can be added up. */
export type Micros = number;

export interface RoutingParameters {
  readonly version: number;
  /** Of all candidates at most this many are drawn by free capacity, and this many evenly, so that everybody is seen again. */
  readonly weightedDraws: number;
  readonly uniformDraws: number;
  /** The barrier of a saturation of one half; SMG's least_load uses 150 ms. */
  readonly barrierUs: Micros;
  /** What a certain failure would cost: about the time that trying elsewhere loses. */
  readonly failureUs: Micros;
  /** (tokens x price per million tokens) / divisor = microseconds; 1,000 values the smallest unit at one millisecond. */
  readonly priceDivisor: number;
  /** How fast affinity fades as a node's backlog outgrows the least loaded one's, in tenths (Dynamo's k). */
  readonly affinityFadeTenths: number;
  readonly temperatureUsMin: Micros;
  readonly temperatureUsMax: Micros;
  /** The task by which a node's free time and the cost of one more dispatch are judged when a table is made. */
  readonly typicalInputTokens: number;
  readonly typicalOutTokens: number;
  /** Context of a sequence of which nothing is known: other relayers' work. */
  readonly unknownContextTokens: number;
}

export const PARAMETERS: RoutingParameters = Object.freeze({
  version: 1,
  weightedDraws: 11,
  uniformDraws: 4,
  barrierUs: 150_000,
  failureUs: 20_000_000,
  priceDivisor: 1_000,
  affinityFadeTenths: 10,
  temperatureUsMin: 10_000,
  temperatureUsMax: 2_000_000,
  typicalInputTokens: 512,
  typicalOutTokens: 256,
  unknownContextTokens: 512,
});

/** One more than the draws: the node that holds the conversation's prefix. */
export const CANDIDATES_MAX = 16;

/** Bounds on what enters the integer arithmetic, chosen so that no product passes 2^53. */
export const TOKENS_MAX = 2 ** 20;
export const BACKLOG_TOKENS_MAX = 2 ** 21;
export const CONTEXT_TOKENS_MAX = 2 ** 31;
export const SLOTS_MAX = 2 ** 16 - 1;
export const PRICE_MAX = 2 ** 31;
/** A table is published at least this often while decisions are made. */
export const TABLE_EVERY_MS: Millis = 1_000;

export const clamp = (value: number, least: number, most: number): number => (value < least ? least : value > most ? most : value);
