// What the auditor needs of the world: the bytes of a receipt from whoever has them, and facts from the chain.
import type { TaskView } from "../protocol/taskView.ts";
import type { Domain } from "../protocol/typedData.ts";
import type { Item } from "../protocol/merkleSum.ts";
import type { BatchHeader } from "../protocol/generated/structs.ts";
import type { AttemptRecord } from "../protocol/records.ts";
import type { Address, Hash, Hex, Seconds, TokenAmount } from "../protocol/units.ts";
import type { SeedChainFact } from "./replay/evidence.ts";
import type { ChainFacts, KeyFact } from "./verify.ts";
import type { CommitmentEvidence, Finding } from "./watch/findings.ts";
import type { ForceFact, ShownPath, Signed } from "./watch/history.ts";

export type { BatchFact, ChainFacts, KeyFact } from "./verify.ts";
export { keyName } from "./verify.ts";
export { orderName } from "./replay/evidence.ts";
export type { SeedChainFact } from "./replay/evidence.ts";
export type { Finding } from "./watch/findings.ts";

/** Hands out receipts; nothing that it says is believed. */
export interface ReceiptSource {
  /** @throws `task_unknown`, retryable `relayer_unreachable`, or InvalidValueError where the answer has another form. */
  receipt(taskId: Hash): Promise<TaskView>;
}

export interface FactSource {
  /** @throws retryable `chain_unreachable`, or `wrong_chain`. */
  factsFor(view: TaskView): Promise<ChainFacts>;
}

/** What a relayer publishes about its routing; nothing that it says is believed. */
export interface PublishedSource {
  /** @throws retryable `relayer_unreachable` */
  relayerId(): Promise<number>;
  /** Null where the relayer does not know the batch. */
  batchHeader(batchId: bigint): Promise<BatchHeader | null>;
  /** The bytes behind the batch's dataHash; null where they are not served. */
  batchData(batchId: bigint): Promise<Uint8Array | null>;
  /** The bytes of that hash: node tables and epochs' data; null where they are not served. */
  record(hash: Hash): Promise<Uint8Array | null>;
}

export interface RoutingFacts {
  readonly epochSeconds: Seconds;
  readonly windowSeconds: Seconds;
  /** 0 before the first. */
  readonly lastBatchId: bigint;
}

/** What the chain says about a relayer's routing. Each throws retryable `chain_unreachable`, or `wrong_chain`. */
export interface RoutingFactSource {
  routingFacts(relayerId: number): Promise<RoutingFacts>;
  /** Null where the chain holds no such batch. */
  batchHash(relayerId: number, batchId: bigint): Promise<Hash | null>;
  /** What the epoch's commitment names as its data; null where there is none. */
  epochDataHash(relayerId: number, epoch: number): Promise<Hash | null>;
  /** Orders, by orderName, whose nodes were paid by a claim: they stand in no batch. */
  paidByForce(relayerId: number): Promise<{ readonly orders: ReadonlySet<string>; readonly isWhole: boolean }>;
  /** @param fromEpoch chains that ended before it need not be told */
  seedChains(relayerId: number, fromEpoch: number): Promise<readonly SeedChainFact[]>;
}

// ---- the watcher

/** A block, by which a reorganisation is noticed. */
export interface BlockMark {
  readonly number: bigint;
  readonly hash: Hash;
  readonly timestamp: Seconds;
}

export interface PostedBatch {
  readonly header: BatchHeader;
  readonly batchHash: Hash;
  readonly postedAt: Seconds;
  /** Null where the posting transaction cannot be read, as where a contract made the call out of other bytes, and the chain node keeps too little to tell from events. */
  readonly debits: readonly Item[] | null;
  readonly credits: readonly Item[] | null;
}

