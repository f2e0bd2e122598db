// Whole experiments: what a report holds, that the bounds bound, and the arithmetic of scores.
import { expect } from "chai";
import fc from "fast-check";
import { POLICIES, policiesOf } from "../../../bench/sim/policies.ts";
import { Experiment } from "../../../bench/sim/experiment.ts";
import { fleetOf } from "../../../bench/sim/profiles.ts";
import { Random } from "../../../bench/sim/random.ts";
import { busiestOverMean, jain, maxMinShares, quantile } from "../../../bench/sim/score.ts";
import { parseTrace } from "../../../bench/sim/trace.ts";

const fleet = fleetOf("small", { a100: 1, "4090": 2, "3060": 2 });

const trace = ((): ReturnType<typeof parseTrace> => {
  const random = new Random(11);
  let timeMs = 0;
  const rows = Array.from({ length: 1_500 }, () => `${(timeMs += random.exponential(400)).toFixed(1)},${1 + Math.floor(random.exponential(800))},${random.geometric(150)}`);
  return parseTrace(`arrival_ms,input_tokens,output_tokens\n${rows.join("\n")}\n`, "synthetic");
})();

const experiment = (load: number, seed = 1): Experiment => new Experiment({ trace, fleet, load, seed, attestationAgeMs: 500 });

describe("an experiment", function () {
  this.timeout(60_000);

  it("offers every policy the same requests and accounts for each of them", () => {
    const one = experiment(1.5);
    for (const policy of POLICIES) one.run(policy);
    const reports = Object.values(one.report.policies);
    expect(Object.keys(one.report.policies)).to.deep.equal(POLICIES.map((policy) => policy.name));
    expect(new Set(reports.map((report) => report.offered)).size).to.equal(1);
    for (const report of reports) {
      expect(report.refused + report.completedEventually + report.failed).to.equal(report.offered);
      expect(report.good).to.be.at.most(report.completedEventually);
      expect(report.goodput).to.equal(report.good / report.offered);
      expect(report.goodputByQuartile.reduce((sum, part) => sum + part, 0) / 4).to.be.closeTo(report.goodput, 0.01);
    }
  });

  it("no policy beats the fluid bounds", () => {
    for (const load of [0.7, 2]) {
      const one = experiment(load);
      for (const policy of policiesOf("least_request,mooncake,polyserve")) {
        const report = one.run(policy);
        // The window's edges let a little of what began before be finished inside: two per cent of its ten minutes.
        expect(report.goodput, policy.name).to.be.at.most(one.report.bounds.B1.goodput + 0.02);
      }
      expect(one.report.bounds.B1.goodput).to.be.at.least(one.report.bounds.B2.goodput - 1e-9);
    }
  });

  it("is the same for a seed, to the last digit, and another for another seed", () => {
    const reportOf = (seed: number): unknown => {
      const one = experiment(1, seed);
      one.run(policiesOf("prequal")[0]!);
      return one.report;
    };
    expect(reportOf(1)).to.deep.equal(reportOf(1));
    expect(reportOf(1)).not.to.deep.equal(reportOf(2));
  });

  it("at a small part of capacity everybody is good under a policy that looks", () => {
    const one = experiment(0.2);
    expect(one.run(policiesOf("mooncake")[0]!).goodput).to.be.above(0.995);
    expect(one.report.bounds.B2.goodput).to.be.closeTo(1, 1e-6);
  });

  it("one answer that no node could give keeps nobody else from being served", () => {
    const odd = parseTrace("arrival_ms,input_tokens,output_tokens\n0,100,20\n20000,100,1000000\n40000,200,20\n60000,900000,20\n80000,100,10\n", "odd");
    const one = new Experiment({ trace: odd, fleet, load: 0.002, seed: 1, attestationAgeMs: 500 });
    for (const policy of policiesOf("dynamo,llm_d,mooncake,polyserve,tidelane")) expect(one.run(policy), policy.name).to.include({ goodput: 1, refused: 0 });
    expect(one.report.excluded).to.be.above(0);
  });

  it("names what is asked for wrongly", () => {
    expect(() => policiesOf("mooncake,nonsense")).to.throw("nonsense");
    expect(policiesOf("all")).to.equal(POLICIES);
    // Three in one millisecond are three thousand a second: of what the fleet can carry of that, hardly a request ever comes.
    const burst = parseTrace("arrival_ms,input_tokens,output_tokens\n0,100,20\n0,100,20\n0,100,20\n", "burst");
    expect(() => new Experiment({ trace: burst, fleet, load: 0.01, seed: 1, attestationAgeMs: 500 })).to.throw("so much of burst");
  });
});

describe("scores", () => {
  it("quantiles are of the nearest rank, and infinity is no number", () => {
    const values = Float64Array.of(1, 2, 3, 4, Infinity);
    expect(quantile(values, 0.5)).to.equal(3);
    expect(quantile(values, 0.8)).to.equal(4);
    expect(quantile(values, 0.99)).to.equal(null);
    expect(quantile(new Float64Array(0), 0.5)).to.equal(null);
  });

  it("max-min shares give nobody more than asked, use up all there is, and raise the least first", () => {
    expect(maxMinShares([1, 10, 10], 9)).to.deep.equal([1, 4, 4]);
    expect(maxMinShares([2, 2], 10)).to.deep.equal([2, 2]);
    fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 20 }), fc.double({ min: 0, max: 1e7, noNaN: true }), (asked, total) => {
      const shares = maxMinShares(asked, total);
      const sum = shares.reduce((all, one) => all + one, 0);
      expect(sum).to.be.closeTo(Math.min(total, asked.reduce((all, one) => all + one, 0)), 1e-3);
      const most = Math.max(...shares);
      for (const [i, share] of shares.entries()) expect(share <= asked[i]! && (share >= most - 1e-3 || share >= asked[i]! - 1e-3)).to.equal(true);
    }));
  });

  it("Jain's index is one for equals and one of n for a monopoly", () => {
    expect(jain([3, 3, 3])).to.be.closeTo(1, 1e-12);
    expect(jain([5, 0, 0, 0])).to.equal(0.25);
    expect(jain([0, 0])).to.equal(1);
  });

  it("the busiest node is measured against the mean, window by window", () => {
    expect(busiestOverMean([Float64Array.of(0.5, 0.5), Float64Array.of(0.9, 0.3)])).to.be.closeTo((1 + 1.5) / 2, 1e-12);
    expect(busiestOverMean([Float64Array.of(0, 0)])).to.equal(1);
    expect(busiestOverMean([])).to.equal(1);
  });
});
