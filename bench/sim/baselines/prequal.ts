// Prequal: probe a few, remember them a while, avoid the hot, and among the cold take the quickest.
import { drawFitting } from "./simple.ts";
import type { Job } from "../job.ts";
import type { Snapshot } from "../node.ts";
import type { Policy, PolicyKind, World } from "../policy.ts";

/** Constants of the paper's section 5 and its ablations. */
const PROBES_PER_QUERY = 3;
const POOL_SIZE = 16;
const REMOVED_PER_QUERY = 1;
const PROBE_AGE_MS_MAX = 1_000;
/** Requests in flight above this quantile of what probes told are hot. */
const HOT_QUANTILE = 2 ** -0.25;
const REUSE_DELTA = 1;
/** So many recent probes make the distribution of requests in flight. */
const RIF_REMEMBERED = 128;
const THRESHOLD_EVERY = 16;
/** So many recent answers of a node make its latency estimate. */
const LATENCIES_REMEMBERED = 32;
const LATENCIES_NEAR = 8;

interface Probe {
  readonly node: number;
  /** Raised for each query sent there since: the pool compensates for its own use. */
  rif: number;
  readonly latencyMs: number;
  readonly atMs: number;
  usesLeft: number;
}

/**
 * Wydrowski, Kleinberg, Rumble, Archer: "Load is not what you should balance: Introducing Prequal" (NSDI'24): asynchronous probes, a
 * pool of 16, 3 probes a query, hot-cold lexicographic choice with Q_RIF = 2^-0.25 (0.84), reuse by their equation 1 with delta 1,
 * one removal a query, oldest and worst in turn. A probe's answer is what the node attested last; the latency estimate is the median
 * of recent answers that began at about the same number of requests in flight. It admits everybody.
 */
export const prequal: PolicyKind = { name: "prequal", hasAdmission: false, make: (world) => new Prequal(world) };

class Prequal implements Policy {
  readonly #world: World;
  readonly #rif: Int32Array;
  readonly #latencies: { rif: number; ms: number }[][];
  readonly #rifAtStart = new Map<number, number>();
  readonly #reuse: number;
  #pool: Probe[] = [];
  /** A ring of what recent probes told. */
  readonly #recentRifs = new Int32Array(RIF_REMEMBERED);
  #probes = 0;
  #hotAbove = Infinity;
  #removesOldest = true;

  constructor(world: World) {
    const nodes = world.profiles.length;
    this.#world = world;
    this.#rif = new Int32Array(nodes);
    this.#latencies = world.profiles.map(() => []);
    const denominator = (1 - POOL_SIZE / nodes) * PROBES_PER_QUERY - REMOVED_PER_QUERY;
    this.#reuse = denominator > 0 ? Math.max(1, (1 + REUSE_DELTA) / denominator) : 1;
  }

  arrived(job: Job, nowMs: number): void {
    this.#pool = this.#pool.filter((probe) => nowMs - probe.atMs <= PROBE_AGE_MS_MAX && probe.usesLeft > 0);
    const node = this.#choose(job);
    if (node < 0) return this.#world.refuse(job);
    this.#removeOne();
    this.#rifAtStart.set(job.id, this.#rif[node]!);
    this.#world.send(job, node);
    // Answers of these probes come after the choice: they serve the queries that follow.
    for (let i = 0; i < PROBES_PER_QUERY; i++) this.#probe(this.#world.random.below(this.#world.profiles.length), nowMs);
  }

  attested(node: number, snapshot: Snapshot): void {
    this.#rif[node] = snapshot.running + snapshot.waiting;
  }

  ended(job: Job, _isDone: boolean, nowMs: number): void {
    const latencies = this.#latencies[job.node]!;
    latencies.push({ rif: this.#rifAtStart.get(job.id) ?? 0, ms: nowMs - job.sentMs });
    if (latencies.length > LATENCIES_REMEMBERED) latencies.shift();
    this.#rifAtStart.delete(job.id);
  }

  /** Cold before hot; of the cold the least latency, of the hot the fewest in flight. */
  #choose(job: Job): number {
    const usable = this.#pool.filter((probe) => this.#world.fits(probe.node, job));
    if (usable.length < 2) return drawFitting(this.#world, job);
    const cold = usable.filter((probe) => probe.rif <= this.#hotAbove);
    const best = cold.length > 0 ? least(cold, (probe) => probe.latencyMs) : least(usable, (probe) => probe.rif);
    best.rif++;
    best.usesLeft--;
    return best.node;
  }

  #probe(node: number, nowMs: number): void {
    const rif = Math.max(this.#rif[node]!, 0);
    this.#recentRifs[this.#probes++ % RIF_REMEMBERED] = rif;
    if (this.#probes % THRESHOLD_EVERY === 0 || this.#probes < THRESHOLD_EVERY) this.#hotAbove = this.#threshold();
    const whole = Math.floor(this.#reuse);
    const uses = whole + (this.#world.random.uniform() < this.#reuse - whole ? 1 : 0);
    if (this.#pool.length >= POOL_SIZE) this.#pool.shift();
    this.#pool.push({ node, rif, latencyMs: this.#latencyMs(node, rif), atMs: nowMs, usesLeft: uses });
  }

  /** In turn the oldest and the worst: the fullest hot one, or where none is hot the slowest. */
  #removeOne(): void {
    if (this.#pool.length === 0) return;
    const hot = this.#pool.filter((probe) => probe.rif > this.#hotAbove);
    const worst = this.#removesOldest ? this.#pool[0]! : hot.length > 0 ? least(hot, (probe) => -probe.rif) : least(this.#pool, (probe) => -probe.latencyMs);
    this.#removesOldest = !this.#removesOldest;
    this.#pool.splice(this.#pool.indexOf(worst), 1);
  }

  #threshold(): number {
    const sorted = this.#recentRifs.slice(0, Math.min(this.#probes, RIF_REMEMBERED)).sort();
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * HOT_QUANTILE))]!;
  }

  /** Median of the answers whose number in flight was nearest; 0 where none came yet, so that the unknown is tried. */
  #latencyMs(node: number, rif: number): number {
    const near = nearest(this.#latencies[node]!, rif);
    return near.sort((one, other) => one - other)[near.length >> 1] ?? 0;
  }
}

/** @returns the latencies of the few answers that began at the most similar number in flight, the newer first among equals */
function nearest(answers: readonly { readonly rif: number; readonly ms: number }[], rif: number): number[] {
  const near: { distance: number; ms: number }[] = [];
  for (let i = answers.length - 1; i >= 0; i--) {
    const distance = Math.abs(answers[i]!.rif - rif);
    if (near.length === LATENCIES_NEAR && distance >= near[near.length - 1]!.distance) continue;
    let place = near.length === LATENCIES_NEAR ? LATENCIES_NEAR - 1 : near.length;
    for (; place > 0 && near[place - 1]!.distance > distance; place--) near[place] = near[place - 1]!;
    near[place] = { distance, ms: answers[i]!.ms };
  }
  return near.map((one) => one.ms);
}

function least<Item>(items: readonly Item[], by: (item: Item) => number): Item {
  return items.reduce((best, item) => (by(item) < by(best) ? item : best));
}
