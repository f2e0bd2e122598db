// What the relayer needs of its durable record: sessions, tasks, batches, small facts, and the data behind dataHash.
import type { BatchHeader, SpendingAuthorization, TaskOrder, Voucher } from "../../protocol/generated/structs.ts";
import type { SignedAck } from "../../protocol/link.ts";
import type { Item } from "../../protocol/merkleSum.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Hash, Millis, Seconds, Signature, TokenAmount } from "../../protocol/units.ts";
import type { ChainTransaction } from "./chain.ts";

export interface StoredSession {
  readonly sessionId: Hash;
  readonly authorization: SpendingAuthorization;
  /** Next nonce of an ALLOWANCE session: consecutive, a gap is a finding. */
  readonly nextNonce: bigint;
  /** Charges of all finished tasks, settled or not. */
  readonly charged: TokenAmount;
  /** The journaled voucher with the greatest cap; null before the first and in ALLOWANCE mode. */
  readonly voucher: SignedVoucher | null;
}

export interface SignedVoucher {
  readonly voucher: Voucher;
  readonly signature: Signature;
}

/** A task as it is opened, beside its dispatch and before the first byte of the answer leaves. */
export interface OpenedTask {
  readonly taskId: Hash;
  readonly sessionId: Hash;
  readonly order: TaskOrder;
  readonly kind: "chat" | "completion" | "embeddings";
  readonly model: string;
  readonly openedAtMs: Millis;
}

/** An attempt that ended: with a receipt, or as an unsigned record of what was assigned. */
export interface EndedAttempt {
  readonly taskId: Hash;
  readonly assignmentHash: Hash;
  readonly nodeId: number;
  /** Canonical JSON text of the decision record; its keccak256 stands in the assignment. */
  readonly decision: string;
  /** Assignment and signature as JSON where no receipt came. */
  readonly assignment: Readonly<Record<string, unknown>>;
  readonly signed: SignedAttempt | null;
  /** Why it ended so, for attempts without a receipt: `refused_full`, `node_disconnected`, ... */
  readonly cause: string | null;
}

export interface SignedAttempt {
  readonly record: AttemptRecord;
  readonly receiptHash: Hash;
  readonly charge: TokenAmount;
  readonly ack: SignedAck;
}

export type TaskState = "open" | "finished" | "failed";
export type BatchState = "built" | "sent" | "confirmed" | "abandoned";

export interface StoredBatch {
  readonly header: BatchHeader;
  readonly headerHash: Hash;
  readonly signature: Signature;
  readonly debits: readonly Item[];
  readonly credits: readonly Item[];
  readonly transaction: ChainTransaction;
  /** Hashes of transactions that `transaction` replaced: one of them may be mined in its stead. */
  readonly replaced: readonly Hash[];
  readonly state: BatchState;
  readonly blockNumber: bigint | null;
  readonly gasUsed: bigint | null;
}

/** What a session owes that is in no batch yet. */
export interface UnsettledSession {
  readonly sessionId: Hash;
  readonly charge: TokenAmount;
  readonly oldestAckSeconds: Seconds;
}

/** Where a task stands among the unsettled ones. */
export interface TaskPlace {
  readonly oldestAckSeconds: Seconds;
  readonly taskId: Hash;
}

/** A task that ended and is in no batch yet. */
export interface EndedTask {
  readonly opened: OpenedTask;
  readonly state: "finished" | "failed";
  readonly attempts: readonly EndedAttempt[];
}

export interface StoredTask {
  readonly opened: OpenedTask;
  readonly state: TaskState;
  readonly attempts: readonly EndedAttempt[];
  readonly batch: StoredBatch | null;
}

/**
 * The durable record. Every method is atomic and durable when it resolves.
 * @throws retryable TidelaneError `journal_unavailable` where the database cannot be reached.
 */
