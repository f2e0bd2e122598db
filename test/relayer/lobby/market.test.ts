// The market of a floor: a kind of nodes is what its nodes are in the mean, as far as they are there.
import { expect } from "chai";
import { Floor } from "../../../relayer/lobby/floor.ts";
import { Market } from "../../../relayer/lobby/market.ts";
import type { NodeModel } from "../../../relayer/lobby/predict.ts";

const model = (aNs: number, slots = 16): NodeModel => ({ curve: { aNs, bNs: 100_000, cNs: 300, dNs: 50_000, ePs: 10_000 }, slots, kvTokens: 100_000, chunkTokens: 500 });
const [QUICK, SLOW] = [5e6, 45e6];

/** The load and the waste of a request over these nodes, all of one kind. */
function pricesOver(models: readonly NodeModel[]): { readonly load: number; readonly wastes: readonly number[] } {
  const floor = new Floor<number>(models);
  const market = new Market(floor, { priceClassesMax: 4, repriceEveryMs: 1_000 }, () => 100);
  for (const _ of models) market.joined(0);
  for (let at = 0; at <= 10; at++) {
    floor.mix.arrived(1_000);
    floor.mix.finished(1_000, 200);
    market.arrived(at * 1_000);
  }
  return { load: market.load(10_000)!, wastes: market.wasteOf(1_000, 200, 2_000) };
}

describe("the market of a floor", () => {
  it("takes no account of nodes that are gone, be it the first of their kind", () => {
    expect(pricesOver([model(SLOW, 0), model(QUICK)])).to.deep.equal(pricesOver([model(QUICK)]));
    expect(pricesOver([model(QUICK), model(SLOW, 0)])).to.deep.equal(pricesOver([model(QUICK)]));
  });

  it("is the same whichever node came first, between what all quick and all slow ones carry", () => {
    const [one, other] = [pricesOver([model(QUICK), model(SLOW)]), pricesOver([model(SLOW), model(QUICK)])];
    expect(one).to.deep.equal(other);
    const [quick, slow] = [pricesOver([model(QUICK), model(QUICK)]), pricesOver([model(SLOW), model(SLOW)])];
    expect(one.load).to.be.within(quick.load, slow.load).and.not.equal(quick.load).and.not.equal(slow.load);
  });

  it("tells which part of its target the slowest prompt in a hundred takes at best, once it knows the requests", () => {
    const floor = new Floor<number>([model(QUICK)]);
    const market = new Market(floor, { priceClassesMax: 2, repriceEveryMs: 1_000 }, (inputTokens) => inputTokens / 10);
    market.joined(0);
    expect(market.slowestPart).to.equal(Infinity);
    const arrive = (small: number, large: number, atMs: number): number => {
      for (let i = 0; i < small + large; i++) floor.mix.arrived(i < small ? 100 : 4_000);
      market.arrived(atMs);
      return market.slowestPart;
    };
    // 10 ms of 2 s, then 400 ms of 2 s where two in a hundred take that.
    expect(arrive(1_000, 5, 6_000)).to.be.closeTo(0.005, 1e-3);
    expect(arrive(0, 20, 8_000)).to.be.closeTo(0.2, 0.01);
  });
});
