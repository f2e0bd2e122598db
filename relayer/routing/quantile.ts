// How long answers turn out to be: a running quantile in two whole numbers, because max_tokens tells next to nothing.
import { clamp, TOKENS_MAX } from "./parameters.ts";

export interface OutputQuantile {
  readonly tokens: number;
  /** Grows while the estimate runs in one direction, shrinks when it turns. */
  readonly stepTokens: number;
  readonly rising: boolean;
}

/** Before anything was seen. */
export const QUANTILE_START: OutputQuantile = Object.freeze({ tokens: 128, stepTokens: 8, rising: true });

const STEP_TOKENS_MAX = 256;

/**
 * Frugal streaming (Ma, Muthukrishnan, Sandler 2013), the estimate of the two-thirds quantile: up two parts where the output was
 * longer, down one where it was shorter, so it rests where twice as many are shorter.
 */
export function observeOutput(quantile: OutputQuantile, outTokens: number): OutputQuantile {
  if (outTokens === quantile.tokens) return quantile;
  const rising = outTokens > quantile.tokens;
  const stepTokens = clamp(rising === quantile.rising ? quantile.stepTokens + 1 : Math.floor(quantile.stepTokens / 2), 1, STEP_TOKENS_MAX);
  const moved = rising ? Math.min(quantile.tokens + 2 * stepTokens, outTokens) : Math.max(quantile.tokens - stepTokens, outTokens);
  return { tokens: clamp(moved, 1, TOKENS_MAX), stepTokens, rising };
}
