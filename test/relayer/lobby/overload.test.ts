// The overload ladder: up at once, down slowly, and deaf to nonsense.
import { expect } from "chai";
import fc from "fast-check";
import { OverloadLadder, STEPS, type Vitals } from "../../../relayer/lobby/overload.ts";

const WELL: Vitals = { loopLagMs: 1, memoryPart: 0.2, queueAgeMs: 0 };

describe("the overload ladder", () => {
  it("takes the step that the worst sign asks for, the higher ones at a second look", () => {
    for (const [vitals, step] of [
      [WELL, "calm"], [{ ...WELL, loopLagMs: 120 }, "lean"], [{ ...WELL, memoryPart: 0.86 }, "no_flex"], [{ ...WELL, queueAgeMs: 130_000 }, "closed"],
      [{ loopLagMs: 120, memoryPart: 0.86, queueAgeMs: 0 }, "no_flex"],
    ] as const) {
      const ladder = new OverloadLadder();
      expect(ladder.observe(vitals, 0)).to.equal(step === "calm" ? "calm" : "lean");
      expect(ladder.observe(vitals, 500)).to.equal(step);
    }
  });

  it("takes one long pause of the machine for what it is", () => {
    const ladder = new OverloadLadder();
    expect(ladder.observe({ ...WELL, loopLagMs: 5_000 }, 0)).to.equal("lean");
    expect(ladder.observe(WELL, 500)).to.equal("lean");
    expect(ladder.observe(WELL, 6_000)).to.equal("calm");
  });

  it("comes down one step at a time, each after a quiet while", () => {
    const ladder = new OverloadLadder();
    for (const ms of [0, 0]) ladder.observe({ ...WELL, loopLagMs: 1_000 }, ms);
    const seen: string[] = [];
    for (let ms = 500; ms <= 20_000; ms += 500) if (seen.at(-1) !== ladder.observe(WELL, ms)) seen.push(ladder.step);
    expect(seen).to.deep.equal(["closed", "no_flex", "lean", "calm"]);
  });

  it("does not waver where a sign stays just below its mark", () => {
    const ladder = new OverloadLadder();
    for (const ms of [0, 0]) ladder.observe({ ...WELL, memoryPart: 0.94 }, ms);
    for (let ms = 500; ms <= 60_000; ms += 500) expect(ladder.observe({ ...WELL, memoryPart: 0.92 }, ms)).to.equal("closed");
  });

  it("is always on one of its steps, and nonsense asks for none", () => {
    const value = fc.oneof(fc.double(), fc.constantFrom(NaN, -1, Infinity));
    fc.assert(fc.property(fc.array(fc.record({ loopLagMs: value, memoryPart: value, queueAgeMs: value }), { maxLength: 30 }), (told) => {
      const ladder = new OverloadLadder();
      for (const [i, vitals] of told.entries()) expect(STEPS).to.include(ladder.observe(vitals, i * 700));
    }));
    expect(new OverloadLadder().observe({ loopLagMs: NaN, memoryPart: NaN, queueAgeMs: NaN }, 0)).to.equal("calm");
  });
});
