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

/** Tokens per second over a sliding window of whole buckets. */
export class RateMeter {
  readonly #buckets: number[] = new Array<number>(BUCKETS).fill(0);
  #newest = -Infinity;

  add(tokens: Tokens, nowMs: Millis): void {
    this.#roll(nowMs);
    this.#buckets[bucketOf(nowMs) % BUCKETS]! += tokens;
  }

  perSecond(nowMs: Millis): number {
    this.#roll(nowMs);
    return this.#buckets.reduce((sum, tokens) => sum + tokens, 0) * 1_000 / (BUCKETS * BUCKET_MS);
  }

  #roll(nowMs: Millis): void {
    const now = bucketOf(nowMs);
    for (let bucket = Math.max(this.#newest + 1, now - BUCKETS + 1); bucket <= now; bucket++) this.#buckets[bucket % BUCKETS] = 0;
    this.#newest = Math.max(this.#newest, now);
  }
}

const BUCKET_MS = 200;
const BUCKETS = 10;
const bucketOf = (nowMs: Millis): number => Math.max(0, Math.floor(nowMs / BUCKET_MS));
