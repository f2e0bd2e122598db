// Our policy in the simulator: small runs of what the full benchmark measures at length.
import { expect } from "chai";
import { Experiment, type Setup } from "../../../bench/sim/experiment.ts";
import { fleetOf, multiplied } from "../../../bench/sim/profiles.ts";
import { Random } from "../../../bench/sim/random.ts";
import { fairnessOf, servedParts } from "../../../bench/sim/score.ts";
import { policiesOf } from "../../../bench/sim/policies.ts";
import { parseTrace } from "../../../bench/sim/trace.ts";
import { simulate, type Behaviour } from "../../../bench/sim/simulation.ts";
import { TraceTargets } from "../../../bench/sim/targets.ts";
import { tidelane, tidelaneWaiting } from "../../../bench/sim/tidelane.ts";
import type { Job } from "../../../bench/sim/job.ts";

const fleet = fleetOf("small", { a100: 1, a40: 1, "4090": 2, "3090": 1, "3060": 1 });

const trace = ((): ReturnType<typeof parseTrace> => {
  const random = new Random(21);
  let timeMs = 0;
  const rows = Array.from({ length: 4_000 }, () => `${(timeMs += random.exponential(400)).toFixed(1)},${1 + Math.floor(random.exponential(1_000))},${random.geometric(180)}`);
  return parseTrace(`arrival_ms,input_tokens,output_tokens\n${rows.join("\n")}\n`, "synthetic");
})();

const experiment = (load: number, more: Partial<Setup> = {}): Experiment => new Experiment({ trace, fleet, load, seed: 1, attestationAgeMs: 500, ...more });

/**
 * The part let in, second by second: its standard deviation over that of lots drawn with the mean, and its greatest correlation with
 * itself one to three seconds later.
 */
function swingOf(jobs: readonly Job[]): { swing: number; rhythm: number } {
  const seconds = new Map<number, { offered: number; letIn: number }>();
  for (const { arrivalMs, state } of jobs) {
    const second = Math.floor(arrivalMs / 1_000);
    const { offered, letIn } = seconds.get(second) ?? { offered: 0, letIn: 0 };
    seconds.set(second, { offered: offered + 1, letIn: letIn + (state === "refused" ? 0 : 1) });
  }
  const parts = [...seconds.values()].map(({ offered, letIn }) => letIn / offered);
  const mean = parts.reduce((sum, part) => sum + part, 0) / parts.length;
  const covariance = (lag: number): number => parts.slice(lag).reduce((sum, part, i) => sum + (part - mean) * (parts[i]! - mean), 0) / parts.length;
  return {
    swing: Math.sqrt(covariance(0) / ((mean * (1 - mean) * parts.length) / jobs.length)), rhythm: Math.max(...[1, 2, 3].map((lag) => Math.abs(covariance(lag) / covariance(0)))),
  };
}

