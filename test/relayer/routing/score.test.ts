import { expect } from "chai";
import fc from "fast-check";
import { fadedScore, forgiven, scoreAfter, SCORE_HALF_LIFE_MS, SCORE_START_BPS, type Deed } from "../../../relayer/routing/score.ts";

const anyScore = fc.integer({ min: 0, max: 10_000 });
const times = (deed: Deed, count: number): number => Array.from({ length: count }).reduce<number>((score) => scoreAfter(score, deed), SCORE_START_BPS);

describe("the score", () => {
  it("rises with every kept promise and falls with every broken one, inside 0 to 10,000", () => {
    fc.assert(fc.property(anyScore, (score) => {
      expect(scoreAfter(score, "kept")).to.be.within(Math.min(score + 1, 10_000), 10_000);
      for (const deed of ["refused", "silent"] as const) expect(scoreAfter(score, deed)).to.be.within(0, Math.max(0, score - 1));
    }));
  });

  it("takes more for silence than for a signed refusal, or nobody would sign one", () => {
    fc.assert(fc.property(fc.integer({ min: 40, max: 10_000 }), (score) => {
      expect(scoreAfter(score, "silent")).to.be.lessThan(scoreAfter(score, "refused"));
    }));
    // Eight refusals cost less than one silence.
    expect(times("refused", 8)).to.be.greaterThan(times("silent", 1));
  });

  it("comes nearer to where a node begins the less of it counts, and never passes it", () => {
    fc.assert(fc.property(anyScore, fc.double({ min: 0, max: 1, noNaN: true }), (score, part) => {
      const faded = fadedScore(score, part);
      expect(faded).to.be.within(Math.min(score, SCORE_START_BPS), Math.max(score, SCORE_START_BPS));
      expect(Math.abs(faded - SCORE_START_BPS)).to.be.closeTo(part * Math.abs(score - SCORE_START_BPS), 0.5);
    }));
    expect([fadedScore(1_234, 1), fadedScore(1_234, 0), fadedScore(10_000, 0.5)]).to.deep.equal([1_234, SCORE_START_BPS, 9_950]);
  });

  it("keeps the order of two nodes that do the same", () => {
    fc.assert(fc.property(anyScore, anyScore, fc.constantFrom<Deed>("kept", "refused", "silent"), (one, other, deed) => {
      const [less, more] = one < other ? [one, other] : [other, one];
      expect(scoreAfter(less, deed)).to.be.at.most(scoreAfter(more, deed));
    }));
  });

  it("reaches its ends", () => {
    expect(times("kept", 200)).to.equal(10_000);
    expect(times("silent", 60)).to.equal(0);
  });

  it("forgives half the distance to the start in each half-life, never more, and takes nothing earned", () => {
    expect(forgiven(1_900, SCORE_HALF_LIFE_MS)).to.equal(5_900);
    expect(forgiven(1_900, 2 * SCORE_HALF_LIFE_MS)).to.equal(7_900);
    expect(forgiven(9_950, 10 ** 9)).to.equal(9_950);
    expect(forgiven(0, 10 ** 15)).to.equal(SCORE_START_BPS);
    fc.assert(fc.property(anyScore, fc.integer({ min: -10_000, max: 10 ** 7 }), fc.nat(100_000), (score, elapsedMs, more) => {
      expect(forgiven(score, elapsedMs)).to.be.within(score, Math.max(score, SCORE_START_BPS));
      expect(forgiven(score, elapsedMs + more)).to.be.at.least(forgiven(score, elapsedMs));
      expect(Number.isInteger(forgiven(score, elapsedMs))).to.equal(true);
    }));
  });
});
