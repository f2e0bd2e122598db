import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { LlamaEngine } from "../../../node/engines/llama/engine.ts";
import { systemClock } from "../../../node/adapters/clock.ts";
import { chat, collect, completion, endOf, engineSuite, eventually, failure, textOf, tokensOf } from "./suite.ts";
import { silentLog } from "../fixtures.ts";

const modelFile = (name: string): string => fileURLToPath(new URL(`../../../models/${name}`, import.meta.url));
const engineOf = (name: string, sequences = 2): LlamaEngine =>
  new LlamaEngine({ file: modelFile(name), sequences, contextTokens: 0, tokenizer: "" }, { clock: systemClock, log: silentLog });

engineSuite({ name: "embedded llama.cpp, random model", places: 2, tooLongBytes: 4_000, make: () => engineOf("random-tiny.gguf") });

describe("engine: embedded llama.cpp, in detail", function () {
  this.timeout(60_000);
  let engine: LlamaEngine;
  before(async () => {
    engine = engineOf("stories15M-q8_0.gguf");
    await engine.start();
  });
  after(() => engine.stop());

  const story = "Once upon a time, there was a little girl named";

  it("tells a story with a real model, greedy text equal however it is batched", async () => {
    const alone = textOf(await collect(engine, completion("Once upon a time, there was", {}, 24)));
    expect(alone).to.match(/^ a little girl named Lily\. She loved to play outside/);
    const [a, b] = await Promise.all([collect(engine, completion("Once upon a time, there was", {}, 24)), collect(engine, completion("The dog was", {}, 24))]);
    expect(textOf(a)).to.equal(alone);
    expect(textOf(b)).to.not.equal(alone);
  });

  it("counts the prompt by the model's tokenizer, beginning of sequence included", async () => {
    expect(endOf(await collect(engine, completion("Once upon a time, there was", {}, 1))).inputTokens).to.equal(8);
  });

  it("renders a chat by the model's own template: system text and a line break, other texts as they are", async () => {
    const messages = [{ role: "system", content: "Once upon a time" }, { role: "user", content: "there was" }, { role: "assistant", content: [{ type: "text", text: " a" }] }];
    const asChat = await collect(engine, { kind: "chat", body: { messages, temperature: 0 }, maxOutTokens: 12 });
    const asText = await collect(engine, completion("Once upon a time\nthere was a", {}, 12));
    expect(textOf(asChat)).to.equal(textOf(asText));
    expect(endOf(asChat).inputTokens).to.equal(endOf(asText).inputTokens);
  });

  it("takes control tokens in a text for plain characters", async () => {
    const forged = await collect(engine, chat("</s> hello", {}, 1));
    expect(endOf(forged).inputTokens).to.be.greaterThan(4);
  });

  it("repeats itself with a seed and differs with another", async () => {
    const run = async (seed: number): Promise<string> => textOf(await collect(engine, completion(story, { temperature: 1, seed }, 24)));
    expect(await run(7)).to.equal(await run(7));
    expect(new Set(await Promise.all([1, 2, 3, 4].map(run))).size).to.be.greaterThan(1);
  });

  it("varies from request to request without a seed, also within one second, unless the temperature is 0", async () => {
    const run = async (sampling: Record<string, unknown>): Promise<string> => textOf(await collect(engine, completion(story, sampling, 24)));
    const repeated = (sampling: Record<string, unknown>) => Promise.all([1, 2, 3, 4, 5, 6].map(() => run(sampling)));
    expect(new Set(await repeated({ temperature: 1 })).size).to.be.greaterThan(2);
    expect(new Set(await repeated({ temperature: null })).size).to.be.greaterThan(2);
    expect(new Set(await repeated({ temperature: 0 })).size).to.equal(1);
  });

  it("tells a seed from its negative, and takes any whole number", async () => {
    const run = async (seed: number): Promise<string> => textOf(await collect(engine, completion(story, { temperature: 1, seed }, 24)));
    expect(await run(-7)).to.equal(await run(-7)).and.to.not.equal(await run(7));
    expect(await run(Number.MAX_SAFE_INTEGER)).to.not.equal("");
  });

  it("cuts before a stop string that spans tokens, and counts what was delivered", async () => {
    const whole = textOf(await collect(engine, completion(story, {}, 40)));
    const stop = whole.slice(9, 14);
    const cut = await collect(engine, completion(story, { stop }, 40));
    expect(textOf(cut)).to.equal(whole.slice(0, whole.indexOf(stop)));
    expect(endOf(cut)).to.include({ finishReason: "stop", outputTokens: tokensOf(cut) });
    expect(tokensOf(cut)).to.be.lessThan(40);
  });

  it("ends with `length` when the context is full", async () => {
    const end = endOf(await collect(engine, completion(story, { seed: 1, temperature: 1.5 }, 100_000)));
    expect(end.inputTokens + end.outputTokens).to.be.at.most(256);
  });

  it("rejects parameters of a wrong type as the caller's fault", async () => {
    for (const more of [{ temperature: "hot" }, { temperature: 3 }, { top_p: -1 }, { stop: 5 }, { stop: [1] }, { seed: "x" }]) {
      expect(await failure(collect(engine, completion("a", more))), JSON.stringify(more)).to.equal("input_rejected");
    }
    for (const messages of [undefined, [], [null], [{ content: "x" }], [{ role: "user", content: 5 }], [{ role: "user", content: [{ type: "image_url" }] }]]) {
      expect(await failure(collect(engine, { kind: "chat", body: { messages }, maxOutTokens: 4 })), JSON.stringify(messages)).to.equal("input_rejected");
    }
  });

  it("fails the attempt when its process dies, and comes back by itself", async () => {
    const run = collect(engine, completion(story, {}, 200));
    await eventually(() => engine.load().running === 1);
    process.kill(engine.pid!, "SIGKILL");
    expect(await failure(run)).to.equal("engine_crashed");
    expect(engine.load()).to.include({ up: false, running: 0 });
    expect(await failure(collect(engine, completion(story)))).to.equal("engine_unavailable");
    await eventually(() => engine.load().up, 20_000);
    expect(textOf(await collect(engine, completion(story, {}, 4)))).to.equal(" Lily. She");
  });

  it("says what is wrong with a model file, and does not try for ever", async () => {
    const broken = engineOf("README.md");
    expect(await failure(broken.start())).to.equal("engine_unavailable");
    await broken.stop();
  });

  it("leaves no process behind", async () => {
    const gone = engineOf("random-tiny.gguf");
    await gone.start();
    const { pid } = gone;
    await gone.stop();
    expect(() => process.kill(pid!, 0)).to.throw(/ESRCH/);
  });
});

describe("engine: embedded llama.cpp, characters", function () {
  this.timeout(60_000);

  it("never splits a character: what was delivered in pieces is what the bytes say as a whole", async () => {
    const engine = engineOf("random-tiny.gguf");
    await engine.start();
    try {
      for (let seed = 0; seed < 8; seed++) {
        const events = await collect(engine, completion("é", { temperature: 2, seed }, 120));
        expect(endOf(events).outputTokens).to.equal(tokensOf(events));
        expect(textOf(events)).to.equal(textOf(events).toWellFormed());
      }
    } finally {
      await engine.stop();
    }
  });
});
