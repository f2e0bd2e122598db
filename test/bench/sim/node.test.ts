// One engine, by hand: every time below can be worked out on paper from the curve.
import { expect } from "chai";
import fc from "fast-check";
import { random } from "../../../bench/sim/baselines/simple.ts";
import { PrefixIndex } from "../../../bench/sim/prefixCache.ts";
import { simulate, type Behaviour, type SimulationResult } from "../../../bench/sim/simulation.ts";
import { arrivalsOf, ENDLESS, fleetOfOne, profileOf, type SyntheticRow } from "./helpers.ts";
import type { NodeProfile } from "../../../bench/sim/profiles.ts";

const run = (profile: Partial<NodeProfile>, rows: readonly SyntheticRow[]): SimulationResult =>
  simulate({ fleet: fleetOfOne(profileOf(profile)), arrivals: arrivalsOf(rows), policy: random, seed: 1, targetsOf: () => ENDLESS, attestationAgeMs: 0, maxOutTokensOf: () => 1 });

describe("a simulated node", () => {
  it("prefills in chunks and then decodes, each iteration as long as the curve says", () => {
    const curve = { a: 10, b: 0.5, e: 0.001, c: 0.01, d: 1, chunkTokens: 100, batchLimit: 8 };
    const { jobs } = run(curve, [{ timeMs: 0, inputTokens: 250, outputTokens: 4 }]);
    // Three chunks share the overhead; the squares telescope to 250^2.
    const firstMs = 3 * 10 + 0.5 * 250 + 0.001 * 250 ** 2;
    // Then three tokens over contexts of 251, 252 and 253.
    const restMs = 3 * (10 + 1) + 0.01 * (251 + 252 + 253);
    expect(jobs[0]!.firstMs).to.be.closeTo(firstMs, 1e-9);
    expect(jobs[0]!.endMs).to.be.closeTo(firstMs + restMs, 1e-9);
  });

  it("lets an arrival join at the end of the iteration under way, and both share the batch from then on", () => {
    const { jobs } = run({ a: 10, b: 1, d: 2, batchLimit: 8 }, [{ timeMs: 0, inputTokens: 5, outputTokens: 10 }, { timeMs: 30, inputTokens: 5, outputTokens: 2 }]);
    // 15 ms of prefill, then 12 ms each: the iteration that ends at 39 is under way at 30; the next one takes 10 + 5 + 2.
    expect(jobs[0]!.firstMs).to.equal(15);
    expect(jobs[1]!.firstMs).to.equal(39 + 17);
    expect(jobs[1]!.endMs).to.equal(56 + 14);
    // Nine tokens after the first: two alone, one beside the prefill, one together, five alone.
    expect(jobs[0]!.endMs).to.equal(15 + 2 * 12 + 17 + 14 + 5 * 12);
  });

  it("takes no more than its slots, first come, first served", () => {
    const { jobs } = run({ a: 1, batchLimit: 2 }, [0, 1, 2, 3].map(() => ({ timeMs: 0, outputTokens: 10 })));
    // The first begins at once, the second an iteration later; each of the others takes the slot of the one two before.
    expect(jobs.map((job) => job.firstMs)).to.deep.equal([1, 2, 11, 12]);
  });

  it("divides the token budget between decoding sequences and prompts", () => {
    const { jobs } = run({ a: 1, batchLimit: 8, chunkTokens: 32 }, [{ timeMs: 0, inputTokens: 32, outputTokens: 100 }, { timeMs: 0.5, inputTokens: 62, outputTokens: 1 }]);
    // Alone the second would need two chunks of 31; with one decoding it gets 31 each.
    expect(jobs[1]!.firstMs).to.equal(3);
  });

  it("preempts the newest when memory runs out, loses none of its output, and counts it", () => {
    const { jobs } = run({ a: 1, batchLimit: 4, kvTokens: 30 }, [{ timeMs: 0, inputTokens: 10, outputTokens: 12 }, { timeMs: 0, inputTokens: 10, outputTokens: 12 }]);
    expect(jobs.map((job) => job.state)).to.deep.equal(["done", "done"]);
    expect(jobs.map((job) => job.preemptions > 0)).to.deep.equal([false, true]);
    expect(jobs[0]!.endMs).to.equal(12);
    // 10 + 10 prompt tokens and one more each per iteration: full at five each, so the second begins again when the first has ended.
    expect(jobs[1]!.endMs).to.equal(12 + 12 - 5);
  });

  it("fails a sequence that is greater than the memory, and goes on", () => {
    const { jobs } = run({ a: 1, batchLimit: 4, kvTokens: 30 }, [{ timeMs: 0, inputTokens: 29, outputTokens: 12 }, { timeMs: 0, inputTokens: 5, outputTokens: 3 }]);
    expect(jobs.map((job) => job.state)).to.deep.equal(["failed", "done"]);
  });

  it("skips the prefill of blocks that it still holds, and drops the least recently used first", () => {
    const [first, other] = [[1, 2], [3, 4]];
    const row = (timeMs: number, blocks: readonly number[]): SyntheticRow => ({ timeMs, inputTokens: 1_100, outputTokens: 1, blocks });
    const timesOf = (kvTokens: number): number[] =>
      run({ a: 1, b: 1, chunkTokens: 4_096, kvTokens }, [row(0, first), row(5_000, first), row(10_000, other), row(15_000, first)]).jobs.map((job) => job.ttftMs);
    expect(timesOf(1e6)).to.deep.equal([1_101, 77, 1_101, 77]);
    // Room for one prompt: the other one's blocks drive the first ones out.
    expect(timesOf(1_200)).to.deep.equal([1_101, 77, 1_101, 1_101]);
  });

  it("is known to the index as holding what it holds, asked alone or with all others", () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(5), fc.nat(3), fc.boolean()), { maxLength: 60 }), fc.array(fc.nat(5), { maxLength: 5 }), (changes, prompt) => {
      const [index, out, blocks] = [new PrefixIndex(), new Int32Array(4), Int32Array.from(prompt)];
      for (const [block, node, isHeld] of changes) index[isHeld ? "add" : "remove"](block, node);
      index.cachedTokens(blocks, 0, out);
      expect([0, 1, 2, 3].map((node) => index.cachedTokensOn(blocks, 0, node))).to.deep.equal([...out]);
    }));
  });

  it("shares held blocks between running sequences instead of counting them twice", () => {
    const blocks = [1, 2];
    const rows = [0, 3_000, 3_000].map((timeMs) => ({ timeMs, inputTokens: 1_025, outputTokens: 50, blocks }));
    const { jobs } = run({ a: 1, b: 1, chunkTokens: 4_096, kvTokens: 1_200, batchLimit: 4 }, rows);
    // One token each is left to compute; twice 1,025 tokens would not fit.
    expect(jobs.map((job) => job.ttftMs)).to.deep.equal([1_026, 2, 4]);
    expect(jobs.every((job) => job.preemptions === 0)).to.equal(true);
  });

  it("is as dishonest as it is told to be", () => {
    const rows = [{ timeMs: 0, outputTokens: 10 }];
    const states = (behaviour: Behaviour) => simulate({
      fleet: fleetOfOne(profileOf()), arrivals: arrivalsOf(rows), policy: random, seed: 1, targetsOf: () => ENDLESS, attestationAgeMs: 0, behaviourOf: () => behaviour, endMs: 1_000,
    }).jobs.map((job) => [job.state, job.endMs]);
    expect(states("slow")).to.deep.equal([["done", 40]]);
    expect(states("refuse")).to.deep.equal([["failed", 0]]);
    expect(states("stall")).to.deep.equal([["sent", -1]]);
    expect(states("overstate")).to.deep.equal(states("honest"));
  });

  it("serves every request exactly its tokens, whatever comes, and in the same way twice", () => {
    const rows = fc.array(fc.record({
      timeMs: fc.integer({ min: 0, max: 400 }), inputTokens: fc.integer({ min: 1, max: 60 }), outputTokens: fc.integer({ min: 1, max: 40 }),
    }), { minLength: 1, maxLength: 30 });
    const profile = fc.record({ kvTokens: fc.integer({ min: 100, max: 300 }), batchLimit: fc.integer({ min: 1, max: 6 }), chunkTokens: fc.integer({ min: 16, max: 64 }) });
    fc.assert(fc.property(rows, profile, (unsorted, figures) => {
      const sorted = [...unsorted].sort((one, later) => one.timeMs - later.timeMs);
      const once = run({ a: 1, b: 0.1, c: 0.01, d: 0.3, e: 1e-4, ...figures }, sorted);
      expect(once.jobs.map((job) => job.state)).to.deep.equal(sorted.map(() => "done"));
      // Nobody is faster than an empty node with nothing but overhead, and the first token comes after its prompt.
      for (const job of once.jobs) expect(job.endMs - job.firstMs).to.be.at.least((job.outputTokens - 1) * 1 - 1e-9);
      for (const job of once.jobs) expect(job.firstMs - job.arrivalMs).to.be.at.least(1 + 0.1 * job.inputTokens - 1e-9);
      const again = run({ a: 1, b: 0.1, c: 0.01, d: 0.3, e: 1e-4, ...figures }, sorted);
      expect(again.jobs.map((job) => job.endMs)).to.deep.equal(once.jobs.map((job) => job.endMs));
    }), { numRuns: 200 });
  });

  it("comes to the same times when watched at every moment as when left alone", () => {
    const rows = Array.from({ length: 40 }, (_, i) => ({ timeMs: i * 7.3, inputTokens: 10 + (i % 9) * 20, outputTokens: 5 + (i % 13) * 4 }));
    const profile = { a: 2, b: 0.05, c: 0.002, d: 0.1, batchLimit: 6, chunkTokens: 64, kvTokens: 700 };
    const watched = simulate({ fleet: fleetOfOne(profileOf(profile)), arrivals: arrivalsOf(rows), policy: random, seed: 1, targetsOf: () => ENDLESS, attestationAgeMs: 1, windowMs: 3, sampleUntilMs: 5_000, maxOutTokensOf: () => 1 });
    expect(watched.jobs.map((job) => job.endMs)).to.deep.equal(run(profile, rows).jobs.map((job) => job.endMs));
    const busy = watched.slotUse.map((use) => use[0]!);
    expect(Math.max(...busy)).to.be.within(0.9, 1);
    expect(Math.min(...busy)).to.be.at.least(0);
  });
});
