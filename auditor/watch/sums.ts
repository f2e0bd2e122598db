// Sums that do not add up in a tree that the records do not rebuild: F6.
//
// A path that leads to the root names its leaf's neighbours with hash and sum. What lies below a neighbour is known from the
// records or from another path, so a neighbour that is named with another sum than that is shown by the two together:
//
//   path of leaf 1 ─▶ names leaf 0 as (hash, 105) ─┐
//   record of leaf 0 ─▶ (hash, 100) ───────────────┴─▶ F6 at level 0, index 0
import { leafStruct, leafStructHash, type LeafStruct } from "../../protocol/evidence.ts";
import { depthOf, innerNode, walkProof, type SumNode } from "../../protocol/merkleSum.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { BatchHeader } from "../../protocol/generated/structs.ts";
import { ZERO_HASH, type Hash } from "../../protocol/units.ts";
import { badSumAlong, type Below } from "../proofs/badSums.ts";
import { placeIn } from "../proofs/treeView.ts";
import { comparePlaces } from "../../relayer/settlement/batch.ts";
import { Tree, type BadSumEvidence, type TreeKind } from "./findings.ts";
import type { Found, ShownPath, WatchedBatch } from "./history.ts";
import { nodeOf, rootOf, siblingsOf, standsAt, type KnownTree } from "./trees.ts";

/** At most one for each tree: it slashes the whole bond. @param tree what is known of it; a whole one has none */
export function badSums(batch: WatchedBatch, kind: TreeKind, tree: KnownTree, records: readonly AttemptRecord[]): Found[] {
  if (tree.isWhole) return [];
  const { header } = batch;
  const below = new KnownNodes(kind, header, batch.shown, records);
  const badSum = atRoot(header, kind, below) ?? firstOf(batch.shown, (one) => alongPath(header, kind, one, below));
  if (!badSum) return [];
  const { relayerId, batchId } = header;
  return [{
    detail: `in the ${kind === Tree.SESSION ? "session" : "tab"} tree of batch ${batchId}, what lies below place ${badSum.index} of level ${badSum.level} is not what it is named with`,
    finding: { offence: "F6", functionName: "proveBadSum", evidence: { relayerId, batchId, tree: kind, badSum } },
  }];
}

/** The root itself is named by the header. */
function atRoot(header: BatchHeader, kind: TreeKind, below: KnownNodes): BadSumEvidence | null {
  const root = rootOf(header, kind);
  const found = below.contradicting(root);
  return found && badSumAlong(depthOf(header.leafCount), 0, found, [], []);
}

/** The neighbours that a standing path names, from the leaf's level up. */
function alongPath(header: BatchHeader, kind: TreeKind, one: ShownPath, below: KnownNodes): BadSumEvidence | null {
  if (one.tree !== kind || !standsAt(header, kind, one, one.path)) return null;
  const siblings = siblingsOf(one.path);
  let own = nodeOf(kind, one);
  const owns: SumNode[] = [];
  for (const [level, sibling] of siblings.entries()) {
    owns.push(own);
    own = ((one.path.index >> level) & 1) === 1 ? innerNode(sibling, own) : innerNode(own, sibling);
  }
  for (const [level, sibling] of siblings.entries()) {
    const index = (one.path.index >> level) ^ 1;
    const found = level === 0 && index >= header.leafCount ? paddingOf(sibling) : below.contradicting(sibling);
    if (!found) continue;
    const ownSums = [sibling.sum, ...owns.slice(level + 1).map(({ sum }) => sum)];
    return badSumAlong(level, index, found, ownSums, [owns[level]!, ...siblings.slice(level + 1)]);
  }
  return null;
}

const paddingOf = (named: SumNode): Below | null => (named.hash === ZERO_HASH && named.sum === 0n ? null : { padding: named.hash });

/** What is known to lie below a hash: leaves from records and paths, nodes from paths and from the records in the tree's order. */
class KnownNodes {
  readonly #kind: TreeKind;
  readonly #leaves = new Map<Hash, LeafStruct>();
  readonly #children = new Map<Hash, readonly [SumNode, SumNode]>();

  constructor(kind: TreeKind, { leafCount }: BatchHeader, shown: readonly ShownPath[], records: readonly AttemptRecord[]) {
    this.#kind = kind;
    const inOrder = records.toSorted((one, other) => comparePlaces(placeIn(kind, one.receipt), placeIn(kind, other.receipt)));
    this.#addLevels(inOrder.map((record) => ({ leaf: leafStruct(record), receipt: record.receipt })).map((row) => this.#addLeaf(row.leaf)));
    for (const { tree, leaf, path } of shown) if (tree === kind) this.#addPath(this.#addLeaf(leaf), path, leafCount);
  }

  /** @returns what lies below a node that is named with another sum; null where it adds up, or is not known */
  contradicting(named: SumNode): Below | null {
    const leaf = this.#leaves.get(named.hash);
    if (leaf) return this.#sumOf(leaf) === named.sum ? null : { leaf };
    const children = this.#children.get(named.hash);
    return !children || children[0].sum + children[1].sum === named.sum ? null : { children };
  }

  #addLeaf(leaf: LeafStruct): SumNode {
    const hash = leafStructHash(leaf);
    this.#leaves.set(hash, leaf);
    return { hash, sum: this.#sumOf(leaf) };
  }

  /** The tree that these leaves make: part of it may be the relayer's. */
  #addLevels(leaves: SumNode[]): void {
    const width = 2 ** depthOf(leaves.length);
    let level = [...leaves, ...Array<SumNode>(width - leaves.length).fill({ hash: ZERO_HASH, sum: 0n })];
    while (level.length > 1) level = Array.from({ length: level.length / 2 }, (_, i) => this.#add(level[2 * i]!, level[2 * i + 1]!));
  }

  /** Also where it does not lead to the root: what it names below the bad sum is what contradicts it. */
  #addPath(leaf: SumNode, path: ShownPath["path"], leafCount: number): void {
    const siblings = siblingsOf(path);
    if (walkProof(leaf, { index: path.index, siblings }, leafCount) === null) return;
    let own = leaf;
    for (const [level, sibling] of siblings.entries()) own = ((path.index >> level) & 1) === 1 ? this.#add(sibling, own) : this.#add(own, sibling);
  }

  #add(left: SumNode, right: SumNode): SumNode {
    const node = innerNode(left, right);
    this.#children.set(node.hash, [left, right]);
    return node;
  }

  #sumOf(leaf: LeafStruct): bigint {
    return this.#kind === Tree.SESSION ? leaf.charge : leaf.fee;
  }
}

function firstOf<Item, Result>(items: readonly Item[], find: (item: Item) => Result | null): Result | null {
  for (const item of items) {
    const found = find(item);
    if (found !== null) return found;
  }
  return null;
}
