// The floor: own work at once, others' work by attestation, and never a count that goes astray.
import { expect } from "chai";
import fc from "fast-check";
import { Floor } from "../../../relayer/lobby/floor.ts";
import { readMs } from "../../../relayer/lobby/readClock.ts";
import type { NodeModel } from "../../../relayer/lobby/predict.ts";

const MODEL: NodeModel = { curve: { aNs: 10e6, bNs: 100_000, cNs: 300, dNs: 50_000, ePs: 10_000 }, slots: 64, kvTokens: 100_000, chunkTokens: 500 };
const floorOf = (nodes = 2): Floor<string> => new Floor(Array.from({ length: nodes }, () => MODEL));

describe("the floor", () => {
  it("counts a request from the moment it is sent until it ends", () => {
    const floor = floorOf();
    floor.sent("a", 0, 1_000, 0, 0);
    expect(floor.runningOn(0)).to.equal(1);
    expect(floor.loadOf(0).contextTokens).to.be.above(1_000);
    expect(floor.aheadMs(0, 0)).to.be.above(100);
    floor.firstToken("a", 150);
    expect(floor.aheadMs(0, 150)).to.equal(0);
    expect(floor.runningOn(0)).to.equal(1);
    floor.ended("a", 50, 1_000);
    expect(floor.runningOn(0)).to.equal(0);
    expect(floor.loadOf(0).contextTokens).to.equal(0);
  });

  it("predicts the first token behind what is ahead, and less of it where the prefix is held", () => {
    const floor = floorOf();
    const alone = floor.ttftMs(0, 2_000, 0, 0);
    expect(alone).to.be.closeTo(readMs(MODEL, { running: 0, contextTokens: 0 }, 2_000, 4e6), 1e-9);
    expect(floor.ttftMs(0, 2_000, 1_500, 0)).to.be.below(alone / 2);
    expect(floor.ttftMs(0, 2_000, 99_999, 0)).to.be.above(0);
    floor.sent("a", 0, 2_000, 0, 0);
    expect(floor.predictedMs("a")).to.be.closeTo(alone, 1e-9);
    expect(floor.ttftMs(0, 2_000, 0, 0)).to.be.above(1.9 * alone);
    expect(floor.ttftMs(1, 2_000, 0, 0)).to.equal(alone);
    expect(floor.predictedMs("nobody")).to.equal(Infinity);
  });

  it("takes what a node attests, less its own work at that time, for the work of others", () => {
    const floor = floorOf();
    for (const [i, key] of ["a", "b", "c"].entries()) floor.sent(key, 0, 100, 0, i * 100);
    // Made at 150, when two of the three were there; arrives later.
    floor.attested(0, { atMs: 150, running: 5, waiting: 1, queuedTokens: 900 });
    expect(floor.runningOn(0)).to.equal(3 + 4);
    expect(floor.aheadMs(0, 300)).to.be.above(floor.aheadMs(1, 300) + 50);
    floor.attested(0, { atMs: 250, running: 3, waiting: 0, queuedTokens: 300 });
    expect(floor.runningOn(0)).to.equal(3);
    floor.attested(0, { atMs: 260, running: 0, waiting: 0, queuedTokens: 0 });
    expect(floor.runningOn(0)).to.equal(3);
  });

  it("believes an old picture of others' prompts no more than the mean of many: not everybody runs to the gap that all have seen", () => {
    const floor = floorOf();
    for (let atMs = 0; atMs < 40_000; atMs += 1_000) {
      for (const node of [0, 1]) floor.attested(node, { atMs, running: 4, waiting: 0, queuedTokens: 1_000 });
    }
    const usual = floor.aheadMs(0, 40_000);
    floor.attested(0, { atMs: 40_000, running: 4, waiting: 0, queuedTokens: 0 });
    expect(floor.aheadMs(0, 40_000)).to.be.below(0.01 * usual);
    // Two seconds later others have long filled it.
    expect(floor.aheadMs(0, 42_000)).to.be.within(0.85 * usual, usual);
    // What is there at any time is no reason to wait; what is there above that is one.
    expect(floor.passingMs(1, 42_000)).to.be.below(0.05 * usual);
    floor.attested(1, { atMs: 42_000, running: 4, waiting: 0, queuedTokens: 3_000 });
    expect(floor.passingMs(1, 42_000)).to.be.above(usual);
  });

  it("finds out who is slower than it says, and reckons with it", () => {
    const floor = floorOf();
    let nowMs = 0;
    for (let i = 0; i < 20; i++) {
      const predicted = readMs(MODEL, floor.loadOf(0), 1_000, 1e6);
      floor.sent(`r${i}`, 0, 1_000, 0, nowMs);
      nowMs += 4 * predicted + 150;
      floor.firstToken(`r${i}`, nowMs);
      floor.ended(`r${i}`, 1, nowMs);
    }
    expect(floor.pace(0, nowMs)).to.be.above(2.5);
    expect(floor.ttftMs(0, 1_000, 0, nowMs)).to.be.above(2.5 * floor.ttftMs(1, 1_000, 0, nowMs));
  });

  it("is back at nothing after any order of sending, first tokens and ends, each told once or twice", () => {
    const step = fc.record({ key: fc.integer({ min: 0, max: 5 }), node: fc.integer({ min: 0, max: 1 }), kind: fc.constantFrom("sent", "first", "ended"), tokens: fc.integer({ min: 1, max: 5_000 }) });
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const floor = floorOf();
      const there = new Set<string>();
      let nowMs = 0;
      for (const { key, node, kind, tokens } of steps) {
        nowMs += 10;
        const name = String(key);
        if (kind === "sent" && !there.has(name)) {
          floor.sent(name, node, tokens, 0, nowMs);
          there.add(name);
        }
        if (kind === "first") floor.firstToken(name, nowMs);
        if (kind !== "ended") continue;
        floor.ended(name, null, nowMs);
        floor.ended(name, null, nowMs);
        there.delete(name);
      }
      for (const name of there) floor.ended(name, 3, nowMs);
      for (const node of [0, 1]) {
        expect(floor.runningOn(node)).to.equal(0);
        expect(floor.loadOf(node).contextTokens).to.equal(0);
        expect(floor.aheadMs(node, nowMs)).to.equal(0);
      }
    }));
  });

  it("survives absurd attestations and clocks that jump", () => {
    const floor = floorOf();
    floor.sent("a", 0, 100, 0, 1_000);
    for (const reported of [
      { atMs: -1e12, running: 1e9, waiting: 1e9, queuedTokens: 1e12 }, { atMs: 1e15, running: -5, waiting: -5, queuedTokens: -1 }, { atMs: 0, running: 0, waiting: 0, queuedTokens: 0 },
    ]) {
      floor.attested(0, reported);
      expect(Number.isFinite(floor.ttftMs(0, 10, 0, 1_000))).to.equal(true);
      expect(floor.runningOn(0)).to.be.at.least(1);
    }
    expect(floor.aheadMs(0, -1e9)).to.be.at.least(0);
  });
});
