import { expect } from "chai";
import { TimedEngine } from "../../../node/engines/timed/engine.ts";
import { systemClock } from "../../../node/adapters/clock.ts";
import { chat, collect, completion, endOf, engineSuite, failure, textOf } from "./suite.ts";
import type { Clock } from "../../../node/ports.ts";

const fast = { aNs: 1_000_000, bNs: 10_000, cNs: 0, dNs: 100_000, ePs: 0 };
const options = { curve: fast, salt: "one", contextTokens: 1_000, kvTokens: 3_000, places: 3 };

engineSuite({ name: "timed", places: 3, tooLongBytes: 8_000, make: () => new TimedEngine(options, { clock: systemClock }) });

/** Time that passes only while somebody sleeps. */
function steppedClock(): Clock & { elapsedMs(): number } {
  let now = 0;
  return { nowMs: () => now, monotonicMs: () => now, elapsedMs: () => now, sleep: async (ms) => { now += Math.max(0, ms); await new Promise((resolve) => setImmediate(resolve)); } };
}

describe("engine: timed, in detail", () => {
  it("takes the time of its curve: prefill by chunks, then an iteration for each token", async () => {
    const clock = steppedClock();
    const engine = new TimedEngine({ ...options, curve: { aNs: 2_000_000, bNs: 10_000, cNs: 1_000, dNs: 500_000, ePs: 0 } }, { clock });
    await collect(engine, completion("x".repeat(400), {}, 10));
    // One iteration prefills 100 tokens and gives the first output: 2 + 1 + 0.5 + 0.1; nine more, context growing by one each.
    const expected = 3.6 + Array.from({ length: 9 }, (_, i) => 2 + 0.5 + (101 + i) / 1_000).reduce((sum, ms) => sum + ms, 0);
    expect(clock.elapsedMs()).to.be.closeTo(expected, 0.01);
  });

  it("decodes a batch together: eight take far less than eight times one", async () => {
    const time = async (requests: number): Promise<number> => {
      const clock = steppedClock();
      const engine = new TimedEngine({ ...options, places: 8 }, { clock });
      await Promise.all(Array.from({ length: requests }, () => collect(engine, completion("x", {}, 20))));
      return clock.elapsedMs();
    };
    expect(await time(8)).to.be.lessThan(2 * await time(1));
  });

  it("continues the same text where another one continues it, and not where the salt differs", async () => {
    const run = async (salt: string, prompt: string, tokens: number): Promise<string> =>
      textOf(await collect(new TimedEngine({ ...options, salt }, { clock: steppedClock() }), completion(prompt, {}, tokens)));
    expect((await run("one", "p", 20)).startsWith(await run("one", "p", 8))).to.equal(true);
    expect(await run("two", "p", 20)).to.not.equal(await run("one", "p", 20));
    expect(await run("one", "q", 20)).to.not.equal(await run("one", "p", 20));
  });

  it("cuts at a stop string and says so", async () => {
    const engine = new TimedEngine(options, { clock: steppedClock() });
    const whole = textOf(await collect(engine, chat("hello", {}, 30)));
    const word = whole.split(" ")[6]!;
    const cut = await collect(engine, chat("hello", { stop: [` ${word}`] }, 30));
    expect(textOf(cut)).to.equal(whole.slice(0, whole.indexOf(` ${word}`)));
    expect(endOf(cut).finishReason).to.equal("stop");
  });

  it("makes no embeddings", async () => {
    const engine = new TimedEngine(options, { clock: steppedClock() });
    expect(await failure(collect(engine, { kind: "embeddings", body: { input: "x" }, maxOutTokens: 0 }))).to.equal("input_rejected");
  });
});
