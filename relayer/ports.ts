// What the relayer needs of the world. Work (api, work, loops) knows these interfaces only; adapters implement them.
import type { AttemptEvent, AttemptRequest, Cancel, NodeInfo, SignedAck, SignedAttestation } from "../protocol/link.ts";
import type { AttemptRecord } from "../protocol/records.ts";
import type { ContractRequest } from "../protocol/requests.ts";
import type { BatchHeader, SpendingAuthorization, TaskOrder, Voucher } from "../protocol/generated/structs.ts";
import type { Domain, Keccak256 } from "../protocol/typedData.ts";
import type { DigestSigner, Recover } from "../protocol/signing.ts";
import type { Item } from "../protocol/merkleSum.ts";
import type { Address, Bps, Hash, Hex, Millis, Seconds, Signature, TokenAmount } from "../protocol/units.ts";

export interface Clock {
  /** Unix time. */
  nowMs(): Millis;
  /** Never goes back; for durations. */
  monotonicMs(): Millis;
  /** Resolves after the time, or at once when aborted. */
  sleep(ms: Millis, signal?: AbortSignal): Promise<void>;
}

export interface Dice {
  /** 32 random bytes from the operating system. */
  bytes32(): Hash;
}

/** Structured log; never given prompt text, keys or signatures. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Native hashing and recovery for the receipts' path; agrees with viem to the bit. */
export interface Crypto {
  readonly keccak256: Keccak256;
  readonly recover: Recover;
}

export interface TokenCounter {
  /** @returns the exact count of the text's tokens, or null where this tokenizer is not at hand. */
  count(tokenizer: string, text: string): number | null;
}

/** Counters and gauges by name (snake_case, unit last); labels are few and bounded. */
export interface Metrics {
  count(name: string, labels?: Readonly<Record<string, string>>, by?: number): void;
  gauge(name: string, value: number, labels?: Readonly<Record<string, string>>): void;
  observe(name: string, value: number, labels?: Readonly<Record<string, string>>): void;
  /** Prometheus text. */
  text(): Promise<string>;
}

// ---------------------------------------------------------------- nodes

export interface NodeLinkEvents {
  /** The node has proved its hot key and told what it is; `chain` is what the registry and the vault say about it. */
  connected(node: ConnectedNode, chain: ChainNode): void;
  attested(nodeId: number, signed: SignedAttestation, receivedAtMs: Millis): void;
  disconnected(nodeId: number): void;
}

export interface ConnectedNode {
  readonly nodeId: number;
  readonly keyEpoch: number;
  readonly hotKey: Address;
  readonly info: NodeInfo;
}

/** The relayer's side of the node links. */
export interface NodeLinks {
  /**
   * Sends an attempt. The stream ends after `refusal`, `end` or `failed`; a cut connection throws a retryable TidelaneError
   * `node_disconnected`. Aborting the signal only stops listening: use `cancel` to stop the work.
   */
  attempt(nodeId: number, request: AttemptRequest, signal?: AbortSignal): AsyncIterable<AttemptEvent>;
  /** Asks the node to stop; its receipt still comes on the attempt's stream. */
  cancel(nodeId: number, cancel: Cancel): Promise<void>;
  /** Best effort; an ack is sent again with the next ones until the node has taken it. */
  ack(nodeId: number, acks: readonly SignedAck[]): Promise<void>;
}

// ---------------------------------------------------------------- chain

/** Immutable parameters and addresses of a deployment, read from the chain once. */
export interface Deployment {
  readonly domain: Domain;
  readonly addresses: Readonly<Record<string, Address>>;
  /** W of the protocol. */
  readonly windowSeconds: Seconds;
  readonly epochSeconds: Seconds;
  readonly leverage: number;
}

export interface ChainSession {
  readonly payer: Address;
  readonly sessionKey: Address;
  readonly relayerId: number;
  readonly mode: number;
  /** What orders may rely on in all: the lock less what forces took or reserved. */
  readonly lock: TokenAmount;
  /** What resolved forces took: it counts against cap and lock as charges do. */
  readonly forced: TokenAmount;
  /** What the lock lets batches still debit. Open forces do not lessen it: a task that is forced is answered by settling it. */
  readonly debitable: TokenAmount;
  readonly maxTotal: TokenAmount;
  readonly charged: TokenAmount;
  readonly provenCap: TokenAmount;
  /** ALLOWANCE: the bucket's level at `readAtSeconds`; VOUCHER: 0. */
  readonly bucketLevel: TokenAmount;
  readonly validAfter: Seconds;
  readonly validUntil: Seconds;
  readonly state: "open" | "closing" | "closed";
  /** Block time of this reading. */
  readonly readAtSeconds: Seconds;
}

export interface ChainNode {
  readonly nodeId: number;
  readonly hotKey: Address;
  readonly keyEpoch: number;
  readonly hardwareClass: number;
  /** stake / stakePerSlot. */
  readonly slots: number;
  readonly live: boolean;
}

export interface ChainTransaction {
  readonly hash: Hash;
  readonly raw: Hex;
  readonly nonce: number;
}

export interface TransactionReceipt {
  readonly hash: Hash;
  readonly status: "success" | "reverted";
  readonly blockNumber: bigint;
  readonly gasUsed: bigint;
}

