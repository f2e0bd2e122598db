// The small adapters: clock, dice, metrics, token counts.
import { expect } from "chai";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import { systemDice } from "../../../relayer/adapters/dice.ts";
import { PrometheusMetrics } from "../../../relayer/adapters/metrics.ts";
import { LLAMA_2, tokenCounter } from "../../../relayer/adapters/tokens.ts";

describe("the clock", () => {
  it("wakes a sleeper at once when it is aborted, before or during the sleep", async () => {
    const startMs = systemClock.monotonicMs();
    const stop = new AbortController();
    const asleep = systemClock.sleep(60_000, stop.signal);
    stop.abort();
    await asleep;
    await systemClock.sleep(60_000, stop.signal);
    expect(systemClock.monotonicMs() - startMs).to.be.lessThan(5_000);
  });
});

describe("the dice", () => {
  it("give 32 bytes, never the same twice", () => {
    const throws = Array.from({ length: 1_000 }, () => systemDice.bytes32());
    for (const one of throws) expect(one).to.match(/^0x[0-9a-f]{64}$/);
    expect(new Set(throws).size).to.equal(1_000);
  });
});

describe("metrics", () => {
  it("count, gauge and observe by name and label, as Prometheus reads them", async () => {
    const metrics = new PrometheusMetrics(false);
    metrics.count("tasks_total", { kind: "chat" });
    metrics.count("tasks_total", { kind: "chat" }, 2);
    metrics.gauge("nodes_connected", 4);
    metrics.observe("first_token_ms", 120);
    const text = await metrics.text();
    expect(text).to.contain('tidelane_tasks_total{kind="chat"} 3');
    expect(text).to.contain("tidelane_nodes_connected 4");
    expect(text).to.contain('tidelane_first_token_ms_bucket{le="200"} 1');
    expect(text).to.contain('tidelane_first_token_ms_bucket{le="100"} 0');
  });

  it("stop taking new series at a bound instead of eating memory", async () => {
    const metrics = new PrometheusMetrics(false);
    for (let i = 0; i < 5_000; i++) metrics.count("tasks_total", { kind: `k${i}` });
    expect((await metrics.text()).split("\n").filter((line) => line.startsWith("tidelane_tasks_total{"))).to.have.length(2_000);
  });
});

describe("token counts", () => {
  it("are exact for the embedded model's vocabulary", () => {
    // Counts as the reference SentencePiece model of Llama 2 gives them, without the beginning-of-sequence token.
    expect(tokenCounter.count(LLAMA_2, "")).to.equal(0);
    expect(tokenCounter.count(LLAMA_2, "Once upon a time")).to.equal(4);
    expect(tokenCounter.count(LLAMA_2, "hello world")).to.equal(2);
  });

  it("are not made up for a tokenizer that is not at hand, or a text that would block the process", () => {
    expect(tokenCounter.count("another", "Once upon a time")).to.equal(null);
    expect(tokenCounter.count(LLAMA_2, "x".repeat(1_000_000))).to.equal(null);
  });
});
