// The discrete-event loop: arrivals, nodes' boundaries, attestations and policies' alarms in one order of time.
import { Agenda } from "./agenda.ts";
import { Job, type Targets } from "./job.ts";
import { idleSnapshot } from "./idleSnapshot.ts";
import { SimNode, type Snapshot } from "./node.ts";
import { PrefixIndex } from "./prefixCache.ts";
import { Random } from "./random.ts";
import type { Fleet, NodeProfile } from "./profiles.ts";
import type { Policy, PolicyKind, World } from "./policy.ts";
import type { Arrivals } from "./trace.ts";
import type { Presence } from "../../protocol/link.ts";

/**
 * stall: takes requests and never answers. slow: at a quarter of the stated speed. boast: the same, and attests that it is idle.
 * refuse: gives every request back, unsigned. overstate: states a curve a hundred times as fast as it is.
 */
export type Behaviour = "honest" | "stall" | "slow" | "boast" | "refuse" | "overstate";

const SLOWNESS = 4;
const OVERSTATED_TIMES = 100;

export interface SimulationOptions {
  readonly fleet: Fleet;
  readonly arrivals: Arrivals;
  readonly policy: PolicyKind;
  readonly seed: number;
  /** Targets of a trace row. */
  readonly targetsOf: (row: number) => Targets;
  /** Mean age of what a relayer knows of a node: attested every so often, half of that under way. 0: at every change of the node. */
  readonly attestationAgeMs: number;
  /** Independent relayers that share the fleet; requests come to each alike. */
  readonly relayers?: number;
  /** How much comes to each of them, relative to the others; by default to each alike. */
  readonly relayerParts?: readonly number[];
  readonly payerOf?: (id: number) => number;
  /** What clients declare as max_tokens, by trace row. */
  readonly maxOutTokensOf?: (row: number) => number;
  /** By default all are honest. Dishonest ones attest what honest ones would, but for those that boast. */
  readonly behaviourOf?: (node: number) => Behaviour;
  /** Slot use is sampled over windows of this length until `sampleUntilMs`. */
  readonly windowMs?: number;
  readonly sampleUntilMs?: number;
  /** Called every so many events with the simulated time. */
  readonly onProgress?: (nowMs: number) => void;
  /** The run ends here, whatever is still running; by default when all is done, and at the latest six hours after the last arrival. */
  readonly endMs?: number;
  /** Told each dispatch, those that come back or are taken back too. */
  readonly onSent?: (job: Job, node: number, nowMs: number) => void;
  /** Takes each job as it is over (done, failed or refused) in place of the list of all: for runs too long to keep. */
  readonly onOver?: (job: Job) => void;
}

export interface SimulationResult {
  /** By arrival; empty where `onOver` took them. */
  readonly jobs: readonly Job[];
  /** Of each window, each node's mean slot use as a part of its slots. */
  readonly slotUse: readonly Float64Array[];
  readonly endedAtMs: number;
  readonly events: number;
}

export const WINDOW_MS = 10_000;
const PROGRESS_EVERY = 1 << 16;
const DECLARED_OUT_TOKENS = 2_048;
const DRAIN_MS_MAX = 6 * 3_600_000;

/** The same options give the same result, event for event. */
export function simulate(options: SimulationOptions): SimulationResult {
  return new Simulation(options).run();
}

/** What a node says of itself, and whose requests it has. */
interface Told {
  readonly snapshot: Snapshot;
  readonly presences: readonly Presence[];
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #nodes: readonly SimNode[];
  /** The nodes as they put it. */
  readonly #stated: readonly NodeProfile[];
  readonly #index = new PrefixIndex();
  readonly #agenda: Agenda;
  readonly #relayers: readonly Policy[];
  readonly #jobs: Job[] = [];
  readonly #onTheWay: (Told | null)[];
  /** Of each node, the requests of each relayer there. */
  readonly #presences: readonly Int32Array[];
  readonly #slotUse: Float64Array[] = [];
  readonly #chooseRelayer: Random;
  #nowMs = 0;
  #events = 0;

