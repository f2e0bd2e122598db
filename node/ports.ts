// What the node agent needs of the world: engines that do the work, the chain it checks against, the disk it must remember
// on, and the links to relayers. serve/ knows these interfaces only; adapters/ and engines/ implement them.
import { TidelaneError } from "../protocol/errors.ts";
import type { AttemptEvent, AttemptRequest, Cancel, FinishReason, NodeInfo, ServiceCurve, SignedAck, SignedAttestation } from "../protocol/link.ts";
import type { AttemptRecord } from "../protocol/records.ts";
import type { TideMultiplier } from "../protocol/tide.ts";
import type { Domain } from "../protocol/typedData.ts";
import type { Address, Hash, Millis, Seconds, Signature, TokenAmount, Tokens } from "../protocol/units.ts";

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
  /** At least 0, below 1; for jitter. */
  unit(): number;
}

/** Structured log; never given prompt text, keys or signatures. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

// ---------------------------------------------------------------- engines

/** What an engine found out about its model when it started. */
export interface EngineModel {
  /** Tokens of prompt and output together; for embeddings, of one input. */
  readonly contextTokens: Tokens;
  /** Names the tokenizer where it is known, `""` where it is not. */
  readonly tokenizer: string;
  /** OpenAI parameter names beyond the common ones (protocol/capabilities.ts). */
  readonly capabilities: readonly string[];
  /** Numbers of an embedding; 0 for generation. */
  readonly dimensions: number;
  /** The engine's own curve, without pacing. */
  readonly curve: ServiceCurve;
}

/** How busy an engine is now. What an engine does not tell is counted from what this agent gave it. */
export interface EngineLoad {
  /** False while it cannot take work: starting, crashed, unreachable. */
  readonly up: boolean;
  readonly running: number;
  /** Requests that the engine holds but does not work on. */
  readonly queued: number;
  /** Input tokens that wait for their prefill. */
  readonly queuedTokens: Tokens;
  /** Tokens that the KV cache holds in all. */
  readonly kvTokens: Tokens;
  readonly kvUsedTokens: Tokens;
}

export type RequestKind = "chat" | "completion" | "embeddings";

export interface EngineRequest {
  readonly kind: RequestKind;
  /** OpenAI's request body, parsed. */
  readonly body: Readonly<Record<string, unknown>>;
  /** The engine never generates more, whatever the body asks for; 0 for embeddings. */
  readonly maxOutTokens: Tokens;
}

/** In order: start, deltas or embeddings, end. */
export type EngineEvent =
  /**
   * Sent once the engine has accepted the input. An engine that counts only at the end gives an estimate here, and what the
   * count will be at most.
   */
  | { readonly type: "start"; readonly inputTokens: Tokens; readonly inputTokensMax?: Tokens }
  /** `extra`: JSON text of further members of OpenAI's delta or choice. */
  | { readonly type: "delta"; readonly text: string; readonly tokens: Tokens; readonly extra?: string }
  | { readonly type: "embedding"; readonly index: number; readonly vector: Float32Array }
  /** The counts that the receipt will claim. */
  | { readonly type: "end"; readonly finishReason: FinishReason; readonly inputTokens: Tokens; readonly outputTokens: Tokens };

/** One model behind one interface: embedded, remote or timed. */
export interface Engine {
  /** Stands in NodeInfo.engine. */
  readonly name: string;
  /** Resolves when the model can be used. @throws EngineError */
  start(): Promise<EngineModel>;
  load(): EngineLoad;
  /**
   * Works on a request; more of them than the engine has places for wait inside in the order of their coming.
   * Pulling is the flow control: an engine runs only a bounded way ahead of its reader.
   * Aborting ends the iteration without an `end`. @throws EngineError
   */
  run(request: EngineRequest, signal: AbortSignal): AsyncIterable<EngineEvent>;
  /** Ends its processes and connections; idempotent. */
  stop(): Promise<void>;
}

/** input_rejected: the caller's fault. The others are the engine's; nothing is owed for what was not delivered. */
export type EngineErrorCode =
  | "input_rejected" | "engine_unavailable" | "engine_crashed" | "engine_bad_answer" | "engine_silent" | "engine_too_much" | "engine_cut";

