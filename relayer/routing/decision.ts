// The decision record: how a node came to be chosen, as one canonical text whose hash stands in the assignment.
import { keccak256 as viemKeccak256 } from "viem/utils";
import { GATES, OPEN, type DecideTask, type Scratch } from "./decide.ts";
import { hexOfText } from "./hexOfText.ts";
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

/**
 * Written member by member in the order of canonical JSON, because it is on the path of every dispatch; a test holds it to that form.
 * @returns the canonical text of what `scratch` holds after `decide` returned `chosenRow`; no prompt, no key, no conversation.
 */
export function decisionText(context: DecisionContext, shard: Shard, scratch: Scratch, chosenRow: number, parameters: RoutingParameters = PARAMETERS): string {
  const { drawnFor, task } = context;
  let candidates = "";
  for (let i = 0; i < scratch.count; i++) candidates += `${i === 0 ? "" : ","}${candidateText(shard, scratch, i)}`;
  return `{"affinityNode":${task.affinityNodeId},"ageMs":${task.ageMs},"attempt":${drawnFor.attempt},"cachedTokens":${task.cachedTokens},"candidates":[${candidates}],`
    + `"cause":${JSON.stringify(context.cause)},"chosen":${shard.rows[chosenRow]!.nodeId},"draw":"${context.draw}","epoch":${context.epoch},`
    + `"expectedOutTokens":${task.expectedOutTokens},"inputTokens":${task.inputTokens},"mode":${drawnFor.mode},"modelId":"${shard.modelId}","nonce":"${drawnFor.nonce}",`
    + `"parameters":${parameters.version},"processId":"${context.processId}","round":${scratch.round},"sequence":${context.sequence},"sessionId":"${drawnFor.sessionId}",`
    + `"subtask":${drawnFor.subtask},"table":"${context.tableRoot}","taskId":"${drawnFor.taskId}","temperatureUs":${scratch.temperatureUs},"version":1}`;
}

export const decisionHashOf = (text: string, keccak256: Keccak256 = viemKeccak256): Hash => keccak256(hexOfText(text));

/** `own`: in flight, prefill and context tokens of this relayer, what replay rebuilds from earlier assignments. */
function candidateText(shard: Shard, scratch: Scratch, i: number): string {
  const row = scratch.rows[i]!;
  const { inFlight, prefillTokens, contextTokens } = shard.own[row]!;
  const node = shard.rows[row]!.nodeId;
  const own = `[${inFlight},${prefillTokens},${contextTokens}]`;
  const gate = scratch.gates[i]!;
  return gate === OPEN ? `{"costUs":${scratch.costs[i]!},"node":${node},"own":${own},"weight":${scratch.weights[i]!}}` : `{"node":${node},"out":"${GATES[gate]!}","own":${own}}`;
}
