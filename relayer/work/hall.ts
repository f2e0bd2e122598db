// One model's lobby over its live nodes: the guide on the relayer's clock, fed by attestations and by what becomes of each booking.
import { Floor } from "../lobby/floor.ts";
import { Grants } from "../lobby/grants.ts";
import { Guide } from "../lobby/guide.ts";
import { GATES } from "../routing/decide.ts";
import { Tally, type Given } from "../lobby/tally.ts";
import { Kinds } from "./kinds.ts";
import { Met, type LearntInHall } from "./learnt.ts";
import type { Announced, Errand, Holder } from "../lobby/errand.ts";
import type { Lane } from "../lobby/lanes.ts";
import type { LobbyParameters, Refusal } from "../lobby/lobby.ts";
import { isNoSeed } from "./taskErrors.ts";
import type { Fleet } from "./fleet.ts";
import type { Place } from "./place.ts";
import type { Booking, Choice, ChooseRequest, Outcome } from "./routingRequest.ts";
import type { Standing } from "./standing.ts";
import type { Clock } from "../ports/world.ts";
import type { Hash, Millis, Tokens } from "../../protocol/units.ts";

/** What a client may be told to wait, and what its payer is entitled to. */
export interface Wish {
  readonly payer: string;
  readonly waitMsMax: Millis;
  /** Deferrable: it may start any time within its wait. */
  readonly isDeferrable: boolean;
  readonly weight: number;
  /** Monotonic: from here on it is the order's deadline that ends the wait. */
  readonly untilMs: Millis;
}

/** A request in the hall. */
export interface Guest {
  readonly request: ChooseRequest;
  readonly wish: Wish;
  readonly place: Place;
  readonly arrivedMs: Millis;
  /** What it was promised when it came; null where it started at once, or is not told. */
  promised: Announced | null;
  isTold: boolean;
}

export interface HallOptions {
  readonly clock: Clock;
  readonly fleet: Pick<Fleet, "tryChoose" | "gateOf" | "holderOf">;
  readonly modelId: Hash;
  readonly lane: Lane;
  readonly parameters: LobbyParameters;
  /** The name by which nodes tell of this process's requests; null where they tell of nobody's. */
  readonly party: string | null;
  /** What an earlier process learnt of a node here. */
  readonly recalled: (nodeId: number) => LearntInHall | null;
  readonly onRefused: (guest: Guest, reason: Refusal, retryAfterMs: Millis, expectedWaitMs: Millis) => void;
  readonly onStarted: (guest: Guest, waitedMs: Millis) => void;
}

/** An attestation tells of a moment up to so long ago. */
const DOUBT_MS: Millis = 1_000;
/** Whoever starts within this is told nothing: its answer's status and headers can still say everything. */
const HOLD_MS: Millis = 300;
const LOOKED_AT_AGAIN_MAX = 500;
/** Part of a service time that is believed. */
const LEARNING = 0.1;
const NOT_HERE = GATES.indexOf("gone");

export class Hall {
  /** Of what payers are given here; for the relayer's other processes. */
  readonly tally = new Tally();
  readonly #options: HallOptions;
  readonly #guide: Guide<Guest>;
  readonly #grants: Grants | null;
  readonly #nodeIds: number[] = [];
  readonly #placeOf = new Map<number, number>();
  readonly #met: Met[] = [];
  readonly #kinds = new Kinds();
  readonly #guests = new Set<Guest>();
  #chosen: Choice | null = null;
  #serviceMs: Millis | null = null;
  #isChecking = false;

  constructor(options: HallOptions) {
    this.#options = options;
    const floor = new Floor<Guest>();
    this.#grants = options.party === null ? null : new Grants(floor, options.party);
    this.#guide = new Guide<Guest>(floor, {
      gate: (node, { key }) => options.fleet.gateOf(this.#nodeIds[node]!, key.request),
      holderOf: ({ key }) => this.#holderOf(key),
      choose: ({ key }, _expectedOutTokens, _nowMs, gate) => this.#choose(key, gate),
      start: ({ key }) => this.#start(key),
      refuse: ({ key }, reason, retryAfterMs) => this.#refuse(key, reason, retryAfterMs),
      bestTtftMs: (inputTokens) => this.#kinds.bestTtftMs(inputTokens),
    }, options.parameters, this.#grants, this.tally);
  }

  get lane(): Lane {
    return this.#options.lane;
  }

  get waiting(): number {
    return this.#guide.waiting;
  }

  get deferred(): number {
    return this.#guide.deferred;
  }

  get refusedPart(): number {
    return this.#guide.refusedPart;
  }

  /** How many send to these nodes, by what the nodes tell; 1 for this process alone. */
  get parties(): number {
    return this.#grants?.parties(this.#options.clock.monotonicMs()) ?? 1;
  }

