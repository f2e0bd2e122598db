// One simulated engine, iteration by iteration: continuous batching, chunked prefill, a limit on KV memory with preemption, a prefix cache.
//
//   waiting ──admit (slot, memory, budget)──▶ prefilling ──last chunk: a token──▶ decoding ──last token──▶ gone
//      ▲                                          │                                  │
//      └───────────── preempted: newest first, its work lost, back to the front ◀────┘
//
// Deep in a long prompt attention makes each token dearer: beside decoding sequences a chunk takes no more time than its budget would
// take at the prompt's beginning, as engines with adaptive chunks do it (Medha 2024, PolyServe's dynamic chunking).
//
// An iteration in which nothing joins or leaves differs from the one before only by the longer context, so a run of such iterations
// is one event of known length; an arrival that could be admitted cuts the run at the end of the iteration under way.
import { FinishOrder, Sequence } from "./sequence.ts";
import { PrefixCache, type PrefixIndex } from "./prefixCache.ts";
import { BLOCK_TOKENS } from "./trace.ts";
import type { Job } from "./job.ts";
import type { NodeProfile } from "./profiles.ts";

export interface NodeListener {
  firstToken(job: Job, nowMs: number): void;
  /** Finished, or failed because the sequence alone is greater than the memory. */
  ended(job: Job, isDone: boolean, nowMs: number): void;
}

/** What a node tells of itself, as of one moment. */
export interface Snapshot {
  readonly atMs: number;
  readonly running: number;
  readonly waiting: number;
  /** Prompt tokens not computed yet, of those waiting and those running. */
  readonly queuedTokens: number;
  /** Of those, the ones not admitted. */
  readonly waitingTokens: number;
  /** Used by running sequences; what is only kept for reuse counts as free. */
  readonly kvUsedTokens: number;
  /** Context of all decoding sequences. */
  readonly contextTokens: number;
  /** Output tokens since the node began. */
  readonly outTokens: number;
}

/** However large the batch, a prompt moves forward. */
const CHUNK_TOKENS_LEAST = 16;

export class SimNode {
  readonly profile: NodeProfile;
  readonly cache: PrefixCache;
  readonly #listener: NodeListener;
  /** Durations are multiplied by it: a node that is slower than it says. */
  readonly #slowness: number;
  readonly #finishing = new FinishOrder();
  /** In order of admission. */
  #prefilling: Sequence[] = [];
  /** First come, first served; `#waitingFrom` is the head. */
  #waiting: Sequence[] = [];
  #waitingFrom = 0;
  #waitingTokens = 0;
  /** All running ones in order of admission, with gaps of finished ones: preemption takes the newest. */
  #admitted: Sequence[] = [];
  #decoding = 0;
  /** Decode iterations so far: all decoding sequences step together. */
  #tick = 0;
  #contextTokens = 0;
  #privateTokens = 0;
  #outTokens = 0;
  // The run of iterations under way.
  #isBusy = false;
  #startMs = 0;
  #iterations = 0;
  #firstIterationMs = 0;
  #growthMs = 0;
  #hasChunks = false;
  #slotMs = 0;
  #slotSinceMs = 0;

  constructor(id: number, profile: NodeProfile, index: PrefixIndex, listener: NodeListener, slowness = 1) {
    this.profile = profile;
    this.cache = new PrefixCache(id, index);
    this.#listener = listener;
    this.#slowness = slowness;
  }

  get running(): number {
    return this.#decoding + this.#prefilling.length;
  }

  get waiting(): number {
    return this.#waiting.length - this.#waitingFrom;
  }

  /** End of the run of iterations under way; Infinity when idle. */
  get boundaryMs(): number {
    return this.#isBusy ? this.#startMs + this.#lastingMs(this.#iterations) : Infinity;
  }

