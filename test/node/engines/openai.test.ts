import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { expect } from "chai";
import { OpenAiEngine, type OpenAiOptions } from "../../../node/engines/openai/engine.ts";
import { readMetrics } from "../../../node/engines/openai/probe.ts";
import { systemClock } from "../../../node/adapters/clock.ts";
import { chat, collect, completion, endOf, engineSuite, eventually, failure, textOf, tokensOf } from "./suite.ts";
import { silentLog } from "../fixtures.ts";
import type { EngineEvent } from "../../../node/ports.ts";

type Answer = (request: { path: string; body: Record<string, unknown>; headers: IncomingMessage["headers"] }, response: ServerResponse) => void | Promise<void>;

const servers: Server[] = [];
const engines: OpenAiEngine[] = [];

async function serve(answer: Answer): Promise<string> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString();
      void answer({ path: request.url!, body: text === "" ? {} : JSON.parse(text) as Record<string, unknown>, headers: request.headers }, response);
    });
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

const sse = (response: ServerResponse, data: unknown): boolean => response.write(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
const delta = (content: string, finish: string | null = null): object => ({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] });
const notFound: Answer = (_, response) => void response.writeHead(404).end();

/** A well-behaved engine: it repeats a word, keeps to max_tokens, rejects what is too long, and works on two at a time. */
const words: Answer = async ({ path, body }, response) => {
  if (!path.startsWith("/v1/c")) return void response.writeHead(404).end();
  const prompt = JSON.stringify(body.messages ?? body.prompt);
  if (prompt.length > 4_000) return void response.writeHead(400).end("{}");
  response.writeHead(200, { "content-type": "text/event-stream" });
  const most = Math.min(Number(body.max_tokens), 200);
  for (let i = 0; i < most && !response.destroyed; i++) {
    const text = ` word${i}`;
    sse(response, path.includes("chat") ? delta(text) : { choices: [{ index: 0, text }] });
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  sse(response, path.includes("chat") ? delta("", "length") : { choices: [{ index: 0, text: "", finish_reason: "length" }] });
  sse(response, { choices: [], usage: { prompt_tokens: 7, completion_tokens: most } });
  sse(response, "[DONE]");
  response.end();
};

async function engineOf(answer: Answer, more: Partial<OpenAiOptions> = {}): Promise<OpenAiEngine> {
  const engine = new OpenAiEngine({
    baseUrl: await serve(answer), model: "served-name", places: 2, contextTokens: 1_000, capabilities: [], tokenizer: "", dimensions: 0, kvTokens: 0,
    curve: { aNs: 1, bNs: 1, cNs: 0, dNs: 0, ePs: 0 }, ...more, limits: { idleMs: 10_000, firstByteMs: 10_000, ...more.limits },
  }, { clock: systemClock, log: silentLog });
  engines.push(engine);
  return engine;
}

/** The answer's stream, given event by event. */
const stream = (...events: unknown[]): Answer => ({ path }, response) => {
  if (!path.includes("completions")) return void response.writeHead(404).end();
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const event of events) sse(response, event);
  response.end();
};

