import { expect } from "chai";
import fc from "fast-check";
import { drawByWeight, softWeights } from "../../../relayer/routing/softmax.ts";
import { drawWords } from "./shards.ts";

const T = 100_000;
const anyCosts = fc.array(fc.integer({ min: 0, max: 10_000_000 }), { minLength: 1, maxLength: 16 });

function weightsOf(costs: readonly number[], temperatureUs = T): { weights: number[]; sum: number } {
  const weights = new Uint32Array(16);
  const sum = softWeights(Float64Array.from(costs), costs.length, temperatureUs, weights);
  return { weights: [...weights.subarray(0, costs.length)], sum };
}

describe("the soft choice", () => {
  it("has probabilities that sum to one, the least cost weighing most", () => {
    fc.assert(fc.property(anyCosts, (costs) => {
      const { weights, sum } = weightsOf(costs);
      expect(weights.reduce((total, weight) => total + weight, 0)).to.equal(sum);
      expect(sum).to.be.within(65_536, 16 * 65_536);
      const least = Math.min(...costs);
      for (const [i, cost] of costs.entries()) if (cost === least) expect(weights[i]).to.equal(65_536);
    }));
  });

  it("never lowers a candidate's probability when its cost falls", () => {
    fc.assert(fc.property(anyCosts, fc.nat(15), fc.integer({ min: 1, max: 2_000_000 }), fc.integer({ min: 10_000, max: 2_000_000 }), (costs, at, less, temperatureUs) => {
      const i = at % costs.length;
      const before = weightsOf(costs, temperatureUs);
      const after = weightsOf(costs.map((cost, j) => (j === i ? Math.max(0, cost - less) : cost)), temperatureUs);
      expect(after.weights[i]! * before.sum).to.be.at.least(before.weights[i]! * after.sum);
    }));
  });

  it("depends on differences alone, and is not normalised by range", () => {
    expect(weightsOf([0, 50_000, 100_000])).to.deep.equal(weightsOf([7_000_000, 7_050_000, 7_100_000]));
    // One outlier does not flatten the rest.
    expect(weightsOf([0, 50_000, 10_000_000]).weights.slice(0, 2)).to.deep.equal(weightsOf([0, 50_000]).weights);
  });

  it("gives a closed candidate nothing", () => {
    expect(weightsOf([Infinity, 5, Infinity]).weights).to.deep.equal([0, 65_536, 0]);
  });

  it("takes every word to a candidate with weight, each its share", () => {
    const weights = Uint32Array.of(0, 3, 0, 1, 0);
    expect([0, 2 ** 30, 2 ** 31, 3 * 2 ** 30 - 1].map((word) => drawByWeight(weights, 5, 4, word))).to.deep.equal([1, 1, 1, 1]);
    expect([3 * 2 ** 30, 2 ** 32 - 1].map((word) => drawByWeight(weights, 5, 4, word))).to.deep.equal([3, 3]);
  });

  it("draws in proportion: 100,000 draws within 1 % of the whole for each candidate", () => {
    const { weights, sum } = weightsOf([0, 50_000, 100_000, 200_000]);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 100_000; i++) counts[drawByWeight(Uint32Array.from(weights), 4, sum, drawWords(i)[4]!)]!++;
    for (const [i, weight] of weights.entries()) expect(counts[i]! / 100_000).to.be.closeTo(weight / sum, 0.01);
    // exp(-0.5), exp(-1), exp(-2) of the first
    expect(counts[1]! / counts[0]!).to.be.closeTo(Math.exp(-0.5), 0.02);
    expect(counts[3]! / counts[0]!).to.be.closeTo(Math.exp(-2), 0.02);
  });
});
