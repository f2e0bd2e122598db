// SMG's least_load: drain time of queued and just sent tokens, and a barrier on memory.
import { Book } from "../book.ts";
import type { Job } from "../job.ts";
import type { Snapshot } from "../node.ts";
import type { Policy, PolicyKind, World } from "../policy.ts";

const KV_PRESSURE_SECONDS = 0.15;
const KV_USE_MAX = 0.999;
/** Where a node generates nothing. */
const DEFAULT_THROUGHPUT = 2_000;

/**
 * Least (queued + in-flight tokens) / throughput + 0.15 s * k / (1 - k), the argmin of all nodes: lightseekorg/smg,
 * model_gateway/src/policies/least_load.rs with its defaults. Queued tokens are the uncached ones that wait, in-flight tokens those sent
 * since the last report, throughput the generation rate of the last interval, k the use of KV memory up to 0.999. It admits everybody.
 */
export const smgLeastLoad: PolicyKind = { name: "smg_least_load", hasAdmission: false, make: (world) => new SmgLeastLoad(world) };

class SmgLeastLoad implements Policy {
  readonly #world: World;
  readonly #book: Book;
  readonly #sentTokens: Float64Array;
  readonly #last: (Snapshot | null)[];
  readonly #throughput: Float64Array;

  constructor(world: World) {
    this.#world = world;
    this.#book = new Book(world.profiles.length);
    this.#sentTokens = new Float64Array(world.profiles.length);
    this.#last = world.profiles.map(() => null);
    this.#throughput = new Float64Array(world.profiles.length).fill(DEFAULT_THROUGHPUT);
  }

  arrived(job: Job): void {
    let [best, leastScore] = [-1, Infinity];
    for (let node = 0; node < this.#sentTokens.length; node++) {
      if (!this.#world.fits(node, job)) continue;
      const score = this.#score(node);
      if (score < leastScore) [best, leastScore] = [node, score];
    }
    if (best < 0) return this.#world.refuse(job);
    this.#sentTokens[best]! += job.inputTokens;
    this.#book.sent(best);
    this.#world.send(job, best);
  }

  attested(node: number, snapshot: Snapshot): void {
    const last = this.#last[node];
    if (last && snapshot.atMs > last.atMs) {
      const perSecond = ((snapshot.outTokens - last.outTokens) * 1_000) / (snapshot.atMs - last.atMs);
      this.#throughput[node] = perSecond > 0 ? perSecond : DEFAULT_THROUGHPUT;
    }
    this.#last[node] = snapshot;
    this.#sentTokens[node] = 0;
  }

  #score(node: number): number {
    const last = this.#last[node];
    if (!last) return this.#book.inFlight[node]!;
    const use = Math.min(KV_USE_MAX, last.kvUsedTokens / this.#world.profiles[node]!.kvTokens);
    return (last.waitingTokens + this.#sentTokens[node]!) / this.#throughput[node]! + (KV_PRESSURE_SECONDS * use) / (1 - use);
  }

  ended(job: Job): void {
    this.#book.ended(job);
  }
}
