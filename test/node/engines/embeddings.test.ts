import { expect } from "chai";
import { EmbeddingsEngine } from "../../../node/engines/embeddings/engine.ts";
import { systemClock } from "../../../node/adapters/clock.ts";
import { collect, endOf, eventually, failure } from "./suite.ts";
import { silentLog } from "../fixtures.ts";
import type { EngineEvent, EngineRequest } from "../../../node/ports.ts";

const embed = (input: unknown): EngineRequest => ({ kind: "embeddings", body: { model: "m", input }, maxOutTokens: 0 });
const vectorsOf = (events: readonly EngineEvent[]): Float32Array[] => events.flatMap((event) => (event.type === "embedding" ? [event.vector] : []));
const cosine = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

describe("engine: embeddings", function () {
  this.timeout(60_000);
  let engine: EmbeddingsEngine;
  before(async () => {
    engine = new EmbeddingsEngine({ clock: systemClock, log: silentLog });
    expect(await engine.start()).to.include({ dimensions: 512 });
  });
  after(() => engine.stop());

  it("puts near what means the same, in the order of the texts", async () => {
    const events = await collect(engine, embed(["The cat sat on the mat.", "A kitten rests on the rug.", "Interest rates rose again."]));
    const [cat, kitten, rates] = vectorsOf(events);
    expect(events.map((event) => event.type)).to.deep.equal(["start", "embedding", "embedding", "embedding", "end"]);
    expect(cat!.length).to.equal(512);
    expect(cosine(cat!, cat!)).to.be.closeTo(1, 1e-4);
    expect(cosine(cat!, kitten!)).to.be.greaterThan(cosine(cat!, rates!) + 0.1);
  });

  it("counts input tokens by the model's pieces, and no output", async () => {
    const one = endOf(await collect(engine, embed("hello world")));
    const two = endOf(await collect(engine, embed(["hello world", "hello world"])));
    expect(one).to.include({ inputTokens: 3, outputTokens: 0 });
    expect(two.inputTokens).to.equal(6);
  });

  it("gives the same vector alone and among many", async () => {
    const texts = Array.from({ length: 20 }, (_, i) => `sentence number ${i}`);
    const many = vectorsOf(await collect(engine, embed(texts)));
    const [alone] = vectorsOf(await collect(engine, embed(texts[17])));
    expect(many.length).to.equal(20);
    expect(cosine(many[17]!, alone!)).to.be.closeTo(1, 1e-4);
  });

  it("rejects what is no text", async () => {
    for (const input of [undefined, [], "", [""], [1, 2], [[1, 2]], { a: 1 }, "x".repeat(9_000), ["ok", "y z ".repeat(2_000)]]) {
      expect(await failure(collect(engine, embed(input))), JSON.stringify(input)?.slice(0, 40)).to.equal("input_rejected");
    }
  });

  it("stops between slices when it is aborted", async () => {
    const stop = new AbortController();
    const events: EngineEvent[] = [];
    for await (const event of engine.run(embed(Array.from({ length: 1_000 }, (_, i) => `t ${i}`)), stop.signal)) {
      events.push(event);
      if (events.length === 3) stop.abort();
    }
    expect(events.length).to.be.lessThan(1_000);
    await eventually(() => engine.load().running === 0);
    expect(vectorsOf(await collect(engine, embed("still there"))).length).to.equal(1);
  });
});
