// Lanes in the simulator: loads that rise and fall, nodes that keep to their lane, and changes that lose nobody.
import { expect } from "chai";
import { constantLanes, constantSlots, laneOfJob, tidalLanes } from "../../../bench/sim/lanePolicy.ts";
import { arrivalsOf } from "./helpers.ts";
import { fleetOf } from "../../../bench/sim/profiles.ts";
import { Random } from "../../../bench/sim/random.ts";
import { simulate } from "../../../bench/sim/simulation.ts";
import { overlay, parseTrace } from "../../../bench/sim/trace.ts";
import { thinned, wave, withPreprocessing } from "../../../bench/sim/waves.ts";
import type { Job } from "../../../bench/sim/job.ts";
import type { PolicyKind } from "../../../bench/sim/policy.ts";

const fleet = fleetOf("small", { a100: 1, "4090": 3, "3060": 4 });
const plain = ((): ReturnType<typeof parseTrace> => {
  const random = new Random(5);
  let timeMs = 0;
  const rows = Array.from({ length: 3_000 }, () => `${(timeMs += random.exponential(400)).toFixed(1)},${1 + Math.floor(random.exponential(900))},${1 + random.geometric(150)}`);
  return parseTrace(`arrival_ms,input_tokens,output_tokens\n${rows.join("\n")}\n`, "synthetic");
})();
const { trace, isPrep } = withPreprocessing(plain, 0.3, 3);

/** Two minutes at so many copies. */
function run(policy: PolicyKind, copies: number, prepPart = 1): readonly Job[] {
  const all = overlay(trace, copies, 120_000, new Random(1));
  const arrivals = thinned(all, (timeMs) => (timeMs < 60_000 ? prepPart : 1), 9);
  return simulate({
    fleet, arrivals, policy, seed: 1, attestationAgeMs: 500, targetsOf: () => ({ ttftMs: 2_000, tpotMs: 100 }), maxOutTokensOf: (row) => (isPrep[row] === 1 ? 1 : 2_000),
  }).jobs;
}

describe("waves and lanes", function () {
  this.timeout(60_000);

  it("a part of the requests is only read, and the rest stays as it was", () => {
    const part = isPrep.reduce((sum, one) => sum + one, 0) / isPrep.length;
    expect(part).to.be.closeTo(0.3, 0.03);
    for (const [row, one] of isPrep.entries()) expect(trace.outputTokens[row]).to.equal(one === 1 ? 1 : plain.outputTokens[row]);
  });

  it("a wave runs from the least to the most and back, and thinning follows it", () => {
    expect([0, 60, 120, 180, 240].map((second) => Number(wave(second * 1_000, 240_000, 0.5, 2).toFixed(3)))).to.deep.equal([0.5, 1.25, 2, 1.25, 0.5]);
    const all = overlay(trace, 20, 240_000, new Random(1));
    const kept = thinned(all, (timeMs) => wave(timeMs, 240_000, 0.25, 1), 4);
    const within = (arrivals: typeof all, from: number, to: number): number => arrivals.timeMs.reduce((sum, timeMs) => sum + (timeMs >= from && timeMs < to ? 1 : 0), 0);
    expect(within(kept, 0, 20_000) / within(all, 0, 20_000)).to.be.closeTo(0.26, 0.05);
    expect(within(kept, 110_000, 130_000) / within(all, 110_000, 130_000)).to.be.closeTo(0.99, 0.02);
  });

  it("a constant division keeps each kind of work to its nodes", () => {
    const jobs = run(constantLanes((node) => (node >= 4 ? "prep" : "decode")), 3);
    const sent = jobs.filter((job) => job.node >= 0);
    expect(sent.length).to.be.above(200);
    for (const job of sent) expect(job.node >= 4).to.equal(laneOfJob(job) === "prep");
    expect(new Set(sent.map(laneOfJob))).to.deep.equal(new Set(["decode", "prep"]));
  });

  it("a constant part of every node's slots is never exceeded by its lane, and both lanes use theirs", () => {
    const jobs = run(constantSlots(() => 0.25), 12).filter((job) => job.node >= 0);
    const mostOf = (lane: string, node: number): number => {
      const changes = jobs.filter((job) => job.node === node && laneOfJob(job) === lane).flatMap((job) => [[job.sentMs, 1], [job.endMs, -1]] as const)
        .sort(([one, up], [other, down]) => one - other || up - down);
      let [held, most] = [0, 0];
      for (const [, by] of changes) most = Math.max(most, held += by);
      return most;
    };
    for (const [node, { batchLimit }] of fleet.nodes.entries()) {
      expect(mostOf("prep", node)).to.be.within(1, batchLimit / 4);
      expect(mostOf("decode", node)).to.be.within(1, (3 * batchLimit) / 4);
    }
  });

  it("a lane turns away at once what none of its nodes can read in time: its short prompts are served as if the long ones had not come", () => {
    const arrivals = arrivalsOf(Array.from({ length: 600 }, (_, i) => ({ timeMs: 60 * i, inputTokens: i % 2 === 0 ? 3_000 : 300 })));
    const { jobs } = simulate({
      fleet, arrivals, policy: constantLanes((node) => (fleet.nodes[node]!.name === "3060" ? "prep" : "decode")), seed: 1, attestationAgeMs: 500, targetsOf: () => ({ ttftMs: 2_000, tpotMs: 100 }), maxOutTokensOf: () => 1,
    });
    const good = (inputTokens: number): number => jobs.filter((job) => job.inputTokens === inputTokens && job.isGood).length;
    expect([good(3_000), good(300)]).to.deep.equal([0, 300]);
  });

  it("nodes change over with the tide, and nobody who was let in is lost by it", () => {
    const switched: number[] = [];
    const jobs = run(tidalLanes((node) => switched.push(node)), 12, 0.3);
    expect(switched.length).to.be.above(0);
    expect(jobs.every((job) => job.state === "done" || job.state === "refused")).to.equal(true);
    expect(jobs.filter((job) => job.isGood).length / jobs.length).to.be.above(0.3);
  });
});
