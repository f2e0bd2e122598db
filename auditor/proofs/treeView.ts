// A tree of a batch as its relayer built it: its leaves in their order, the receipts behind them, and a path to each.
//
// What an honest relayer builds is told by `viewsOf`; what another built, by whoever got hold of its leaves. Everything that F4 to
// F7, F11 and F13 show of a tree is taken from such a view.
import { leafStruct, leafStructHash, pathStruct, type LeafStruct } from "../../protocol/evidence.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import { MerkleSumTree, tabItemId, type SumProof } from "../../protocol/merkleSum.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Keccak256 } from "../../protocol/typedData.ts";
import { comparePlaces, sessionPlace, tabPlace, type Place } from "../../relayer/settlement/batch.ts";
import { Tree, type EntryEvidence, type TreeKind } from "../watch/findings.ts";
import type { Hash, TokenAmount } from "../../protocol/units.ts";
import type { TaskReceipt } from "../../protocol/generated/structs.ts";

export interface TreeRow {
  readonly leaf: LeafStruct;
  readonly receipt: TaskReceipt;
}

export interface TreeView {
  readonly kind: TreeKind;
  /** Of the whole tree: `rows` may be its first leaves only. */
  readonly leafCount: number;
  readonly rows: readonly TreeRow[];
  proof(index: number): SumProof;
}

/** @param rows in the order in which they stand in that tree. @throws InvalidValueError for none or too many */
export function viewOf(kind: TreeKind, rows: readonly TreeRow[], keccak256?: Keccak256): TreeView {
  const tree = new MerkleSumTree(rows.map((row) => ({ hash: leafStructHash(row.leaf, keccak256), sum: sumIn(kind, row) })), keccak256);
  return { kind, rows, leafCount: rows.length, proof: (index) => tree.proof(index) };
}

/** Both trees over those records, as an honest relayer orders them. */
export function viewsOf(records: readonly AttemptRecord[], keccak256?: Keccak256): { readonly session: TreeView; readonly tab: TreeView } {
  const rows = records.map((record): TreeRow => ({ leaf: leafStruct(record, keccak256), receipt: record.receipt }));
  const sorted = (kind: TreeKind): readonly TreeRow[] => rows.toSorted((a, b) => comparePlaces(placeIn(kind, a.receipt), placeIn(kind, b.receipt)));
  return { session: viewOf(Tree.SESSION, sorted(Tree.SESSION), keccak256), tab: viewOf(Tree.TAB, sorted(Tree.TAB), keccak256) };
}

/** A leaf, its place and its receipt. @throws InvalidValueError for a place that the view does not show */
export function entryAt(view: TreeView, index: number): EntryEvidence {
  const row = view.rows[index];
  if (!row) throw new InvalidValueError("index", `a leaf among the ${view.rows.length} that are shown`);
  return { ...row, proof: pathStruct(view.proof(index)) };
}

/** @returns the leaf's index, or -1 */
export const indexOfReceipt = (view: TreeView, receiptHash: Hash): number => view.rows.findIndex((row) => row.leaf.receiptHash === receiptHash);

/** What a leaf adds to the sums of that tree: its charge or its fee. */
export const sumIn = (kind: TreeKind, { leaf }: TreeRow): TokenAmount => (kind === Tree.SESSION ? leaf.charge : leaf.fee);

export const placeIn = (kind: TreeKind, receipt: TaskReceipt): Place => (kind === Tree.SESSION ? sessionPlace(receipt) : tabPlace(receipt));

/** The session or tab under which a leaf stands, as the header's lists name it. */
export const ownerIn = (kind: TreeKind, receipt: TaskReceipt): Hash => (kind === Tree.SESSION ? receipt.body.sessionId : tabItemId(receipt.nodeId));
