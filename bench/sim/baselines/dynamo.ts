// NVIDIA Dynamo's KV router: blocks to prefill plus blocks in decode, overlap with the cache taken off, a queue in front.
import { Book } from "../book.ts";
import type { Job } from "../job.ts";
import type { Policy, PolicyKind, World } from "../policy.ts";

const BLOCK_TOKENS = 16;
/** --router-kv-overlap-score-credit and --router-prefill-load-scale. */
const OVERLAP_CREDIT = 1;
const PREFILL_SCALE = 1;
/** --router-temperature: 0 takes the least, above that a softmax over costs that are normalised by their range. */
const TEMPERATURE = 0;
/** --router-queue-threshold: above so many times an engine's batched tokens in unread prompts on every node, requests wait. */
const QUEUE_THRESHOLD = 4;

/**
 * cost = prefill blocks (unread ones and this prompt's, less its overlap) + decode blocks (of all sequences, this one included); the
 * least is chosen, ties by lot. While every node has more unread prompt tokens than 4 x its batch budget, requests wait in one queue,
 * first come, first served, without limit of time: ai-dynamo/dynamo, docs "Router configuration and tuning" and KvRouterConfig's
 * defaults (overlap credit 1, temperature 0, queue threshold 4.0, fcfs, output blocks not tracked).
 */
export const dynamo: PolicyKind = { name: "dynamo", hasAdmission: true, make: (world) => new Dynamo(world) };

class Dynamo implements Policy {
  readonly #world: World;
  readonly #book: Book;
  readonly #cached: Int32Array;
  readonly #costs: Float64Array;
  #queue: Job[] = [];
  #head = 0;

  constructor(world: World) {
    this.#world = world;
    this.#book = new Book(world.profiles.length);
    this.#cached = new Int32Array(world.profiles.length);
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
      this.#book.sent(job, node);
      this.#world.send(job, node);
    }
    if (this.#head > 1_024) [this.#queue, this.#head] = [this.#queue.slice(this.#head), 0];
  }

  #areAllBusy(job: Job): boolean {
    return this.#world.profiles.every((profile, node) => !this.#world.fits(node, job) || this.#book.prefillTokens[node]! > QUEUE_THRESHOLD * profile.chunkTokens);
  }

  #choose(job: Job): number {
    const { random } = this.#world;
    this.#world.cachedTokens(job, this.#cached);
    let [best, ties] = [-1, 0];
    for (let node = 0; node < this.#costs.length; node++) {
      this.#costs[node] = this.#world.fits(node, job) ? this.#cost(job, node) : Infinity;
      if (this.#costs[node]! === Infinity) continue;
      const ahead = best < 0 ? -1 : this.#costs[node]! - this.#costs[best]!;
      if (ahead < 0) [best, ties] = [node, 1];
      else if (ahead === 0 && random.below(++ties) === 0) best = node;
    }
    return TEMPERATURE > 0 ? this.#soften(best) : best;
  }

  #cost(job: Job, node: number): number {
    const prefillTokens = this.#book.prefillTokens[node]! + job.inputTokens - OVERLAP_CREDIT * this.#cached[node]!;
    const decodeTokens = this.#book.inputTokens[node]! + job.inputTokens;
    return PREFILL_SCALE * Math.ceil(prefillTokens / BLOCK_TOKENS) + Math.ceil(decodeTokens / BLOCK_TOKENS);
  }

  #soften(best: number): number {
    const finite = this.#costs.filter(Number.isFinite);
    const range = Math.max(...finite) - this.#costs[best]!;
    const weights = this.#costs.map((cost) => (Number.isFinite(cost) ? Math.exp(-(cost - this.#costs[best]!) / Math.max(1e-9, range) / TEMPERATURE) : 0));
    let ticket = this.#world.random.uniform() * weights.reduce((sum, one) => sum + one, 0);
    return weights.findIndex((weight) => (ticket -= weight) < 0);
  }
}
