// Who is next: payers by how much they were served (VTC), and within a payer whoever its line says.
//
// A payer's counter grows with what it is served: 1 per input and 2 per output token (Sheng et al., "Fairness in Serving Large Language
// Models", OSDI'24). The least counter is next. Who comes back after a pause is lifted to the least of those present, so that nobody
// saves up a claim by staying away. Work-conserving: as long as anybody waits, somebody is next.
import { PayerLine, type Ahead, type Waiting } from "./payerLine.ts";
import type { Millis } from "../../protocol/units.ts";

interface Payer<Item> {
  readonly name: string;
  counter: number;
  /** It was served elsewhere since it was served here last: how far it is ahead is nobody else's. */
  isAhead: boolean;
  readonly line: PayerLine<Item>;
  /** Place in the heap; -1 where nothing waits. */
  place: number;
}

/** Counters of payers without anything waiting that are kept; the longest unseen is forgotten first. */
const PAYERS_MAX = 50_000;
/** What a payer was served elsewhere keeps it back by no more than this: it must not stand still here for hours. */
const AHEAD_TOKENS_MAX = 500_000;
/** What it gives back there brings it before who was served last by no more than this: it may be of what was never counted here. */
const GIVEN_BACK_TOKENS_MAX = 20_000;

export class FairQueue<Item> {
  readonly #onCharged: (payer: string, tokens: number) => void;
  readonly #payers = new Map<string, Payer<Item>>();
  /** Payers with something waiting, the least counter first; equal counters by the arrival of their first. */
  readonly #heap: Payer<Item>[] = [];
  #size = 0;
  #arrivals = 0;
  /** Where a newcomer starts while nobody waits: the counter of who was served last. */
  #floor = 0;

  /** @param onCharged told of everything that a payer is charged here, or given back */
  constructor(onCharged: (payer: string, tokens: number) => void = () => undefined) {
    this.#onCharged = onCharged;
  }

  get size(): number {
    return this.#size;
  }

  sizeOf(payer: string): number {
    return this.#payers.get(payer)?.line.size ?? 0;
  }