describe("tidelane in the simulator", function () {
  this.timeout(120_000);

  it("serves everybody well while there is room", () => {
    const report = experiment(0.5).run(tidelane);
    expect(report.goodput).to.be.above(0.998);
    expect(report.refused).to.be.at.most(2);
  });

  it("does as much useful work at four times its capacity as at one and a half, and serves every size alike", () => {
    const reports = [1.5, 2, 4].map((load) => experiment(load).run(tidelane));
    const most = Math.max(...reports.map((one) => one.usefulWork));
    for (const { usefulWork, goodput, goodputByQuartile } of reports) {
      expect(usefulWork).to.be.above(0.95 * most);
      expect(Math.min(...goodputByQuartile)).to.be.above(0.85 * goodput);
    }
  });

  it("keeps what it admits, and lets in as many from second to second: refusals neither swing nor come in waves", () => {
    const one = experiment(2);
    const result = one.simulate(tidelane);
    const report = one.scoreOf(result);
    expect(report.good / (report.offered - report.refused)).to.be.above(0.98);
    expect(report.failed).to.equal(0);
    // A control that looks at the wait alone swings 2.8 to 4.1 times as much as lots would, at a rhythm of a few seconds (0.5 and more).
    const { swing, rhythm } = swingOf(one.counted(result.jobs));
    expect(swing).to.be.below(2.5);
    expect(rhythm).to.be.below(0.35);
  });

  it("under overload serves the worst-served size better than every peer, with nine tenths of the work of any", () => {
    const one = experiment(2);
    const ours = one.run(tidelane);
    for (const policy of policiesOf("least_request,llm_d,mooncake,polyserve")) {
      const theirs = one.run(policy);
      expect(Math.min(...ours.goodputByQuartile), policy.name).to.be.above(1.1 * Math.min(...theirs.goodputByQuartile));
      // PolyServe does more by leaving the large out: less than half of them are served there.
      expect(ours.usefulWork, policy.name).to.be.above((policy.name === "polyserve" ? 0.8 : 0.9) * theirs.usefulWork);
    }
  });

  it("gives each of twenty modest payers its share beside one that sends fifty times as much", () => {
    const one = experiment(2, { fleet: multiplied(fleet, 3), payers: [50, ...new Array<number>(20).fill(1)] });
    const jobs = one.counted(one.simulate(tidelane).jobs);
    expect(fairnessOf(jobs)).to.be.above(0.98);
    expect(Math.min(...[...servedParts(jobs)].flatMap(([payer, part]) => (payer === 0 ? [] : [part])))).to.be.above(0.95);
    // The same load under a peer that only looks at predictions: the flood drowns the modest.
    expect(fairnessOf(one.counted(one.simulate(policiesOf("mooncake")[0]!).jobs))).to.be.below(0.9);
  });

  it("serves everybody who waits, and told each at once when it would start: within a quarter of the wait for nine of ten", () => {
    const one = experiment(2);
    const jobs = one.counted(one.simulate(tidelaneWaiting).jobs);
    expect(jobs.every((job) => job.state === "done")).to.equal(true);
    const errors = jobs.filter((job) => job.sentMs - job.arrivalMs > 2_000).map((job) => Math.abs(job.sentMs - job.announcedStartMs) / (job.sentMs - job.arrivalMs)).sort((a, b) => a - b);
    expect(errors.length).to.be.above(1_000);
    expect(errors[Math.floor(errors.length * 0.9)]).to.be.below(0.25);
  });

  it("among eight relayers on pictures two seconds old lets no prompts collide, however unequal they are", () => {
    const many = multiplied(fleet, 3);
    const one = experiment(0.8, { fleet: many, attestationAgeMs: 2_000 });
    for (const relayerParts of [new Array<number>(8).fill(1), [7, 1, 1, 1, 1, 1, 1, 1]]) {
      const { jobs } = one.simulate(tidelane, { relayers: 8, relayerParts, endMs: 60_000 });
      const counted = jobs.filter((job) => job.arrivalMs >= 20_000 && job.arrivalMs < 50_000);
      expect(counted.length).to.be.above(500);
      expect(counted.filter((job) => job.isGood).length / counted.length).to.be.above(0.85);
      // Without grants an eighth of them are late, and one in twenty where one relayer has half of all.
      expect(counted.filter((job) => job.firstMs > job.deadlineMs).length / counted.length).to.be.below(0.02);
    }
  });

  it("among eight relayers leaves none with nothing but nodes that overstate how fast they are", () => {
    const one = experiment(0.8, { fleet: multiplied(fleet, 3), attestationAgeMs: 2_000 });
    const goodputOf = (relayers: number): number => {
      const { jobs } = one.simulate(tidelane, { relayers, endMs: 60_000, behaviourOf: (node) => (node % 9 === 4 ? "overstate" : "honest") });
      const counted = jobs.filter((job) => job.arrivalMs >= 20_000 && job.arrivalMs < 50_000);
      return counted.filter((job) => job.isGood).length / counted.length;
    };
    // With stretches as long as nodes say, half of the answers were good; one relayer alone, which learns how slow they are, makes eight of ten.
    expect(goodputOf(8)).to.be.above(goodputOf(1) - 0.1);
  });

  it("turns no small requests away for large ones that find no room", () => {
    const [oneStrong, random] = [fleetOf("one strong", { a100: 1, "3070": 24 }), new Random(5)];
    // Twice as many large ones as the strong node can read; the weak ones could take the small a dozen times over.
    const arrivals = [[125, 6_000], [100, 200]].flatMap(([everyMs, input]) => {
      let timeMs = 0;
      return Array.from({ length: Math.floor(60_000 / everyMs!) }, () => ({ timeMs: (timeMs += random.exponential(everyMs!)), input }));
    }).sort((one, later) => one.timeMs - later.timeMs);
    const mixed = parseTrace(`arrival_ms,input_tokens,output_tokens\n${arrivals.map(({ timeMs, input }) => `${timeMs.toFixed(1)},${input},100`).join("\n")}\n`, "mixed");
    const targets = new TraceTargets(mixed, oneStrong);
    const { jobs } = simulate({
      fleet: oneStrong, policy: tidelane, seed: 1, attestationAgeMs: 500, targetsOf: (row) => targets.of(row), payerOf: (id) => id % 20,
      arrivals: { trace: mixed, copies: 1, timeMs: mixed.arrivalMs, row: Int32Array.from(mixed.arrivalMs, (_, row) => row), copy: new Int32Array(mixed.arrivalMs.length) },
    });
    const goodOf = (input: number): number => {
      const counted = jobs.filter((job) => job.inputTokens === input && job.arrivalMs > 20_000);
      return counted.filter((job) => job.isGood).length / counted.length;
    };
    // Were all sizes thinned alike for the line of the large, a third to two thirds of the small would be served.
    expect(goodOf(200)).to.be.above(0.95);
    expect(goodOf(6_000)).to.be.above(0.13);
  });

  describe("beside dishonest nodes", () => {
    // Two of 18.
    const isBad = (node: number): boolean => node % 9 === 4;
    /** What the two are sent, of all that is sent: what comes back counts too. */
    const run = (behaviour: Behaviour) => {
      let [sent, toBad] = [0, 0];
      const { jobs } = one.simulate(tidelane, { behaviourOf: (node) => (isBad(node) ? behaviour : "honest"), onSent: (_, node) => (sent++, (toBad += Number(isBad(node)))) });
      return { jobs: one.counted(jobs), share: toBad / sent };
    };
    const goodput = (jobs: readonly Job[]): number => jobs.filter((job) => job.isGood).length / jobs.length;
    let one: Experiment;
    let honest: ReturnType<typeof run>;

    before(() => {
      one = experiment(0.7, { fleet: multiplied(fleet, 3) });
      honest = run("honest");
    });

    for (const [behaviour, what] of [["stall", "stall"], ["slow", "serve at a quarter of their speed"], ["boast", "do so and attest that they are idle"], ["refuse", "refuse"]] as const) {
      it(`that ${what}: they are asked less than honest ones, and nobody's request is lost`, () => {
        const attacked = run(behaviour);
        expect(attacked.share).to.be.below(0.7 * honest.share);
        expect(attacked.share, "a node that is never asked would not be found again").to.be.above(0);
        expect(attacked.jobs.every((job) => job.state === "done" || job.state === "refused")).to.equal(true);
        expect(goodput(attacked.jobs)).to.be.above(goodput(honest.jobs) - 0.15);
      });
    }
  });

  it("works the smallest of fleets, and refuses what no node can hold", () => {
    const one = fleetOf("one", { "3070": 1 });
    const report = experiment(1, { fleet: one }).run(tidelane);
    expect(report.goodput).to.be.above(0.4);
    const huge = parseTrace("arrival_ms,input_tokens,output_tokens\n1000,50000,10\n200000,20,10\n400000,30,10\n", "huge");
    const run = new Experiment({ trace: huge, fleet: one, load: 0.001, seed: 1, attestationAgeMs: 500 }).simulate(tidelane);
    expect(run.jobs.every((job) => (job.inputTokens > 10_000 ? job.state === "refused" : job.state === "done"))).to.equal(true);
  });
});
