// Rows to the ports' words and back.
import { acksFromJson, acksToJson, type SignedAck } from "../../../protocol/link.ts";
import { recordFromJson, recordToJson } from "../../../protocol/records.ts";
import { structFromJson, structToJson } from "../../../protocol/json.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import type { Item } from "../../../protocol/merkleSum.ts";
import type { Hash } from "../../../protocol/units.ts";
import type { EndedAttempt, OpenedTask, SignedAttempt, StoredBatch, StoredSession } from "../../ports/journal.ts";
import type { attempts, batches, sessions, tasks } from "./schema.ts";

type SessionRow = typeof sessions.$inferSelect;
type TaskRow = typeof tasks.$inferSelect;
type AttemptRow = typeof attempts.$inferSelect;
type BatchRow = typeof batches.$inferSelect;

export const sessionToRow = (session: StoredSession): SessionRow => ({
  sessionId: session.sessionId, authorization: structToJson("SpendingAuthorization", session.authorization),
  nextNonce: String(session.nextNonce), charged: String(session.charged), cap: String(session.voucher?.voucher.cumulativeCap ?? 0n),
  voucher: session.voucher && structToJson("Voucher", session.voucher.voucher), voucherSignature: session.voucher?.signature ?? null,
});

export const sessionFromRow = (row: SessionRow): StoredSession => stored(() => ({
  sessionId: row.sessionId, authorization: structFromJson("SpendingAuthorization", row.authorization),
  nextNonce: BigInt(row.nextNonce), charged: BigInt(row.charged),
  voucher: row.voucher && { voucher: structFromJson("Voucher", row.voucher), signature: row.voucherSignature! },
}));

export const taskToRow = (task: OpenedTask): typeof tasks.$inferInsert => ({
  taskId: task.taskId, sessionId: task.sessionId, state: "open", kind: task.kind,
  // Postgres holds no NUL in text; a model's name is a node's word.
  model: task.model.replaceAll("\0", "\ufffd"), order: structToJson("TaskOrder", task.order), openedAtMs: Math.floor(task.openedAtMs),
});

export const taskFromRow = (row: TaskRow): OpenedTask => stored(() => ({
  taskId: row.taskId, sessionId: row.sessionId, kind: row.kind, model: row.model, openedAtMs: row.openedAtMs, order: structFromJson("TaskOrder", row.order),
}));

export const attemptToRow = (attempt: EndedAttempt, position: number): typeof attempts.$inferInsert => ({
  taskId: attempt.taskId, position, assignmentHash: attempt.assignmentHash, nodeId: attempt.nodeId, decision: attempt.decision,
  assignment: attempt.assignment, cause: attempt.cause,
  ...(attempt.signed && {
    record: recordToJson(attempt.signed.record), receiptHash: attempt.signed.receiptHash, nodeSeq: String(attempt.signed.record.receipt.nodeSeq),
    charge: String(attempt.signed.charge), ack: ackToJson(attempt.signed.ack),
  }),
});

export const attemptFromRow = (row: AttemptRow): EndedAttempt => stored(() => ({
  taskId: row.taskId, assignmentHash: row.assignmentHash, nodeId: row.nodeId, decision: row.decision, assignment: row.assignment, cause: row.cause,
  signed: row.record && {
    record: recordFromJson(row.record), receiptHash: row.receiptHash!, charge: BigInt(row.charge!), ack: ackFromJson(row.ack),
  },
}));

export const batchToRow = (batch: StoredBatch): BatchRow => ({
  headerHash: batch.headerHash, batchId: String(batch.header.batchId), state: batch.state, header: structToJson("BatchHeader", batch.header), signature: batch.signature,
  debits: batch.debits.map(itemToJson), credits: batch.credits.map(itemToJson),
  transactionHash: batch.transaction.hash, transactionRaw: batch.transaction.raw, transactionNonce: batch.transaction.nonce, replaced: [...batch.replaced],
  blockNumber: batch.blockNumber, gasUsed: batch.gasUsed,
});

export const batchFromRow = (row: BatchRow): StoredBatch => stored(() => ({
  header: structFromJson("BatchHeader", row.header), headerHash: row.headerHash, signature: row.signature,
  debits: row.debits.map(itemFromJson), credits: row.credits.map(itemFromJson),
  transaction: { hash: row.transactionHash, raw: row.transactionRaw, nonce: row.transactionNonce }, replaced: row.replaced,
  state: row.state, blockNumber: row.blockNumber, gasUsed: row.gasUsed,
}));

/** The spool's line for a finished task. */
export const finishToJson = (taskId: Hash, state: "finished" | "failed", ended: readonly EndedAttempt[]): Record<string, unknown> => ({
  version: 1, taskId, state,
  attempts: ended.map((attempt) => ({ ...attempt, signed: attempt.signed && signedToJson(attempt.signed) })),
});

/** @throws TidelaneError `spool_unreadable` */
export function finishFromJson(json: unknown): { taskId: Hash; state: "finished" | "failed"; attempts: EndedAttempt[] } {
  const from = json as { version?: unknown; taskId: Hash; state: "finished" | "failed"; attempts: (Omit<EndedAttempt, "signed"> & { signed: Record<string, unknown> | null })[] };
  if (from?.version !== 1) throw new TidelaneError("The spool was written by another version of Tidelane; use that one to empty it first.", { code: "spool_unreadable" });
  return { taskId: from.taskId, state: from.state, attempts: from.attempts.map((attempt) => ({ ...attempt, signed: attempt.signed && signedFromJson(attempt.signed) })) };
}

const signedToJson = (signed: SignedAttempt) => ({ record: recordToJson(signed.record), receiptHash: signed.receiptHash, charge: String(signed.charge), ack: ackToJson(signed.ack) });
const signedFromJson = (json: Record<string, unknown>): SignedAttempt => ({
  record: recordFromJson(json.record), receiptHash: json.receiptHash as Hash, charge: BigInt(json.charge as string), ack: ackFromJson(json.ack),
});

const ackToJson = (ack: SignedAck): Record<string, unknown> => (acksToJson([ack]).acks as Record<string, unknown>[])[0]!;
const ackFromJson = (json: unknown): SignedAck => acksFromJson({ acks: [json] })[0]!;
const itemToJson = (item: Item): Record<string, unknown> => ({ id: item.id, change: String(item.change) });
const itemFromJson = (json: Record<string, unknown>): Item => ({ id: json.id as Hash, change: BigInt(json.change as string) });

/** What the journal itself wrote must be readable; if not, the database was changed by other hands. */
function stored<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (cause) {
    throw new TidelaneError("The database holds a row that this version of Tidelane cannot read.", { code: "journal_corrupt", cause });
  }
}
