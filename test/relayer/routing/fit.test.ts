import { expect } from "chai";
import fc from "fast-check";
import { prefillUs, tokenNs } from "../../../relayer/routing/curve.ts";
import { CurveFit } from "../../../relayer/routing/fit.ts";
import type { ServiceCurve } from "../../../protocol/link.ts";

const STATED: ServiceCurve = { aNs: 7_600_000, bNs: 133_000, cNs: 360, dNs: 50_000, ePs: 14_000 };
const scaled = (curve: ServiceCurve, by: number): ServiceCurve =>
  ({ aNs: curve.aNs * by, bNs: curve.bNs * by, cNs: Math.round(curve.cNs * by), dNs: curve.dNs * by, ePs: curve.ePs * by });
/** A small deterministic spread of task sizes and of noise around one. */
const spread = (i: number, n: number): number => (Math.imul(i, 2_654_435_761) >>> 0) % n;
const noise = (i: number): number => 0.9 + spread(i, 201) / 1_000;

function observe(fit: CurveFit, truth: ServiceCurve, from: number, count: number): void {
  for (let i = from; i < from + count; i++) {
    const [input, batch] = [50 + spread(i, 4_000), 1 + spread(i + 7, 8)];
    const context = batch * (input + 100);
    fit.observePrefill(input, 0, (prefillUs(truth, input) / 1_000) * noise(i));
    fit.observeDecode(context, batch, (tokenNs(truth, context, batch) / 1e6) * noise(i + 3));
  }
}

/** The greatest relative error over typical sizes. */
function greatestError(fit: CurveFit, truth: ServiceCurve): number {
  const errors = [200, 1_000, 4_000].map((tokens) => prefillUs(fit.curve, tokens) / prefillUs(truth, tokens));
  const perToken = [[500, 1], [8_000, 8]].map(([context, batch]) => tokenNs(fit.curve, context!, batch!) / tokenNs(truth, context!, batch!));
  return Math.max(...[...errors, ...perToken].map((ratio) => Math.abs(ratio - 1)));
}

describe("the fitted curve", () => {
  it("goes on in another process as if there had been none between", () => {
    const [fit, next] = [new CurveFit(STATED), new CurveFit(STATED)];
    observe(fit, scaled(STATED, 2), 0, 40);
    next.recall(JSON.parse(JSON.stringify(fit.numbers)) as number[], 1);
    expect(next.curve).to.deep.equal(fit.curve);
    for (const one of [fit, next]) observe(one, scaled(STATED, 2), 40, 20);
    expect(next.curve).to.deep.equal(fit.curve);
  });

  it("goes back to what is stated as what it is told grows old", () => {
    const fit = new CurveFit(STATED);
    observe(fit, scaled(STATED, 2), 0, 100);
    const curves = [1, 0.5, 0].map((part) => {
      const next = new CurveFit(STATED);
      next.recall(fit.numbers, part);
      return next.curve.bNs;
    });
    expect(curves[0]).to.equal(fit.curve.bNs);
    expect(curves[1]).to.be.closeTo((fit.curve.bNs + STATED.bNs) / 2, 1);
    expect(curves[2]).to.equal(STATED.bNs);
  });

  it("begins as stated where what it is told cannot be, and learns none the worse", () => {
    const good = [...new CurveFit(STATED).numbers];
    for (const numbers of [[], good.slice(1), good.map(() => Number.NaN), good.map((one, i) => (i === 5 ? -1 : one)), good.map((one, i) => (i === 5 ? 0 : one))]) {
      const fit = new CurveFit(STATED);
      fit.recall(numbers, 1);
      expect(fit.curve).to.deep.equal(STATED);
      observe(fit, scaled(STATED, 2), 0, 100);
      expect(greatestError(fit, scaled(STATED, 2))).to.be.lessThan(0.15);
    }
    fc.assert(fc.property(fc.array(fc.double({ noNaN: false }), { minLength: 20, maxLength: 20 }), fc.double({ min: 0, max: 1, noNaN: true }), (numbers, part) => {
      const fit = new CurveFit(STATED);
      fit.recall(numbers, part);
      observe(fit, STATED, 0, 5);
      for (const coefficient of Object.values(fit.curve)) expect(Number.isSafeInteger(coefficient) && coefficient >= 0).to.equal(true);
    }), { numRuns: 50 });
  });

  it("starts as stated", () => {
    expect(new CurveFit(STATED).curve).to.deep.equal(STATED);
  });

  it("finds a node twice or half as fast as it says, within 15 % after 100 tasks with 10 % noise", () => {
    for (const by of [0.5, 1, 2]) {
      const fit = new CurveFit(STATED);
      observe(fit, scaled(STATED, by), 0, 100);
      expect(greatestError(fit, scaled(STATED, by)), `x ${by}`).to.be.lessThan(0.15);
    }
  });

  it("follows a node that changes", () => {
    const fit = new CurveFit(STATED);
    observe(fit, STATED, 0, 300);
    observe(fit, scaled(STATED, 3), 300, 300);
    expect(greatestError(fit, scaled(STATED, 3))).to.be.lessThan(0.2);
  });

  it("is moved little by one outlier", () => {
    const fit = new CurveFit(STATED);
    observe(fit, STATED, 0, 100);
    const before = prefillUs(fit.curve, 1_000);
    fit.observePrefill(1_000, 0, 3_600_000);
    expect(prefillUs(fit.curve, 1_000) / before).to.be.within(0.9, 1.2);
  });

  it("counts prompts that were ahead as prefill", () => {
    const fit = new CurveFit(STATED);
    for (let i = 0; i < 100; i++) {
      const [input, backlog] = [200 + spread(i, 1_000), spread(i + 5, 3_000)];
      fit.observePrefill(input, backlog, (prefillUs(STATED, input) + STATED.bNs * backlog / 1_000) / 1_000);
    }
    expect(greatestError(fit, STATED)).to.be.lessThan(0.05);
  });

  it("learns what a node that states nothing does not say", () => {
    const fit = new CurveFit({ aNs: 0, bNs: 0, cNs: 0, dNs: 0, ePs: 0 });
    observe(fit, STATED, 0, 1_000);
    expect(greatestError(fit, STATED)).to.be.lessThan(0.3);
  });

  it("stays a curve of whole numbers whatever is observed", () => {
    const wild = fc.oneof(fc.double(), fc.constantFrom(0, -1, Infinity, Number.NaN, 1e300, 1e-300, 5));
    fc.assert(fc.property(fc.array(fc.tuple(wild, wild, wild), { maxLength: 60 }), (observations) => {
      const fit = new CurveFit(STATED);
      for (const [one, two, three] of observations) {
        fit.observePrefill(one, two, three);
        fit.observeDecode(one, two, three);
      }
      for (const value of Object.values(fit.curve)) expect(Number.isSafeInteger(value) && value >= 0, JSON.stringify(fit.curve)).to.equal(true);
      // It still learns afterwards.
      observe(fit, STATED, 0, 300);
      expect(greatestError(fit, STATED)).to.be.lessThan(1);
    }), { numRuns: 50 });
  });
});
