import { expect } from "chai";
import { keccak256, toHex } from "viem/utils";
import { recoverWithViem } from "../../../protocol/signing.ts";
import { SeedKeeper } from "../../../relayer/work/seedKeeper.ts";
import { factsIn } from "./factsIn.ts";

/** A keeper over the given facts; its dice differ from every other keeper's. */
let dice = 0;
const keeperOf = (facts: Map<string, string>, length = 8): SeedKeeper => new SeedKeeper({
  journal: factsIn(facts),
  dice: { bytes32: () => keccak256(toHex(++dice)) }, crypto: { keccak256, recover: recoverWithViem }, length,
});

describe("the keeper of seeds", () => {
  it("begins its first chain two epochs ahead, and stands in with the anchor until then", async () => {
    const keeper = keeperOf(new Map());
    expect(keeper.seedOf(100)).to.equal(null);
    await keeper.load(100);
    const [chain] = keeper.chains;
    expect(chain!.firstEpoch).to.equal(102);
    expect([keeper.seedOf(100), keeper.seedOf(101)]).to.deep.equal([chain!.anchor, chain!.anchor]);
    expect(keccak256(keeper.seedOf(102)!)).to.equal(chain!.anchor);
    expect(keeper.lastUsed).to.equal(102);
  });

  it("has the same seeds in another process of the relayer", async () => {
    const facts = new Map<string, string>();
    const [one, other] = [keeperOf(facts), keeperOf(facts)];
    await one.load(100);
    await other.load(103);
    expect(other.seedOf(105)).to.equal(one.seedOf(105)).and.to.match(/^0x/);
  });

  it("appends the next chain before the last one ends, and forgets the ended", async () => {
    const keeper = keeperOf(new Map());
    for (let epoch = 100; epoch < 140; epoch++) {
      await keeper.load(epoch);
      expect(keeper.seedOf(epoch), String(epoch)).to.match(/^0x/);
      expect(keeper.chains.length).to.be.at.most(2);
      const [one, next] = keeper.chains;
      if (next) expect(next.firstEpoch).to.equal(one!.lastEpoch + 1);
    }
  });

  it("starts anew where it was away until its chain had ended", async () => {
    const facts = new Map<string, string>();
    await keeperOf(facts).load(100);
    const keeper = keeperOf(facts);
    await keeper.load(500);
    expect(keeper.chains.at(-1)!.firstEpoch).to.equal(502);
    expect(keeper.seedOf(500)).to.equal(keeper.chains.at(-1)!.anchor);
    expect(keeper.seedOf(502)).to.match(/^0x/);
  });

  it("makes one chain where two processes begin at the same moment", async () => {
    const facts = new Map<string, string>();
    const [one, other] = [keeperOf(facts), keeperOf(facts)];
    await Promise.all([one.load(100), other.load(100)]);
    expect(one.chains[0]!.anchor).to.equal(other.chains[0]!.anchor);
    // Both append a chain at once near its end, and neither overwrites the other's.
    for (let epoch = 103; epoch < 125; epoch++) await Promise.all([one.load(epoch), other.load(epoch)]);
    expect(one.seedOf(124)).to.equal(other.seedOf(124)).and.to.match(/^0x/);
  });

  it("does not move a chain that another process has moved already", async () => {
    const facts = new Map<string, string>();
    const [one, other] = [keeperOf(facts), keeperOf(facts)];
    await one.load(100);
    await other.load(100);
    await one.postpone(one.chains[0]!, 110);
    await other.postpone(other.chains[0]!, 120);
    expect([one, other].map((keeper) => keeper.chains[0]!.firstEpoch)).to.deep.equal([112, 112]);
  });

  it("knows what other processes drew from as of its last load", async () => {
    const facts = new Map<string, string>();
    const [one, other] = [keeperOf(facts), keeperOf(facts)];
    await one.load(100);
    one.seedOf(105);
    await one.load(106);
    await other.load(106);
    expect(other.lastUsed).to.equal(105);
    other.seedOf(103);
    await other.load(107);
    await one.load(107);
    expect([one.lastUsed, other.lastUsed]).to.deep.equal([105, 105]);
  });

  it("moves a chain that was never committed", async () => {
    const keeper = keeperOf(new Map());
    await keeper.load(100);
    await keeper.postpone(keeper.chains[0]!, 110);
    expect(keeper.chains.map((chain) => chain.firstEpoch)).to.deep.equal([112]);
  });

  it("says so where the journal's fact is spoilt", async () => {
    const error = await keeperOf(new Map([["routing_seed_chains", "{"]])).load(1).catch((caught: unknown) => caught);
    expect(error).to.include({ code: "journal_corrupt" });
  });
});
