import { expect } from "chai";
import fc from "fast-check";
import { Draws, wordsOf } from "../../../relayer/routing/draws.ts";
import { drawWords } from "./shards.ts";

describe("draws", () => {
  it("read a hash as eight words, most significant first", () => {
    expect([...wordsOf(`0x${"00000001".repeat(7)}ffffffff`)]).to.deep.equal([1, 1, 1, 1, 1, 1, 1, 0xffffffff]);
  });

  it("repeat for the same draw and round, and differ for another", () => {
    const first = (words: Uint32Array, round: number): number[] => {
      const draws = new Draws().seed(words, round);
      return Array.from({ length: 4 }, () => draws.next());
    };
    expect(first(drawWords(1), 0)).to.deep.equal(first(drawWords(1), 0));
    expect(first(drawWords(1), 0)).to.not.deep.equal(first(drawWords(1), 1));
    expect(first(drawWords(1), 0)).to.not.deep.equal(first(drawWords(2), 0));
  });

  it("stay below any bound", () => {
    const draws = new Draws().seed(drawWords(3), 0);
    fc.assert(fc.property(fc.integer({ min: 1, max: 2 ** 32 }), (bound) => {
      const value = draws.below(bound);
      expect(Number.isInteger(value) && value >= 0 && value < bound).to.equal(true);
    }));
    expect(draws.below(1)).to.equal(0);
  });

  it("favour none: 100,000 draws below ten, each within 0.5 % of the whole", () => {
    const draws = new Draws().seed(drawWords(4), 0);
    const counts = Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) counts[draws.below(10)]!++;
    for (const count of counts) expect(count / 100_000).to.be.closeTo(0.1, 0.005);
  });
});
