// The guide: walks the lobby and sends each request to a node that is free for it. Live relayer and simulator run this very code.
//
//   arrived ─▶ lobby ─▶ a node with room, whose targets hold ─▶ started ─▶ first token ─▶ ended
//      └─▶ refused       ▲                                        │ silence, a refusal that nobody signed
//                        └──────────── elsewhere ◀────────────────┘
//
// A node has room while it is below its slots, is not broken, and has read nearly all of what it was given: prompts wait in the
// lobby, where they can still go anywhere. It is open to a request whose targets it is predicted to meet, and that of those it has.
import { fullTpotMs, hasMemory } from "./predict.ts";
import { Breaker } from "./pace.ts";
import { Lobby, LOBBY, type LobbyParameters, type LobbyRequest, type Refusal } from "./lobby.ts";
import { shadowPrices, wasteOf, type Kind, type Prices } from "./prices.ts";
import { GATES } from "../routing/decide.ts";
import type { Floor } from "./floor.ts";
import type { Waiting } from "./fairQueue.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/** A request as it comes. */
export interface Errand<Key> {
  readonly key: Key;
  readonly payer: string;
  readonly arrivalMs: Millis;
  readonly inputTokens: Tokens;
  readonly maxOutTokens: Tokens;
  /** From arrival to the first token, and from token to token. */
  readonly ttftTargetMs: Millis;
  readonly tpotTargetMs: Millis;
  /** First token on the node that would be quickest if it were idle; Infinity where none could take it. */
  readonly bestTtftMs: Millis;
  /** Waits however long it takes: it is never refused for being late. */
  readonly isPatient: boolean;
}

/** An errand in the lobby. */
export interface Admitted<Key> extends LobbyRequest {
  readonly errand: Errand<Key>;
  /** How well it suits each kind of node. */
  readonly fits: readonly number[];
}

/** What the guide asks of whoever holds the nodes. */
export interface Premises<Key> {
  /** False where the node could never take it: memory, model, price. */
  fits(node: number, errand: Errand<Key>): boolean;
  /** Prompt tokens that the node holds already. */
  cachedTokensOn(node: number, errand: Errand<Key>): Tokens;
  /** The soft choice among the nodes whose gate (a number of GATES) is open. @returns -1 where none is */
  choose(errand: Errand<Key>, expectedOutTokens: Tokens, nowMs: Millis, gate: (node: number) => number): number;
  /** Sends it; the floor has counted it. */
  start(errand: Errand<Key>, node: number, expectedOutTokens: Tokens): void;
  refuse(errand: Errand<Key>, reason: Refusal, retryAfterMs: Millis): void;
  /** First token of a prompt of so many tokens on the node that is quickest when idle. */
  bestTtftMs(inputTokens: Tokens): Millis;
}

/** A first target's least length, and how many idle readings of the prompt it is at least. */
const [TTFT_TARGET_MS_MIN, TTFT_TARGET_TIMES] = [2_000, 3] as const;
export const TPOT_TARGET_MS: Millis = 100;
/** The promise for a prompt that the quickest idle node would answer after so long. */
export const ttftTargetMs = (bestTtftMs: Millis): Millis => Math.max(TTFT_TARGET_MS_MIN, TTFT_TARGET_TIMES * bestTtftMs);

/** Predictions are off by some parts in a hundred: this much of a target is not planned with. */
const TTFT_PART = 0.95;
const TPOT_PART = 0.98;
/** While nobody is turned away, first tokens are to come in the least of these parts of their target that any node can keep. */
const EBB_TTFT_PARTS = [0.2, 0.35, 0.5] as const;
/** Prompts wait in the lobby, where they can still go anywhere: a node gets the next one when it has about so much left to read. */
const AHEAD_MS = 150;
/**
 * At the ebb a strong node may have more, for a long prompt behind others there is read sooner than alone on a weak one: so much up to
 * this part of what the fleet can carry, then less and less.
 */
