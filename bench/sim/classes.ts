// Requests grouped by size: four quartiles of work, and within each sixteen classes of like input and like output.
import { canServe, workOf, type TraceTargets } from "./targets.ts";
import { BLOCK_TOKENS, type Trace } from "./trace.ts";
import type { NodeProfile } from "./profiles.ts";

export const QUARTILES = 4;
/** Within a quartile so many groups by input, and within each as many by output: 64 classes in all. */
const GROUPS = 4;

/** Means over the requests of a class; products are averaged as products. */
export interface SizeClass {
  readonly quartile: number;
  /** Requests, each counted with its weight. */
  readonly count: number;
  /** Prompt tokens to be computed. */
  readonly prefill: number;
  /** input^2 less what was cached squared. */
  readonly squares: number;
  readonly output: number;
  /** input x output + output^2 / 2: tokens of context over all iterations of decoding. */
  readonly context: number;
  readonly work: number;
  /** By kind of node: whether any request of the class could be served in time there. */
  readonly canServe: readonly boolean[];
}

/** Rows that stand for requests of equal weight: those of a trace, or of what arrived in a window (rows may repeat). */
export interface Sample {
  readonly trace: Trace;
  readonly rows: Int32Array;
  /** Cached prefix tokens per trace row; null where nothing is. */
  readonly cached: Int32Array | null;
}

/** @returns bounds of work between quartiles: three ascending numbers */
export function quartileBounds(sample: Sample): readonly [number, number, number] {
  const works = Float64Array.from(sample.rows, (row) => workOfRow(sample.trace, row)).sort();
  const at = (part: number): number => works[Math.min(works.length - 1, Math.floor(works.length * part))] ?? 0;
  return [at(0.25), at(0.5), at(0.75)];
}

/** @returns 0 for the smallest to 3 for the largest */
export const quartileOf = (work: number, bounds: readonly [number, number, number]): number => (work < bounds[0] ? 0 : work < bounds[1] ? 1 : work < bounds[2] ? 2 : 3);

const workOfRow = (trace: Trace, row: number): number => workOf(trace.inputTokens[row]!, trace.outputTokens[row]!);

/** @returns at most 64 classes of the feasible rows; empty ones are left out. */
export function sizeClasses(sample: Sample, bounds: readonly [number, number, number], targets: TraceTargets, kinds: readonly NodeProfile[]): SizeClass[] {
  const { trace } = sample;
  const feasible = [...sample.rows].filter((row) => targets.isFeasible[row] === 1);
  return Array.from({ length: QUARTILES }, (_, quartile) => {
    const members = feasible.filter((row) => quartileOf(workOfRow(trace, row), bounds) === quartile);
    const groups = split(members, (row) => trace.inputTokens[row]!).flatMap((group) => split(group, (row) => trace.outputTokens[row]!));
    return groups.filter((group) => group.length > 0).map((group) => classOf(sample, group, quartile, targets, kinds));
  }).flat();
}

function split(rows: readonly number[], by: (row: number) => number): number[][] {
  const sorted = [...rows].sort((one, other) => by(one) - by(other) || one - other);
  return Array.from({ length: GROUPS }, (_, i) => sorted.slice(Math.floor((sorted.length * i) / GROUPS), Math.floor((sorted.length * (i + 1)) / GROUPS)));
}

function classOf(sample: Sample, rows: readonly number[], quartile: number, targets: TraceTargets, kinds: readonly NodeProfile[]): SizeClass {
  const { trace, cached } = sample;
  const mean = (value: (input: number, output: number, hit: number) => number): number =>
    rows.reduce((sum, row) => sum + value(trace.inputTokens[row]!, trace.outputTokens[row]!, cached?.[row] ?? 0), 0) / rows.length;
  return {
    quartile, count: rows.length,
    prefill: mean((input, _, hit) => input - hit), squares: mean((input, _, hit) => input * input - hit * hit), output: mean((_, output) => output),
    context: mean((input, output) => input * output + (output * output) / 2), work: mean(workOf),
    canServe: kinds.map((kind) => rows.some((row) => canServe(kind, trace.inputTokens[row]!, trace.outputTokens[row]!, targets.ttftMs[row]!))),
  };
}

/** Prefix tokens that a cache without limit would hold when each row of the trace comes in its order. */
export function idealHits(trace: Trace): Int32Array | null {
  if (trace.blocks === null) return null;
  const seen = new Set<number>();
  return Int32Array.from(trace.blocks, (blocks) => {
    let depth = 0;
    while (depth < blocks.length && seen.has(blocks[depth]!)) depth++;
    for (const block of blocks) seen.add(block);
    return depth * BLOCK_TOKENS;
  });
}
