// Synthetic loads and small fleets for the simulator's tests.
import { Random } from "../../../bench/sim/random.ts";
import type { Arrivals, Trace } from "../../../bench/sim/trace.ts";
import type { Fleet, NodeProfile } from "../../../bench/sim/profiles.ts";

export interface SyntheticRow {
  readonly timeMs: number;
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  readonly session?: number;
  readonly blocks?: readonly number[];
}

/** A trace of exactly these rows, and arrivals that are the trace itself. */
export function arrivalsOf(rows: readonly SyntheticRow[]): Arrivals {
  const trace: Trace = {
    name: "synthetic", arrivalMs: Float64Array.from(rows, (row) => row.timeMs), inputTokens: Int32Array.from(rows, (row) => row.inputTokens ?? 1),
    outputTokens: Int32Array.from(rows, (row) => row.outputTokens ?? 1), sessions: Int32Array.from(rows, (row) => row.session ?? -1),
    blocks: rows.some((row) => row.blocks) ? rows.map((row) => Int32Array.from(row.blocks ?? [])) : null,
    blockIdsEnd: 1 << 20, sessionsEnd: 1 << 20, spanMs: (rows.at(-1)?.timeMs ?? 0) + 1, bucketMs: 0,
  };
  return { trace, copies: 1, timeMs: trace.arrivalMs, row: Int32Array.from(rows, (_, i) => i), copy: new Int32Array(rows.length) };
}

/** Poisson arrivals with geometric output and one prompt token: under a curve of a only, exponential service but for the discreteness. */
export function poisson(count: number, perMs: number, meanOutTokens: number, seed: number): Arrivals {
  const random = new Random(seed);
  const timeMs = new Float64Array(count);
  const outputTokens = new Int32Array(count);
  for (let i = 0, now = 0; i < count; i++) {
    timeMs[i] = now += random.exponential(1 / perMs);
    outputTokens[i] = random.geometric(meanOutTokens);
  }
  const trace: Trace = {
    name: "poisson", arrivalMs: timeMs, inputTokens: new Int32Array(count).fill(1), outputTokens, sessions: new Int32Array(count).fill(-1), blocks: null,
    blockIdsEnd: 0, sessionsEnd: 0, spanMs: timeMs[count - 1]! + 1, bucketMs: 0,
  };
  return { trace, copies: 1, timeMs, row: Int32Array.from(timeMs, (_, i) => i), copy: new Int32Array(count) };
}

export const profileOf = (figures: Partial<NodeProfile> = {}): NodeProfile => ({
  name: "test", hardwareClass: "MID", a: 1, b: 0, e: 0, c: 0, d: 0, kvTokens: 1e9, batchLimit: 1, chunkTokens: 2_048, basis: "test", ...figures,
});

export const fleetOfOne = (profile: NodeProfile, count = 1): Fleet => ({ name: "test", nodes: Array.from({ length: count }, () => profile) });

/** Targets that nobody can miss. */
export const ENDLESS = { ttftMs: Infinity, tpotMs: Infinity };
