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
