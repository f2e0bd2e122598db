// Each baseline shows what its authors claim for it; a straw man would make every comparison worthless.
import { expect } from "chai";
import { BASELINES } from "../../../../bench/sim/baselines/all.ts";
import { fleetOf, PROFILES, REFERENCE_FLEET, type Fleet, type NodeProfile } from "../../../../bench/sim/profiles.ts";
import { idleSnapshot } from "../../../../bench/sim/idleSnapshot.ts";
import { Random } from "../../../../bench/sim/random.ts";
import { quantile } from "../../../../bench/sim/score.ts";
import { simulate, type SimulationOptions, type SimulationResult } from "../../../../bench/sim/simulation.ts";
import { arrivalsOf, fleetOfOne, profileOf, type SyntheticRow } from "../helpers.ts";
import type { Policy, World } from "../../../../bench/sim/policy.ts";
import type { Arrivals } from "../../../../bench/sim/trace.ts";

const policyOf = (name: string) => BASELINES.find((policy) => policy.name === name)!;
const TARGETS = { ttftMs: 2_000, tpotMs: 100 };

/** Chat-like lengths, Poisson arrivals. */
function chats(perSecond: number, seconds: number, seed: number): Arrivals {
  const random = new Random(seed);
  const rows = [];
  for (let timeMs = random.exponential(1_000 / perSecond); timeMs < seconds * 1_000; timeMs += random.exponential(1_000 / perSecond)) {
    rows.push({ timeMs, inputTokens: 1 + Math.floor(random.exponential(1_000)), outputTokens: random.geometric(200) });
  }
  return arrivalsOf(rows);
}

const run = (name: string, fleet: Fleet, arrivals: Arrivals, more: Partial<SimulationOptions> = {}): SimulationResult =>
  simulate({ fleet, arrivals, policy: policyOf(name), seed: 1, targetsOf: () => TARGETS, attestationAgeMs: 500, ...more });

const perNode = (result: SimulationResult, nodes: number): number[] =>
  result.jobs.reduce((counts, job) => (job.node < 0 ? counts : counts.with(job.node, counts[job.node]! + 1)), new Array<number>(nodes).fill(0));
const ttftP99 = (result: SimulationResult): number => quantile(Float64Array.from(result.jobs, (job) => job.ttftMs).sort(), 0.99) ?? Infinity;
const goodput = (result: SimulationResult): number => result.jobs.filter((job) => job.isGood).length / result.jobs.length;

/** A policy alone, its world written down. */
function alone(name: string, profiles: readonly NodeProfile[]): { policy: Policy; world: World; sent: number[]; cached: Int32Array } {
  const sent: number[] = [];
  const cached = new Int32Array(profiles.length);
  const world: World = {
    profiles, party: "0", random: new Random(1), fits: () => true, refuse: () => sent.push(-1), abandon: () => false, wakeAt: () => {}, cachedTokens: (_, out) => out.set(cached), cachedTokensOn: (_, node) => cached[node]!,
    send: (job, node) => {
      job.node = node;
      sent.push(node);
    },
  };
  return { policy: policyOf(name).make(world), world, sent, cached };
}

const jobsOf = (count: number, inputTokens: number) => jobsWith(count, { inputTokens });

const jobsWith = (count: number, row: Omit<SyntheticRow, "timeMs">) =>
  simulate({ fleet: fleetOfOne(profileOf({ batchLimit: 999 })), arrivals: arrivalsOf(Array.from({ length: count }, (_, i) => ({ timeMs: i, ...row }))), policy: policyOf("random"), seed: 1, targetsOf: () => TARGETS, attestationAgeMs: 0 }).jobs;