  /** @param conversation of the payer's; without one it shares the place of all that have none */
  push(item: Item, payer: string, cost: number, deadlineMs: Millis, nowMs: Millis, conversation = ""): Waiting<Item> {
    const entry = { item, payer, conversation, cost, deadlineMs, sinceMs: nowMs, order: this.#arrivals++ };
    const owner = this.#payerOf(payer);
    owner.line.push(entry);
    this.#size++;
    if (owner.place >= 0) {
      this.#settle(owner.place);
      return entry;
    }
    owner.counter = Math.max(owner.counter, this.#least);
    owner.place = this.#heap.push(owner) - 1;
    this.#settle(owner.place);
    return entry;
  }

  /**
   * How many would start before the next one that this payer pushes of a conversation, if each took its cost.
   * @param most beyond it nobody is counted any more: the number is then some greater one
   */
  aheadOfNext(payer: string, conversation = "", most = Infinity): number {
    const owner = this.#payers.get(payer);
    const counter = owner && owner.place >= 0 ? owner.counter : Math.max(owner?.counter ?? 0, this.#least);
    const own = owner?.line.aheadOf(conversation) ?? NOBODY;
    return own.count + this.#startingBefore(counter + own.cost, owner ?? null, most);
  }

  /** Everybody, in the order in which they would start if each took its cost. */
  inOrder(): Waiting<Item>[] {
    const virtual: { entry: Waiting<Item>; counter: number }[] = [];
    for (const { line, counter } of this.#heap) {
      let before = counter;
      for (const entry of line.inTurn()) {
        virtual.push({ entry, counter: before });
        before += entry.cost;
      }
    }
    return virtual.sort((one, other) => one.counter - other.counter || one.entry.order - other.entry.order).map(({ entry }) => entry);
  }

  /** Those of other payers that start below a counter. */
  #startingBefore(counter: number, owner: Payer<Item> | null, most: number): number {
    let count = 0;
    for (const payer of this.#heap) {
      if (payer !== owner) count += startingBelow(payer, counter);
      if (count > most) break;
    }
    return count;
  }

  /** The first so many in the order in which they would start if each took its cost; nothing is taken out. */
  first(count: number): Waiting<Item>[] {
    const popped: Payer<Item>[] = [];
    while (popped.length < count && this.#heap.length > 0) popped.push(this.#pop());
    const virtual = popped.map(({ line, counter }) => turnsOf(line, counter));
    const found: Waiting<Item>[] = [];
    while (found.length < count) {
      let best: (typeof virtual)[number] | null = null;
      for (const one of virtual) {
        if (one.next !== undefined && (best === null || one.counter < best.counter)) best = one;
      }
      if (best === null) break;
      found.push(best.next!);
      best.counter += best.next!.cost;
      best.next = best.turns.next().value;
    }
    for (const payer of popped) {
      payer.place = this.#heap.push(payer) - 1;
      this.#settle(payer.place);
    }
    return found;
  }

  /** Of payers who have nothing in front, the first of each, for so many of them; from one number on, and round. */
  firstsBehind(front: readonly Waiting<Item>[], from: number, count: number): Waiting<Item>[] {
    const inFront = new Set(front.map(({ payer }) => payer));
    const behind = this.#heap.filter(({ name }) => !inFront.has(name));
    return Array.from({ length: Math.min(count, behind.length) }, (_, i) => behind[(from + i) % behind.length]!.line.first!);
  }

  /** Takes one out that starts now: its payer is charged. */
  start(entry: Waiting<Item>): void {
    const owner = this.#payers.get(entry.payer)!;
    this.#floor = Math.max(this.#floor, owner.counter);
    owner.isAhead = false;
    owner.line.started(entry);
    this.remove(entry);
    this.charge(entry.payer, entry.cost);
  }

  /** Takes one out that will not start. @returns false where it was not in the queue any more */
  remove(entry: Waiting<Item>): boolean {
    const owner = this.#payers.get(entry.payer);
    if (!owner?.line.remove(entry)) return false;
    this.#size--;
    if (owner.line.size === 0) this.#leave(owner);
    else this.#settle(owner.place);
    return true;
  }

  /** Adds to what a payer was served, or takes off what it was charged too much. */
  charge(payer: string, tokens: number): void {
    this.#count(this.#payerOf(payer), tokens);
    this.#onCharged(payer, tokens);
  }

  /** Another process of the relayer has served a payer, or gives back: it was in line there, so it counts as if it had been in line here. */
  servedElsewhere(payer: string, tokens: number): void {
    const owner = this.#payerOf(payer);
    if (tokens <= 0) return this.#count(owner, Math.max(tokens, Math.min(0, this.#floor - GIVEN_BACK_TOKENS_MAX - owner.counter)));
    const least = this.#least;
    if (owner.place < 0) owner.counter = Math.max(owner.counter, least);
    // Nobody is kept back here: whoever comes next starts level with it.
    if (this.#heap.length === 0) this.#floor = Math.max(this.#floor, owner.counter);
    owner.isAhead = true;
    this.#count(owner, Math.min(tokens, Math.max(0, least + AHEAD_TOKENS_MAX - owner.counter)));
  }

  /** Where who comes back is lifted to: not to what somebody was given elsewhere, or whoever has one request at a time would never be owed it. */
  get #least(): number {
    const first = this.#heap[0];
    if (!first) return this.#floor;
    return first.isAhead ? Math.min(first.counter, this.#floor) : first.counter;
  }

  #count(owner: Payer<Item>, tokens: number): void {
    owner.counter = Math.max(0, owner.counter + tokens);
    if (owner.place >= 0) this.#settle(owner.place);
  }

  #payerOf(name: string): Payer<Item> {
    const known = this.#payers.get(name);
    if (known) return known;
    if (this.#payers.size >= PAYERS_MAX) this.#forget();
    const payer = { name, counter: 0, isAhead: false, line: new PayerLine<Item>(), place: -1 };
    this.#payers.set(name, payer);
    return payer;
  }

  /** Whoever is forgotten starts again as a newcomer: at the least counter, so nothing is gained. */
  #forget(): void {
    for (const [name, payer] of this.#payers) {
      if (payer.place >= 0) continue;
      this.#payers.delete(name);
      return;
    }
  }

  #leave(payer: Payer<Item>): void {
    const place = payer.place;
    const last = this.#heap.pop()!;
    payer.place = -1;
    // To the back of the order in which payers are forgotten.
    this.#payers.delete(payer.name);
    this.#payers.set(payer.name, payer);
    if (last === payer) return;
    this.#heap[place] = last;
    last.place = place;
    this.#settle(place);
  }

  #pop(): Payer<Item> {
    const first = this.#heap[0]!;
    const last = this.#heap.pop()!;
    first.place = -1;
    if (last !== first) {
      this.#heap[0] = last;
      last.place = 0;
      this.#settle(0);
    }
    return first;
  }

  #isAhead(one: Payer<Item>, other: Payer<Item>): boolean {
    return one.counter < other.counter || (one.counter === other.counter && one.line.first!.order < other.line.first!.order);
  }

  /** Moves the payer at a place up or down to where it belongs. */
  #settle(from: number): void {
    const heap = this.#heap;
    const payer = heap[from]!;
    let place = from;
    while (place > 0 && this.#isAhead(payer, heap[(place - 1) >> 1]!)) place = this.#move((place - 1) >> 1, place);
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && this.#isAhead(heap[below + 1]!, heap[below]!)) below++;
      if (!this.#isAhead(heap[below]!, payer)) break;
      place = this.#move(below, place);
    }
    heap[place] = payer;
    payer.place = place;
  }

  #move(from: number, to: number): number {
    this.#heap[to] = this.#heap[from]!;
    this.#heap[to]!.place = to;
    return from;
  }
}

const NOBODY: Ahead = { count: 0, cost: 0 };

/** A payer's line as it would go on from a counter. */
function turnsOf<Item>(line: PayerLine<Item>, counter: number): { counter: number; readonly turns: Generator<Waiting<Item>, undefined>; next: Waiting<Item> | undefined } {
  const turns = line.inTurn();
  return { counter, turns, next: turns.next().value };
}

/** Lines up to this length are counted, longer ones are reckoned by their mean: whoever stands behind so many waits anyway. */
const COUNTED_MAX = 256;

/** Of one payer's line, how many start while its counter is below another. */
function startingBelow({ line, counter }: Payer<unknown>, limit: number): number {
  const { size, cost } = line;
  if (counter > limit) return 0;
  if (counter + cost <= limit) return size;
  if (size > COUNTED_MAX) return Math.min(size, Math.ceil((size * (limit - counter)) / cost));
  let [count, before] = [0, counter];
  for (const entry of line.inTurn()) {
    if (before > limit) break;
    before += entry.cost;
    count++;
  }
  return count;
}
