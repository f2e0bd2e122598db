import { expect } from "chai";
import { rangesBack } from "../../client/adapters/gateway.ts";

describe("a search for an event", () => {
  it("goes back without a gap or an overlap, in ranges that public nodes allow, to the first block", () => {
    for (const newest of [0n, 1n, 9_999n, 10_000n, 25_000n]) {
      const ranges = [...rangesBack(newest)];
      expect(ranges[0]!.toBlock).to.equal(newest);
      expect(ranges.at(-1)!.fromBlock).to.equal(0n);
      for (const [i, { fromBlock, toBlock }] of ranges.entries()) {
        expect(toBlock - fromBlock < 10_000n).to.equal(true);
        if (i > 0) expect(toBlock).to.equal(ranges[i - 1]!.fromBlock - 1n);
      }
    }
  });

  it("gives up after a month of blocks", () => {
    expect([...rangesBack(10n ** 12n)]).to.have.length(150);
  });
});
