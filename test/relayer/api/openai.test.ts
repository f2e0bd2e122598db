// OpenAI's API as the `openai` package and plain fetch see it.
import { expect } from "chai";
import OpenAI from "openai";
import { TidelaneError } from "../../../protocol/errors.ts";
import { paymentToHeader, type Payment } from "../../../protocol/payment.ts";
import { until } from "../until.ts";
import { honestRecord } from "../../protocol/honest.ts";
import { chat, cost, end, post, says, startApi, TASK, type TestApi } from "./server.ts";

describe("OpenAI's API", () => {
  let api: TestApi;
  let client: OpenAI;

  beforeEach(async () => {
    api = await startApi();
    client = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: "tl_test", maxRetries: 0 });
  });
  afterEach(() => api.close());

  const message = { role: "user" as const, content: "Tell me a story" };

  it("answers a chat, with usage and cost", async () => {
    const answer = await client.chat.completions.create({ model: "test", messages: [message] });
    expect(answer.choices).to.deep.equal([{ index: 0, message: { role: "assistant", content: "Once upon", refusal: null }, logprobs: null, finish_reason: "stop" }]);
    expect(answer.usage).to.deep.equal({ prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 });
    expect(answer).to.deep.include({ object: "chat.completion", model: "tidelane/test@q8_0", tidelane: cost });
    expect(api.asked[0]).to.deep.include({ model: "test", apiKey: "tl_test", payment: null, isStreamed: false, maxOutTokens: null, capabilities: [], prompt: { texts: ["Tell me a story"], bytes: 15, isPlainText: true } });
  });

  it("streams a chat chunk by chunk, with usage where it is asked for", async () => {
    const chunks = [];
    for await (const chunk of await client.chat.completions.create({ model: "test", messages: [message], stream: true, stream_options: { include_usage: true } })) chunks.push(chunk);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? null)).to.deep.equal(["", "Once", " upon", null, null]);
    expect(chunks.map((chunk) => chunk.choices[0]?.finish_reason ?? null)).to.deep.equal([null, null, null, "stop", null]);
    expect(chunks.at(-1)).to.deep.include({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 }, tidelane: cost });
    expect(chunks[0]!.usage).to.equal(null);
    expect(new Set(chunks.map((chunk) => chunk.id)).size).to.equal(1);
  });

  it("puts the cost into the last chunk where no usage is asked for", async () => {
    const text = await (await post(api, "/v1/chat/completions", chat({ stream: true }))).text();
    const events = text.trim().split("\n\n");
    expect(events.at(-1)).to.equal("data: [DONE]");
    expect(JSON.parse(events.at(-2)!.slice(6))).to.deep.include({ tidelane: cost });
    expect(JSON.parse(events.at(-2)!.slice(6))).not.to.have.property("usage");
  });

  it("sends output on as it comes, not at the end", async () => {
    let proceed = (): void => {};
    api.script = async function* () {
      yield { type: "delta", text: "first", tokens: 1 };
      await new Promise<void>((resolve) => (proceed = resolve));
      yield end(1);
    };
    const stream = await client.chat.completions.create({ model: "test", messages: [message], stream: true });
    const seen: string[] = [];
    for await (const chunk of stream) {
      seen.push(chunk.choices[0]?.delta.content ?? "");
      if (seen.includes("first")) proceed();
    }
    expect(seen).to.deep.equal(["", "first", ""]);
  });

  it("names task, node, session, mode and exposure in headers", async () => {
    const { response } = await client.chat.completions.create({ model: "test", messages: [message] }).withResponse();
    const header = (name: string): string | null => response.headers.get(`x-tidelane-${name}`);
    expect([header("task"), header("node"), header("mode"), header("exposure")]).to.deep.equal([TASK, "7", "allowance", "123"]);
    expect(header("session")).to.match(/^0x(5e){32}$/);
    expect(response.headers.get("x-request-id")).to.match(/^req_[0-9a-f]{32}$/);
  });

  it("completes a prompt, streamed and not", async () => {
    const answer = await client.completions.create({ model: "test", prompt: "Once" });
    expect(answer.choices[0]).to.deep.include({ text: "Once upon", finish_reason: "stop" });
    let text = "";
    for await (const chunk of await client.completions.create({ model: "test", prompt: ["Once"], stream: true })) text += chunk.choices[0]?.text ?? "";
    expect(text).to.equal("Once upon");
    expect(api.asked[1]!.prompt.texts).to.deep.equal(["Once"]);
  });

  it("embeds texts in the order asked for, as the package decodes them and as numbers", async () => {
    const vector = (...values: number[]): string => Buffer.from(new Float32Array(values).buffer).toString("base64");
    api.script = async function* () {
      yield { type: "embedding", index: 1, vector: vector(3, 4) };
      yield { type: "embedding", index: 0, vector: vector(0.5, -1) };
      yield end(0);
    };
    const packaged = await client.embeddings.create({ model: "embed", input: ["a", "b"] });
    expect(packaged.data.map((one) => one.embedding)).to.deep.equal([[0.5, -1], [3, 4]]);
    expect(packaged.usage).to.deep.equal({ prompt_tokens: 5, total_tokens: 5 });
    const plain = await (await post(api, "/v1/embeddings", { model: "embed", input: ["a", "b"] })).json() as { data: { embedding: number[] }[] };
    expect(plain.data.map((one) => one.embedding)).to.deep.equal([[0.5, -1], [3, 4]]);
    expect(plain).to.deep.include({ tidelane: cost });
  });

  it("lists models with context and price, and finds one by name or alias", async () => {
    const list = [];
    for await (const one of client.models.list()) list.push(one);
    expect(list.map((one) => one.id)).to.deep.equal(["tidelane/test@q8_0", "tidelane/embed@f32"]);
    expect(list[0]).to.deep.include({ object: "model", context_length: 1_000 });
    expect((list[0] as unknown as { tidelane: object }).tidelane).to.deep.include({ priceInPerMTok: "1000000", priceOutPerMTok: "2000000", kind: "generate", contextTokens: 1_000, tideMultiplier: 1_000_000 });
    expect((list[0] as unknown as { tidelane: { tiers: object } }).tidelane.tiers).to.deep.equal({
      priority: { priceInPerMTok: "1500000", priceOutPerMTok: "3000000" }, flex: { priceInPerMTok: "500000", priceOutPerMTok: "1000000" },
    });
    expect((await client.models.retrieve("tidelane/test@q8_0")).id).to.equal("tidelane/test@q8_0");
    expect((await (await fetch(`${api.url}/v1/models/tidelane/test@q8_0`)).json() as { id: string }).id).to.equal("tidelane/test@q8_0");
    expect((await client.models.retrieve("embed")).id).to.equal("tidelane/embed@f32");
    expect((await fetch(`${api.url}/v1/models/none`)).status).to.equal(404);
  });

  it("joins tool calls and log probabilities of a whole answer, and passes their pieces on in a stream", async () => {
    const piece = (extra: object) => ({ type: "delta" as const, text: "", tokens: 1, extra: JSON.stringify(extra) });
    api.script = async function* () {
      yield piece({ tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "look", arguments: "{\"a" } }] });
      yield piece({ tool_calls: [{ index: 0, function: { arguments: "\":1}" } }], logprobs: { content: [{ token: "x" }] } });
      yield piece({ tool_calls: [{ index: 1, id: "call_2", type: "function", function: { name: "leap", arguments: "{}" } }] });
      yield { ...end(3), finishReason: "tool_calls" } as ReturnType<typeof end>;
    };
    const whole = await client.chat.completions.create({ model: "test", messages: [message], tools: [] });
    expect(whole.choices[0]!.message.content).to.equal(null);
    expect(whole.choices[0]!.message.tool_calls).to.deep.equal([
      { id: "call_1", type: "function", function: { name: "look", arguments: "{\"a\":1}" } }, { id: "call_2", type: "function", function: { name: "leap", arguments: "{}" } },
    ]);
    expect(whole.choices[0]).to.deep.include({ finish_reason: "tool_calls", logprobs: { content: [{ token: "x" }] } });
    const deltas = [];
    for await (const chunk of await client.chat.completions.create({ model: "test", messages: [message], stream: true })) deltas.push(chunk.choices[0]!.delta.tool_calls?.[0]?.function?.arguments);
    expect(deltas.filter((one) => one !== undefined)).to.deep.equal(["{\"a", "\":1}", "{}"]);
  });

  it("lets no further member of a node put another text, index or end in the answer's place", async () => {
    const extra = '{"content":"forged","text":"forged","role":"system","index":7,"finish_reason":"length","__proto__":{"tool_calls":[]},"reasoning":"so"}';
    api.script = async function* () {
      yield { type: "delta", text: "true", tokens: 1, extra };
      yield end(1);
    };
    const whole = await client.chat.completions.create({ model: "test", messages: [message] });
    expect(whole.choices[0]).to.deep.include({ index: 0, finish_reason: "stop", message: { role: "assistant", content: "true", refusal: null, reasoning: "so" } });
    for await (const { choices: [choice] } of await client.chat.completions.create({ model: "test", messages: [message], stream: true })) {
      expect(choice!.index).to.equal(0);
      expect(choice!.delta.content ?? "").to.be.oneOf(["", "true"]);
      expect(choice!.finish_reason).to.be.oneOf([null, "stop"]);
    }
    const plain = await client.completions.create({ model: "test", prompt: "x" });
    expect(plain.choices[0]).to.deep.include({ index: 0, text: "true", finish_reason: "stop" });
  });

  it("joins the log probabilities of a plain completion, too", async () => {
    api.script = async function* () {
      for (const token of ["a", "b"]) yield { type: "delta", text: token, tokens: 1, extra: JSON.stringify({ logprobs: { tokens: [token], token_logprobs: [-1], top_logprobs: [{ [token]: -1 }] } }) };
      yield end(2);
    };
    expect((await client.completions.create({ model: "test", prompt: "x" })).choices[0]!.logprobs).to.deep.equal({ tokens: ["a", "b"], token_logprobs: [-1, -1], top_logprobs: [{ a: -1 }, { b: -1 }] });
  });

  it("reads a payment from its header, and hands the body on byte for byte", async () => {
    const { order, voucher, voucherSignature } = await honestRecord();
    const payment: Payment = { order, voucher: voucher!, voucherSignature, promptSalt: `0x${"01".repeat(32)}` };
    const body = `{"model" : "test",\n "messages":[{"role":"user","content":"Grüße 🌊 \\ud83d"}]}`;
    expect((await post(api, "/v1/chat/completions", body, { "x-tidelane-payment": paymentToHeader(payment), authorization: "Bearer unused" })).status).to.equal(200);
    expect(api.asked[0]!.payment).to.deep.equal(payment);
    expect(Buffer.from(api.asked[0]!.body).toString()).to.equal(body);
    expect(api.asked[0]!.text).to.equal(body);
    const bad = await post(api, "/v1/chat/completions", chat(), { "x-tidelane-payment": "!!!" });
    expect(bad.status).to.equal(400);
  });

  it("tells a stream that breaks off by an error event and no [DONE]", async () => {
    api.script = async function* () {
      yield { type: "delta", text: "Once", tokens: 1 };
      throw new TidelaneError("The answer broke off after 1 tokens (stalled).", { code: "stream_interrupted", retryable: true, details: { reason: "stalled", deliveredTokens: 1 } });
    };
    const text = await (await post(api, "/v1/chat/completions", chat({ stream: true }))).text();
    expect(text).not.to.contain("[DONE]");
    expect(JSON.parse(text.trim().split("\n\n").at(-1)!.slice(6)).error).to.deep.include({ code: "stream_interrupted", type: "server_error", details: { reason: "stalled", deliveredTokens: 1 } });
    let thrown: unknown = null;
    try {
      for await (const _ of await client.chat.completions.create({ model: "test", messages: [message], stream: true }));
    } catch (error) {
      thrown = error;
    }
    expect(String(thrown)).to.contain("broke off");
  });

  it("does not show what nobody foresaw", async () => {
    api.script = async function* () { yield* []; throw new Error("secret prompt text"); };
    const answer = await post(api, "/v1/chat/completions", chat());
    const body = await answer.text();
    expect(answer.status).to.equal(500);
    expect(body).to.contain("internal_error").and.not.contain("secret");
  });

  it("tells the task that its client has gone, and reads it to its end", async () => {
    let hasEnded = false;
    api.script = async function* ({ signal }) {
      yield { type: "delta", text: "Once", tokens: 1 };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      yield { type: "delta", text: "more", tokens: 1 };
      hasEnded = true;
      yield end(2);
    };
    const gone = new AbortController();
    const response = await fetch(`${api.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(chat({ stream: true })), headers: { "content-type": "application/json" }, signal: gone.signal });
    await response.body!.getReader().read();
    gone.abort();
    await until(() => hasEnded);
  });

  it("gives errors their status, and says when to come again", async () => {
    const said = async (error: TidelaneError): Promise<{ status: number; code: string; retryAfter: string | null; shouldRetry: string | null }> => {
      api.refusal = error;
      const response = await post(api, "/v1/chat/completions", chat());
      const { error: body } = await response.json() as { error: { code: string } };
      return { status: response.status, code: body.code, retryAfter: response.headers.get("retry-after"), shouldRetry: response.headers.get("x-should-retry") };
    };
    expect(await said(new TidelaneError("Busy.", { code: "saturated", retryable: true, details: { retryAfterMs: 1_500 } }))).to.deep.equal({ status: 429, code: "saturated", retryAfter: "2", shouldRetry: "true" });
    expect((await post(api, "/v1/chat/completions", chat())).headers.get("x-ratelimit-reset-requests")).to.equal("1500ms");
    expect(await said(new TidelaneError("No key.", { code: "missing_key" }))).to.deep.include({ status: 401, shouldRetry: "false" });
    expect(await said(new TidelaneError("Too poor.", { code: "insufficient_escrow" }))).to.deep.include({ status: 402, retryAfter: null });
    expect(await said(new TidelaneError("Used.", { code: "order_replayed" }))).to.deep.include({ status: 409, shouldRetry: "false" });
    expect(await said(new TidelaneError("Down.", { code: "journal_unavailable", retryable: true }))).to.deep.include({ status: 503, retryAfter: "1" });
    api.refusal = new TidelaneError("Too poor.", { code: "insufficient_escrow" });
    const thrown: unknown = await client.chat.completions.create({ model: "test", messages: [message] }).catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(OpenAI.APIError).and.include({ status: 402, code: "insufficient_escrow" });
  });

  it("lets every origin ask, and see what it needs", async () => {
    const preflight = await fetch(`${api.url}/v1/chat/completions`, {
      method: "OPTIONS", headers: { origin: "https://app.example", "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type,x-stainless-os" },
    });
    expect(preflight.status).to.equal(204);
    expect(preflight.headers.get("access-control-allow-origin")).to.equal("*");
    expect(preflight.headers.get("access-control-allow-headers")).to.contain("x-stainless-os");
    const answer = await post(api, "/v1/chat/completions", chat(), { origin: "https://app.example" });
    expect(answer.headers.get("access-control-expose-headers")).to.contain("x-tidelane-task");
    void says;
  });
});
