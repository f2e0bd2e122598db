// Our policy with lanes: generation and preprocessing have a lobby each, and every node serves one of the two at a time.
import { PLAIN, Tidelane } from "./tidelane.ts";
import { modelOf } from "./view.ts";
import { laneSpeeds } from "../../relayer/lobby/laneSpeeds.ts";
import { Lanes, LANES, type Lane, type LaneNode } from "../../relayer/lobby/lanes.ts";
import type { Job } from "./job.ts";
import type { NodeProfile } from "./profiles.ts";
import type { Policy, PolicyKind, World } from "./policy.ts";
import type { Snapshot } from "./node.ts";

const LOOK_EVERY_MS = 1_000;
const SPEEDS_EVERY_MS = 10_000;

/** A request that declares one output token is read and no more. */
export const laneOfJob = (job: Job): Lane => (job.maxOutTokens === 1 ? "prep" : "decode");

/** @param onSwitch told each node that changes over */
export const tidalLanes = (onSwitch: (node: number, nowMs: number) => void): PolicyKind => ({ name: "tidal_lanes", hasAdmission: true, make: (world) => new LanePolicy(world, new Tide(world, onSwitch)) });

/** @param laneOf by node, for good */
export const constantLanes = (laneOf: (node: number) => Lane): PolicyKind =>
  ({ name: "constant_lanes", hasAdmission: true, make: (world) => new LanePolicy(world, { first: world.profiles.map((_, node) => laneOf(node)), arrived: () => undefined, look: () => null }) });

/** Every node serves both lanes, each with a part of its slots for preprocessing, for good. */
export const constantSlots = (prepPartOf: (node: NodeProfile) => number): PolicyKind =>
  ({ name: "constant_slots", hasAdmission: true, make: (world) => new SlotPolicy(world, prepPartOf) });

/** One lobby for both; a request finds a node open while its lane has a slot there. */
class SlotPolicy implements Policy {
  readonly #desk: Tidelane;
  readonly #held: Readonly<Record<Lane, Int32Array>>;

  constructor(world: World, prepPartOf: (node: NodeProfile) => number) {
    const held = { decode: new Int32Array(world.profiles.length), prep: new Int32Array(world.profiles.length) };
    const prepSlots = world.profiles.map((node) => Math.min(node.batchLimit - 1, Math.max(1, Math.round(prepPartOf(node) * node.batchLimit))));
    const slotsOf = (lane: Lane, node: number): number => (lane === "prep" ? prepSlots[node]! : world.profiles[node]!.batchLimit - prepSlots[node]!);
    const send = (job: Job, node: number): void => {
      held[laneOfJob(job)][node]!++;
      world.send(job, node);
    };
    this.#held = held;
    this.#desk = new Tidelane({ ...world, send }, { ...PLAIN, hasSlot: (node, job) => held[laneOfJob(job)][node]! < slotsOf(laneOfJob(job), node) });
  }

  arrived(job: Job, nowMs: number): void {
    this.#desk.arrived(job, nowMs);
  }

  attested(node: number, snapshot: Snapshot, nowMs: number): void {
    this.#desk.attested(node, snapshot, nowMs);
  }

  firstToken(job: Job, nowMs: number): void {
    this.#desk.firstToken(job, nowMs);
  }

  ended(job: Job, isDone: boolean, nowMs: number): void {
    this.#held[laneOfJob(job)][job.node]!--;
    this.#desk.ended(job, isDone, nowMs);
  }

  bounced(job: Job, nowMs: number): void {
    this.#held[laneOfJob(job)][job.node]!--;
    this.#desk.bounced(job, nowMs);
  }

  woken(nowMs: number): void {
    this.#desk.woken(nowMs);
  }
}

/** Who says which lane a node serves. */
interface Division {
  readonly first: readonly Lane[];
  arrived(lane: Lane): void;
  /** @returns the lane of each node from now on; null where nothing changes */
  look(desks: Readonly<Record<Lane, Tidelane>>, nowMs: number): readonly Lane[] | null;
}

class LanePolicy implements Policy {
  readonly #world: World;
  readonly #division: Division;
  readonly #desks: Readonly<Record<Lane, Tidelane>>;
  readonly #laneOf: Lane[] = [];
  readonly #wakeAtMs: Record<Lane, number> = { decode: Infinity, prep: Infinity };
  #lookAtMs = 0;

