// Early rejection: it finds the right part, stays there, and treats sizes alike.
import { expect } from "chai";
import { THINNING, Thinning } from "../../../relayer/lobby/thinning.ts";

/** A line that is served at a constant rate and receives `load` times as much. @returns refused part and wait over time */
function line(load: number, seconds: number): { refused: number[]; waits: number[] } {
  const thinning = new Thinning();
  const [refused, waits]: [number[], number[]] = [[], []];
  let queue = 0;
  for (let ms = 0; ms < seconds * 1_000; ms += 10) {
    const waitMs = queue * 5;
    thinning.observe(waitMs, ms);
    for (let i = 0; i < 2 * load; i++) if (thinning.admits("p", 1_000, ms)) queue++;
    queue = Math.max(0, queue - 2);
    refused.push(thinning.refusedPart);
    waits.push(waitMs);
  }
  return { refused, waits };
}

const tail = (values: readonly number[]): readonly number[] => values.slice(values.length / 2);
const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;

describe("thinning", () => {
  for (const load of [1.5, 2, 4, 10]) {
    it(`at ${load} times what can be served comes to refuse the excess, and keeps the wait near its aim without swinging`, () => {
      const { refused, waits } = line(load, 120);
      expect(mean(tail(refused))).to.be.closeTo(1 - 1 / load, 0.03);
      expect(mean(tail(waits))).to.be.within(THINNING.waitMs / 2, 2 * THINNING.waitMs);
      expect(Math.max(...tail(refused)) - Math.min(...tail(refused))).to.be.below(0.2);
    });
  }

  it("cuts who asks elsewhere too down to one part of all, whichever process it asks", () => {
    const thinning = new Thinning();
    const [asked, admitted] = [{ both: 0, here: 0 }, { both: 0, here: 0 }];
    for (let ms = 0; ms < 120_000; ms += 50) {
      thinning.observe(thinning.refusedPart < 0.5 ? 1_400 : THINNING.waitMs, ms);
      thinning.askedElsewhere("both", 1_000, ms);
      for (const payer of ["both", "here"] as const) {
        const isIn = thinning.admits(payer, 1_000, ms);
        if (ms < 60_000) continue;
        asked[payer]++;
        if (isIn) admitted[payer]++;
      }
    }
    // Half of what is asked here may come in: a third of all for each payer here, and for the one that asks elsewhere the rest there.
    expect(admitted.both / asked.both).to.be.closeTo(1 / 3, 0.05);
    expect(admitted.here / asked.here).to.be.closeTo(2 / 3, 0.05);
  });

  it("refuses nobody where all can be served, and forgets a flood within a minute", () => {
    expect(Math.max(...line(1, 60).refused)).to.equal(0);
    const thinning = new Thinning();
    for (let ms = 0; ms < 20_000; ms += 100) thinning.observe(3_000, ms);
    expect(thinning.refusedPart).to.be.above(0.5);
    for (let ms = 20_000; ms < 80_000; ms += 100) thinning.observe(0, ms);
    expect(thinning.refusedPart).to.be.below(0.01);
  });

  it("lets in the same part of every size, whatever the sizes are, to within one request", () => {
    const thinning = new Thinning();
    for (let ms = 0; ms < 10_000; ms += 100) thinning.observe(1_500, ms);
    const part = thinning.refusedPart;
    for (const [size, count] of [[10, 300], [1_000, 5_000], [100_000, 60]] as const) {
      let admitted = 0;
      for (let i = 0; i < count; i++) if (thinning.admits("p", size, 10_000)) admitted++;
      expect(admitted).to.be.closeTo(count * (1 - part), 2);
    }
  });

  it("cuts the greedy down and lets the modest in whole", () => {
    const thinning = new Thinning();
    const admitted = { greedy: 0, modest: 0 };
    const offered = { greedy: 0, modest: 0 };
    for (let ms = 0; ms < 120_000; ms += 10) {
      thinning.observe(thinning.refusedPart < 0.5 ? 1_400 : THINNING.waitMs, ms);
      const coming: ("greedy" | "modest")[] = ["greedy", "greedy", "greedy", "greedy"];
      if (ms % 50 === 0) coming.push("modest");
      for (const payer of coming) {
        const isIn = thinning.admits(payer, 1_000, ms);
        if (ms < 60_000) continue;
        offered[payer]++;
        if (isIn) admitted[payer]++;
      }
    }
    expect(admitted.modest / offered.modest).to.be.above(0.98);
    expect(admitted.greedy / offered.greedy).to.be.within(0.4, 0.55);
  });

  it("thins many payers of one request each as a whole, none of them being greedy, and no size more than another", () => {
    const thinning = new Thinning();
    let [admitted, offered, large, largeOffered] = [0, 0, 0, 0];
    for (let ms = 0; ms < 60_000; ms += 10) {
      thinning.observe(thinning.refusedPart < 0.5 ? 1_400 : THINNING.waitMs, ms);
      const isLarge = ms % 100 === 0;
      const isIn = thinning.admits(`payer ${ms}`, isLarge ? 20_000 : 500, ms);
      if (ms < 30_000) continue;
      offered++;
      if (isIn) admitted++;
      if (isLarge) largeOffered++;
      if (isLarge && isIn) large++;
    }
    expect(admitted / offered).to.be.closeTo(0.5, 0.06);
    expect(large / largeOffered).to.be.closeTo(0.5, 0.08);
  });

  it("turns nobody who asks once away for what one asks who floods, and no size of them more than another", () => {
    const thinning = new Thinning();
    const counts = { greedy: { offered: 0, admitted: 0 }, small: { offered: 0, admitted: 0 }, large: { offered: 0, admitted: 0 } };
    for (let ms = 0; ms < 120_000; ms += 10) {
      thinning.observe(THINNING.waitMs + (thinning.refusedPart < 0.8 ? 100 : 0), ms);
      const coming: (keyof typeof counts)[] = ["greedy", "greedy", "greedy", "greedy"];
      // A tenth of the flood by work: less than half of what may come in.
      if (ms % 50 === 0) coming.push(ms % 250 === 0 ? "large" : "small");
      for (const who of coming) {
        const isIn = thinning.admits(who === "greedy" ? who : `${who} ${ms}`, who === "large" ? 6_000 : 1_000, ms);
        if (ms < 60_000) continue;
        counts[who].offered++;
        if (isIn) counts[who].admitted++;
      }
    }
    const partOf = ({ offered, admitted }: { offered: number; admitted: number }): number => admitted / offered;
    expect(partOf(counts.small)).to.be.above(0.95);
    expect(partOf(counts.large)).to.be.above(0.95);
    expect(partOf(counts.greedy)).to.be.below(0.2);
  });

  it("takes no step on nonsense, and few steps however often it is told", () => {
    const thinning = new Thinning();
    for (const wait of [Number.NaN, -1]) thinning.observe(wait, 0);
    expect(thinning.refusedPart).to.equal(0);
    for (let i = 0; i < 1_000; i++) thinning.observe(1_000, 50);
    expect(thinning.refusedPart).to.be.below(0.2);
    thinning.observe(Infinity, 1_000);
    expect(thinning.refusedPart).to.be.at.most(0.98);
  });

  it("always lets somebody in, so that it is known when it gets better", () => {
    const thinning = new Thinning();
    for (let ms = 0; ms < 1e6; ms += 100) thinning.observe(1e6, ms);
    let admitted = 0;
    for (let i = 0; i < 1_000; i++) if (thinning.admits("p", 100, 1e6)) admitted++;
    expect(admitted).to.be.within(15, 25);
  });
});
