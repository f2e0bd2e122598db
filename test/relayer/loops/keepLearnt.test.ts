// A relayer process that starts again knows its nodes: real receptions before and after, with a journal between them.
import { expect } from "chai";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { KeepLearnt } from "../../../relayer/loops/keepLearnt.ts";
import { tableFromText } from "../../../relayer/routing/table.ts";
import { SCORE_START_BPS } from "../../../relayer/routing/score.ts";
import { SeedChain, epochAt } from "../../../relayer/routing/seeds.ts";
import { Met } from "../../../relayer/work/learnt.ts";
import type { Log } from "../../../relayer/ports/world.ts";
import { CURVE, EPOCH_SECONDS, MODEL, START_MS } from "../work/fleetRig.ts";
import { ReceptionRig, settled, type Asked } from "../work/receptionRig.ts";

const FACT = "learnt_of_nodes";
const HOUR_MS = 3_600_000;
const logTo = (lines: string[]): Log => ({ debug: () => {}, info: () => {}, warn: (_, line) => lines.push(line), error: () => {} });

/** A process of the relayer on its own monotonic clock. */
class Process {
  readonly rig: ReceptionRig;
  readonly lines: string[] = [];
  readonly learnt: KeepLearnt;

  /** @param laterMs unix time that has passed since the rigs' beginning */
  constructor(journal: MemoryJournal, laterMs = 0) {
    this.rig = new ReceptionRig(new SeedChain(`0x${"5e".repeat(32)}`, epochAt(START_MS + laterMs, EPOCH_SECONDS), 100));
    this.rig.clock.wallMs += laterMs;
    this.rig.clock.monoMs = 5_000 + (laterMs % 777);
    this.learnt = new KeepLearnt({ clock: this.rig.clock, log: logTo(this.lines), journal, reception: this.rig.reception });
  }

  get events() {
    return this.rig.nodes;
  }

  /** So many good answers, as fast as the curve says or slower, one after another. */
  async answers(count: number, slowness = 1): Promise<void> {
    for (let i = 0; i < count; i++) {
      const asked = this.rig.ask({}, { inputTokens: 100, maxOutTokens: 40 });
      await settled();
      this.rig.clock.pass(22 * slowness);
      asked.choice!.booking.firstToken(22 * slowness);
      asked.choice!.booking.progress(1);
      this.rig.clock.pass(100 * slowness);
      asked.choice!.booking.progress(40);
      asked.choice!.booking.release("completed");
      await this.events.attest(1, { slots: 8 });
    }
  }

  /** How many of as many requests run at once. */
  async atOnce(count: number): Promise<number> {
    const asked: Asked[] = Array.from({ length: count }, () => this.rig.ask({}, { inputTokens: 1, maxOutTokens: 1 }));
    await settled();
    return asked.filter((one) => one.choice !== null).length;
  }

  get score(): number {
    return this.events.node(1).scoreBps;
  }

  /** The node's curve and score as the newest table publishes them. */
  published() {
    const { curve, scoreBps } = tableFromText(this.events.tables.at(-1)!.text, () => ({ inFlight: 0, prefillTokens: 0, contextTokens: 0 })).shards.get(MODEL)!.rows[0]!;
    return { curve, scoreBps };
  }
}

