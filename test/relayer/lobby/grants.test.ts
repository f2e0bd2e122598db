// Grants: everybody cuts the nodes alike, the parts add up to the whole, and what nobody else uses is kept from nobody.
import { expect } from "chai";
import fc from "fast-check";
import { COMMON_PROMPT_TOKENS, cutOf, Grants, STRETCH_TIMES_MAX, type Standing } from "../../../relayer/lobby/grants.ts";
import { Floor } from "../../../relayer/lobby/floor.ts";
import { aloneMs } from "../../../relayer/lobby/prices.ts";
import { modelOf } from "../../../bench/sim/view.ts";
import { REFERENCE_FLEET } from "../../../bench/sim/profiles.ts";
import type { NodeModel } from "../../../relayer/lobby/predict.ts";
import { partyOf, relayerOfParty, type Presence } from "../../../protocol/link.ts";

const MODEL: NodeModel = { curve: { aNs: 10e6, bNs: 100_000, cNs: 300, dNs: 50_000, ePs: 0 }, slots: 64, kvTokens: 100_000, chunkTokens: 500 };
const standing = (nodeId: number, readMs = 100, hardwareClass = 1): Standing => ({ nodeId, hardwareClass, readMs });

/** What one party holds of a fleet of like nodes. */
const grantsOf = (me: string, nodes: number): Grants => {
  const grants = new Grants(new Floor(Array.from({ length: nodes }, () => MODEL)), me);
  for (let node = 0; node < nodes; node++) grants.stand(node, standing(node + 1));
  return grants;
};
const tellAll = (grants: Grants, nodes: number, presences: readonly Presence[]): void => {
  for (let node = 0; node < nodes; node++) grants.told(node, presences);
};
const partsOf = (grants: Grants, nodes: number, nowMs: number): number[] => Array.from({ length: nodes }, (_, node) => grants.partOf(node, nowMs));
/** Of a class, how long each node's stretch is. */
const lengthsOf = (line: readonly Standing[]): number[] => {
  const stated = line.map(({ readMs }) => 1 / Math.max(1, readMs));
  const lowerMedian = [...stated].sort((one, other) => one - other)[Math.ceil(stated.length / 2) - 1]!;
  return stated.map((length) => Math.min(length, STRETCH_TIMES_MAX * lowerMedian));
};
/** How many of so many like parties have some of each node. */
const holdersOf = (fleet: readonly Standing[], parties: number): number[] => {
  const cuts = Array.from({ length: parties }, (_, party) => cutOf(fleet, new Array<number>(parties).fill(1 / parties), party));
  return fleet.map((_, node) => cuts.filter((cut) => cut[node]! > 1e-6).length);
};
const sum = (values: Iterable<number>): number => [...values].reduce((total, one) => total + one, 0);

