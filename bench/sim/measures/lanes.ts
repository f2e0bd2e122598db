// Tidal lanes against the best constant division of the fleet that a search finds, over three waves.
import { capacityCopies } from "../bounds.ts";
import { constantLanes, constantSlots, laneOfJob, tidalLanes } from "../lanePolicy.ts";
import { Random } from "../random.ts";
import { workOfJob } from "../score.ts";
import { simulate } from "../simulation.ts";
import { TraceTargets } from "../targets.ts";
import { tidelane } from "../tidelane.ts";
import { overlay, type Arrivals } from "../trace.ts";
import { thinned, wave, withPreprocessing } from "../waves.ts";
import { atLeast, atMost, MEAN_AGE_MS, told, type Measure, type Measurement, type Place } from "./measure.ts";
import type { Fleet, NodeProfile } from "../profiles.ts";
import type { Job } from "../job.ts";
import type { Lane } from "../../../relayer/lobby/lanes.ts";
import type { PolicyKind } from "../policy.ts";

const [LOAD_MIN, LOAD_MAX] = [0.5, 2] as const;
const PREP_PART = 0.3;
const WAVE_MS = 240_000;
const WAVES = 3;
const WARM_UP_MS = 120_000;
const GOODPUT_TIMES = 1.05;
const SWITCHES_MAX = 2;
/** The search looks at one wave; so many of the best are then run over all. */
const FINALISTS = 3;
/** Constant parts of every node's slots, of each class's in every combination, and of the nodes, that are tried. */
const SLOT_PARTS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] as const;
const CLASS_SLOT_PARTS = [0.1, 0.4, 0.8] as const;
const NODE_PARTS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] as const;
const ROUNDS_MAX = 2;

export const lanes: Measurement = {
  name: "lanes",
  about: "Three waves of four minutes from 0.5 to 2 times the capacity, 30 % preprocessing: goodput over that of the best constant division, and switches.",
  measure: (place, onProgress) => {
    const sea = new Sea(place, (what) => onProgress(what, 0));
    const constant = sea.bestConstant();
    const switches = new Map<string, number>();
    const tidal = sea.run(tidalLanes((node, nowMs) => {
      const key = `${node} in wave ${Math.floor((nowMs - WARM_UP_MS) / WAVE_MS)}`;
      switches.set(key, (switches.get(key) ?? 0) + 1);
    }), WAVES);
    const slots = sea.bestOf(SLOT_PARTS.map((part) => constantSlots(() => part)));
    const classes = sea.bestOf(CLASS_SLOT_PARTS.flatMap((HIGH) => CLASS_SLOT_PARTS.flatMap((MID) => CLASS_SLOT_PARTS.map((LOW) => constantSlots(({ hardwareClass }) => ({ HIGH, MID, LOW })[hardwareClass])))));
    const weakest = sea.bestOf(NODE_PARTS.map((part) => constantLanes(sea.weakestFirst(part))));
    return [
      // As a node attests it: so many of its slots preprocess.
      atLeast("goodput / best constant part of every node's slots'", AT, tidal.goodput / slots.goodput, GOODPUT_TIMES),
      atLeast("goodput / best constant part of each class's slots'", AT, tidal.goodput / classes.goodput, GOODPUT_TIMES),
      // One number again: so many nodes preprocess, the weakest first.
      atLeast("goodput / best constant number of the weakest nodes'", AT, tidal.goodput / weakest.goodput, GOODPUT_TIMES),
      // Any number of each kind: what only hindsight knows.
      atLeast("goodput / best constant division's by kinds", AT, tidal.goodput / constant.goodput, GOODPUT_TIMES), atMost("switches per node and wave", AT, Math.max(0, ...switches.values()), SWITCHES_MAX),
      ...figures("with tidal lanes", tidal), ...figures("without lanes", sea.run(tidelane, WAVES)), ...figures("with the best constant division", constant), told("divisions tried", AT, sea.tried),
      told("goodput with the best of the divisions tried at each load / with the best one throughout", "the first wave", sea.bestOfEachPhase()),
      ...[...constant.prepNodes].map(([kind, count]) => told("nodes that preprocess in the best constant division", kind, count)),
    ];
  },
};

/** Bounds of the loads that are told apart. */
const PHASES = [LOAD_MIN, 0.8, 1.1, 1.4, 1.7, LOAD_MAX] as const;
const AT = `${WAVES} waves, ${LOAD_MIN} to ${LOAD_MAX} x capacity`;

