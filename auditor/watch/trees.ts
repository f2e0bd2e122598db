// What is known of one tree of a batch: all of it where the published records hash up to the root, else the leaves whose paths
// somebody showed.
//
//   records in the tree's order ──┐
//   records in the data's order ──┼─▶ the first that has the root ─▶ whole
//   shown paths that lead there ──┴─▶ otherwise ─▶ as many leaves as there are paths
import { leafStruct, leafStructHash, type PathStruct } from "../../protocol/evidence.ts";
import { walkProof, type SumNode } from "../../protocol/merkleSum.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Keccak256 } from "../../protocol/typedData.ts";
import type { BatchHeader } from "../../protocol/generated/structs.ts";
import { comparePlaces } from "../../relayer/settlement/batch.ts";
import { placeIn, sumIn, viewOf, type TreeRow, type TreeView } from "../proofs/treeView.ts";
import { Tree, type TreeKind } from "./findings.ts";
import type { ShownPath, WatchedBatch } from "./history.ts";

/** One leaf in its place. */
export interface KnownLeaf extends TreeRow {
  readonly index: number;
  readonly record: AttemptRecord | null;
}

export interface KnownTree {
  readonly isWhole: boolean;
  /** Ascending by index; all of them where `isWhole`. */
  readonly leaves: readonly KnownLeaf[];
  /** Rows by index, with holes where nothing is known. */
  readonly view: TreeView;
}

/** The root as the chain holds it, with the sum that the header says. */
export const rootOf = (header: BatchHeader, kind: TreeKind): SumNode =>
  (kind === Tree.SESSION ? { hash: header.sessionRoot, sum: header.totalDebit } : { hash: header.tabRoot, sum: header.totalCredit });

export const nodeOf = (kind: TreeKind, row: TreeRow): SumNode => ({ hash: leafStructHash(row.leaf), sum: sumIn(kind, row) });
export const siblingsOf = (path: PathStruct): SumNode[] => path.hashes.map((hash, level) => ({ hash, sum: path.sums[level]! }));

/** A record and the leaf that an honest relayer makes of it. */
export type Row = Omit<KnownLeaf, "index">;

export const rowsOf = (records: readonly AttemptRecord[], keccak256?: Keccak256): Row[] =>
  records.map((record) => ({ leaf: leafStruct(record, keccak256), receipt: record.receipt, record }));

/** @param rows of the batch's data, in the order in which it names them */
export function knownTree(kind: TreeKind, batch: Pick<WatchedBatch, "header" | "shown">, rows: readonly Row[], keccak256?: Keccak256): KnownTree {
  const placed = rows.map((row) => ({ row, place: placeIn(kind, row.receipt) }));
  const inOrder = placed.sort((one, other) => comparePlaces(one.place, other.place)).map(({ row }) => row);
  return wholeTree(kind, batch.header, inOrder, keccak256) ?? wholeTree(kind, batch.header, rows, keccak256) ?? shownTree(kind, batch);
}

/** Null where the leaves in this order are not those under the root. */
function wholeTree(kind: TreeKind, header: BatchHeader, rows: readonly Row[], keccak256?: Keccak256): KnownTree | null {
  if (rows.length === 0 || rows.length !== header.leafCount) return null;
  const view = viewOf(kind, rows, keccak256);
  const walked = walkProof(nodeOf(kind, rows[0]!), view.proof(0), header.leafCount);
  return walked && isSame(walked.root, rootOf(header, kind)) ? { isWhole: true, leaves: rows.map((row, index) => ({ ...row, index })), view } : null;
}

function shownTree(kind: TreeKind, { header, shown }: Pick<WatchedBatch, "header" | "shown">): KnownTree {
  const leaves: KnownLeaf[] = [];
  const paths: SumNode[][] = [];
  for (const { tree, leaf, receipt, record, path } of shown) {
    if (tree !== kind || !standsAt(header, kind, { leaf, receipt }, path) || (leaves[path.index]?.record ?? null) !== null) continue;
    leaves[path.index] = { index: path.index, leaf, receipt, record };
    paths[path.index] = siblingsOf(path);
  }
  const known = leaves.filter((one) => one !== undefined);
  const view: TreeView = { kind, rows: leaves, leafCount: header.leafCount, proof: (index) => ({ index, siblings: paths[index]! }) };
  return { isWhole: known.length === header.leafCount, leaves: known, view };
}

/** Whether every sum on the way up fits 128 bits: whoever shows a path writes what he likes, and no tree holds more. */
export const isInRange = ({ tree, leaf, path }: ShownPath): boolean =>
  path.hashes.length === path.sums.length && path.sums.reduce((sum, sibling) => sum + sibling, tree === Tree.SESSION ? leaf.charge : leaf.fee) < 2n ** 128n;

/** Whether the path leads from the leaf to the root on chain. @param path in range */
export function standsAt(header: BatchHeader, kind: TreeKind, row: TreeRow, path: PathStruct): boolean {
  const walked = walkProof(nodeOf(kind, row), { index: path.index, siblings: siblingsOf(path) }, header.leafCount);
  return walked !== null && isSame(walked.root, rootOf(header, kind));
}

const isSame = (one: SumNode, other: SumNode): boolean => one.hash === other.hash && one.sum === other.sum;