describe("baselines", () => {
  const alike = fleetOfOne(PROFILES["4090"]!, 8);

  for (const { name } of BASELINES) {
    it(`${name}: ends every request at light load, sends none where it cannot fit, and repeats itself`, () => {
      const arrivals = chats(4, 60, 3);
      const mixed = fleetOf("mixed", { "4090": 6, "3070": 2 });
      const patient = { maxOutTokensOf: () => 9_500, targetsOf: () => ({ ttftMs: 30_000, tpotMs: 200 }) };
      const once = run(name, mixed, arrivals, patient);
      expect(once.jobs.every((job) => job.state === "done")).to.equal(true);
      expect(once.jobs.every((job) => job.inputTokens + 9_500 <= mixed.nodes[job.node]!.kvTokens)).to.equal(true);
      expect(run(name, mixed, arrivals, patient).jobs.map((job) => job.endMs)).to.deep.equal(once.jobs.map((job) => job.endMs));
    });

    it(`${name}: refuses what fits nowhere instead of keeping it`, () => {
      const { jobs } = run(name, fleetOfOne(PROFILES["3070"]!), arrivalsOf([{ timeMs: 0, inputTokens: 50_000 }, { timeMs: 5, inputTokens: 10 }]));
      expect(jobs.map((job) => job.state)).to.deep.equal(["refused", "done"]);
    });

    it(`${name}: does so too where nobody could promise it a time`, () => {
      const targetsOf = (row: number) => ({ ttftMs: row === 0 ? Infinity : 2_000, tpotMs: 100 });
      const { jobs } = run(name, fleetOfOne(PROFILES["3070"]!), arrivalsOf([{ timeMs: 0, inputTokens: 50_000 }, { timeMs: 5, inputTokens: 10 }]), { targetsOf });
      expect(jobs.map((job) => job.state)).to.deep.equal(["refused", "done"]);
    });

    it(`${name}: works a fleet of one node`, () => {
      expect(run(name, fleetOfOne(PROFILES["a100"]!), chats(1, 30, 2)).jobs.every((job) => job.state === "done")).to.equal(true);
    });
  }

  it("random: even shares, within four standard deviations", () => {
    const counts = perNode(run("random", alike, chats(200, 100, 1)), 8);
    const mean = counts.reduce((sum, one) => sum + one, 0) / 8;
    for (const count of counts) expect(Math.abs(count - mean)).to.be.below(4 * Math.sqrt(mean));
  });

  it("round_robin: shares differ by one at most", () => {
    const counts = perNode(run("round_robin", alike, chats(50, 60, 1)), 8);
    expect(Math.max(...counts) - Math.min(...counts)).to.be.at.most(1);
  });

  it("least_request: nobody gets a second request while another node has none", () => {
    const { policy, sent } = alone("least_request", alike.nodes);
    const jobs = jobsOf(24, 10);
    for (const job of jobs) policy.arrived(job, 0);
    for (let round = 0; round < 3; round++) expect(new Set(sent.slice(8 * round, 8 * round + 8)).size).to.equal(8);
  });

  it("power_of_two: the fullest of many nodes is far less full than with one choice (n log n against log log n)", () => {
    const fullest = (name: string): number => {
      const { policy, sent } = alone(name, fleetOfOne(PROFILES["4090"]!, 500).nodes);
      for (const job of jobsOf(500, 1)) policy.arrived(job, 0);
      return Math.max(...sent.reduce((counts, node) => counts.with(node, counts[node]! + 1), new Array<number>(500).fill(0)));
    };
    expect(fullest("power_of_two")).to.be.at.most(4);
    expect(fullest("random")).to.be.at.least(5);
  });

  it("prequal: a lower tail than random and round robin where half of the nodes are slower", () => {
    const fleet = fleetOf("uneven", { "4090": 8, "3060": 8 });
    const arrivals = chats(11, 400, 4);
    expect(ttftP99(run("prequal", fleet, arrivals))).to.be.below(0.7 * ttftP99(run("random", fleet, arrivals)));
    expect(ttftP99(run("prequal", fleet, arrivals))).to.be.below(0.7 * ttftP99(run("round_robin", fleet, arrivals)));
  });

  it("smg_least_load: between two reports the arrivals are spread, not thrown at one node, and the faster node gets more", () => {
    const { policy, sent } = alone("smg_least_load", alike.nodes);
    for (let node = 0; node < 8; node++) {
      policy.attested!(node, idleSnapshot(0), 0);
      policy.attested!(node, { ...idleSnapshot(1_000), outTokens: node === 0 ? 4_000 : 1_000 }, 1_000);
    }
    for (const job of jobsOf(110, 500)) policy.arrived(job, 1_000);
    const counts = sent.reduce((all, node) => all.with(node, all[node]! + 1), new Array<number>(8).fill(0));
    expect(counts[0]).to.be.within(38, 42);
    for (const count of counts.slice(1)) expect(count).to.be.within(9, 11);
  });

  it("smg_least_load: stays away from a node whose memory is about to run out", () => {
    const { policy, sent } = alone("smg_least_load", alike.nodes);
    for (let node = 0; node < 8; node++) policy.attested!(node, { ...idleSnapshot(0), kvUsedTokens: node === 3 ? 118_000 : 0 }, 0);
    for (const job of jobsOf(70, 500)) policy.arrived(job, 0);
    expect(sent).not.to.include(3);
  });

  it("dynamo: goes to the cached prefix at equal load, and elsewhere when that node's load outweighs it", () => {
    const { policy, sent, cached } = alone("dynamo", alike.nodes);
    cached[5] = 900;
    for (const job of jobsOf(3, 1_000)) policy.arrived(job, 0);
    expect(sent[0]).to.equal(5);
    expect(new Set(sent).size).to.equal(3);
  });

  it("dynamo: holds requests while every node has more than four budgets of unread prompts", () => {
    const { policy, sent } = alone("dynamo", fleetOfOne(profileOf({ chunkTokens: 100 }), 2).nodes);
    const jobs = jobsOf(20, 150);
    for (const job of jobs) policy.arrived(job, 0);
    // Three leave room (450 > 400), so each node takes three.
    expect(sent.length).to.equal(6);
    policy.firstToken!(jobs[0]!, 1);
    expect(sent.length).to.equal(7);
  });

  it("dynamo: counts of a cached prompt only what is left to read, and a prefix that running sequences share once", () => {
    const { policy, sent, cached } = alone("dynamo", fleetOfOne(PROFILES["4090"]!, 2).nodes);
    const [first, ...next] = jobsWith(4, { inputTokens: 5_121, blocks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] });
    policy.arrived(first!, 0);
    policy.firstToken!(first!, 1);
    cached[first!.node] = 5_120;
    for (const job of next) policy.arrived(job, 1);
    // Each of them adds one token to read and one to hold there, and 5,121 of both on the other node.
    expect(new Set(sent).size).to.equal(1);
    for (const job of [first!, ...next]) policy.ended!(job, true, 2);
    cached.fill(0);
    for (const job of jobsOf(2, 1_000)) policy.arrived(job, 3);
    expect(new Set(sent.slice(4)).size).to.equal(2);
  });

  it("llm_d: leaves out nodes with five waiting or a full memory, and holds back while the pool is saturated", () => {
    const { policy, sent } = alone("llm_d", alike.nodes);
    for (let node = 0; node < 8; node++) policy.attested!(node, { ...idleSnapshot(0), waiting: node < 4 ? 5 : 0, kvUsedTokens: node === 4 ? 100_000 : 0 }, 0);
    for (const job of jobsOf(200, 10)) policy.arrived(job, 0);
    expect(new Set(sent)).to.deep.equal(new Set([5, 6, 7]));
    for (let node = 0; node < 8; node++) policy.attested!(node, { ...idleSnapshot(1), waiting: 6 }, 1);
    const before = sent.length;
    for (const job of jobsOf(10, 10)) policy.arrived(job, 1);
    expect(sent.length).to.equal(before);
    for (let node = 0; node < 8; node++) policy.attested!(node, idleSnapshot(2), 2);
    expect(sent.length).to.equal(before + 10);
  });

  it("mooncake: under twice the load most of what it admits is good, and the rest is told at once", () => {
    const arrivals = chats(120, 240, 5);
    const small = fleetOf("small", { h100: 1, a40: 2, "4090": 3, "3090": 3, "3060": 3 });
    const admitted = run("mooncake", small, arrivals).jobs.filter((job) => job.state !== "refused");
    expect(admitted.length / arrivals.timeMs.length).to.be.within(0.1, 0.9);
    expect(admitted.filter((job) => job.isGood).length / admitted.length).to.be.above(0.75);
    expect(goodput(run("mooncake", small, arrivals))).to.be.above(3 * goodput(run("least_request", small, arrivals)));
  });

  it("polyserve: a gradient, so that at light load servers stay empty that others would use", () => {
    const arrivals = chats(20, 120, 6);
    const used = (name: string): number => perNode(run(name, REFERENCE_FLEET, arrivals), 64).filter((count) => count > 0).length;
    expect(used("polyserve")).to.be.below(20);
    expect(used("least_request")).to.equal(64);
  });

  it("polyserve: one that must wait stops nobody behind it", () => {
    const { policy, sent } = alone("polyserve", [profileOf({ a: 10, b: 1, batchLimit: 2, chunkTokens: 64 })]);
    const jobs = [10, 1_500, 1_000, 100].map((inputTokens, id) => Object.assign(jobsOf(1, inputTokens)[0]!, { id, node: -1 }));
    for (const job of jobs) policy.arrived(job, 0);
    expect(sent).to.deep.equal([0, 0]);
    // A slot is free, and the prompt being read leaves time for the short one only.
    policy.ended!(jobs[0]!, true, 1);
    expect(jobs.map((job) => job.node)).to.deep.equal([0, 0, -1, 0]);
  });

  it("polyserve: under overload it goes on serving what it can in time", () => {
    const arrivals = chats(120, 240, 5);
    const small = fleetOf("small", { h100: 1, a40: 2, "4090": 3, "3090": 3, "3060": 3 });
    expect(goodput(run("polyserve", small, arrivals))).to.be.above(3 * goodput(run("least_request", small, arrivals)));
  });
});
