// The guide: walks the lobby and sends each request to a node that is free for it. Live relayer and simulator run this very code.
//
//   arrived ─▶ lobby ─▶ a node with room, whose targets hold ─▶ started ─▶ first token ─▶ ended
//      └─▶ refused       ▲                                        │ silence, a refusal that nobody signed
//                        └──────────── elsewhere ◀────────────────┘
//
// A node has room while it is below its slots, is not broken, and has read nearly all of what it was given (where others send too: of
// what its part can read): prompts wait in the lobby, where they can still go anywhere. It is open to whose targets it is to meet.
import { fullTpotMs, hasMemory, type NodeModel } from "./predict.ts";
import { Breaker, Pace } from "./pace.ts";
import type { Grants } from "./grants.ts";
import { Lobby, LOBBY, type LobbyParameters } from "./lobby.ts";
import { Market } from "./market.ts";
import { Rooms, type Room } from "./rooms.ts";
import { GATES, OPEN } from "../routing/decide.ts";
import type { Admitted, Announced, Errand, Holder, Premises } from "./errand.ts";
import type { Floor } from "./floor.ts";
import type { Given, Tally } from "./tally.ts";
import type { Waiting } from "./payerLine.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/** Predictions are off by some parts in a hundred: this much of a target is not planned with. */
const TTFT_PART = 0.95;
const TPOT_PART = 0.98;
/**
 * While nobody is turned away, first tokens are to come in the least of these parts of their target that any node can keep. Where large
 * prompts come too it begins with a later one: were the small much quicker than those can be, they would take the quickest nodes from them.
 */
const EBB_TTFT_PARTS = [0.05, 0.1, 0.2, 0.35, 0.5, 0.65] as const;
const [SLOWEST_TIMES, FIRST_PART_MAX] = [2, 0.2] as const;
/** A first token so long overdue, and so many times its predicted time, is given up. */
const [SILENCE_MS, SILENCE_TIMES] = [1_000, 2] as const;
/** A booking that is late by so much of its wait takes any free slot: it must not stand behind predictions for ever. */
const OVERDUE_PART = 0.25;
/** Who waits however long it takes keeps to this relayer's parts of the nodes for so long. */
const KEPT_TO_GRANTS_MS: Millis = 2_000;
/** Deferred work fills slots up to this part of them: the rest is for who comes next. */
const EBB_SLOTS_PART = 0.6;
const [FULL, BUSY] = [GATES.indexOf("full"), GATES.indexOf("busy")];

/** Sent, and no token yet. */
interface Silent<Key> {
  readonly admitted: Admitted<Key>;
  readonly node: number;
  readonly sentMs: Millis;
}

export class Guide<Key> {
  readonly floor: Floor<Key>;
  readonly #premises: Premises<Key>;
  readonly #lobby: Lobby<Admitted<Key>>;
  readonly #grants: Grants | null;
  readonly #breakers: Breaker[] = [];
  readonly #market: Market;
  readonly #rooms: Rooms;
  readonly #silent = new Map<Key, Silent<Key>>();
  readonly #started = new Map<Key, Admitted<Key>>();
  readonly #entries = new Map<Key, Waiting<Admitted<Key>>>();
  /** Those that would be too late one day. */
  readonly #hurried = new Map<Key, Waiting<Admitted<Key>>>();
  #isPumping = false;

  /** @param floor without nodes: they come by `join` @param grants null where nobody else sends to these nodes @param tally as the lobby's */
  constructor(floor: Floor<Key>, premises: Premises<Key>, parameters: LobbyParameters = LOBBY, grants: Grants | null = null, tally: Tally | null = null) {
    this.floor = floor;
    this.#premises = premises;
    this.#grants = grants;
    this.#market = new Market(floor, parameters, premises.bestTtftMs);
    this.#rooms = new Rooms(floor, this.#market, this.#breakers, grants);
    this.#lobby = new Lobby(parameters, tally);
  }

  /** @param kind nodes of one number are alike; numbers go up from 0 without a gap @returns the node's place on the floor */
  join(model: NodeModel, kind: number, breaker = new Breaker(), pace = new Pace()): number {
    this.#breakers.push(breaker);
    this.#market.joined(kind);
    return this.floor.add(model, pace);
  }

  /** The node had gone and is here again: what it was silent about is not held against it for longer. */
  returned(node: number): void {
    this.#breakers[node]!.returned();
  }

  givenElsewhere(payer: string, given: Given, nowMs: Millis): void {
    this.#lobby.givenElsewhere(payer, given, nowMs);
  }

  get waiting(): number {
    return this.#lobby.waiting;
  }

  get deferred(): number {
    return this.#lobby.deferred;
  }

