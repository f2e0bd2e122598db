// Dishonest nodes: what they get, and what they cost everybody else.
import { capacityCopies } from "../bounds.ts";
import { Experiment } from "../experiment.ts";
import { Random } from "../random.ts";
import { workOfJob } from "../score.ts";
import { TraceTargets } from "../targets.ts";
import { tidelane } from "../tidelane.ts";
import { atMost, MEAN_AGE_MS, progressOf, told, type Measure, type Measurement, type Place } from "./measure.ts";
import type { Behaviour } from "../simulation.ts";
import type { Job } from "../job.ts";

const LOAD = 0.8;
const BAD_PART = 0.1;
const KINDS: readonly Exclude<Behaviour, "honest">[] = ["stall", "slow", "boast", "refuse"];
/** The policy has had a minute to find out. */
const [FROM_MS, UNTIL_MS] = [60_000, 120_000] as const;
const SHARE_TIMES = 1.2;
const LOSS_TIMES = 1.3;

export const attackers: Measurement = {
  name: "attackers",
  about: "At 0.8 times the capacity a tenth of each class, rounded up, is dishonest: its share of the work in the second minute, and the goodput lost.",
  measure: (place, onProgress) => {
    const bad = badNodes(place);
    const partOfCapacity = 1 - capacityWithout(place, bad) / capacityWithout(place, new Set());
    const experiment = new Experiment({ ...place, load: LOAD, attestationAgeMs: MEAN_AGE_MS });
    const run = (behaviour: Behaviour) => {
      const taken = new Taken(bad);
      const result = experiment.simulate(tidelane, { ...progressOf(onProgress, tidelane, LOAD), behaviourOf: (node) => (bad.has(node) ? behaviour : "honest"), onSent: (job, node, nowMs) => taken.sent(job, node, nowMs) });
      return { share: taken.share, goodput: experiment.scoreOf(result).goodput };
    };
    const honest = run("honest");
    return [told("the attackers' part of capacity", `${LOAD} x capacity`, partOfCapacity), ...KINDS.flatMap((behaviour) => judged(behaviour, run(behaviour), honest, partOfCapacity))];
  },
};

interface Outcome {
  readonly share: number;
  readonly goodput: number;
}

const judged = (behaviour: Behaviour, attacked: Outcome, honest: Outcome, partOfCapacity: number): Measure[] => [
  atMost("share of the work in the second minute / honest share", `${LOAD} x capacity, ${behaviour}`, attacked.share / honest.share, SHARE_TIMES),
  atMost("goodput lost / part of capacity", `${LOAD} x capacity, ${behaviour}`, (honest.goodput - attacked.goodput) / partOfCapacity, LOSS_TIMES),
];

/** A tenth of each class, rounded up, by lot. */
export function badNodes({ fleet, seed }: Place): Set<number> {
  const random = new Random(seed).fork("attackers");
  return new Set(["HIGH", "MID", "LOW"].flatMap((hardwareClass) => {
    const members = [...fleet.nodes.keys()].filter((node) => fleet.nodes[node]!.hardwareClass === hardwareClass);
    const drawn = Math.ceil(BAD_PART * members.length);
    return Array.from({ length: drawn }, () => members.splice(random.below(members.length), 1)[0]!);
  }));
}

function capacityWithout({ trace, fleet }: Place, bad: ReadonlySet<number>): number {
  const left = { name: fleet.name, nodes: fleet.nodes.filter((_, node) => !bad.has(node)) };
  // Targets are those of the whole fleet: an attack makes no promise weaker.
  return capacityCopies(trace, left, new TraceTargets(trace, fleet));
}

/**
 * What is dispatched in that minute, by whom it is taken. What comes back, or is taken back, was taken all the same: counted where it
 * ended, a node that answers nothing would never have taken anything.
 */
export class Taken {
  readonly #bad: ReadonlySet<number>;
  #all = 0;
  #byBad = 0;

  constructor(bad: ReadonlySet<number>) {
    this.#bad = bad;
  }

  sent(job: Job, node: number, nowMs: number): void {
    if (nowMs < FROM_MS || nowMs >= UNTIL_MS) return;
    this.#all += workOfJob(job);
    if (this.#bad.has(node)) this.#byBad += workOfJob(job);
  }

  /** Of the work. */
  get share(): number {
    return this.#byBad / this.#all;
  }
}
