import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import fc from "fast-check";
import { decide, GATES, OPEN, Scratch } from "../../../relayer/routing/decide.ts";
import { CANDIDATES_MAX } from "../../../relayer/routing/parameters.ts";
import { MANY, manyDecisions } from "./manyDecisions.ts";
import { anyRows, drawWords, row, shardOf, task } from "./shards.ts";

const open = (): number => OPEN;
const full = GATES.indexOf("full");
const least = (scratch: Scratch): number => Math.min(...scratch.costs.subarray(0, scratch.count));

describe("decide", () => {
  it("decides the same in another process", function () {
    this.timeout(30_000);
    const script = fileURLToPath(new URL("./manyDecisions.ts", import.meta.url));
    const there = execFileSync(process.execPath, [script], { encoding: "utf8" }).trim();
    expect(there.split(",")).to.have.length(MANY);
    expect(there).to.equal(manyDecisions());
  });

  it("decides on every machine what it decided where this digest was made: a change here is a change of what auditors make again", () => {
    expect(createHash("sha256").update(manyDecisions()).digest("hex")).to.equal("b9a59bc1572c65123ca790d835ea48b0d77776862a4a1d55952cdc2302b447de");
  });

  it("chooses an open candidate, whatever the fleet", () => {
    const scratch = new Scratch();
    fc.assert(fc.property(anyRows(60), fc.nat(10_000), fc.integer({ min: 0, max: 2 ** 30 }), (rows, draw, closedBits) => {
      const shard = shardOf(rows);
      const gate = (at: number): number => ((closedBits >> (at % 30)) & 1 ? full : OPEN);
      const chosen = decide(shard, task(), drawWords(draw), gate, scratch);
      const anyOpen = rows.some((_, at) => gate(at) === OPEN);
      expect(chosen >= 0).to.equal(anyOpen);
      if (!anyOpen) return;
      expect(gate(chosen)).to.equal(OPEN);
      expect(scratch.count).to.be.at.most(CANDIDATES_MAX);
      expect([...scratch.rows.subarray(0, scratch.count)]).to.include(chosen);
      const weights = scratch.weights.subarray(0, scratch.count);
      expect(weights.reduce((sum, weight) => sum + weight, 0)).to.equal(scratch.weightSum);
      for (let i = 0; i < scratch.count; i++) if (scratch.gates[i] !== OPEN) expect(weights[i]).to.equal(0);
    }));
  });

  // Of one table: a node that comes into it may be less busy than all others, and a conversation's own node is worth less beside that one.
  it("never has a greater least cost for one candidate more of the same table", () => {
    fc.assert(fc.property(anyRows(16), fc.nat(15), fc.nat(10_000), fc.nat(15), (rows, at, draw, affinity) => {
      const added = at % rows.length;
      const shard = shardOf(rows);
      const what = task({ affinityNodeId: shard.rows[affinity % rows.length]!.nodeId, cachedTokens: 400 });
      const [without, withIt] = [new Scratch(), new Scratch()];
      decide(shard, what, drawWords(draw), open, withIt);
      if (decide(shard, what, drawWords(draw), (one) => (one === added ? full : OPEN), without) < 0) return;
      expect(least(withIt)).to.be.at.most(least(without));
    }));
  });

  it("never lowers a node's share when it attests less load", () => {
    fc.assert(fc.property(anyRows(16), fc.nat(15), fc.constantFrom("computeBps", "memoryBps", "queueBps", "networkBps", "queuedTokens"), (rows, at, key) => {
      const i = at % rows.length;
      const sorted = [...rows].sort((one, other) => one.nodeId - other.nodeId);
      const relieved = sorted.map((one, j) => (j === i ? { ...one, [key]: Math.floor(one[key] / 2) } : one));
      // The same pressure, so that only the one cost differs.
      const [before, after] = [shardOf(sorted), shardOf(relieved)];
      const [one, other] = [new Scratch(), new Scratch()];
      decide(before, task(), drawWords(1), open, one);
      decide({ ...after, pressure: before.pressure, leastBacklogTokens: before.leastBacklogTokens }, task(), drawWords(1), open, other);
      expect(other.weights[i]! * one.weightSum).to.be.at.least(one.weights[i]! * other.weightSum);
    }));
  });

  it("shares out what it decides as the weights say: 100,000 draws, 1 % of the whole", () => {
    // Others' eight sequences make the picture uncertain, so the temperature lets the second-best in.
    const rows = [0, 500, 1_500, 4_000].map((queueBps, i) => row(i + 1, { queueBps, computeBps: 2_500 }));
    const shard = shardOf(rows);
    const scratch = new Scratch();
    const counts = [0, 0, 0, 0];
    for (let draw = 0; draw < 100_000; draw++) counts[decide(shard, task({ ageMs: 1_000 }), drawWords(draw), open, scratch)]!++;
    expect(scratch.temperatureUs).to.be.greaterThan(10_000);
    for (const [i, count] of counts.entries()) expect(count / 100_000, `node ${i + 1}`).to.be.closeTo(scratch.weights[i]! / scratch.weightSum, 0.01);
    expect(counts[1]).to.be.greaterThan(1_000);
    expect(counts[0]! > counts[1]! && counts[1]! > counts[2]! && counts[2]! > counts[3]!).to.equal(true);
  });

  it("spreads equal nodes evenly: 100,000 draws over 64 nodes, each within a tenth of its share", () => {
    const shard = shardOf(Array.from({ length: 64 }, (_, i) => row(i + 1)));
    const scratch = new Scratch();
    const counts = Array<number>(64).fill(0);
    for (let draw = 0; draw < 100_000; draw++) counts[decide(shard, task(), drawWords(draw), open, scratch)]!++;
    for (const count of counts) expect(count).to.be.closeTo(100_000 / 64, 160);
  });

  it("does not run with the herd: sixteen relayers on one stale picture spread over the idle nodes", () => {
    // One node looks free, the rest a quarter busy with others' work; the picture is two seconds old.
    const rows = Array.from({ length: 16 }, (_, i) => row(i + 1, { computeBps: i === 0 ? 0 : 2_500, ageMs: 2_000 }));
    const counts = Array<number>(16).fill(0);
    const scratch = new Scratch();
    for (let draw = 0; draw < 16_000; draw++) counts[decide(shardOf(rows), task({ ageMs: 1_000 }), drawWords(draw), open, scratch)]!++;
    expect(Math.max(...counts) / 16_000).to.be.lessThan(0.5);
    expect(counts.every((count) => count > 0)).to.equal(true);
  });

  it("finds the one open node among a thousand by sweeping", () => {
    const shard = shardOf(Array.from({ length: 1_000 }, (_, i) => row(i + 1, { computeBps: 10_000 })));
    const scratch = new Scratch();
    expect(decide(shard, task(), drawWords(1), (at) => (at === 777 ? OPEN : full), scratch)).to.equal(777);
    expect(scratch.round).to.equal(3);
  });

  it("draws the conversation to its holder while that costs nobody", () => {
    const shard = shardOf([row(1), row(2), row(3)]);
    const chosen = (holder: number, draw: number): number => decide(shard, task({ inputTokens: 4_000, affinityNodeId: holder, cachedTokens: 4_000 }), drawWords(draw), open, new Scratch());
    for (let draw = 0; draw < 100; draw++) expect(chosen(2, draw)).to.equal(1);
    // A holder that left the table is no reason to fail.
    expect(chosen(99, 1)).to.be.within(0, 2);
  });

  for (const [name, rows] of [
    ["a fleet of one", [row(1)]],
    ["all nodes saturated in every dimension", [row(1), row(2)].map((one) => ({ ...one, computeBps: 10_000, memoryBps: 10_000, queueBps: 10_000, networkBps: 10_000 }))],
    ["absurd claims", [row(1, { slots: -4, modelSlots: -4, computeBps: -9, memoryBps: 70_000, kvFreeTokens: -1, queuedTokens: -7 }), row(2, { slots: 1_000_000, modelSlots: 1_000_000 })]],
    ["curves that say nothing", [row(1, { curve: { aNs: 0, bNs: 0, cNs: 0, dNs: 0, ePs: 0 } }), row(2)]],
  ] as const) {
    it(`stands ${name}`, () => {
      const scratch = new Scratch();
      expect(decide(shardOf(rows), task(), drawWords(1), open, scratch)).to.be.within(0, rows.length - 1);
      expect([...scratch.costs.subarray(0, scratch.count)].every(Number.isSafeInteger)).to.equal(true);
    });
  }

  it("says so where there is no node, or none open", () => {
    const scratch = new Scratch();
    expect(decide({ ...shardOf([row(1)]), rows: [], own: [], freeUpTo: new Float64Array(0) }, task(), drawWords(1), open, scratch)).to.equal(-1);
    expect(decide(shardOf([row(1), row(2)]), task(), drawWords(1), () => full, scratch)).to.equal(-1);
    expect(decide(shardOf(Array.from({ length: 300 }, (_, i) => row(i + 1))), task(), drawWords(1), () => full, scratch)).to.equal(-1);
  });
});
