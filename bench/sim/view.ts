// What predicting policies share: nodes as the relayer's predictor sees them, own work in flight, and what requests are like.
import { Book } from "./book.ts";
import type { Job } from "./job.ts";
import type { Snapshot } from "./node.ts";
import type { NodeProfile } from "./profiles.ts";
import type { World } from "./policy.ts";
import { ReadClock, readMs } from "../../relayer/lobby/readClock.ts";
import { Pace } from "../../relayer/lobby/pace.ts";
import { SizeMix } from "../../relayer/lobby/sizeMix.ts";
import { grownTokens, type NodeLoad, type NodeModel } from "../../relayer/lobby/predict.ts";

/** The curve as a node attests it. */
export const modelOf = (profile: NodeProfile): NodeModel => ({
  curve: {
    aNs: Math.round(profile.a * 1e6), bNs: Math.round(profile.b * 1e6), cNs: Math.round(profile.c * 1e6), dNs: Math.round(profile.d * 1e6), ePs: Math.round(profile.e * 1e9),
  },
  slots: profile.batchLimit, kvTokens: profile.kvTokens, chunkTokens: profile.chunkTokens,
});

/** What a relayer had on a node at a moment. */
interface Held {
  readonly atMs: number;
  readonly inFlight: number;
  readonly unreadTokens: number;
}

/** Load that other relayers have put on a node, by its last attestation less what was the relayer's own then. */
interface Others {
  readonly running: number;
  readonly unreadTokens: number;
}

const NOBODY: Others = { running: 0, unreadTokens: 0 };

/** Nodes with the load that the relayer itself has put on them, known at once, and that of others, as old as attestations are. */
export class OwnView {
  readonly models: readonly NodeModel[];
  readonly book: Book;
  readonly mix = new SizeMix();
  readonly #clocks: readonly ReadClock[];
  readonly #others: Others[];
  /** Own load since the last attestation but one, for the moment at which the next one was made. */
  readonly #held: Held[][];
  readonly #paces: readonly Pace[];
  /** When the first token was predicted to come, and with which pace, by request. */
  readonly #predicted = new Map<number, { readonly atMs: number; readonly pace: number }>();
  /** Prompt tokens of each request in flight that its node need not read. */
  readonly #cached = new Map<number, number>();

  constructor(world: World) {
    this.models = world.profiles.map(modelOf);
    this.book = new Book(world.profiles.length);
    this.#clocks = world.profiles.map(() => new ReadClock());
    this.#paces = world.profiles.map(() => new Pace());
    this.#others = world.profiles.map(() => NOBODY);
    this.#held = world.profiles.map(() => []);
  }

  /** @param more one more request like this */
  loadOf(node: number, more: Job | null = null): NodeLoad {
    const others = this.#others[node]!.running;
    const running = this.book.inFlight[node]! + others + (more ? 1 : 0);
    return { running, contextTokens: this.book.inputTokens[node]! + others * this.mix.inputTokens + (more?.inputTokens ?? 0) + running * grownTokens(this.mix) };
  }

  /** Sequences on a node, everybody's. */
  runningOn(node: number): number {
    return this.book.inFlight[node]! + this.#others[node]!.running;
  }

  /** Time until a node has read the prompts that it was sent, by whomever. */
  aheadMs(node: number, nowMs: number): number {
    const { unreadTokens } = this.#others[node]!;
    const othersMs = unreadTokens === 0 ? 0 : readMs(this.models[node]!, this.loadOf(node), unreadTokens, (unreadTokens * this.mix.inputSquared) / this.mix.inputTokens);
    return this.#clocks[node]!.aheadMs(nowMs) + othersMs;
  }

  attested(node: number, snapshot: Snapshot): void {
    const held = this.#held[node]!;
    let then = 0;
    while (then + 1 < held.length && held[then + 1]!.atMs <= snapshot.atMs) then++;
    held.splice(0, then);
    const own = held[0] && held[0].atMs <= snapshot.atMs ? held[0] : { inFlight: 0, unreadTokens: 0 };
    this.#others[node] = {
      running: Math.max(0, snapshot.running + snapshot.waiting - own.inFlight), unreadTokens: Math.max(0, snapshot.queuedTokens - own.unreadTokens),
    };
  }

  #hold(node: number, nowMs: number): void {
    this.#held[node]!.push({ atMs: nowMs, inFlight: this.book.inFlight[node]!, unreadTokens: this.book.prefillTokens[node]! });
  }

  /** How much slower than it says a node has proved to be. */
  pace(node: number, nowMs: number): number {
    return this.#paces[node]!.factor(nowMs);
  }

  /** When the first token of a request in flight was predicted to come; Infinity where it came. */
  predictedMs(job: Job): number {
    return this.#predicted.get(job.id)?.atMs ?? Infinity;
  }

  /** From now to the first token, were the request sent to the node. */
  ttftMs(node: number, job: Job, cachedTokens: number, nowMs: number): number {
    const cached = Math.min(cachedTokens, job.inputTokens - 1);
    return this.aheadMs(node, nowMs) + this.pace(node, nowMs) * readMs(this.models[node]!, this.loadOf(node), job.inputTokens - cached, job.inputTokens ** 2 - cached ** 2);
  }

  sent(job: Job, node: number, cachedTokens: number, nowMs: number): void {
    const cached = Math.min(cachedTokens, job.inputTokens - 1);
    this.#predicted.set(job.id, { atMs: nowMs + this.ttftMs(node, job, cachedTokens, nowMs), pace: this.pace(node, nowMs) });
    this.#clocks[node]!.sent(this.models[node]!, this.loadOf(node), this.pace(node, nowMs), job.inputTokens - cached, job.inputTokens ** 2 - cached ** 2, nowMs);
    if (cached > 0) this.#cached.set(job.id, cached);
    this.book.sent(job, node);
    this.#hold(node, nowMs);
  }

  firstToken(job: Job, nowMs: number): void {
    this.book.firstToken(job);
    const { atMs, pace } = this.#predicted.get(job.id)!;
    this.#paces[job.node]!.observe(nowMs - job.sentMs, atMs - job.sentMs, pace, nowMs);
    this.#read(job, nowMs);
    this.#hold(job.node, nowMs);
  }

  ended(job: Job, isDone: boolean, nowMs: number): void {
    this.book.ended(job);
    if (job.firstMs < 0) this.#read(job, nowMs);
    this.#hold(job.node, nowMs);
    if (isDone) this.mix.finished(job.inputTokens, job.outputTokens);
  }

  #read(job: Job, nowMs: number): void {
    const cached = this.#cached.get(job.id) ?? 0;
    this.#cached.delete(job.id);
    this.#predicted.delete(job.id);
    this.#clocks[job.node]!.done(this.models[job.node]!, this.loadOf(job.node), this.pace(job.node, nowMs), job.inputTokens - cached, job.inputTokens ** 2 - cached ** 2, nowMs);
  }
}