  /** Hands a request to the engine; `boundaryMs` may change. */
  enqueue(job: Job, nowMs: number): void {
    const sequence = new Sequence(job);
    this.#waiting.push(sequence);
    this.#waitingTokens += sequence.promptTokens;
    if (!this.#isBusy) this.#plan(nowMs);
    else if (!this.#hasChunks && this.waiting === 1 && this.#fits(sequence)) this.#iterations = this.#iterationsUntil(nowMs);
  }

  /** Ends the run whose boundary is now, tells what came of it, and plans the next. */
  step(nowMs: number): void {
    this.#isBusy = false;
    this.#countSlots(nowMs);
    if (this.#decoding > 0) this.#decode(this.#iterations, nowMs);
    if (this.#hasChunks) this.#endChunks(nowMs);
    this.#plan(nowMs);
  }

  snapshot(nowMs: number): Snapshot {
    const past = this.#isBusy && !this.#hasChunks ? this.#iterationsBefore(nowMs) * this.#decoding : 0;
    const unread = this.#prefilling.reduce((sum, sequence) => sum + sequence.promptTokens - sequence.prefilledTokens, 0);
    return {
      atMs: nowMs, running: this.running, waiting: this.waiting, queuedTokens: this.#waitingTokens + unread, waitingTokens: this.#waitingTokens,
      kvUsedTokens: this.#kvUsedTokens + past, contextTokens: this.#contextTokens + past, outTokens: this.#outTokens + past,
    };
  }

  /** Slots in use, integrated over time since the last call, in slot milliseconds. */
  takeSlotMs(nowMs: number): number {
    this.#countSlots(nowMs);
    const slotMs = this.#slotMs;
    this.#slotMs = 0;
    return slotMs;
  }

  get #kvUsedTokens(): number {
    return this.#privateTokens + this.cache.usedTokens;
  }

  #countSlots(nowMs: number): void {
    this.#slotMs += this.running * (nowMs - this.#slotSinceMs);
    this.#slotSinceMs = nowMs;
  }

  // ---------------------------------------------------------------- planning

  /** Composes the next iteration: every decoding sequence, then chunks of prompts within the budget. */
  #plan(nowMs: number): void {
    this.#countSlots(nowMs);
    this.#makeRoom(nowMs);
    const { a, b, c, d, e, kvTokens } = this.profile;
    const [prefill, squares] = this.#chunks(nowMs);
    this.#hasChunks = prefill > 0;
    if (prefill === 0 && this.#decoding === 0) return;
    this.cache.shrinkIdle(kvTokens - this.#kvUsedTokens - this.#decoding);
    this.#isBusy = true;
    this.#startMs = nowMs;
    this.#firstIterationMs = (a + b * prefill + e * squares + c * this.#contextTokens + d * this.#decoding) * this.#slowness;
    this.#growthMs = c * this.#decoding * this.#slowness;
    this.#iterations = this.#hasChunks ? 1 : Math.max(1, Math.min(this.#finishing.nextTick - this.#tick, Math.floor((kvTokens - this.#kvUsedTokens) / this.#decoding)));
  }

  /** @returns prompt tokens of this iteration and the sum of their squares' growth */
  #chunks(nowMs: number): [prefill: number, squares: number] {
    const { b, e, chunkTokens } = this.profile;
    let budget = Math.max(CHUNK_TOKENS_LEAST, chunkTokens - this.#decoding);
    let budgetMs = b * budget;
    let [prefill, squares] = [0, 0];
    const take = (sequence: Sequence): void => {
      const from = sequence.prefilledTokens;
      const inTime = this.#decoding > 0 && e > 0 ? tokensWithin(budgetMs, b, e, from) : Infinity;
      sequence.chunkTokens = Math.min(budget, sequence.promptTokens - from, Math.max(CHUNK_TOKENS_LEAST, inTime));
      budget -= sequence.chunkTokens;
      budgetMs -= b * sequence.chunkTokens + e * ((from + sequence.chunkTokens) ** 2 - from ** 2);
      if (inTime !== Infinity && budgetMs <= 0) budget = 0;
      prefill += sequence.chunkTokens;
      squares += (from + sequence.chunkTokens) ** 2 - from ** 2;
    };
    for (const sequence of this.#prefilling) {
      sequence.chunkTokens = 0;
      if (budget > 0) take(sequence);
    }
    while (budget > 0 && this.waiting > 0) {
      const sequence = this.#waiting[this.#waitingFrom]!;
      if (sequence.promptTokens > this.profile.kvTokens) {
        this.#dequeue();
        this.#listener.ended(sequence.job, false, nowMs);
        continue;
      }
      if (!this.#fits(sequence)) break;
      this.#admit(sequence);
      take(sequence);
    }
    return [prefill, squares];
  }

  /** A free slot, and memory for the prompt and for one more token of everybody. */
  #fits(sequence: Sequence): boolean {
    if (this.running >= this.profile.batchLimit) return false;
    const { blocks, blockOffset } = sequence.job;
    const depth = this.cache.depth(blocks, blockOffset);
    const needed = sequence.promptTokens - depth * BLOCK_TOKENS + this.cache.idleTokensAmong(blocks, blockOffset, depth);
    return this.#kvUsedTokens + needed + this.#decoding <= this.profile.kvTokens;
  }

  #dequeue(): Sequence {
    const sequence = this.#waiting[this.#waitingFrom++]!;
    this.#waitingTokens -= sequence.promptTokens;
    if (this.#waitingFrom > 64 && this.#waitingFrom * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#waitingFrom);
      this.#waitingFrom = 0;
    }
    return sequence;
  }

  #admit(sequence: Sequence): void {
    this.#dequeue();
    const { blocks, blockOffset } = sequence.job;
    sequence.heldBlocks = this.cache.depth(blocks, blockOffset);
    for (let i = 0; i < sequence.heldBlocks; i++) this.cache.use(blocks![i]! + blockOffset);
    sequence.prefilledTokens = sequence.heldBlocks * BLOCK_TOKENS;
    sequence.privateTokens = sequence.promptTokens - sequence.prefilledTokens;
    sequence.isRunning = true;
    this.#privateTokens += sequence.privateTokens;
    this.#prefilling.push(sequence);
    this.#admitted.push(sequence);
    // What is only kept gives way at once.
    this.cache.shrinkIdle(Math.max(0, this.profile.kvTokens - this.#kvUsedTokens));
  }

  // ---------------------------------------------------------------- progress

  #decode(iterations: number, nowMs: number): void {
    this.#tick += iterations;
    const tokens = iterations * this.#decoding;
    this.#contextTokens += tokens;
    this.#privateTokens += tokens;
    this.#outTokens += tokens;
    for (let sequence = this.#finishing.pop(this.#tick); sequence !== null; sequence = this.#finishing.pop(this.#tick)) {
      this.#leave(sequence);
      this.#listener.ended(sequence.job, true, nowMs);
    }
  }

  #endChunks(nowMs: number): void {
    const done = this.#prefilling.filter((sequence) => (sequence.prefilledTokens += sequence.chunkTokens) >= sequence.promptTokens);
    if (done.length === 0) return;
    this.#prefilling = this.#prefilling.filter((sequence) => sequence.prefilledTokens < sequence.promptTokens);
    for (const sequence of done) {
      this.#keepBlocks(sequence);
      const isFirst = sequence.job.firstMs < 0;
      sequence.remainingTokens--;
      this.#outTokens++;
      if (sequence.remainingTokens === 0) this.#leave(sequence);
      else this.#beginDecoding(sequence);
      if (isFirst) this.#listener.firstToken(sequence.job, nowMs);
      if (sequence.remainingTokens === 0) this.#listener.ended(sequence.job, true, nowMs);
    }
  }

  #beginDecoding(sequence: Sequence): void {
    this.#decoding++;
    this.#contextTokens += sequence.promptTokens + 1;
    sequence.privateTokens++;
    this.#privateTokens++;
    sequence.bornTick = this.#tick;
    sequence.finishTick = this.#tick + sequence.remainingTokens;
    this.#finishing.push(sequence);
  }