  /** Slots of all nodes, as the lobby counts them. */
  get slots(): number {
    return sumOf(this.#guide.floor.models.map(({ slots }) => slots));
  }

  get running(): number {
    return sumOf(this.#guide.floor.inFlight);
  }

  /** Whether there is something that time alone may change. */
  get isWatched(): boolean {
    return this.#guide.waiting > 0 || this.#guide.isWatching;
  }

  givenElsewhere(payer: string, given: Given): void {
    this.#guide.givenElsewhere(payer, given, this.#options.clock.monotonicMs());
  }

  /** How a node was met here; null where it never was. */
  learntOf(nodeId: number): LearntInHall | null {
    return this.#met[this.#placeOf.get(nodeId) ?? -1]?.learnt() ?? null;
  }

  guests(): ReadonlySet<Guest> {
    return this.#guests;
  }

  /** What a node says now, or null where it is gone or stale. */
  attested(nodeId: number, standing: Standing | null): void {
    const place = this.#placeOf.get(nodeId);
    const { floor } = this.#guide;
    if (standing === null) {
      this.#kinds.isAbsent(nodeId);
      if (place !== undefined) floor.restate(place, { ...floor.models[place]!, slots: 0 });
      if (place !== undefined) this.#grants?.stand(place, null);
      return;
    }
    if (place === undefined) this.#join(nodeId, standing);
    else floor.restate(place, standing.model);
    const at = this.#placeOf.get(nodeId)!;
    this.#kinds.isPresent(nodeId, standing, this.#met[at]!.breaker.isOpenTo(this.#options.clock.monotonicMs(), 1));
    floor.attested(at, standing.reported, DOUBT_MS);
    // What offers nothing is nobody's part: whoever were cut off it alone would have none.
    this.#grants?.stand(at, standing.model.slots === 0 ? null : { nodeId, hardwareClass: standing.hardwareClass, readMs: standing.statedReadMs });
    this.#grants?.told(at, standing.presences);
    this.pump();
  }

  /** The node has dialled in anew. */
  returned(nodeId: number): void {
    const place = this.#placeOf.get(nodeId);
    if (place !== undefined) this.#guide.returned(place);
  }

  enter(guest: Guest): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#guests.add(guest);
    const errand = this.#errandOf(guest, nowMs);
    this.#guide.expectStarts(this.slots / (this.#serviceMs ?? this.#guessedServiceMs(errand)));
    if (guest.request.attempt > 0) {
      if (errand.isPatient) guest.promised = { position: 1, expectedStartMs: nowMs };
      return this.#guide.again(errand, nowMs);
    }
    const promised = this.#guide.arrived(errand, nowMs);
    if (errand.isPatient && this.#guests.has(guest)) guest.promised = promised;
  }

  leave(guest: Guest): void {
    if (!this.#guests.delete(guest)) return;
    if (this.#guide.leave(guest)) this.pump();
  }

  /** Tells newcomers where they stand, unless they start at once. */
  welcome(): void {
    const nowMs = this.#options.clock.monotonicMs();
    let isNews = false;
    for (const guest of this.#guests) {
      if (guest.isTold || guest.promised === null || nowMs - guest.arrivedMs < HOLD_MS) continue;
      guest.isTold = isNews = true;
      // The promise as it was, where looking again at all of a long line for each newcomer would take too long.
      if (this.#guide.waiting > LOOKED_AT_AGAIN_MAX) guest.place.announce(guest.promised, nowMs);
    }
    if (isNews && this.#guide.waiting <= LOOKED_AT_AGAIN_MAX) this.announce();
  }

  /** Tells everybody who waits where they stand now. */
  announce(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const { errand: { key }, announced } of this.#guide.announce(nowMs)) if (key.isTold) key.place.announce(announced, nowMs);
  }

  /** To be called now and then while it is watched. */
  passed(): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#guide.passed(nowMs, ({ key }, node) => this.#guide.suspect(key, node, nowMs));
  }

  /** How long one who comes now would wait. */
  expectedWaitMs(): Millis {
    return this.#guide.expectedWaitMs("", this.#options.clock.monotonicMs());
  }

  /** How long the longest overdue booking has been waited for beyond its promise; 0 where none is. */
  overdueMs(): Millis {
    const nowMs = this.#options.clock.monotonicMs();
    let most = 0;
    for (const { promised } of this.#guests) if (promised) most = Math.max(most, nowMs - promised.expectedStartMs);
    return most;
  }

  /** A further try goes first in line, and where even that takes long its client is told instead. */
  isTriedTooLong({ request, wish, arrivedMs }: Guest, atLeastMs: Millis): boolean {
    return request.attempt > 0 && this.#options.clock.monotonicMs() - arrivedMs > Math.max(atLeastMs, wish.waitMsMax);
  }

  /** Nobody is there for it, or its promise is long past. */
  isHopeless({ arrivedMs, promised }: Guest, afterMs: Millis): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    return nowMs - arrivedMs >= afterMs && (this.slots === 0 || (promised !== null && nowMs - promised.expectedStartMs >= afterMs));
  }

  pump(): void {
    this.#guide.pump(this.#options.clock.monotonicMs());
  }

  #errandOf(guest: Guest, nowMs: Millis): Errand<Guest> {
    const { request, wish } = guest;
    const bestTtftMs = this.#kinds.bestTtftMs(request.inputTokens);
    const isPatient = wish.waitMsMax > 0;
    const targets = this.#kinds.targetsOf(request.inputTokens, isPatient);
    return {
      get ttftTargetMs() { return targets().ttftMs; },
      get tpotTargetMs() { return targets().tpotMs; },
      key: guest, payer: wish.payer, conversation: request.conversationKey ?? "", arrivalMs: nowMs, inputTokens: Math.max(1, request.inputTokens), maxOutTokens: request.maxOutTokens, bestTtftMs,
      isPatient, waitMsMax: wish.waitMsMax, dueMs: wish.isDeferrable && isPatient ? nowMs + wish.waitMsMax : null, weight: wish.weight,
    };
  }

  /** Before anything was finished: as long as this one would take on a full node, by the curves. */
  #guessedServiceMs({ inputTokens, maxOutTokens, bestTtftMs }: Errand<Guest>): Millis {
    return Math.max(1, bestTtftMs + Math.min(maxOutTokens, this.#guide.floor.mix.expectedOutTokens(inputTokens)) * this.#kinds.bestTpotMs(inputTokens));
  }

  #join(nodeId: number, { kind, model }: Standing): void {
    const met = new Met(this.#options.recalled(nodeId), this.#options.clock.monotonicMs());
    this.#met.push(met);
    this.#placeOf.set(nodeId, this.#guide.join(model, this.#kinds.numberOf(kind), met.breaker, met.pace));
    this.#nodeIds.push(nodeId);
  }

  #holderOf({ request }: Guest): Holder | null {
    const holder = this.#options.fleet.holderOf(request);
    return holder && { node: this.#placeOf.get(holder.nodeId) ?? -1, cachedTokens: holder.tokens };
  }

  /** @returns the chosen node's place; -1 where none is open, or where a signature has to be looked at first */
  #choose(guest: Guest, gate: (node: number) => number): number {
    const choice = this.#tryChoose(guest, gate);
    if (choice instanceof Promise) this.#pumpAfter(choice);
    if (choice === null || choice instanceof Promise) return -1;
    this.#chosen = choice;
    return this.#placeOf.get(choice.nodeId)!;
  }

  /** Whoever happens to move the line must not be hit by what one request in it meets: that is told to its own task. Who waits anyway waits for a seed too. */
  #tryChoose({ request, place, wish, arrivedMs }: Guest, gate: (node: number) => number): ReturnType<Fleet["tryChoose"]> {
    try {
      return this.#options.fleet.tryChoose(request, (nodeId) => {
        const node = this.#placeOf.get(nodeId);
        return node === undefined ? NOT_HERE : gate(node);
      });
    } catch (error) {
      if (!isNoSeed(error) || this.#options.clock.monotonicMs() - arrivedMs >= wish.waitMsMax) place.refuse(error);
      return null;
    }
  }

  #pumpAfter(checked: Promise<unknown>): void {
    if (this.#isChecking) return;
    this.#isChecking = true;
    void checked.finally(() => {
      this.#isChecking = false;
      this.pump();
    });
  }

  #start(guest: Guest): void {
    const choice = this.#chosen!;
    this.#chosen = null;
    this.#guests.delete(guest);
    const nowMs = this.#options.clock.monotonicMs();
    this.#options.onStarted(guest, nowMs - guest.arrivedMs);
    guest.place.give({ ...choice, booking: this.#watched(choice.booking, guest, this.#placeOf.get(choice.nodeId)!, nowMs) });
  }

  /** The same booking, whose every step the guide hears of. */
  #watched(booking: Booking, guest: Guest, place: number, startedMs: Millis): Booking {
    const { clock } = this.#options;
    let outTokens: Tokens = 0;
    let isReleased = false;
    return {
      firstToken: (sinceDispatchMs) => {
        booking.firstToken(sinceDispatchMs);
        if (!isReleased) this.#guide.firstToken(guest, place, clock.monotonicMs());
      },
      progress: (tokens) => {
        booking.progress(tokens);
        outTokens = tokens;
      },
      release: (outcome) => {
        booking.release(outcome);
        if (isReleased) return;
        isReleased = true;
        this.#ended(guest, place, outcome, outTokens, startedMs);
      },
      contradicted: () => booking.contradicted(),
    };
  }

  #ended(guest: Guest, place: number, outcome: Outcome, outTokens: Tokens, startedMs: Millis): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (outcome === "failed") {
      this.#guide.silent(guest, place, nowMs);
      return this.#guide.pump(nowMs);
    }
    if (outcome === "completed") this.#serviceMs = (this.#serviceMs ?? nowMs - startedMs) * (1 - LEARNING) + LEARNING * Math.max(1, nowMs - startedMs);
    this.#guide.ended(guest, outcome === "completed" ? outTokens : null, outTokens, nowMs);
  }

  #refuse(guest: Guest, reason: Refusal, retryAfterMs: Millis): void {
    this.#guests.delete(guest);
    this.#options.onRefused(guest, reason, retryAfterMs, this.#guide.expectedWaitMs(guest.wish.payer, this.#options.clock.monotonicMs()));
  }
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0);
