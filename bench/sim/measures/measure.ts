// What a measure of the simulator is: a figure of a run, held against a bound.
import { Experiment, type ExperimentReport } from "../experiment.ts";
import type { Fleet } from "../profiles.ts";
import type { PolicyKind } from "../policy.ts";
import type { Trace } from "../trace.ts";

/** Where and on what it is measured. */
export interface Place {
  readonly trace: Trace;
  readonly fleet: Fleet;
  readonly seed: number;
}

export interface Measure {
  /** What is counted. */
  readonly name: string;
  /** Under which load, against whom. */
  readonly at: string;
  /** Null where there is no such number: infinite, or of nothing. */
  readonly value: number | null;
  readonly bound: number | null;
  readonly sense: "at least" | "at most" | "told";
  /** Null for a figure that is only told. */
  readonly pass: boolean | null;
}

/** Told what is running and which part of it is done. */
export type OnProgress = (what: string, part: number) => void;

export interface Measurement {
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  measure(place: Place, onProgress: OnProgress): Measure[];
}

export const MEAN_AGE_MS = 500;

export const atLeast = (name: string, at: string, value: number, bound: number): Measure =>
  ({ name, at, value: finiteOrNull(value), bound: finiteOrNull(bound), sense: "at least", pass: value >= bound });

export const atMost = (name: string, at: string, value: number, bound: number): Measure =>
  ({ name, at, value: finiteOrNull(value), bound: finiteOrNull(bound), sense: "at most", pass: value <= bound });

/** A figure without a bound. */
export const told = (name: string, at: string, value: number): Measure => ({ name, at, value: finiteOrNull(value), bound: null, sense: "told", pass: null });

/** The report of an experiment in which these policies meet the same arrivals. */
export function reported(place: Place, load: number, kinds: readonly PolicyKind[], onProgress: OnProgress): ExperimentReport {
  const experiment = new Experiment({ ...place, load, attestationAgeMs: MEAN_AGE_MS });
  for (const kind of kinds) experiment.run(kind, progressOf(onProgress, kind, load));
  return experiment.report;
}

export const progressOf = (onProgress: OnProgress, kind: PolicyKind, load: number) => ({ onProgress: (part: number) => onProgress(`${kind.name} at ${load} x capacity`, part) });

const finiteOrNull = (value: number): number | null => (Number.isFinite(value) ? value : null);
