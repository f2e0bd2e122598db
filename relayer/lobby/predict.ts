// Predicts, for one node, how fast tokens follow each other under a load that stays, and whether it fits.
//
// The same affine curve as routing/curve.ts, seen over many iterations: prompts are read in chunks beside everybody's next token.
import type { ServiceCurve } from "../../protocol/link.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/** What of a node a prediction rests on. */
export interface NodeModel {
  readonly curve: ServiceCurve;
  readonly slots: number;
  readonly kvTokens: Tokens;
  /** Token budget of an iteration. */
  readonly chunkTokens: Tokens;
}

/** Everybody's work on a node, as far as the relayer knows it. */
export interface NodeLoad {
  readonly running: number;
  /** Of all that run. */
  readonly contextTokens: Tokens;
}

/** What requests are like at the moment, in the mean; products are averaged as products. */
export interface Mix {
  readonly inputTokens: Tokens;
  readonly outTokens: Tokens;
  readonly inputSquared: number;
  readonly outSquared: number;
}

/**
 * Output tokens that a running sequence has so far, in the mean: of those that run the long ones are more, so it is not half the mean
 * length but E[O^2] / 2 E[O].
 */
export const grownTokens = (mix: Mix): Tokens => mix.outSquared / (2 * Math.max(1, mix.outTokens));

const NS_PER_MS = 1e6;
const PS_PER_MS = 1e9;
/** However full an iteration is with decoding, an engine reads at least so much of a prompt. */
export const CHUNK_TOKENS_MIN = 16;

/** Milliseconds of an iteration in which so many sequences decode and nothing is read. */
export const iterationMs = (curve: ServiceCurve, contextTokens: Tokens, running: number): Millis =>
  (curve.aNs + curve.cNs * contextTokens + curve.dNs * running) / NS_PER_MS;

/**
 * Milliseconds per output token while the load stays as it is: those that finish are replaced, so each iteration also reads 1 / output
 * of a prompt for every other sequence that runs.
 */
export function predictTpotMs(model: NodeModel, load: NodeLoad, mix: Mix): Millis {
  const { curve } = model;
  const readMs = (curve.bNs * mix.inputTokens) / NS_PER_MS + (curve.ePs * mix.inputSquared) / PS_PER_MS;
  return iterationMs(curve, load.contextTokens, load.running) + (readMs * Math.max(0, load.running - 1)) / Math.max(1, mix.outTokens);
}

/** Milliseconds per output token while prompts never run out: every iteration reads as much as the budget leaves beside the running. */
export const fullTpotMs = (model: NodeModel, load: NodeLoad): Millis => {
  const { curve, chunkTokens } = model;
  const read = Math.max(CHUNK_TOKENS_MIN, chunkTokens - load.running);
  return iterationMs(curve, load.contextTokens, load.running) + (curve.bNs * read) / NS_PER_MS;
};

/** Whether the memory holds everybody's context, and an output more. */
export const hasMemory = (model: NodeModel, load: NodeLoad, mix: Mix): boolean => load.contextTokens + mix.outTokens <= model.kvTokens;
