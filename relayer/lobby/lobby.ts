// The lobby: where requests wait for a slot, in a fair order, each knowing about when it will start; and where those who cannot be
// served in time are told so at once.
//
//   offer ──admitted──▶ fair queue ──pump: a node has room──▶ started ──▶ finished (charged)
//     └──── turned away: too many, too late ◀── expire ──┘
import { FairQueue, type Waiting } from "./fairQueue.ts";
import { THINNING, Thinning, type ThinningParameters } from "./thinning.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

export interface LobbyRequest {
  readonly payer: string;
  readonly inputTokens: Tokens;
  readonly expectedOutTokens: Tokens;
  /** Latest start with which its target can still be met on the best node; Infinity for those who said that they will wait. */
  readonly latestStartMs: Millis;
}

export interface LobbyParameters {
  readonly waitingMax: number;
  readonly waitingPerPayerMax: number;
  /** Among so many of the line the best match for a free place is sought. */
  readonly lookAhead: number;
  /** Who waits however long it takes is not passed over for a better match after this. */
  readonly patienceMs: Millis;
  /** Who is about to be too late may suit a place worse by this part than one who has just come. */
  readonly urgency: number;
  /** The same for payers who ask for less than their share: what they ask for is theirs. */
  readonly modestUrgency: number;
  readonly thinning: ThinningParameters;
}

export const LOBBY: LobbyParameters = Object.freeze({ waitingMax: 20_000, waitingPerPayerMax: 5_000, lookAhead: 64, patienceMs: 2_000, urgency: 0.1, modestUrgency: 0.8, thinning: THINNING });

export type Refusal = "lobby_full" | "payer_full" | "too_late" | "thinned";

export type Verdict<Request> =
  | { readonly admitted: true; readonly entry: Waiting<Request>; readonly position: number; readonly expectedStartMs: Millis }
  | { readonly admitted: false; readonly reason: Refusal; readonly retryAfterMs: Millis };

const RETRY_MS_MIN: Millis = 1_000;
const RETRY_MS_MAX: Millis = 30_000;
/** Starts are counted over about this time; before the first ones there is no rate. */
const RATE_MS: Millis = 2_000;

export class Lobby<Request extends LobbyRequest> {
  readonly #parameters: LobbyParameters;
  readonly #queue = new FairQueue<Request>();
  readonly #thinning: Thinning;
  /** Of those who wait, the requests of payers who ask for less than their share. */
  readonly #modest = new WeakSet<Waiting<Request>>();
  /** Starts per millisecond while somebody waits. */
  #startsPerMs = 0;
  #rateAtMs: Millis = 0;

  constructor(parameters: LobbyParameters = LOBBY) {
    this.#parameters = parameters;
    this.#thinning = new Thinning(parameters.thinning);
  }

  get waiting(): number {
    return this.#queue.size;
  }

  get refusedPart(): number {
    return this.#thinning.refusedPart;
  }

  /** Time that one at the end of the line would wait, by the rate at which the line has moved. */
  expectedWaitMs(nowMs: Millis): Millis {
    if (this.#queue.size === 0) return 0;
    const rate = Math.max(this.#rateNow(nowMs), 1 / RATE_MS);
    return this.#queue.size / rate;
  }

  /** When one who is turned away now had better come again. */
  retryAfterMs(nowMs: Millis): Millis {
    return Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, Math.ceil(this.expectedWaitMs(nowMs))));
  }

  /** Takes a request into the line, or says why not; one who waits however long it takes is only refused where there is no room. */
  offer(request: Request, nowMs: Millis): Verdict<Request> {
    const { waitingMax, waitingPerPayerMax } = this.#parameters;
    const waitMs = this.expectedWaitMs(nowMs);
    this.#thinning.observe(waitMs, nowMs);
    const refused = (reason: Refusal): Verdict<Request> => ({ admitted: false, reason, retryAfterMs: this.retryAfterMs(nowMs) });
    if (this.#queue.size >= waitingMax) return refused("lobby_full");
    if (this.#queue.sizeOf(request.payer) >= waitingPerPayerMax) return refused("payer_full");
    if (nowMs > request.latestStartMs) return refused("too_late");
    if (request.latestStartMs !== Infinity && !this.#thinning.admits(request.payer, workOf(request), nowMs)) return refused("thinned");
    const entry = this.#queue.push(request, request.payer, workOf(request), request.latestStartMs, nowMs);
    if (this.#thinning.isModest(request.payer)) this.#modest.add(entry);
    return { admitted: true, entry, position: this.#queue.size, expectedStartMs: nowMs + waitMs };
  }

  /** Takes back one that was started in vain: it was let in, so it is neither thinned nor refused for want of room. */
  again(request: Request, nowMs: Millis): Waiting<Request> {
    return this.#queue.push(request, request.payer, workOf(request), request.latestStartMs, nowMs);
  }

  /**
   * Starts as many as find a place. Of the first few in fair order the one goes first that suits the free places best: they are about
   * equally entitled, and a match wastes less. The nearer somebody is to being too late, the less a match counts.
   * @param fitOf how well a free place suits the request, smaller is better; Infinity where none is free to it
   * @param start sends it to a node; false where no place was free after all
   * @returns how many started
   */
  pump(nowMs: Millis, fitOf: (request: Request) => number, start: (request: Request) => boolean): number {
    let started = 0;
    for (;;) {
      const entry = this.#next(nowMs, fitOf);
      if (entry === null || !start(entry.item)) return started;
      this.#queue.start(entry);
      this.#countStart(nowMs);
      started++;
    }
  }

  #next(nowMs: Millis, fitOf: (request: Request) => number): Waiting<Request> | null {
    const { lookAhead, patienceMs, urgency, modestUrgency } = this.#parameters;
    let best: Waiting<Request> | null = null;
    let leastFit = Infinity;
    for (const entry of this.#queue.first(lookAhead)) {
      const fit = fitOf(entry.item);
      if (fit === Infinity) continue;
      const waitedMs = nowMs - entry.sinceMs;
      if (entry.deadlineMs === Infinity && waitedMs > patienceMs) return entry;
      const spent = Math.min(1, waitedMs / Math.max(1, Math.min(entry.deadlineMs - entry.sinceMs, patienceMs)));
      const pressed = fit * (1 - (this.#modest.has(entry) ? modestUrgency : urgency) * spent);
      if (pressed >= leastFit) continue;
      best = entry;
      leastFit = pressed;
    }
    return best;
  }

  /** Charges what a request cost beyond what was expected, or gives back. */
  finished(request: Request, outTokens: Tokens): void {
    this.#queue.charge(request.payer, 2 * (outTokens - request.expectedOutTokens));
  }

  /** Takes out a request whose time is over before a place was found. @returns false where it was not waiting */
  expire(entry: Waiting<Request>): boolean {
    if (!this.#queue.remove(entry)) return false;
    this.#thinning.lost(entry.payer, workOf(entry.item));
    return true;
  }

  /** Takes out a request whose client is gone. */
  remove(entry: Waiting<Request>): boolean {
    return this.#queue.remove(entry);
  }

  #rateNow(nowMs: Millis): number {
    return this.#startsPerMs * Math.exp(-(nowMs - this.#rateAtMs) / RATE_MS);
  }

  #countStart(nowMs: Millis): void {
    this.#startsPerMs = this.#rateNow(nowMs) + 1 / RATE_MS;
    this.#rateAtMs = nowMs;
  }
}

/** As fairness counts it. */
const workOf = (request: LobbyRequest): Tokens => request.inputTokens + 2 * request.expectedOutTokens;
