// All that one posted batch shows, from what is known of it and of what came before it.
import { bytesToHex, keccak256 } from "viem/utils";
import { structFromJson } from "../../protocol/json.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import type { BatchDataTask } from "../../protocol/batchData.ts";
import type { Assignment } from "../../protocol/generated/structs.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Hash } from "../../protocol/units.ts";
import { recordsOf } from "../../relayer/settlement/batch.ts";
import { entryAt } from "../proofs/treeView.ts";
import type { Keccak256 } from "../../protocol/typedData.ts";
import { isLinked, type KeyFacts } from "./faults.ts";
import { Tree } from "./findings.ts";
import { NO_MESSAGES, type EarlierLeaf, type ForceFact, type Found, type Messages, type Signed, type WatchedBatch } from "./history.ts";
import { asymmetries, disorders, invalidLeaves, paidAfterForce, secondInputs, tasksAboveMaxFee, tasksInTwoBatches, wrongChanges } from "./leaves.ts";
import { badSums } from "./sums.ts";
import { knownTree, rowsOf, standsAt, type KnownTree } from "./trees.ts";

/** What was settled or forced before, by task. */
export interface Before {
  readonly earlier: ReadonlyMap<Hash, EarlierLeaf>;
  readonly forces: ReadonlyMap<Hash, readonly ForceFact[]>;
}

export interface BatchVerdict {
  readonly found: readonly Found[];
  /** The first place of the session tree whose record is not known, null where all are: what to demand from the relayer. */
  readonly unknownIndex: number | null;
  /** Whether the records make the tab tree on chain; where they do not and nothing is found, its leaves were not shown. */
  readonly isTabKnown: boolean;
}

/** @param keys of every node and relayer that the records name */
export async function batchVerdict(batch: WatchedBatch, keys: KeyFacts, before: Before): Promise<BatchVerdict> {
  const { header, postedAt } = batch;
  const records = recordsOf(batch.tasks);
  const rows = rowsOf(records, keys.keccak256);
  const session = withLinkedRecords(knownTree(Tree.SESSION, batch, rows, keys.keccak256), batch, keys.keccak256);
  const tab = knownTree(Tree.TAB, batch, rows, keys.keccak256);
  const found = [
    ...await invalidLeaves(header, session, keys),
    ...wrongChanges(header, session, batch.debits), ...wrongChanges(header, tab, batch.credits), ...tasksAboveMaxFee(header, session),
    ...badSums(batch, Tree.SESSION, session, records), ...badSums(batch, Tree.TAB, tab, records),
    ...secondInputs(header, session), ...tasksInTwoBatches(header, session, before.earlier), ...disorders(header, session), ...disorders(header, tab),
    ...asymmetries(header, session, tab), ...paidAfterForce(header, postedAt, keys.windowSeconds, session, before.forces),
  ];
  return { found, unknownIndex: firstUnknown(session, header.leafCount), isTabKnown: tab.isWhole };
}

/** A record whose parts do not name each other is none: no judge reads it. One that was shown of that leaf takes its place. */
function withLinkedRecords(session: KnownTree, { header, shown }: WatchedBatch, keccak256?: Keccak256): KnownTree {
  const linked = (record: AttemptRecord | null): record is AttemptRecord => record !== null && isLinked(record, keccak256);
  return {
    ...session, leaves: session.leaves.map((known) => {
      if (linked(known.record)) return known;
      const better = shown.find(({ tree, path, record, ...row }) => tree === Tree.SESSION && path.index === known.index && linked(record) && standsAt(header, tree, row, path));
      return { ...known, record: better?.record ?? null };
    }),
  };
}

function firstUnknown({ leaves }: KnownTree, leafCount: number): number | null {
  const known = new Set(leaves.flatMap(({ index, record }) => (record ? [index] : [])));
  for (let index = 0; index < leafCount; index++) if (!known.has(index)) return index;
  return null;
}

/** Every record that is known of a batch, from its data and from paths. */
export const recordsShown = ({ tasks, shown }: WatchedBatch): AttemptRecord[] => [...recordsOf(tasks), ...shown.flatMap(({ record }) => (record ? [record] : []))];

/** The leaf of a task in a batch, for a later batch that settles it again; null where it is not known. */
export function leafOfTask(batch: WatchedBatch, taskId: Hash): EarlierLeaf | null {
  const session = knownTree(Tree.SESSION, batch, rowsOf(recordsOf(batch.tasks)));
  const known = session.leaves.find(({ receipt }) => receipt.body.taskId === taskId);
  return known ? { batchId: batch.header.batchId, entry: entryAt(session.view, known.index) } : null;
}

/** Whether these are the bytes that the header names. */
export const isDataOf = (dataHash: Hash, data: Uint8Array): boolean => keccak256(bytesToHex(data)) === dataHash;

/** What the published attempts hold of signed messages: receipts, assignments and the orders behind them. */
export function messagesOf(tasks: readonly BatchDataTask[]): Messages {
  return {
    ...NO_MESSAGES, orders: tasks.map((task) => task.order),
    receipts: recordsOf(tasks).map((record) => ({ message: record.receipt, signature: record.receiptSignature })),
    assignments: assignmentsOf(tasks),
  };
}

/** Every task that the data names, under whichever name it stands there: a relayer writes what it likes above a signed record. */
export const taskIdsIn = (tasks: readonly BatchDataTask[]): Hash[] => [...new Set([
  ...tasks.map(({ taskId }) => taskId), ...recordsOf(tasks).map(({ receipt }) => receipt.body.taskId), ...assignmentsOf(tasks).map(({ message }) => message.taskId),
])];

/** Those of attempts without a receipt are published beside their cause. */
export const assignmentsOf = (tasks: readonly BatchDataTask[]): Signed<Assignment>[] => tasks.flatMap((task) => task.attempts.flatMap((attempt): Signed<Assignment>[] => {
  if (attempt.signed) return [{ message: attempt.signed.record.assignment, signature: attempt.signed.record.assignmentSignature }];
  const { assignment, assignmentSignature } = attempt.assignment;
  if (typeof assignmentSignature !== "string") return [];
  try {
    const message = structFromJson("Assignment", assignment);
    return hashStruct("Assignment", message) === attempt.assignmentHash ? [{ message, signature: assignmentSignature as Signed<Assignment>["signature"] }] : [];
  } catch {
    // What is no assignment contradicts none.
    return [];
  }
}));
