// Which blocks are read: the last ones again, none left out, never too many at once.
import { expect } from "chai";
import { blockRanges, REORG_BLOCKS } from "../../../relayer/loops/blocks.ts";

const ranges = (next: bigint, head: bigint): [bigint, bigint][] => [...blockRanges(next, head)].map(({ from, to }) => [from, to]);

describe("block ranges", () => {
  it("begin before the next block, and at none below zero", () => {
    expect(ranges(100n, 110n)).to.deep.equal([[100n - REORG_BLOCKS, 110n]]);
    expect(ranges(5n, 6n)).to.deep.equal([[0n, 6n]]);
  });

  it("read the last blocks of a chain that was set back", () => {
    expect(ranges(500n, 200n)).to.deep.equal([[200n - REORG_BLOCKS, 200n]]);
  });

  it("leave no block out and overlap nowhere, in bounded questions", () => {
    const found = ranges(32n, 7_000n);
    expect(found[0]![0]).to.equal(0n);
    expect(found.at(-1)![1]).to.equal(7_000n);
    for (const [i, [from, to]] of found.entries()) {
      expect(to - from < 2_000n && to >= from).to.equal(true);
      if (i > 0) expect(from).to.equal(found[i - 1]![1] + 1n);
    }
  });
});