export class EngineError extends TidelaneError {
  declare readonly code: EngineErrorCode;
  constructor(code: EngineErrorCode, message: string, options: { cause?: unknown; details?: Readonly<Record<string, string | number | boolean | null>> } = {}) {
    super(message, { code, retryable: code !== "input_rejected", ...options });
    this.name = "EngineError";
  }
}

// ---------------------------------------------------------------- chain

export interface ChainKey {
  readonly key: Address;
  readonly openedAt: Seconds;
  /** 0 while the epoch is open. */
  readonly closedAt: Seconds;
}

export interface ChainSelf {
  readonly hotKey: Address;
  readonly keyEpoch: number;
  /** stake / stakePerSlot; 0 while jailed. */
  readonly slots: number;
  /** Registered and not retired. */
  readonly live: boolean;
}

export interface ChainSession {
  readonly mode: number;
  readonly relayerId: number;
  /** What is still locked. */
  readonly lock: TokenAmount;
  readonly reserved: TokenAmount;
  readonly charged: TokenAmount;
  readonly maxTotal: TokenAmount;
  /** ALLOWANCE: what the bucket allows now. */
  readonly bucketLevel: TokenAmount;
  readonly validUntil: Seconds;
  readonly closing: boolean;
}

/** Reads only. @throws retryable TidelaneError `chain_unreachable`, every call. */
export interface NodeChain {
  readonly domain: Domain;
  /** W of the protocol. */
  readonly windowSeconds: Seconds;
  self(nodeId: number): Promise<ChainSelf | null>;
  nodeKey(nodeId: number, keyEpoch: number): Promise<ChainKey | null>;
  relayerKey(relayerId: number, relayerEpoch: number): Promise<ChainKey | null>;
  /** Null where it was never opened. A contract's pending request is a session too: its id binds every term, and all of it is paid. */
  session(sessionId: Hash): Promise<ChainSession | null>;
  /** The URL that the relayer registered last, or null where there is no such relayer. */
  relayerEndpoint(relayerId: number): Promise<string | null>;
  /** What the board multiplies the prices of a relayer's model by now; 1 where the deployment has no board. */
  tideMultiplier(relayerId: number, modelId: Hash): Promise<TideMultiplier>;
  /** What the chain has proof that this tab earned. */
  provenEarned(relayerId: number, nodeId: number): Promise<TokenAmount>;
}

// ---------------------------------------------------------------- disk

/** The newest receipt of a tab. */
export interface TabHead {
  readonly nodeSeq: bigint;
  readonly receiptHash: Hash;
  readonly cumulative: TokenAmount;
}

/** The newest attestation to one relayer. */
export interface AttestationHead {
  readonly seq: bigint;
  readonly hash: Hash;
}

/** A receipt whose ack has not come. */
export interface UnackedReceipt {
  readonly receiptHash: Hash;
  readonly relayerId: number;
  readonly sessionId: Hash;
  readonly charge: TokenAmount;
  readonly signedAtMs: Millis;
  /** The attempt broke off through this node's fault: most likely nobody acks it. */
  readonly isAborted: boolean;
}

/** What must be remembered of a receipt before its signature leaves. */
export interface ReceiptEntry extends UnackedReceipt {
  readonly head: TabHead;
  readonly assignmentHash: Hash;
  readonly assignmentDeadline: Seconds;
}

/**
 * What must outlive a crash. A promise that resolved is on the disk; one sync serves all that wait for it.
 * @throws retryable TidelaneError `store_failed`: then nothing may be signed.
 */
export interface NodeStore {
  tab(relayerId: number): TabHead | null;
  attestation(relayerId: number): AttestationHead | null;
  /** Charges of this node's acked receipts in a session, settled or not. */
  sessionCharges(sessionId: Hash): TokenAmount;
  /** Assignments that were worked on and whose deadline has not passed. */
  assignmentsSince(nowSeconds: Seconds): ReadonlyMap<Hash, Seconds>;
  unacked(): readonly UnackedReceipt[];
  /** Before a receipt's signature leaves. */
  putReceipt(entry: ReceiptEntry): Promise<void>;
  /** Before an attestation's signature leaves. */
  putAttestation(relayerId: number, head: AttestationHead): Promise<void>;
  /** The evidence for a force: kept until it cannot be used any more. */
  putRecord(record: AttemptRecord): Promise<void>;
  putAck(signed: SignedAck): Promise<void>;
  /** A receipt whose ack is not waited for any more. */
  forget(receiptHash: Hash): void;
  close(): Promise<void>;
}

