// One payer's line: fair between its conversations, and the earliest deadline first among those that are equally entitled.
//
//   conversation    served beyond its part    waits             the line
//   a chat          0                         c1, c2            c1, s1 (by deadline) · c2, b1, b2 ... (who is least beyond)
//   another         0                         s1
//   a batch         4,000 tokens              b1, b2, b3 ...
//
// The payer's virtual time grows with each start by what is started over the number of conversations that wait (weighted fair queueing:
// Demers, Keshav and Shenker 1989). What a conversation was served above it is how much it is beyond its part; whoever is not stands in
// order of deadline, so that a payer with one conversation, or with one request in each, sees nothing but deadlines.
import type { Millis } from "../../protocol/units.ts";

export interface Waiting<Item> {
  readonly item: Item;
  readonly payer: string;
  /** Of the payer's; the same word for turns of one conversation. */
  readonly conversation: string;
  /** Served tokens that starting it is charged with; what it turns out to cost more is charged later. */
  readonly cost: number;
  readonly deadlineMs: Millis;
  readonly sinceMs: Millis;
  /** Order of arrival: the tie-break among equal deadlines. */
  readonly order: number;
}

interface Conversation<Item> {
  readonly name: string;
  /** Tokens that were started of it, on the scale of the virtual time. */
  served: number;
  /** By deadline, then by arrival; never empty. */
  readonly waiting: Waiting<Item>[];
}

/** Of a conversation that is beyond its part, what is still to come. */
interface Turns<Item> {
  readonly waiting: readonly Waiting<Item>[];
  next: number;
  by: number;
}

/** Requests that start before another one, and what they cost together. */
export interface Ahead {
  readonly count: number;
  readonly cost: number;
}

/** Conversations with nothing waiting of which it is known that they are beyond their part; the longest known is forgotten first. */
const REMEMBERED_MAX = 256;

export class PayerLine<Item> {
  readonly #conversations = new Map<string, Conversation<Item>>();
  /** The same, by deadline and arrival of their first. */
  readonly #byFirst: Conversation<Item>[] = [];
  readonly #remembered = new Map<string, number>();
  #virtual = 0;
  #size = 0;
  #cost = 0;

  get size(): number {
    return this.#size;
  }

  /** Of all that wait. */
  get cost(): number {
    return this.#cost;
  }

  /** Who starts next. */
  get first(): Waiting<Item> | undefined {
    return this.#byFirst.length === 1 ? this.#byFirst[0]!.waiting[0] : this.inTurn().next().value;
  }

  push(entry: Waiting<Item>): void {
    const conversation = this.#conversations.get(entry.conversation) ?? this.#begin(entry.conversation);
    const { waiting } = conversation;
    let place = waiting.length;
    while (place > 0 && isBefore(entry, waiting[place - 1]!)) place--;
    waiting.splice(place, 0, entry);
    this.#size++;
    this.#cost += entry.cost;
    if (place === 0) this.#rank(conversation);
  }