describe("the cut", () => {
  const fleets = fc.array(fc.record({ nodeId: fc.integer({ min: 1, max: 1_000 }), hardwareClass: fc.constantFrom(0, 1, 2), readMs: fc.double({ min: 0, max: 5_000, noNaN: true }) }), { minLength: 1, maxLength: 30 });
  const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 20 }).map((all) => all.map((one) => one / sum(all)));

  it("gives every bit of every node to one party, and to each its part of every class", () => {
    fc.assert(fc.property(fleets, weights, (fleet, parts) => {
      const cuts = parts.map((_, party) => cutOf(fleet, parts, party));
      for (const node of fleet.keys()) expect(sum(cuts.map((cut) => cut[node]!))).to.be.closeTo(1, 1e-6);
      for (const hardwareClass of new Set(fleet.map((one) => one.hardwareClass))) {
        const line = [...fleet.keys()].filter((node) => fleet[node]!.hardwareClass === hardwareClass);
        const lengths = lengthsOf(line.map((node) => fleet[node]!));
        for (const [party, part] of parts.entries()) expect(sum(line.map((node, i) => cuts[party]![node]! * lengths[i]!)) / sum(lengths)).to.be.closeTo(part, 1e-6);
      }
    }));
  });

  it("is the same in whichever order nodes came, and leaves out who is gone", () => {
    const fleet = [standing(5), standing(2), null, standing(9)];
    const cut = cutOf(fleet, [0.5, 0.5], 0);
    const other = cutOf([standing(2), standing(5), standing(9)], [0.5, 0.5], 0);
    expect([cut[1], cut[0], cut[3], cut[2]]).to.deep.equal([other[0], other[1], other[2], 0]);
  });

  it("leaves most parties nearly alone on a slow node, and shares a fast one", () => {
    const fleet = [standing(1, 25), standing(2, 100), standing(3, 100), standing(4, 100)];
    expect(holdersOf(fleet, 7)).to.deep.equal([4, 1, 1, 1]);
  });

  it("gives a node no more than a few of its class's, however fast it says that it is", () => {
    const boaster = standing(1, 0.001);
    expect(holdersOf([boaster, ...[2, 3, 4, 5].map((id) => standing(id))], 16)).to.deep.equal([8, 2, 2, 2, 2]);
    expect(cutOf([boaster, standing(2)], [0.5, 0.5], 1)[1]).to.equal(1);
    expect(cutOf([boaster], [0.5, 0.5], 1)[0]).to.equal(0.5);
    // Nor does it take of another class, nor where it is one of many that say the same.
    expect(holdersOf([boaster, standing(2, 100, 2), standing(3, 100, 2)], 2)).to.deep.equal([2, 1, 1]);
    expect(holdersOf([boaster, standing(2, 0), standing(3, 0)], 3)).to.deep.equal([1, 1, 1]);
  });

  it("is what the nodes of the reference fleet say of themselves", () => {
    for (const hardwareClass of ["HIGH", "MID", "LOW"]) {
      const line = REFERENCE_FLEET.nodes.flatMap((profile, node) => (profile.hardwareClass === hardwareClass ? [standing(node, aloneMs(modelOf(profile), COMMON_PROMPT_TOKENS))] : []));
      expect(lengthsOf(line)).to.deep.equal(line.map(({ readMs }) => 1 / readMs));
    }
  });
});

