// Tidal lanes: they follow the work, not its noise.
import { expect } from "chai";
import fc from "fast-check";
import { LANE_PARAMETERS, Lanes, type LaneLoad, type LaneNode } from "../../../relayer/lobby/lanes.ts";

const STRONG = { decodeSpeed: 10, prepSpeed: 12 };
const MIDDLE = { decodeSpeed: 4, prepSpeed: 6 };
const WEAK = { decodeSpeed: 1, prepSpeed: 3 };
const fleet: readonly LaneNode[] = [STRONG, STRONG, MIDDLE, MIDDLE, WEAK, WEAK, WEAK, WEAK].map((speeds, i) => ({ id: i + 1, ...speeds }));
const NOTHING: LaneLoad = { decode: 0, prep: 0 };

interface Run {
  readonly lanes: Lanes;
  readonly switchesOf: Map<number, number>;
}

/** One observation each second. */
function run(loadAt: (second: number) => LaneLoad, seconds: number, lanes = new Lanes(), fromSecond = 0): Run {
  const switchesOf = new Map<number, number>();
  for (let second = fromSecond; second < fromSecond + seconds; second++) {
    for (const { id } of lanes.observe(fleet, loadAt(second), NOTHING, second * 1_000)) switchesOf.set(id, (switchesOf.get(id) ?? 0) + 1);
  }
  return { lanes, switchesOf };
}

const decodeCapacity = (lanes: Lanes): number => fleet.reduce((sum, node) => sum + (lanes.laneOf(node.id) === "decode" ? node.decodeSpeed : 0), 0);

describe("tidal lanes", () => {
  it("begin with all generating, and give preprocessing few nodes: a weak one where little is asked for, a strong one where much is", () => {
    const preprocess = (load: LaneLoad): number[] => fleet.map(({ id }) => id).filter((id) => run(() => load, 10).lanes.laneOf(id) === "prep");
    expect(preprocess({ decode: 8, prep: 0 })).to.deep.equal([]);
    expect(preprocess({ decode: 30, prep: 1 })).to.deep.equal([5]);
    expect(preprocess({ decode: 30, prep: 4 })).to.deep.equal([3]);
    expect(preprocess({ decode: 8, prep: 5 })).to.deep.equal([1]);
    expect(run(() => NOTHING, 10).lanes.laneOf(99)).to.equal("decode");
  });

  it("each change lowers the greater of the two pressures, whatever the nodes and the load", () => {
    const speed = fc.double({ min: 0.1, max: 20, noNaN: true });
    const nodesOf = fc.array(fc.record({ decodeSpeed: speed, prepSpeed: speed }), { minLength: 2, maxLength: 9 }).map((all) => all.map((one, id) => ({ id, ...one })));
    fc.assert(fc.property(nodesOf, fc.record({ decode: speed, prep: speed }), (nodes, load) => {
      const lanes = new Lanes();
      const greater = (): number => {
        const done = (lane: "decode" | "prep"): number => nodes.reduce((sum, node) => sum + (lanes.laneOf(node.id) === lane ? (lane === "prep" ? node.prepSpeed : node.decodeSpeed) : 0), 0);
        return Math.max(load.decode / Math.max(1e-9, done("decode")), load.prep / Math.max(1e-9, done("prep")));
      };
      let before = greater();
      for (let second = 0; second < 120; second += 5) {
        if (lanes.observe(nodes, load, NOTHING, second * 1_000).length === 0) continue;
        expect(greater()).to.be.below(before);
        before = greater();
      }
    }), { numRuns: 50 });
  });

  it("give nodes to generation as that rises, and to preprocessing as that does", () => {
    const high = run(() => ({ decode: 30, prep: 4 }), 300);
    expect(decodeCapacity(high.lanes)).to.be.at.least(28);
    expect(high.lanes.laneOf(1)).to.equal("decode");
    const low = run(() => ({ decode: 5, prep: 30 }), 900, high.lanes, 300);
    expect(decodeCapacity(low.lanes)).to.be.below(24);
  });

  it("change no node more than twice in a wave of four minutes, and none for noise", () => {
    const wave = (second: number): LaneLoad => ({ decode: 15 + 13 * Math.sin((2 * Math.PI * second) / 240), prep: 10 });
    expect(Math.max(0, ...run(wave, 720).switchesOf.values())).to.be.at.most(6);
    let noise = 1;
    const noisy = (): LaneLoad => {
      noise = (noise * 48_271) % 2_147_483_647;
      return { decode: 16 * (0.8 + (0.4 * noise) / 2_147_483_647), prep: 10 };
    };
    const settled = run(noisy, 120).lanes;
    expect([...run(noisy, 600, settled, 120).switchesOf.values()].reduce((sum, one) => sum + one, 0)).to.be.at.most(2);
  });

  it("keep each node for its dwell, and change a part of them in one step", () => {
    const lanes = new Lanes();
    const changedAt = new Map<number, number>();
    for (let second = 0; second < 600; second++) {
      const load = Math.floor(second / 20) % 2 === 0 ? { decode: 100, prep: 1 } : { decode: 1, prep: 100 };
      const changed = lanes.observe(fleet, load, NOTHING, second * 1_000);
      expect(changed.length).to.be.at.most(1);
      for (const { id } of changed) {
        expect(second - (changedAt.get(id) ?? -Infinity)).to.be.at.least(LANE_PARAMETERS.dwellMs / 1_000);
        changedAt.set(id, second);
      }
    }
    expect(changedAt.size).to.be.above(0);
  });

  it("change before the wave breaks: a rising load is met by what is foretold of it", () => {
    const rising = (second: number): LaneLoad => ({ decode: 6 + second / 12, prep: 8 });
    const { lanes } = run(rising, 150);
    // At 150 s 18.5 are asked for; a lane that only looked at the present would leave the pressures within the band.
    expect(decodeCapacity(lanes)).to.be.above(20);
  });

  it("never leave a node where it can do nothing, nor take the last one that can", () => {
    const odd: readonly LaneNode[] = [{ id: 1, decodeSpeed: 0, prepSpeed: 5 }, { id: 2, decodeSpeed: 5, prepSpeed: 0 }, { id: 3, decodeSpeed: NaN, prepSpeed: -1 }];
    const lanes = new Lanes();
    for (let second = 0; second < 300; second++) lanes.observe(odd, { decode: 50, prep: 1 }, { decode: 100, prep: 0 }, second * 1_000);
    expect([lanes.laneOf(1), lanes.laneOf(2)]).to.deep.equal(["prep", "decode"]);
  });

  it("survive empty fleets, nodes that come and go, loads that are none, and clocks that jump", () => {
    const value = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -1, 0, 1e300));
    const node = fc.record({ id: fc.integer({ min: 1, max: 5 }), decodeSpeed: value, prepSpeed: value });
    fc.assert(fc.property(fc.array(fc.tuple(fc.uniqueArray(node, { selector: (one) => one.id, maxLength: 5 }), value, value, value), { maxLength: 30 }), (steps) => {
      const lanes = new Lanes();
      for (const [nodes, decode, prep, nowMs] of steps) {
        lanes.observe(nodes, { decode, prep }, { decode: prep, prep: decode }, nowMs);
        for (const pressure of [lanes.pressure.decode, lanes.pressure.prep]) expect(pressure).to.be.at.least(0).and.satisfy(Number.isFinite);
      }
    }));
  });
});