interface Outcome {
  readonly goodput: number;
  readonly goodputOf: Readonly<Record<Lane, number>>;
  /** Useful work over the work of all that was asked. */
  readonly work: number;
  /** Goodput of the largest quarter: a division can be good for the number of requests by leaving out the large. */
  readonly largest: number;
  /** By the load at arrival. */
  readonly phases: readonly Phase[];
}

interface Phase {
  readonly offered: number;
  readonly good: number;
}

const figures = (how: string, { goodput, goodputOf, work, largest, phases }: Outcome): Measure[] => [
  told(`goodput ${how}`, AT, goodput), told(`goodput of generation ${how}`, AT, goodputOf.decode), told(`goodput of preprocessing ${how}`, AT, goodputOf.prep),
  told(`goodput of the largest quarter ${how}`, AT, largest), told(`useful part of the work asked for ${how}`, AT, work),
  ...phases.map(({ offered, good }, i) => told(`goodput ${how}`, `while ${PHASES[i]} to ${PHASES[i + 1]} x capacity come`, good / Math.max(1, offered))),
];

const loadAt = (timeMs: number): number => (timeMs < WARM_UP_MS ? LOAD_MIN : wave(timeMs - WARM_UP_MS, WAVE_MS, LOAD_MIN, LOAD_MAX));

/** So many nodes of each kind preprocess. */
type Division = ReadonlyMap<NodeProfile, number>;

class Sea {
  readonly #fleet: Fleet;
  readonly #arrivals: Arrivals;
  readonly #targets: TraceTargets;
  readonly #declared: (row: number) => number;
  readonly #seed: number;
  readonly #onProgress: (what: string) => void;
  readonly #kinds: readonly (readonly [kind: NodeProfile, count: number])[];
  readonly #found = new Map<string, Outcome>();

