// Reading traces and laying copies of them over each other.
import { expect } from "chai";
import { Random } from "../../../bench/sim/random.ts";
import { overlay, parseTrace } from "../../../bench/sim/trace.ts";

const HEADER = "arrival_ms,input_tokens,output_tokens,session_id,hash_blocks_512";
const csv = (...rows: string[]): string => [HEADER, ...rows].join("\n") + "\n";

describe("traces", () => {
  it("are read column by column, with full blocks only", () => {
    const trace = parseTrace(csv("0,1500,20,7,1 2 3", "500,512,1,,9", "1500.5,100,0,7,"), "test");
    expect([...trace.inputTokens]).to.deep.equal([1500, 512, 100]);
    expect([...trace.outputTokens]).to.deep.equal([20, 1, 1]);
    expect([...trace.sessions]).to.deep.equal([7, -1, 7]);
    // A third block of 1,500 tokens is not full, and of 512 tokens one is left to compute.
    expect(trace.blocks!.map((ids) => [...ids])).to.deep.equal([[1, 2], [], []]);
    expect(trace.bucketMs).to.equal(0);
  });

  it("are read in any order of columns, in quotes, with spaces, with either end of line", () => {
    const rows = ["output_tokens, extra, input_tokens, arrival_ms", '"20",x,"100","0"', "30, y, 200, 1000", ""];
    const trace = parseTrace(rows.join("\r\n"), "other");
    expect([...trace.arrivalMs, ...trace.inputTokens, ...trace.outputTokens]).to.deep.equal([0, 1_000, 100, 200, 20, 30]);
    expect(trace.blocks).to.equal(null);
  });

  for (const [what, text, place] of [
    ["no header", "1,2,3\n1,2,3", "line 1"], ["no rows", HEADER, "test"], ["text for a number", csv("0,x,3,,"), "line 2, input_tokens"],
    ["a comma within quotes", csv('"0,5",1,1,,'), "line 2"], ["arrivals out of order", csv("5,1,1,,", "4,1,1,,"), "line 3, arrival_ms"], ["a negative length", csv("0,-1,1,,"), "line 2, input_tokens"],
    ["more tokens than any context", csv("0,1,99999999,,"), "line 2, output_tokens"],
  ] as const) {
    it(`are refused with ${what}, by line`, () => expect(() => parseTrace(text, "test")).to.throw(place));
  }

  const trace = parseTrace(csv(...Array.from({ length: 2_000 }, (_, i) => `${i * 500},${10 + (i % 50)},5,${i % 200},`)), "even");

  it("are overlaid, never compressed: each copy keeps its gaps", () => {
    const load = overlay(trace, 3, 300_000, new Random(1));
    expect(load.timeMs.length).to.be.within(3 * 600 - 3, 3 * 600 + 3);
    for (let copy = 0; copy < 3; copy++) {
      const times = [...load.timeMs].filter((_, i) => load.copy[i] === copy);
      const gaps = times.slice(1).map((time, i) => Math.round(time - times[i]!));
      expect(new Set(gaps)).to.deep.equal(new Set([500]));
    }
  });

  it("are thinned by session where a part of a copy is asked for", () => {
    const load = overlay(trace, 1.3, 1_000_000, new Random(2));
    const kept = new Set([...load.row].filter((_, i) => load.copy[i] === 1).map((row) => trace.sessions[row]));
    const dropped = new Set([...trace.sessions].filter((session) => !kept.has(session)));
    expect(kept.size).to.be.within(40, 80);
    expect(kept.size + dropped.size).to.equal(200);
    expect(load.timeMs.length).to.equal(2_000 + kept.size * 10);
  });

  it("are the same for a seed and others for another", () => {
    const timesOf = (seed: number): number[] => [...overlay(trace, 2.5, 100_000, new Random(seed)).timeMs];
    expect(timesOf(5)).to.deep.equal(timesOf(5));
    expect(timesOf(5)).not.to.deep.equal(timesOf(6));
    expect(timesOf(5)).to.deep.equal([...timesOf(5)].sort((one, other) => one - other));
  });

  it("go round for as long as it takes, and spread what was rounded over its bucket", () => {
    const bucketed = parseTrace(csv("0,10,1,,", "0,10,1,,", "3000,10,1,,", "9000,10,1,,"), "bucketed");
    expect(bucketed.bucketMs).to.equal(3_000);
    expect(bucketed.spanMs).to.equal(12_000);
    const load = overlay(bucketed, 1, 120_000, new Random(3));
    expect(load.timeMs.length).to.be.within(38, 42);
    expect([...load.timeMs].filter((time, i) => i > 0 && time === load.timeMs[i - 1])).to.deep.equal([]);
  });

  it("refuse a load of nothing or of the whole world", () => {
    expect(() => overlay(trace, 0, 1_000, new Random(1))).to.throw("copies");
    expect(() => overlay(trace, 1e9, 1e9, new Random(1))).to.throw("copies");
    expect(() => overlay(trace, Number.NaN, 1_000, new Random(1))).to.throw("copies");
  });
});
