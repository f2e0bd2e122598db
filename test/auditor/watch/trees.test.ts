// What a watcher makes of a batch's records and of paths that were shown: whole trees, parts of them, and sums that do not add up.
import { expect } from "chai";
import { keccak256 } from "viem/utils";
import { Tree } from "../../../auditor/watch/findings.ts";
import type { ShownPath, WatchedBatch } from "../../../auditor/watch/history.ts";
import { badSums } from "../../../auditor/watch/sums.ts";
import { isInRange, knownTree, rowsOf, standsAt } from "../../../auditor/watch/trees.ts";
import { leafStruct, leafStructHash, pathStruct } from "../../../protocol/evidence.ts";
import { depthOf, innerNode, type SumNode } from "../../../protocol/merkleSum.ts";
import type { AttemptRecord } from "../../../protocol/records.ts";
import { ZERO_HASH } from "../../../protocol/units.ts";
import { treesOf } from "../../../relayer/settlement/batch.ts";
import { honestRecord } from "../../protocol/honest.ts";

/** A tree whose relayer may name any node with another sum, or fill the padding. */
function namedTree(leaves: readonly SumNode[], bump: (level: number, index: number) => bigint, padding: SumNode = { hash: ZERO_HASH, sum: 0n }) {
  const levels = [[...leaves, ...Array<SumNode>(2 ** depthOf(leaves.length) - leaves.length).fill(padding)].map((node, i) => ({ ...node, sum: node.sum + bump(0, i) }))];
  while (levels.at(-1)!.length > 1) {
    const below = levels.at(-1)!;
    levels.push(Array.from({ length: below.length / 2 }, (_, i) => innerNode(below[2 * i]!, below[2 * i + 1]!)).map((node, i) => ({ ...node, sum: node.sum + bump(levels.length, i) })));
  }
  return { root: levels.at(-1)![0]!, proof: (index: number) => ({ index, siblings: levels.slice(0, -1).map((level, depth) => level[(index >> depth) ^ 1]!) }) };
}