  constructor(options: SimulationOptions) {
    const { fleet, policy, seed } = options;
    const relayers = options.relayers ?? 1;
    const random = new Random(seed);
    this.#options = options;
    const listener = {
      firstToken: (job: Job, nowMs: number): void => this.#firstToken(job, nowMs),
      ended: (job: Job, isDone: boolean, nowMs: number): void => this.#ended(job, isDone, nowMs),
    };
    this.#nodes = fleet.nodes.map((profile, i) => new SimNode(i, profile, this.#index, listener, ["slow", "boast"].includes(this.#behaviourOf(i)) ? SLOWNESS : 1));
    this.#stated = statedBy(fleet, (node) => this.#behaviourOf(node));
    this.#presences = fleet.nodes.map(() => new Int32Array(relayers));
    this.#onTheWay = fleet.nodes.map(() => null);
    // Slots: node boundaries, attestations, alarms of relayers, samples of slot use.
    this.#agenda = new Agenda(2 * fleet.nodes.length + relayers + 1);
    this.#chooseRelayer = random.fork("relayer");
    this.#relayers = Array.from({ length: relayers }, (_, i) => policy.make(this.#world(i, random.fork(`policy ${policy.name} ${i}`))));
    if (options.attestationAgeMs > 0) fleet.nodes.forEach((_, i) => this.#agenda.set(fleet.nodes.length + i, (options.attestationAgeMs * i) / fleet.nodes.length));
    if (this.#sampleUntilMs > 0) this.#agenda.set(this.#sampleSlot, this.#windowMs);
  }

  run(): SimulationResult {
    const { arrivals, onProgress } = this.#options;
    const total = arrivals.timeMs.length;
    const endMs = this.#options.endMs ?? (arrivals.timeMs[total - 1] ?? 0) + DRAIN_MS_MAX;
    let next = 0;
    let left = total;
    this.#onOver = (job) => {
      left--;
      this.#options.onOver?.(job);
    };
    while (left > 0) {
      const arrivalMs = next < total ? arrivals.timeMs[next]! : Infinity;
      const pendingMs = this.#agenda.nextMs;
      this.#nowMs = Math.min(arrivalMs, pendingMs);
      if (this.#nowMs > endMs || this.#nowMs === Infinity) break;
      if (++this.#events % PROGRESS_EVERY === 0) onProgress?.(this.#nowMs);
      if (arrivalMs <= pendingMs) this.#arrive(next++);
      else this.#happen(this.#agenda.nextSlot);
    }
    return { jobs: this.#jobs, slotUse: this.#slotUse, endedAtMs: this.#nowMs, events: this.#events };
  }

  #onOver: (job: Job) => void = () => {};

  get #windowMs(): number {
    return this.#options.windowMs ?? WINDOW_MS;
  }

  get #sampleUntilMs(): number {
    return this.#options.sampleUntilMs ?? 0;
  }

  get #sampleSlot(): number {
    return 2 * this.#nodes.length + this.#relayers.length;
  }

  #arrive(id: number): void {
    const { arrivals, targetsOf, maxOutTokensOf, payerOf } = this.#options;
    const relayer = this.#relayers.length === 1 ? 0 : this.#relayerOfNext();
    const job = new Job({ arrivals, id, targets: targetsOf(arrivals.row[id]!), maxOutTokens: maxOutTokensOf?.(arrivals.row[id]!) ?? DECLARED_OUT_TOKENS, payer: payerOf?.(id) ?? 0, relayer });
    if (!this.#options.onOver) this.#jobs.push(job);
    this.#relayers[relayer]!.arrived(job, this.#nowMs);
  }

  #relayerOfNext(): number {
    const { relayerParts } = this.#options;
    if (!relayerParts) return this.#chooseRelayer.below(this.#relayers.length);
    let ticket = this.#chooseRelayer.uniform() * relayerParts.reduce((sum, part) => sum + part, 0);
    return Math.max(0, relayerParts.findIndex((part) => (ticket -= part) < 0));
  }

  #happen(slot: number): void {
    const count = this.#nodes.length;
    if (slot < count) this.#stepNode(slot);
    else if (slot < 2 * count) this.#attest(slot - count);
    else if (slot < this.#sampleSlot) this.#wake(slot - 2 * count);
    else this.#sample();
  }

  #stepNode(node: number): void {
    this.#nodes[node]!.step(this.#nowMs);
    this.#agenda.set(node, this.#nodes[node]!.boundaryMs);
    if (this.#options.attestationAgeMs === 0) this.#deliver(node, this.#tell(node));
  }

