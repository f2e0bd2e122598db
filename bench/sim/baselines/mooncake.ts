// Mooncake's conductor: the instance with the least predicted time to first token, and rejection on arrival of what would miss a target.
import { floorOf } from "../view.ts";
import { hasMemory, predictTpotMs } from "../../../relayer/lobby/predict.ts";
import type { Floor } from "../../../relayer/lobby/floor.ts";
import type { Job } from "../job.ts";
import type { Snapshot } from "../node.ts";
import type { Policy, PolicyKind, World } from "../policy.ts";

/**
 * Algorithm 1 of Qin et al., "Mooncake: Trading More Storage for Less Computation" (FAST'25): for each instance queue time plus prefill
 * time with its own cached prefix; the least wins; rejected where its TTFT or TBT would miss the target. Early rejection with
 * prediction (section 7): the time between tokens is that of the moment when this request decodes, under steady load. Here each
 * instance does both phases, so its own TBT counts, and instances that would miss it are left out before the least is taken; there is no
 * transfer of KV between nodes, so the balancing threshold has nothing to decide. It is given our own curves and predictor, and its
 * own requests in flight instead of stale reports.
 */
export const mooncake: PolicyKind = { name: "mooncake", hasAdmission: true, make: (world) => new Mooncake(world) };

class Mooncake implements Policy {
  readonly #world: World;
  readonly #floor: Floor<number>;
  readonly #cached: Int32Array;

  constructor(world: World) {
    this.#world = world;
    this.#floor = floorOf(world);
    this.#cached = new Int32Array(world.profiles.length);
  }

  arrived(job: Job, nowMs: number): void {
    this.#floor.mix.arrived(job.inputTokens);
    this.#world.cachedTokens(job, this.#cached);
    let [best, leastMs] = [-1, job.ttftTargetMs];
    for (const [node, model] of this.#floor.models.entries()) {
      if (!this.#world.fits(node, job) || this.#floor.runningOn(node) >= model.slots) continue;
      const load = this.#floor.loadOf(node, job.inputTokens);
      if (!hasMemory(model, load, this.#floor.mix) || predictTpotMs(model, load, this.#floor.mix) > job.tpotTargetMs) continue;
      const ttftMs = this.#floor.ttftMs(node, job.inputTokens, this.#cached[node]!, nowMs);
      if (ttftMs <= leastMs) [best, leastMs] = [node, ttftMs];
    }
    if (best < 0) return this.#world.refuse(job);
    this.#floor.sent(job.id, best, job.inputTokens, this.#cached[best]!, nowMs);
    this.#world.send(job, best);
  }

  attested(node: number, snapshot: Snapshot): void {
    this.#floor.attested(node, snapshot);
  }

  firstToken(job: Job, nowMs: number): void {
    this.#floor.firstToken(job.id, nowMs);
  }

  ended(job: Job, isDone: boolean, nowMs: number): void {
    this.#floor.ended(job.id, isDone ? job.outputTokens : null, nowMs);
  }
}