after(async () => {
  await Promise.all(engines.map((engine) => engine.stop()));
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

engineSuite({ name: "openai-compatible", places: 2, tooLongBytes: 8_000, make: () => engineOf(words) });

describe("engine: openai-compatible, in detail", () => {
  it("passes the client's body on, its model renamed, streamed with usage, bounded by what is paid", async () => {
    let seen: Record<string, unknown> = {};
    let key: string | undefined;
    const engine = await engineOf((request, response) => {
      seen = request.body;
      key = request.headers.authorization;
      return stream(delta("hi", "stop"), { choices: [], usage: { prompt_tokens: 3, completion_tokens: 1 } }, "[DONE]")(request, response);
    }, { apiKey: "secret" });
    const events = await collect(engine, chat("hello", { tools: [{ type: "function" }], max_tokens: 500, tidelane: { split: "off" }, service_tier: "flex" }, 20));
    expect(seen).to.deep.equal({
      model: "served-name", messages: [{ role: "user", content: "hello" }], temperature: 0, tools: [{ type: "function" }], max_tokens: 20,
      stream: true, stream_options: { include_usage: true },
    });
    expect(key).to.equal("Bearer secret");
    expect(endOf(events)).to.deep.equal({ type: "end", finishReason: "stop", inputTokens: 3, outputTokens: 1 });
  });

  it("hands on what is no text as extra members", async () => {
    const call = [{ index: 0, id: "c", function: { name: "f", arguments: "{}" } }];
    const engine = await engineOf(stream({ choices: [{ delta: { role: "assistant", content: null, tool_calls: call } }] }, { choices: [{ delta: {}, finish_reason: "tool_calls" }] }, "[DONE]"));
    const events = await collect(engine, chat("x"));
    expect(events[1]).to.deep.equal({ type: "delta", text: "", tokens: 1, extra: JSON.stringify({ tool_calls: call }) });
    expect(endOf(events).finishReason).to.equal("tool_calls");
  });

  it("counts chunks where the engine does not count, and estimates the input", async () => {
    const engine = await engineOf(stream(delta("a"), delta("b"), delta("", "stop"), "[DONE]"));
    expect(endOf(await collect(engine, chat("12345678")))).to.include({ inputTokens: 2, outputTokens: 2 });
  });

  it("never claims more output than was paid for, whatever the engine counts", async () => {
    const engine = await engineOf(stream(delta("a", "stop"), { choices: [], usage: { prompt_tokens: 1, completion_tokens: 9_999 } }, "[DONE]"));
    expect(endOf(await collect(engine, chat("x", {}, 10))).outputTokens).to.equal(10);
  });

  it("says at the start what its input can be at most, and never claims more", async () => {
    const engine = await engineOf(stream(delta("a", "stop"), { choices: [], usage: { prompt_tokens: 900, completion_tokens: 1 } }, "[DONE]"));
    const events = await collect(engine, chat("12345678"));
    expect(events[0]).to.deep.equal({ type: "start", inputTokens: 2, inputTokensMax: 8 + 32 });
    expect(endOf(events).inputTokens).to.equal(40);
  });

  it("announces what an engine counted beyond its chunks, before it is claimed", async () => {
    const engine = await engineOf(stream(delta("a b c", "stop"), { choices: [], usage: { prompt_tokens: 1, completion_tokens: 30 } }, "[DONE]"));
    const events = await collect(engine, chat("x"));
    expect(tokensOf(events)).to.equal(30).and.to.equal(endOf(events).outputTokens);
  });

  it("cuts off an engine that ignores the limit", async () => {
    const engine = await engineOf(stream(...Array.from({ length: 50 }, () => delta("a")), delta("", "stop"), "[DONE]"));
    const events = await collect(engine, chat("x", {}, 10));
    expect(textOf(events)).to.equal("a".repeat(10));
    expect(endOf(events)).to.include({ finishReason: "length", outputTokens: 10 });
  });

  it("takes the answer for whole once it has finished, though the engine then hangs, breaks off or babbles", async () => {
    const finished = (then: (response: ServerResponse) => void): Answer => ({ path }, response) => {
      if (!path.includes("completions")) return void response.writeHead(404).end();
      sse(response, delta("whole"));
      sse(response, delta("", "stop"));
      then(response);
    };
    const usage = { choices: [], usage: { prompt_tokens: 7, completion_tokens: 1 } };
    for (const then of [() => {}, (response: ServerResponse) => void setTimeout(() => response.destroy(), 20), (response: ServerResponse) => void response.end("<html>")]) {
      expect(endOf(await collect(await engineOf(finished(then)), chat("x")))).to.include({ finishReason: "stop", outputTokens: 1 });
    }
    expect(endOf(await collect(await engineOf(finished((response) => void setTimeout(() => sse(response, usage), 100))), chat("x")))).to.include({ inputTokens: 7 });
  });

  it("joins a character that the engine cut in two", async () => {
    const halves = ["\ud83c", "\udf0a and \ud83c", "\udf0a"].map((text) => JSON.stringify(delta(text)));
    expect(textOf(await collect(await engineOf(stream(...halves, delta("", "stop"), "[DONE]")), chat("x")))).to.equal("🌊 and 🌊");
  });

  it("sets no limit of its own for a chat that might then not fit the context; what comes beyond the limit is cut off", async () => {
    const bodies: Record<string, unknown>[] = [];
    const engine = await engineOf((request, response) => {
      bodies.push(request.body);
      return stream(...Array.from({ length: 50 }, () => delta("a")), delta("", "stop"), "[DONE]")(request, response);
    }, { contextTokens: 100 });
    const send = async (kind: "chat" | "completion", body: Record<string, unknown>): Promise<Record<string, unknown>> => {
      const events = await collect(engine, { kind, body: kind === "chat" ? { messages: [{ role: "user", content: "hello" }], ...body } : { prompt: "hello", ...body }, maxOutTokens: 40 });
      expect(textOf(events).length).to.be.at.most(40);
      return bodies.at(-1)!;
    };
    expect(await send("chat", {})).to.include({ max_tokens: 40 });
    const long = { messages: [{ role: "user", content: "hello ".repeat(10) }] };
    expect(await send("chat", long)).to.not.have.any.keys("max_tokens", "max_completion_tokens");
    expect(await send("chat", { ...long, max_tokens: 30 })).to.include({ max_tokens: 30 });
    expect(await send("chat", { ...long, max_completion_tokens: 30 })).to.include({ max_completion_tokens: 30 }).and.not.have.any.keys("max_tokens");
    expect(await send("chat", { ...long, max_completion_tokens: null, max_tokens: 30 })).to.include({ max_tokens: 30 });
    expect(await send("completion", { prompt: "hello ".repeat(10) })).to.include({ max_tokens: 40 });
  });

  it("takes comments, event names, CRLF, odd chunk borders and a missing [DONE]", async () => {
    const engine = await engineOf(({ path }, response) => {
      if (!path.includes("completions")) return void response.writeHead(404).end();
      const bytes = Buffer.from(`: hello\r\nevent: x\r\ndata:${JSON.stringify(delta("grüße 🌊"))}\r\n\r\ndata: ${JSON.stringify(delta("", "stop"))}\n`);
      for (const byte of bytes) response.write(Buffer.of(byte));
      response.end();
    });
    expect(textOf(await collect(engine, chat("x")))).to.equal("grüße 🌊");
  });

  const bad: Record<string, [Answer, string]> = {
    "no JSON": [stream("{oops"), "engine_bad_answer"],
    "JSON that is no chunk": [stream({ choices: "many" }), "engine_bad_answer"],
    "an HTML page": [(_, response) => void response.writeHead(200).end("<html>hello</html>"), "engine_bad_answer"],
    "content that is no text": [stream({ choices: [{ delta: { content: 7 } }] }), "engine_bad_answer"],
    "negative counts": [stream({ choices: [], usage: { prompt_tokens: -1, completion_tokens: 1 } }), "engine_bad_answer"],
    "another choice": [stream({ choices: [{ index: 1, delta: { content: "x" } }] }), "engine_bad_answer"],
    "two choices": [stream({ choices: [{ delta: {} }, { delta: {} }] }), "engine_bad_answer"],
    "an error in mid-stream": [stream(delta("a"), { error: { message: "out of memory" } }), "engine_bad_answer"],
    "nothing at all": [stream(), "engine_cut"],
    "an end without a finish": [stream(delta("a"), "[DONE]"), "engine_cut"],
    "a cut connection": [({ path }, response) => {
      if (!path.includes("completions")) return void response.writeHead(404).end();
      sse(response, delta("a"));
      setTimeout(() => response.destroy(), 20);
    }, "engine_cut"],
    "silence before the answer": [(request, response) => (request.path.includes("completions") ? undefined : notFound(request, response)), "engine_silent"],
    "silence in mid-stream": [(request, response) => (request.path.includes("completions") ? void sse(response, delta("a")) : notFound(request, response)), "engine_silent"],
    "a line without end": [({ path }, response) => {
      if (!path.includes("completions")) return void response.writeHead(404).end();
      const more = (): void => void (response.destroyed || response.write("x".repeat(4_096), () => setImmediate(more)));
      response.write("data: ");
      more();
    }, "engine_too_much"],
    "answers without end": [({ path }, response) => {
      if (!path.includes("completions")) return void response.writeHead(404).end();
      const more = (): void => void (response.destroyed || response.write(`data: ${JSON.stringify(delta("x".repeat(1_000)))}\n\n`, () => setImmediate(more)));
      more();
    }, "engine_too_much"],
    "HTTP 500": [(_, response) => void response.writeHead(500).end("{}"), "engine_unavailable"],
    "a redirect": [(_, response) => void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(), "engine_unavailable"],
    "HTTP 422": [(_, response) => void response.writeHead(422).end("{}"), "input_rejected"],
  };
  for (const [what, [answer, code]] of Object.entries(bad)) {
    it(`fails typed on ${what}`, async () => {
      // Only where silence is the point is the patience short: a busy machine must not look like a silent engine.
      const patience = code === "engine_silent" ? { idleMs: 200, firstByteMs: 300 } : {};
      const engine = await engineOf(answer, { limits: { lineBytesMax: 65_536, totalBytesMax: 262_144, ...patience } });
      expect(await failure(collect(engine, chat("x", {}, 1_000)))).to.equal(code);
      expect(engine.load().running).to.equal(0);
    });
  }

  it("counts as down for a while when the connection is refused", async () => {
    const url = await serve(notFound);
    const gone = servers.pop()!;
    gone.closeAllConnections();
    await new Promise((resolve) => gone.close(resolve));
    const engine = await engineOf(notFound, { baseUrl: url });
    expect(await failure(collect(engine, chat("x")))).to.equal("engine_unavailable");
    expect(engine.load().up).to.equal(false);
    const named = await engineOf(notFound, { baseUrl: url.replace("127.0.0.1", "localhost") });
    expect(await failure(collect(named, chat("x")))).to.equal("engine_unavailable");
    expect(named.load().up).to.equal(false);
  });

  it("does not count as down for one request that breaks its connection", async () => {
    const engine = await engineOf((request, response) => (request.path.includes("completions") ? void response.destroy() : notFound(request, response)));
    expect(await failure(collect(engine, chat("x")))).to.equal("engine_unavailable");
    expect(engine.load().up).to.equal(true);
  });

  it("hangs up on the engine when the attempt is aborted", async () => {
    let hungUp = false;
    const engine = await engineOf(({ path }, response) => {
      if (!path.includes("completions")) return void response.writeHead(404).end();
      response.on("close", () => { hungUp = true; });
      sse(response, delta("a"));
    });
    const stop = new AbortController();
    const events: EngineEvent[] = [];
    for await (const event of engine.run(chat("x"), stop.signal)) {
      events.push(event);
      if (event.type === "delta") stop.abort();
    }
    expect(tokensOf(events)).to.equal(1);
    await eventually(() => hungUp);
  });
});

describe("engine: openai-compatible, embeddings", () => {
  const request = (input: unknown) => ({ kind: "embeddings" as const, body: { model: "m", input, encoding_format: "base64" }, maxOutTokens: 0 });
  const answering = (json: unknown): Answer => (_, response) => void response.writeHead(200).end(typeof json === "string" ? json : JSON.stringify(json));
  const row = (index: number, embedding: unknown = [1, 0.5]): object => ({ index, embedding });

  it("answers vectors in the order of the texts, whatever order they came in", async () => {
    let seen: Record<string, unknown> = {};
    const engine = await engineOf((asked, response) => {
      seen = asked.body;
      return answering({ data: [row(1, [0, 1]), row(0)], usage: { prompt_tokens: 9 } })(asked, response);
    }, { dimensions: 2 });
    await engine.start();
    const events = await collect(engine, request(["a", "b"]));
    expect(seen).to.include({ model: "served-name", encoding_format: "float" });
    expect(events.slice(1, 3)).to.deep.equal([{ type: "embedding", index: 0, vector: Float32Array.of(1, 0.5) }, { type: "embedding", index: 1, vector: Float32Array.of(0, 1) }]);
    expect(endOf(events)).to.include({ inputTokens: 9, outputTokens: 0 });
  });

  for (const [what, json] of Object.entries({ "too few": { data: [row(0)] }, "one twice": { data: [row(0), row(0)] }, "other dimensions": { data: [row(0, [1]), row(1, [1])] }, "no numbers": { data: [row(0, ["x"]), row(1)] }, garbage: "oops" })) {
    it(`fails typed on ${what}`, async () => {
      const engine = await engineOf(answering(json), { dimensions: 2 });
      expect(await failure(collect(engine, request(["a", "b"])))).to.equal("engine_bad_answer");
    });
  }
});

describe("engine: openai-compatible, what the engine tells of itself", () => {
  const json = (routes: Record<string, unknown>): Answer => ({ path }, response) => (path in routes ? void response.writeHead(200).end(JSON.stringify(routes[path])) : void response.writeHead(404).end());

  it("believes Ollama's native API about the loaded context, and looks itself, because Ollama truncates", async () => {
    const engine = await engineOf(json({ "/api/ps": { models: [{ name: "served-name:latest", context_length: 64 }] } }), { contextTokens: 0 });
    expect((await engine.start()).contextTokens).to.equal(64);
    expect(await failure(collect(engine, completion("x".repeat(400))))).to.equal("input_rejected");
  });

  it("takes Ollama's num_ctx, or its default, while the model is not loaded", async () => {
    const shown = (parameters: string): Answer => json({ "/api/ps": { models: [] }, "/api/show": { parameters, model_info: { "llama.context_length": 131_072 } } });
    expect((await (await engineOf(shown("stop x\nnum_ctx    8192"), { contextTokens: 0 })).start()).contextTokens).to.equal(8_192);
    expect((await (await engineOf(shown(""), { contextTokens: 0 })).start()).contextTokens).to.equal(4_096);
  });

  it("asks llama.cpp's server and vLLM", async () => {
    expect((await (await engineOf(json({ "/props": { default_generation_settings: { n_ctx: 2_048 } } }), { contextTokens: 0 })).start()).contextTokens).to.equal(2_048);
    expect((await (await engineOf(json({ "/v1/models": { data: [{ id: "other" }, { id: "served-name", max_model_len: 32_768 }] } }), { contextTokens: 0 })).start()).contextTokens).to.equal(32_768);
  });

  it("never offers more than the engine tells, nor than its owner set", async () => {
    const vllm = json({ "/v1/models": { data: [{ id: "served-name", max_model_len: 2_000 }] } });
    expect((await (await engineOf(vllm, { contextTokens: 4_000 })).start()).contextTokens).to.equal(2_000);
    expect((await (await engineOf(vllm, { contextTokens: 500 })).start()).contextTokens).to.equal(500);
  });

  it("assumes little where nobody tells", async () => {
    expect((await (await engineOf(notFound, { contextTokens: 0 })).start()).contextTokens).to.equal(4_096);
  });

  it("does not start where nothing answers", async () => {
    const engine = await engineOf(notFound, { baseUrl: "http://127.0.0.1:1/v1" });
    expect(await failure(engine.start())).to.equal("engine_unavailable");
  });

  it("reads vLLM's and llama.cpp's metrics, and ignores the rest", () => {
    expect(readMetrics('# HELP x\nvllm:num_requests_running{model="a"} 3\nvllm:num_requests_running{model="b"} 2.0\nvllm:num_requests_waiting{model="a"} 7\nvllm:kv_cache_usage_perc{model="a"} 0.25\nvllm:num_requests_running_total 99'))
      .to.deep.equal({ running: 5, waiting: 7, kvShare: 0.25 });
    expect(readMetrics("llamacpp:requests_processing 1\nllamacpp:requests_deferred 4\n")).to.deep.equal({ running: 1, waiting: 4, kvShare: null });
    expect(readMetrics("vllm:num_requests_running NaN\nvllm:kv_cache_usage_perc 7\nnonsense")).to.deep.equal({ running: null, waiting: null, kvShare: 1 });
  });

  it("gauges by the metrics where they tell more than its own work", async () => {
    const metrics: Answer = (_, response) => void response.writeHead(200).end("vllm:num_requests_running 4\nvllm:num_requests_waiting 9\nvllm:kv_cache_usage_perc 0.5\n");
    const watched = await engineOf(notFound, { metricsUrl: `${await serve(metrics)}/metrics` });
    await watched.start();
    await eventually(() => watched.load().queued === 9);
    expect(watched.load()).to.include({ running: 4, kvUsedTokens: 1_000, kvTokens: 2_000 });
  });
});
