import { expect } from "chai";
import fc from "fast-check";
import { depthOf, innerNode, itemsHash, leafHash, LEAF_COUNT_MAX, MerkleSumTree, walkProof, type SumNode } from "../../protocol/merkleSum.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import { ZERO_HASH } from "../../protocol/units.ts";
import { hash32, hexBytes, uint } from "./arbitraries.ts";

const isDeep = process.env["DEEP_TESTS"] === "1";
const [ROOTS, PROVEN] = isDeep ? [100_000, 100_000] : [300, 30];
const PATIENCE_MS = isDeep ? 3_600_000 : 20_000;

const leaves = fc.array(fc.record({ hash: hash32, sum: uint(96) }), { minLength: 1, maxLength: 40 });

/** The same tree, told another way: split in halves until one is left. */
function rootByHalves(nodes: readonly SumNode[]): SumNode {
  if (nodes.length === 1) return nodes[0]!;
  const width = 2 ** Math.ceil(Math.log2(nodes.length));
  const padded = [...nodes, ...Array<SumNode>(width - nodes.length).fill({ hash: ZERO_HASH, sum: 0n })];
  return innerNode(rootByHalves(padded.slice(0, width / 2)), rootByHalves(padded.slice(width / 2)));
}

describe("Merkle-sum tree", () => {
  it("has the root that halving gives, and the sum of all leaves", () => {
    fc.assert(fc.property(leaves, (nodes) => {
      const { root } = new MerkleSumTree(nodes);
      expect(root).to.deep.equal(rootByHalves(nodes));
      expect(root.sum).to.equal(nodes.reduce((sum, node) => sum + node.sum, 0n));
    }), { numRuns: ROOTS });
  }).timeout(PATIENCE_MS);

  it("proves each leaf and the sum to its left", () => {
    fc.assert(fc.property(leaves, (nodes) => {
      const tree = new MerkleSumTree(nodes);
      for (const [index, node] of nodes.entries()) {
        const walked = walkProof(node, tree.proof(index), nodes.length);
        expect(walked?.root).to.deep.equal(tree.root);
        expect(walked?.leftSum).to.equal(nodes.slice(0, index).reduce((sum, left) => sum + left.sum, 0n));
      }
    }), { numRuns: PROVEN });
  }).timeout(PATIENCE_MS);

  it("proves nothing else: another leaf, sum, index, sibling, length or count", () => {
    fc.assert(fc.property(leaves, fc.nat(), hash32, (nodes, pick, other) => {
      const tree = new MerkleSumTree(nodes);
      const index = pick % nodes.length;
      const proof = tree.proof(index);
      const leaf = nodes[index]!;
      const isProved = (l: SumNode, p = proof, count = nodes.length): boolean => {
        const walked = walkProof(l, p, count);
        return walked !== null && walked.root.hash === tree.root.hash && walked.root.sum === tree.root.sum;
      };
      fc.pre(other !== leaf.hash);
      expect(isProved({ ...leaf, hash: other })).to.equal(false);
      expect(isProved({ ...leaf, sum: leaf.sum + 1n })).to.equal(false);
      expect(isProved(leaf, { ...proof, siblings: [...proof.siblings, { hash: ZERO_HASH, sum: 0n }] })).to.equal(false);
      if (proof.siblings.length > 0) {
        expect(isProved(leaf, { ...proof, siblings: proof.siblings.slice(1) })).to.equal(false);
        expect(isProved(leaf, { ...proof, index: index ^ 1 })).to.equal(false);
        expect(isProved(leaf, { ...proof, siblings: proof.siblings.map((s, i) => (i === 0 ? { ...s, sum: s.sum + 1n } : s)) })).to.equal(false);
      }
      expect(isProved(leaf, { ...proof, index: nodes.length })).to.equal(false);
      expect(isProved(leaf, { ...proof, index: -1 })).to.equal(false);
      expect(isProved(leaf, proof, 0)).to.equal(false);
      expect(isProved(leaf, proof, nodes.length * 2 + 1)).to.equal(false);
    }));
  });

  it("refuses no leaves", () => {
    expect(() => new MerkleSumTree([])).to.throw(InvalidValueError);
    expect(() => new MerkleSumTree([{ hash: ZERO_HASH, sum: 0n }]).proof(1)).to.throw(InvalidValueError);
  });

  it("has paths of ceil(log2(count))", () => {
    for (const [count, depth] of [[1, 0], [2, 1], [3, 2], [4, 2], [5, 3], [1024, 10], [1025, 11], [LEAF_COUNT_MAX, 20]] as const) expect(depthOf(count)).to.equal(depth);
  });
});

describe("leaf", () => {
  it("ignores the voucher's signature where there is no voucher, and nothing else", () => {
    fc.assert(fc.property(hash32, hash32, hexBytes(65), hexBytes(65), hexBytes(65), uint(96), uint(96), (receiptHash, voucherHash, a, b, c, fee, charge) => {
      const parts = { receiptHash, voucherHash, nodeSignature: a, voucherSignature: b, assignmentSignature: c, fee, charge };
      const bare = { ...parts, voucherHash: ZERO_HASH };
      expect(leafHash(bare)).to.equal(leafHash({ ...bare, voucherSignature: "0x" }));
      const variants = [parts, bare, { ...parts, fee: fee + 1n }, { ...parts, charge: charge + 1n }, { ...parts, nodeSignature: "0x00" as const }, { ...parts, assignmentSignature: "0x00" as const }, { ...parts, voucherSignature: "0x00" as const }];
      expect(new Set(variants.map((leaf) => leafHash(leaf))).size).to.equal(voucherHash === ZERO_HASH ? variants.length - 2 : variants.length);
    }));
  });
});

describe("items", () => {
  it("hash to something that depends on each id, change and position, over group borders", () => {
    fc.assert(fc.property(fc.uniqueArray(hash32, { minLength: 2, maxLength: 40 }), fc.nat(), (ids, pick) => {
      const items = ids.map((id, i) => ({ id, change: BigInt(i) }));
      const at = pick % (items.length - 1);
      const swapped = items.with(at, items[at + 1]!).with(at + 1, items[at]!);
      const raised = items.map((item, i) => (i === at ? { ...item, change: item.change + 1n } : item));
      expect(new Set([itemsHash(items), itemsHash(swapped), itemsHash(raised), itemsHash(items.slice(0, -1))]).size).to.equal(4);
    }));
  });
});