describe("grants", () => {
  it("are all of every node where nobody else is told of", () => {
    const grants = grantsOf("a", 2);
    expect([grants.isDivided(0), grants.partOf(0, 0)]).to.deep.equal([false, 1]);
    tellAll(grants, 2, [{ party: "a", running: 40 }]);
    expect(grants.isDivided(5_000)).to.equal(false);
    expect(grants.aheadMs(0, 5_000)).to.equal(0);
  });

  it("fit together: two parties told the same divide busy nodes by what each has running there", () => {
    const presences = [{ party: "a", running: 45 }, { party: "b", running: 15 }];
    const [a, b] = [grantsOf("a", 8), grantsOf("b", 8)];
    for (const grants of [a, b]) tellAll(grants, 8, presences);
    const [ofA, ofB] = [partsOf(a, 8, 1_000), partsOf(b, 8, 1_000)];
    expect(sum(ofA)).to.be.closeTo(8 * (0.9 * 0.75 + 0.05), 0.02);
    for (const node of ofA.keys()) expect(ofA[node]! + ofB[node]!).to.be.closeTo(1, 0.02);
    expect([a, b].map((grants) => grants.parties(1_000))).to.deep.equal([2, 2]);
    expect(ofA.filter((part, node) => part > 0.02 && ofB[node]! > 0.02)).to.have.length.at.most(1);
  });

  it("let everybody have a part of what others hardly use, and of a node that is another's nothing", () => {
    const grants = grantsOf("a", 4);
    tellAll(grants, 4, [{ party: "a", running: 1 }, { party: "b", running: 1 }]);
    expect(Math.min(...partsOf(grants, 4, 0))).to.be.above(0.4);
    tellAll(grants, 4, [{ party: "a", running: 30 }, { party: "b", running: 30 }]);
    expect(Math.min(...partsOf(grants, 4, 60_000))).to.equal(0);
    expect(grants.aheadMs(3, 60_000)).to.equal(Infinity);
  });

  it("go back to who is left when a party ends, within some tens of seconds", () => {
    const grants = grantsOf("a", 4);
    tellAll(grants, 4, [{ party: "a", running: 30 }, { party: "b", running: 30 }]);
    expect(grants.isDivided(0)).to.equal(true);
    tellAll(grants, 4, [{ party: "a", running: 30 }]);
    expect(Math.min(...partsOf(grants, 4, 20_000))).to.be.above(0.4);
    for (let nowMs = 20_000; nowMs <= 90_000; nowMs += 1_000) grants.isDivided(nowMs);
    expect(grants.isDivided(91_000)).to.equal(false);
  });

  it("let who comes to a full fleet begin, and grow by what it has running", () => {
    const grants = grantsOf("z", 8);
    tellAll(grants, 8, [{ party: "a", running: 64 }]);
    expect(sum(partsOf(grants, 8, 0))).to.be.closeTo(8 * 0.05, 0.01);
    tellAll(grants, 8, [{ party: "a", running: 56 }, { party: "z", running: 8 }]);
    expect(sum(partsOf(grants, 8, 60_000))).to.be.closeTo(8 * (0.05 + 0.9 / 8), 0.02);
  });

  it("are no more in sum for a relayer that has more processes", () => {
    const presences = [...[1, 2, 3, 4].map((i) => ({ party: partyOf(1, `0x0${i}`), running: 8 })), { party: partyOf(2, "0x01"), running: 32 }];
    const partOf = (party: string): number => {
      const grants = grantsOf(party, 8);
      tellAll(grants, 8, presences);
      return sum(partsOf(grants, 8, 0));
    };
    expect(partOf(partyOf(2, "0x01"))).to.be.closeTo(4, 0.05);
    for (const { party } of presences.slice(0, 4)) expect(partOf(party)).to.be.closeTo(1, 0.05);
    expect(relayerOfParty(partyOf(7, null))).to.equal("7");
  });

  it("are used up by prompts for as long as the part of the node needs for them, and never for long", () => {
    const grants = grantsOf("a", 1);
    tellAll(grants, 1, [{ party: "a", running: 32 }, { party: "b", running: 32 }]);
    grants.sent(0, 100, 0);
    expect(grants.aheadMs(0, 0)).to.be.closeTo(200, 5);
    expect(grants.aheadMs(0, 500)).to.equal(0);
    grants.sent(0, 1e9, 500);
    expect(grants.aheadMs(0, 500)).to.equal(10_000);
  });

  it("believe no node beyond its slots, however many parties and requests it makes up", () => {
    const honest = [{ party: "a", running: 32 }, { party: "b", running: 32 }];
    const before = grantsOf("a", 8);
    tellAll(before, 8, honest);
    const lied = grantsOf("a", 8);
    tellAll(lied, 8, honest);
    lied.told(7, Array.from({ length: 256 }, (_, i) => ({ party: `fake ${i}`, running: 60_000 })));
    expect(sum(partsOf(lied, 8, 0))).to.be.above(0.8 * sum(partsOf(before, 8, 0)) - 0.5);
  });

  it("forget nobody who is there for names that a node makes up, though it was the first to tell", () => {
    const [before, lied] = [grantsOf("a", 8), grantsOf("a", 8)];
    for (const grants of [before, lied]) tellAll(grants, 8, [{ party: "a", running: 30 }, { party: "b", running: 30 }]);
    lied.told(0, Array.from({ length: 256 }, (_, i) => ({ party: `fake ${i}`, running: 1 })));
    expect(sum(partsOf(lied, 8, 0))).to.be.above(0.7 * sum(partsOf(before, 8, 0)));
    lied.told(0, Array.from({ length: 256 }, (_, i) => ({ party: `fake ${i}`, running: i < 2 ? 1 : 0 })));
    expect(sum(partsOf(lied, 8, 60_000))).to.be.above(0.9 * sum(partsOf(before, 8, 60_000)));
  });
});
