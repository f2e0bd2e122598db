// The fluid bounds: by hand where that is possible, and in order with each other everywhere.
import { expect } from "chai";
import { capacityCopies, FluidBound } from "../../../bench/sim/bounds.ts";
import { idealHits, quartileBounds, quartileOf, sizeClasses, type Sample } from "../../../bench/sim/classes.ts";
import { multiplied, REFERENCE_FLEET } from "../../../bench/sim/profiles.ts";
import { Random } from "../../../bench/sim/random.ts";
import { idleTtftMs, TraceTargets, workOf } from "../../../bench/sim/targets.ts";
import { arrivalsOf, fleetOfOne, profileOf } from "./helpers.ts";
import type { Trace } from "../../../bench/sim/trace.ts";

const all = (trace: Trace): Sample => ({ trace, rows: Int32Array.from(trace.inputTokens, (_, i) => i), cached: null });

function mixedTrace(rows: number, seed: number): Trace {
  const random = new Random(seed);
  let timeMs = 0;
  return arrivalsOf(Array.from({ length: rows }, () => ({
    timeMs: (timeMs += random.exponential(200)), inputTokens: 1 + Math.floor(random.exponential(1_000)), outputTokens: random.geometric(200),
  }))).trace;
}

describe("targets", () => {
  it("are 2 s or three times the idle prefill on the fastest node that can hold the request", () => {
    const { trace } = arrivalsOf([{ timeMs: 0, inputTokens: 100 }, { timeMs: 1, inputTokens: 120_000 }]);
    const targets = new TraceTargets(trace, REFERENCE_FLEET);
    const h100 = REFERENCE_FLEET.nodes.find((node) => node.name === "h100")!;
    expect(targets.of(0)).to.deep.equal({ ttftMs: 2_000, tpotMs: 100 });
    expect(targets.of(1).ttftMs).to.be.closeTo(3 * (59 * 7.5 + 0.0218 * 120_000 + 2e-6 * 120_000 ** 2), 1e-6);
    expect(targets.of(1).ttftMs).to.equal(3 * idleTtftMs(h100, 120_000));
  });

  it("exclude what no node could serve in time when idle", () => {
    const { trace } = arrivalsOf([{ timeMs: 0, inputTokens: 100 }, { timeMs: 1, inputTokens: 500_000 }, { timeMs: 2, inputTokens: 10, outputTokens: 500_000 }]);
    expect([...new TraceTargets(trace, REFERENCE_FLEET).isFeasible]).to.deep.equal([1, 0, 0]);
    expect([...new TraceTargets(trace, fleetOfOne(profileOf({ a: 101 }))).isFeasible]).to.deep.equal([0, 0, 0]);
  });
});

describe("size classes", () => {
  it("divide requests by work into four, and keep every feasible one", () => {
    const trace = mixedTrace(4_000, 1);
    const bounds = quartileBounds(all(trace));
    const classes = sizeClasses(all(trace), bounds, new TraceTargets(trace, REFERENCE_FLEET), REFERENCE_FLEET.nodes.slice(0, 1));
    expect(classes.length).to.equal(64);
    expect(classes.reduce((sum, one) => sum + one.count, 0)).to.equal(4_000);
    for (let quartile = 0; quartile < 4; quartile++) {
      expect(classes.filter((one) => one.quartile === quartile).reduce((sum, one) => sum + one.count, 0)).to.be.within(990, 1_010);
    }
    const total = [...trace.inputTokens].reduce((sum, input, row) => sum + workOf(input, trace.outputTokens[row]!), 0);
    expect(classes.reduce((sum, one) => sum + one.count * one.work, 0)).to.be.closeTo(total, total * 1e-9);
    expect([0, bounds[0], bounds[1], bounds[2]].map((work) => quartileOf(work, bounds))).to.deep.equal([0, 1, 2, 3]);
  });

  it("know the prefix that a cache without limit would hold", () => {
    const { trace } = arrivalsOf([[1, 2], [1, 2, 3], [2, 1], [1, 4]].map((blocks, i) => ({ timeMs: i, inputTokens: 2_000, blocks })));
    expect([...idealHits(trace)!]).to.deep.equal([0, 1_024, 1_024, 512]);
  });
});

describe("the fluid bound", () => {
  it("is the arithmetic of one node: time for a prompt-only load, slots for an output-only load, memory for a long one", () => {
    const boundOf = (input: number, output: number, figures: Parameters<typeof profileOf>[0]): number => {
      const { trace } = arrivalsOf(Array.from({ length: 8 }, (_, i) => ({ timeMs: i, inputTokens: input, outputTokens: output })));
      const fleet = fleetOfOne(profileOf(figures));
      return new FluidBound(all(trace), fleet, new TraceTargets(trace, fleet), 1e4).serve("good").requests;
    };
    // (1,000 - 10 x 10) ms a second at 100 ms a prompt; decoding is free but for its slots.
    expect(boundOf(100, 1, { a: 10, b: 1, batchLimit: 1_000 })).to.be.closeTo(9, 1e-6);
    // Iterations of 10 ms: 100 a second, 4 tokens each, 50 tokens a request.
    expect(boundOf(1, 50, { a: 10, batchLimit: 4 })).to.be.closeTo(8, 1e-6);
    // 100 iterations a second, 10,000 tokens each; 1,000 x 50 + 50^2 / 2 a request.
    expect(boundOf(1_000, 50, { a: 10, batchLimit: 1_000, kvTokens: 10_000 })).to.be.closeTo(1e6 / 51_250, 1e-6);
  });

  it("keeps its three aims in order, and one fraction for all means what it says", () => {
    const trace = mixedTrace(3_000, 2);
    const bound = new FluidBound(all(trace), REFERENCE_FLEET, new TraceTargets(trace, REFERENCE_FLEET), 5);
    for (const load of [20, 60, 200]) {
      const [good, work, even] = [bound.serve("good", load), bound.serve("work", load), bound.serve("even", load)];
      expect(good.requests).to.be.at.least(work.requests - 1e-6);
      expect(work.work).to.be.at.least(good.work - 1e-6);
      expect(work.work).to.be.at.least(even.work - 1e-6);
      expect(even.requests).to.be.at.most(good.requests + 1e-6);
      expect(good.requests).to.be.at.most(bound.offered.requests * load + 1e-6);
    }
    expect(bound.serve("even", 1).requests).to.be.closeTo(bound.offered.requests, 1e-6);
  });

  it("gives twice the capacity to twice the fleet", () => {
    const trace = mixedTrace(2_000, 3);
    const capacityOf = (times: number): number => capacityCopies(trace, multiplied(REFERENCE_FLEET, times), new TraceTargets(trace, REFERENCE_FLEET));
    expect(capacityOf(2) / capacityOf(1)).to.be.closeTo(2, 1e-3);
  });
});
