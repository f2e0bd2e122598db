// Predictions for one node: tokens, memory, batches, prompts ahead, and the prices of a plan.
import { expect } from "chai";
import { fullTpotMs, grownTokens, hasMemory, iterationMs, predictTpotMs, type Mix, type NodeModel } from "../../../relayer/lobby/predict.ts";
import { costAt, shadowPrices, wasteOf } from "../../../relayer/lobby/prices.ts";
import { ReadClock, readMs } from "../../../relayer/lobby/readClock.ts";
import { coarsened, SizeMix } from "../../../relayer/lobby/sizeMix.ts";

const model = (figures: Partial<NodeModel["curve"]> = {}, more: Partial<NodeModel> = {}): NodeModel =>
  ({ curve: { aNs: 10e6, bNs: 100_000, cNs: 300, dNs: 50_000, ePs: 10_000, ...figures }, slots: 64, kvTokens: 100_000, chunkTokens: 500, ...more });
const MIX: Mix = { inputTokens: 1_000, outTokens: 200, inputSquared: 2e6, outSquared: 80_000 };

describe("predictions", () => {
  it("an iteration is the curve in milliseconds", () => {
    expect(iterationMs(model().curve, 20_000, 10)).to.be.closeTo(10 + 6 + 0.5, 1e-9);
  });

  it("a sequence alone is not slowed down by its own replacement; each other one brings its part of a prompt", () => {
    const alone = predictTpotMs(model(), { running: 1, contextTokens: 1_000 }, MIX);
    expect(alone).to.be.closeTo(10 + 0.3 + 0.05, 1e-9);
    const readMsOfOne = 0.1 * 1_000 + 1e-5 * 2e6;
    expect(predictTpotMs(model(), { running: 3, contextTokens: 1_000 }, MIX)).to.be.closeTo(10 + 0.3 + 0.15 + (2 * readMsOfOne) / 200, 1e-9);
  });

  it("running sequences are longer than the mean: the long ones are there more often", () => {
    expect(grownTokens({ ...MIX, outTokens: 200, outSquared: 200 ** 2 })).to.equal(100);
    expect(grownTokens({ ...MIX, outTokens: 200, outSquared: 2 * 200 ** 2 })).to.equal(200);
  });

  it("memory holds what is there and one answer more", () => {
    expect(hasMemory(model(), { running: 5, contextTokens: 99_800 }, MIX)).to.equal(true);
    expect(hasMemory(model(), { running: 5, contextTokens: 99_801 }, MIX)).to.equal(false);
  });

  it("with prompts without end each iteration is full", () => {
    expect(fullTpotMs(model({ ePs: 0 }), { running: 100, contextTokens: 0 })).to.be.closeTo(10 + 5 + 40, 1e-9);
    expect(fullTpotMs(model({ ePs: 0 }), { running: 499, contextTokens: 0 })).to.be.closeTo(10 + 24.95 + 1.6, 1e-9);
  });
});

describe("the read clock", () => {
  const load = { running: 0, contextTokens: 0 };

  it("adds up prompts, runs down with time, and never below nothing", () => {
    const clock = new ReadClock();
    const oneMs = readMs(model(), load, 1_000, 1e6);
    // 110 ms of reading in chunks of 50 ms, 10 ms of overhead each.
    expect(oneMs).to.be.closeTo(110 + 2.2 * 10, 1e-9);
    clock.sent(model(), load, 1, 1_000, 1e6, 0);
    clock.sent(model(), load, 1, 1_000, 1e6, 0);
    expect(clock.aheadMs(0)).to.be.closeTo(2 * oneMs, 1e-9);
    expect(clock.aheadMs(oneMs)).to.be.closeTo(oneMs, 1e-9);
    expect(clock.aheadMs(1e6)).to.equal(0);
  });

  it("is set right by every prompt that was really read", () => {
    const clock = new ReadClock();
    const oneMs = readMs(model(), load, 1_000, 1e6);
    for (let i = 0; i < 3; i++) clock.sent(model(), load, 1, 1_000, 1e6, 0);
    clock.done(model(), load, 1, 1_000, 1e6, 500);
    expect(clock.aheadMs(500)).to.be.closeTo(2 * oneMs, 1e-9);
    clock.done(model(), load, 1, 1_000, 1e6, 501);
    clock.done(model(), load, 1, 1_000, 1e6, 502);
    expect(clock.aheadMs(502)).to.equal(0);
  });
});

