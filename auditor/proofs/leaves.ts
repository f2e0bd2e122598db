// Evidence about single leaves: F4 (a record that does not hold), F7 (paid before, input paid twice) and F13 (paid by a force).
import type { AttemptRecord } from "../../protocol/records.ts";
import { leafStruct } from "../../protocol/evidence.ts";
import { entryAt, indexOfReceipt, type TreeView } from "./treeView.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import type { Hash } from "../../protocol/units.ts";
import type { FindingOf } from "../watch/findings.ts";

/** The session tree of a batch that the chain holds. */
export interface PostedTree {
  readonly relayerId: number;
  readonly batchId: bigint;
  readonly session: TreeView;
}

/** @throws InvalidValueError where the batch does not hold the record's receipt */
export function invalidLeaf({ relayerId, batchId, session }: PostedTree, record: AttemptRecord): FindingOf<"proveInvalidLeaf"> {
  const { leaf, proof } = entryAt(session, indexOf(session, record));
  return { offence: "F4", functionName: "proveInvalidLeaf", evidence: { relayerId, batchId, leaf, sessionProof: proof, record } };
}

/** @param forcedReceiptHash of the force that was resolved before this batch was posted */
export function paidAfterForce({ batchId, session }: PostedTree, record: AttemptRecord, forcedReceiptHash: Hash): FindingOf<"provePaidAfterForce"> {
  const entry = entryAt(session, indexOf(session, record));
  return { offence: "F13", functionName: "provePaidAfterForce", evidence: { forcedReceiptHash, batchId, entry, assignment: record.assignment } };
}

/** @param records of one task, each in its batch, in the order of the batches */
export function taskInTwoBatches(before: PostedTree, earlier: AttemptRecord, after: PostedTree, later: AttemptRecord): FindingOf<"proveTaskInTwoBatches"> {
  return {
    offence: "F7", functionName: "proveTaskInTwoBatches",
    evidence: {
      relayerId: before.relayerId, earlierBatchId: before.batchId, earlier: entryAt(before.session, indexOf(before.session, earlier)),
      laterBatchId: after.batchId, later: entryAt(after.session, indexOf(after.session, later)),
    },
  };
}

/** Two leaves of one subtask, both paid for their input, in either order. */
export function secondInput({ relayerId, batchId, session }: PostedTree, a: AttemptRecord, b: AttemptRecord): FindingOf<"proveSecondInput"> {
  const [one, other] = indexOf(session, a) < indexOf(session, b) ? [a, b] : [b, a];
  return {
    offence: "F7", functionName: "proveSecondInput",
    evidence: {
      relayerId, batchId, one: entryAt(session, indexOf(session, one)), oneAssignment: one.assignment,
      other: entryAt(session, indexOf(session, other)), otherAssignment: other.assignment,
    },
  };
}

function indexOf(session: TreeView, record: AttemptRecord): number {
  const index = indexOfReceipt(session, leafStruct(record).receiptHash);
  if (index < 0) throw new InvalidValueError("record", "a record whose leaf stands in the batch");
  return index;
}