export interface Journal {
  putSession(session: StoredSession): Promise<void>;
  session(sessionId: Hash): Promise<StoredSession | null>;
  /** Payers' sessions; those that stand for contracts' requests are asked for by id only. */
  sessions(): Promise<readonly StoredSession[]>;
  putApiKey(keyHash: Hash, sessionId: Hash, expiresAtMs: Millis): Promise<void>;
  /** Null where it is unknown or expired. */
  sessionOfApiKey(keyHash: Hash, nowMs: Millis): Promise<Hash | null>;
  /**
   * With a voucher (VOUCHER mode) the session's greatest voucher is kept in the same transaction; without one (ALLOWANCE) the
   * order's nonce must be the session's next, which is raised.
   * @param most what the session may owe in all, this order included: the processes of one relayer share it, and each knows its
   *   own orders only. Not asked where it is left out.
   * @throws `order_replayed` where the task is known, `nonce_taken` where it is not the session's next one (details.next), `orders_elsewhere` where
   *   what was charged and all open orders together would exceed `most`.
   */
  openTask(task: OpenedTask, voucher: SignedVoucher | null, most?: TokenAmount): Promise<void>;
  /**
   * All attempts of a task, its end, and the session's charge, in one transaction; group-committed.
   * Where the database is down, the entry goes to a local spool (synced to disk) and is replayed later; repeating it changes nothing.
   * @throws `receipt_reused` where a receipt, or its node's seq, stands in the journal already, `task_ended` where it is to finish
   *   a task that failed for good; then nothing has changed, and nothing may be acked.
   */
  finishTask(taskId: Hash, state: "finished" | "failed", attempts: readonly EndedAttempt[]): Promise<void>;
  task(taskId: Hash): Promise<StoredTask | null>;
  /**
   * Ends tasks that no process can be serving any more, as failed: so old, or with an order whose deadline was so long ago. What
   * they reserved is free again. A process that was cut off may still end one with its receipt until it is in a batch. @returns how many.
   */
  expireTasks(openedBeforeMs: Millis, deadlineBeforeSeconds: Seconds): Promise<number>;
  /** Sessions with receipts that are in no batch yet. Contracts' requests never are: their fulfilment pays them. */
  unsettledSessions(): Promise<readonly UnsettledSession[]>;
  /** Their ended tasks with a receipt that are in no batch yet, by their oldest ack, then by id. @param after where an earlier list ended. */
  unsettledTasks(sessionIds: readonly Hash[], limit: number, after?: TaskPlace): Promise<readonly EndedTask[]>;
  /** Ended tasks without any receipt that are in no batch yet, by their opening: published with the next batch. */
  unsettledFailures(limit: number): Promise<readonly EndedTask[]>;
  /**
   * Takes a task out of what waits for a batch, for good: a force of one of its receipts was paid, and that is final.
   * @returns false where the task is not known, or stands in a batch already.
   */
  markForced(taskId: Hash): Promise<boolean>;
  /** The greatest receipt of each tab that was journaled. */
  lastReceipts(): Promise<ReadonlyMap<number, AttemptRecord>>;
  /** Takes the right to post batches, which one process holds at a time. Null while another one holds it. */
  lead(): Promise<Lead | null>;
  /**
   * Stores the batch with its raw transaction and claims its tasks, before anything is sent.
   * @throws `already_batched` where a task or the batch id is taken, or a task was paid by a force, `lead_lost` where another process leads.
   */
  putBatch(batch: StoredBatch, taskIds: readonly Hash[], lead: Lead): Promise<void>;
  /** `abandoned` frees the batch's tasks for a later one. A new transaction goes before it is sent. */
  updateBatch(batchId: bigint, state: BatchState, mined?: { blockNumber: bigint; gasUsed: bigint }, transaction?: ChainTransaction): Promise<void>;
  /** The batch of that id that was not abandoned. */
  batch(batchId: bigint): Promise<StoredBatch | null>;
  /** Newest first. */
  batches(state: BatchState, limit: number): Promise<readonly StoredBatch[]>;
  /** Remembers a response for `Idempotency-Key`. @returns what another request with the key did first, or null where this one is the first. */
  claimIdempotency(scope: Hash, key: string, requestHash: Hash, nowMs: Millis): Promise<{ requestHash: Hash; response: string | null } | null>;
  completeIdempotency(scope: Hash, key: string, response: string | null): Promise<void>;
  /** What stands under a key, claiming nothing; null where nothing does, a null response while it is not complete. */
  keptResponse(scope: Hash, key: string): Promise<{ response: string | null; claimedAtMs: Millis } | null>;
  /** Those of the claims that are not complete count from now on. */
  renewClaims(claims: readonly { readonly scope: Hash; readonly key: string }[], nowMs: Millis): Promise<void>;
  /** Lets go of the responses, and claims, that nobody can ask for any more: a day after they were claimed. @returns how many */
  forgetResponses(nowMs: Millis): Promise<number>;
  /** Small facts that must outlive a restart: the deployment, the chain's last seen block, the seed chain. */
  getFact(name: string): Promise<string | null>;
  setFact(name: string, value: string): Promise<void>;
  /** Sets a fact where it still is what the caller has read (null: where there is none). @returns whether it was. */
  replaceFact(name: string, expected: string | null, value: string): Promise<boolean>;
  /**
   * Puts what a process tells this relayer's other processes in place of what it told before. Not durable: what is lost is told again.
   * @returns what the others told last, the newest first; whoever told nothing for a quarter of an hour is forgotten.
   */
  shareTallies(own: ToldTally, nowMs: Millis): Promise<readonly ToldTally[]>;
  /** True where the database answers. */
  isUp(): boolean;
}

/** What one process of a relayer gave its payers, as it told its others. */
export interface ToldTally {
  readonly process: string;
  /** Grows with each telling of the process. */
  readonly sequence: number;
  readonly text: string;
}

/** The right to post; a fencing number makes an old holder's late write fail. */
export interface Lead {
  readonly fence: bigint;
  isHeld(): boolean;
  release(): Promise<void>;
}

/** The data behind dataHash, content-addressed; kept at least 90 days. */
export interface RecordStore {
  put(dataHash: Hash, bytes: Uint8Array): Promise<void>;
  get(dataHash: Hash): Promise<Uint8Array | null>;
}

/** A store of records that can let go of old ones, a part of it at a time. */
export interface PrunedRecords {
  readonly folders: number;
  /** @param folder from 0 to `folders` - 1. @returns how many records written before then are gone. @throws retryable `records_unavailable` */
  prune(folder: number, beforeMs: Millis): Promise<number>;
}
