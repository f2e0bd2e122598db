// What single loops ask of single contracts.
import type { TideMultiplier } from "../../protocol/tide.ts";
import type { ContractRequest } from "../../protocol/requests.ts";
import type { TransferProof } from "../../protocol/transferProof.ts";
import type { Hash, Hex, Seconds, TokenAmount } from "../../protocol/units.ts";

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

/** What the tide loop asks of SaturationBoard. @throws retryable `chain_unreachable` */
export interface TideReader {
  tideMultiplier(relayerId: number, modelId: Hash): Promise<TideMultiplier>;
}

/** A contract's request as its event told it; the prompt as bytes, or the place where it lies. */
export interface SeenRequest {
  readonly requestId: Hash;
  readonly request: ContractRequest;
  readonly prompt: Hex;
  readonly uri: string;
  readonly blockNumber: bigint;
}

/** A node's claim for an acked receipt as its event told it. */
export interface SeenForce {
  readonly receiptHash: Hash;
  readonly blockNumber: bigint;
}

/** What the loop of forces asks of BatchSettlement's events. @throws retryable `chain_unreachable` */
export interface ForceReader {
  /** Claims against this relayer that were made in these blocks, both included, in their order. */
  opened(relayerId: number, fromBlock: bigint, toBlock: bigint): Promise<readonly SeenForce[]>;
}

/** Somebody's demand for one record of a posted batch, as its event told it. */
export interface Demand {
  readonly batchId: bigint;
  /** Of the leaf in the session tree. */
  readonly index: number;
  /** The last second in which an answer counts. */
  readonly untilSeconds: Seconds;
  readonly blockNumber: bigint;
}

/** What the loop of demands asks of FraudProofs. Each throws retryable `chain_unreachable`. */
export interface DemandReader {
  /** Demands to this relayer that were made in these blocks, both included, in their order. */
  demanded(relayerId: number, fromBlock: bigint, toBlock: bigint): Promise<readonly Demand[]>;
  /** Whether it still waits for an answer. */
  isOpen(relayerId: number, demand: Pick<Demand, "batchId" | "index">): Promise<boolean>;
}

/** A transaction that moved tokens to the Escrow, by a deposit or without one. */
export interface SeenTransfer {
  readonly transaction: Hash;
  readonly blockNumber: bigint;
  /** The greatest of its transfers. */
  readonly amount: TokenAmount;
}

/** What the loop of transfers asks of the pay token and of TransferProofs. Each throws retryable `chain_unreachable`. */
export interface TransferReader {
  /** In these blocks, both included, in their order, each transaction once. */
  arrived(fromBlock: bigint, toBlock: bigint): Promise<readonly SeenTransfer[]>;
  /**
   * Of the transfers by authorization that it brought, those that nobody credited.
   * @returns null where no such transaction is known: a reorganisation took it back, or of several servers one is behind
   * @throws `block_unproven` besides
   */
  proofs(transaction: Hash): Promise<readonly TransferProof[] | null>;
}

/** Where prompts by URI are fetched; within limits of size and time. @throws `prompt_refused`, retryable `prompt_unavailable` */
export interface PromptSource {
  fetch(uri: string): Promise<Uint8Array>;
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
