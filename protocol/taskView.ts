// What is handed out about a task, by the relayer's audit API and as a saved receipt file: everything that was signed, and
// where it stands in its batch. A reader believes none of it: it all hashes up to what the chain holds, or it is refused.
import { z } from "zod";
import { hexOfLength, parse, structFromJson, structToJson } from "./json.ts";
import { recordFromJson, recordToJson, signatureFromJson, type AttemptRecord } from "./records.ts";
import type { BatchHeader } from "./generated/structs.ts";
import type { SumProof } from "./merkleSum.ts";
import type { Domain } from "./typedData.ts";
import type { Address, Hash, Signature } from "./units.ts";

/** Marks a saved receipt file, and the version of this form. */
export const TASK_VIEW_FORMAT = "tidelane-receipt/1";
export const ATTEMPTS_MAX = 4_096;
export const SIBLINGS_MAX = 20;

export interface SignedAttemptView {
  readonly record: AttemptRecord;
  /** Where the attempt's leaf stands in each tree of the batch; null until the task is in one. */
  readonly proofs: { readonly session: SumProof; readonly tab: SumProof } | null;
}

/** An attempt that ended without a receipt: nothing is owed for it. */
export interface UnsignedAttemptView {
  readonly assignmentHash: Hash;
  readonly nodeId: number;
  readonly cause: string;
}

export interface BatchView {
  readonly header: BatchHeader;
  /** The relayer's, over the header. */
  readonly signature: Signature;
  readonly state: "built" | "sent" | "confirmed" | "abandoned";
  readonly transactionHash: Hash;
  /** Decimal strings in JSON; null until mined. */
  readonly blockNumber: bigint | null;
  readonly gasUsed: bigint | null;
}

export interface TaskView {
  readonly domain: Domain;
  readonly taskId: Hash;
  readonly state: "open" | "finished" | "failed";
  readonly attempts: readonly SignedAttemptView[];
  readonly unsigned: readonly UnsignedAttemptView[];
  readonly batch: BatchView | null;
}

/** @returns a plain object for JSON.stringify; amounts as decimal strings. */
export function taskViewToJson(view: TaskView): Record<string, unknown> {
  return {
    format: TASK_VIEW_FORMAT,
    domain: { chainId: view.domain.chainId, verifyingContract: view.domain.verifyingContract },
    taskId: view.taskId, state: view.state,
    attempts: view.attempts.map((attempt) => ({
      record: recordToJson(attempt.record),
      proofs: attempt.proofs && { session: proofToJson(attempt.proofs.session), tab: proofToJson(attempt.proofs.tab) },
    })),
    unsigned: view.unsigned.map(({ assignmentHash, nodeId, cause }) => ({ assignmentHash, nodeId, cause })),
    batch: view.batch && {
      header: structToJson("BatchHeader", view.batch.header), signature: view.batch.signature, state: view.batch.state,
      transactionHash: view.batch.transactionHash, blockNumber: view.batch.blockNumber?.toString() ?? null, gasUsed: view.batch.gasUsed?.toString() ?? null,
    },
  };
}

/** @throws InvalidValueError naming the first member that does not fit. */
export function taskViewFromJson(json: unknown, path = "receipt"): TaskView {
  const from = parse(viewSchema, json, path);
  return {
    domain: { chainId: from.domain.chainId, verifyingContract: hexOfLength(from.domain.verifyingContract, 20, `${path}.domain.verifyingContract`) as Address },
    taskId: hexOfLength(from.taskId, 32, `${path}.taskId`), state: from.state,
    attempts: from.attempts.map((attempt, i) => ({ record: recordFromJson(attempt.record, `${path}.attempts[${i}].record`), proofs: attempt.proofs })),
    unsigned: from.unsigned.map((attempt, i) => ({ ...attempt, assignmentHash: hexOfLength(attempt.assignmentHash, 32, `${path}.unsigned[${i}].assignmentHash`) })),
    batch: from.batch && {
      header: structFromJson("BatchHeader", from.batch.header, `${path}.batch.header`),
      signature: signatureFromJson(from.batch.signature, `${path}.batch.signature`), state: from.batch.state,
      transactionHash: hexOfLength(from.batch.transactionHash, 32, `${path}.batch.transactionHash`),
      blockNumber: from.batch.blockNumber, gasUsed: from.batch.gasUsed,
    },
  };
}

export const proofToJson = (proof: SumProof): Record<string, unknown> =>
  ({ index: proof.index, siblings: proof.siblings.map((sibling) => ({ hash: sibling.hash, sum: sibling.sum.toString() })) });

const hash = z.string().regex(/^0x[0-9a-f]{64}$/).transform((value) => value as Hash);
const whole = z.string().regex(/^(0|[1-9]\d{0,38})$/).transform((value) => BigInt(value));
const proofSchema = z.object({
  index: z.number().int().min(0).max(2 ** SIBLINGS_MAX - 1),
  siblings: z.array(z.object({ hash, sum: whole.refine((sum) => sum < 2n ** 128n, "below 2^128") })).max(SIBLINGS_MAX),
});
const id = z.number().int().min(0).max(2 ** 32 - 1);
const viewSchema = z.object({
  format: z.literal(TASK_VIEW_FORMAT),
  domain: z.object({ chainId: z.number().int().min(1), verifyingContract: z.string() }),
  taskId: z.string(), state: z.enum(["open", "finished", "failed"]),
  attempts: z.array(z.object({ record: z.unknown(), proofs: z.object({ session: proofSchema, tab: proofSchema }).nullable() })).max(ATTEMPTS_MAX),
  unsigned: z.array(z.object({ assignmentHash: z.string(), nodeId: id, cause: z.string().max(200) })).max(ATTEMPTS_MAX),
  batch: z.object({
    header: z.unknown(), signature: z.string(), state: z.enum(["built", "sent", "confirmed", "abandoned"]),
    transactionHash: z.string(), blockNumber: whole.nullable(), gasUsed: whole.nullable(),
  }).nullable(),
});
