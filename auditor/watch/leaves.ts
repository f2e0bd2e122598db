// What the leaves of a batch show: records that do not hold (F4), tasks above their maxFee and changes that are not those of the
// leaves (F5), input paid twice, a task settled twice, disorder (F7), leaves of one tree only (F11), and leaves beside a force
// that has paid already (F13).
import { Status } from "../../protocol/constants.ts";
import { leafStructHash } from "../../protocol/evidence.ts";
import type { Item } from "../../protocol/merkleSum.ts";
import type { BatchHeader } from "../../protocol/generated/structs.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Hash, Seconds } from "../../protocol/units.ts";
import { taskAboveMaxFee, wrongChange, wrongIds } from "../proofs/changes.ts";
import { asymmetry, disorder } from "../proofs/order.ts";
import { entryAt } from "../proofs/treeView.ts";
import { faultOf, type KeyFacts } from "./faults.ts";
import { Tree } from "./findings.ts";
import type { EarlierLeaf, ForceFact, Found } from "./history.ts";
import type { KnownLeaf, KnownTree } from "./trees.ts";

/** One slashes the whole bond. */
const ASYMMETRIES_MAX = 4;

/** F4: leaves whose record does not hold. @param session whose records are linked, as those of all here */
export async function invalidLeaves({ relayerId, batchId }: BatchHeader, session: KnownTree, keys: KeyFacts): Promise<Found[]> {
  const found: Found[] = [];
  for (const { record, leaf, index } of session.leaves) {
    if (record === null) continue;
    const fault = await faultOf(record, relayerId, leaf, keys);
    if (fault === null) continue;
    const evidence = { relayerId, batchId, leaf, sessionProof: entryAt(session.view, index).proof, record };
    found.push({ detail: `leaf ${index} of batch ${batchId}: ${fault}`, finding: { offence: "F4", functionName: "proveInvalidLeaf", evidence } });
  }
  return found;
}

/** F5: sessions and tabs whose change is not that of their leaves. @param items the header's list for that tree */
export function wrongChanges(header: BatchHeader, { view, isWhole }: KnownTree, items: readonly Item[] | null): Found[] {
  if (!isWhole || items === null) return [];
  return wrongIds(items, view).flatMap((id): Found[] => {
    const finding = wrongChange(header, items, view, id);
    const whose = view.kind === Tree.SESSION ? `session ${id}` : `node ${BigInt(id)}`;
    return finding ? [{ finding, detail: `the change of ${whose} in batch ${header.batchId} is not what its leaves come to` }] : [];
  });
}

/** F5: tasks whose leaves charge more than was ordered. */
export function tasksAboveMaxFee({ relayerId, batchId }: BatchHeader, session: KnownTree): Found[] {
  return [...tasksOf(session)].flatMap(([taskId, leaves]): Found[] => {
    const charged = leaves.reduce((sum, { leaf }) => sum + leaf.charge, 0n);
    const claimed = leaves.filter(({ record }) => record !== null && charged > record.order.maxFee);
    const order = claimed[0]?.record?.order;
    if (!session.isWhole || !order) return [];
    const finding = taskAboveMaxFee(relayerId, batchId, session.view, order, taskId);
    return finding ? [{ finding, detail: `task ${taskId} is charged ${charged} in batch ${batchId}; ordered were ${order.maxFee}` }] : [];
  });
}

/** F7: two leaves that are both paid for the input of one subtask. */
export function secondInputs({ relayerId, batchId }: BatchHeader, session: KnownTree): Found[] {
  return [...tasksOf(session)].flatMap(([taskId, leaves]) => {
    const paid = new Map<number, KnownLeaf>();
    return leaves.flatMap((known): Found[] => {
      if (known.record === null || !paysInput(known.record)) return [];
      const { subtask } = known.receipt.body;
      const one = paid.get(subtask);
      paid.set(subtask, one ?? known);
      if (!one) return [];
      const evidence = {
        relayerId, batchId, one: entryAt(session.view, one.index), oneAssignment: one.record!.assignment,
        other: entryAt(session.view, known.index), otherAssignment: known.record.assignment,
      };
      return [{ detail: `the input of subtask ${subtask} of task ${taskId} is paid twice in batch ${batchId}`, finding: { offence: "F7", functionName: "proveSecondInput", evidence } }];
    });
  });
}

