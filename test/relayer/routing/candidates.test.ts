import { expect } from "chai";
import fc from "fast-check";
import { drawCandidates, sweep } from "../../../relayer/routing/candidates.ts";
import { Draws } from "../../../relayer/routing/draws.ts";
import { CANDIDATES_MAX, PARAMETERS } from "../../../relayer/routing/parameters.ts";
import type { Shard } from "../../../relayer/routing/table.ts";
import { anyRows, drawWords, row, shardOf } from "./shards.ts";

function candidates(shard: Shard, draw: number, affinityRow = -1): number[] {
  const out = new Int32Array(CANDIDATES_MAX);
  return [...out.subarray(0, drawCandidates(shard, new Draws().seed(drawWords(draw), 0), affinityRow, PARAMETERS, out))];
}

describe("candidates", () => {
  it("are at most 16 rows, without repeats, ordered, the affinity holder among them", () => {
    fc.assert(fc.property(anyRows(60), fc.nat(10_000), fc.nat(59), (rows, draw, at) => {
      const shard = shardOf(rows);
      const affinity = at % rows.length;
      const drawn = candidates(shard, draw, affinity);
      expect(drawn.length).to.be.within(1, CANDIDATES_MAX);
      expect(drawn).to.deep.equal([...new Set(drawn)].sort((one, other) => one - other));
      expect(drawn).to.include(affinity);
      expect(drawn.every((one) => one >= 0 && one < rows.length)).to.equal(true);
    }));
  });

  it("are a function of draw and table", () => {
    const rows = Array.from({ length: 200 }, (_, i) => row(i + 1));
    expect(candidates(shardOf(rows), 5)).to.deep.equal(candidates(shardOf([...rows].reverse()), 5));
    expect(candidates(shardOf(rows), 5)).to.not.deep.equal(candidates(shardOf(rows), 6));
  });

  it("are the whole shard where it is small", () => {
    expect(candidates(shardOf([row(9), row(2), row(5)]), 1)).to.deep.equal([0, 1, 2]);
    expect(candidates(shardOf(Array.from({ length: 16 }, (_, i) => row(i + 1, { computeBps: 10_000 }))), 1)).to.have.length(16);
  });

  it("follow free capacity and still look at everybody: 100,000 draws", () => {
    // 50 full, 50 with 2 free slots, 50 with 8: the weighted part goes 0 : 1 : 4.
    const rows = Array.from({ length: 150 }, (_, i) => row(i + 1, { computeBps: [10_000, 7_500, 0][i % 3]! }));
    const shard = shardOf(rows);
    const seen = [0, 0, 0];
    for (let draw = 0; draw < 100_000; draw++) for (const one of candidates(shard, draw)) seen[one % 3]!++;
    // Expected per draw and row: uniform 1-(149/150)^4; weighted 1-(1-w)^11 with w = 0, 1/250, 4/250; joined as independent.
    const uniform = 1 - (149 / 150) ** 4;
    for (const [kind, weight] of [0, 1 / 250, 4 / 250].entries()) {
      const expected = 1 - (1 - uniform) * (1 - weight) ** 11;
      expect(seen[kind]! / 50 / 100_000, `kind ${kind}`).to.be.closeTo(expected, 0.01 * expected + 0.0005);
    }
  });

  it("come evenly where nothing is free", () => {
    const shard = shardOf(Array.from({ length: 40 }, (_, i) => row(i + 1, { computeBps: 10_000 })));
    expect(candidates(shard, 3).length).to.be.within(1, PARAMETERS.uniformDraws);
  });

  it("reach the last row of a shard of a hundred thousand", () => {
    const rows = Array.from({ length: 100_000 }, (_, i) => row(i + 1, { slots: 65_535, modelSlots: 65_535, computeBps: i < 99_999 ? 10_000 : 0 }));
    expect(candidates(shardOf(rows), 1)).to.include(99_999);
  });

  it("are swept up from a drawn place where draws found none open", () => {
    const shard = shardOf(Array.from({ length: 100 }, (_, i) => row(i + 1)));
    const out = new Int32Array(CANDIDATES_MAX);
    const count = sweep(shard, new Draws().seed(drawWords(1), 3), (one) => one === 42, out);
    expect([...out.subarray(0, count)]).to.deep.equal([42]);
    expect(sweep(shard, new Draws().seed(drawWords(1), 3), () => true, out)).to.equal(CANDIDATES_MAX);
    expect(sweep(shardOf([row(1)]), new Draws().seed(drawWords(1), 3), () => false, out)).to.equal(0);
  });
});
