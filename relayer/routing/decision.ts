// The decision record: how a node came to be chosen, as one canonical text whose hash stands in the assignment.
import { keccak256 as viemKeccak256, stringToHex } from "viem/utils";
import { canonicalJson, type Canonical } from "./canonical.ts";
import { GATES, OPEN, type DecideTask, type Scratch } from "./decide.ts";
import { PARAMETERS, type RoutingParameters } from "./parameters.ts";
import type { DrawnFor } from "./seeds.ts";
import type { Shard } from "./table.ts";
import type { Keccak256 } from "../../protocol/typedData.ts";
import type { Hash } from "../../protocol/units.ts";

export interface DecisionContext {
  readonly processId: Hash;
  /** Place in the process's count of bookings and releases: tells which of them were in flight. */
  readonly sequence: number;
  readonly tableRoot: Hash;
  readonly epoch: number;
  readonly draw: Hash;
  readonly drawnFor: DrawnFor;
  /** Null for attempt 0 only. */
  readonly cause: string | null;
  readonly task: DecideTask;
}

/** @returns the canonical text of what `scratch` holds after `decide` returned `chosenRow`; no prompt, no key, no conversation. */
export function decisionText(context: DecisionContext, shard: Shard, scratch: Scratch, chosenRow: number, parameters: RoutingParameters = PARAMETERS): string {
  const { drawnFor, task } = context;
  return canonicalJson({
    version: 1, parameters: parameters.version, processId: context.processId, sequence: context.sequence, table: context.tableRoot,
    epoch: context.epoch, draw: context.draw, mode: drawnFor.mode, taskId: drawnFor.taskId, sessionId: drawnFor.sessionId,
    nonce: String(drawnFor.nonce), subtask: drawnFor.subtask, attempt: drawnFor.attempt, cause: context.cause, modelId: shard.modelId,
    inputTokens: task.inputTokens, expectedOutTokens: task.expectedOutTokens, affinityNode: task.affinityNodeId, cachedTokens: task.cachedTokens,
    ageMs: task.ageMs, round: scratch.round, temperatureUs: scratch.temperatureUs,
    candidates: Array.from({ length: scratch.count }, (_, i) => candidateOf(shard, scratch, i)), chosen: shard.rows[chosenRow]!.nodeId,
  });
}

export const decisionHashOf = (text: string, keccak256: Keccak256 = viemKeccak256): Hash => keccak256(stringToHex(text));

/** `own`: in flight, prefill and context tokens of this relayer, what replay rebuilds from earlier assignments. */
function candidateOf(shard: Shard, scratch: Scratch, i: number): Canonical {
  const row = scratch.rows[i]!;
  const { inFlight, prefillTokens, contextTokens } = shard.own[row]!;
  const own = [inFlight, prefillTokens, contextTokens];
  const node = shard.rows[row]!.nodeId;
  return scratch.gates[i] === OPEN ? { node, own, costUs: scratch.costs[i]!, weight: scratch.weights[i]! } : { node, own, out: GATES[scratch.gates[i]!]! };
}
