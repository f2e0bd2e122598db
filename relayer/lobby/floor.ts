// The floor: what is on every node now, as the relayer reckons it, and what one more request there would meet.
//
// Its own requests it counts at once; those of others are as old as the node's last attestation. From both follow the time until a
// node has read what it was given, the time to a first token, and how much slower a node is than it says.
import { Pace } from "./pace.ts";
import { ReadClock, readMs } from "./readClock.ts";
import { SizeMix } from "./sizeMix.ts";
import { grownTokens, iterationMs, type NodeLoad, type NodeModel } from "./predict.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/** Of an attestation what the floor reads; `atMs` on the relayer's clock. */
export interface Reported {
  readonly atMs: Millis;
  readonly running: number;
  readonly waiting: number;
  readonly queuedTokens: Tokens;
}

interface Flight {
  readonly node: number;
  readonly inputTokens: Tokens;
  readonly cachedTokens: Tokens;
  readonly sentMs: Millis;
  /** When its first token should come, and with which pace that was reckoned. */
  readonly predictedMs: Millis;
  readonly paceThen: number;
  isRead: boolean;
}

/** Own load on a node from a moment on. */
interface Held {
  readonly atMs: Millis;
  readonly inFlight: number;
  readonly unreadTokens: Tokens;
}

/** Load that other relayers have put on a node. */
interface Others {
  readonly atMs: Millis;
  readonly running: number;
  readonly unreadTokens: Tokens;
  /** Of the last attestations. */
  readonly unreadTokensMean: Tokens;
}

const NOBODY: Others = { atMs: 0, running: 0, unreadTokens: 0, unreadTokensMean: 0 };
/** What others have unread somewhere changes within this time: an older picture of it says no more than the mean of many. */
const UNREAD_MEMORY_MS: Millis = 300;
/** Of the mean, how much one attestation makes up. */
const MEAN_PART = 0.1;

/** Nodes go by their place in the list, requests by any key. */
export class Floor<Key> {
  readonly mix = new SizeMix();
  readonly #models: NodeModel[] = [];
  readonly #inFlight: number[] = [];
  readonly #unreadTokens: number[] = [];
  readonly #inputTokens: number[] = [];
  readonly #flights = new Map<Key, Flight>();
  readonly #clocks: ReadClock[] = [];
  readonly #paces: Pace[] = [];
  readonly #others: Others[] = [];
  /** Own load since the last attestation but one: the next one tells of a moment that is past. */
  readonly #held: Held[][] = [];

  constructor(models: readonly NodeModel[] = []) {
    for (const model of models) this.add(model);
  }

  /** @param pace where it is known already @returns the node's place, for good */
  add(model: NodeModel, pace = new Pace()): number {
    this.#inFlight.push(0);
    this.#unreadTokens.push(0);
    this.#inputTokens.push(0);
    this.#clocks.push(new ReadClock());
    this.#paces.push(pace);
    this.#others.push(NOBODY);
    this.#held.push([]);
    return this.#models.push(model) - 1;
  }

  /** The node says something else of itself now, or more was learnt of it; no slots where it is gone. */
  restate(node: number, model: NodeModel): void {
    this.#models[node] = model;
  }

  get models(): readonly NodeModel[] {
    return this.#models;
  }

  /** Own requests on each node. */
  get inFlight(): readonly number[] {
    return this.#inFlight;
  }

