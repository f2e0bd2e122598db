// Fair across the processes of a relayer: real receptions that share what they gave.
import { expect } from "chai";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import type { Journal, ToldTally } from "../../../relayer/ports/journal.ts";
import type { Log } from "../../../relayer/ports/world.ts";
import { noMetrics } from "../../../relayer/adapters/metrics.ts";
import { ShareTallies } from "../../../relayer/loops/shareTallies.ts";
import { ManualClock, MODEL } from "../work/fleetRig.ts";
import { servedAtTwo, TalliedProcess } from "./tallyRig.ts";

class CountingJournal {
  asked = 0;
  others: ToldTally[] = [];
  isUp = true;
  shareTallies: Journal["shareTallies"] = async () => {
    this.asked++;
    if (!this.isUp) throw new Error("away");
    return this.others;
  };
}

const logTo = (lines: string[]): Log => ({ debug: () => {}, info: () => {}, warn: (_, line) => lines.push(line), error: () => {} });

describe("what payers are given, shared by a relayer's processes", () => {
  it("gives a payer at two processes one share of all, and not one at each", async () => {
    const journal = new MemoryJournal();
    const { both, first, second } = await servedAtTwo([journal, journal], true);
    expect(both + first + second).to.equal(40);
    expect(Math.max(both, first, second) - Math.min(both, first, second)).to.be.below(4);
  });

  it("would give it two where nothing was shared", async () => {
    const journal = new MemoryJournal();
    const { both, first, second } = await servedAtTwo([journal, journal], false);
    expect(both + first + second).to.equal(40);
    expect(both).to.be.at.least(20);
  });

  it("asks the journal nothing for a process alone, nor where nobody asks or waits", async () => {
    const [journal, others] = [new CountingJournal(), { count: 0 }];
    const process = new TalliedProcess(journal, "one", others);
    await process.open();
    await process.ask("payer", 2);
    await process.shares.round();
    expect(journal.asked).to.equal(0);
    others.count = 1;
    for (const asked of [1, 2]) {
      await process.shares.round();
      expect(journal.asked, "one waits").to.equal(asked);
    }
    await process.serveNext();
    await process.serveNext();
    await process.shares.round();
    for (let i = 0; i < 3; i++) await process.shares.round();
    expect(journal.asked, "what was given last was told, and nobody waits").to.equal(3);
  });

  it("leaves out what it cannot read, and says so once", async () => {
    const [journal, lines]: [CountingJournal, string[]] = [new CountingJournal(), []];
    const telling = (models: unknown, version = 1): string => JSON.stringify({ version, models });
    const process = new TalliedProcess(journal, "one", { count: 3 }, logTo(lines));
    await process.open();
    await process.ask("payer", 3);
    for (const text of ["", "null", telling({}, 2), telling({ odd: [] }), telling({ [MODEL]: [["payer", 1, null, 0, 0]] }), telling({ [MODEL]: [["payer", 1, "9", 0, 0]] })]) {
      journal.others = [{ process: "odd", sequence: journal.asked + 1, text }, { process: "good", sequence: journal.asked + 1, text: telling({ [MODEL]: [["stranger", 1, 5, 0, 0]] }) }];
      await process.shares.round();
    }
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include("in a form that is not known here");
  });

  it("tells a bounded number of payers at once, of however many models", async () => {
    const texts: string[] = [];
    const journal = { shareTallies: async ({ text }: ToldTally) => { texts.push(text); return []; } };
    const entries = Array.from({ length: 100 }, (_, i) => ({ payer: `0x${String(i).padStart(40, "0")}`, born: 1, served: 1_000_000 + i, deferred: 0, asked: 1 / 3 }));
    const models = new Map(Array.from({ length: 1_000 }, (_, i) => [`0x${String(i).padStart(64, "0")}` as const, entries]));
    const reception = { isSharing: true, tell: () => models, givenElsewhere: () => {} };
    await new ShareTallies({ clock: new ManualClock(), log: logTo([]), metrics: noMetrics, journal, processId: "one", others: { count: 1 }, reception }).round();
    expect(texts[0]!.length).to.be.within(100_000, 300_000);
    expect(Object.values((JSON.parse(texts[0]!) as { models: Record<string, unknown[]> }).models).flat()).to.have.length(2_048);
  });

  it("reads much more seldom, and nothing so seldom that it would miss what is told", async () => {
    const [stop, clock, waits] = [new AbortController(), new ManualClock(), [] as number[]];
    const sizes = [100, 1_000_000, 100_000_000, 100];
    const journal = { shareTallies: async (): Promise<ToldTally[]> => [{ process: "other", sequence: waits.length, text: " ".repeat(sizes[waits.length]!) }] };
    clock.sleep = async (ms = 0) => {
      if (waits.push(ms) === sizes.length) stop.abort();
    };
    const reception = { isSharing: true, tell: () => new Map(), givenElsewhere: () => {} };
    await new ShareTallies({ clock, log: logTo([]), metrics: noMetrics, journal, processId: "one", others: { count: 1 }, reception }).run(stop.signal);
    expect(waits).to.deep.equal([100, 250, 500, 100]);
  });

  it("goes on where the journal is away, says so once, and shares again when it is back", async () => {
    const [journal, lines]: [CountingJournal, string[]] = [new CountingJournal(), []];
    const process = new TalliedProcess(journal, "one", { count: 1 }, logTo(lines));
    await process.open();
    await process.ask("payer", 3);
    const stop = new AbortController();
    // Each sleep of the loop is a turn of this test: two rounds with the journal away, two with it back, one away again.
    const turns = [false, false, true, true, false];
    process.rig.clock.sleep = async () => {
      await Promise.resolve();
      journal.isUp = turns.shift() ?? true;
      if (turns.length === 0) stop.abort();
    };
    journal.isUp = false;
    await process.shares.run(stop.signal);
    expect(journal.asked).to.equal(5);
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include("each is fair by itself meanwhile");
  });
});
