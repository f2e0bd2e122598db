// Promises and waits by class, and the slow start of unknown nodes.
import { expect } from "chai";
import { tpotTargetMs, ttftTargetMs, waitMsMaxOf } from "../../../relayer/lobby/targets.ts";
import { keptAfter, warmSlots } from "../../../relayer/lobby/warmUp.ts";
import { Tier } from "../../../protocol/constants.ts";

describe("targets", () => {
  it("promise a first token within two seconds, or three idle readings of a long prompt", () => {
    expect([0, 100, 1_000].map(ttftTargetMs)).to.deep.equal([2_000, 2_000, 3_000]);
    expect([10, 100].map(tpotTargetMs)).to.deep.equal([100, 150]);
  });

  it("let each class wait its time where the client does not say, and nobody longer than its order", () => {
    expect(Object.values(Tier).map((tier) => waitMsMaxOf(tier, null, 3_600_000))).to.deep.equal([60_000, 20_000, 600_000]);
    expect(waitMsMaxOf(Tier.DEFAULT, 0, 3_600_000)).to.equal(0);
    expect(waitMsMaxOf(Tier.FLEX, null, 90_000)).to.equal(72_000);
    expect(waitMsMaxOf(Tier.DEFAULT, 30_000, -5)).to.equal(0);
  });
});

describe("warming up", () => {
  it("begins with two slots, doubles with every two good answers, and halves what was shown after a silence", () => {
    expect([0, 1, 2, 4, 6, 14].map(warmSlots)).to.deep.equal([2, 2, 4, 8, 16, 256]);
    expect(warmSlots(keptAfter(14, "silent"))).to.equal(16);
    expect([keptAfter(3, "kept"), keptAfter(3, "refused"), keptAfter(1, "silent")]).to.deep.equal([4, 3, 0]);
    expect(warmSlots(1e12)).to.be.finite.and.at.least(65_535);
    expect(warmSlots(-5)).to.equal(2);
  });
});
