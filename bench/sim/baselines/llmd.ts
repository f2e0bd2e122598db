// llm-d's endpoint picker: leave out the saturated, score the rest, draw by score; hold requests back while the pool is saturated.
import type { Job } from "../job.ts";
import type { Snapshot } from "../node.ts";
import type { Policy, PolicyKind, World } from "../policy.ts";

/** DefaultQueueDepthThreshold and DefaultKVCacheUtilThreshold of the utilization detector. */
const QUEUE_DEPTH = 5;
const KV_USE = 0.8;
/** Weights of the reference configuration's scorers. */
const [QUEUE_WEIGHT, KV_WEIGHT, PREFIX_WEIGHT] = [2, 2, 3] as const;

/**
 * A node's saturation is max(waiting / 5, KV use / 0.8). Nodes at 1 and above are left out (all are taken where none is below); the
 * rest score 2 x (queue, normalised over the nodes) + 2 x (1 - KV use) + 3 x (cached part of the prompt), and one is drawn by weight.
 * With flow control on, requests wait in order while the mean saturation of the pool is 1 or more:
 * kubernetes-sigs/gateway-api-inference-extension (pkg/epp: flowcontrol, saturationdetector, weighted-random-picker) and llm-d's
 * configuration. Flow control has no time limit of its own; here one is set to the request's target, so that it does not serve the late.
 */
export const llmd: PolicyKind = { name: "llm_d", hasAdmission: true, make: (world) => new LlmD(world) };

class LlmD implements Policy {
  readonly #world: World;
  readonly #waiting: Int32Array;
  readonly #kvUse: Float64Array;
  readonly #cached: Int32Array;
  #saturation = 0;
  #queue: Job[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#waiting = new Int32Array(world.profiles.length);
    this.#kvUse = new Float64Array(world.profiles.length);
    this.#cached = new Int32Array(world.profiles.length);
  }

  arrived(job: Job, nowMs: number): void {
    if (!this.#world.profiles.some((_, node) => this.#world.fits(node, job))) return this.#world.refuse(job);
    this.#queue.push(job);
    this.#dispatch(nowMs);
  }

  attested(node: number, snapshot: Snapshot, nowMs: number): void {
    this.#saturation -= this.#saturationOf(node) / this.#waiting.length;
    this.#waiting[node] = snapshot.waiting;
    this.#kvUse[node] = snapshot.kvUsedTokens / this.#world.profiles[node]!.kvTokens;
    this.#saturation += this.#saturationOf(node) / this.#waiting.length;
    this.#dispatch(nowMs);
  }

  #saturationOf(node: number): number {
    return Math.max(this.#waiting[node]! / QUEUE_DEPTH, this.#kvUse[node]! / KV_USE);
  }

  #dispatch(nowMs: number): void {
    if (this.#queue.length === 0) return;
    for (const late of this.#queue.filter((job) => job.deadlineMs < nowMs)) this.#world.refuse(late);
    this.#queue = this.#queue.filter((job) => job.deadlineMs >= nowMs);
    if (this.#saturation >= 1) return;
    const released = this.#queue;
    this.#queue = [];
    for (const job of released) this.#world.send(job, this.#pick(job));
  }

  #pick(job: Job): number {
    const fitting = [...this.#waiting.keys()].filter((node) => this.#world.fits(node, job));
    const open = fitting.filter((node) => this.#saturationOf(node) < 1);
    const nodes = open.length > 0 ? open : fitting;
    this.#world.cachedTokens(job, this.#cached);
    const depths = nodes.map((node) => this.#waiting[node]!);
    const [least, most] = [Math.min(...depths), Math.max(...depths)];
    const scores = nodes.map((node) =>
      QUEUE_WEIGHT * (most === least ? 1 : (most - this.#waiting[node]!) / (most - least)) + KV_WEIGHT * Math.max(0, 1 - this.#kvUse[node]!)
      + PREFIX_WEIGHT * Math.min(1, this.#cached[node]! / job.inputTokens));
    let ticket = this.#world.random.uniform() * scores.reduce((sum, one) => sum + one, 0);
    const drawn = scores.findIndex((score) => (ticket -= score) < 0);
    return nodes[drawn < 0 ? nodes.length - 1 : drawn]!;
  }
}
