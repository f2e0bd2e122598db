// NVIDIA Dynamo's KV router: blocks to prefill plus blocks in decode, overlap with the cache taken off, a queue in front.
import { PrefixIndex } from "../prefixCache.ts";
import { BLOCK_TOKENS as SHARED_BLOCK_TOKENS } from "../trace.ts";
import type { Job } from "../job.ts";
import type { Policy, PolicyKind, World } from "../policy.ts";

const BLOCK_TOKENS = 16;
/** --router-kv-overlap-score-credit and --router-prefill-load-scale. */
const OVERLAP_CREDIT = 1;
const PREFILL_SCALE = 1;
/** --router-queue-threshold: above so many times an engine's batched tokens in unread prompts on every node, requests wait. */
const QUEUE_THRESHOLD = 4;

/**
 * cost = prefill blocks (unread ones and this prompt's, each less what was cached when it was sent) + decode blocks (of all sequences, this
 * one included; what they share counts once). Its softmax over costs has a temperature of 0 by default: the least is chosen, ties by lot.
 * While every node has more unread prompt tokens than 4 x its batch budget, requests wait in one queue, first come, first served, without
 * limit of time: ai-dynamo/dynamo, docs "Router configuration and tuning", lib/kv-router/src/sequences (what is counted) and
 * KvRouterConfig's defaults (overlap credit 1, temperature 0, queue threshold 4.0, fcfs, output blocks not tracked).
 */
export const dynamo: PolicyKind = { name: "dynamo", hasAdmission: true, make: (world) => new Dynamo(world) };

class Dynamo implements Policy {
  readonly #world: World;
  readonly #book: Sequences;
  readonly #cached: Int32Array;
  readonly #shared: Int32Array;
  readonly #costs: Float64Array;
  #queue: Job[] = [];
  #head = 0;

  constructor(world: World) {
    this.#world = world;
    this.#book = new Sequences(world.profiles.length);
    this.#cached = new Int32Array(world.profiles.length);
    this.#shared = new Int32Array(world.profiles.length);
    this.#costs = new Float64Array(world.profiles.length);
  }

  arrived(job: Job): void {
    if (!this.#world.profiles.some((_, node) => this.#world.fits(node, job))) return this.#world.refuse(job);
    this.#queue.push(job);
    this.#release();
  }

  firstToken(job: Job): void {
    this.#book.firstToken(job);
    this.#release();
  }

  ended(job: Job): void {
    this.#book.ended(job);
    this.#release();
  }

  #release(): void {
    while (this.#head < this.#queue.length && !this.#areAllBusy(this.#queue[this.#head]!)) {
      const job = this.#queue[this.#head++]!;
      const node = this.#choose(job);
      this.#book.sent(job, node, this.#cached[node]!);
      this.#world.send(job, node);
    }
    if (this.#head > 1_024) [this.#queue, this.#head] = [this.#queue.slice(this.#head), 0];
  }

  #areAllBusy(job: Job): boolean {
    return this.#world.profiles.every((profile, node) => !this.#world.fits(node, job) || this.#book.unreadTokens[node]! > QUEUE_THRESHOLD * profile.chunkTokens);
  }

  #choose(job: Job): number {
    const { random } = this.#world;
    this.#world.cachedTokens(job, this.#cached);
    this.#book.sharedTokens(job, this.#shared);
    let [best, ties] = [-1, 0];
    for (let node = 0; node < this.#costs.length; node++) {
      this.#costs[node] = this.#world.fits(node, job) ? this.#cost(job, node) : Infinity;
      if (this.#costs[node]! === Infinity) continue;
      const ahead = best < 0 ? -1 : this.#costs[node]! - this.#costs[best]!;
      if (ahead < 0) [best, ties] = [node, 1];
      else if (ahead === 0 && random.below(++ties) === 0) best = node;
    }
    return best;
  }

  #cost(job: Job, node: number): number {
    const prefillTokens = this.#book.unreadTokens[node]! + job.inputTokens - OVERLAP_CREDIT * this.#cached[node]!;
    const decodeTokens = this.#book.activeTokens[node]! + job.inputTokens - this.#shared[node]!;
    return PREFILL_SCALE * Math.ceil(prefillTokens / BLOCK_TOKENS) + Math.ceil(decodeTokens / BLOCK_TOKENS);
  }
}

/** What was sent and has not ended, as Dynamo counts it: unread prompts without what was cached, memory with each shared block once. */
class Sequences {
  readonly unreadTokens: Float64Array;
  readonly activeTokens: Float64Array;
  readonly #unread = new Map<number, number>();
  /** Of each node, by how many of its sequences a block is used. */
  readonly #users: readonly Map<number, number>[];
  readonly #holders = new PrefixIndex();

  constructor(nodes: number) {
    this.unreadTokens = new Float64Array(nodes);
    this.activeTokens = new Float64Array(nodes);
    this.#users = Array.from({ length: nodes }, () => new Map());
  }

  /** Writes for each node how much of the prompt is in use there by other sequences already. */
  sharedTokens(job: Job, out: Int32Array): void {
    this.#holders.cachedTokens(job.blocks, job.blockOffset, out);
  }

  sent(job: Job, node: number, cachedTokens: number): void {
    const unread = job.inputTokens - cachedTokens;
    this.#unread.set(job.id, unread);
    this.unreadTokens[node]! += unread;
    this.activeTokens[node]! += ownTokens(job);
    for (const id of job.blocks ?? []) this.#use(id + job.blockOffset, node);
  }

  firstToken(job: Job): void {
    this.unreadTokens[job.node]! -= this.#unread.get(job.id) ?? 0;
    this.#unread.delete(job.id);
  }

  ended(job: Job): void {
    this.firstToken(job);
    this.activeTokens[job.node]! -= ownTokens(job);
    for (const id of job.blocks ?? []) this.#release(id + job.blockOffset, job.node);
  }

  #use(block: number, node: number): void {
    const users = this.#users[node]!.get(block) ?? 0;
    this.#users[node]!.set(block, users + 1);
    if (users > 0) return;
    this.#holders.add(block, node);
    this.activeTokens[node]! += SHARED_BLOCK_TOKENS;
  }

  #release(block: number, node: number): void {
    const users = this.#users[node]!.get(block)! - 1;
    if (users > 0) return void this.#users[node]!.set(block, users);
    this.#users[node]!.delete(block);
    this.#holders.remove(block, node);
    this.activeTokens[node]! -= SHARED_BLOCK_TOKENS;
  }
}

/** The part of a prompt that no other sequence can share. */
const ownTokens = (job: Job): number => job.inputTokens - (job.blocks?.length ?? 0) * SHARED_BLOCK_TOKENS;
