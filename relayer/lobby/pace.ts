// How much slower than it says a node really is, learnt from first tokens, and a breaker for those that do not answer at all.
import type { Millis } from "../../protocol/units.ts";

/** Part of a surprise that is believed. */
const LEARNING = 0.15;
/** Log of the greatest slowness, and of the greatest surprise that one answer may be. */
const SLOWNESS_LOG_MAX = Math.log(16);
const SURPRISE_LOG_MAX = 1;
/** Below this, time is made of iterations and of chance, and says nothing about the node. */
const GRAIN_MS: Millis = 50;

/** Slower by less than this is chance: to correct for it would only add noise. */
const TELLING_LOG = Math.log(1.6);

/** In this time half of it is forgiven: who is asked less is seen less, and would never be found to have recovered. */
const HALF_LIFE_MS: Millis = 15_000;

/** A factor on all of a node's times, 1 to 16: nobody is believed to be faster than it says. */
export class Pace {
  #log = 0;
  #atMs: Millis = 0;

  factor(nowMs: Millis): number {
    const log = this.#faded(nowMs);
    return log > TELLING_LOG ? Math.exp(log) : 1;
  }

  /** @param predictedMs made with the factor of that time in it */
  observe(observedMs: Millis, predictedMs: Millis, factorThen: number, nowMs: Millis): void {
    if (!(observedMs >= 0) || !(predictedMs >= 0)) return;
    const before = this.#faded(nowMs);
    const surprise = Math.log((observedMs + GRAIN_MS) / (predictedMs / factorThen + GRAIN_MS)) - before;
    const believed = LEARNING * Math.min(SURPRISE_LOG_MAX, Math.max(-SURPRISE_LOG_MAX, surprise));
    this.#log = Math.min(SLOWNESS_LOG_MAX, Math.max(0, before + believed));
    this.#atMs = nowMs;
  }

  /** Log of the slowness as it was seen last. */
  get kept(): { readonly log: number; readonly atMs: Millis } {
    return { log: this.#log, atMs: this.#atMs };
  }

  /** Goes on from what an earlier process saw; since then it has faded. */
  recall({ log, atMs }: Pace["kept"]): void {
    this.#log = Math.min(SLOWNESS_LOG_MAX, Math.max(0, log));
    this.#atMs = atMs;
  }

  #faded(nowMs: Millis): number {
    return this.#log === 0 ? 0 : this.#log * 2 ** (-Math.max(0, nowMs - this.#atMs) / HALF_LIFE_MS);
  }
}

const BREAK_MS_MIN: Millis = 1_000;
const BREAK_MS_MAX: Millis = 60_000;

/**
 * Closed (open to requests) until a request is met with silence; then broken for a second, for two after the next, up to a minute.
 * After the break one request at a time finds out whether the node is back: the first answer makes all good.
 */
export class Breaker {
  #silences = 0;
  #brokenUntilMs: Millis = 0;

  /** @param inFlight requests on the node */
  isOpenTo(nowMs: Millis, inFlight: number): boolean {
    return nowMs >= this.#brokenUntilMs && (this.#silences === 0 || inFlight === 0);
  }

  get kept(): { readonly silences: number; readonly brokenUntilMs: Millis } {
    return { silences: this.#silences, brokenUntilMs: this.#brokenUntilMs };
  }

  /** Goes on from where an earlier process stood: a restart is no answer. */
  recall({ silences, brokenUntilMs }: Breaker["kept"], nowMs: Millis): void {
    this.#silences = silences;
    this.#brokenUntilMs = Math.min(brokenUntilMs, nowMs + BREAK_MS_MAX);
  }

  /** The node has come back by itself: one request may find out at once. */
  returned(): void {
    this.#brokenUntilMs = 0;
  }

  answered(): void {
    this.#silences = 0;
    this.#brokenUntilMs = 0;
  }

  /** No answer, or a refusal that nobody signed. What falls silent during a break was sent before it, and tells nothing new. */
  silent(nowMs: Millis): void {
    if (nowMs < this.#brokenUntilMs) return;
    this.#brokenUntilMs = nowMs + Math.min(BREAK_MS_MAX, BREAK_MS_MIN * 2 ** Math.min(this.#silences, 10));
    this.#silences++;
  }
}