  get refusedPart(): number {
    return this.#lobby.refusedPart;
  }

  /** True while time alone may change something: `passed` is to be called then. */
  get isWatching(): boolean {
    return this.#hurried.size + this.#silent.size + this.#lobby.deferred > 0;
  }

  /** Time that a next request of a payer would wait. */
  expectedWaitMs(payer: string, nowMs: Millis): Millis {
    return this.#lobby.expectedWaitOf(payer, nowMs);
  }

  /** So many starts per millisecond may be expected of the nodes. */
  expectStarts(perMs: number): void {
    this.#lobby.expectStarts(perMs);
  }

  /** @returns what it is told, or null where it was refused */
  arrived(errand: Errand<Key>, nowMs: Millis): Announced | null {
    this.floor.mix.arrived(errand.inputTokens);
    this.#market.arrived(nowMs);
    const admitted = this.#assess(errand, nowMs);
    const verdict = this.#lobby.offer(admitted, nowMs, (line) => this.#hasPlaceBeside(line, admitted, nowMs));
    if (!verdict.admitted) {
      this.#premises.refuse(errand, verdict.reason, verdict.retryAfterMs);
      return null;
    }
    this.#entries.set(errand.key, verdict.entry);
    if (admitted.latestStartMs !== Infinity) this.#hurried.set(errand.key, verdict.entry);
    this.pump(nowMs);
    return verdict;
  }

  /** A further try of one that was let in before: it is not refused, and it goes first. */
  again(errand: Errand<Key>, nowMs: Millis): void {
    this.#entries.set(errand.key, this.#lobby.again(this.#assess({ ...errand, isPatient: true }, nowMs), nowMs, nowMs));
    this.pump(nowMs);
  }

  /** The client has gone, or was told something else. @returns false where it was not waiting */
  leave(key: Key): boolean {
    const entry = this.#entries.get(key);
    this.#entries.delete(key);
    this.#hurried.delete(key);
    return entry !== undefined && this.#lobby.remove(entry);
  }

