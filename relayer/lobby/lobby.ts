// The lobby: where requests wait for a slot, in a fair order, each knowing about when it will start; and where those who cannot be
// served in time are told so at once.
//
//   offer ──admitted──▶ fair queue ──pump: a node has room──▶ started ──▶ finished (charged)
//     │└─── turned away: too many, too late ◀── expire ──┘
//     └─ deferrable ─▶ waits for the ebb, or until its own deadline asks for a place in the queue
//
// Who waits as long as it takes gets a booking: the announced start and two seconds. Whoever comes later stands behind it.
import { FairQueue } from "./fairQueue.ts";
import { THINNING, Thinning, type ThinningParameters } from "./thinning.ts";
import type { MarketParameters } from "./market.ts";
import type { Given, Tally } from "./tally.ts";
import type { Waiting } from "./payerLine.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

export interface LobbyRequest {
  readonly payer: string;
  /** Of the payer's, whose conversations share its part; empty for none. */
  readonly conversation: string;
  readonly inputTokens: Tokens;
  readonly expectedOutTokens: Tokens;
  /** Latest start with which its target can still be met on the best node; Infinity for those who said that they will wait. */
  readonly latestStartMs: Millis;
  /** Who will wait is refused at once where it would be longer than this. */
  readonly waitMsMax: Millis;
  /** Deferrable: it may lie until this time, and starts earlier only at the ebb. Null for all others. */
  readonly dueMs: Millis | null;
  /** What a token of it counts for its payer's share. */
  readonly weight: number;
}

export interface LobbyParameters extends MarketParameters {
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
  /** Starts are counted over about this time; before the first ones there is no rate. */
  readonly rateMs: Millis;
}

export const LOBBY: LobbyParameters = Object.freeze({
  waitingMax: 20_000, waitingPerPayerMax: 5_000, lookAhead: 64, patienceMs: 2_000, urgency: 0.1, modestUrgency: 0.8, thinning: THINNING, rateMs: 2_000, priceClassesMax: Infinity,
  repriceEveryMs: 10_000,
});

export type Refusal = "lobby_full" | "payer_full" | "too_late" | "thinned" | "wait_too_long";

export type Verdict<Request> =
  | { readonly admitted: true; readonly entry: Waiting<Request>; readonly position: number; readonly expectedStartMs: Millis }
  | { readonly admitted: false; readonly reason: Refusal; readonly retryAfterMs: Millis };

const RETRY_MS_MIN: Millis = 1_000;
const RETRY_MS_MAX: Millis = 30_000;
/** Of a wait, so much longer than announced is still a kept promise. */
export const BOOKING_SLACK_MS: Millis = 2_000;
/** Deferred work claims a place so long before it would be late, beyond the wait that is expected then. */
const DUE_MARGIN_MS: Millis = 5_000;
/** Where those in front find no place, others are looked at so often. */
const LOOK_BEHIND_EVERY_MS: Millis = 50;

export class Lobby<Request extends LobbyRequest> {
  readonly #parameters: LobbyParameters;
  readonly #tally: Tally | null;
  readonly #queue = new FairQueue<Request>((payer, tokens) => this.#tally?.add(payer, "served", tokens));
  readonly #deferred = new FairQueue<Request>((payer, tokens) => this.#tally?.add(payer, "deferred", tokens));
  readonly #thinning: Thinning;
  /** Of those who wait, the requests of payers who ask for less than their share. */
  readonly #modest = new WeakSet<Waiting<Request>>();
  /** Of those who wait, the requests of clients who said that they will, however long it takes. */
  readonly #patient = new Set<Waiting<Request>>();
  /** When payers behind those in front are looked at again, and from which of them on. */
  #behindAtMs: Millis = -Infinity;
  #behindFrom = 0;
  /** Taken back so far: what names each of them. */
  #agains = 0;
  /** Starts per millisecond while somebody waits. */
  #startsPerMs = 0;
  #rateAtMs: Millis = 0;
  /** What the nodes can be expected to take, per millisecond, where nothing has started lately. */
  #capacityPerMs = 0;

  /** @param tally of what payers are given here; null where nobody else has to know */
  constructor(parameters: LobbyParameters = LOBBY, tally: Tally | null = null) {
    this.#parameters = parameters;
    this.#tally = tally;
    this.#thinning = new Thinning(parameters.thinning);
  }

  /** Without those who are deferred. */
  get waiting(): number {
    return this.#queue.size;
  }

  get deferred(): number {
    return this.#deferred.size;
  }

  get refusedPart(): number {
    return this.#thinning.refusedPart;
  }

  /** So many starts per millisecond may be expected of the nodes: what a line that has only just formed is judged by. */
  expectStarts(perMs: number): void {
    this.#capacityPerMs = Number.isFinite(perMs) ? Math.max(0, perMs) : 0;
  }

