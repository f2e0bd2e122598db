// Early rejection that neither oscillates nor prefers the small or the greedy: a slow control of how many are let in.
//
// How many comes from a proportional-integral control of the predicted wait, as in PIE (Pan et al. 2013, RFC 8033): it keeps the line
// short instead of full, so the large, who have less time to spare for waiting, are not the ones who miss. Who bears it is decided by
// a water level over payers (max-min): whoever asks for less than the level is let in whole, whoever asks for more is cut down to it.
// Within a payer every size is cut alike, and the part is not drawn but counted out, so that luck is no part of it.
import type { Millis, Tokens } from "../../protocol/units.ts";

export interface ThinningParameters {
  /** The wait that is aimed at. */
  readonly waitMs: Millis;
  readonly everyMs: Millis;
  /** Change of the refused part per second of wait beyond the aim, and per second by which it grew, at each step. */
  readonly perWait: number;
  readonly perGrowth: number;
  /** What payers ask for is averaged over this time. */
  readonly memoryMs: Millis;
}

export const THINNING: ThinningParameters = Object.freeze({ waitMs: 700, everyMs: 100, perWait: 0.05, perGrowth: 0.5, memoryMs: 60_000 });

/** Sizes by powers of two of the work: up to 2^31 tokens. */
const SIZES = 32;
/** However long the line, a few are let in, or it would not be known when it gets better. */
const REFUSED_MAX = 0.98;
/** A size seldom seen, or often lost, saves up no more than this. */
const CREDIT_MAX = 3;
/** Of fewer requests than this within the memory not the payer's own rate counts but that of all who ask so seldom: one long prompt is not greed. */
const REQUESTS_TELLING = 5;
const LEVEL_EVERY_MS: Millis = 500;
const PAYERS_MAX = 20_000;
/** A payer who asked for less within the memory is forgotten. */
const RATE_MIN = 1e-3;

interface Payer {
  /** Tokens asked for within the memory, fading. */
  asked: number;
  requests: number;
  atMs: Millis;
  refusedPart: number;
  readonly credit: Float32Array;
}

export class Thinning {
  readonly #parameters: ThinningParameters;
  readonly #payers = new Map<string, Payer>();
  /** What payers ask of the relayer's other processes within the memory, fading. */
  readonly #elsewhere = new Map<string, { asked: number; atMs: Millis }>();
  #refusedPart = 0;
  /** Of the refused part of all work, what is refused to payers who ask too seldom to be told apart; with none of them it is all of it. */
  #seldomTimes = 1;
  #lastWaitMs: Millis = 0;
  #nextMs: Millis = -Infinity;
  #nextLevelMs: Millis = -Infinity;

  constructor(parameters: ThinningParameters = THINNING) {
    this.#parameters = parameters;
  }

  /** Of all work asked for, 0 to 0.98. */
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
    this.#lastWaitMs = Number.isFinite(waitMs) ? waitMs : Number.MAX_SAFE_INTEGER;
    if (nowMs >= this.#nextLevelMs) this.#findLevel(nowMs);
  }

  /** Whether one of this size of this payer is let in; what was asked for counts either way. */
  admits(payerName: string, workTokens: Tokens, nowMs: Millis): boolean {
    const payer = this.#ask(payerName, workTokens, nowMs);
    if (this.#refusedPart === 0) return true;
    const size = sizeOf(workTokens);
    const telling = Math.min(1, payer.requests / REQUESTS_TELLING);
    const part = this.#seldomPart + telling * (payer.refusedPart - this.#seldomPart);
    payer.credit[size] = Math.min(CREDIT_MAX, payer.credit[size]! + 1 - part);
    if (payer.credit[size]! < 1) return false;
    payer.credit[size]!--;
    return true;
  }

  /** Whether the payer asks for so little that nothing is cut, while others are. */
  isModest(payerName: string): boolean {
    return this.#refusedPart > 0 && (this.#payers.get(payerName)?.refusedPart ?? this.#refusedPart) < this.#refusedPart / 4;
  }

  /** One that was let in could not be served after all: another of its size is let in for it, or the hard to place would be served less. */
  lost(payerName: string, workTokens: Tokens): void {
    const payer = this.#payers.get(payerName);
    if (!payer) return;
    const size = sizeOf(workTokens);
    payer.credit[size] = Math.min(CREDIT_MAX, payer.credit[size]! + 1);
  }

  /** The payer asked for so much at another process of the relayer: it has one part of all, not one at each. */
  askedElsewhere(payerName: string, workTokens: Tokens, nowMs: Millis): void {
    const known = this.#elsewhere.get(payerName);
    if (!known && this.#elsewhere.size >= PAYERS_MAX) this.#elsewhere.delete(this.#elsewhere.keys().next().value!);
    this.#elsewhere.set(payerName, { asked: Math.max(0, (known ? known.asked * this.#kept(known.atMs, nowMs) : 0) + workTokens), atMs: nowMs });
  }

  get #seldomPart(): number {
    return this.#seldomTimes * this.#refusedPart;
  }

  #ask(name: string, workTokens: Tokens, nowMs: Millis): Payer {
    const payer = this.#payers.get(name) ?? this.#newcomer(name, nowMs);
    this.#fade(payer, nowMs);
    payer.asked += workTokens;
    payer.requests++;
    return payer;
  }

