// Who is next: virtual token counters between payers, deadlines within one.
import { expect } from "chai";
import fc from "fast-check";
import { FairQueue } from "../../../relayer/lobby/fairQueue.ts";
import type { Waiting } from "../../../relayer/lobby/payerLine.ts";

const drain = (queue: FairQueue<string>, count = Infinity): string[] => {
  const order: string[] = [];
  while (order.length < count && queue.size > 0) {
    const [first] = queue.first(1);
    queue.start(first!);
    order.push(first!.item);
  }
  return order;
};

describe("the fair queue", () => {
  it("property: counts no further than asked, and says the same of whether so many are ahead", () => {
    const pushed = fc.array(fc.record({ payer: fc.integer({ min: 0, max: 8 }), cost: fc.integer({ min: 1, max: 300 }) }), { minLength: 1, maxLength: 60 });
    fc.assert(fc.property(pushed, fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 20 }), (all, most, starts) => {
      const queue = new FairQueue<string>();
      for (const { payer, cost } of all) queue.push("x", `${payer}`, cost, 0, 0);
      drain(queue, starts);
      expect(queue.aheadOfNext("0", "", most) <= most).to.equal(queue.aheadOfNext("0") <= most);
    }));
  });

  it("serves payers by what they were served, not by how much they ask", () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 6; i++) queue.push(`greedy${i}`, "greedy", 100, 0, 0);
    queue.push("small0", "small", 100, 0, 0);
    queue.push("small1", "small", 100, 0, 0);
    expect(drain(queue)).to.deep.equal(["greedy0", "small0", "greedy1", "small1", "greedy2", "greedy3", "greedy4", "greedy5"]);
  });

  it("counts tokens: who asks for twice as much each time is served half as often", () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 40; i++) queue.push("big", "big", 200, 0, 0);
    for (let i = 0; i < 40; i++) queue.push("little", "little", 100, 0, 0);
    const first = drain(queue, 30);
    expect(first.filter((item) => item === "big").length).to.equal(10);
  });

  it("orders a payer's own by deadline, and equals by arrival", () => {
    const queue = new FairQueue<string>();
    for (const [item, deadline] of [["c", 30], ["a", 10], ["d", 30], ["b", 20]] as const) queue.push(item, "p", 1, deadline, 0);
    expect(drain(queue)).to.deep.equal(["a", "b", "c", "d"]);
  });

  it("keeps back who waits here by what it was served elsewhere, and lets it go on by what was taken back", () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 4; i++) for (const payer of ["both", "here"]) queue.push(payer, payer, 100, 0, 0);
    queue.servedElsewhere("both", 250);
    expect(drain(queue, 4)).to.deep.equal(["here", "here", "here", "both"]);
    queue.servedElsewhere("both", -150);
    expect(drain(queue)).to.deep.equal(["both", "both", "here", "both"]);
  });

  it("counts what somebody was served elsewhere from where those stand who wait here: it was in line all the while", () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 8; i++) queue.push("here", "here", 100, 0, 0);
    drain(queue, 4);
    queue.servedElsewhere("both", 150);
    for (let i = 0; i < 2; i++) queue.push("both", "both", 100, 0, 0);
    expect(drain(queue, 4)).to.deep.equal(["here", "here", "both", "here"]);
  });

  it("lets who comes to an empty line start level with who is served elsewhere", () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 10; i++) queue.servedElsewhere("both", 1_000);
    for (let i = 0; i < 2; i++) for (const payer of ["new", "both"]) queue.push(payer, payer, 400, 0, 0);
    expect(drain(queue)).to.deep.equal(["new", "new", "both", "both"]);
    for (let i = 0; i < 2; i++) for (const payer of ["both", "new", "newer"]) queue.push(payer, payer, 400, 0, 0);
    expect(drain(queue, 4), "nobody has to be served ten thousand first").to.include("both");
  });

  it("leaves who has one request at a time ahead of who is served elsewhere, though it is gone for a moment after each", () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 9; i++) queue.push("both", "both", 100, 0, 0);
    queue.push("one", "one", 100, 0, 0);
    queue.servedElsewhere("both", 450);
    const order: string[] = [];
    for (let i = 0; i < 8; i++) {
      order.push(...drain(queue, 1));
      if (order.at(-1) === "one") queue.push("one", "one", 100, 0, 0);
    }
    expect(order.join(" ")).to.equal("one one one one one both one both");
  });

  it("keeps nobody back for ever, whatever it was served elsewhere", () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 30; i++) for (const payer of ["both", "here"]) queue.push(payer, payer, 100_000, 0, 0);
    for (let i = 0; i < 100; i++) queue.servedElsewhere("both", 1e6);
    expect(drain(queue, 7).filter((payer) => payer === "both")).to.have.length(1);
  });

  it("puts nobody before others for what it gives back elsewhere of more than was counted here", () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 600; i++) for (const payer of ["both", "here"]) queue.push(payer, payer, 10_000, 0, 0);
    drain(queue, 600);
    // A thousand long answers that are begun together and given up together; or given up by themselves, begun when nobody listened.
    for (const tokens of [2e6, -2e6, -2e6]) queue.servedElsewhere("both", tokens);
    expect(drain(queue, 10).filter((payer) => payer === "both").length).to.be.within(5, 7);
  });

  it("lifts who comes back to the least of those present: staying away saves up nothing", () => {
    const queue = new FairQueue<string>();
    queue.push("x", "idle", 1, 0, 0);
    drain(queue);
    for (let i = 0; i < 10; i++) queue.push("busy", "busy", 100, 0, 0);
    drain(queue, 6);
    for (let i = 0; i < 4; i++) queue.push("idle", "idle", 100, 0, 0);
    expect(drain(queue, 6).filter((item) => item === "idle").length).to.be.within(2, 4);
  });

  it("charges what turns out to cost more, and gives back what cost less", () => {
    const queue = new FairQueue<string>();
    queue.push("a", "a", 10, 0, 0);
    queue.push("b", "b", 10, 0, 0);
    queue.charge("a", 500);
    expect(queue.first(1)[0]!.item).to.equal("b");
    queue.charge("b", 900);
    expect(queue.first(1)[0]!.item).to.equal("a");
    queue.charge("b", -1e9);
    expect(queue.first(1)[0]!.item).to.equal("b");
  });

  it("tells the first few in the order in which they would really start", () => {
    const entry = fc.record({ payer: fc.integer({ min: 0, max: 4 }), cost: fc.integer({ min: 1, max: 50 }), deadline: fc.integer({ min: 0, max: 20 }) });
    fc.assert(fc.property(fc.array(entry, { minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 12 }), (entries, count) => {
      const queue = new FairQueue<string>();
      for (const [i, one] of entries.entries()) queue.push(String(i), `p${one.payer}`, one.cost, one.deadline, 0);
      const told = queue.first(count).map((one) => one.item);
      expect(queue.first(count).map((one) => one.item)).to.deep.equal(told);
      expect(queue.size).to.equal(entries.length);
      expect(new Set(told).size).to.equal(Math.min(count, entries.length));
      // Equal counters may be told in another order than that of arrival; the first is always the one that starts.
      expect(drain(queue, 1)[0]).to.equal(told[0]);
    }));
  });

  it("keeps its count and loses nobody under any order of pushes, starts and removals", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("push" as const), payer: fc.integer({ min: 0, max: 3 }), cost: fc.integer({ min: 1, max: 9 }), deadline: fc.integer({ min: 0, max: 9 }) }),
      fc.record({ kind: fc.constant("start" as const) }), fc.record({ kind: fc.constant("remove" as const), which: fc.nat(20) }),
      fc.record({ kind: fc.constant("charge" as const), payer: fc.integer({ min: 0, max: 3 }), by: fc.integer({ min: -30, max: 30 }) }),
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new FairQueue<number>();
      const held: Waiting<number>[] = [];
      let pushed = 0;
      for (const one of steps) {
        if (one.kind === "push") held.push(queue.push(pushed++, `p${one.payer}`, one.cost, one.deadline, 0));
        if (one.kind === "charge") queue.charge(`p${one.payer}`, one.by);
        if (one.kind === "remove" && held.length > 0) expect(queue.remove(held.splice(one.which % held.length, 1)[0]!)).to.equal(true);
        if (one.kind !== "start" || held.length === 0) continue;
        const first = queue.first(1)[0]!;
        queue.start(first);
        held.splice(held.indexOf(first), 1);
      }
      expect(queue.size).to.equal(held.length);
      expect(queue.first(100).map((one) => one.item).sort((a, b) => a - b)).to.deep.equal(held.map((one) => one.item).sort((a, b) => a - b));
    }));
  });

  it("gives payers their parts however many conversations they have", () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 20; i++) queue.push("many", "many", 100, 0, 0, `chat ${i}`);
    for (let i = 0; i < 20; i++) queue.push("one", "one", 100, 0, 0, "batch");
    expect(drain(queue, 20).filter((item) => item === "many").length).to.equal(10);
  });

  it("foretells who of a payer's own stands before a conversation's next", () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 10; i++) queue.push(`batch${i}`, "p", 100, i, 0, "batch");
    queue.push("other", "q", 150, 0, 0);
    expect([queue.aheadOfNext("p", "batch"), queue.aheadOfNext("p", "chat")]).to.deep.equal([11, 2]);
    queue.push("chat", "p", 100, 99, 0, "chat");
    expect(queue.inOrder().map((one) => one.item).indexOf("chat")).to.equal(2);
    expect(drain(queue, 3)).to.deep.equal(["batch0", "other", "chat"]);
  });

  it("knows of a second removal that there is nothing to remove", () => {
    const queue = new FairQueue<string>();
    const entry = queue.push("a", "a", 1, 0, 0);
    expect(queue.remove(entry)).to.equal(true);
    expect(queue.remove(entry)).to.equal(false);
  });
});