describe("what is known of a batch's trees", () => {
  let records: AttemptRecord[];
  before(async () => {
    const made = await Promise.all([1n, 2n, 3n, 4n, 5n].map((nonce) => honestRecord({ order: { nonce }, receipt: { nodeSeq: nonce } })));
    records = treesOf(made, keccak256).bySession.map(({ record }) => record);
  });

  const batch = (session: SumNode, shown: readonly ShownPath[] = [], leafCount = records.length): WatchedBatch => ({
    header: {
      relayerId: 1, relayerEpoch: 1, batchId: 1n, prevBatchHash: ZERO_HASH, sessionRoot: session.hash, tabRoot: ZERO_HASH, leafCount, debitsHash: ZERO_HASH, creditsHash: ZERO_HASH,
      totalDebit: session.sum, totalCredit: 0n, dataHash: ZERO_HASH, periodStart: 0, periodEnd: 1, postBy: 2,
    },
    postedAt: 1, debits: [], credits: [], tasks: [], shown,
  });
  const nodes = (): SumNode[] => records.map((record) => leafStruct(record)).map((leaf) => ({ hash: leafStructHash(leaf), sum: leaf.charge }));
  const shown = (tree: ReturnType<typeof namedTree>, index: number, record = records[index]!): ShownPath =>
    ({ tree: Tree.SESSION, leaf: leafStruct(record), path: pathStruct(tree.proof(index)), receipt: record.receipt, record });
  const honest = (): ReturnType<typeof namedTree> => namedTree(nodes(), () => 0n);

  it("is all, where the records make the root: in the tree's order, whatever order they come in, and in the data's own", () => {
    const known = knownTree(Tree.SESSION, batch(honest().root), rowsOf(records.toReversed()));
    expect(known.isWhole).to.equal(true);
    expect(known.leaves.map(({ record }) => record)).to.deep.equal(records);
    const inDataOrder = records.toReversed();
    const root = namedTree(nodes().toReversed(), () => 0n).root;
    expect(knownTree(Tree.SESSION, batch(root), rowsOf(inDataOrder)).leaves.map(({ record }) => record)).to.deep.equal(inDataOrder);
  });

  it("is what paths show that lead to the root, and nothing of those that do not", () => {
    const tree = honest();
    const some = [shown(tree, 3), shown(tree, 1), { ...shown(tree, 2), path: pathStruct(tree.proof(0)) }];
    const known = knownTree(Tree.SESSION, batch(tree.root, some), []);
    expect(known.isWhole).to.equal(false);
    expect(known.leaves.map(({ index }) => index)).to.deep.equal([1, 3]);
    expect(knownTree(Tree.SESSION, batch(tree.root, records.map((_, i) => shown(tree, i))), []).isWhole).to.equal(true);
  });

  it("believes no path under another root, sum or count", () => {
    const tree = honest();
    const { header } = batch(tree.root);
    const one = shown(tree, 1);
    expect(standsAt(header, Tree.SESSION, one, one.path)).to.equal(true);
    expect(standsAt({ ...header, totalDebit: header.totalDebit + 1n }, Tree.SESSION, one, one.path)).to.equal(false);
    expect(standsAt({ ...header, sessionRoot: ZERO_HASH }, Tree.SESSION, one, one.path)).to.equal(false);
    expect(standsAt({ ...header, leafCount: 3 }, Tree.SESSION, one, one.path)).to.equal(false);
    expect(standsAt(header, Tree.SESSION, one, { ...one.path, index: 2 })).to.equal(false);
  });

  const sumsOf = (of: WatchedBatch, known: readonly AttemptRecord[]): { level: number; index: number }[] =>
    badSums(of, Tree.SESSION, knownTree(Tree.SESSION, of, rowsOf(known)), known).map(({ finding }) => (finding.evidence as { badSum: { level: number; index: number } }).badSum).map(({ level, index }) => ({ level, index }));

  it("takes no path whose sums leave 128 bits, which no tree holds", () => {
    const one = shown(honest(), 1);
    expect(isInRange(one)).to.equal(true);
    const rest = 2n ** 128n - 1n - one.leaf.charge;
    expect(isInRange({ ...one, path: { ...one.path, sums: [rest, 0n, 0n] } })).to.equal(true);
    expect(isInRange({ ...one, path: { ...one.path, sums: [rest, 1n, 0n] } })).to.equal(false);
    expect(isInRange({ ...one, path: { ...one.path, sums: [0n] } })).to.equal(false);
  });

  it("finds no bad sum in an honest tree, whole or in part", () => {
    const tree = honest();
    expect(sumsOf(batch(tree.root), records)).to.deep.equal([]);
    expect(sumsOf(batch(tree.root, [shown(tree, 0), shown(tree, 4)]), records.slice(1))).to.deep.equal([]);
  });

  it("finds a leaf that its parent names with more, from a neighbour's path and the record", () => {
    const tree = namedTree(nodes(), (level, index) => (level === 0 && index === 0 ? 5n : 0n));
    expect(sumsOf(batch(tree.root, [shown(tree, 1)]), records)).to.deep.equal([{ level: 0, index: 0 }]);
    // Without a path nothing names it.
    expect(sumsOf(batch(tree.root), records)).to.deep.equal([]);
  });

  it("finds an inner node that is named with more, from a path beside it and one below it", () => {
    const tree = namedTree(nodes(), (level, index) => (level === 1 && index === 0 ? 5n : 0n));
    // The path of leaf 0 does not lead to the root, but names what lies below the bad node.
    expect(sumsOf(batch(tree.root, [shown(tree, 2), shown(tree, 0)]), [])).to.deep.equal([{ level: 1, index: 0 }]);
    expect(sumsOf(batch(tree.root, [shown(tree, 2)]), records)).to.deep.equal([{ level: 1, index: 0 }]);
  });

  it("finds a header's total that is not the root's", () => {
    const { root } = honest();
    expect(sumsOf(batch({ hash: root.hash, sum: root.sum + 1n }), records)).to.deep.equal([{ level: 3, index: 0 }]);
  });

  it("finds padding that is not empty", () => {
    const tree = namedTree(nodes(), () => 0n, { hash: `0x${"77".repeat(32)}`, sum: 0n });
    expect(sumsOf(batch(tree.root, [shown(tree, 4)]), [])).to.deep.equal([{ level: 0, index: 5 }]);
  });
});
