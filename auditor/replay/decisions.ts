// Decision records as they stand in batch data: read, and tied to the assignments that name them.
import { keccak256, stringToHex } from "viem/utils";
import { z } from "zod";
import { parse, structFromJson } from "../../protocol/json.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { GATES } from "../../relayer/routing/decide.ts";
import { CANDIDATES_MAX } from "../../relayer/routing/parameters.ts";
import type { BatchDataAttempt, BatchDataTask } from "../../protocol/batchData.ts";
import type { Assignment } from "../../protocol/generated/structs.ts";
import type { Hash } from "../../protocol/units.ts";

const hash = z.string().regex(/^0x[0-9a-f]{64}$/).transform((value) => value as Hash);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const candidateSchema = z.object({
  node: count, own: z.tuple([count, count, count]), out: z.enum(GATES).optional(), costUs: z.number().optional(), weight: count.optional(),
});
const decisionSchema = z.object({
  processId: hash, sequence: count.min(1), table: hash, epoch: count, draw: hash, mode: count, taskId: hash, sessionId: hash, subtask: count, attempt: count,
  cause: z.string().nullable(), modelId: hash, inputTokens: count, expectedOutTokens: count, affinityNode: z.number().int().min(-1), cachedTokens: count, ageMs: count,
  candidates: z.array(candidateSchema).max(CANDIDATES_MAX), chosen: count,
});

/** The members that a replay reads; the text itself is what is compared in the end. */
export type DecisionRecord = z.output<typeof decisionSchema>;

/** A decision with the place where it was published. */
export interface PublishedDecision {
  readonly batchId: bigint;
  readonly task: BatchDataTask;
  readonly published: BatchDataAttempt;
  readonly assignment: Assignment;
  readonly decision: DecisionRecord;
  /** Whether it belongs to what is to be replayed; the others say what was in flight. */
  readonly isJudged: boolean;
}

/** @throws InvalidValueError for a text that is no decision record. */
export function decisionFromText(text: string): DecisionRecord {
  let json: unknown = null;
  try {
    json = JSON.parse(text);
  } catch {
    // What is no JSON is no decision either; the schema says so.
  }
  return parse(decisionSchema, json, "decision");
}

/** The assignment of an attempt, from its record or, where no receipt came, from what was assigned. @throws InvalidValueError */
export const assignmentOf = (attempt: BatchDataAttempt): Assignment =>
  attempt.signed?.record.assignment ?? structFromJson("Assignment", attempt.assignment.assignment, "assignment");

/** @returns what does not hold between the published attempt, its assignment and its decision, one sentence each. */
export function linkFindings(task: BatchDataTask, published: BatchDataAttempt, assignment: Assignment, decision: DecisionRecord): string[] {
  const found: string[] = [];
  const must = (holds: boolean, what: string): void => {
    if (!holds) found.push(what);
  };
  must(hashStruct("TaskOrder", task.order) === task.taskId, "the order does not hash to the task");
  must(hashStruct("Assignment", assignment) === published.assignmentHash, "the assignment does not hash to the attempt's");
  must(assignment.taskId === task.taskId, "the assignment is for another task");
  must(keccak256(stringToHex(published.decision)) === assignment.decisionHash, "the decision is not the one whose hash the assignment holds");
  must(decision.chosen === assignment.nodeId, `the decision chose node ${decision.chosen}, the assignment went to node ${assignment.nodeId}`);
  must(published.nodeId === assignment.nodeId, "the attempt names another node than its assignment");
  return found;
}
