// What other processes gave payers: counted once each, however their tellings come.
import { expect } from "chai";
import fc from "fast-check";
import { LISTENED_MS, Others, PROCESSES_MAX, type GivenElsewhere, type Telling } from "../../../relayer/lobby/others.ts";
import { Tally, TALLIED_MAX, TOLD_MAX } from "../../../relayer/lobby/tally.ts";
import { FairQueue } from "../../../relayer/lobby/fairQueue.ts";
import type { Hash } from "../../../protocol/units.ts";

const MODEL: Hash = `0x${"0a".repeat(32)}`;
const OTHER_MODEL: Hash = `0x${"0b".repeat(32)}`;

const tellingOf = (tally: Tally, sequence: number, process = "p", modelId = MODEL): Telling => ({ process, sequence, models: new Map([[modelId, tally.tell(sequence)]]) });
const served = (given: readonly GivenElsewhere[]): Record<string, number> => Object.fromEntries(given.filter((one) => one.served !== 0).map((one) => [one.payer, one.served]));

describe("what a relayer's other processes gave", () => {
  it("is counted from when one began to listen, and each token once", () => {
    const [tally, others] = [new Tally(), new Others()];
    tally.add("x", "served", 100);
    expect(others.hear([tellingOf(tally, 1)], 0), "what was before is the past").to.deep.equal([]);
    tally.add("x", "served", 80);
    tally.add("z", "asked", 40);
    const second = tellingOf(tally, 2);
    expect(others.hear([second], 100)).to.deep.equal([
      { modelId: MODEL, payer: "z", served: 0, deferred: 0, asked: 40 }, { modelId: MODEL, payer: "x", served: 80, deferred: 0, asked: 0 },
    ]);
    expect(others.hear([second], 200)).to.deep.equal([]);
    tally.add("x", "served", -30);
    expect(served(others.hear([tellingOf(tally, 3)], 300)), "what was charged too much").to.deep.equal({ x: -30 });
  });

  it("is held against nobody by a process that has not listened for a while", () => {
    const [tally, others] = [new Tally(), new Others()];
    others.hear([tellingOf(tally, 1)], 0);
    tally.add("x", "served", 100);
    expect(others.hear([tellingOf(tally, 2)], LISTENED_MS + 1)).to.deep.equal([]);
    tally.add("x", "served", 5);
    expect(served(others.hear([tellingOf(tally, 3)], LISTENED_MS + 100))).to.deep.equal({ x: 5 });
  });

  it("is forgotten with a process that tells nothing more, and begins anew with one that comes", () => {
    const [tally, others] = [new Tally(), new Others()];
    others.hear([tellingOf(tally, 1)], 0);
    others.hear([], 100);
    tally.add("x", "served", 100);
    expect(others.hear([tellingOf(tally, 2)], 200)).to.deep.equal([]);
    const restarted = new Tally();
    restarted.add("x", "served", 7);
    expect(others.hear([tellingOf(restarted, 1, "p again")], 300)).to.deep.equal([]);
  });

  it("keeps models and processes apart", () => {
    const others = new Others();
    const [one, two] = [new Tally(), new Tally()];
    others.hear([tellingOf(one, 1), tellingOf(two, 1, "q", OTHER_MODEL)], 0);
    one.add("x", "served", 1);
    two.add("x", "served", 2);
    expect(others.hear([tellingOf(one, 2), tellingOf(two, 2, "q", OTHER_MODEL)], 1).map(({ modelId, served }) => [modelId, served])).to.deep.equal([[MODEL, 1], [OTHER_MODEL, 2]]);
  });

  it("adds up to what was given, whichever tellings are missed, doubled or late", () => {
    const gift = fc.record({ payer: fc.constantFrom("x", "y", "z"), tokens: fc.integer({ min: -50, max: 200 }) });
    const telling = fc.record({ gifts: fc.array(gift, { maxLength: 4 }), isHeard: fc.boolean(), late: fc.nat({ max: 40 }) });
    fc.assert(fc.property(fc.array(telling, { maxLength: 40 }), (tellings) => {
      const [tally, others] = [new Tally(), new Others()];
      const told = [tellingOf(tally, 1)];
      const [given, heard] = [new Map<string, number>(), new Map<string, number>()];
      const count = (sums: Map<string, number>, payer: string, tokens: number): unknown => sums.set(payer, (sums.get(payer) ?? 0) + tokens);
      const hear = (one: Telling): void => others.hear([one], 1).forEach(({ payer, served: tokens }) => count(heard, payer, tokens));
      hear(told[0]!);
      for (const [i, { gifts, isHeard, late }] of [...tellings, { gifts: [], isHeard: true, late: 0 }].entries()) {
        for (const { payer, tokens } of gifts) {
          tally.add(payer, "served", tokens);
          count(given, payer, tokens);
        }
        told.push(tellingOf(tally, told.length + 1));
        if (isHeard || i % 4 === 3) hear(told.at(-1)!);
        hear(told[late % Math.max(1, told.length - 4)]!);
      }
      for (const [payer, tokens] of given) expect(heard.get(payer) ?? 0, payer).to.equal(tokens);
    }), { numRuns: 200 });
  });

  it("keeps lines of several processes fair over the sum, whoever asks at which of them", () => {
    const [turns, rounds] = [4, 60];
    const places = fc.array(fc.uniqueArray(fc.nat({ max: 2 }), { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 6 });
    fc.assert(fc.property(places, fc.integer({ min: 20, max: 200 }), fc.integer({ min: 1, max: 2 }), (placesOf, costMax, waiting) => {
      const processes = [0, 1, 2].map((id) => new OneOfSeveral(`p${id}`, placesOf.flatMap((at, payer) => (at.includes(id) ? [`payer ${payer}`] : [])), waiting));
      const totals = new Map<string, number>();
      for (let round = 0; round < rounds; round++) {
        for (const process of processes) process.hear(processes.filter((one) => one !== process).map((one) => one.told), round);
        for (const process of processes) {
          for (let turn = 0; turn < turns; turn++) {
            // Those who have one at a time in line take turns, whatever each costs: within one process too.
            const served = process.serve(waiting === 1 ? costMax : 1 + ((round * 7 + turn * 13) % costMax));
            if (served) totals.set(served.payer, (totals.get(served.payer) ?? 0) + served.cost);
          }
          process.tell(round + 1);
        }
      }
      // Whoever was served at a process of late had no more, over all, than whoever else asked there: but for what was not yet told.
      for (const { payers, servedLast } of processes) {
        const least = Math.min(...payers.map((payer) => totals.get(payer) ?? 0));
        for (const payer of servedLast) expect(totals.get(payer)!, payer).to.be.at.most(least + 3 * turns * costMax);
      }
    }), { numRuns: 60 });
  });

  it("is told of the payers to whom something was given last, and remembered of a bounded number", () => {
    const tally = new Tally();
    for (let i = 0; i < TALLIED_MAX + 10; i++) tally.add(`payer ${i}`, "served", 1);
    tally.add("payer 0", "served", 5);
    const told = tally.tell(1);
    expect(told).to.have.length(TOLD_MAX);
    expect(told[0], "it was forgotten, and began anew").to.deep.equal({ payer: "payer 0", born: 1, served: 5, deferred: 0, asked: 0 });
    expect(tally.hasNews).to.equal(false);
  });

  it("is told a few times after its last change and then no more", () => {
    const tally = new Tally();
    tally.add("x", "served", 1);
    const counts = Array.from({ length: 20 }, (_, i) => tally.tell(i + 1).length);
    expect(counts[0]).to.equal(1);
    expect(counts.at(-1)).to.equal(0);
    tally.add("x", "served", 1);
    expect(tally.tell(21)).to.deep.equal([{ payer: "x", born: 1, served: 2, deferred: 0, asked: 0 }]);
  });

  it("counts an entry that its process forgot and began anew by what it tells since, not against what it told before", () => {
    const others = new Others();
    const entry = (born: number, tokens: number) => ({ payer: "x", born, served: tokens, deferred: 0, asked: 0 });
    const telling = (sequence: number, born: number, tokens: number): Telling => ({ process: "p", sequence, models: new Map([[MODEL, [entry(born, tokens)]]]) });
    others.hear([telling(1, 1, 1_000)], 0);
    expect(served(others.hear([telling(9, 9, 30)], 1))).to.deep.equal({ x: 30 });
    expect(served(others.hear([telling(10, 9, 31)], 2))).to.deep.equal({ x: 1 });
  });

  it("hears a bounded number of processes", () => {
    const others = new Others();
    const tellings = (sequence: number): Telling[] => Array.from({ length: PROCESSES_MAX + 5 }, (_, i) =>
      ({ process: `p${i}`, sequence, models: new Map([[MODEL, [{ payer: `x${i}`, born: 1, served: sequence, deferred: 0, asked: 0 }]]]) }));
    others.hear(tellings(1), 0);
    expect(others.hear(tellings(2), 1)).to.have.length(PROCESSES_MAX);
  });
});

/** A process whose payers always ask. */
class OneOfSeveral {
  readonly payers: readonly string[];
  /** In the last few turns. */
  servedLast: string[] = [];
  told: Telling;
  readonly #process: string;
  readonly #tally = new Tally();
  readonly #others = new Others();
  readonly #queue = new FairQueue<string>((payer, tokens) => this.#tally.add(payer, "served", tokens));

  /** @param waiting requests that each always has in line; one is none for a moment after each start */
  constructor(process: string, payers: readonly string[], waiting: number) {
    this.payers = payers;
    this.#process = process;
    for (let i = 0; i < waiting; i++) for (const payer of payers) this.#queue.push(payer, payer, 1, 0, 0);
    this.told = tellingOf(this.#tally, 1, process);
  }

  tell(round: number): void {
    this.told = tellingOf(this.#tally, round + 1, this.#process);
  }

  hear(tellings: readonly Telling[], nowMs: number): void {
    for (const { payer, served: tokens } of this.#others.hear(tellings, nowMs)) this.#queue.servedElsewhere(payer, tokens);
  }

  serve(cost: number): { readonly payer: string; readonly cost: number } | null {
    const [next] = this.#queue.first(1);
    if (!next) return null;
    this.#queue.start(next);
    this.#queue.charge(next.payer, cost - next.cost);
    this.#queue.push(next.item, next.payer, 1, 0, 0);
    this.servedLast = [...this.servedLast, next.payer].slice(-4);
    return { payer: next.payer, cost };
  }
}