export interface Chain {
  readonly deployment: Deployment;
  /** Latest block. @throws retryable `chain_unreachable`, as every call here. */
  head(): Promise<{ number: bigint; timestampSeconds: Seconds; hash: Hash }>;
  /** What the chain's own clock says the next block's time will be at least: it may be ahead of ours, or behind. */
  nextTimestamp(): Promise<Seconds>;
  /** Null where it was never opened. */
  session(sessionId: Hash): Promise<ChainSession | null>;
  /** Submits a payer's authorization, the relayer paying the gas; resolves when it is mined. @throws `authorization_rejected` with the contract's reason. */
  openSession(authorization: SpendingAuthorization, signature: Hex): Promise<void>;
  node(nodeId: number): Promise<ChainNode | null>;
  nodeKey(nodeId: number, keyEpoch: number): Promise<Address | null>;
  relayerKey(relayerId: number, relayerEpoch: number): Promise<Address | null>;
  relayer(relayerId: number): Promise<{ signer: Address; epoch: number; poster: Address; feeBps: Bps; bond: TokenAmount; live: boolean } | null>;
  lastBatch(relayerId: number): Promise<{ batchId: bigint; hash: Hash }>;
  tab(relayerId: number, nodeId: number): Promise<{ earned: TokenAmount; provenEarned: TokenAmount }>;
  /** The struct hash of a posted batch's header, or null where it is not posted. */
  batchHash(relayerId: number, batchId: bigint): Promise<Hash | null>;
  /** What became of a node's claim for an acked receipt that no batch held. */
  force(receiptHash: Hash): Promise<{ state: "none" | "open" | "answered" | "resolved"; openedAtSeconds: Seconds }>;
  /** What the relayer may still debit now: leverage x bond less its unmatured debits. */
  debitCapacity(relayerId: number): Promise<TokenAmount>;
  /** The newest final block's time, and the last batch as of that very block. */
  finalBatch(relayerId: number): Promise<{ timestampSeconds: Seconds; batchId: bigint }>;
  /**
   * Runs one posting job at a time, with the poster's next nonce (confirmed transactions only). A job ends when its transaction
   * is mined or given up, so two jobs never share a nonce.
   */
  exclusive<Result>(job: (nonce: number) => Promise<Result>): Promise<Result>;
  /** Sends a call of the poster and waits until it is mined. @throws `call_reverted` with the contract's reason. */
  submit(call: { to: Address; data: Hex }): Promise<TransactionReceipt>;
  /** Tries a call of the poster on the newest state. @throws `call_reverted` with the contract's reason. */
  simulate(call: { to: Address; data: Hex }): Promise<void>;
  /** Signs a call of the poster without showing it to anybody: no estimate is asked for, so the gas limit is given. */
  sign(call: { to: Address; data: Hex; nonce: number; gas: bigint }): Promise<ChainTransaction>;
  /** The same call at this nonce, for at least an eighth more than before and for what the chain asks now. */
  replace(transaction: ChainTransaction, nonce: number): Promise<ChainTransaction>;
  /** The poster's next nonce: confirmed transactions only. */
  nonce(): Promise<number>;
  /** Sending the same raw transaction twice is no error. */
  broadcast(raw: Hex): Promise<void>;
  receipt(hash: Hash): Promise<TransactionReceipt | null>;
}

/** A relayer's seed chain as SaturationBoard knows it; epochs 0 and zero hashes where there is none. */
export interface BoardSeeds {
  readonly firstEpoch: number;
  readonly lastRevealed: number;
  /** The seed last revealed, or the anchor. */
  readonly reached: Hash;
  readonly nextFirstEpoch: number;
  readonly nextAnchor: Hash;
}

/** What the board loop asks of SaturationBoard. @throws retryable `chain_unreachable` */
export interface BoardReader {
  seeds(relayerId: number): Promise<BoardSeeds>;
  /** The epoch last committed, 0 for none. */
  lastEpoch(relayerId: number): Promise<number>;
}

/** A contract's request as its event told it; the prompt as bytes, or the place where it lies. */
export interface SeenRequest {
  readonly requestId: Hash;
  readonly request: ContractRequest;
  readonly prompt: Hex;
  readonly uri: string;
  readonly blockNumber: bigint;
}

export type RequestState = "none" | "pending" | "fulfilled" | "refunded";

/** What the request loop asks of InferenceGateway. @throws retryable `chain_unreachable` */
export interface GatewayReader {
  /** Requests that this relayer may answer, made in these blocks, both included, in their order. */
  requests(relayerId: number, fromBlock: bigint, toBlock: bigint): Promise<readonly SeenRequest[]>;
  state(requestId: Hash): Promise<RequestState>;
  /** The commitment's first 20 bytes; null where the relayer has not committed. */
  commit(requestId: Hash, relayerId: number): Promise<Hex | null>;
}

// ---------------------------------------------------------------- journal

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
   * @throws `order_replayed` where the task is known, `nonce_taken` where another process used the nonce, `orders_elsewhere` where
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
  /** The greatest receipt of each tab that was journaled. */
  lastReceipts(): Promise<ReadonlyMap<number, AttemptRecord>>;
  /** Takes the right to post batches, which one process holds at a time. Null while another one holds it. */
  lead(): Promise<Lead | null>;
  /**
   * Stores the batch with its raw transaction and claims its tasks, before anything is sent.
   * @throws `already_batched` where a task or the batch id is taken, `lead_lost` where another process leads.
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
  /** Small facts that must outlive a restart: the deployment, the chain's last seen block, the seed chain. */
  getFact(name: string): Promise<string | null>;
  setFact(name: string, value: string): Promise<void>;
  /** Sets a fact where it still is what the caller has read (null: where there is none). @returns whether it was. */
  replaceFact(name: string, expected: string | null, value: string): Promise<boolean>;
  /** True where the database answers. */
  isUp(): boolean;
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

/** The relayer's own identity: its signing key's epoch is registered on chain. */
export interface Identity {
  readonly relayerId: number;
  readonly epoch: number;
  readonly feeBps: Bps;
  readonly signer: DigestSigner;
}