  /** Credit begins anywhere between nothing and one request, evenly over newcomers: together they are let in as they should be. */
  #newcomer(name: string, nowMs: Millis): Payer {
    if (this.#payers.size >= PAYERS_MAX) this.#payers.delete(this.#payers.keys().next().value!);
    const begin = (this.#payers.size * 0.618_033_988_75) % 1;
    const payer: Payer = { asked: 0, requests: 0, atMs: nowMs, refusedPart: this.#seldomPart, credit: new Float32Array(SIZES).map((_, size) => (begin + size * 0.381_966) % 1) };
    this.#payers.set(name, payer);
    return payer;
  }

  #fade(payer: Payer, nowMs: Millis): void {
    const by = this.#kept(payer.atMs, nowMs);
    payer.asked *= by;
    payer.requests *= by;
    payer.atMs = nowMs;
  }

  /** Of what was counted then, what counts now. */
  #kept(thenMs: Millis, nowMs: Millis): number {
    return Math.exp(-Math.max(0, nowMs - thenMs) / this.#parameters.memoryMs);
  }

  /**
   * Fills payers up alike until all that may be let in is given out; each one's refused part is what sticks out. Who asks elsewhere
   * too is filled up with all that it asks for, and has here the part of it that it asks for here. Who asks too seldom to be told apart
   * is cut as all of those are together: every size alike, and not for what one sends who asks for much.
   */
  #findLevel(nowMs: Millis): void {
    this.#nextLevelMs = nowMs + LEVEL_EVERY_MS;
    this.#forgetQuiet(nowMs);
    const sorted = [...this.#payers].map(([name, payer]) => ({ payer, everywhere: payer.asked + this.#askedElsewhere(name, nowMs) }))
      .sort((one, other) => one.everywhere - other.everywhere);
    let left = (1 - this.#refusedPart) * sorted.reduce((sum, { payer }) => sum + payer.asked, 0);
    let parts = sorted.reduce((sum, { payer, everywhere }) => sum + payer.asked / everywhere, 0);
    let [seldomAsked, seldomGiven] = [0, 0];
    for (const { payer, everywhere } of sorted) {
      const here = payer.asked / everywhere;
      const given = Math.min(payer.asked, (left / Math.max(here, parts)) * here);
      payer.refusedPart = Math.min(REFUSED_MAX, 1 - given / payer.asked);
      left -= given;
      parts -= here;
      if (payer.requests >= REQUESTS_TELLING) continue;
      seldomAsked += payer.asked;
      seldomGiven += given;
    }
    this.#seldomTimes = seldomAsked === 0 || this.#refusedPart === 0 ? 1 : Math.min(1, Math.max(0, 1 - seldomGiven / seldomAsked) / this.#refusedPart);
  }

  #askedElsewhere(name: string, nowMs: Millis): number {
    const known = this.#elsewhere.get(name);
    return known ? known.asked * this.#kept(known.atMs, nowMs) : 0;
  }

  #forgetQuiet(nowMs: Millis): void {
    for (const [name, payer] of this.#payers) {
      this.#fade(payer, nowMs);
      if (payer.asked < RATE_MIN) this.#payers.delete(name);
    }
    for (const name of this.#elsewhere.keys()) if (this.#askedElsewhere(name, nowMs) < RATE_MIN) this.#elsewhere.delete(name);
  }
}

const sizeOf = (workTokens: Tokens): number => Math.min(SIZES - 1, Math.floor(Math.log2(Math.max(1, workTokens))));