  /** In turn: a picture is taken, and half an interval later it arrives. */
  #attest(node: number): void {
    const halfMs = this.#options.attestationAgeMs / 2;
    const onTheWay = this.#onTheWay[node];
    this.#agenda.set(this.#nodes.length + node, this.#nowMs + halfMs);
    this.#onTheWay[node] = onTheWay ? null : this.#tell(node);
    if (onTheWay) this.#deliver(node, onTheWay);
  }

  #tell(node: number): Told {
    const snapshot = this.#nodes[node]!.snapshot(this.#nowMs);
    const presences = this.#relayers.length === 1 ? [] : [...this.#presences[node]!].flatMap((running, relayer) => (running > 0 ? [{ party: String(relayer), running }] : []));
    return this.#behaviourOf(node) === "boast" ? { snapshot: idleSnapshot(snapshot.atMs), presences: [] } : { snapshot, presences };
  }

  #deliver(node: number, { snapshot, presences }: Told): void {
    for (const relayer of this.#relayers) relayer.attested?.(node, snapshot, this.#nowMs, presences);
  }

  #behaviourOf(node: number): Behaviour {
    return this.#options.behaviourOf?.(node) ?? "honest";
  }

  #wake(relayer: number): void {
    this.#agenda.set(2 * this.#nodes.length + relayer, Infinity);
    this.#relayers[relayer]!.woken?.(this.#nowMs);
  }

  #sample(): void {
    this.#slotUse.push(Float64Array.from(this.#nodes, (node) => node.takeSlotMs(this.#nowMs) / (this.#windowMs * node.profile.batchLimit)));
    this.#agenda.set(this.#sampleSlot, this.#nowMs + this.#windowMs <= this.#sampleUntilMs ? this.#nowMs + this.#windowMs : Infinity);
  }

  #firstToken(job: Job, nowMs: number): void {
    job.firstMs = nowMs;
    job.state = "first";
    this.#relayers[job.relayer]!.firstToken?.(job, nowMs);
  }

  #ended(job: Job, isDone: boolean, nowMs: number): void {
    job.endMs = nowMs;
    job.state = isDone ? "done" : "failed";
    if (job.node >= 0) this.#presences[job.node]![job.relayer]!--;
    this.#onOver(job);
    this.#relayers[job.relayer]!.ended?.(job, isDone, nowMs);
  }

  #world(relayer: number, random: Random): World {
    const { nodes } = this.#options.fleet;
    return {
      profiles: this.#stated, random, party: String(relayer),
      fits: (node, job) => job.inputTokens + job.maxOutTokens <= nodes[node]!.kvTokens,
      send: (job, node) => this.#send(job, node),
      refuse: (job) => this.#refuse(job),
      abandon: (job) => this.#abandon(job),
      wakeAt: (timeMs) => this.#agenda.set(2 * nodes.length + relayer, timeMs === Infinity ? Infinity : Math.max(timeMs, this.#nowMs)),
      cachedTokens: (job, out) => this.#index.cachedTokens(job.blocks, job.blockOffset, out),
      cachedTokensOn: (job, node) => this.#index.cachedTokensOn(job.blocks, job.blockOffset, node),
    };
  }

  #send(job: Job, node: number): void {
    if (job.state !== "offered") throw new Error(`job ${job.id} is sent a second time`);
    job.state = "sent";
    job.node = node;
    job.sentMs = this.#nowMs;
    this.#options.onSent?.(job, node, this.#nowMs);
    const behaviour = this.#behaviourOf(node);
    if (behaviour === "refuse") return this.#bounce(job);
    this.#presences[node]![job.relayer]!++;
    if (behaviour === "stall") return;
    this.#nodes[node]!.enqueue(job, this.#nowMs);
    this.#agenda.set(node, this.#nodes[node]!.boundaryMs);
  }

  /** The request is given back; a policy that does not know what to do with it has lost it. */
  #bounce(job: Job): void {
    const policy = this.#relayers[job.relayer]!;
    if (!policy.bounced) return this.#ended(job, false, this.#nowMs);
    job.state = "offered";
    policy.bounced(job, this.#nowMs);
  }

  /** Only what a stalled node holds can be taken back: what an engine works on will come. */
  #abandon(job: Job): boolean {
    if (job.state !== "sent" || this.#behaviourOf(job.node) !== "stall") return false;
    job.state = "offered";
    this.#presences[job.node]![job.relayer]!--;
    return true;
  }

  #refuse(job: Job): void {
    if (job.state !== "offered") throw new Error(`job ${job.id} is refused after it was ${job.state}`);
    job.state = "refused";
    this.#onOver(job);
  }
}

/** Policies tell kinds of nodes apart by their profile: those that overstate alike are of one kind too. */
function statedBy({ nodes }: Fleet, behaviourOf: (node: number) => Behaviour): NodeProfile[] {
  const faster = (one: NodeProfile): NodeProfile => ({
    ...one, a: one.a / OVERSTATED_TIMES, b: one.b / OVERSTATED_TIMES, e: one.e / OVERSTATED_TIMES, c: one.c / OVERSTATED_TIMES, d: one.d / OVERSTATED_TIMES,
  });
  const overstated = new Map([...new Set(nodes)].map((profile) => [profile, faster(profile)]));
  return nodes.map((profile, node) => (behaviourOf(node) === "overstate" ? overstated.get(profile)! : profile));
}
