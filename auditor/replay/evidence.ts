// What a replay is made from: a relayer's published batches, node tables and epochs, and what the chain says about them.
import type { BatchHeader } from "../../protocol/generated/structs.ts";
import type { Hash, Seconds } from "../../protocol/units.ts";

/** A batch as the relayer serves it, and its hash as the chain stores it. */
export interface BatchEvidence {
  readonly batchId: bigint;
  readonly header: BatchHeader;
  /** Null where the relayer does not serve it. */
  readonly data: Uint8Array | null;
  /** Null where the chain holds no batch of that number. */
  readonly storedHash: Hash | null;
}

/** A seed chain as SaturationBoard knows it. */
export interface SeedChainFact {
  readonly firstEpoch: number;
  /** firstEpoch - 1 before the first reveal. */
  readonly lastRevealed: number;
  /** The seed of `lastRevealed`; the anchor before the first reveal. */
  readonly reached: Hash;
  /** The one that the board takes reveals for now; what was not revealed of those before it was given up. */
  readonly isInUse: boolean;
}

/** The data behind one epoch's commitment on SaturationBoard. */
export interface EpochEvidence {
  readonly epoch: number;
  /** As the chain's event says it; null where the epoch was not committed. */
  readonly dataHash: Hash | null;
  /** Null where the relayer does not serve it. */
  readonly data: Uint8Array | null;
}

/** What is replayed: the decisions of one epoch, or those of one batch. */
export type ReplayScope = { readonly kind: "epoch"; readonly epoch: number } | { readonly kind: "batch"; readonly batchId: bigint };

export interface Evidence {
  readonly relayerId: number;
  readonly scope: ReplayScope;
  readonly epochSeconds: Seconds;
  readonly windowSeconds: Seconds;
  /** Ascending, without gaps: those of the scope, and those that say what else was in flight. */
  readonly batches: readonly BatchEvidence[];
  /** Texts by root, as served: tables that decisions name and those between and after them. */
  readonly tables: ReadonlyMap<Hash, string>;
  /** Ascending by first epoch, each in force until the next one begins. */
  readonly seedChains: readonly SeedChainFact[];
  readonly epochs: readonly EpochEvidence[];
  /** Orders, by orderName, that the chain paid a node for beside the batches; asked for only where nonces are missing. */
  readonly paidByForce: ReadonlySet<string>;
  /** What was not gathered because there is too much of it, a sentence each. */
  readonly cut: readonly string[];
}

/** An order of an ALLOWANCE session. */
export const orderName = ({ sessionId, nonce }: { readonly sessionId: Hash; readonly nonce: bigint }): string => `${sessionId}:${nonce}`;

/**
 * data: what is served is not what the chain holds. hash: not the decision that the assignment names. draw: not from the seed and the
 * task. decision: made again it comes out otherwise. load: the load it says is not the one of its earlier assignments. table: tables
 * that contradict each other or the decision. time: another epoch than its time says. nonce: a gap, or one used twice. attempt:
 * without a cause or an earlier one. attestation: a row that is not what the node attested.
 */
export type FindingKind = "data" | "hash" | "draw" | "decision" | "load" | "table" | "time" | "nonce" | "attempt" | "attestation";

/**
 * Where in the published data something stands, and one sentence about it.
 */
export interface Finding {
  readonly kind: FindingKind;
  readonly detail: string;
  readonly batchId: bigint | null;
  readonly taskId: Hash | null;
  readonly attempt: number | null;
}

/** seed: unrevealed. data, table, attestation: not served or not committed. load: earlier dispatches are not published. nonce: may still be published. */
export type UncheckedKind = "seed" | "data" | "table" | "load" | "nonce" | "attestation";

/** What could not be checked, how often, and why. */
export interface Unchecked {
  readonly kind: UncheckedKind;
  readonly detail: string;
  readonly count: number;
}

/** verified: all that can be checked holds. wrong: at least one finding. unchecked: nothing wrong, and not all of it could be checked. */
export interface ReplayReport {
  readonly verdict: "verified" | "wrong" | "unchecked";
  /** In the scope; each was made again unless its table is missing. */
  readonly decisions: number;
  readonly recomputed: number;
  /** Drawn in the open: before the relayer's first committed epoch, or between two chains. */
  readonly openDraws: number;
  readonly nonces: number;
  readonly tables: number;
  /** Candidates left out for a reason that only the relayer knows, by reason. */
  readonly atItsWord: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
  readonly unchecked: readonly Unchecked[];
}
