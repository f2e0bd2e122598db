// What nobody can beat: a clairvoyant fluid that fills the fleet with fractions of requests, as a linear program.
//
// Rates x of (kind of node, size class) and f, iterations per second of each kind. Per kind of n nodes, with moments of products:
//   a f + sum x (b I + e I^2 + c (I O + O^2 / 2) + d O) <= 1,000 n    milliseconds per second
//   sum x O <= batch limit * f                                        each iteration gives a sequence one token
//   sum x (I O + O^2 / 2) <= KV * f                                   and holds its context
//   f >= 10 n                                                         at 100 ms per token
// and of each class no more than arrives. Waiting, staleness, unknown lengths and whole requests only make it worse.
import { maximise, type LinearProgram } from "../../relayer/lobby/simplex.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import { idealHits, QUARTILES, quartileBounds, sizeClasses, type Sample, type SizeClass } from "./classes.ts";
import { TPOT_TARGET_MS, type TraceTargets } from "./targets.ts";
import type { Fleet, NodeProfile } from "./profiles.ts";
import type { Trace } from "./trace.ts";

export interface Served {
  /** Requests per second. */
  readonly requests: number;
  /** Input + 2 x output tokens per second. */
  readonly work: number;
}

/** good: as many good answers as possible. work: as much work as possible. even: as much work with one served fraction for all quartiles. */
export type Aim = "good" | "work" | "even";

/** A load as rates of size classes on the kinds of nodes of a fleet. */
export class FluidBound {
  readonly #kinds: readonly NodeProfile[];
  readonly #counts: readonly number[];
  readonly #classes: readonly SizeClass[];
  /** Requests per second for each request of the sample. */
  readonly #rate: number;

  /** @param perSecond arrival rate of the whole sample, feasible or not */
  constructor(sample: Sample, fleet: Fleet, targets: TraceTargets, perSecond: number) {
    // A node whose iteration alone takes too long serves nobody in time.
    this.#kinds = [...new Set(fleet.nodes)].filter((kind) => kind.a <= TPOT_TARGET_MS);
    this.#counts = this.#kinds.map((kind) => fleet.nodes.filter((node) => node === kind).length);
    this.#classes = sizeClasses(sample, quartileBounds(sample), targets, this.#kinds);
    this.#rate = perSecond / Math.max(1, sample.rows.length);
  }

  /** Of all that could be served in time by an idle fleet. */
  get offered(): Served {
    return this.#sum((one) => one.count * this.#rate);
  }

  /** @param load multiplies the arrival rate */
  serve(aim: Aim, load = 1): Served {
    const { x } = maximise(this.#program(aim, this.#rate * load));
    const rates = this.#classes.map((_, i) => this.#kinds.reduce((sum, __, kind) => sum + x[this.#variable(kind, i)]!, 0));
    return this.#sum((_, i) => rates[i]!);
  }

  /** @returns the greatest multiple of the load of which so much of the feasible work is served, within 0.01 % */
  capacity(servedPart = 0.99): number {
    const partAt = (load: number): number => this.serve("work", load).work / (this.offered.work * load);
    let [enough, least] = [1, 0];
    while (partAt(enough) >= servedPart) [least, enough] = [enough, enough * 2];
    while (enough - least > 1e-4 * enough) {
      const middle = (least + enough) / 2;
      if (partAt(middle) >= servedPart) least = middle;
      else enough = middle;
    }
    return least;
  }

  #sum(rateOf: (one: SizeClass, i: number) => number): Served {
    let [requests, work] = [0, 0];
    for (const [i, one] of this.#classes.entries()) {
      requests += rateOf(one, i);
      work += rateOf(one, i) * one.work;
    }
    return { requests, work };
  }

  #variable(kind: number, i: number): number {
    return kind * this.#classes.length + i;
  }

  /** Variables: x of each kind and class, the iterations of each kind above the least, and the one served fraction. */
  #program(aim: Aim, rate: number): LinearProgram {
    const cells = this.#kinds.length * this.#classes.length;
    const fraction = cells + this.#kinds.length;
    const objective = new Array<number>(fraction + 1).fill(0);
    for (const [kind] of this.#kinds.entries()) {
      for (const [i, one] of this.#classes.entries()) objective[this.#variable(kind, i)] = aim === "good" ? 1 : one.work / 1_000;
    }
    const constraints = this.#kinds.flatMap((_, kind) => this.#limitsOf(kind, cells + kind));
    for (const [i, one] of this.#classes.entries()) {
      constraints.push({ coefficients: new Map(this.#kinds.map((_, kind) => [this.#variable(kind, i), 1])), atMost: one.count * rate });
    }
    if (aim === "even") constraints.push(...this.#evenness(fraction, rate));
    return { objective, constraints };
  }

  #limitsOf(kind: number, extraIterations: number): LinearProgram["constraints"][number][] {
    const { a, b, c, d, e, batchLimit, kvTokens } = this.#kinds[kind]!;
    const count = this.#counts[kind]!;
    const least = (1_000 / TPOT_TARGET_MS) * count;
    const over = (perRequest: (one: SizeClass) => number, perIteration: number): Map<number, number> => {
      const coefficients = new Map([[extraIterations, perIteration]]);
      for (const [i, one] of this.#classes.entries()) if (one.canServe[kind]) coefficients.set(this.#variable(kind, i), perRequest(one));
      return coefficients;
    };
    const barred = new Map(this.#classes.flatMap((one, i) => (one.canServe[kind] ? [] : [[this.#variable(kind, i), 1] as const])));
    return [
      { coefficients: over((one) => b * one.prefill + e * one.squares + c * one.context + d * one.output, a), atMost: 1_000 * count - a * least },
      { coefficients: over((one) => one.output, -batchLimit), atMost: batchLimit * least },
      { coefficients: over((one) => one.context, -kvTokens), atMost: kvTokens * least },
      ...(barred.size > 0 ? [{ coefficients: barred, atMost: 0 }] : []),
    ];
  }

  /** Each quartile's served requests are the same part of its offered ones: two inequalities for each. */
  #evenness(fraction: number, rate: number): LinearProgram["constraints"][number][] {
    const quartiles = Array.from({ length: QUARTILES }, (_, quartile) => quartile).filter((quartile) => this.#classes.some((one) => one.quartile === quartile));
    const both = quartiles.flatMap((quartile) => [1, -1].map((sign) => {
      const coefficients = new Map<number, number>();
      let offered = 0;
      for (const [i, one] of this.#classes.entries()) {
        if (one.quartile !== quartile) continue;
        offered += one.count * rate;
        for (const [kind] of this.#kinds.entries()) coefficients.set(this.#variable(kind, i), sign);
      }
      return { coefficients: coefficients.set(fraction, -sign * offered), atMost: 0 };
    }));
    return [...both, { coefficients: new Map([[fraction, 1]]), atMost: 1 }];
  }
}

/**
 * Copies of the whole trace at which the bound still serves 99 % of the feasible work: what "capacity" means everywhere.
 * @throws InvalidValueError where no node could serve any of it in time
 */
export function capacityCopies(trace: Trace, fleet: Fleet, targets: TraceTargets): number {
  const rows = trace.inputTokens.length;
  if (!targets.isFeasible.includes(1)) throw new InvalidValueError("fleet", `one that could serve at least one request of ${trace.name} in time while idle`);
  const sample: Sample = { trace, rows: Int32Array.from({ length: rows }, (_, row) => row), cached: idealHits(trace) };
  return new FluidBound(sample, fleet, targets, (rows * 1_000) / trace.spanMs).capacity();
}