const [EBB_AHEAD_MS, EBB_LOAD, FLOOD_LOAD] = [600, 0.75, 0.88] as const;
/** The rate of arrivals is averaged over about this time. */
const RATE_MS = 10_000;
const [REPRICE_FIRST_MS, REPRICE_EVERY_MS] = [5_000, 10_000] as const;
/** A first token so long overdue, and so many times its predicted time, is given up. */
const [SILENCE_MS, SILENCE_TIMES] = [1_000, 2] as const;
const [OPEN, FULL, UNFIT] = [GATES.indexOf("open"), GATES.indexOf("full"), GATES.indexOf("unfit")];

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
  readonly #breakers: readonly Breaker[];
  readonly #kindOf: readonly number[];
  readonly #kinds: readonly Kind[];
  readonly #silent = new Map<Key, Silent<Key>>();
  readonly #started = new Map<Key, Admitted<Key>>();
  /** Those that would be too late one day. */
  readonly #hurried = new Map<Key, Waiting<Admitted<Key>>>();
  #roomy: number[] = [];
  #prices: Prices | null = null;
  #repriceAtMs: Millis = REPRICE_FIRST_MS;
  /** Arrivals per millisecond, as of the last one. */
  #perMs = 0;
  #perMsAtMs: Millis = 0;

  /** @param kindOf by node: nodes of one number are alike, and `floor.models` of the first one stands for all of them */
  constructor(floor: Floor<Key>, kindOf: readonly number[], premises: Premises<Key>, parameters: LobbyParameters = LOBBY) {
    this.floor = floor;
    this.#premises = premises;
    this.#lobby = new Lobby(parameters);
    this.#breakers = floor.models.map(() => new Breaker());
    this.#kindOf = kindOf;
    this.#kinds = [...new Set(kindOf)].sort((one, other) => one - other)
      .map((kind) => ({ model: floor.models[kindOf.indexOf(kind)]!, count: kindOf.filter((one) => one === kind).length }));
  }

  get waiting(): number {
    return this.#lobby.waiting;
  }

  get refusedPart(): number {
    return this.#lobby.refusedPart;
  }

  /** True while time alone may change something: `passed` is to be called then. */
  get isWatching(): boolean {
    return this.#hurried.size + this.#silent.size > 0;
  }

  /** @returns when it is expected to start, or null where it was refused */
  arrived(errand: Errand<Key>, nowMs: Millis): Millis | null {
    this.floor.mix.arrived(errand.inputTokens);
    this.#countArrival(nowMs);
    this.#reprice(nowMs);
    const admitted = this.#assess(errand);
    const verdict = this.#lobby.offer(admitted, nowMs);
    if (!verdict.admitted) {
      this.#premises.refuse(errand, verdict.reason, verdict.retryAfterMs);
      return null;
    }
    if (admitted.latestStartMs !== Infinity) this.#hurried.set(errand.key, verdict.entry);
    this.pump(nowMs);
    return verdict.expectedStartMs;
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

  /** The node will not answer it: it goes elsewhere, and the node is asked less. It was let in once and is not turned away now. */
  elsewhere(key: Key, node: number, nowMs: Millis): void {
    this.#breakers[node]!.silent(nowMs);
    this.floor.ended(key, null, nowMs);
    this.#silent.delete(key);
    const admitted = this.#started.get(key)!;
    this.#started.delete(key);
    this.#lobby.again({ ...admitted, latestStartMs: Infinity }, nowMs);
  }

  /** Refuses those whose time is over, and calls `overdue` for each first token that will not come. */
  passed(nowMs: Millis, overdue: (errand: Errand<Key>, node: number) => void): void {
    this.#expire(nowMs);
    for (const [key, { admitted, node, sentMs }] of this.#silent) {
      const predictedMs = this.floor.predictedMs(key);
      if (nowMs >= predictedMs + SILENCE_MS + SILENCE_TIMES * (predictedMs - sentMs)) overdue(admitted.errand, node);
    }
    this.pump(nowMs);
  }

  /** Sends on whoever finds a place. */
  pump(nowMs: Millis): void {
    if (this.#lobby.waiting === 0) return;
    this.#findRoom(nowMs);
    if (this.#roomy.length > 0) this.#lobby.pump(nowMs, (one) => this.#fitOf(one, nowMs), (one) => this.#start(one, nowMs));
  }

  #assess(errand: Errand<Key>): Admitted<Key> {
    const { payer, inputTokens, maxOutTokens, arrivalMs, bestTtftMs } = errand;
    const expectedOutTokens = Math.round(Math.min(maxOutTokens, this.floor.mix.expectedOutTokens(inputTokens)));
    return {
      errand, payer, inputTokens, expectedOutTokens,
      // The time after which even an idle node would be too late.
      latestStartMs: errand.isPatient ? Infinity : arrivalMs + TTFT_PART * errand.ttftTargetMs - bestTtftMs,
      fits: wasteOf(this.#prices, this.#kinds, inputTokens, expectedOutTokens, errand.ttftTargetMs),
    };
  }

  #reprice(nowMs: Millis): void {
    if (nowMs < this.#repriceAtMs) return;
    this.#repriceAtMs = nowMs + REPRICE_EVERY_MS;
    this.#prices = shadowPrices(this.#kinds, this.floor.mix.classes(), TPOT_TARGET_MS, (input) => ttftTargetMs(this.#premises.bestTtftMs(input)));
  }

  /** The few nodes that could take anything at all; the rest need not be asked. */
  #findRoom(nowMs: Millis): void {
    this.#roomy = [];
    const { floor } = this;
    const aheadMs = this.#aheadMsMax(nowMs);
    for (const [node, model] of floor.models.entries()) {
      const inFlight = floor.inFlight[node]!;
      if (floor.runningOn(node) < model.slots && this.#breakers[node]!.isOpenTo(nowMs, inFlight) && floor.aheadMs(node, nowMs) <= aheadMs) this.#roomy.push(node);
    }
  }

  #aheadMsMax(nowMs: Millis): Millis {
    if (this.#lobby.refusedPart > 0 || this.#prices === null) return AHEAD_MS;
    const perSecond = 1_000 * this.#perMs * Math.exp(-(nowMs - this.#perMsAtMs) / RATE_MS);
    const flood = Math.min(1, Math.max(0, (perSecond / this.#prices.carriedPerSecond - EBB_LOAD) / (FLOOD_LOAD - EBB_LOAD)));
    return EBB_AHEAD_MS + flood * (AHEAD_MS - EBB_AHEAD_MS);
  }

  #countArrival(nowMs: Millis): void {
    this.#perMs = this.#perMs * Math.exp(-(nowMs - this.#perMsAtMs) / RATE_MS) + 1 / RATE_MS;
    this.#perMsAtMs = nowMs;
  }

  #fitOf(admitted: Admitted<Key>, nowMs: Millis): number {
    let least = Infinity;
    for (const node of this.#roomy) {
      const fit = admitted.fits[this.#kindOf[node]!]!;
      if (fit < least && this.#gate(admitted, node, nowMs) === OPEN) least = fit;
    }
    return least;
  }

  #start(admitted: Admitted<Key>, nowMs: Millis): boolean {
    const { errand, expectedOutTokens } = admitted;
    const node = this.#choose(admitted, nowMs);
    if (node < 0) return false;
    this.#hurried.delete(errand.key);
    this.#started.set(errand.key, admitted);
    this.floor.sent(errand.key, node, errand.inputTokens, this.#premises.cachedTokensOn(node, errand), nowMs);
    this.#silent.set(errand.key, { admitted, node, sentMs: nowMs });
    this.#premises.start(errand, node, expectedOutTokens);
    this.#findRoom(nowMs);
    return true;
  }

  #choose(admitted: Admitted<Key>, nowMs: Millis): number {
    const { errand, expectedOutTokens } = admitted;
    const open = (ttftPart: number) => (node: number): number => (this.#roomy.includes(node) ? this.#gate(admitted, node, nowMs, ttftPart) : FULL);
    for (const part of this.#lobby.refusedPart === 0 ? EBB_TTFT_PARTS : []) {
      const node = this.#premises.choose(errand, expectedOutTokens, nowMs, open(part));
      if (node >= 0) return node;
    }
    return this.#premises.choose(errand, expectedOutTokens, nowMs, open(TTFT_PART));
  }

  #gate({ errand, latestStartMs }: Admitted<Key>, node: number, nowMs: Millis, ttftPart = TTFT_PART): number {
    if (!this.#premises.fits(node, errand)) return UNFIT;
    const { floor } = this;
    const model = floor.models[node]!;
    if (floor.runningOn(node) >= model.slots) return FULL;
    const load = floor.loadOf(node, errand.inputTokens);
    if (!hasMemory(model, load, floor.mix) || floor.pace(node, nowMs) * fullTpotMs(model, load) > TPOT_PART * errand.tpotTargetMs) return FULL;
    const ttftMs = floor.ttftMs(node, errand.inputTokens, this.#premises.cachedTokensOn(node, errand), nowMs);
    const waitedMs = latestStartMs === Infinity ? 0 : nowMs - errand.arrivalMs;
    return waitedMs + ttftMs > ttftPart * errand.ttftTargetMs ? FULL : OPEN;
  }

  #expire(nowMs: Millis): void {
    for (const [key, entry] of this.#hurried) {
      if (entry.item.latestStartMs >= nowMs) continue;
      this.#lobby.expire(entry);
      this.#hurried.delete(key);
      this.#premises.refuse(entry.item.errand, "too_late", this.#lobby.retryAfterMs(nowMs));
    }
  }
}