  /** Time until so many have started, by the rate at which the line has moved; of one at its end, by default. */
  expectedWaitMs(nowMs: Millis, ahead: number = this.#queue.size): Millis {
    return ahead === 0 ? 0 : ahead / Math.max(this.#rateNow(nowMs), this.#capacityPerMs, 1 / this.#parameters.rateMs);
  }

  /** The same for a payer's next request. */
  expectedWaitOf(payer: string, nowMs: Millis): Millis {
    return this.expectedWaitMs(nowMs, this.#queue.aheadOfNext(payer));
  }

  /** Everybody who waits, in the order in which they are expected to start; who is deferred comes last. */
  inOrder(): readonly Waiting<Request>[] {
    return [...this.#queue.inOrder(), ...this.#deferred.inOrder()];
  }

  /** When one who is turned away now had better come again. */
  retryAfterMs(nowMs: Millis): Millis {
    return Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, Math.ceil(this.expectedWaitMs(nowMs))));
  }

  /**
   * Takes a request into the line, or says why not; one who waits however long it takes is only refused where there is no room.
   * @param hasPlaceBeside whether it could start at once without taking anything that one of the line could use
   */
  offer(request: Request, nowMs: Millis, hasPlaceBeside: (line: readonly Waiting<Request>[]) => boolean = () => false): Verdict<Request> {
    this.#thinning.observe(this.expectedWaitMs(nowMs), nowMs);
    const refused = (reason: Refusal): Verdict<Request> => ({ admitted: false, reason, retryAfterMs: this.retryAfterMs(nowMs) });
    const full = this.#fullFor(request.payer);
    if (full) return refused(full);
    if (request.dueMs !== null) return this.#defer(request, request.dueMs, nowMs);
    if (nowMs > request.latestStartMs) return refused("too_late");
    const isPatient = request.latestStartMs === Infinity;
    if (!isPatient && !this.#admits(request, nowMs) && !this.#isBeside(hasPlaceBeside) && !this.#isBeforePatient(request, nowMs)) return refused("thinned");
    const ahead = this.#queue.aheadOfNext(request.payer, request.conversation);
    const waitMs = this.expectedWaitMs(nowMs, ahead);
    if (isPatient && waitMs > request.waitMsMax) return refused("wait_too_long");
    const entry = this.#queue.push(request, request.payer, costOf(request), deadlineOf(request, nowMs + waitMs), nowMs, request.conversation);
    if (isPatient) this.#patient.add(entry);
    if (this.#thinning.isModest(request.payer)) this.#modest.add(entry);
    return { admitted: true, entry, position: ahead + 1, expectedStartMs: nowMs + waitMs };
  }

  #admits(request: Request, nowMs: Millis): boolean {
    this.#tally?.add(request.payer, "asked", workOf(request));
    return this.#thinning.admits(request.payer, workOf(request), nowMs);
  }

  /** Large prompts that find no room make a line that says nothing of the small. Of a longer line than is looked at, nobody knows who could use what. */
  #isBeside(hasPlaceBeside: (line: readonly Waiting<Request>[]) => boolean): boolean {
    const { lookAhead } = this.#parameters;
    return this.#queue.size > 0 && this.#queue.size < lookAhead && hasPlaceBeside(this.#queue.first(lookAhead));
  }

  /**
   * A long line of those who wait as long as it takes says nothing of whoever is entitled to start before them: a payer that lets thousands
   * wait must not have everybody else turned away.
   */
  #isBeforePatient({ payer, conversation }: Request, nowMs: Millis): boolean {
    if (this.#patient.size === 0) return false;
    const most = Math.floor(this.#parameters.thinning.waitMs / this.expectedWaitMs(nowMs, 1));
    return this.#queue.aheadOfNext(payer, conversation, most) <= most;
  }

  /** What another process of the relayer has given a payer counts here too: it has one part of all, not one at each. */
  givenElsewhere(payer: string, { served, deferred, asked }: Given, nowMs: Millis): void {
    if (served !== 0) this.#queue.servedElsewhere(payer, served);
    if (deferred !== 0) this.#deferred.servedElsewhere(payer, deferred);
    if (asked !== 0) this.#thinning.askedElsewhere(payer, asked, nowMs);
  }

  /** Nobody has more places than are free (dynamic thresholds: Choudhury and Hahne 1998): a few payers who fill the room leave some for the others. */
  #fullFor(payer: string): Refusal | null {
    const { waitingMax, waitingPerPayerMax } = this.#parameters;
    const free = waitingMax - this.#queue.size - this.#deferred.size;
    if (free <= 0) return "lobby_full";
    return this.#queue.sizeOf(payer) + this.#deferred.sizeOf(payer) >= Math.min(waitingPerPayerMax, free) ? "payer_full" : null;
  }

  #defer(request: Request, dueMs: Millis, nowMs: Millis): Verdict<Request> {
    const entry = this.#deferred.push(request, request.payer, costOf(request), dueMs, nowMs, request.conversation);
    return { admitted: true, entry, position: this.#queue.size + this.#deferred.size, expectedStartMs: dueMs };
  }

  /** Deferred work whose time comes takes a place in the line, before it is too late for it. @returns the new places */
  wakeDue(nowMs: Millis): Waiting<Request>[] {
    if (this.#deferred.size === 0) return [];
    const horizonMs = nowMs + this.expectedWaitMs(nowMs) + DUE_MARGIN_MS;
    const woken = this.#deferred.inOrder().filter((entry) => entry.deadlineMs <= horizonMs && this.#deferred.remove(entry))
      .map((entry) => this.#queue.push(entry.item, entry.payer, entry.cost, entry.deadlineMs, nowMs, entry.conversation));
    for (const entry of woken) this.#patient.add(entry);
    return woken;
  }

  /** Takes back one that was started in vain: it was let in, so it is neither thinned nor refused for want of room, nor kept back for what its conversation was served. @param deadlineMs its place among its payer's */
  again(request: Request, deadlineMs: Millis, nowMs: Millis): Waiting<Request> {
    // Each is a conversation of its own: a second one must not stand behind everybody else for what the first was served.
    return this.#queue.push(request, request.payer, costOf(request), deadlineMs, nowMs, `again ${this.#agains++}`);
  }

  /** At the ebb: starts deferred work while `isEbb` says so. @param fitOf, start as in `pump` */
  pumpDeferred(nowMs: Millis, isEbb: () => boolean, fitOf: (request: Request) => number, start: (request: Request) => boolean): void {
    while (this.#queue.size === 0 && this.#deferred.size > 0 && isEbb()) {
      const entry = this.#deferred.first(this.#parameters.lookAhead).find((one) => fitOf(one.item) !== Infinity);
      if (!entry || !start(entry.item)) return;
      this.#deferred.start(entry);
      this.#queue.charge(entry.payer, entry.cost);
      this.#countStart(nowMs);
    }
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
      const entry = this.#next(nowMs, fitOf) ?? this.#nextBehind(nowMs, fitOf);
      if (entry === null || !start(entry.item)) return started;
      this.#patient.delete(entry);
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
      // Whoever is ahead of it in fair order and cannot wait goes before it still: else who lets many wait would have every place.
      if (entry.item.latestStartMs === Infinity && waitedMs > patienceMs) return best !== null && this.#patient.has(entry) && !this.#patient.has(best) ? best : entry;
      const spent = Math.min(1, waitedMs / Math.max(1, Math.min(entry.deadlineMs - entry.sinceMs, patienceMs)));
      const pressed = fit * (1 - (this.#modest.has(entry) ? modestUrgency : urgency) * spent);
      if (pressed >= leastFit) continue;
      best = entry;
      leastFit = pressed;
    }
    return best;
  }

  /**
   * Where more wait as long as it takes than are looked at, those in front may all wait for the same few nodes: the first of every other
   * payer is looked at in turn, or as many payers with a long prompt each would hold up everybody while the other nodes stand idle.
   */
  #nextBehind(nowMs: Millis, fitOf: (request: Request) => number): Waiting<Request> | null {
    const { lookAhead } = this.#parameters;
    if (this.#patient.size < lookAhead || nowMs < this.#behindAtMs) return null;
    const found = this.#queue.firstsBehind(this.#queue.first(lookAhead), this.#behindFrom, lookAhead).find(({ item }) => fitOf(item) !== Infinity);
    if (found) return found;
    this.#behindAtMs = nowMs + LOOK_BEHIND_EVERY_MS;
    this.#behindFrom += lookAhead;
    return null;
  }

  /** Charges what a request cost beyond what was expected, or gives back. */
  finished(request: Request, outTokens: Tokens): void {
    this.#queue.charge(request.payer, 2 * (outTokens - request.expectedOutTokens) * request.weight);
  }

  /** Takes out a request whose time is over before a place was found. @returns false where it was not waiting */
  expire(entry: Waiting<Request>): boolean {
    if (!this.#queue.remove(entry)) return false;
    this.#thinning.lost(entry.payer, workOf(entry.item));
    return true;
  }

  /** Takes out a request whose client is gone. */
  remove(entry: Waiting<Request>): boolean {
    this.#patient.delete(entry);
    return this.#queue.remove(entry) || this.#deferred.remove(entry);
  }

  #rateNow(nowMs: Millis): number {
    return this.#startsPerMs * Math.exp(-(nowMs - this.#rateAtMs) / this.#parameters.rateMs);
  }

  #countStart(nowMs: Millis): void {
    this.#startsPerMs = this.#rateNow(nowMs) + 1 / this.#parameters.rateMs;
    this.#rateAtMs = nowMs;
  }
}

/** The end of the promise by which a payer's own requests are ordered. */
const deadlineOf = (request: LobbyRequest, expectedStartMs: Millis): Millis => (request.latestStartMs === Infinity ? expectedStartMs + BOOKING_SLACK_MS : request.latestStartMs);

/** As fairness counts it. */
const workOf = (request: LobbyRequest): Tokens => request.inputTokens + 2 * request.expectedOutTokens;
const costOf = (request: LobbyRequest): Tokens => workOf(request) * request.weight;
