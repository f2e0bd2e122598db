// Early rejection that neither oscillates nor prefers the small: a slow control of how many are let in, the same part of every size.
//
// The part comes from a proportional-integral control of the predicted wait, as in PIE (Pan et al. 2013, RFC 8033): it keeps the line
// short instead of full, so the large, who have less time to spare for waiting, are not the ones who miss. Within a size the part is not
// drawn but counted out, so that luck is no part of it.
import type { Millis, Tokens } from "../../protocol/units.ts";

export interface ThinningParameters {
  /** The wait that is aimed at. */
  readonly waitMs: Millis;
  readonly everyMs: Millis;
  /** Change of the refused part per second of wait beyond the aim, and per second by which it grew, at each step. */
  readonly perWait: number;
  readonly perGrowth: number;
}

export const THINNING: ThinningParameters = Object.freeze({ waitMs: 300, everyMs: 100, perWait: 0.05, perGrowth: 0.5 });

/** Sizes by powers of two of the work: up to 2^31 tokens. */
const SIZES = 32;
/** However long the line, a few are let in, or it would not be known when it gets better. */
const REFUSED_MAX = 0.98;
/** A size seldom seen saves up no more than this. */
const CREDIT_MAX = 2;

export class Thinning {
  readonly #parameters: ThinningParameters;
  readonly #credit = new Float64Array(SIZES).fill(1);
  #refusedPart = 0;
  #lastWaitMs: Millis = 0;
  #nextMs: Millis = -Infinity;

  constructor(parameters: ThinningParameters = THINNING) {
    this.#parameters = parameters;
  }

  /** 0 to 0.98. */
  get refusedPart(): number {
    return this.#refusedPart;
  }

  /** Tells the predicted wait of one who comes now; steps are taken at their interval, however often it is told. */
  observe(waitMs: Millis, nowMs: Millis): void {
    const { waitMs: aimMs, everyMs, perWait, perGrowth } = this.#parameters;
    if (nowMs < this.#nextMs || !(waitMs >= 0)) return;
    this.#nextMs = nowMs + everyMs;
    const step = (perWait * (waitMs - aimMs) + perGrowth * (waitMs - this.#lastWaitMs)) / 1_000;
    // Near zero small steps: a load that only just exceeds the fleet must not lose a tenth of its requests to one step (RFC 8033, 5.2).
    const scale = this.#refusedPart < 0.01 ? 0.25 : this.#refusedPart < 0.1 ? 0.5 : 1;
    this.#refusedPart = Math.min(REFUSED_MAX, Math.max(0, this.#refusedPart + step * scale));
    // With nobody waiting the memory of the flood fades.
    if (waitMs === 0 && this.#lastWaitMs === 0) this.#refusedPart *= 0.98;
    this.#lastWaitMs = waitMs;
  }

  /** Whether one of this size is let in. */
  admits(workTokens: Tokens): boolean {
    const size = Math.min(SIZES - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, workTokens)))));
    this.#credit[size] = Math.min(CREDIT_MAX, this.#credit[size]! + 1 - this.#refusedPart);
    if (this.#credit[size]! < 1) return false;
    this.#credit[size]!--;
    return true;
  }
}
