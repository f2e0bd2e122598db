// A payer's own line: its conversations share what the payer gets, deadlines decide among equals, and nobody is kept out.
import { expect } from "chai";
import fc from "fast-check";
import { PayerLine, type Waiting } from "../../../relayer/lobby/payerLine.ts";

let arrivals = 0;
const entry = (conversation: string, cost = 100, deadlineMs = 0): Waiting<string> =>
  ({ item: conversation, payer: "p", conversation, cost, deadlineMs, sinceMs: 0, order: arrivals++ });

function startNext(line: PayerLine<string>): Waiting<string> {
  const first = line.first!;
  line.started(first);
  expect(line.remove(first)).to.equal(true);
  return first;
}

const lineOf = (entries: readonly Waiting<string>[]): PayerLine<string> => {
  const line = new PayerLine<string>();
  for (const one of entries) line.push(one);
  return line;
};

const byDeadline = (one: Waiting<string>, other: Waiting<string>): number => one.deadlineMs - other.deadlineMs || one.order - other.order;

describe("a payer's line", () => {
  it("lets a chat in between a batch that came before it", () => {
    const line = lineOf(Array.from({ length: 50 }, () => entry("batch", 100, 10)));
    for (let i = 0; i < 5; i++) startNext(line);
    line.push(entry("chat", 100, 99));
    expect([startNext(line), startNext(line), startNext(line)].map((one) => one.conversation)).to.include("chat");
  });

  it("shares by tokens: who asks for four times as much each time starts a fourth as often", () => {
    const line = lineOf([...Array.from({ length: 60 }, () => entry("large", 400)), ...Array.from({ length: 60 }, () => entry("small", 100))]);
    const started = Array.from({ length: 50 }, () => startNext(line).conversation);
    expect(started.filter((one) => one === "large").length).to.be.within(9, 11);
  });

  it("knows nothing but deadlines where there is one conversation, or one request in each", () => {
    const deadlines = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 500 })), { minLength: 1, maxLength: 30 });
    fc.assert(fc.property(deadlines, fc.boolean(), (ends, isOne) => {
      const entries = ends.map(([deadlineMs, cost], i) => entry(isOne ? "" : `chat ${i}`, cost, deadlineMs));
      const line = lineOf(entries);
      expect(entries.map(() => startNext(line))).to.deep.equal([...entries].sort(byDeadline));
    }));
  });

  it("has the first of each by deadline, then always whoever had least before, as a plain search for the least finds them", () => {
    const requests = fc.array(fc.tuple(fc.nat(12), fc.integer({ min: 1, max: 3 }), fc.nat(5)), { minLength: 1, maxLength: 60 });
    fc.assert(fc.property(requests, (all) => {
      const entries = all.map(([conversation, cost, deadlineMs]) => entry(String(conversation), cost, deadlineMs));
      const lines = [...Map.groupBy(entries, ({ conversation }) => conversation).values()].map((one) => one.sort(byDeadline));
      const expected = lines.map((one) => one[0]!).sort(byDeadline);
      const left = lines.map((waiting) => ({ waiting, next: 1, by: waiting[0]!.cost })).filter(({ waiting }) => waiting.length > 1);
      while (lines.length > 1 && left.length > 0) {
        const least = left.sort((one, other) => one.by - other.by || byDeadline(one.waiting[one.next]!, other.waiting[other.next]!))[0]!;
        expected.push(least.waiting[least.next]!);
        least.by += least.waiting[least.next++]!.cost;
        if (least.next === least.waiting.length) left.shift();
      }
      expect([...lineOf(entries).inTurn()]).to.deep.equal(lines.length > 1 ? expected : lines[0]);
    }));
  });

  it("never lets one that always has something waiting get ahead of another by more than a request of each", () => {
    const costs = fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 50 })), { minLength: 30, maxLength: 90 });
    fc.assert(fc.property(costs, (more) => {
      const line = lineOf([0, 1, 2].map((i) => entry(String(i), 300, i)));
      const served = [0, 0, 0];
      for (const [conversation, cost, deadlineMs] of more) {
        // Each has at least two waiting at any time, so that none is without claim.
        for (let i = 0; i < 3; i++) line.push(entry(String(i), i === conversation ? cost : 150, deadlineMs));
        const one = startNext(line);
        served[Number(one.conversation)]! += one.cost;
        expect(Math.max(...served) - Math.min(...served)).to.be.at.most(600);
      }
    }));
  });

  it("keeps nobody out, however many new conversations come before its next", () => {
    const line = lineOf([entry("old"), entry("old")]);
    startNext(line);
    let rounds = 0;
    for (; rounds < 100 && line.aheadOf("old").count > 0; rounds++) {
      for (let i = 0; i < 2; i++) line.push(entry(`new ${rounds} ${i}`, 100, rounds));
      if (startNext(line).conversation === "old") break;
    }
    expect(rounds).to.be.below(20);
  });

  it("remembers who was served beyond its part while others wait, and forgets it when nobody does", () => {
    const line = lineOf([entry("greedy"), entry("greedy"), entry("a", 100, 5), entry("b", 100, 6)]);
    expect(startNext(line).conversation).to.equal("greedy");
    const left = [...line.inTurn()].find((one) => one.conversation === "greedy")!;
    line.remove(left);
    line.push(entry("greedy", 100, -1));
    expect([...line.inTurn()].map((one) => one.conversation)).to.deep.equal(["a", "b", "greedy"]);
    while (line.size > 0) startNext(line);
    line.push(entry("a", 100, 5));
    line.push(entry("greedy", 100, -1));
    expect(line.first!.conversation).to.equal("greedy");
  });

  it("foretells the order and the place of the next, and loses nobody, under any pushes, starts and removals", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("push" as const), conversation: fc.integer({ min: 0, max: 3 }), cost: fc.integer({ min: 1, max: 99 }), deadline: fc.integer({ min: 0, max: 9 }) }),
      fc.record({ kind: fc.constant("start" as const) }), fc.record({ kind: fc.constant("remove" as const), which: fc.nat(20) }),
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const line = new PayerLine<string>();
      const held = new Set<Waiting<string>>();
      for (const one of steps) {
        const turns = [...line.inTurn()];
        expect(line.first).to.equal(turns[0]);
        expect([...turns].sort((a, b) => a.order - b.order)).to.deep.equal([...held].sort((a, b) => a.order - b.order));
        if (one.kind === "push") {
          const pushed = entry(String(one.conversation), one.cost, 10 + one.deadline);
          held.add(pushed);
          line.push(pushed);
        } else if (one.kind === "start" && line.size > 0) held.delete(startNext(line));
        else if (one.kind === "remove" && held.size > 0) {
          const removed = [...held][one.which % held.size]!;
          held.delete(removed);
          expect([line.remove(removed), line.remove(removed)]).to.deep.equal([true, false]);
        }
        expect(line.size).to.equal(held.size);
        expect(line.cost).to.equal([...held].reduce((sum, { cost }) => sum + cost, 0));
        const { count, cost } = line.aheadOf("nobody yet");
        const late = entry("nobody yet", 1, 1_000);
        line.push(late);
        const all = [...line.inTurn()];
        const before = all.slice(0, all.indexOf(late));
        line.remove(late);
        expect([count, cost]).to.deep.equal([before.length, before.reduce((sum, each) => sum + each.cost, 0)]);
      }
    }));
  });
});
