import { expect } from "chai";
import fc from "fast-check";
import { GUST_MS, Pace } from "../../../node/gauge/pace.ts";
import { pacedCurve, tokensPerSecondAt } from "../../../node/gauge/curve.ts";

describe("pace", () => {
  it("lets everything through where nothing is paced", () => {
    expect(new Pace(null).waitMs(1_000, 0)).to.equal(0);
  });

  it("keeps all takers together to the rate", () => {
    const pace = new Pace(100);
    let now = 0;
    for (let i = 0; i < 500; i++) now += pace.waitMs(1, now);
    expect(now).to.be.within(5_000 - GUST_MS - 10, 5_000);
  });

  it("saves nothing up beyond a gust: after an hour of rest the rate is the same", () => {
    const pace = new Pace(100);
    pace.waitMs(1, 0);
    let now = 3_600_000;
    for (let i = 0; i < 100; i++) now += pace.waitMs(1, now);
    expect(now - 3_600_000).to.be.at.least(1_000 - GUST_MS - 10);
  });

  it("property: never negative, and over any time no more than rate x time + one gust", () => {
    fc.assert(fc.property(fc.double({ min: 0.5, max: 5_000, noNaN: true }), fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.nat(500)), { minLength: 1, maxLength: 100 }), (rate, takes) => {
      const pace = new Pace(rate);
      let now = 0;
      let tokens = 0;
      for (const [count, restMs] of takes) {
        const wait = pace.waitMs(count, now);
        expect(wait).to.be.at.least(0);
        now += wait;
        tokens += count;
        expect(tokens).to.be.at.most(rate * (now + GUST_MS) / 1_000 + 1e-6 * tokens + 1e-6);
        now += restMs;
      }
    }), { numRuns: 1_000 });
  });
});

describe("paced curve", () => {
  const curve = { aNs: 2_000_000, bNs: 200_000, cNs: 0, dNs: 1_000_000, ePs: 0 };

  it("is the engine's own where nothing is paced, or the pace is faster", () => {
    expect(pacedCurve(curve, 8, null)).to.deep.equal(curve);
    expect(pacedCurve(curve, 8, 100_000)).to.deep.equal(curve);
  });

  it("is the pace where that is slower than the engine alone", () => {
    expect(pacedCurve(curve, 2, 60)).to.deep.equal({ ...curve, aNs: 0, dNs: 16_666_667 });
    expect(tokensPerSecondAt(pacedCurve(curve, 2, 60), 2)).to.be.closeTo(60, 0.01);
  });

  it("property: never promises more than engine or pace allow, and is exact at a full batch of the pace", () => {
    fc.assert(fc.property(fc.nat(50_000_000), fc.nat(10_000_000), fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 5_000 }), (aNs, dNs, slots, rate) => {
      const stated = pacedCurve({ aNs, bNs: 1, cNs: 1, dNs, ePs: 1 }, slots, rate);
      for (let batch = 1; batch <= slots; batch++) {
        const truth = Math.max(aNs + dNs * batch, batch * 1e9 / rate);
        expect(stated.aNs + stated.dNs * batch).to.be.at.least(Math.floor(truth) - 1);
      }
      expect(Number.isInteger(stated.aNs) && Number.isInteger(stated.dNs)).to.equal(true);
    }), { numRuns: 500 });
  });
});
