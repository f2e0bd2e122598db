// A request inside an engine, and the order in which running ones finish.
import type { Job } from "./job.ts";

/** What the engine keeps of one request. */
export class Sequence {
  readonly job: Job;
  /** Prompt tokens to have in the cache before the next output token: after a preemption the output so far is part of them. */
  promptTokens: number;
  prefilledTokens = 0;
  /** Output tokens still to come. */
  remainingTokens: number;
  /** Of this iteration. */
  chunkTokens = 0;
  /** Leading blocks of the prompt that are held in the prefix cache. */
  heldBlocks = 0;
  /** Tokens of cache that no other sequence shares; those of decoding ones grow with the node's tick, see `bornTick`. */
  privateTokens = 0;
  /** The node's decode tick when this sequence began to decode; -1 before. */
  bornTick = -1;
  /** The decode tick at which the last token comes. */
  finishTick = 0;
  isRunning = false;

  constructor(job: Job) {
    this.job = job;
    this.promptTokens = job.inputTokens;
    this.remainingTokens = job.outputTokens;
  }
}

/** Decoding sequences by the tick at which they finish; those that left early are skipped when they come up. */
export class FinishOrder {
  readonly #heap: Sequence[] = [];

  /** Infinity where none decodes. */
  get nextTick(): number {
    this.#dropGone();
    return this.#heap.length === 0 ? Infinity : this.#heap[0]!.finishTick;
  }

  push(sequence: Sequence): void {
    const heap = this.#heap;
    let place = heap.length;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!before(sequence, heap[above]!)) break;
      heap[place] = heap[above]!;
      place = above;
    }
    heap[place] = sequence;
  }

  /** @returns one that finishes at the tick or earlier, or null */
  pop(tick: number): Sequence | null {
    return this.nextTick <= tick ? this.#take() : null;
  }

  #dropGone(): void {
    while (this.#heap.length > 0 && this.#heap[0]!.bornTick < 0) this.#take();
  }

  #take(): Sequence {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && before(heap[below + 1]!, heap[below]!)) below++;
      if (!before(heap[below]!, last)) break;
      heap[place] = heap[below]!;
      place = below;
    }
    heap[place] = last;
    return first;
  }
}

const before = (one: Sequence, other: Sequence): boolean => one.finishTick < other.finishTick || (one.finishTick === other.finishTick && one.job.id < other.job.id);