/** What a watcher reads off the chain, in its order. */
export type WatchEvent =
  | { readonly kind: "endpoint"; readonly relayerId: number; readonly endpoint: string }
  | { readonly kind: "batch"; readonly batch: PostedBatch }
  | { readonly kind: "epoch"; readonly commitment: CommitmentEvidence; readonly dataHash: Hash }
  | { readonly kind: "force"; readonly relayerId: number; readonly force: ForceFact }
  /** A leaf and its record in a transaction that answered a demand for data: the one that the chain took, or any other beside it. */
  | { readonly kind: "shown"; readonly relayerId: number; readonly batchId: bigint; readonly shown: ShownPath & { readonly record: AttemptRecord } }
  | { readonly kind: "condemned"; readonly relayerId: number; readonly batchId: bigint }
  /** Something whose bytes cannot be told apart, so that nothing is known of it; relayer and batch null where these are not known either. */
  | { readonly kind: "unread"; readonly relayerId: number | null; readonly batchId: bigint | null; readonly detail: string }
  /** In calldata, whether it was posted or not. */
  | { readonly kind: "header"; readonly signed: Signed<BatchHeader> };

export interface WatchSettings {
  readonly domain: Domain;
  readonly windowSeconds: Seconds;
  readonly epochSeconds: Seconds;
  readonly challengeBond: TokenAmount;
}

/** What a judge says to a proof: the offence's key and whether it is paid for, or why it does not hold. */
export type Judgement =
  | { readonly holds: true; readonly key: Hash; readonly party: "node" | "relayer"; readonly offender: number; readonly isPunished: boolean }
  | { readonly holds: false; readonly reason: string };

/** Each throws retryable `chain_unreachable`, or `wrong_chain`. */
export interface WatchChain {
  settings(): Promise<WatchSettings>;
  /** The newest block. */
  head(): Promise<BlockMark>;
  /** Null where the chain has no such block. */
  blockAt(number: bigint): Promise<BlockMark | null>;
  /** @param readHeaders whether every transaction is read for headers, reverted ones included */
  events(from: bigint, to: bigint, readHeaders: boolean): Promise<readonly WatchEvent[]>;
  keys(named: { readonly nodes: readonly (readonly [number, number])[]; readonly relayers: readonly (readonly [number, number])[] }):
    Promise<{ readonly nodeKeys: ReadonlyMap<string, KeyFact>; readonly relayerKeys: ReadonlyMap<string, KeyFact> }>;
  /** Asks the judge that FraudProofs would ask. @param proof the whole call of FraudProofs */
  judge(functionName: Finding["functionName"], proof: Hex): Promise<Judgement>;
  /** What stands of a demand for data; null where there is none. */
  challenge(relayerId: number, batchId: bigint, index: number): Promise<{ readonly challenger: Address; readonly openedAt: Seconds; readonly isSettled: boolean } | null>;
  isCondemned(relayerId: number, batchId: bigint): Promise<boolean>;
  owedTo(account: Address): Promise<readonly { readonly token: Address; readonly amount: TokenAmount }[]>;
}

export interface WatchSender {
  readonly address: Address;
  /** A call of FraudProofs, mined. @throws `call_reverted`, retryable `chain_unreachable` */
  send(data: Hex): Promise<{ readonly transactionHash: Hash; readonly blockNumber: bigint }>;
  /** Lets FraudProofs take the bond of a data challenge. */
  approveBond(amount: TokenAmount): Promise<void>;
}

/** What is kept of a batch beside its data. */
export interface KeptBatch extends PostedBatch {
  readonly shown: readonly ShownPath[];
}

export interface Note {
  readonly kind: string;
  readonly key: string;
  readonly value: string;
}

/** A folder that outlives the watcher. What is read back is checked again; what is damaged counts as missing. */
export interface WatchArchive {
  /** Bytes by their keccak256. */
  object(hash: Hash): Promise<Uint8Array | null>;
  keepObject(hash: Hash, bytes: Uint8Array): Promise<void>;
  batch(relayerId: number, batchId: bigint): Promise<KeptBatch | null>;
  keepBatch(batch: KeptBatch): Promise<void>;
  /** Values that were noted under a key, oldest first. */
  noted(kind: string, key: string): Promise<readonly string[]>;
  note(notes: readonly Note[]): Promise<void>;
  /** The watcher's place and cases, null in a new folder. */
  loadState(): Promise<unknown>;
  saveState(state: unknown): Promise<void>;
  /** One line of the journal of what was done. */
  log(entry: Readonly<Record<string, unknown>>): Promise<void>;
  /** Drops what is older than the archive keeps, and the oldest where it is too large. */
  prune(): Promise<void>;
}
