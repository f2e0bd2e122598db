// Evidence for F6: a tree as its relayer names it, with a sum that what lies below does not make, or padding that is not empty.
//
//   level 2            root          the header names its sum
//   level 1        n0        n1      each node is hashed with the sums under which its parent names it
//   level 0      l0  l1    l2  pad   a leaf's sum is in its bytes; padding is (0, 0)
import type { LeafStruct } from "../../protocol/evidence.ts";
import { depthOf, type SumNode } from "../../protocol/merkleSum.ts";
import { ZERO_HASH, type Hash } from "../../protocol/units.ts";
import { Tree, type BadSumEvidence, type FindingOf, type TreeKind } from "../watch/findings.ts";

/** What a relayer hands out of a tree, sums that need not add up included. */
export interface NamedTree {
  readonly kind: TreeKind;
  /** Leaves in their order; all beyond them is padding. */
  readonly leaves: readonly LeafStruct[];
  /** Hashes and the sums under which they are named, from the padded leaves up to the root, whose sum is the header's total. */
  readonly levels: readonly (readonly SumNode[])[];
}

/** @returns the first place, from the leaves up, that is not what it is named; null where every sum adds up */
export function badSum(relayerId: number, batchId: bigint, tree: NamedTree): FindingOf<"proveBadSum"> | null {
  for (const [level, nodes] of tree.levels.entries()) {
    const index = nodes.findIndex((node, i) => !holds(tree, level, i, node));
    if (index >= 0) return { offence: "F6", functionName: "proveBadSum", evidence: { relayerId, batchId, tree: tree.kind, badSum: badSumAt(tree, level, index) } };
  }
  return null;
}

/** What lies below a place that is named wrongly: a leaf, two children, or what fills the padding. */
export type Below = { readonly leaf: LeafStruct } | { readonly children: readonly [SumNode, SumNode] } | { readonly padding: Hash };

/**
 * @param ownSums under which the place and its ancestors are named, the root's left out
 * @param siblings of the place and of its ancestors, as they are named
 */
export function badSumAlong(level: number, index: number, below: Below, ownSums: readonly bigint[], siblings: readonly SumNode[]): BadSumEvidence {
  const [left, right] = "children" in below ? below.children : "padding" in below ? [{ hash: below.padding, sum: 0n }, NOTHING] : [NOTHING, NOTHING];
  return {
    level, index, leaf: "leaf" in below ? below.leaf : NO_LEAF, leftHash: left.hash, leftSum: left.sum, rightHash: right.hash, rightSum: right.sum,
    ownSums, siblingHashes: siblings.map(({ hash }) => hash), siblingSums: siblings.map(({ sum }) => sum),
  };
}

const NOTHING: SumNode = { hash: ZERO_HASH, sum: 0n };
const NO_LEAF: LeafStruct = {
  receiptHash: ZERO_HASH, fee: 0n, charge: 0n, nodeSigHash: ZERO_HASH, voucherHash: ZERO_HASH, voucherSigHash: ZERO_HASH, assignmentSigHash: ZERO_HASH,
};

function badSumAt(tree: NamedTree, level: number, index: number): BadSumEvidence {
  const above = tree.levels.slice(level, depthOf(tree.leaves.length));
  const ownSums = above.map((nodes, i) => nodes[index >> i]!.sum);
  const siblings = above.map((nodes, i) => nodes[(index >> i) ^ 1]!);
  return badSumAlong(level, index, belowAt(tree, level, index), ownSums, siblings);
}

function belowAt(tree: NamedTree, level: number, index: number): Below {
  if (level > 0) return { children: [tree.levels[level - 1]![2 * index]!, tree.levels[level - 1]![2 * index + 1]!] };
  const leaf = tree.leaves[index];
  return leaf ? { leaf } : { padding: tree.levels[0]![index]!.hash };
}

function holds(tree: NamedTree, level: number, index: number, named: SumNode): boolean {
  const below = belowAt(tree, level, index);
  if ("children" in below) return named.sum === below.children[0].sum + below.children[1].sum;
  if ("padding" in below) return below.padding === ZERO_HASH && named.sum === 0n;
  return named.sum === (tree.kind === Tree.SESSION ? below.leaf.charge : below.leaf.fee);
}
