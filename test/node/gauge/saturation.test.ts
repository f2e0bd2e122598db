import { expect } from "chai";
import fc from "fast-check";
import { saturationOf, type SaturationFacts } from "../../../node/gauge/saturation.ts";

const idle: SaturationFacts = {
  slots: 8, accepted: 0, running: 0, tokensPerSecondMax: 400, queued: 0, queuedTokens: 0, prefillNsPerToken: 200_000, kvTokens: 2_048, kvReservedTokens: 0, backlogBytes: 0,
};

describe("saturation", () => {
  it("is zero when idle", () => {
    expect(saturationOf(idle)).to.deep.equal({ computeBps: 0, memoryBps: 0, queueBps: 0, networkBps: 0, queuedTokens: 0, kvFreeTokens: 2_048 });
  });

  it("takes the places in use as compute, however fast a single stream may run", () => {
    expect(saturationOf({ ...idle, accepted: 2 }).computeBps).to.equal(2_500);
    expect(saturationOf({ ...idle, slots: 2, accepted: 1, tokensPerSecondMax: 60 }).computeBps).to.equal(5_000);
  });

  it("takes the rate where it would leave a stream less than ten tokens a second", () => {
    expect(saturationOf({ ...idle, accepted: 2, tokensPerSecondMax: 40 }).computeBps).to.equal(5_000);
    expect(saturationOf({ ...idle, accepted: 4, tokensPerSecondMax: 40 }).computeBps).to.equal(10_000);
  });

  it("counts what an engine does for others", () => {
    expect(saturationOf({ ...idle, accepted: 1, running: 6 }).computeBps).to.equal(7_500);
  });

  it("says how long the queue is in time: two seconds of prefill are full", () => {
    expect(saturationOf({ ...idle, queuedTokens: 5_000 }).queueBps).to.equal(5_000);
    expect(saturationOf({ ...idle, queuedTokens: 50_000 })).to.include({ queueBps: 10_000, queuedTokens: 50_000 });
    expect(saturationOf({ ...idle, queued: 4 }).queueBps).to.equal(5_000);
  });

  it("counts a node without slots as full", () => {
    expect(saturationOf({ ...idle, slots: 0 }).computeBps).to.equal(10_000);
  });

  const odd = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(NaN, Infinity, -Infinity, 0, -1));
  const facts = fc.record(Object.fromEntries(Object.keys(idle).map((name) => [name, odd]))) as unknown as fc.Arbitrary<SaturationFacts>;

  it("property: every figure is a whole number in its range, whatever the facts are", () => {
    fc.assert(fc.property(facts, (given) => {
      const { queuedTokens, kvFreeTokens, ...bps } = saturationOf(given);
      for (const value of Object.values(bps)) expect(Number.isInteger(value) && value >= 0 && value <= 10_000, String(value)).to.equal(true);
      for (const value of [queuedTokens, kvFreeTokens]) expect(Number.isInteger(value) && value >= 0 && value < 2 ** 32, String(value)).to.equal(true);
    }), { numRuns: 2_000 });
  });

  it("property: more of anything never makes a node look freer", () => {
    const more = fc.constantFrom("accepted", "running", "queued", "queuedTokens", "kvReservedTokens", "backlogBytes");
    const sane = fc.record({ ...Object.fromEntries(Object.keys(idle).map((name) => [name, fc.nat(100_000)])), slots: fc.integer({ min: 1, max: 100 }) }) as unknown as fc.Arbitrary<SaturationFacts>;
    fc.assert(fc.property(sane, more, fc.nat(1_000), (given, name, by) => {
      const [before, after] = [saturationOf(given), saturationOf({ ...given, [name]: given[name] + by })];
      for (const figure of ["computeBps", "memoryBps", "queueBps", "networkBps"] as const) expect(after[figure]).to.be.at.least(before[figure]);
    }), { numRuns: 1_000 });
  });
});
