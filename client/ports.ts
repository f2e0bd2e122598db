// What a payer's software needs of the world. The SDK and the sidecar know these interfaces only; adapters implement them.
import type { SpendingAuthorization } from "../protocol/generated/structs.ts";
import type { Domain } from "../protocol/typedData.ts";
import type { Address, Hash, Hex, Millis, Seconds, Signature, TokenAmount } from "../protocol/units.ts";

export interface Clock {
  /** Unix time. */
  nowMs(): Millis;
  sleep(ms: Millis): Promise<void>;
}

export interface Dice {
  /** 32 random bytes from the operating system. */
  bytes32(): Hash;
}

/** Where a session's state outlives the process. One process holds a store at a time. */
export interface PayerStore {
  /** The text that was written last, or null before the first. */
  read(): Promise<string | null>;
  /** Durable when it resolves; a crash leaves the old text or the new one, never a part. */
  write(text: string): Promise<void>;
  /** Lets another process have it. */
  close(): Promise<void>;
}

/** The part of the platform's `fetch` that is used; a test or a proxy agent may stand in for it. */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

export interface SessionFact {
  readonly payer: Address;
  readonly lock: TokenAmount;
  readonly charged: TokenAmount;
  /** What open claims of nodes hold back. */
  readonly reserved: TokenAmount;
  /** 0 while it is open. */
  readonly closingSinceSeconds: Seconds;
}

/** What a payer reads of the chain, so that it need not believe its relayer. @throws retryable `chain_unreachable` */
export interface PayerChain {
  readonly domain: Domain;
  /** Null where it was never opened. */
  session(sessionId: Hash): Promise<SessionFact | null>;
  nodeKey(nodeId: number, keyEpoch: number): Promise<Address | null>;
  relayerKey(relayerId: number, relayerEpoch: number): Promise<Address | null>;
}

/** The cold owner of the money: asked when a session is made, never for a request. */
export interface Owner {
  readonly address: Address;
  /** EIP-712, in the deployment's domain; the bytes that an ERC-1271 wallet accepts are welcome too. */
  signAuthorization(domain: Domain, authorization: SpendingAuthorization): Promise<Hex>;
}

/** A transfer by ERC-3009 authorization that reached the Escrow itself. */
export interface CreditedTransfer {
  /** Who signed it, and is credited. */
  readonly payer: Address;
  readonly amount: TokenAmount;
  /** Null where it had been credited before. */
  readonly transaction: Hash | null;
}

/** What the owner sends to the chain itself. Every call resolves when it is mined. @throws `transaction_reverted` with the contract's reason */
export interface OwnerChain {
  readonly owner: Address;
  /** Wallet balance, and what lies free in the Escrow. */
  balances(): Promise<{ readonly wallet: TokenAmount; readonly free: TokenAmount; readonly decimals: number; readonly symbol: string }>;
  deposit(amount: TokenAmount): Promise<Hash>;
  /** Out of the owner's wallet into another payer's free balance. */
  depositFor(payer: Address, amount: TokenAmount): Promise<Hash>;
  /** Both in one transaction, or neither. */
  depositAndOpen(amount: TokenAmount, authorization: SpendingAuthorization, signature: Signature | Hex): Promise<Hash>;
  /** Where a plain transfer or an x402 payment becomes a deposit of `payer`, once it is collected. */
  boxOf(payer: Address): Promise<Address>;
  /** Credits a payer with what lies in its box. */
  collect(payer: Address): Promise<Hash>;
  /** Credits each signer with what a transaction's transfers by authorization brought to the Escrow itself; none where it brought none. */
  creditTransfers(transaction: Hash): Promise<readonly CreditedTransfer[]>;
  withdraw(amount: TokenAmount, to: Address): Promise<Hash>;
  openSession(authorization: SpendingAuthorization, signature: Signature | Hex): Promise<Hash>;
  topUp(sessionId: Hash, amount: TokenAmount): Promise<Hash>;
  closeSession(sessionId: Hash): Promise<Hash>;
  /** Closes it, or keeps it from ever being opened. */
  revoke(sessionId: Hash): Promise<Hash>;
  releaseLock(sessionId: Hash): Promise<Hash>;
}
