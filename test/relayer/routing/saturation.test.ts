import { expect } from "chai";
import fc from "fast-check";
import { correctLoad, greatestBps, IDLE, keptTokens, turnedOver, type Attested, type OwnLoad } from "../../../relayer/routing/saturation.ts";
import { anyRow, row } from "./shards.ts";

const attested = (changes: Partial<Attested> = {}): Attested => row(1, changes);
const own = (inFlight: number, prefillTokens = 0, contextTokens = 0): OwnLoad => ({ inFlight, prefillTokens, contextTokens });
const anyOwn = fc.record({ inFlight: fc.integer({ min: 0, max: 100 }), prefillTokens: fc.integer({ min: 0, max: 10 ** 6 }), contextTokens: fc.integer({ min: 0, max: 10 ** 7 }) });

describe("corrected load", () => {
  it("adds what was dispatched since the attestation, and only that", () => {
    const half = attested({ computeBps: 5_000, base: own(4) });
    expect(correctLoad(half, own(4), 0).computeBps).to.equal(5_000);
    expect(correctLoad(half, own(6), 0)).to.include({ computeBps: 7_500, running: 6 });
    expect(correctLoad(half, own(2), 0)).to.include({ computeBps: 2_500, running: 2 });
  });

  it("keeps others' work beside its own", () => {
    // Four of eight slots busy, one of them ours: three are others'.
    const shared = attested({ computeBps: 5_000, base: own(1) });
    expect(correctLoad(shared, own(3, 0, 900), 512)).to.include({ computeBps: 7_500, running: 6, contextTokens: 900 + 3 * 512 });
  });

  it("does not believe a node that claims to be free while it works for us", () => {
    expect(correctLoad(attested({ computeBps: 0, base: own(8) }), own(8), 0)).to.include({ computeBps: 10_000, running: 8 });
  });

  it("counts prompts from dispatch on, before their first byte", () => {
    const waiting = attested({ queuedTokens: 300, base: own(1, 300) });
    expect(correctLoad(waiting, own(2, 1_300), 0).backlogTokens).to.equal(1_300);
    expect(correctLoad(waiting, own(1, 0), 0).backlogTokens).to.equal(0);
  });

  it("turns dispatched context into memory where the engine tells its capacity", () => {
    // 75,000 tokens free at 25 % used: a capacity of 100,000, of which 10,000 were dispatched since.
    expect(correctLoad(attested({ memoryBps: 2_500, kvFreeTokens: 75_000 }), own(1, 0, 10_000), 0).memoryBps).to.equal(3_500);
    expect(correctLoad(attested({ memoryBps: 2_500, kvFreeTokens: 0 }), own(1, 0, 10_000), 0).memoryBps).to.equal(2_500);
    expect(correctLoad(attested({ memoryBps: 10_000, kvFreeTokens: 5 }), IDLE, 0).memoryBps).to.equal(10_000);
  });

  it("stays in range whatever was attested, and never divides by zero", () => {
    const absurd = fc.record({
      slots: fc.constantFrom(-3, 0, 1, 65_535, 1_000_000), computeBps: fc.integer({ min: -20_000, max: 1_000_000 }), memoryBps: fc.integer({ min: -20_000, max: 1_000_000 }),
      queueBps: fc.integer({ min: -20_000, max: 1_000_000 }), networkBps: fc.integer({ min: -20_000, max: 1_000_000 }),
      queuedTokens: fc.constantFrom(-1, 0, 2 ** 32 - 1), kvFreeTokens: fc.constantFrom(-1, 0, 1, 2 ** 32 - 1),
    });
    fc.assert(fc.property(absurd, anyOwn, anyOwn, (claims, base, now) => {
      const load = correctLoad(attested({ ...claims, base }), now, 512);
      for (const value of [load.computeBps, load.memoryBps, load.queueBps, load.networkBps]) expect(value).to.be.within(0, 10_000);
      for (const value of Object.values(load)) expect(Number.isSafeInteger(value) && value >= 0, JSON.stringify(load)).to.equal(true);
    }));
  });

  it("rises with every dispatch", () => {
    fc.assert(fc.property(anyRow(), anyOwn, (one, now) => {
      const before = correctLoad(one, now, 512);
      const after = correctLoad(one, own(now.inFlight + 1, now.prefillTokens + 10, now.contextTokens + 10), 512);
      for (const key of ["computeBps", "memoryBps", "running", "backlogTokens"] as const) expect(after[key], key).to.be.at.least(before[key]);
    }));
  });

  it("names the greatest dimension", () => {
    expect(greatestBps({ computeBps: 1, memoryBps: 4, queueBps: 3, networkBps: 2 })).to.equal(4);
  });
});

describe("a prefix that a node has read", () => {
  // 75,000 tokens free at 25 % used.
  const roomy = attested({ memoryBps: 2_500, kvFreeTokens: 75_000 });

  it("lies there until what came after it needs its room, and goes from its end", () => {
    expect(keptTokens(roomy, IDLE, 5_000, 0)).to.equal(5_000);
    expect(keptTokens(roomy, IDLE, 5_000, 70_000)).to.equal(5_000);
    expect(keptTokens(roomy, IDLE, 5_000, 72_000)).to.equal(3_000);
    expect(keptTokens(roomy, IDLE, 5_000, 75_000)).to.equal(0);
  });

  it("gives way to what was dispatched since the attestation", () => {
    expect(keptTokens(roomy, own(1, 0, 72_000), 5_000, 0)).to.equal(3_000);
  });

  it("is gone where the memory is full, and is believed in where the engine tells nothing of its memory", () => {
    expect(keptTokens(attested({ memoryBps: 10_000, kvFreeTokens: 0 }), IDLE, 5_000, 0)).to.equal(0);
    expect(keptTokens(attested({ memoryBps: 0, kvFreeTokens: 0 }), IDLE, 5_000, 1e9)).to.equal(5_000);
  });

  it("ages by others' work as by our own, as many as they are", () => {
    expect(turnedOver(attested({ computeBps: 2_500, base: own(2) }), own(2), 1_000), "nobody else").to.equal(1_000);
    expect(turnedOver(attested({ computeBps: 5_000, base: own(1) }), own(1), 1_000), "three others").to.equal(4_000);
    expect(turnedOver(attested({ computeBps: 5_000, base: own(1) }), own(0), 1_000), "without us").to.equal(3_000);
  });

  it("is a whole number of tokens from nothing to all, whatever was attested", () => {
    fc.assert(fc.property(anyRow(), anyOwn, fc.nat(10 ** 6), fc.nat(10 ** 9), (one, now, tokens, since) => {
      for (const value of [keptTokens(one, now, tokens, since), turnedOver(one, now, tokens)]) expect(Number.isSafeInteger(value) && value >= 0).to.equal(true);
      expect(keptTokens(one, now, tokens, since)).to.be.at.most(tokens);
      expect(keptTokens(one, now, tokens, since + 10)).to.be.at.most(keptTokens(one, now, tokens, since));
    }));
  });
});
