// What the relayer needs of the chain: what it says of sessions, nodes, batches and forces, and a way to post.
import type { SpendingAuthorization } from "../../protocol/generated/structs.ts";
import type { Domain } from "../../protocol/typedData.ts";
import type { Address, Bps, Hash, Hex, Seconds, TokenAmount } from "../../protocol/units.ts";

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

/** A claim for one receipt; state "none" and zeros where nobody made one. */
export interface ChainForce {
  readonly state: "none" | "open" | "answered" | "resolved";
  readonly taskId: Hash;
  readonly openedAtSeconds: Seconds;
  /** 0 until it was paid. */
  readonly resolvedAtSeconds: Seconds;
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
  force(receiptHash: Hash): Promise<ChainForce>;
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
