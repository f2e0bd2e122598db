// What can go wrong with the journal, in the same words for every implementation.
import { TidelaneError } from "../../../protocol/errors.ts";
import type { Hash } from "../../../protocol/units.ts";

export const journalErrors = {
  unavailable: (cause: unknown) =>
    new TidelaneError("The database cannot be reached; try again shortly.", { code: "journal_unavailable", retryable: true, cause }),
  replayed: (taskId: Hash) =>
    new TidelaneError("This order was already used. Sign a new order with another nonce.", { code: "order_replayed", details: { taskId } }),
  nonceTaken: (sessionId: Hash, nonce: bigint, next: bigint) =>
    new TidelaneError(`The session's next nonce is ${next}, not ${nonce}: another process used it, or one before it was never journaled.`, {
      code: "nonce_taken", retryable: true, details: { sessionId, nonce: String(nonce), next: String(next) },
    }),
  ordersElsewhere: (sessionId: Hash, needed: bigint, most: bigint) =>
    new TidelaneError(`Charges and orders in flight, those of this relayer's other processes included, need ${needed}; ${most} is covered. Wait until some have ended.`, {
      code: "orders_elsewhere", retryable: true, details: { sessionId, needed: String(needed), most: String(most) },
    }),
  receiptReused: (receiptHash: Hash, nodeId: number) =>
    new TidelaneError(`A receipt of node ${nodeId}, or its nodeSeq, was journaled before; a receipt counts once.`, { code: "receipt_reused", details: { receiptHash, nodeId } }),
  unknownSession: (sessionId: Hash) =>
    new TidelaneError("This session is not registered here.", { code: "unknown_session", details: { sessionId } }),
  taskEnded: (taskId: Hash) =>
    new TidelaneError("This task was given up before its receipt came, and its end is published; the receipt does not count.", { code: "task_ended", details: { taskId } }),
  unknownTask: (taskId: Hash) =>
    new TidelaneError("This task was never opened here.", { code: "unknown_task", details: { taskId } }),
  unknownBatch: (batchId: bigint) =>
    new TidelaneError("There is no such batch.", { code: "unknown_batch", details: { batchId: String(batchId) } }),
  alreadyBatched: (what: string) =>
    new TidelaneError(`The batch cannot be stored: ${what}.`, { code: "already_batched" }),
  leadLost: (fence: bigint) =>
    new TidelaneError("Another process posts batches now.", { code: "lead_lost", retryable: true, details: { fence: String(fence) } }),
} as const;