  constructor({ trace: plain, fleet, seed }: Place, onProgress: (what: string) => void) {
    const { trace, isPrep } = withPreprocessing(plain, PREP_PART, seed);
    const random = new Random(seed);
    const most = plain.outputTokens.reduce((all, tokens) => Math.max(all, tokens), 2);
    this.#targets = new TraceTargets(trace, fleet);
    const copies = LOAD_MAX * capacityCopies(trace, fleet, this.#targets);
    const flood = overlay(trace, copies, WARM_UP_MS + WAVES * WAVE_MS, random.fork("arrivals"));
    this.#arrivals = thinned(flood, (timeMs) => loadAt(timeMs) / LOAD_MAX, random.fork("waves").word());
    this.#declared = (row) => (isPrep[row] === 1 ? 1 : most);
    this.#fleet = fleet;
    this.#seed = seed;
    this.#onProgress = onProgress;
    this.#kinds = [...new Set(fleet.nodes)].map((kind) => [kind, fleet.nodes.filter((node) => node === kind).length] as const);
  }

  get tried(): number {
    return this.#found.size;
  }

  run(policy: PolicyKind, waves: number): Outcome {
    const endMs = WARM_UP_MS + waves * WAVE_MS;
    const end = this.#arrivals.timeMs.findIndex((timeMs) => timeMs >= endMs);
    const upTo = end < 0 ? this.#arrivals.timeMs.length : end;
    const arrivals = { ...this.#arrivals, timeMs: this.#arrivals.timeMs.subarray(0, upTo) };
    const { jobs } = simulate({
      fleet: this.#fleet, arrivals, policy, seed: this.#seed, attestationAgeMs: MEAN_AGE_MS, targetsOf: (row) => this.#targets.of(row), maxOutTokensOf: this.#declared,
    });
    const counted = jobs.filter((job) => job.arrivalMs >= WARM_UP_MS && this.#targets.isFeasible[this.#arrivals.row[job.id]!] === 1);
    return outcomeOf(counted);
  }

  /** The best over one wave, over all of them. */
  bestOf(policies: readonly PolicyKind[]): Outcome {
    const tried = policies.map((policy, i) => {
      this.#onProgress(`${policy.name} ${i + 1} of ${policies.length}`);
      return { policy, goodput: this.run(policy, 1).goodput };
    });
    return this.run(tried.reduce((most, one) => (one.goodput > most.goodput ? one : most)).policy, WAVES);
  }

  /** This part of the nodes preprocesses: those that read slowest. */
  weakestFirst(part: number): (node: number) => Lane {
    const { nodes } = this.#fleet;
    const order = [...nodes.keys()].sort((one, other) => nodes[other]!.b - nodes[one]!.b || one - other);
    const prep = new Set(order.slice(0, Math.round(part * nodes.length)));
    return (node) => (prep.has(node) ? "prep" : "decode");
  }

  /** Each kind alone; weak kinds first, more and more of them; then up and down the hill, kind by kind. */
  bestConstant(): Outcome & { readonly prepNodes: ReadonlyMap<string, number> } {
    const byReading = [...this.#kinds].sort(([one], [other]) => other.b - one.b);
    let best = this.#better(null, new Map());
    for (const [kind, count] of this.#kinds) best = this.#better(best, new Map([[kind, count]]));
    const filled = new Map<NodeProfile, number>();
    for (const [kind, count] of byReading) {
      for (const part of [0.5, 1]) best = this.#better(best, new Map(filled.set(kind, Math.round(part * count))));
    }
    for (let round = 0; round < ROUNDS_MAX; round++) best = this.#climb(best);
    const finalists = [...this.#found].sort(([, one], [, other]) => other.goodput - one.goodput).slice(0, FINALISTS).map(([key]) => this.#divisionOf(key));
    const outcomes = finalists.map((division) => ({ division, ...this.run(constantLanes(this.#laneOf(division)), WAVES) }));
    const winner = outcomes.reduce((most, one) => (one.goodput > most.goodput ? one : most));
    return { ...winner, prepNodes: new Map([...winner.division].map(([kind, count]) => [kind.name, count])) };
  }

  #climb(from: Division): Division {
    let best = from;
    for (const [kind, count] of this.#kinds) {
      const step = Math.max(1, Math.round(count / 4));
      for (const by of [step, -step]) {
        const moved = Math.min(count, Math.max(0, (best.get(kind) ?? 0) + by));
        best = this.#better(best, new Map(best).set(kind, moved));
      }
    }
    return best;
  }

  #better(best: Division | null, other: Division): Division {
    const { goodput } = this.#tryOut(other);
    return best === null || goodput > this.#tryOut(best).goodput ? other : best;
  }

  /** What switching could gain: goodput of whoever knew, at each load, the best of the divisions tried, over that of the one best throughout. */
  bestOfEachPhase(): number {
    const outcomes = [...this.#found.values()];
    const good = PHASES.slice(1).reduce((sum, _, phase) => sum + Math.max(...outcomes.map(({ phases }) => phases[phase]!.good)), 0);
    return good / Math.max(...outcomes.map(({ phases }) => phases.reduce((sum, phase) => sum + phase.good, 0)));
  }

  /** Over one wave; each division is run once. */
  #tryOut(division: Division): Outcome {
    const key = this.#keyOf(division);
    const known = this.#found.get(key);
    if (known !== undefined) return known;
    this.#onProgress(`constant division ${key}`);
    const outcome = this.run(constantLanes(this.#laneOf(division)), 1);
    this.#found.set(key, outcome);
    return outcome;
  }

  #keyOf(division: Division): string {
    return this.#kinds.map(([kind]) => division.get(kind) ?? 0).join("/");
  }

  #divisionOf(key: string): Division {
    return new Map(key.split("/").map((count, i) => [this.#kinds[i]![0], Number(count)]));
  }

  /** The first nodes of each kind preprocess. */
  #laneOf(division: Division): (node: number) => Lane {
    const { nodes } = this.#fleet;
    return (node) => (nodes.slice(0, node).filter((one) => one === nodes[node]).length < (division.get(nodes[node]!) ?? 0) ? "prep" : "decode");
  }
}

function outcomeOf(jobs: readonly Job[]): Outcome {
  const of = (lane: Lane): number => goodPart(jobs.filter((job) => laneOfJob(job) === lane));
  const bySize = [...jobs].sort((one, other) => workOfJob(one) - workOfJob(other));
  return { goodput: goodPart(jobs), goodputOf: { decode: of("decode"), prep: of("prep") }, work: workIn(jobs.filter((job) => job.isGood)) / Math.max(1, workIn(jobs)), largest: goodPart(bySize.slice(Math.floor(0.75 * bySize.length))), phases: phasesOf(jobs) };
}

function phasesOf(jobs: readonly Job[]): Phase[] {
  const phases = PHASES.slice(1).map(() => ({ offered: 0, good: 0 }));
  for (const job of jobs) {
    const after = PHASES.slice(1, -1).findIndex((most) => loadAt(job.arrivalMs) < most);
    const phase = phases[after < 0 ? phases.length - 1 : after]!;
    phase.offered++;
    if (job.isGood) phase.good++;
  }
  return phases;
}

const workIn = (jobs: readonly Job[]): number => jobs.reduce((sum, job) => sum + workOfJob(job), 0);
const goodPart = (jobs: readonly Job[]): number => jobs.filter((job) => job.isGood).length / Math.max(1, jobs.length);
