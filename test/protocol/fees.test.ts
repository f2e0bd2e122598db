import { expect } from "chai";
import fc from "fast-check";
import { chargeDown, feeOf, feeWithinDown, pricedDown } from "../../protocol/fees.ts";
import { uint } from "./arbitraries.ts";

const terms = fc.record({ priceInPerMTok: uint(96), priceOutPerMTok: uint(96), feeBps: fc.integer({ min: 0, max: 1_000 }), shareCap: uint(96) });
const tokens = uint(32).map(Number);

describe("fees", () => {
  it("never charge more than the share, nor more than the price", () => {
    fc.assert(fc.property(tokens, tokens, terms, (inputTokens, outputTokens, t) => {
      const { fee, charge } = feeOf(inputTokens, outputTokens, t);
      expect(charge <= t.shareCap).to.equal(true);
      expect(fee <= pricedDown(inputTokens, outputTokens, t)).to.equal(true);
      expect(charge).to.equal(chargeDown(fee, t.feeBps));
    }), { numRuns: 2_000 });
  });

  it("are the greatest that fit: one more would pass the share or the price", () => {
    fc.assert(fc.property(tokens, tokens, terms, (inputTokens, outputTokens, t) => {
      const { fee } = feeOf(inputTokens, outputTokens, t);
      const oneMoreFits = chargeDown(fee + 1n, t.feeBps) <= t.shareCap && fee + 1n <= pricedDown(inputTokens, outputTokens, t);
      expect(oneMoreFits).to.equal(false);
    }), { numRuns: 2_000 });
  });

  it("never fall with more tokens", () => {
    fc.assert(fc.property(uint(31).map(Number), uint(31).map(Number), terms, (inputTokens, outputTokens, t) => {
      const less = feeOf(inputTokens, outputTokens, t).fee;
      expect(feeOf(inputTokens + 1, outputTokens, t).fee >= less && feeOf(inputTokens, outputTokens + 1, t).fee >= less).to.equal(true);
    }));
  });

  it("at a tiny cap are found by trying all", () => {
    for (let cap = 0n; cap <= 30n; cap++) for (const bps of [0, 1, 500, 1_000]) {
      let best = 0n;
      while (chargeDown(best + 1n, bps) <= cap) best += 1n;
      expect(feeWithinDown(cap, bps), `${cap} at ${bps}`).to.equal(best);
    }
  });
});
