// What it costs, in microseconds, to give a task to a node: time first, then risk and price on the same scale.
//
//   cost = wait + prefill + decode + barriers(compute, memory, queue, network) - affinity + price + unreliability
import { backlogUs, decodeUs, prefillUs } from "./curve.ts";
import { PRICE_MAX, TOKENS_MAX, clamp, type Micros, type RoutingParameters } from "./parameters.ts";
import { BPS } from "../../protocol/units.ts";
import type { CorrectedLoad } from "./saturation.ts";
import type { ServiceCurve } from "../../protocol/link.ts";

/** The size of a task as it is known before it runs. */
export interface RoutingTask {
  readonly inputTokens: number;
  /** A running quantile of what such tasks put out, never max_tokens alone; 0 for embeddings. */
  readonly expectedOutTokens: number;
}

/** What is constant about a node between two tables. */
export interface NodeTerms {
  /** Clamped. */
  readonly curve: ServiceCurve;
  /** Smallest units per million tokens, clamped at PRICE_MAX. */
  readonly priceIn: number;
  readonly priceOut: number;
  /** 10,000 never fails. */
  readonly scoreBps: number;
}

/** Cost of the task on the node; rises with each saturation, with the backlog, the prices and the risk. */
export function costUs(
  node: NodeTerms, load: CorrectedLoad, task: RoutingTask, cachedTokens: number, leastBacklogTokens: number, parameters: RoutingParameters,
): Micros {
  const input = clamp(task.inputTokens, 0, TOKENS_MAX);
  const output = clamp(task.expectedOutTokens, 0, TOKENS_MAX);
  // Half the output stands for its mean length while it grows.
  const contextTokens = load.contextTokens + input + Math.ceil(output / 2);
  return backlogUs(node.curve, load.backlogTokens)
    + prefillUs(node.curve, input)
    + decodeUs(node.curve, output, contextTokens, load.running + 1)
    + barrierUs(load.computeBps, parameters) + barrierUs(load.memoryBps, parameters)
    + barrierUs(load.queueBps, parameters) + barrierUs(load.networkBps, parameters)
    - affinityUs(node.curve, Math.min(cachedTokens, input), input, load.backlogTokens - leastBacklogTokens, parameters)
    + priceUs(node, input, output, parameters)
    + unreliabilityUs(node.scoreBps, parameters);
}

/** Convex, nothing when free: barrier * k / (1 - k), as in SMG's least_load; k stops short of one. */
export function barrierUs(saturationBps: number, parameters: RoutingParameters): Micros {
  const bps = clamp(saturationBps, 0, BPS - 1);
  return Math.floor((parameters.barrierUs * bps) / (BPS - bps));
}

/**
 * The prefill that a cached prefix saves, fading as the node's backlog outgrows the least loaded one's: saved / (1 + k * excess / size),
 * as Dynamo does it. Under load on every node the excess stays small, so affinity is not dropped there (sgl-project/sglang#32195).
 */
export function affinityUs(curve: ServiceCurve, cachedTokens: number, inputTokens: number, excessBacklogTokens: number, parameters: RoutingParameters): Micros {
  if (cachedTokens <= 0) return 0;
  // One half hour of saved prefill is as good as more: the bound keeps the product below 2^53.
  const savedUs = clamp(backlogUs(curve, cachedTokens), 0, 2 ** 31);
  const fade = Math.floor((parameters.affinityFadeTenths * clamp(excessBacklogTokens, 0, 2 ** 40)) / 10);
  return Math.floor((savedUs * inputTokens) / (inputTokens + fade));
}

/** The node's fee as time: what a payer would wait to save it. */
export const priceUs = (node: NodeTerms, input: number, output: number, parameters: RoutingParameters): Micros =>
  Math.floor((input * clamp(node.priceIn, 0, PRICE_MAX) + output * clamp(node.priceOut, 0, PRICE_MAX)) / parameters.priceDivisor);

/** What trying elsewhere would lose, times how often it comes to that. */
export const unreliabilityUs = (scoreBps: number, parameters: RoutingParameters): Micros =>
  Math.floor((parameters.failureUs * (BPS - clamp(scoreBps, 0, BPS))) / BPS);
