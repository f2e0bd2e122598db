// The guide over made-up nodes: nobody is lost, no node gets more than its slots, predictions hold nobody up.
import { expect } from "chai";
import fc from "fast-check";
import { Floor } from "../../../relayer/lobby/floor.ts";
import { Guide } from "../../../relayer/lobby/guide.ts";
import { Grants } from "../../../relayer/lobby/grants.ts";
import { LOBBY } from "../../../relayer/lobby/lobby.ts";
import { GATES, OPEN } from "../../../relayer/routing/decide.ts";
import type { Errand, Holder } from "../../../relayer/lobby/errand.ts";
import type { NodeModel } from "../../../relayer/lobby/predict.ts";

const MODEL: NodeModel = { curve: { aNs: 10e6, bNs: 100_000, cNs: 300, dNs: 50_000, ePs: 0 }, slots: 2, kvTokens: 100_000, chunkTokens: 500 };

class World {
  readonly started = new Map<string, number>();
  readonly refused = new Map<string, string>();
  readonly closed = new Map<number, number>();
  readonly holders = new Map<string, Holder>();
  readonly guide: Guide<string>;
  nowMs = 0;

  /** Null: nobody else sends to these nodes. */
  readonly grants: Grants | null;

  constructor(models: readonly NodeModel[] = [MODEL], parameters = LOBBY, party: string | null = null, bestTtftMs = 50) {
    const floor = new Floor<string>();
    this.grants = party === null ? null : new Grants(floor, party);
    this.guide = new Guide<string>(floor, {
      gate: (node) => this.closed.get(node) ?? OPEN, holderOf: ({ key }) => this.holders.get(key) ?? null, bestTtftMs: () => bestTtftMs,
      choose: (_errand, _tokens, _nowMs, gate) => this.guide.floor.models.findIndex((_, node) => gate(node) === OPEN),
      start: ({ key }, node) => { this.started.set(key, node); },
      refuse: ({ key }, reason) => { this.refused.set(key, reason); },
    }, parameters, this.grants);
    for (const model of models) {
      const node = this.guide.join(model, 0);
      this.grants?.stand(node, { nodeId: node + 1, hardwareClass: 0, readMs: 100 });
    }
  }

  errand(key: string, more: Partial<Errand<string>> = {}): Errand<string> {
    return {
      key, payer: "p", conversation: "", arrivalMs: this.nowMs, inputTokens: 100, maxOutTokens: 50, ttftTargetMs: 2_000, tpotTargetMs: 100, bestTtftMs: 50, isPatient: true, waitMsMax: Infinity, dueMs: null,
      weight: 1, ...more,
    };
  }

  arrive(key: string, more: Partial<Errand<string>> = {}) {
    return this.guide.arrived(this.errand(key, more), this.nowMs);
  }

  end(key: string): void {
    const node = this.started.get(key)!;
    this.guide.firstToken(key, node, this.nowMs);
    this.guide.ended(key, 20, 20, this.nowMs);
    this.started.delete(key);
  }

  pass(ms: number): void {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; ) {
      this.nowMs += 50;
      this.guide.passed(this.nowMs, ({ key }, node) => this.guide.suspect(key, node, this.nowMs));
    }
  }
}

