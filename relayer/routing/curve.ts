// Predicts seconds from tokens: the affine service curve of Vidur, DistServe and Splitwise, in whole nanoseconds.
//
//   iteration = a + b * prefill + e * sum(chunk_end^2 - chunk_start^2) + c * context + d * batch
//
// The curve is clamped once, where it enters a table; after that no product here passes 2^53.
import { BACKLOG_TOKENS_MAX, CONTEXT_TOKENS_MAX, SLOTS_MAX, TOKENS_MAX, clamp, type Micros } from "./parameters.ts";
import type { ServiceCurve } from "../../protocol/link.ts";

const A_NS_MAX = 2 ** 40;
const B_NS_MAX = 2 ** 31;
const C_NS_MAX = 2 ** 20;
const D_NS_MAX = 2 ** 32;
const E_PS_MAX = 2 ** 26;
const TOKEN_NS_MAX = 2 ** 32;
const NS_PER_US = 1_000;

/** The nearest curve inside the bounds, in whole numbers; what is no number becomes its upper bound, as slow as can be said. */
export function clampCurve(curve: ServiceCurve): ServiceCurve {
  return {
    aNs: bounded(curve.aNs, A_NS_MAX), bNs: bounded(curve.bNs, B_NS_MAX), cNs: bounded(curve.cNs, C_NS_MAX),
    dNs: bounded(curve.dNs, D_NS_MAX), ePs: bounded(curve.ePs, E_PS_MAX),
  };
}

/** Microseconds until a prompt of so many tokens has been read, alone. A prompt in chunks has the same sum of squares. */
export function prefillUs(curve: ServiceCurve, tokens: number): Micros {
  const count = clamp(tokens, 0, TOKENS_MAX);
  const attentionNsPerToken = clamp(Math.floor((curve.ePs * count) / 1_000), 0, 2 ** 32);
  return Math.floor((curve.aNs + curve.bNs * count + attentionNsPerToken * count) / NS_PER_US);
}

/** Microseconds that prompts waiting ahead take: their attention is unknown and left out. */
export const backlogUs = (curve: ServiceCurve, tokens: number): Micros =>
  Math.floor((curve.bNs * clamp(tokens, 0, BACKLOG_TOKENS_MAX)) / NS_PER_US);

/** Nanoseconds of one output token, where `batch` sequences with so many tokens of context in all decode together. */
export const tokenNs = (curve: ServiceCurve, contextTokens: number, batch: number): number =>
  clamp(curve.aNs + curve.cNs * clamp(contextTokens, 0, CONTEXT_TOKENS_MAX) + curve.dNs * clamp(batch, 0, SLOTS_MAX), 0, TOKEN_NS_MAX);

/** Microseconds of so many output tokens. */
export const decodeUs = (curve: ServiceCurve, outTokens: number, contextTokens: number, batch: number): Micros =>
  Math.floor((tokenNs(curve, contextTokens, batch) * clamp(outTokens, 0, TOKENS_MAX)) / NS_PER_US);

const bounded = (value: number, most: number): number => (Number.isFinite(value) ? clamp(Math.floor(value), 0, most) : most);