describe("what was learnt of nodes over a restart", () => {
  let journal: MemoryJournal;
  beforeEach(() => { journal = new MemoryJournal(); });

  /** The next process, with the node there again. */
  const next = async (laterMs: number, curve = CURVE): Promise<Process> => {
    const process = new Process(journal, laterMs);
    await process.learnt.load();
    await process.events.join(1, { slots: 8 }, { curve });
    return process;
  };
  const first = async (answers: number, slowness?: number): Promise<Process> => {
    const process = new Process(journal);
    await process.events.join(1, { slots: 8 });
    await process.answers(answers, slowness);
    return process;
  };

  it("lets a node that was warmed up have all its slots at once, and a new one two", async () => {
    expect(await (await first(0)).atOnce(8)).to.equal(2);
    const before = await first(8);
    await before.learnt.keep();
    expect(await (await next(60_000)).atOnce(8)).to.equal(8);
  });

  it("publishes the curve and the score that it goes on from in its first table, as it did before", async () => {
    const before = await first(8, 3);
    before.rig.clock.pass(1_000);
    await before.events.attest(1, { slots: 8 });
    await before.atOnce(1);
    await before.learnt.keep();
    const after = await next(30_000);
    await after.atOnce(1);
    const [was, is] = [before.published(), after.published()];
    expect(is.curve.aNs).to.be.above(CURVE.aNs);
    expect(is).to.deep.equal(was);
    expect(after.events.tables).to.have.length(1);
  });

  it("is no amnesty: a node that fell silent keeps its score and its break, and gets one request to prove itself", async () => {
    const before = await first(4);
    for (let i = 0; i < 2; i++) {
      const asked = before.rig.ask();
      await settled();
      asked.choice!.booking.release("failed");
      before.rig.clock.pass(1_000);
      await before.events.attest(1, { slots: 8 });
    }
    const score = before.score;
    expect(score).to.be.below(8_000);
    await before.learnt.keep();
    const soon = await next(before.rig.clock.monoMs - 5_000);
    expect(soon.score).to.equal(score);
    const asked = soon.rig.ask();
    await settled();
    expect(asked.choice, "its break of two seconds is not over").to.equal(null);
    soon.rig.clock.pass(2_000);
    await soon.events.attest(1, { slots: 8 });
    await settled();
    expect(asked.choice).to.not.equal(null);
    expect(await soon.atOnce(2), "one finds out").to.equal(0);
    // The same is forgiven while nobody runs as while somebody does.
    before.rig.clock.pass(120_000);
    expect((await next(before.rig.clock.monoMs - 5_000)).score).to.equal(before.score);
  });

  it("fades with its age, to nothing after a day", async () => {
    const before = await first(8, 3);
    await before.learnt.keep();
    const seen = async (hours: number) => {
      const process = await next(hours * HOUR_MS);
      const atOnce = await process.atOnce(8);
      return { atOnce, ...process.published() };
    };
    const [fresh, old, forgotten] = [await seen(0.9), await seen(3), await seen(25)];
    expect([fresh.atOnce, old.atOnce, forgotten.atOnce]).to.deep.equal([8, 4, 2]);
    expect(fresh.scoreBps).to.be.above(old.scoreBps);
    expect(old.curve.aNs).to.be.within(CURVE.aNs + 1, fresh.curve.aNs - 1);
    expect([forgotten.curve, forgotten.scoreBps]).to.deep.equal([CURVE, SCORE_START_BPS]);
  });

  it("tells nothing of a node's curve where it states another one now", async () => {
    await (await first(8, 3)).learnt.keep();
    const stated = { ...CURVE, aNs: 1_000_000 };
    const after = await next(1_000, stated);
    expect(await after.atOnce(8), "it is the same node").to.equal(8);
    expect(after.published().curve).to.deep.equal(stated);
  });

  it("is written where there was a deed, and not again where there was none", async () => {
    const process = await first(0);
    await process.learnt.keep();
    expect(await journal.getFact(FACT)).to.equal(null);
    await process.answers(1);
    await process.learnt.keep();
    const text = await journal.getFact(FACT);
    process.rig.clock.pass(60_000);
    await journal.setFact(FACT, "untouched");
    await process.learnt.keep();
    expect(await journal.getFact(FACT)).to.equal("untouched");
    await journal.setFact(FACT, text!);
    const after = await next(60_000);
    await after.learnt.keep();
    expect(await journal.getFact(FACT), "what was only read is not written again").to.equal(text);
  });

  it("is kept though the wall clock was set, or the machine slept, since the process began", async () => {
    for (const stepMs of [-HOUR_MS, 48 * HOUR_MS]) {
      journal = new MemoryJournal();
      const process = await first(8);
      process.rig.clock.wallMs += stepMs;
      await process.learnt.keep();
      expect(await (await next(stepMs + 60_000)).atOnce(8), `${stepMs} ms`).to.equal(8);
    }
  });

  it("does not tell again, as of now, what was learnt before the machine slept", async () => {
    const [slept, awake] = [await first(2), await first(6)];
    await slept.learnt.keep();
    slept.rig.clock.wallMs += 600_000;
    awake.rig.clock.pass(300_000);
    await awake.events.attest(1, { slots: 8 });
    await awake.answers(1);
    await awake.learnt.keep();
    await slept.learnt.keep();
    const kept = async () => (JSON.parse((await journal.getFact(FACT))!) as { nodes: { kept: number }[] }).nodes.map((node) => node.kept);
    expect(await kept()).to.deep.equal([7]);
    slept.rig.clock.pass(1_000);
    await slept.events.attest(1, { slots: 8 });
    await slept.answers(1);
    await slept.learnt.keep();
    expect(await kept()).to.deep.equal([3]);
  });

  it("keeps no node broken or slow for what is forgotten, nor for what a clock of a later time wrote", async () => {
    const before = await first(1);
    for (let i = 0; i < 4; i++) {
      const asked = before.rig.ask();
      await settled();
      asked.choice!.booking.release("failed");
      before.rig.clock.pass(60_000);
      await before.events.attest(1, { slots: 8 });
    }
    await before.learnt.keep();
    expect(await (await next(HOUR_MS)).atOnce(2), "one finds out").to.equal(1);
    expect(await (await next(25 * HOUR_MS)).atOnce(2)).to.equal(2);
    const met = new Met({ slownessLog: 2, slownessAtMs: 48 * HOUR_MS, silences: 0, brokenUntilMs: 0 }, 1_000);
    expect([met.pace.factor(1_000), met.pace.factor(120_000)]).to.deep.equal([Math.exp(2), 1]);
  });

  it("is brought together by several processes: of each node what was learnt last", async () => {
    const [one, other] = [await first(2), await first(6)];
    await other.learnt.keep();
    one.rig.clock.pass(5_000);
    await one.events.join(2, { slots: 8 });
    const asked = one.rig.ask({}, { exclude: [1] });
    await settled();
    one.rig.finish(asked);
    await Promise.all([one.learnt.keep(), one.learnt.keep()]);
    const { nodes } = JSON.parse((await journal.getFact(FACT))!) as { nodes: { nodeId: number; kept: number }[] };
    expect(Object.fromEntries(nodes.map(({ nodeId, kept }) => [nodeId, kept]))).to.deep.equal({ 1: 6, 2: 1 });
  });

  it("is kept when the process stops, and every few seconds while it runs", async () => {
    const process = await first(3);
    const stop = new AbortController();
    const waits: number[] = [];
    process.rig.clock.sleep = async (ms = 0) => {
      waits.push(ms);
      if (waits.length === 2) await process.answers(1);
      if (waits.length === 3) stop.abort();
    };
    await process.learnt.run(stop.signal);
    expect(waits).to.deep.equal([5_000, 5_000, 5_000]);
    expect(JSON.parse((await journal.getFact(FACT))!).nodes[0].kept).to.equal(4);
  });

  it("does without where the journal is away, says so once, and keeps it when it is back", async () => {
    const process = await first(3);
    const stop = new AbortController();
    journal.setUp(false);
    let waits = 0;
    process.rig.clock.sleep = async () => {
      journal.setUp(++waits === 3);
      if (waits === 3) stop.abort();
    };
    await process.learnt.run(stop.signal);
    expect(process.lines).to.have.length(1);
    expect(await journal.getFact(FACT)).to.not.equal(null);
  });

  it("begins anew from what it cannot read, and says so once", async () => {
    for (const text of ["no json", JSON.stringify({ version: 2, nodes: [] }), JSON.stringify({ version: 1, nodes: [{ nodeId: "1" }, { nodeId: "2" }] })]) {
      await journal.setFact(FACT, text);
      const process = await next(0);
      expect(process.lines, text).to.have.length(1);
      expect(await process.atOnce(8)).to.equal(2);
      await process.answers(0);
    }
  });
});