  /** What each who waits is to be told now, the first first. */
  announce(nowMs: Millis): { readonly errand: Errand<Key>; readonly announced: Announced }[] {
    return this.#lobby.inOrder().map(({ item: { errand, dueMs } }, ahead) => {
      const expectedStartMs = nowMs + this.#lobby.expectedWaitMs(nowMs, ahead);
      return { errand, announced: { position: ahead + 1, expectedStartMs: dueMs === null ? expectedStartMs : Math.min(expectedStartMs, Math.max(nowMs, dueMs)) } };
    });
  }

  firstToken(key: Key, node: number, nowMs: Millis): void {
    this.floor.firstToken(key, nowMs);
    this.#silent.delete(key);
    this.#breakers[node]!.answered();
    this.pump(nowMs);
  }

  /** @param outTokens of a whole answer, and null where it broke off @param chargedOutTokens what the payer's count is corrected by */
  ended(key: Key, outTokens: Tokens | null, chargedOutTokens: Tokens, nowMs: Millis): void {
    this.floor.ended(key, outTokens, nowMs);
    this.#silent.delete(key);
    this.#lobby.finished(this.#started.get(key)!, chargedOutTokens);
    this.#started.delete(key);
    this.pump(nowMs);
  }

  /** The node gave no answer, or a refusal that nobody signed: it is asked less. */
  silent(key: Key, node: number, nowMs: Millis): void {
    this.#breakers[node]!.silent(nowMs);
    this.floor.ended(key, null, nowMs);
    this.#silent.delete(key);
    this.#started.delete(key);
  }

  /** The node will not answer it: it goes elsewhere. It was let in once and is not turned away now. */
  elsewhere(key: Key, node: number, nowMs: Millis): void {
    const admitted = this.#started.get(key)!;
    this.silent(key, node, nowMs);
    this.#entries.set(key, this.#lobby.again({ ...admitted, latestStartMs: Infinity }, admitted.latestStartMs, nowMs));
  }

  /** Refuses those whose time is over, and calls `overdue` for each first token that will not come. */
  passed(nowMs: Millis, overdue: (errand: Errand<Key>, node: number) => void): void {
    this.#expire(nowMs);
    for (const entry of this.#lobby.wakeDue(nowMs)) this.#entries.set(entry.item.errand.key, entry);
    for (const [key, { admitted, node, sentMs }] of this.#silent) {
      const predictedMs = this.floor.predictedMs(key);
      if (nowMs >= predictedMs + SILENCE_MS + SILENCE_TIMES * (predictedMs - sentMs)) overdue(admitted.errand, node);
    }
    this.pump(nowMs);
  }

  /** Nothing more is sent to a node from which a first token is overdue, until it answers or its break is over. */
  suspect(key: Key, node: number, nowMs: Millis): void {
    if (this.#silent.delete(key)) this.#breakers[node]!.silent(nowMs);
  }

  /** Sends on whoever finds a place. What a start brings about may ask for it again: then the first call goes on. */
  pump(nowMs: Millis): void {
    if (this.#isPumping || this.#lobby.waiting + this.#lobby.deferred === 0) return;
    this.#findRoom(nowMs);
    if (this.#rooms.for(false, nowMs).length === 0 && !this.#grants?.isDivided(nowMs)) return;
    this.#isPumping = true;
    try {
      this.#lobby.pump(nowMs, (one) => this.#fitOf(one, this.#isFree(one, nowMs), nowMs), (one) => this.#start(one, this.#isFree(one, nowMs), nowMs));
      // However long it has lain: what is an ebb here may be the flood of who owns the node.
      this.#lobby.pumpDeferred(nowMs, () => this.floor.usedPart < EBB_SLOTS_PART, (one) => this.#fitOf(one, false, nowMs), (one) => this.#start(one, false, nowMs));
    } finally {
      this.#isPumping = false;
    }
  }

  #assess(errand: Errand<Key>, nowMs: Millis): Admitted<Key> {
    const { payer, conversation, inputTokens, maxOutTokens, arrivalMs, bestTtftMs, waitMsMax, dueMs, weight } = errand;
    const expectedOutTokens = Math.round(Math.min(maxOutTokens, errand.foretoldOutTokens ?? this.floor.mix.expectedOutTokens(inputTokens)));
    return {
      errand, payer, conversation, inputTokens, expectedOutTokens, waitMsMax, dueMs, weight,
      // The time after which even an idle node would be too late; long past where there is no node.
      latestStartMs: errand.isPatient ? Infinity : bestTtftMs === Infinity ? -Infinity : arrivalMs + TTFT_PART * errand.ttftTargetMs - bestTtftMs,
      fits: this.#market.wasteOf(inputTokens, expectedOutTokens, errand.ttftTargetMs), isShutOut: this.#isShutOut(errand, nowMs),
    };
  }

  /** Whether it finds a place at once on a node that could read nothing in time for any of those who wait. */
  #hasPlaceBeside(line: readonly Waiting<Admitted<Key>>[], admitted: Admitted<Key>, nowMs: Millis): boolean {
    this.#findRoom(nowMs);
    const holder = this.#premises.holderOf(admitted.errand);
    return this.#rooms.for(false, nowMs).some((room) => line.every(({ item }) => room.wasteOf(item) === Infinity) && this.#isOpenIn(room, admitted, holder, nowMs));
  }

  /** Whether no node of which a part is granted could ever take it. */
  #isShutOut(errand: Errand<Key>, nowMs: Millis): boolean {
    const grants = this.#grants;
    const isFit = (node: number): boolean => this.#breakers[node]!.isOpenTo(nowMs, this.floor.inFlight[node]!) && [OPEN, FULL].includes(this.#premises.gate(node, errand));
    return grants !== null && grants.isDivided(nowMs) && !this.floor.models.some((_, node) => grants.partOf(node, nowMs) > 0 && isFit(node));
  }

  /** Whether it may go to any node with room, granted or not: one that could go nowhere else, and one that waits while others' parts may lie idle. */
  #isFree({ errand, isShutOut, latestStartMs }: Admitted<Key>, nowMs: Millis): boolean {
    if (!this.#grants?.isDivided(nowMs)) return false;
    return isShutOut || (latestStartMs === Infinity && nowMs - (this.#entries.get(errand.key)?.sinceMs ?? nowMs) > KEPT_TO_GRANTS_MS);
  }

  #findRoom(nowMs: Millis): void {
    this.#rooms.find(nowMs, this.#isTurningAway);
  }

  get #isTurningAway(): boolean {
    return this.#lobby.refusedPart > 0;
  }

  #fitOf(admitted: Admitted<Key>, isFree: boolean, nowMs: Millis): number {
    const holder = this.#premises.holderOf(admitted.errand);
    let least = Infinity;
    for (const room of this.#rooms.for(isFree, nowMs)) {
      // What its kind cannot do is the last choice and no more: whether this very node can, its gate says.
      const fit = Math.min(Number.MAX_SAFE_INTEGER, room.wasteOf(admitted));
      if (fit < least && this.#isOpenIn(room, admitted, holder, nowMs)) least = fit;
    }
    return least;
  }

  #isOpenIn(room: Room, admitted: Admitted<Key>, holder: Holder | null, nowMs: Millis): boolean {
    const { errand } = admitted;
    // Of a long line before many weak nodes nearly all ends here: none could read it in time but one that holds some of it.
    if (!this.#isOverdue(admitted, nowMs) && waitedMs(admitted, nowMs) + room.leastTtftMs(errand.inputTokens) > TTFT_PART * errand.ttftTargetMs) {
      return holder !== null && room.nodes.includes(holder.node) && this.#gate(admitted, holder.node, holder, nowMs) === OPEN;
    }
    return room.nodes.some((node) => this.#gate(admitted, node, holder, nowMs) === OPEN);
  }

  #start(admitted: Admitted<Key>, isFree: boolean, nowMs: Millis): boolean {
    const { errand, expectedOutTokens } = admitted;
    // Asked before the choice: whoever counts the prompt with it would think that it pushes out what the node holds of it.
    const holder = this.#premises.holderOf(errand);
    const node = this.#choose(admitted, holder, isFree, nowMs);
    if (node < 0) return false;
    this.#hurried.delete(errand.key);
    this.#entries.delete(errand.key);
    this.#started.set(errand.key, admitted);
    this.#grants?.sent(node, this.floor.pace(node, nowMs) * this.floor.readMs(node, errand.inputTokens), nowMs);
    this.floor.sent(errand.key, node, errand.inputTokens, cachedTokensOn(node, holder), nowMs);
    this.#silent.set(errand.key, { admitted, node, sentMs: nowMs });
    this.#premises.start(errand, node, expectedOutTokens);
    this.#findRoom(nowMs);
    return true;
  }

  #choose(admitted: Admitted<Key>, holder: Holder | null, isFree: boolean, nowMs: Millis): number {
    const { errand, expectedOutTokens } = admitted;
    const open = (ttftPart: number) => (node: number): number => {
      const room = this.#rooms.gate(node, nowMs, this.#isTurningAway, isFree);
      return room === OPEN ? this.#gate(admitted, node, holder, nowMs, ttftPart) : room;
    };
    const least = Math.min(FIRST_PART_MAX, SLOWEST_TIMES * this.#market.slowestPart);
    for (const part of this.#isTurningAway ? [] : EBB_TTFT_PARTS) {
      if (part < least) continue;
      const node = this.#premises.choose(errand, expectedOutTokens, nowMs, open(part));
      if (node >= 0) return node;
    }
    return this.#premises.choose(errand, expectedOutTokens, nowMs, open(TTFT_PART));
  }

  #gate(admitted: Admitted<Key>, node: number, holder: Holder | null, nowMs: Millis, ttftPart = TTFT_PART): number {
    const { errand } = admitted;
    const known = this.#premises.gate(node, errand);
    if (known !== OPEN) return known;
    const { floor } = this;
    const model = floor.models[node]!;
    const running = floor.runningOn(node);
    if (running >= model.slots) return FULL;
    if (this.#isOverdue(admitted, nowMs)) return running === 0 || hasMemory(model, floor.loadOf(node, errand.inputTokens), floor.mix) ? OPEN : BUSY;
    const load = floor.loadOf(node, errand.inputTokens);
    if (!hasMemory(model, load, floor.mix) || floor.pace(node, nowMs) * fullTpotMs(model, load) > TPOT_PART * errand.tpotTargetMs) return BUSY;
    return waitedMs(admitted, nowMs) + floor.ttftMs(node, errand.inputTokens, cachedTokensOn(node, holder), nowMs) > ttftPart * errand.ttftTargetMs ? BUSY : OPEN;
  }

  #isOverdue({ errand, latestStartMs }: Admitted<Key>, nowMs: Millis): boolean {
    if (latestStartMs !== Infinity) return false;
    const entry = this.#entries.get(errand.key);
    return entry !== undefined && nowMs > entry.deadlineMs + OVERDUE_PART * (entry.deadlineMs - entry.sinceMs);
  }

  #expire(nowMs: Millis): void {
    for (const [key, entry] of this.#hurried) {
      if (entry.item.latestStartMs >= nowMs) continue;
      this.#lobby.expire(entry);
      this.#hurried.delete(key);
      this.#entries.delete(key);
      this.#premises.refuse(entry.item.errand, "too_late", this.#lobby.retryAfterMs(nowMs));
    }
  }
}

const cachedTokensOn = (node: number, holder: Holder | null): Tokens => (holder?.node === node ? holder.cachedTokens : 0);

/** Of its time to the first token, what is over; whoever waits as long as it takes has all of it before them. */
const waitedMs = ({ errand, latestStartMs }: Admitted<unknown>, nowMs: Millis): Millis => (latestStartMs === Infinity ? 0 : nowMs - errand.arrivalMs);
