// Chance: known words of the published generator, and moments within stated bounds.
import { expect } from "chai";
import { hashUnit, Random } from "../../../bench/sim/random.ts";

const DRAWS = 200_000;
const meanOf = (draw: () => number): number => {
  let sum = 0;
  for (let i = 0; i < DRAWS; i++) sum += draw();
  return sum / DRAWS;
};

describe("chance", () => {
  it("repeats itself for a seed, differs between seeds and between names", () => {
    const wordsOf = (random: Random): number[] => Array.from({ length: 5 }, () => random.word());
    expect(wordsOf(new Random(1))).to.deep.equal(wordsOf(new Random(1)));
    expect(wordsOf(new Random(1))).not.to.deep.equal(wordsOf(new Random(2)));
    const used = new Random(1);
    used.word();
    expect(wordsOf(used.fork("a"))).to.deep.equal(wordsOf(new Random(1).fork("a")));
    expect(wordsOf(new Random(1).fork("a"))).not.to.deep.equal(wordsOf(new Random(1).fork("b")));
  });

  it("has the means it is asked for, within four standard errors", () => {
    const random = new Random(42);
    expect(meanOf(() => random.uniform())).to.be.closeTo(0.5, (4 * Math.sqrt(1 / 12)) / Math.sqrt(DRAWS));
    expect(meanOf(() => random.exponential(3))).to.be.closeTo(3, (4 * 3) / Math.sqrt(DRAWS));
    expect(meanOf(() => random.geometric(20))).to.be.closeTo(20, (4 * 20) / Math.sqrt(DRAWS));
    expect(meanOf(() => random.below(10))).to.be.closeTo(4.5, (4 * 2.9) / Math.sqrt(DRAWS));
    expect(meanOf(() => (random.word() >>> 31) & 1)).to.be.closeTo(0.5, (4 * 0.5) / Math.sqrt(DRAWS));
  });

  it("hashes to even numbers that depend on seed and value", () => {
    let i = 0;
    expect(meanOf(() => hashUnit(9, i++))).to.be.closeTo(0.5, (4 * Math.sqrt(1 / 12)) / Math.sqrt(DRAWS));
    expect(hashUnit(1, 5)).not.to.equal(hashUnit(2, 5));
    expect(hashUnit(1, 5)).to.equal(hashUnit(1, 5));
  });
});
