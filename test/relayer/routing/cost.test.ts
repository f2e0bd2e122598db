import { expect } from "chai";
import fc from "fast-check";
import { affinityUs, barrierUs, costUs, priceUs, unreliabilityUs } from "../../../relayer/routing/cost.ts";
import { PARAMETERS, PRICE_MAX } from "../../../relayer/routing/parameters.ts";
import { correctLoad, IDLE, type CorrectedLoad } from "../../../relayer/routing/saturation.ts";
import { anyRow, row } from "./shards.ts";

const idle = correctLoad(row(1), IDLE, 512);
const size = { inputTokens: 500, expectedOutTokens: 200 };
const costOf = (node: ReturnType<typeof row>, load: CorrectedLoad, cached = 0, leastBacklog = 0): number => costUs(node, load, size, cached, leastBacklog, PARAMETERS);
const anyCase = fc.record({ node: anyRow(), cached: fc.integer({ min: 0, max: 2_000 }) });

describe("cost", () => {
  it("is time, price and risk in microseconds", () => {
    const free = row(1, { priceIn: 0, priceOut: 0, scoreBps: 10_000 });
    // prefill 7.6 + 500 * 0.133 + 500^2 * 1.4e-5 = 77.6 ms; decode 200 * (7.6 + 0.00036 * (500 + 100) + 0.05) = 1,573.2 ms
    expect(costOf(free, idle)).to.equal(77_600 + 1_573_200);
    expect(costOf(row(1, { scoreBps: 10_000 }), idle) - costOf(free, idle)).to.equal(90_000);
    expect(costOf(row(1, { priceIn: 0, priceOut: 0, scoreBps: 9_000 }), idle) - costOf(free, idle)).to.equal(2_000_000);
  });

  it("never falls when a saturation, a backlog, a price or a risk rises", () => {
    fc.assert(fc.property(anyCase, fc.integer({ min: 1, max: 5_000 }), ({ node, cached }, more) => {
      const load = correctLoad(node, node.base, 512);
      const before = costOf(node, load, cached);
      for (const key of ["computeBps", "memoryBps", "queueBps", "networkBps", "backlogTokens", "running", "contextTokens"] as const) {
        expect(costOf(node, { ...load, [key]: load[key] + more }, cached), key).to.be.at.least(before);
      }
      for (const key of ["computeBps", "memoryBps", "queueBps", "networkBps", "queuedTokens"] as const) {
        const busier = { ...node, [key]: node[key] + more };
        expect(costOf(busier, correctLoad(busier, node.base, 512), cached), `attested ${key}`).to.be.at.least(before);
      }
      for (const key of ["priceIn", "priceOut"] as const) expect(costOf({ ...node, [key]: node[key] + more }, load, cached), key).to.be.at.least(before);
      expect(costOf({ ...node, scoreBps: node.scoreBps - more }, load, cached), "score").to.be.at.least(before);
    }));
  });

  it("is a whole number not below zero for absurd nodes and tasks", () => {
    const wild = fc.record({ inputTokens: fc.constantFrom(0, 1, 2 ** 32 - 1), expectedOutTokens: fc.constantFrom(0, 1, 2 ** 32 - 1) });
    fc.assert(fc.property(anyRow(), wild, fc.constantFrom(0, 2 ** 32), (node, absurd, cached) => {
      const dear = { ...node, priceIn: PRICE_MAX, priceOut: PRICE_MAX, curve: { aNs: 2 ** 40, bNs: 2 ** 31, cNs: 2 ** 20, dNs: 2 ** 32, ePs: 2 ** 26 } };
      const cost = costUs(dear, correctLoad(dear, node.base, 512), absurd, cached, 0, PARAMETERS);
      expect(Number.isSafeInteger(cost) && cost >= 0, String(cost)).to.equal(true);
    }));
  });

  it("has barriers that are nothing when free, 150 ms at one half, convex, and finite when full", () => {
    expect(barrierUs(0, PARAMETERS)).to.equal(0);
    expect(barrierUs(5_000, PARAMETERS)).to.equal(150_000);
    expect(barrierUs(10_000, PARAMETERS)).to.equal(barrierUs(9_999, PARAMETERS)).and.to.equal(150_000 * 9_999);
    fc.assert(fc.property(fc.integer({ min: 1, max: 9_998 }), (bps) => {
      const [before, here, after] = [bps - 1, bps, bps + 1].map((at) => barrierUs(at, PARAMETERS)) as [number, number, number];
      // Flooring may bend it by one unit.
      expect(after - here).to.be.at.least(here - before - 1);
    }));
  });

  it("draws a conversation to its prefix, and lets go as the node falls behind the least loaded", () => {
    const { curve } = row(1);
    expect(affinityUs(curve, 400, 500, 0, PARAMETERS)).to.equal(53_200);
    expect(affinityUs(curve, 400, 500, 500, PARAMETERS)).to.equal(26_600);
    expect(affinityUs(curve, 0, 500, 0, PARAMETERS)).to.equal(0);
    // Everybody equally busy: the affinity stays whole.
    const busy = { ...idle, backlogTokens: 5_000 };
    expect(costOf(row(1), busy, 0, 5_000) - costOf(row(1), busy, 400, 5_000)).to.equal(53_200);
  });

  it("values the smallest unit at a millisecond and a sure failure at twenty seconds", () => {
    expect(priceUs(row(1, { priceIn: 1_000_000, priceOut: 0 }), 3, 0, PARAMETERS)).to.equal(3_000);
    expect(unreliabilityUs(0, PARAMETERS)).to.equal(20_000_000);
    expect(unreliabilityUs(10_000, PARAMETERS)).to.equal(0);
  });
});
