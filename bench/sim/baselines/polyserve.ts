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
 * where none can, it waits until one can, stopping nobody behind it, and is given up at its deadline. There is one class of targets, hence one bin; the servers'
 * chunks are the engines' own. Prediction from the profile is our own curves and predictor.
 */
export const polyserve: PolicyKind = { name: "polyserve", hasAdmission: true, make: (world) => new PolyServe(world) };

class PolyServe implements Policy {
  readonly #world: World;
  readonly #floor: Floor<number>;
  readonly #order: number[];
  #pending: Job[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#floor = floorOf(world);
    this.#order = world.profiles.map((_, node) => node);
  }

  arrived(job: Job, nowMs: number): void {
    if (!this.#world.profiles.some((_, node) => this.#world.fits(node, job))) return this.#world.refuse(job);
    this.#floor.mix.arrived(job.inputTokens);
    if (!this.#placeAnywhere(job, nowMs)) this.#pending.push(job);
    this.#wakeForNext();
  }

  attested(node: number, snapshot: Snapshot, nowMs: number): void {
    this.#floor.attested(node, snapshot);
    this.#refill(node, nowMs);
  }

  firstToken(job: Job, nowMs: number): void {
    this.#floor.firstToken(job.id, nowMs);
    this.#refill(job.node, nowMs);
  }

  ended(job: Job, isDone: boolean, nowMs: number): void {
    this.#floor.ended(job.id, isDone ? job.outputTokens : null, nowMs);
    this.#refill(job.node, nowMs);
  }

  woken(nowMs: number): void {
    const late = this.#pending.filter((job) => job.deadlineMs <= nowMs);
    this.#pending = this.#pending.filter((job) => job.deadlineMs > nowMs);
    for (const job of late) this.#world.refuse(job);
    this.#wakeForNext();
  }

  /** Those that wait were refused by every server; only the one that has changed is asked anew, for each of them in order of arrival. */
  #refill(node: number, nowMs: number): void {
    if (this.#pending.length === 0 || !this.#hasRoom(node, 1, this.#pending[0]!.tpotTargetMs)) return;
    this.#pending = this.#pending.filter((job) => !this.#canServe(node, job, nowMs) || !this.#send(job, node, nowMs));
    this.#wakeForNext();
  }

  #wakeForNext(): void {
    this.#world.wakeAt(this.#pending.reduce((least, job) => Math.min(least, job.deadlineMs), Infinity));
  }

  #placeAnywhere(job: Job, nowMs: number): boolean {
    const { inFlight, models, mix } = this.#floor;
    const fullness = models.map((model, node) => predictTpotMs(model, this.#floor.loadOf(node), mix));
    // Idle servers are all alike to the gradient; of those the quickest is opened first.
    this.#order.sort((one, other) => Number(inFlight[other]! > 0) - Number(inFlight[one]! > 0)
      || (inFlight[one]! > 0 ? fullness[other]! - fullness[one]! : models[one]!.curve.bNs - models[other]!.curve.bNs) || one - other);
    const found = this.#order.find((node) => this.#canServe(node, job, nowMs));
    return found !== undefined && this.#send(job, found, nowMs);
  }

  #canServe(node: number, job: Job, nowMs: number): boolean {
    return this.#world.fits(node, job) && this.#hasRoom(node, job.inputTokens, job.tpotTargetMs)
      && this.#floor.ttftMs(node, job.inputTokens, this.#world.cachedTokensOn(job, node), nowMs) <= job.deadlineMs - nowMs;
  }

  #hasRoom(node: number, inputTokens: number, tpotTargetMs: number): boolean {
    const { models, mix } = this.#floor;
    const model = models[node]!;
    const load = this.#floor.loadOf(node, inputTokens);
    return this.#floor.runningOn(node) < model.slots && hasMemory(model, load, mix) && predictTpotMs(model, load, mix) <= tpotTargetMs;
  }

  #send(job: Job, node: number, nowMs: number): boolean {
    this.#floor.sent(job.id, node, job.inputTokens, this.#world.cachedTokensOn(job, node), nowMs);
    this.#world.send(job, node);
    return true;
  }
}
