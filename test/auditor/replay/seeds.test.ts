import { expect } from "chai";
import { Seeds } from "../../../auditor/replay/seeds.ts";
import { SeedChain } from "../../../relayer/routing/seeds.ts";

describe("an epoch's seed", () => {
  const chain = new SeedChain(`0x${"01".repeat(32)}`, 100, 20);
  const next = new SeedChain(`0x${"02".repeat(32)}`, 130, 20);
  const inUse = { firstEpoch: 100, lastRevealed: 110, reached: chain.seedOf(110)!, isInUse: true };

  it("is hashed down from a later one that was revealed", () => {
    const seeds = new Seeds([inUse]);
    for (const epoch of [110, 100, 105]) expect(seeds.of(epoch)).to.deep.equal({ state: "revealed", seed: chain.seedOf(epoch) });
    expect(seeds.of(111)).to.deep.equal({ state: "unrevealed" });
  });

  it("is the coming chain's anchor before the first one, revealed or not", () => {
    expect(new Seeds([inUse]).of(99)).to.deep.equal({ state: "open", seed: chain.anchor });
    expect(new Seeds([{ ...inUse, lastRevealed: 99, reached: chain.anchor }]).of(98)).to.deep.equal({ state: "open", seed: chain.anchor });
    expect(new Seeds([]).of(98)).to.deep.equal({ state: "unrevealed" });
  });

  it("is forfeited where the chain was given up for the next one, and only unrevealed while that one waits", () => {
    const waiting = { firstEpoch: 130, lastRevealed: 129, reached: next.anchor, isInUse: false };
    expect(new Seeds([inUse, waiting]).of(115)).to.deep.equal({ state: "unrevealed" });
    const over = new Seeds([{ ...inUse, isInUse: false }, { ...waiting, lastRevealed: 131, reached: next.seedOf(131)!, isInUse: true }]);
    expect(over.of(115)).to.deep.equal({ state: "forfeited", seed: next.anchor });
    expect(over.of(130)).to.deep.equal({ state: "revealed", seed: next.seedOf(130) });
    expect(over.of(132)).to.deep.equal({ state: "unrevealed" });
  });
});
