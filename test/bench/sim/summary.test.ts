// Reports: intervals, tables that name the best whoever it is, charts that are well-formed.
import { expect } from "chai";
import { lineChart } from "../../../bench/sim/chart.ts";
import { charts, interval, loadTable } from "../../../bench/sim/summary.ts";
import type { ExperimentReport } from "../../../bench/sim/experiment.ts";
import type { PolicyReport } from "../../../bench/sim/score.ts";

const policy = (goodput: number, more: Partial<PolicyReport> = {}): PolicyReport => ({
  offered: 100, good: goodput * 100, goodput, goodputByQuartile: [goodput, goodput, goodput, goodput / 2], usefulWork: goodput * 1_000, refused: 0, completedEventually: 100, failed: 0,
  ttftMsP50: 100, ttftMsP99: null, tpotMsP50: 50, tpotMsP99: 90, busiestOverMean: 1.2, fairnessJain: 1, preemptions: 0, ...more,
});

const experiment = (load: number, seed: number, policies: Record<string, PolicyReport>): ExperimentReport => ({
  trace: "t", fleet: "f", nodes: 1, load, copies: load, capacityCopies: 1, seed, attestationAgeMs: 500, hasPrefixes: false, targets: { ttftRule: "2 s", ttftMsP50: 2_000, ttftMsP99: 2_000, tpotMs: 100 },
  excluded: 0, bounds: { B1: { goodput: 1, usefulWork: 2_000 }, B2: { goodput: 0.9, usefulWork: 1_000 } }, policies,
});

describe("summaries", () => {
  it("give Student's interval: 4.303 standard errors for three seeds", () => {
    const { mean, half } = interval([1, 2, 3]);
    expect(mean).to.equal(2);
    expect(half).to.be.closeTo(4.303 / Math.sqrt(3), 1e-9);
    expect(interval([5])).to.deep.equal({ mean: 5, half: 0 });
    expect(interval([1, Infinity]).mean).to.equal(Infinity);
  });

  it("mark the best of a column though it is a peer", () => {
    const table = loadTable([experiment(1, 1, { tidelane: policy(0.5), peer: policy(0.7) }), experiment(1, 2, { tidelane: policy(0.5), peer: policy(0.7) })]);
    const [ours, theirs] = [table.split("\n").find((line) => line.includes("tidelane"))!, table.split("\n").find((line) => line.includes("peer"))!];
    expect(theirs).to.contain("**0.700**");
    expect(ours).to.contain("| 0.500 |");
    expect(ours).to.contain("| - |");
  });

  it("draw four charts of a trace, each well-formed and with every policy's name", () => {
    const drawn = charts("t", [0.5, 1, 2].map((load) => experiment(load, 1, { tidelane: policy(0.5 / load), peer: policy(0.7 / load) })));
    expect(drawn.map((one) => one.file)).to.deep.equal(["goodput", "worst", "work", "ttft"].map((name) => `routing-t-${name}.svg`));
    for (const { svg } of drawn) {
      expect(svg).to.match(/^<svg [^]*<\/svg>\n$/);
      expect(svg).to.contain(">tidelane<").and.to.contain(">peer<");
      expect(svg).not.to.match(/NaN|Infinity|undefined/);
    }
  });

  it("leave a gap where there is no number, and escape what is written", () => {
    const svg = lineChart({ title: "a < b & \"c\"", xLabel: "x", yLabel: "y", yMax: 1, series: [{ name: "<s>", points: [[0, 0.5], [1, null], [2, 5]] }] });
    expect(svg).to.contain("a &lt; b &amp; &quot;c&quot;").and.to.contain("&lt;s&gt;");
    expect(svg.match(/d="([^"]*)"/)![1]!.match(/M/g)!.length).to.equal(2);
  });
});
