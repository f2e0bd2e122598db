// PolyServe's load gradient: the fullest server that still meets the targets, so that others stay empty.
import { floorOf } from "../view.ts";
import { hasMemory, predictTpotMs } from "../../../relayer/lobby/predict.ts";
import type { Floor } from "../../../relayer/lobby/floor.ts";
import type { Job } from "../job.ts";
import type { Snapshot } from "../node.ts";
import type { Policy, PolicyKind, World } from "../policy.ts";

/**
 * Zhu et al., "PolyServe: Efficient Multi-SLO Serving at Scale" (2025, arXiv:2507.17769): servers in order of load, the highest first; a
 * request goes to the first that is predicted to keep time to first token (its wait so far included) and time per token within target;
 * where none can, it waits, and is given up once no server could make it. There is one class of targets, hence one bin; the servers'
 * chunks are the engines' own. Prediction from the profile is our own curves and predictor.
 */
export const polyserve: PolicyKind = { name: "polyserve", hasAdmission: true, make: (world) => new PolyServe(world) };

class PolyServe implements Policy {
  readonly #world: World;
  readonly #floor: Floor<number>;
  readonly #cached: Int32Array;
  readonly #order: number[];
  #pending: Job[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#floor = floorOf(world);
    this.#cached = new Int32Array(world.profiles.length);
    this.#order = world.profiles.map((_, node) => node);
  }

  arrived(job: Job, nowMs: number): void {
    this.#floor.mix.arrived(job.inputTokens);
    if (!this.#place(job, nowMs)) this.#pending.push(job);
    this.#wakeForNext();
  }

  attested(node: number, snapshot: Snapshot): void {
    this.#floor.attested(node, snapshot);
  }

  firstToken(job: Job, nowMs: number): void {
    this.#floor.firstToken(job.id, nowMs);
    this.#retry(nowMs);
  }

  ended(job: Job, isDone: boolean, nowMs: number): void {
    this.#floor.ended(job.id, isDone ? job.outputTokens : null, nowMs);
    this.#retry(nowMs);
  }

  woken(nowMs: number): void {
    this.#retry(nowMs);
  }

  /** In order of arrival; those behind one that cannot be placed have no better chance, for all are of one bin. */
  #retry(nowMs: number): void {
    while (this.#pending.length > 0) {
      const job = this.#pending[0]!;
      if (nowMs >= job.deadlineMs) this.#world.refuse(job);
      else if (!this.#place(job, nowMs)) break;
      this.#pending.shift();
    }
    this.#wakeForNext();
  }

  #wakeForNext(): void {
    this.#world.wakeAt(this.#pending[0]?.deadlineMs ?? Infinity);
  }

  #place(job: Job, nowMs: number): boolean {
    const { inFlight, models, mix } = this.#floor;
    const leftMs = job.deadlineMs - nowMs;
    const fullness = models.map((model, node) => predictTpotMs(model, this.#floor.loadOf(node), mix));
    // Idle servers are all alike to the gradient; of those the quickest is opened first.
    this.#order.sort((one, other) => Number(inFlight[other]! > 0) - Number(inFlight[one]! > 0)
      || (inFlight[one]! > 0 ? fullness[other]! - fullness[one]! : models[one]!.curve.bNs - models[other]!.curve.bNs) || one - other);
    this.#world.cachedTokens(job, this.#cached);
    const found = this.#order.find((node) => {
      const model = models[node]!;
      const load = this.#floor.loadOf(node, job.inputTokens);
      return this.#world.fits(node, job) && this.#floor.runningOn(node) < model.slots && hasMemory(model, load, mix) && predictTpotMs(model, load, mix) <= job.tpotTargetMs
        && this.#floor.ttftMs(node, job.inputTokens, this.#cached[node]!, nowMs) <= leftMs;
    });
    if (found === undefined) return false;
    this.#floor.sent(job.id, found, job.inputTokens, this.#cached[found]!, nowMs);
    this.#world.send(job, found);
    return true;
  }
}
