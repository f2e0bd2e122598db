// The live tide: what comes is counted once a second, a node in the prep lane keeps a slot for it.
import { expect } from "chai";
import { LaneWatch } from "../../../relayer/work/laneWatch.ts";
import type { Standing } from "../../../relayer/work/standing.ts";

const curve = (tokenMs: number) => ({ aNs: tokenMs * 1e6, bNs: 1e5, cNs: 0, dNs: 0, ePs: 0 });
const standing = (kindOfModel: "generate" | "embed", slots: number, tokenMs: number): Standing => ({
  modelId: `0x${kindOfModel === "embed" ? "e" : "a"}`, kindOfModel, kind: `${tokenMs}`, model: { curve: curve(tokenMs), slots, kvTokens: 1e6, chunkTokens: 512 },
  reported: { atMs: 0, running: 0, waiting: 0, queuedTokens: 0 }, hardwareClass: 0, statedReadMs: 100, presences: [],
});
const strong = [standing("generate", 8, 5)];
const both = [standing("generate", 2, 40), standing("embed", 2, 40)];
const fleet = new Map<number, readonly Standing[]>([[1, strong], [2, both]]);

describe("the live lanes", () => {
  it("keep one slot of a weak node that preprocesses for that, and none of any other", () => {
    const watch = new LaneWatch(0);
    watch.observe(fleet, { decode: 0, prep: 0 }, 1_000);
    expect([watch.laneOf(1), watch.laneOf(2)], "nothing to preprocess").to.deep.equal(["decode", "decode"]);
    watch.arrived("prep", 512, 0);
    watch.observe(fleet, { decode: 0, prep: 0 }, 6_000);
    expect([watch.laneOf(1), watch.laneOf(2)]).to.deep.equal(["decode", "prep"]);
    expect(watch.status(fleet, { decode: 0, prep: 0 }, { decode: 0, prep: 0 }).prepNodeIds).to.deep.equal([2]);
    expect(watch.reserved(2, both[0]!, both).model.slots).to.equal(1);
    expect(watch.reserved(2, both[1]!, both).model.slots).to.equal(2);
    expect(watch.reserved(1, strong[0]!, strong).model.slots).to.equal(8);
    expect(watch.reserved(3, strong[0]!, strong).model.slots, "a node not seen yet").to.equal(8);
  });

  it("turn it to generation when much more of that comes than can be done, and show the pressure", () => {
    const watch = new LaneWatch(0);
    watch.arrived("prep", 512, 0);
    watch.observe(fleet, { decode: 0, prep: 0 }, 1_000);
    expect(watch.laneOf(2)).to.equal("prep");
    for (let second = 2; second <= 600; second++) {
      for (let i = 0; i < 20; i++) watch.arrived("decode", 200, 200);
      watch.observe(fleet, { decode: 30, prep: 0 }, second * 1_000);
    }
    expect(watch.laneOf(2)).to.equal("decode");
    const status = watch.status(fleet, { decode: 8, prep: 0 }, { decode: 30, prep: 0 });
    expect(status.decode).to.include({ nodes: 2, slots: 10, running: 8, waiting: 30 });
    expect(status.decode.pressurePercent).to.be.above(100);
    expect(status.prep).to.include({ nodes: 0, slots: 0, pressurePercent: 0 });
    expect(status.switches).to.equal(2);
  });

  it("look once a second at most, and at an empty fleet without harm", () => {
    const watch = new LaneWatch(0);
    expect(watch.observe(new Map(), { decode: 5, prep: 5 }, 999)).to.equal(false);
    expect(watch.observe(new Map(), { decode: 5, prep: 5 }, 60_000)).to.equal(false);
    expect(watch.status(new Map(), { decode: 0, prep: 0 }, { decode: 5, prep: 5 }).decode).to.include({ nodes: 0, slots: 0 });
  });
});