/** F7: tasks that an earlier batch has settled. @param earlier a leaf of each such task */
export function tasksInTwoBatches({ relayerId, batchId }: BatchHeader, session: KnownTree, earlier: ReadonlyMap<Hash, EarlierLeaf>): Found[] {
  return [...tasksOf(session)].flatMap(([taskId, leaves]): Found[] => {
    const before = earlier.get(taskId);
    if (!before || before.batchId >= batchId) return [];
    // Each leaf of the later batch goes back by a proof of its own.
    return leaves.map(({ index }) => {
      const evidence = { relayerId, earlierBatchId: before.batchId, earlier: before.entry, laterBatchId: batchId, later: entryAt(session.view, index) };
      return { detail: `leaf ${index} of batch ${batchId}: task ${taskId} stands in batch ${before.batchId} already`, finding: { offence: "F7", functionName: "proveTaskInTwoBatches", evidence } };
    });
  });
}

/** F7: the first neighbours that are not in the order of their tree: one slashes the whole bond. */
export function disorders({ relayerId, batchId }: BatchHeader, { view, isWhole }: KnownTree): Found[] {
  const finding = isWhole ? disorder(relayerId, batchId, view) : null;
  return finding ? [{ finding, detail: `the leaves of the ${view.kind === Tree.SESSION ? "session" : "tab"} tree of batch ${batchId} are out of order` }] : [];
}

/** F11: leaves of one tree whose place in the other is empty or holds other bytes. */
export const asymmetries = (header: BatchHeader, session: KnownTree, tab: KnownTree): Found[] => [...missingIn(header, session, tab), ...missingIn(header, tab, session)];

function missingIn({ relayerId, batchId }: BatchHeader, tree: KnownTree, other: KnownTree): Found[] {
  if (!other.isWhole) return [];
  const there = new Set(other.leaves.map(({ leaf }) => leafStructHash(leaf)));
  return tree.leaves.filter(({ leaf }) => !there.has(leafStructHash(leaf))).slice(0, ASYMMETRIES_MAX).flatMap(({ index }): Found[] => {
    const finding = asymmetry(relayerId, batchId, tree.view, index, other.view);
    const which = tree.view.kind === Tree.SESSION ? "session" : "tab";
    return finding ? [{ finding, detail: `leaf ${index} of the ${which} tree of batch ${batchId} does not stand in the other tree` }] : [];
  });
}

/** F13: leaves that pay again what a force has paid. @param forces resolved ones, by task */
export function paidAfterForce({ batchId }: BatchHeader, postedAt: Seconds, windowSeconds: Seconds, session: KnownTree, forces: ReadonlyMap<Hash, readonly ForceFact[]>): Found[] {
  return session.leaves.flatMap((known) => (forces.get(known.receipt.body.taskId) ?? []).flatMap((force): Found[] => {
    const { record, leaf, receipt, index } = known;
    // Until then the batch would have answered the force.
    if (record === null || postedAt <= force.openedAt + windowSeconds) return [];
    const isTwice = leaf.receiptHash === force.receiptHash || leaf.charge + force.fee > force.maxFee
      || (force.paysInput && receipt.body.subtask === force.subtask && paysInput(record));
    if (!isTwice) return [];
    const evidence = { forcedReceiptHash: force.receiptHash, batchId, entry: entryAt(session.view, index), assignment: record.assignment };
    return [{ detail: `leaf ${index} of batch ${batchId} pays again what the force of ${force.receiptHash} has paid`, finding: { offence: "F13", functionName: "provePaidAfterForce", evidence } }];
  }));
}

/** As contracts/libraries/Records.sol: an aborted attempt is not paid for its input. */
const paysInput = ({ receipt, assignment }: AttemptRecord): boolean =>
  receipt.body.status !== Status.ABORTED && assignment.priceInPerMTok !== 0n && receipt.body.inputTokens !== 0;

/** In the order of the tree. */
function tasksOf(session: KnownTree): Map<Hash, KnownLeaf[]> {
  const tasks = new Map<Hash, KnownLeaf[]>();
  for (const known of session.leaves) {
    const leaves = tasks.get(known.receipt.body.taskId) ?? [];
    leaves.push(known);
    tasks.set(known.receipt.body.taskId, leaves);
  }
  return tasks;
}