  constructor(world: World, division: Division) {
    this.#world = world;
    this.#division = division;
    const deskOf = (lane: Lane): Tidelane => new Tidelane({ ...world, wakeAt: (timeMs) => this.#wake(lane, timeMs) }, PLAIN);
    this.#desks = { decode: deskOf("decode"), prep: deskOf("prep") };
    this.#give(division.first);
  }

  arrived(job: Job, nowMs: number): void {
    const lane = laneOfJob(job);
    this.#division.arrived(lane);
    if (nowMs >= this.#lookAtMs) this.#look(nowMs);
    this.#desks[lane].arrived(job, nowMs);
  }

  attested(node: number, snapshot: Snapshot, nowMs: number): void {
    for (const lane of LANES) this.#desks[lane].attested(node, snapshot, nowMs);
  }

  firstToken(job: Job, nowMs: number): void {
    this.#desks[laneOfJob(job)].firstToken(job, nowMs);
  }

  ended(job: Job, isDone: boolean, nowMs: number): void {
    this.#desks[laneOfJob(job)].ended(job, isDone, nowMs);
  }

  bounced(job: Job, nowMs: number): void {
    this.#desks[laneOfJob(job)].bounced(job, nowMs);
  }

  woken(nowMs: number): void {
    for (const lane of LANES) {
      if (this.#wakeAtMs[lane] > nowMs) continue;
      this.#wakeAtMs[lane] = Infinity;
      this.#desks[lane].woken(nowMs);
    }
    this.#world.wakeAt(Math.min(...LANES.map((lane) => this.#wakeAtMs[lane])));
  }

  #look(nowMs: number): void {
    this.#lookAtMs = nowMs + LOOK_EVERY_MS;
    const division = this.#division.look(this.#desks, nowMs);
    if (division) this.#give(division);
  }

  #give(division: readonly Lane[]): void {
    for (const [node, to] of division.entries()) {
      if (this.#laneOf[node] === to) continue;
      this.#laneOf[node] = to;
      for (const lane of LANES) this.#desks[lane].open(node, lane === to);
    }
  }

  #wake(lane: Lane, timeMs: number): void {
    this.#wakeAtMs[lane] = timeMs;
    this.#world.wakeAt(Math.min(...LANES.map((one) => this.#wakeAtMs[one])));
  }
}

/** The relayer's own lanes, told what comes and what waits. */
class Tide implements Division {
  readonly first: readonly Lane[];
  readonly #world: World;
  readonly #lanes = new Lanes();
  readonly #onSwitch: (node: number, nowMs: number) => void;
  readonly #come: Record<Lane, number> = { decode: 0, prep: 0 };
  #nodes: readonly LaneNode[] = [];
  /** What comes must be known before it can be said what a node is worth. */
  #speedsAtMs = SPEEDS_EVERY_MS;
  #lookedMs = 0;

  constructor(world: World, onSwitch: (node: number, nowMs: number) => void) {
    this.#world = world;
    this.#onSwitch = onSwitch;
    this.first = world.profiles.map(({ hardwareClass }) => (hardwareClass === "LOW" ? "prep" : "decode"));
  }

  arrived(lane: Lane): void {
    this.#come[lane]++;
  }

  look(desks: Readonly<Record<Lane, Tidelane>>, nowMs: number): readonly Lane[] | null {
    if (nowMs >= this.#speedsAtMs) this.#measure(desks, nowMs);
    const seconds = Math.max(LOOK_EVERY_MS, nowMs - this.#lookedMs) / 1_000;
    const coming = { decode: this.#come.decode / seconds, prep: this.#come.prep / seconds };
    this.#lookedMs = nowMs;
    for (const lane of LANES) this.#come[lane] = 0;
    if (this.#nodes.length === 0) return null;
    for (const { id } of this.#lanes.observe(this.#nodes, coming, { decode: desks.decode.waiting, prep: desks.prep.waiting }, nowMs)) this.#onSwitch(id, nowMs);
    return this.#nodes.map(({ id }) => this.#lanes.laneOf(id));
  }

  #measure({ decode, prep }: Readonly<Record<Lane, Tidelane>>, nowMs: number): void {
    this.#speedsAtMs = nowMs + SPEEDS_EVERY_MS;
    const [writes, reads] = [decode.mix.classes(), prep.mix.classes()];
    const speeds = new Map<NodeProfile, Omit<LaneNode, "id">>();
    this.#nodes = this.#world.profiles.map((profile, id) => {
      const known = speeds.get(profile) ?? laneSpeeds(id, modelOf(profile), writes, reads, (tokens) => decode.ttftTargetMs(tokens));
      speeds.set(profile, known);
      return { ...known, id };
    });
  }
}