/** A receipt of this node as its evidence tells it. */
export interface SignedReceiptRow {
  readonly receiptHash: Hash;
  readonly relayerId: number;
  readonly taskId: Hash;
  readonly nodeSeq: bigint;
  /** The tab's running total with it. */
  readonly cumulative: TokenAmount;
  readonly fee: TokenAmount;
  /** Null while no ack has come: it cannot be claimed. */
  readonly ackedAt: Seconds | null;
}

/** What became of a claim for a receipt. */
export interface ForceFact {
  readonly state: "none" | "open" | "answered" | "resolved";
  readonly openedAt: Seconds;
}

/** What the chain says about a node's claims. @throws retryable `chain_unreachable` */
export interface ClaimChain {
  /** The chain's own clock, W, and what batches and forces have credited to a tab. */
  facts(relayerId: number, nodeId: number): Promise<{ readonly nowSeconds: Seconds; readonly windowSeconds: Seconds; readonly earned: TokenAmount; readonly forcedEarned: TokenAmount }>;
  forces(receiptHashes: readonly Hash[]): Promise<ReadonlyMap<Hash, ForceFact>>;
}

// ---------------------------------------------------------------- links

/** The other end of one connection: a process of a registered relayer. */
export interface RelayerPeer {
  readonly url: string;
  readonly relayerId: number;
  readonly relayerEpoch: number;
  /** What the process named itself by; null where it did not. */
  readonly process: Hash | null;
  /** Bytes written to this connection that the network has not taken yet. */
  backlogBytes(): number;
}

/** What a relayer's process said of itself when it answered the upgrade. */
export interface LinkChallenge {
  readonly relayerId: number;
  readonly relayerEpoch: number;
  readonly nodeNonce: Hash;
  readonly relayerNonce: Hash;
  readonly signature: Signature;
  /** Names the process; null where it does not say. */
  readonly process: Hash | null;
  /** URLs of further processes of the same relayer, as it says: each has to prove itself. */
  readonly processes: readonly string[];
}

/** What a connection asks of the node; serve/agent.ts implements it. */
export interface LinkHandler {
  /**
   * Checks the relayer's signature against its registered signer, and signs the node's.
   * @throws TidelaneError `relayer_not_registered`.
   */
  authenticate(challenge: LinkChallenge): Promise<{ keyEpoch: number; signature: Signature }>;
  info(): NodeInfo;
  /** Ends when the signal is aborted. */
  attestations(peer: RelayerPeer, signal: AbortSignal): AsyncIterable<SignedAttestation>;
  /** The work goes on when the signal is aborted: only listening ends. */
  attempt(peer: RelayerPeer, request: AttemptRequest, signal: AbortSignal): AsyncIterable<AttemptEvent>;
  /** The events of a running or lately ended attempt from the given one on; null where there is none. */
  attach(peer: RelayerPeer, assignmentHash: Hash, offset: number, signal: AbortSignal): AsyncIterable<AttemptEvent> | null;
  cancel(peer: RelayerPeer, cancel: Cancel): void;
  acks(peer: RelayerPeer, acks: readonly SignedAck[]): Promise<void>;
}

export interface RelayerLinks {
  /**
   * Dials a relayer and serves it. Resolves when an established connection has ended.
   * @param onProved called when the relayer has proved itself, before this node does; what it throws ends the connection.
   * @throws retryable TidelaneError `link_failed` where it was not established, `link_refused` where the relayer said no.
   */
  serve(url: string, nodeId: number, handler: LinkHandler, signal: AbortSignal, onProved?: (challenge: LinkChallenge) => void): Promise<void>;
  /** The newest receipt of this node's tab that the relayer journaled, or null. @throws retryable `relayer_unreachable` */
  lastReceipt(url: string, nodeId: number): Promise<{ receipt: AttemptRecord["receipt"]; signature: Signature } | null>;
}


