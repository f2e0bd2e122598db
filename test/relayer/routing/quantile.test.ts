import { expect } from "chai";
import fc from "fast-check";
import { observeOutput, QUANTILE_START, type OutputQuantile } from "../../../relayer/routing/quantile.ts";

const uniform = (i: number, n: number): number => (Math.imul(i + 1, 2_654_435_761) >>> 0) % n;
const settle = (outputs: readonly number[]): OutputQuantile => outputs.reduce((quantile, tokens) => observeOutput(quantile, tokens), QUANTILE_START);

describe("the running quantile of outputs", () => {
  it("settles near two thirds: even outputs of 0 to 599 give 400 within 60", () => {
    const estimates = Array.from({ length: 20 }, (_, k) => settle(Array.from({ length: 1_000 }, (_, i) => uniform(i + 97 * k, 600))).tokens);
    const mean = estimates.reduce((sum, one) => sum + one, 0) / estimates.length;
    expect(mean).to.be.closeTo(400, 60);
  });

  it("finds a constant and stays there", () => {
    expect(settle(Array<number>(300).fill(1_700)).tokens).to.equal(1_700);
    expect(settle(Array<number>(300).fill(3)).tokens).to.equal(3);
  });

  it("stays a whole number from 1 up, whatever comes", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 100 }), (outputs) => {
      const { tokens, stepTokens } = settle(outputs);
      expect(Number.isSafeInteger(tokens) && tokens >= 1 && tokens <= 2 ** 20 && stepTokens >= 1 && stepTokens <= 256).to.equal(true);
    }));
  });
});
