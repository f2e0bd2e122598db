// The bytes behind a batch's dataHash: every record, decision and failed attempt of its tasks, for whoever checks the batch.
import { bytesToString, stringToBytes } from "viem/utils";
import { z } from "zod";
import { acksFromJson, acksToJson, type SignedAck } from "./link.ts";
import { hexOfLength, parse, structFromJson, structToJson } from "./json.ts";
import { recordFromJson, recordToJson, type AttemptRecord } from "./records.ts";
import { InvalidValueError } from "./errors.ts";
import type { TaskOrder } from "./generated/structs.ts";
import type { Hash, Millis, Seconds } from "./units.ts";

export const BATCH_DATA_FORMAT = "tidelane-batch/1";

export interface BatchDataAttempt {
  readonly assignmentHash: Hash;
  readonly nodeId: number;
  /** Canonical JSON text of the decision record: its keccak256 stands in the assignment. */
  readonly decision: string;
  /** Null where no receipt came; then `assignment` and `cause` say what was assigned and how it ended. */
  readonly signed: { readonly record: AttemptRecord; readonly ack: SignedAck } | null;
  readonly assignment: Readonly<Record<string, unknown>>;
  readonly cause: string | null;
}

export interface BatchDataTask {
  readonly taskId: Hash;
  readonly state: "finished" | "failed";
  readonly order: TaskOrder;
  readonly openedAtMs: Millis;
  readonly attempts: readonly BatchDataAttempt[];
}

/** What a batch's header says, less what the hash of these bytes decides. */
export interface BatchData {
  readonly relayerId: number;
  readonly batchId: bigint;
  readonly periodStart: Seconds;
  readonly periodEnd: Seconds;
  readonly tasks: readonly BatchDataTask[];
}

/** @returns UTF-8 of canonical JSON: members sorted by name, no white space. */
export function batchDataToBytes(data: BatchData): Uint8Array {
  return stringToBytes(canonicalJson({
    format: BATCH_DATA_FORMAT, relayerId: data.relayerId, batchId: String(data.batchId), periodStart: data.periodStart, periodEnd: data.periodEnd,
    tasks: data.tasks.map((task) => ({
      taskId: task.taskId, state: task.state, openedAtMs: task.openedAtMs, order: structToJson("TaskOrder", task.order),
      attempts: task.attempts.map(attemptToJson),
    })),
  }));
}

function attemptToJson(attempt: BatchDataAttempt): Record<string, unknown> {
  const { assignmentHash, nodeId, decision, cause } = attempt;
  const common = { assignmentHash, nodeId, decision, cause };
  if (attempt.signed === null) return { ...common, assignment: attempt.assignment, record: null, ack: null };
  const [ack] = acksToJson([attempt.signed.ack]).acks as unknown[];
  return { ...common, record: recordToJson(attempt.signed.record), ack };
}

const count = z.number().int().min(0);
const dataSchema = z.object({
  format: z.literal(BATCH_DATA_FORMAT), relayerId: count, batchId: z.string().regex(/^\d{1,20}$/).transform(BigInt), periodStart: count, periodEnd: count,
  tasks: z.array(z.object({
    taskId: z.string(), state: z.enum(["finished", "failed"]), openedAtMs: count, order: z.unknown(),
    attempts: z.array(z.object({
      assignmentHash: z.string(), nodeId: count, decision: z.string(), cause: z.string().nullable(),
      record: z.unknown(), ack: z.unknown(), assignment: z.record(z.string(), z.unknown()).optional(),
    })),
  })),
});

/** Reads what a stranger serves. Whether it hashes to a dataHash is the caller's to check. @throws InvalidValueError */
export function batchDataFromBytes(bytes: Uint8Array): BatchData {
  let json: unknown;
  try {
    json = JSON.parse(bytesToString(bytes));
  } catch {
    throw new InvalidValueError("data", "JSON");
  }
  const from = parse(dataSchema, json, "data");
  return { ...from, tasks: from.tasks.map((task, t) => {
    const path = `data.tasks[${t}]`;
    return {
      taskId: hexOfLength(task.taskId, 32, `${path}.taskId`), state: task.state, openedAtMs: task.openedAtMs, order: structFromJson("TaskOrder", task.order, `${path}.order`),
      attempts: task.attempts.map((attempt, a): BatchDataAttempt => ({
        assignmentHash: hexOfLength(attempt.assignmentHash, 32, `${path}.attempts[${a}].assignmentHash`), nodeId: attempt.nodeId, decision: attempt.decision, cause: attempt.cause,
        assignment: attempt.assignment ?? {},
        signed: attempt.record === null ? null : { record: recordFromJson(attempt.record, `${path}.attempts[${a}].record`), ack: acksFromJson({ acks: [attempt.ack] })[0]! },
      })),
    };
  }) };
}

/** JSON with every object's members sorted by name, so that equal values are equal bytes. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const members = Object.entries(value).filter(([, member]) => member !== undefined).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(",")}}`;
}
