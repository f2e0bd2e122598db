// What is learnt of a node: how slow it really is, and whether it answers at all.
import { expect } from "chai";
import { Breaker, Pace } from "../../../relayer/lobby/pace.ts";

/** So many answers, each so many times slower than the stated curve says, one a second. */
function answers(pace: Pace, count: number, slowness: (i: number) => number, fromMs = 0): number {
  let nowMs = fromMs;
  for (let i = 0; i < count; i++, nowMs += 1_000) {
    const factor = pace.factor(nowMs);
    pace.observe(1_000 * slowness(i), 1_000 * factor, factor, nowMs);
  }
  return nowMs;
}

describe("pace", () => {
  it("finds out within twenty answers that a node takes four times as long", () => {
    const pace = new Pace();
    const nowMs = answers(pace, 20, () => 4);
    expect(pace.factor(nowMs)).to.be.within(2.5, 4.2);
  });

  it("goes on in another process as if there had been none between", () => {
    const [pace, next] = [new Pace(), new Pace()];
    const nowMs = answers(pace, 20, () => 4);
    next.recall(pace.kept);
    for (const laterMs of [0, 5_000, 60_000]) expect(next.factor(nowMs + laterMs)).to.equal(pace.factor(nowMs + laterMs));
    next.recall({ log: 99, atMs: nowMs });
    expect(next.factor(nowMs)).to.be.closeTo(16, 1e-9);
    next.recall({ log: -1, atMs: nowMs });
    expect(next.factor(nowMs)).to.equal(1);
  });

  it("lets chance be chance: answers between three quarters and one and a third change nothing", () => {
    const pace = new Pace();
    const nowMs = answers(pace, 500, (i) => (i % 2 === 0 ? 4 / 3 : 3 / 4));
    expect(pace.factor(nowMs)).to.equal(1);
  });

  it("is not moved far by one answer that took for ever, and never below one", () => {
    const pace = new Pace();
    pace.observe(1e9, 10, 1, 0);
    expect(pace.factor(0)).to.equal(1);
    answers(pace, 50, () => 0.1, 1_000);
    expect(pace.factor(60_000)).to.equal(1);
  });

  it("forgives with time, so that a recovered node is found again", () => {
    const pace = new Pace();
    const nowMs = answers(pace, 40, () => 8);
    expect(pace.factor(nowMs)).to.be.above(4);
    expect(pace.factor(nowMs + 60_000)).to.equal(1);
  });

  it("knows bounds, and takes no nonsense", () => {
    const pace = new Pace();
    const nowMs = answers(pace, 200, () => 1e6);
    expect(pace.factor(nowMs)).to.be.at.most(16);
    for (const value of [Number.NaN, -5]) pace.observe(value, value, 1, nowMs);
    expect(Number.isFinite(pace.factor(nowMs))).to.equal(true);
  });
});

describe("the breaker", () => {
  it("stays as it is over a restart, which is no answer; one that cannot be ends within a minute", () => {
    const [breaker, next] = [new Breaker(), new Breaker()];
    for (const atMs of [0, 1_000, 3_000]) breaker.silent(atMs);
    next.recall(breaker.kept, 4_000);
    for (const [nowMs, inFlight, isOpen] of [[4_000, 0, false], [6_999, 0, false], [7_000, 0, true], [7_000, 1, false]] as const) {
      expect(breaker.isOpenTo(nowMs, inFlight), `${nowMs} before`).to.equal(isOpen);
      expect(next.isOpenTo(nowMs, inFlight), `${nowMs} after`).to.equal(isOpen);
    }
    next.answered();
    expect(next.isOpenTo(7_000, 1)).to.equal(true);
    next.recall({ silences: 3, brokenUntilMs: 1e15 }, 8_000);
    expect([next.isOpenTo(67_999, 0), next.isOpenTo(68_000, 0)]).to.deep.equal([false, true]);
  });

  it("breaks for a second, then two, then four, up to a minute; one answer mends it", () => {
    const breaker = new Breaker();
    let nowMs = 0;
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      breaker.silent(nowMs);
      expect(breaker.isOpenTo(nowMs + seconds * 1_000 - 1, 0), `${seconds} s`).to.equal(false);
      nowMs += seconds * 1_000;
      expect(breaker.isOpenTo(nowMs, 0), `${seconds} s`).to.equal(true);
    }
    breaker.answered();
    expect(breaker.isOpenTo(nowMs, 100)).to.equal(true);
  });

  it("takes what falls silent together for one silence, and asks at once a node that has come back by itself", () => {
    const breaker = new Breaker();
    for (let i = 0; i < 8; i++) breaker.silent(i * 100);
    expect(breaker.isOpenTo(1_000, 0)).to.equal(true);
    breaker.silent(1_000);
    expect(breaker.isOpenTo(1_500, 0)).to.equal(false);
    breaker.returned();
    expect([breaker.isOpenTo(1_500, 0), breaker.isOpenTo(1_500, 1)]).to.deep.equal([true, false]);
  });

  it("after a break asks with one request at a time", () => {
    const breaker = new Breaker();
    breaker.silent(0);
    expect(breaker.isOpenTo(5_000, 0)).to.equal(true);
    expect(breaker.isOpenTo(5_000, 1)).to.equal(false);
  });
});
