// The pace: how long the next tokens must wait, so that all attempts of a node together keep to a rate. Time is an argument.
import type { Millis, Tokens } from "../../protocol/units.ts";

/** Tokens may come this far ahead of the exact rhythm: engines answer in gusts, and timers are coarse. */
export const GUST_MS = 50;

export class Pace {
  readonly #msPerToken: number;
  #freeAtMs = -Infinity;

  /** @param tokensPerSecond above zero, or null where nothing is paced. */
  constructor(tokensPerSecond: number | null) {
    this.#msPerToken = tokensPerSecond === null ? 0 : 1_000 / tokensPerSecond;
  }

  /**
   * Books tokens behind all that were booked before.
   * @returns how long to wait before handing them on; never negative.
   */
  waitMs(tokens: Tokens, nowMs: Millis): Millis {
    const startMs = Math.max(this.#freeAtMs, nowMs - GUST_MS);
    this.#freeAtMs = startMs + tokens * this.#msPerToken;
    return Math.max(0, this.#freeAtMs - nowMs);
  }
}
