// One experiment: a trace at a multiple of a fleet's capacity, the same arrivals for every policy, and the bounds for what arrived.
import { capacityCopies, FluidBound } from "./bounds.ts";
import { idealHits, quartileBounds, type Sample } from "./classes.ts";
import { hashUnit, Random } from "./random.ts";
import { quantile, score, type PolicyReport } from "./score.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import { simulate, WINDOW_MS, type SimulationOptions, type SimulationResult } from "./simulation.ts";
import { TPOT_TARGET_MS, TraceTargets, TTFT_RULE } from "./targets.ts";
import { overlay, type Arrivals, type Trace } from "./trace.ts";
import type { Fleet } from "./profiles.ts";
import type { Job } from "./job.ts";
import type { PolicyKind } from "./policy.ts";

export const WARM_UP_MS = 120_000;
export const WINDOW_END_MS = 720_000;
/** Requests keep coming after the window, so that its last ones meet the same load. */
const ARRIVALS_END_MS = 750_000;
const PAYERS: readonly number[] = new Array<number>(20).fill(1);

export interface Setup {
  readonly trace: Trace;
  readonly fleet: Fleet;
  /** Multiple of the capacity. */
  readonly load: number;
  readonly seed: number;
  /** Mean age of what a relayer knows of a node. */
  readonly attestationAgeMs: number;
  /** How much each payer sends, relative to the others; by default twenty send alike. */
  readonly payers?: readonly number[];
}

/** What one run does otherwise than its experiment. */
export interface RunOptions extends Partial<Pick<SimulationOptions, "behaviourOf" | "relayers" | "relayerParts" | "attestationAgeMs" | "endMs" | "onSent">> {
  /** Told the part of the arrivals' time that is simulated, above 1 while it drains. */
  readonly onProgress?: ((part: number) => void) | undefined;
}

export interface ExperimentReport {
  readonly trace: string;
  readonly fleet: string;
  readonly nodes: number;
  readonly load: number;
  readonly copies: number;
  readonly capacityCopies: number;
  readonly seed: number;
  readonly attestationAgeMs: number;
  /** Whether prompts of the trace share beginnings that nodes keep. */
  readonly hasPrefixes: boolean;
  readonly targets: { readonly ttftRule: string; readonly ttftMsP50: number | null; readonly ttftMsP99: number | null; readonly tpotMs: number };
  /** Requests of the window that no node could have served in time. */
  readonly excluded: number;
  readonly bounds: { readonly B1: { readonly goodput: number; readonly usefulWork: number }; readonly B2: { readonly goodput: number; readonly usefulWork: number } };
  readonly policies: Record<string, PolicyReport>;
}

export class Experiment {
  readonly setup: Setup;
  readonly arrivals: Arrivals;
  readonly report: ExperimentReport;
  readonly #targets: TraceTargets;
  readonly #quartileBounds: readonly [number, number, number];

  constructor(setup: Setup) {
    const { trace, fleet, load, seed } = setup;
    this.setup = setup;
    this.#targets = new TraceTargets(trace, fleet);
    const capacity = capacityCopies(trace, fleet, this.#targets);
    this.arrivals = overlay(trace, capacity * load, ARRIVALS_END_MS, new Random(seed).fork("arrivals"));
    const inWindow = [...this.arrivals.row].filter((_, i) => isInWindow(this.arrivals.timeMs[i]!));
    const feasible = inWindow.filter((row) => this.#targets.isFeasible[row] === 1);
    if (feasible.length === 0) throw new InvalidValueError("load", `so much of ${trace.name} that within ten minutes a request comes which a node can serve in time`);
    const sample: Sample = { trace, rows: Int32Array.from(feasible), cached: idealHits(trace) };
    const ttfts = Float64Array.from(feasible, (row) => this.#targets.ttftMs[row]!).sort();
    this.#quartileBounds = quartileBounds(sample);
    this.report = {
      trace: trace.name, fleet: fleet.name, nodes: fleet.nodes.length, load, copies: capacity * load, capacityCopies: capacity, seed, attestationAgeMs: setup.attestationAgeMs, hasPrefixes: trace.blocks !== null,
      targets: { ttftRule: TTFT_RULE, ttftMsP50: quantile(ttfts, 0.5), ttftMsP99: quantile(ttfts, 0.99), tpotMs: TPOT_TARGET_MS },
      excluded: inWindow.length - feasible.length, bounds: this.#bounds(sample), policies: {},
    };
  }

  /** Runs a policy and enters its report. */
  run(kind: PolicyKind, options: RunOptions = {}): PolicyReport {
    const report = this.scoreOf(this.simulate(kind, options));
    this.report.policies[kind.name] = report;
    return report;
  }

  simulate(kind: PolicyKind, { onProgress, ...options }: RunOptions = {}): SimulationResult {
    const { fleet, seed, attestationAgeMs, trace } = this.setup;
    // Every client declares what the longest answer takes that any node could give in time.
    const declared = trace.outputTokens.reduce((most, tokens, row) => (this.#targets.isFeasible[row] === 1 ? Math.max(most, tokens) : most), 0);
    return simulate({
      fleet, arrivals: this.arrivals, policy: kind, seed, attestationAgeMs, targetsOf: (row) => this.#targets.of(row), payerOf: (id) => this.#payerOf(id),
      maxOutTokensOf: (row) => Math.max(declared, trace.outputTokens[row]!), sampleUntilMs: WINDOW_END_MS, ...options,
      ...(onProgress ? { onProgress: (nowMs: number) => onProgress(nowMs / ARRIVALS_END_MS) } : {}),
    });
  }

  scoreOf(result: SimulationResult): PolicyReport {
    return score({
      jobs: this.counted(result.jobs), quartileBounds: this.#quartileBounds, windowSeconds: (WINDOW_END_MS - WARM_UP_MS) / 1_000,
      slotUse: result.slotUse.slice(WARM_UP_MS / WINDOW_MS, WINDOW_END_MS / WINDOW_MS),
    });
  }

  /** Sessions, or requests where there is none, belong to payers by lot. */
  #payerOf(id: number): number {
    const { trace, row, copy } = this.arrivals;
    const payers = this.setup.payers ?? PAYERS;
    const session = trace.sessions[row[id]!]!;
    let ticket = hashUnit(copy[id]! + 1, session >= 0 ? session : trace.sessionsEnd + row[id]!) * payers.reduce((sum, one) => sum + one, 0);
    const payer = payers.findIndex((weight) => (ticket -= weight) < 0);
    return payer < 0 ? payers.length - 1 : payer;
  }

  /** Requests that count: of the window, and feasible. */
  counted(jobs: readonly Job[]): Job[] {
    return jobs.filter((job) => isInWindow(job.arrivalMs) && this.#targets.isFeasible[this.arrivals.row[job.id]!] === 1);
  }

  #bounds(sample: Sample): ExperimentReport["bounds"] {
    const perSecond = (sample.rows.length * 1_000) / (WINDOW_END_MS - WARM_UP_MS);
    const bound = new FluidBound(sample, this.setup.fleet, this.#targets, perSecond);
    const part = ({ requests, work }: { requests: number; work: number }) => ({ goodput: requests / Math.max(1e-9, bound.offered.requests), usefulWork: work });
    return { B1: part(bound.serve("good")), B2: part(bound.serve("even")) };
  }
}

const isInWindow = (timeMs: number): boolean => timeMs >= WARM_UP_MS && timeMs < WINDOW_END_MS;
