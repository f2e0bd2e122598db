// What strangers send: each a clear typed error, and the task service is never asked.
import http from "node:http";
import net from "node:net";
import { expect } from "chai";
import { chat, post, startApi, type TestApi } from "./server.ts";

interface Said {
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly message: string;
}

describe("bad input", () => {
  let api: TestApi;
  before(async () => {
    api = await startApi();
  });
  after(() => api.close());
  afterEach(() => expect(api.asked, "nothing reached the task service").to.deep.equal([]));

  const said = async (response: Response): Promise<Said> => {
    const { error } = await response.json() as { error: Omit<Said, "status"> };
    expect(error.message).to.be.a("string").and.not.equal("");
    return { status: response.status, code: error.code, param: error.param, message: error.message };
  };
  const saidTo = async (body: unknown, path = "/v1/chat/completions", headers: Record<string, string> = {}): Promise<Said> => said(await post(api, path, body, headers));

  it("is refused as malformed JSON, without quoting it", async () => {
    for (const body of ["{\"model\": \"my secret", "", "not json", "[1,2]", "\"text\"", "null", "123"]) {
      const answer = await saidTo(body);
      expect(answer.status, body).to.equal(400);
      expect(answer.code, body).to.be.oneOf(["invalid_json", "invalid_value"]);
      expect(answer.message).not.to.contain("secret");
    }
  });

  it("is refused where it is nested a hundred thousand deep, in arrays or objects", async () => {
    for (const body of ["[".repeat(100_000), `{"model":"test","messages":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, `${"{\"a\":".repeat(100_000)}1${"}".repeat(100_000)}`]) {
      expect(await saidTo(body)).to.deep.include({ status: 400, code: "json_too_deep" });
    }
    expect(await saidTo(chat({ messages: [{ role: "user", content: "[".repeat(100_000) }], temperature: 9 })), "brackets in a text are text").to.include({ param: "temperature" });
  });

  it("is refused above 1 MiB, whether or not its length is announced", async () => {
    expect(await saidTo(chat({ user: "x".repeat(1_048_577) }))).to.include({ status: 413, code: "body_too_large" });
    const chunked = await new Promise<number>((resolve) => {
      const request = http.request(`${api.url}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" } }, (response) => resolve(response.statusCode ?? 0));
      request.on("error", () => {});
      const piece = Buffer.alloc(65_536, 0x20);
      for (let i = 0; i < 32; i++) request.write(piece);
      request.end();
    });
    expect(chunked).to.equal(413);
  });

  it("is refused where it is not UTF-8", async () => {
    const body = Buffer.concat([Buffer.from('{"model":"test","messages":[{"role":"user","content":"'), Buffer.from([0xc3, 0x28, 0xff]), Buffer.from('"}]}')]);
    expect(await saidTo(body)).to.include({ status: 400, code: "invalid_utf8" });
  });

  it("is refused where a key is called __proto__, at any depth", async () => {
    expect(await saidTo('{"model":"test","messages":[{"role":"user","content":"x"}],"__proto__":{"stream":true}}')).to.include({ status: 400, code: "invalid_value", param: "__proto__" });
    expect(await saidTo('{"model":"test","messages":[{"role":"user","content":"x","__proto__":{}}]}')).to.include({ status: 400, code: "invalid_value", param: "messages.0.__proto__" });
    expect(({} as Record<string, unknown>).stream).to.equal(undefined);
  });

  it("is refused with the name of the first member of a wrong type", async () => {
    const cases: [object, string][] = [
      [{ messages: [{ role: "user", content: "x" }] }, "model"], [chat({ model: 3 }), "model"], [chat({ model: "" }), "model"], [chat({ messages: [] }), "messages"],
      [chat({ messages: "hi" }), "messages"], [chat({ messages: [{ role: "king", content: "x" }] }), "messages.0.role"], [chat({ messages: [{ role: "user", content: 5 }] }), "messages.0.content"],
      [chat({ messages: [{ role: "user" }] }), "messages.0.content"], [chat({ messages: [{ role: "user", content: [{ type: "text", text: 4 }] }] }), "messages.0.content.0.text"],
      [chat({ max_tokens: 0 }), "max_tokens"], [chat({ max_tokens: -1 }), "max_tokens"], [chat({ max_tokens: 1.5 }), "max_tokens"], [chat({ max_tokens: "5" }), "max_tokens"],
      [chat({ max_completion_tokens: 2 ** 40 }), "max_completion_tokens"], [chat({ temperature: 3 }), "temperature"], [chat({ temperature: "hot" }), "temperature"], [chat({ top_p: 1.1 }), "top_p"],
      [chat({ stop: ["a", "b", "c", "d", "e"] }), "stop"], [chat({ stop: 7 }), "stop"], [chat({ stream: "yes" }), "stream"], [chat({ seed: 1.5 }), "seed"],
      [chat({ stream_options: { include_usage: true } }), "stream_options"], [chat({ service_tier: "gold" }), "service_tier"], [chat({ user: "u".repeat(600) }), "user"],
    ];
    for (const [body, param] of cases) expect(await saidTo(body), JSON.stringify(body)).to.include({ status: 400, code: "invalid_value", param });
  });

  it("says plainly that prompts and inputs are text, not tokens, and one prompt at a time", async () => {
    expect((await saidTo({ model: "test", prompt: [1, 2, 3] }, "/v1/completions")).message).to.contain("tokens are not taken");
    expect(await saidTo({ model: "test", prompt: ["a", "b"] }, "/v1/completions")).to.include({ status: 400, param: "prompt" });
    expect((await saidTo({ model: "embed", input: [[1, 2], [3]] }, "/v1/embeddings")).message).to.contain("tokens are not taken");
    for (const input of ["", [], [""], [1, 2], 5]) expect(await saidTo({ model: "embed", input }, "/v1/embeddings"), JSON.stringify(input)).to.satisfy((answer: Said) => answer.status === 400 && /^input(\.0)?$/.test(answer.param ?? ""));
    expect(await saidTo({ model: "embed", input: "a", encoding_format: "hex" }, "/v1/embeddings")).to.include({ param: "encoding_format" });
  });

  it("is refused with another content type or encoding", async () => {
    expect(await saidTo(chat(), "/v1/chat/completions", { "content-type": "text/plain" })).to.include({ status: 415, code: "unsupported_media_type" });
    expect(await saidTo(chat(), "/v1/chat/completions", { "content-type": "application/json; charset=latin1" })).to.include({ status: 415 });
    expect(await saidTo(chat(), "/v1/chat/completions", { "content-encoding": "gzip" })).to.include({ status: 415, code: "unsupported_media_type" });
  });

  it("finds no route, or no such method, in the form of the API that was asked", async () => {
    expect(await said(await fetch(`${api.url}/v1/nothing`))).to.include({ status: 404, code: "route_not_found" });
    const wrong = await fetch(`${api.url}/v1/chat/completions`);
    expect(wrong.headers.get("allow")).to.equal("POST, OPTIONS");
    expect(await said(wrong)).to.include({ status: 405, code: "method_not_allowed" });
    expect((await fetch(`${api.url}/v1/models`, { method: "DELETE" })).status).to.equal(405);
    const problem = await fetch(`${api.url}/tidelane/v1/nothing`);
    expect(problem.headers.get("content-type")).to.contain("application/problem+json");
    expect(await problem.json()).to.deep.include({ status: 404, code: "route_not_found", title: "route not found" });
    expect((await fetch(`${api.url}/%E0%A4%A`)).status).to.equal(404);
    expect((await fetch(`${api.url}/v1/models/%E0%A4%A`)).status).to.equal(400);
  });

  it("keeps the connection where nothing of a refused request is left on it, and ends it where something is", async () => {
    const keptOf = async (sent: Promise<Response>): Promise<boolean> => (await sent).headers.get("connection") !== "close";
    expect(await keptOf(fetch(`${api.url}/v1/nothing`))).to.equal(true);
    expect(await keptOf(post(api, "/v1/chat/completions", "{"))).to.equal(true);
    expect(await keptOf(post(api, "/v1/chat/completions", chat(), { "content-type": "text/plain" }))).to.equal(false);
  });

  it("survives a client that announces a body and hangs up", async () => {
    const { port } = new URL(api.url);
    await new Promise<void>((resolve) => {
      const socket = net.connect(Number(port), "127.0.0.1", () => {
        socket.write("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"model\":");
        socket.destroy();
      });
      socket.on("close", () => resolve());
    });
    expect((await fetch(`${api.url}/healthz`)).status).to.equal(200);
  });
});