  /** @param moreTokens prompt of one more request, null for none */
  loadOf(node: number, moreTokens: Tokens | null = null): NodeLoad {
    const others = this.#others[node]!.running;
    const running = this.#inFlight[node]! + others + (moreTokens === null ? 0 : 1);
    return { running, contextTokens: this.#inputTokens[node]! + others * this.mix.inputTokens + (moreTokens ?? 0) + running * grownTokens(this.mix) };
  }

  /** Sequences on a node, everybody's. */
  runningOn(node: number): number {
    return this.#inFlight[node]! + this.#others[node]!.running;
  }

  /** Part of all slots that is taken, by whomever; all where there are none. */
  get usedPart(): number {
    let [used, slots] = [0, 0];
    for (const [node, model] of this.#models.entries()) {
      used += Math.min(model.slots, this.runningOn(node));
      slots += model.slots;
    }
    return slots === 0 ? 1 : used / slots;
  }

  /** Time until a node has read the prompts that it was sent, by whomever. */
  aheadMs(node: number, nowMs: Millis): Millis {
    return this.#clocks[node]!.aheadMs(nowMs) + this.#readOthersMs(node, this.#othersUnread(node, nowMs));
  }

  /** Of that, what waiting would help against: not what others have unread there at any time. */
  passingMs(node: number, nowMs: Millis): Millis {
    return this.#clocks[node]!.aheadMs(nowMs) + this.#readOthersMs(node, Math.max(0, this.#othersUnread(node, nowMs) - this.#others[node]!.unreadTokensMean));
  }

  /** From now on, what reading a prompt on the node takes of its time. */
  readMs(node: number, inputTokens: Tokens): Millis {
    return readMs(this.#models[node]!, this.loadOf(node), inputTokens, inputTokens ** 2);
  }

  /** Part of a node's reading time that so many sequences of the present mix take: each reads once in its stay (Little's law). */
  takenBy(node: number, running: number): number {
    if (running === 0) return 0;
    const [load, { inputTokens, inputSquared, outTokens }] = [this.loadOf(node), this.mix];
    const oneMs = readMs(this.#models[node]!, load, inputTokens, inputSquared);
    return Math.min(1, (running * oneMs) / (oneMs + outTokens * iterationMs(this.#models[node]!.curve, load.contextTokens, load.running)));
  }

  /** How much slower than it says a node has proved to be; 1 for as fast. */
  pace(node: number, nowMs: Millis): number {
    return this.#paces[node]!.factor(nowMs);
  }

  /** From now to the first token, were a request sent to the node. @param cachedTokens of its prompt that the node holds */
  ttftMs(node: number, inputTokens: Tokens, cachedTokens: Tokens, nowMs: Millis): Millis {
    const cached = Math.min(cachedTokens, inputTokens - 1);
    return this.aheadMs(node, nowMs) + this.pace(node, nowMs) * readMs(this.#models[node]!, this.loadOf(node), inputTokens - cached, inputTokens ** 2 - cached ** 2);
  }

  /** When the first token of a request in flight was predicted to come; Infinity where it is not in flight. */
  predictedMs(key: Key): Millis {
    return this.#flights.get(key)?.predictedMs ?? Infinity;
  }

  sent(key: Key, node: number, inputTokens: Tokens, cachedTokens: Tokens, nowMs: Millis): void {
    const flight: Flight = {
      node, inputTokens, cachedTokens: Math.min(cachedTokens, inputTokens - 1), sentMs: nowMs, predictedMs: nowMs + this.ttftMs(node, inputTokens, cachedTokens, nowMs),
      paceThen: this.pace(node, nowMs), isRead: false,
    };
    this.#clocks[node]!.sent(this.#models[node]!, this.loadOf(node), flight.paceThen, flight.inputTokens - flight.cachedTokens, squaresOf(flight), nowMs);
    this.#flights.set(key, flight);
    this.#inFlight[node]!++;
    this.#unreadTokens[node]! += inputTokens;
    this.#inputTokens[node]! += inputTokens;
    this.#hold(node, nowMs);
  }

  firstToken(key: Key, nowMs: Millis): void {
    const flight = this.#flights.get(key);
    if (!flight || flight.isRead) return;
    this.#paces[flight.node]!.observe(nowMs - flight.sentMs, flight.predictedMs - flight.sentMs, flight.paceThen, nowMs);
    this.#read(flight, nowMs);
    this.#hold(flight.node, nowMs);
  }

  /** Idempotent. @param outTokens of a whole answer; null where it was broken off and says nothing of its length */
  ended(key: Key, outTokens: Tokens | null, nowMs: Millis): void {
    const flight = this.#flights.get(key);
    if (!flight) return;
    this.#flights.delete(key);
    this.#inFlight[flight.node]!--;
    this.#inputTokens[flight.node]! -= flight.inputTokens;
    if (!flight.isRead) this.#read(flight, nowMs);
    this.#hold(flight.node, nowMs);
    if (outTokens !== null) this.mix.finished(flight.inputTokens, outTokens);
  }

  /** @param doubtMs the figures may be older than they say by so much: of the own load in that time the most counts, or it would pass for others' */
  attested(node: number, reported: Reported, doubtMs: Millis = 0): void {
    const held = this.#held[node]!;
    let then = 0;
    while (then + 1 < held.length && held[then + 1]!.atMs <= reported.atMs - doubtMs) then++;
    held.splice(0, then);
    const own = mostOf(held, reported.atMs);
    const unreadTokens = Math.max(0, reported.queuedTokens - own.unreadTokens);
    const mean = this.#others[node]!.unreadTokensMean;
    this.#others[node] = {
      atMs: reported.atMs, running: Math.max(0, reported.running + reported.waiting - own.inFlight), unreadTokens, unreadTokensMean: mean + MEAN_PART * (unreadTokens - mean),
    };
  }

  /** The older the picture, the nearer to the mean, so that not everybody runs to the gap that everybody saw. */
  #othersUnread(node: number, nowMs: Millis): Tokens {
    const { atMs, unreadTokens, unreadTokensMean } = this.#others[node]!;
    return unreadTokensMean + (unreadTokens - unreadTokensMean) * Math.exp(-Math.max(0, nowMs - atMs) / UNREAD_MEMORY_MS);
  }

  #readOthersMs(node: number, tokens: Tokens): Millis {
    return tokens === 0 ? 0 : readMs(this.#models[node]!, this.loadOf(node), tokens, (tokens * this.mix.inputSquared) / this.mix.inputTokens);
  }

  #read(flight: Flight, nowMs: Millis): void {
    const { node } = flight;
    flight.isRead = true;
    this.#unreadTokens[node]! -= flight.inputTokens;
    this.#clocks[node]!.done(this.#models[node]!, this.loadOf(node), this.pace(node, nowMs), flight.inputTokens - flight.cachedTokens, squaresOf(flight), nowMs);
  }

  /** Bounded by what happens between two attestations; a node that attests no more keeps the last thousand. */
  #hold(node: number, nowMs: Millis): void {
    const held = this.#held[node]!;
    if (held.length >= HELD_MAX) held.splice(0, HELD_MAX / 2);
    held.push({ atMs: nowMs, inFlight: this.#inFlight[node]!, unreadTokens: this.#unreadTokens[node]! });
  }
}

const HELD_MAX = 1_000;

function mostOf(held: readonly Held[], untilMs: Millis): Omit<Held, "atMs"> {
  let [inFlight, unreadTokens] = [0, 0];
  for (const one of held) {
    if (one.atMs > untilMs) break;
    inFlight = Math.max(inFlight, one.inFlight);
    unreadTokens = Math.max(unreadTokens, one.unreadTokens);
  }
  return { inFlight, unreadTokens };
}

const squaresOf = (flight: Flight): number => flight.inputTokens ** 2 - flight.cachedTokens ** 2;
