import { expect } from "chai";
import fc from "fast-check";
import { backlogUs, clampCurve, decodeUs, prefillUs, tokenNs } from "../../../relayer/routing/curve.ts";
import type { ServiceCurve } from "../../../protocol/link.ts";

const H100: ServiceCurve = { aNs: 7_500_000, bNs: 21_800, cNs: 58, dNs: 10_000, ePs: 2_000 };
const wild = fc.oneof(fc.integer({ min: 0, max: 10 ** 12 }), fc.constantFrom(0, 1, 10 ** 12, Number.MAX_SAFE_INTEGER, Infinity, -5, Number.NaN, 0.5));
const anyCurve: fc.Arbitrary<ServiceCurve> = fc.record({ aNs: wild, bNs: wild, cNs: wild, dNs: wild, ePs: wild }).map(clampCurve);
const tokens = fc.oneof(fc.integer({ min: 0, max: 200_000 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));

describe("the service curve", () => {
  it("predicts what the profile says", () => {
    // 7.5 ms + 0.0218 ms * 1,000 + 2e-6 ms * 1,000^2 = 31.3 ms
    expect(prefillUs(H100, 1_000)).to.equal(31_300);
    // 7.5 ms + 5.8e-5 ms * 10,000 + 0.01 ms * 10 = 8.18 ms
    expect(tokenNs(H100, 10_000, 10)).to.equal(8_180_000);
    expect(decodeUs(H100, 100, 10_000, 10)).to.equal(818_000);
    expect(backlogUs(H100, 1_000)).to.equal(21_800);
  });

  it("stays in exact whole numbers whatever is claimed", () => {
    fc.assert(fc.property(anyCurve, tokens, tokens, fc.integer({ min: 0, max: 10 ** 6 }), (curve, input, context, batch) => {
      for (const value of [prefillUs(curve, input), backlogUs(curve, input), tokenNs(curve, context, batch), decodeUs(curve, input, context, batch)]) {
        expect(Number.isSafeInteger(value) && value >= 0, String(value)).to.equal(true);
      }
      for (const coefficient of Object.values(curve)) expect(Number.isSafeInteger(coefficient) && coefficient >= 0).to.equal(true);
    }));
  });

  it("never falls with more tokens, more context or a fuller batch", () => {
    fc.assert(fc.property(anyCurve, tokens, tokens, fc.integer({ min: 0, max: 70_000 }), fc.integer({ min: 0, max: 1_000 }), (curve, input, context, batch, more) => {
      expect(prefillUs(curve, input + more)).to.be.at.least(prefillUs(curve, input));
      expect(backlogUs(curve, input + more)).to.be.at.least(backlogUs(curve, input));
      expect(decodeUs(curve, 100, context + more, batch)).to.be.at.least(decodeUs(curve, 100, context, batch));
      expect(decodeUs(curve, 100, context, batch + more)).to.be.at.least(decodeUs(curve, 100, context, batch));
      expect(decodeUs(curve, input + more, context, batch)).to.be.at.least(decodeUs(curve, input, context, batch));
    }));
  });

  it("takes what is no number for as slow as can be said", () => {
    expect(clampCurve({ aNs: Number.NaN, bNs: Infinity, cNs: -1, dNs: 1.9, ePs: 3 })).to.deep.equal({ aNs: 2 ** 40, bNs: 2 ** 31, cNs: 0, dNs: 1, ePs: 3 });
  });
});
