// What a watcher knows: posted batches with what was shown of them, boards, forces, and signed messages from wherever they came.
//
// Nothing here is believed: a leaf counts where its path leads to the root on chain, and of a signed message the judge on chain
// has the last word before anything is announced.
import type { BatchDataTask } from "../../protocol/batchData.ts";
import type { LeafStruct, PathStruct } from "../../protocol/evidence.ts";
import type { Item } from "../../protocol/merkleSum.ts";
import type { SignedAttestation } from "../../protocol/link.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Assignment, BatchHeader, Refusal, TaskOrder, TaskReceipt } from "../../protocol/generated/structs.ts";
import type { Hash, Hex, Seconds, TokenAmount } from "../../protocol/units.ts";
import type { EntryEvidence, Finding, TreeKind } from "./findings.ts";

/** Something wrong and one sentence about it. */
export interface Found {
  readonly finding: Finding;
  readonly detail: string;
}

/** A leaf with the path under which somebody showed it: a payer's receipt, or the answer to a data challenge or a force. */
export interface ShownPath {
  readonly tree: TreeKind;
  readonly leaf: LeafStruct;
  readonly path: PathStruct;
  readonly receipt: TaskReceipt;
  /** Null where only the leaf and its receipt were shown. */
  readonly record: AttemptRecord | null;
}

export interface WatchedBatch {
  /** As the chain's event holds it. */
  readonly header: BatchHeader;
  readonly postedAt: Seconds;
  /** The lists of the posting transaction; null where it cannot be read. */
  readonly debits: readonly Item[] | null;
  readonly credits: readonly Item[] | null;
  /** Behind the dataHash; empty where it is not served or cannot be read. */
  readonly tasks: readonly BatchDataTask[];
  readonly shown: readonly ShownPath[];
}

/** A resolved force, as BatchSettlement holds it. */
export interface ForceFact {
  readonly receiptHash: Hash;
  readonly taskId: Hash;
  readonly openedAt: Seconds;
  readonly subtask: number;
  readonly paysInput: boolean;
  readonly fee: TokenAmount;
  readonly maxFee: TokenAmount;
}

/** A leaf of an earlier batch of the same relayer. */
export interface EarlierLeaf {
  readonly batchId: bigint;
  readonly entry: EntryEvidence;
}

export interface Signed<Message> {
  readonly message: Message;
  readonly signature: Hex;
}

/** Signed messages; some are whole histories, others come from a file. */
export interface Messages {
  readonly attestations: readonly SignedAttestation[];
  readonly receipts: readonly Signed<TaskReceipt>[];
  readonly refusals: readonly Signed<Refusal>[];
  readonly assignments: readonly Signed<Assignment>[];
  readonly headers: readonly Signed<BatchHeader>[];
  readonly orders: readonly TaskOrder[];
}

export const NO_MESSAGES: Messages = { attestations: [], receipts: [], refusals: [], assignments: [], headers: [], orders: [] };

export const joined = (...all: readonly Messages[]): Messages => ({
  attestations: all.flatMap((one) => one.attestations), receipts: all.flatMap((one) => one.receipts), refusals: all.flatMap((one) => one.refusals),
  assignments: all.flatMap((one) => one.assignments), headers: all.flatMap((one) => one.headers), orders: all.flatMap((one) => one.orders),
});