  /** The prompt's full blocks become shareable. */
  #keepBlocks(sequence: Sequence): void {
    const { blocks, blockOffset } = sequence.job;
    if (blocks === null) return;
    while (sequence.heldBlocks < blocks.length && this.cache.insert(blocks[sequence.heldBlocks]! + blockOffset)) {
      sequence.heldBlocks++;
      sequence.privateTokens -= BLOCK_TOKENS;
      this.#privateTokens -= BLOCK_TOKENS;
    }
  }

  /** Gives back slot and memory; the deepest blocks will be evicted first. */
  #leave(sequence: Sequence): void {
    sequence.isRunning = false;
    this.#privateTokens -= sequence.privateTokens;
    if (sequence.bornTick >= 0) {
      const grown = this.#tick - sequence.bornTick;
      this.#decoding--;
      this.#privateTokens -= grown;
      this.#contextTokens -= sequence.promptTokens + 1 + grown;
      sequence.bornTick = -1;
    }
    const { blocks, blockOffset } = sequence.job;
    for (let i = sequence.heldBlocks - 1; i >= 0; i--) this.cache.release(blocks![i]! + blockOffset);
    if (this.#admitted.length > 2 * this.profile.batchLimit + 64) this.#admitted = this.#admitted.filter((one) => one.isRunning);
  }

  /** Preempts the newest until the next token of each decoding sequence has room. */
  #makeRoom(nowMs: number): void {
    while (this.#decoding > 0 && this.#kvUsedTokens + this.#decoding > this.profile.kvTokens) {
      let newest = this.#admitted.pop()!;
      while (!newest.isRunning) newest = this.#admitted.pop()!;
      const remaining = newest.bornTick < 0 ? newest.remainingTokens : newest.finishTick - this.#tick;
      const isAlone = this.running === 1;
      if (newest.bornTick < 0) this.#prefilling = this.#prefilling.filter((one) => one !== newest);
      this.#leave(newest);
      if (isAlone) this.#listener.ended(newest.job, false, nowMs);
      else this.#putBack(newest, remaining);
    }
  }

  /** A new sequence: the old one may still lie in the order of finishing. */
  #putBack(preempted: Sequence, remainingTokens: number): void {
    const again = new Sequence(preempted.job);
    again.promptTokens = preempted.job.inputTokens + preempted.job.outputTokens - remainingTokens;
    again.remainingTokens = remainingTokens;
    preempted.job.preemptions++;
    if (this.#waitingFrom > 0) this.#waiting[--this.#waitingFrom] = again;
    else this.#waiting.unshift(again);
    this.#waitingTokens += again.promptTokens;
  }

  // ---------------------------------------------------------------- time within a run

  /** n iterations of which each is longer than the one before by the same time. */
  #lastingMs(iterations: number): number {
    return iterations * this.#firstIterationMs + (this.#growthMs * iterations * (iterations - 1)) / 2;
  }

  /** Whole iterations that are over. */
  #iterationsBefore(nowMs: number): number {
    const elapsedMs = nowMs - this.#startMs;
    if (elapsedMs <= 0) return 0;
    const half = this.#growthMs / 2;
    const linear = this.#firstIterationMs - half;
    // The root of half n^2 + linear n = elapsed, in the form that does not cancel.
    let n = Math.floor((2 * elapsedMs) / (linear + Math.sqrt(linear * linear + 4 * half * elapsedMs)));
    while (n > 0 && this.#lastingMs(n) > elapsedMs) n--;
    while (this.#lastingMs(n + 1) <= elapsedMs) n++;
    return Math.min(n, this.#iterations);
  }

  /** The iteration under way included. */
  #iterationsUntil(nowMs: number): number {
    const over = this.#iterationsBefore(nowMs);
    return Math.min(this.#iterations, this.#startMs + this.#lastingMs(over) < nowMs || over === 0 ? over + 1 : over);
  }
}

/** Tokens n from a depth on with b n + e ((depth + n)^2 - depth^2) <= time. */
function tokensWithin(timeMs: number, b: number, e: number, depth: number): number {
  const linear = b + 2 * e * depth;
  return timeMs <= 0 ? 0 : Math.floor((2 * timeMs) / (linear + Math.sqrt(linear * linear + 4 * e * timeMs)));
}
