// The choice itself: pure, integers in, integers out; the relayer, an auditor and the simulator run this very code.
import { costUs, type RoutingTask } from "./cost.ts";
import { DRAWN_ROUNDS, drawCandidates, sweep } from "./candidates.ts";
import { Draws } from "./draws.ts";
import { CANDIDATES_MAX, PARAMETERS, type Micros, type RoutingParameters } from "./parameters.ts";
import { correctLoad } from "./saturation.ts";
import { drawByWeight, softWeights } from "./softmax.ts";
import { temperatureUs } from "./temperature.ts";
import type { Millis } from "../../protocol/units.ts";
import type { Shard } from "./table.ts";

/**
 * Why a candidate may not be chosen; 0 where it may. The names stand in decision records. busy: it would miss the request's targets, or
 * has prompts ahead. broken: it met others with silence.
 */
export const GATES = ["open", "gone", "stale", "full", "excluded", "unfit", "price", "unsigned", "busy", "broken"] as const;
export type Gate = (typeof GATES)[number];
export const OPEN = 0;

export interface DecideTask extends RoutingTask {
  /** The node that served the conversation last, and how much of the prompt it may hold; -1 and 0 for none. */
  readonly affinityNodeId: number;
  readonly cachedTokens: number;
  /** Since the table was made. */
  readonly ageMs: Millis;
}

/**
 * Working memory of decisions, and what the last one looked at. One belongs to one caller; the next decision overwrites it, so a
 * decision allocates nothing.
 */
export class Scratch {
  /** Candidates as row numbers; `count` of them hold. */
  readonly rows = new Int32Array(CANDIDATES_MAX);
  readonly gates = new Uint8Array(CANDIDATES_MAX);
  /** Infinity where the gate is closed. */
  readonly costs = new Float64Array(CANDIDATES_MAX);
  readonly weights = new Uint32Array(CANDIDATES_MAX);
  readonly draws = new Draws();
  count = 0;
  round = 0;
  temperatureUs: Micros = 0;
  weightSum = 0;
}

/**
 * @param words the draw as eight 32-bit words: the first three choose the candidates, the fifth chooses among them
 * @param gate index into GATES for a row: what the caller knows beyond the table
 * @returns the chosen row, or -1 where no node of the shard is open; `scratch` tells how it came about
 */
export function decide(
  shard: Shard, task: DecideTask, words: Uint32Array, gate: (row: number) => number, scratch: Scratch, parameters: RoutingParameters = PARAMETERS,
): number {
  const affinityRow = task.affinityNodeId < 0 ? -1 : rowOfNode(shard, task.affinityNodeId);
  if (!findOpen(shard, affinityRow, words, gate, scratch, parameters)) return -1;
  for (let i = 0; i < scratch.count; i++) {
    const row = scratch.rows[i]!;
    scratch.costs[i] = scratch.gates[i] === OPEN ? costOfRow(shard, row, task, row === affinityRow ? task.cachedTokens : 0, parameters) : Infinity;
  }
  scratch.temperatureUs = temperatureUs(shard.pressure, task.ageMs, parameters);
  scratch.weightSum = softWeights(scratch.costs, scratch.count, scratch.temperatureUs, scratch.weights);
  return scratch.rows[drawByWeight(scratch.weights, scratch.count, scratch.weightSum, words[4]!)]!;
}

/** Rounds of drawn candidates until one is open, then a sweep; a small shard is looked at whole, once. */
function findOpen(shard: Shard, affinityRow: number, words: Uint32Array, gate: (row: number) => number, scratch: Scratch, parameters: RoutingParameters): boolean {
  const isSmall = shard.rows.length <= CANDIDATES_MAX;
  for (let round = 0; round < (isSmall ? 1 : DRAWN_ROUNDS); round++) {
    scratch.round = round;
    scratch.count = drawCandidates(shard, scratch.draws.seed(words, round), affinityRow, parameters, scratch.rows);
    if (passGates(gate, scratch)) return true;
  }
  if (isSmall) return false;
  scratch.round = DRAWN_ROUNDS;
  scratch.count = sweep(shard, scratch.draws.seed(words, DRAWN_ROUNDS), (row) => gate(row) === OPEN, scratch.rows);
  return passGates(gate, scratch);
}

function passGates(gate: (row: number) => number, scratch: Scratch): boolean {
  let anyOpen = false;
  for (let i = 0; i < scratch.count; i++) {
    scratch.gates[i] = gate(scratch.rows[i]!);
    if (scratch.gates[i] === OPEN) anyOpen = true;
  }
  return anyOpen;
}

function costOfRow(shard: Shard, rowNumber: number, task: RoutingTask, cachedTokens: number, parameters: RoutingParameters): Micros {
  const row = shard.rows[rowNumber]!;
  const load = correctLoad(row, shard.own[rowNumber]!, parameters.unknownContextTokens);
  return costUs(row, load, task, cachedTokens, shard.leastBacklogTokens, parameters);
}

/** @returns the row of a node by halving, or -1. */
export function rowOfNode(shard: Shard, nodeId: number): number {
  let low = 0;
  let high = shard.rows.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const found = shard.rows[middle]!.nodeId;
    if (found === nodeId) return middle;
    if (found < nodeId) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