  /** Counts one that starts for its conversation; it is taken out by `remove`. */
  started(entry: Waiting<Item>): void {
    const conversation = this.#conversations.get(entry.conversation)!;
    conversation.served = Math.max(conversation.served, this.#virtual) + entry.cost;
    this.#virtual += entry.cost / this.#byFirst.length;
  }

  /** @returns false where it was not in the line */
  remove(entry: Waiting<Item>): boolean {
    const conversation = this.#conversations.get(entry.conversation);
    const place = conversation?.waiting.indexOf(entry) ?? -1;
    if (!conversation || place < 0) return false;
    conversation.waiting.splice(place, 1);
    this.#size--;
    this.#cost = this.#size === 0 ? 0 : this.#cost - entry.cost;
    if (conversation.waiting.length === 0) this.#end(conversation);
    else if (place === 0) this.#rank(conversation);
    return true;
  }

  /** Everybody, in the order in which they would start if nobody came; nothing is taken out. */
  *inTurn(): Generator<Waiting<Item>, undefined> {
    if (this.#byFirst.length === 1) return yield* this.#byFirst[0]!.waiting;
    const beyond: Turns<Item>[] = [];
    for (const { waiting, served } of this.#byFirst) {
      const by = served - this.#virtual;
      if (by > 0) {
        beyond.push({ waiting, next: 0, by });
        continue;
      }
      yield waiting[0]!;
      if (waiting.length > 1) beyond.push({ waiting, next: 1, by: waiting[0]!.cost });
    }
    yield* inTurnOf(beyond);
  }

  /** Who would start before the next one of a conversation, if each took its cost. */
  aheadOf(name: string): Ahead {
    const own = this.#conversations.get(name);
    const limit = Math.max(0, (own?.served ?? this.#remembered.get(name) ?? 0) - this.#virtual) + (own ? costOf(own.waiting) : 0);
    let [count, cost] = [0, 0];
    for (const { name: other, waiting, served } of this.#byFirst) {
      let by = Math.max(0, served - this.#virtual);
      for (const entry of waiting) {
        if (other !== name && by > limit) break;
        by += entry.cost;
        cost += entry.cost;
        count++;
      }
    }
    return { count, cost };
  }

  /** Who comes back is lifted to the virtual time: staying away saves up nothing. */
  #begin(name: string): Conversation<Item> {
    const conversation = { name, served: Math.max(this.#virtual, this.#remembered.get(name) ?? 0), waiting: [] };
    this.#remembered.delete(name);
    this.#conversations.set(name, conversation);
    return conversation;
  }

  #end(conversation: Conversation<Item>): void {
    this.#conversations.delete(conversation.name);
    this.#byFirst.splice(this.#byFirst.indexOf(conversation), 1);
    // With nobody left there is nobody to be fair to.
    if (this.#size === 0) this.#remembered.clear();
    else if (conversation.served > this.#virtual) this.#remember(conversation);
  }

  #remember({ name, served }: Conversation<Item>): void {
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.delete(this.#remembered.keys().next().value!);
    this.#remembered.set(name, served);
  }

  /** Puts a conversation where its first belongs. */
  #rank(conversation: Conversation<Item>): void {
    const from = this.#byFirst.indexOf(conversation);
    if (from >= 0) this.#byFirst.splice(from, 1);
    let place = this.#byFirst.length;
    while (place > 0 && isBefore(conversation.waiting[0]!, this.#byFirst[place - 1]!.waiting[0]!)) place--;
    this.#byFirst.splice(place, 0, conversation);
  }
}

/** Who is least beyond its part is next: a binary heap, for a payer may have thousands of conversations and the line is looked at all the time. */
function* inTurnOf<Item>(heap: Turns<Item>[]): Generator<Waiting<Item>, undefined> {
  for (let place = (heap.length >> 1) - 1; place >= 0; place--) sink(heap, place);
  while (heap.length > 0) {
    const least = heap[0]!;
    const entry = least.waiting[least.next++]!;
    yield entry;
    least.by += entry.cost;
    if (least.next === least.waiting.length) {
      const last = heap.pop()!;
      if (heap.length > 0) heap[0] = last;
    }
    sink(heap, 0);
  }
}

function sink(heap: Turns<unknown>[], from: number): void {
  for (let place = from; ; ) {
    let below = 2 * place + 1;
    if (below >= heap.length) return;
    if (below + 1 < heap.length && isLess(heap[below + 1]!, heap[below]!)) below++;
    if (!isLess(heap[below]!, heap[place]!)) return;
    [heap[place], heap[below]] = [heap[below]!, heap[place]!];
    place = below;
  }
}

const isLess = (one: Turns<unknown>, other: Turns<unknown>): boolean => one.by < other.by || (one.by === other.by && isBefore(one.waiting[one.next]!, other.waiting[other.next]!));

const costOf = (waiting: readonly Waiting<unknown>[]): number => waiting.reduce((sum, one) => sum + one.cost, 0);

const isBefore = (one: Waiting<unknown>, other: Waiting<unknown>): boolean =>
  one.deadlineMs < other.deadlineMs || (one.deadlineMs === other.deadlineMs && one.order < other.order);
