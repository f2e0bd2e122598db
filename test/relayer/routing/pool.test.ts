import { expect } from "chai";
import fc from "fast-check";
import { boardLeaf, epochRoot, leavesOf, type BoardLeaf } from "../../../relayer/routing/pool.ts";
import { MerkleSumTree } from "../../../protocol/merkleSum.ts";
import type { Hash } from "../../../protocol/units.ts";
import type { SaturationAttestation } from "../../../protocol/generated/structs.ts";

const hash = fc.integer({ min: 1, max: 9 }).map((n): Hash => `0x${String(n).repeat(64)}`);
const anyLeaf: fc.Arbitrary<BoardLeaf> = fc.record({
  modelId: hash, nodeId: fc.integer({ min: 1, max: 2 ** 32 - 1 }), attestationHash: hash, slots: fc.integer({ min: 0, max: 65_535 }), saturationBps: fc.integer({ min: 0, max: 10_000 }),
});
const anyLeaves = fc.uniqueArray(anyLeaf, { minLength: 1, maxLength: 40, selector: (leaf) => `${leaf.modelId}${leaf.nodeId}` });

describe("an epoch's root", () => {
  it("sums slots and slots x saturation in one tree, as the pools say", () => {
    fc.assert(fc.property(anyLeaves, (leaves) => {
      const root = epochRoot(leaves)!;
      const tree = new MerkleSumTree([...leaves].sort((a, b) => (a.modelId === b.modelId ? a.nodeId - b.nodeId : a.modelId < b.modelId ? -1 : 1)).map((leaf) => boardLeaf(leaf)));
      expect(root.root).to.equal(tree.root.hash);
      expect(root.leafCount).to.equal(leaves.length);
      expect(tree.root.sum >> 96n).to.equal(root.pools.reduce((sum, pool) => sum + pool.slots, 0n));
      expect(tree.root.sum & (2n ** 96n - 1n)).to.equal(root.pools.reduce((sum, pool) => sum + pool.slotBps, 0n));
      expect(epochRoot([...leaves].reverse())).to.deep.equal(root);
    }));
  });

  it("is another for another figure", () => {
    const leaf: BoardLeaf = { modelId: `0x${"1".repeat(64)}`, nodeId: 4, attestationHash: `0x${"2".repeat(64)}`, slots: 8, saturationBps: 700 };
    const roots = [leaf, { ...leaf, nodeId: 5 }, { ...leaf, modelId: leaf.attestationHash }, { ...leaf, attestationHash: leaf.modelId }, { ...leaf, slots: 7 }, { ...leaf, saturationBps: 701 }]
      .map((one) => boardLeaf(one)).map((node) => `${node.hash}${node.sum}`);
    expect(new Set(roots).size).to.equal(roots.length);
  });

  it("is none for no leaf: the chain refuses an empty root", () => {
    expect(epochRoot([])).to.equal(null);
  });

  it("counts no slot beyond stake, attestation or offer, and the greatest dimension", () => {
    const attestation = { nodeId: 4, slots: 6, computeBps: 100, memoryBps: 30_000, queueBps: 5, networkBps: 0 } as SaturationAttestation;
    const offers = [{ modelId: `0x${"1".repeat(64)}` as Hash, slots: 9 }, { modelId: `0x${"3".repeat(64)}` as Hash, slots: 2 }];
    const leaves = leavesOf(attestation, `0x${"2".repeat(64)}`, offers, 5);
    expect(leaves.map((leaf) => [leaf.slots, leaf.saturationBps])).to.deep.equal([[5, 10_000], [2, 10_000]]);
  });
});