describe("the guide", () => {
  it("starts what has room, announces the rest behind it, and moves up who stays when one leaves", () => {
    const world = new World();
    const told = ["a", "b", "c", "d", "e"].map((key) => world.arrive(key)!.position);
    expect(told).to.deep.equal([1, 1, 1, 2, 3]);
    expect([...world.started.keys()]).to.deep.equal(["a", "b"]);
    expect(world.guide.leave("c")).to.equal(true);
    expect(world.guide.leave("c")).to.equal(false);
    expect(world.guide.announce(0).map(({ errand, announced }) => [errand.key, announced.position])).to.deep.equal([["d", 1], ["e", 2]]);
    world.end("a");
    expect([...world.started.keys()]).to.deep.equal(["b", "d"]);
  });

  it("refuses at once a wait that is longer than allowed, and never one that was promised", () => {
    const world = new World();
    for (const key of ["a", "b", "c"]) world.arrive(key);
    world.guide.expectStarts(1 / 10_000);
    expect(world.arrive("short", { waitMsMax: 900 })).to.equal(null);
    expect(world.refused.get("short")).to.equal("wait_too_long");
    world.pass(120_000);
    expect(world.refused.has("c")).to.equal(false);
  });

  it("lets nodes come and go: a gone one gets nothing, a newcomer takes over", () => {
    const world = new World();
    world.guide.floor.restate(0, { ...MODEL, slots: 0 });
    world.arrive("a");
    expect(world.started.size).to.equal(0);
    expect(world.guide.join(MODEL, 1)).to.equal(1);
    world.guide.pump(world.nowMs);
    expect(world.started.get("a")).to.equal(1);
    world.guide.floor.restate(0, MODEL);
    for (const key of ["b", "c", "d"]) world.arrive(key);
    expect(world.started.size).to.equal(4);
  });

  it("sends a prompt that no node could read in time to the one that holds most of it, and to none where that one has no room", () => {
    const world = new World([MODEL, MODEL, { ...MODEL, curve: { ...MODEL.curve, bNs: 90_000 } }]);
    for (const key of ["held", "held too", "new"]) {
      if (key !== "new") world.holders.set(key, { node: 1, cachedTokens: 39_000 });
      world.arrive(key, { inputTokens: 40_000, isPatient: false });
      if (key === "held") world.closed.set(1, GATES.indexOf("full"));
    }
    expect([...world.started]).to.deep.equal([["held", 1]]);
    world.closed.delete(1);
    world.guide.pump(world.nowMs);
    expect([...world.started]).to.deep.equal([["held", 1], ["held too", 1]]);
    world.pass(2_000);
    expect([...world.refused]).to.deep.equal([["new", "too_late"]]);
  });

  it("aims at no quicker first tokens for the small than the large can have", () => {
    // 100 tokens take the first node 120 ms, 6 % of the target, and the second one a third of that.
    const models = [{ ...MODEL, curve: { ...MODEL.curve, bNs: 1_000_000 } }, { ...MODEL, curve: { ...MODEL.curve, bNs: 200_000 } }].map((one) => ({ ...one, chunkTokens: 50 }));
    for (const [bestTtftMs, node] of [[20, 1], [500, 0]] as const) {
      const world = new World(models, LOBBY, null, bestTtftMs);
      for (let i = 0; i < 20; i++) {
        world.nowMs += 500;
        world.arrive(`${i}`, { isPatient: false });
        if (i < 19) world.end(`${i}`);
      }
      expect(world.started.get("19"), `${bestTtftMs} ms at best`).to.equal(node);
    }
  });

  it("takes a retry before those who came later, whatever the line", () => {
    const world = new World();
    for (const key of ["a", "b", "c", "d"]) world.arrive(key);
    world.guide.silent("a", 0, world.nowMs);
    world.started.delete("a");
    world.guide.again(world.errand("a again"), world.nowMs);
    world.pass(1_500);
    world.end("b");
    expect([...world.started.keys()], "in this order").to.deep.equal(["a again", "c"]);
  });

  it("takes every retry before whoever waits, though each of those is of a conversation that had nothing yet", () => {
    const world = new World();
    for (const key of ["a", "b"]) world.arrive(key, { conversation: key });
    for (const key of ["c", "d", "e"]) world.arrive(key, { conversation: key });
    for (const key of ["a", "b"]) world.guide.silent(key, 0, world.nowMs);
    for (const key of ["a", "b"]) world.guide.again(world.errand(`${key} again`, { conversation: key }), world.nowMs);
    expect(world.guide.announce(world.nowMs).map(({ errand }) => errand.key)).to.deep.equal(["a again", "b again", "c", "d", "e"]);
  });

  it("sends nothing more to a node that is silent, then one at a time, and all again once it answers", () => {
    const world = new World([{ ...MODEL, slots: 4 }]);
    world.arrive("a");
    world.pass(5_000);
    world.arrive("b");
    expect(world.started.has("b"), "a's first token is long overdue").to.equal(false);
    world.guide.silent("a", 0, world.nowMs);
    world.started.delete("a");
    world.arrive("c");
    world.pass(3_000);
    expect(world.started.size, "one finds out whether it is back").to.equal(1);
    world.guide.firstToken([...world.started.keys()][0]!, 0, world.nowMs);
    expect(world.started.size).to.equal(2);
  });

  it("does not let predictions hold up a booking: overdue, it takes any free slot", () => {
    const slow: NodeModel = { ...MODEL, curve: { ...MODEL.curve, aNs: 5e9 } };
    const world = new World([slow]);
    world.arrive("a");
    expect(world.started.size, "its pace would be fifty times too slow").to.equal(0);
    world.pass(3_000);
    expect(world.started.size).to.equal(1);
  });

  it("defers what may lie, starts it while four tenths are free, and claims a place before it is due", () => {
    const world = new World([{ ...MODEL, slots: 10 }]);
    for (let i = 0; i < 6; i++) world.arrive(`now${i}`);
    world.arrive("flex", { dueMs: 60_000 });
    expect(world.started.has("flex")).to.equal(false);
    expect(world.guide.deferred).to.equal(1);
    world.end("now0");
    expect(world.started.has("flex")).to.equal(true);
    for (let i = 6; i < 9; i++) world.arrive(`now${i}`);
    world.arrive("due", { dueMs: world.nowMs + 20_000 });
    for (const key of world.started.keys()) world.guide.firstToken(key, 0, world.nowMs);
    expect(world.started.has("due")).to.equal(false);
    world.pass(19_000);
    expect(world.started.has("due"), "there was a slot, though no ebb").to.equal(true);
    expect(world.nowMs).to.be.below(20_000);
  });

  it("gives who pays for priority twice as much of a full fleet", () => {
    const world = new World([{ ...MODEL, slots: 1 }]);
    world.arrive("first", { payer: "x" });
    for (let i = 0; i < 40; i++) {
      world.arrive(`dear${i}`, { payer: "dear", weight: 0.5 });
      world.arrive(`plain${i}`, { payer: "plain" });
    }
    const order: string[] = [];
    while (order.length < 30) {
      const [running] = [...world.started.keys()];
      world.end(running!);
      order.push([...world.started.keys()][0]!);
    }
    expect(order.filter((key) => key.startsWith("dear")).length).to.be.within(18, 22);
  });

  it("loses nobody and overfills no node, whatever comes, ends, falls silent, leaves or goes", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("arrive" as const), payer: fc.constantFrom("p", "q"), isPatient: fc.boolean(), isFlex: fc.boolean(), inputTokens: fc.integer({ min: 1, max: 20_000 }) }),
      fc.record({ kind: fc.constantFrom("end" as const, "silent" as const, "leave" as const), which: fc.nat() }),
      fc.record({ kind: fc.constantFrom("slots" as const, "gate" as const), node: fc.integer({ min: 0, max: 2 }), value: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 5_000 }) }),
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = new World([MODEL, MODEL, { ...MODEL, slots: 1 }]);
      const [all, left, done]: [string[], Set<string>, Set<string>] = [[], new Set(), new Set()];
      const onNode = (node: number): number => [...world.started.values()].filter((one) => one === node).length;
      for (const one of steps) {
        const running = [...world.started.keys()];
        const filled = world.guide.floor.models.map(({ slots }, node) => Math.max(slots, onNode(node)));
        if (one.kind === "arrive") {
          const key = `${all.length}`;
          all.push(key);
          world.arrive(key, { payer: one.payer, isPatient: one.isPatient || one.isFlex, inputTokens: one.inputTokens, dueMs: one.isFlex ? world.nowMs + 30_000 : null });
        } else if (one.kind === "end" || one.kind === "silent") {
          const key = running[one.which % Math.max(1, running.length)];
          if (key === undefined) continue;
          done.add(key);
          if (one.kind === "end") world.end(key);
          else {
            world.guide.silent(key, world.started.get(key)!, world.nowMs);
            world.started.delete(key);
          }
        } else if (one.kind === "leave") {
          const key = all[one.which % Math.max(1, all.length)];
          if (key !== undefined && world.guide.leave(key)) left.add(key);
        } else if (one.kind === "slots") world.guide.floor.restate(one.node, { ...MODEL, slots: one.value });
        else if (one.kind === "gate") world.closed.set(one.node, one.value === 0 ? 1 : OPEN);
        else if (one.kind === "pass") world.pass(one.ms);
        world.guide.floor.models.forEach((model, node) => expect(onNode(node)).to.be.at.most(Math.max(model.slots, filled[node]!)));
        const waiting = world.guide.announce(world.nowMs).map(({ errand }) => errand.key);
        const known = [...world.started.keys(), ...world.refused.keys(), ...left, ...done, ...waiting];
        expect(known.toSorted()).to.deep.equal(all.toSorted());
      }
      // At last everything works again, and everybody who waits is served.
      world.closed.clear();
      for (let node = 0; node < 3; node++) world.guide.floor.restate(node, { ...MODEL, slots: 2 });
      for (let round = 0; round < 400 && (world.guide.waiting + world.guide.deferred > 0 || world.started.size > 0); round++) {
        for (const key of [...world.started.keys()]) world.end(key);
        world.pass(1_000);
      }
      expect(world.guide.waiting + world.guide.deferred).to.equal(0);
    }), { numRuns: 60 });
  });

  describe("among other relayers", () => {
    const WIDE = { ...MODEL, slots: 64 };
    /** Four nodes, of which the first two are this relayer's by what all tell, and all are busy. */
    const shared = (): World => {
      const world = new World([WIDE, WIDE, WIDE, WIDE], LOBBY, "a");
      for (let node = 0; node < 4; node++) world.grants!.told(node, [{ party: "a", running: 30 }, { party: "b", running: 30 }]);
      return world;
    };

    it("keeps to its own parts, and sends as much there as they can read", () => {
      const world = shared();
      for (const key of "abcdefgh") world.arrive(key, { inputTokens: 2_000, isPatient: false });
      const nodes = [...world.started.values()];
      expect(new Set(nodes)).to.deep.equal(new Set([0, 1]));
      expect(world.started.size).to.equal(2);
      world.pass(1_000);
      expect(new Set(world.started.values())).to.deep.equal(new Set([0, 1]));
      expect(world.started.size).to.be.within(4, 8);
    });

    it("counts the own part of a node as used up for as long as the node has proved to need, not as it says", () => {
      const usedMs = (slowness: number): number => {
        const world = shared();
        const { floor } = world.guide;
        for (let i = 0; i < 12; i++) {
          floor.sent(`early ${i}`, 0, 2_000, 0, world.nowMs);
          world.nowMs += slowness * (floor.predictedMs(`early ${i}`) - world.nowMs) / floor.pace(0, world.nowMs);
          floor.firstToken(`early ${i}`, world.nowMs);
          floor.ended(`early ${i}`, null, world.nowMs);
        }
        for (const node of [1, 2, 3]) world.closed.set(node, GATES.indexOf("unfit"));
        world.arrive("a", { inputTokens: 2_000, tpotTargetMs: 1_000 });
        expect(world.started.get("a")).to.equal(0);
        return world.grants!.aheadMs(0, world.nowMs);
      };
      expect(usedMs(4) / usedMs(1)).to.be.within(2, 4);
    });

    it("sends who has waited for long wherever there is room", () => {
      const world = shared();
      for (let i = 0; i < 40; i++) world.arrive(`${i}`, { inputTokens: 2_000 });
      world.pass(1_500);
      expect([...world.started.values()].filter((node) => node > 1)).to.deep.equal([]);
      world.pass(1_500);
      expect([...world.started.values()].filter((node) => node > 1)).to.not.deep.equal([]);
    });

    it("keeps what is deferred to its own parts until its time comes, however long it has lain", () => {
      const world = shared();
      for (let i = 0; i < 40; i++) world.arrive(`${i}`, { inputTokens: 2_000, dueMs: 30_000 });
      world.pass(10_000);
      expect(world.started.size).to.be.above(10);
      expect([...world.started.values()].filter((node) => node > 1), "nodes that are another's").to.deep.equal([]);
      for (const node of [0, 1]) world.closed.set(node, GATES.indexOf("full"));
      world.pass(20_000);
      expect([...world.started.values()].filter((node) => node > 1)).to.not.deep.equal([]);
    });

    it("sends elsewhere at once what none of its own nodes can take", () => {
      const world = shared();
      for (const node of [0, 1]) world.closed.set(node, GATES.indexOf("unfit"));
      world.arrive("a", { isPatient: false });
      expect(world.started.get("a")).to.equal(2);
    });
  });
});