describe("the size mix", () => {
  it("learns how long answers are to prompts of a length, and falls back to the general mean", () => {
    const mix = new SizeMix();
    for (let i = 0; i < 2_000; i++) {
      const [input, out] = i % 2 === 0 ? [100, 500] : [4_000, 50];
      mix.arrived(input);
      mix.finished(input, out);
    }
    expect(mix.expectedOutTokens(100)).to.be.closeTo(500, 5);
    expect(mix.expectedOutTokens(4_000)).to.be.closeTo(50, 5);
    expect(mix.expectedOutTokens(200_000)).to.be.closeTo(275, 10);
    expect(mix.inputTokens).to.be.closeTo(2_050, 60);
    expect(mix.classes().map((one) => Math.round(one.share * 100))).to.deep.equal([50, 50]);
    expect(mix.classes()[0]!.contextTokens).to.be.closeTo(100 * 500 + 500 ** 2 / 2, 2_000);
  });

  it("puts neighbouring classes together without losing any of the mix", () => {
    const mix = new SizeMix();
    for (let i = 0; i < 4_000; i++) {
      const input = 2 ** (i % 13);
      mix.arrived(input);
      mix.finished(input, 1 + (i % 300));
    }
    const all = mix.classes();
    const few = coarsened(all, 5);
    expect([all.length, few.length, coarsened(all, 100).length, coarsened([], 5).length]).to.deep.equal([13, 5, 13, 0]);
    for (const member of ["inputTokens", "inputSquared", "outTokens", "contextTokens"] as const) {
      const mean = (classes: typeof few): number => classes.reduce((sum, one) => sum + one.share * one[member], 0);
      expect(mean(few) / mean(all), member).to.be.closeTo(1, 1e-9);
    }
    expect(Math.max(...few.map((one) => one.inputTokensMax))).to.equal(Math.max(...all.map((one) => one.inputTokensMax)));
  });

  it("forgets: after ten thousand requests of another kind little is left of the first", () => {
    const mix = new SizeMix();
    for (let i = 0; i < 5_000; i++) mix.arrived(100);
    for (let i = 0; i < 40_000; i++) mix.arrived(1_000);
    expect(mix.classes().length).to.equal(1);
    expect(mix.inputTokens).to.be.closeTo(1_000, 1);
  });

  it("stays finite over millions of requests", () => {
    const mix = new SizeMix();
    for (let i = 0; i < 1_000_000; i++) {
      mix.arrived(1 + (i % 3_000));
      mix.finished(1 + (i % 3_000), 1 + (i % 700));
    }
    for (const value of [mix.inputTokens, mix.inputSquared, mix.outTokens, mix.outSquared, mix.expectedOutTokens(50)]) expect(Number.isFinite(value)).to.equal(true);
    expect(mix.outTokens).to.be.closeTo(350, 15);
  });
});

describe("shadow prices", () => {
  const reader = model({ bNs: 20_000 }, { slots: 8 });
  const talker = model({ bNs: 400_000 }, { slots: 256 });
  const kinds = [{ model: reader, count: 1 }, { model: talker, count: 1 }];
  const classes = [
    { share: 0.5, inputTokens: 4_000, inputSquared: 1.6e7, outTokens: 20, contextTokens: 80_200, inputTokensMax: 4_096 },
    { share: 0.5, inputTokens: 100, inputSquared: 1e4, outTokens: 500, contextTokens: 175_000, inputTokensMax: 128 },
  ];

  it("send long prompts to who reads fast and long answers to who has slots", () => {
    const prices = shadowPrices(kinds, classes, 100, () => 10_000)!;
    const advantage = (input: number, out: number): number => {
      const [ofReader, ofTalker] = wasteOf(prices, kinds, input, out, 10_000) as [number, number];
      expect(Math.min(ofReader, ofTalker)).to.be.closeTo(1, 1e-9);
      return ofTalker / ofReader;
    };
    expect(advantage(4_000, 20)).to.be.above(1.2 * advantage(100, 500));
    expect(prices.carriedPerSecond).to.be.above(0);
  });

  it("are never negative, and the mix costs one where each class goes to its cheapest kind (duality)", () => {
    const prices = shadowPrices(kinds, classes, 100, () => 10_000)!;
    for (const one of prices.kinds) for (const price of Object.values(one!)) expect(price).to.be.at.least(-1e-12);
    const mixCost = classes.reduce((sum, one) => sum + one.share * Math.min(...kinds.map((kind, k) => costAt(prices.kinds[k]!, kind.model, one.inputTokens, one.outTokens))), 0);
    expect(mixCost).to.be.closeTo(1, 1e-6);
  });

  it("bar a kind that cannot read the prompt in time, and prefer none while nothing is known", () => {
    expect(wasteOf(null, kinds, 4_000, 20, 1_000)).to.deep.equal([1, Infinity]);
    expect(wasteOf(null, kinds, 100, 20, 1_000)).to.deep.equal([1, 1]);
    expect(wasteOf(null, kinds, 1_000_000, 20, 1_000)).to.deep.equal([Infinity, Infinity]);
  });

  it("are the same beside a kind of which no node is there, or one too slow for anybody: neither makes the small fit better than the large", () => {
    const idle = [{ model: model({ bNs: 30_000 }), count: 0 }, { model: model({ aNs: 200e6 }), count: 3 }];
    const alone = shadowPrices(kinds, classes, 100, () => 10_000)!;
    const beside = shadowPrices([...kinds, ...idle], classes, 100, () => 10_000)!;
    expect(beside.kinds.slice(2)).to.deep.equal([null, null]);
    for (const { inputTokens, outTokens } of classes) {
      const wastes = wasteOf(beside, [...kinds, ...idle], inputTokens, outTokens, 10_000);
      for (const [k, waste] of wasteOf(alone, kinds, inputTokens, outTokens, 10_000).entries()) expect(wastes[k]).to.be.closeTo(waste, 1e-9);
      expect(wastes.slice(2)).to.deep.equal([1, 1]);
    }
  });

  it("know nothing to say where there is nobody or nothing", () => {
    expect(shadowPrices([], classes, 100, () => 2_000)).to.equal(null);
    expect(shadowPrices(kinds, [], 100, () => 2_000)).to.equal(null);
    expect(shadowPrices([{ model: model({ aNs: 200e6 }), count: 3 }], classes, 100, () => 2_000)).to.equal(null);
  });
});
