// What the auditor needs of the world: the bytes of a receipt from whoever has them, and facts from the chain.
import type { TaskView } from "../protocol/taskView.ts";
import type { BatchHeader } from "../protocol/generated/structs.ts";
import type { Hash, Seconds } from "../protocol/units.ts";
import type { SeedChainFact } from "./replay/evidence.ts";
import type { ChainFacts } from "./verify.ts";

export type { BatchFact, ChainFacts, KeyFact } from "./verify.ts";
export { keyName } from "./verify.ts";
export type { SeedChainFact } from "./replay/evidence.ts";

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
  /** @param fromEpoch chains that ended before it need not be told */
  seedChains(relayerId: number, fromEpoch: number): Promise<readonly SeedChainFact[]>;
}
