import { request as httpRequest } from "node:http";
import { expect } from "chai";
import OpenAI from "openai";
import { startSidecar, type Sidecar, type SidecarOptions } from "../../client/sidecar.ts";
import { ALIAS, FakeRelayer, honestCharge } from "./fakeRelayer.ts";
import { codeOf, openedPayer, until } from "./world.ts";
import type { TidelanePayer } from "../../client/payer.ts";

const question = { model: ALIAS, max_tokens: 50, messages: [{ role: "user" as const, content: "What does the sea do?" }] };

/** A request with headers that fetch would not let a test set. */
function raw(sidecar: Sidecar, path: string, headers: Record<string, string>, method = "POST", body = JSON.stringify(question)): Promise<{ status: number; body: string; headers: Record<string, unknown> }> {
  const { port } = new URL(sidecar.baseUrl);
  return new Promise((done, fail) => {
    const request = httpRequest({ host: "127.0.0.1", port, path, method, headers: { "content-type": "application/json", ...headers } }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => done({ status: response.statusCode!, body: text, headers: response.headers }));
      response.on("error", fail);
    });
    request.on("error", fail);
    request.end(method === "GET" || method === "OPTIONS" ? undefined : body);
  });
}

const errorCode = (answer: { body: string }): string => (JSON.parse(answer.body) as { error: { code: string } }).error.code;

describe("the sidecar", () => {
  let relayer: FakeRelayer;
  let payer: TidelanePayer;
  let sidecar: Sidecar;
  const started = async (options: Partial<SidecarOptions> = {}): Promise<void> => {
    ({ payer } = await openedPayer(relayer));
    sidecar = await startSidecar(payer, { port: 0, ...options });
  };
  beforeEach(async () => {
    relayer = await new FakeRelayer().start();
  });
  afterEach(async () => {
    await sidecar.close(100);
    await relayer.stop();
  });

  it("lets an unmodified OpenAI client pay, streamed and plain, and list models", async () => {
    await started();
    const openai = new OpenAI({ baseURL: sidecar.baseUrl, apiKey: "unused", maxRetries: 0 });
    expect((await openai.chat.completions.create(question)).choices[0]!.message.content).to.equal("The tide rises.");
    let text = "";
    for await (const chunk of await openai.chat.completions.create({ ...question, stream: true })) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).to.equal("The tide rises.");
    expect((await openai.models.list()).data.map((model) => model.id)).to.include("tidelane/test@q8_0");
    await payer.settled();
    expect(payer.status()).to.include({ charged: 2n * honestCharge(6), inFlight: 0n });
  });

  it("hands the stream through byte for byte, with the relayer's headers but for its permissions to web pages", async () => {
    await started();
    const body = JSON.stringify({ ...question, stream: true });
    const answer = await raw(sidecar, "/v1/chat/completions", {}, "POST", body);
    expect(answer.body).to.match(/^data: .*\n\n[^]*: a comment\n\n[^]*data: \[DONE\]\n\n$/);
    expect(answer.headers).to.include({ "content-type": "text/event-stream", "x-tidelane-node": "7" });
    expect(answer.headers).to.not.have.property("access-control-allow-origin");
  });

  it("refuses what a web page could send, before anything is signed", async () => {
    await started();
    const { port } = new URL(sidecar.baseUrl);
    const pages: Record<string, string>[] = [
      { origin: "https://evil.example" }, { origin: "null" }, { origin: `http://127.0.0.1:${port}` }, { "sec-fetch-site": "cross-site" }, { "sec-fetch-site": "same-site" },
    ];
    for (const headers of pages) {
      const answer = await raw(sidecar, "/v1/chat/completions", headers);
      expect([answer.status, errorCode(answer)], JSON.stringify(headers)).to.deep.equal([403, "forbidden_origin"]);
    }
    for (const host of ["evil.example", `evil.example:${port}`, `127.0.0.1.evil.example:${port}`, "0.0.0.0", "[::]"]) {
      const answer = await raw(sidecar, "/v1/chat/completions", { host });
      expect([answer.status, errorCode(answer)], host).to.deep.equal([403, "forbidden_host"]);
    }
    expect((await raw(sidecar, "/v1/chat/completions", { origin: "https://evil.example", "access-control-request-method": "POST" }, "OPTIONS")).status).to.equal(403);
    expect(relayer.payments).to.have.length(0);
    for (const host of [`localhost:${port}`, "127.0.0.1", `[::1]:${port}`]) expect((await raw(sidecar, "/v1/chat/completions", { host })).status, host).to.equal(200);
  });

  it("serves OpenAI's routes only, whatever the path is made to look like", async () => {
    await started();
    const before = relayer.headers.length;
    for (const path of ["/", "/tidelane/v1/sessions", "/v1/files", "/v1/../tidelane/v1/sessions", "/v1/models/../../tidelane/v1/info", "/v1/models/%2e%2e/%2e%2e/tidelane/v1/info", "//evil.example/v1/chat/completions", "http://evil.example/v1/chat/completions", "/x/v1/chat/completions"]) {
      for (const method of ["GET", "POST"]) expect(errorCode(await raw(sidecar, path, {}, method)), `${method} ${path}`).to.equal("route_not_found");
    }
    expect(errorCode(await raw(sidecar, "/v1/chat/completions", {}, "GET"))).to.equal("method_not_allowed");
    expect(errorCode(await raw(sidecar, "/v1/models", {}, "POST"))).to.equal("method_not_allowed");
    expect(relayer.headers.length).to.equal(before);
  });

  it("wants its key where it has one", async () => {
    await started({ key: "secret" });
    expect(errorCode(await raw(sidecar, "/v1/chat/completions", {}))).to.equal("wrong_proxy_key");
    expect(errorCode(await raw(sidecar, "/v1/chat/completions", { authorization: "Bearer secre" }))).to.equal("wrong_proxy_key");
    expect((await raw(sidecar, "/v1/chat/completions", { authorization: "Bearer secret" })).status).to.equal(200);
    expect(JSON.stringify(relayer.headers)).to.not.include("secret");
  });

  it("bounds a body", async () => {
    await started();
    const answer = await raw(sidecar, "/v1/chat/completions", {}, "POST", `{"model":"${ALIAS}","x":"${"y".repeat(2 ** 20)}"}`);
    expect([answer.status, errorCode(answer)]).to.deep.equal([413, "body_too_large"]);
  });

  it("says clearly that the relayer is down, and counts nothing", async () => {
    await started();
    await raw(sidecar, "/v1/chat/completions", {});
    await payer.settled();
    const { charged } = payer.status();
    await relayer.stop();
    const answer = await raw(sidecar, "/v1/chat/completions", {});
    expect([answer.status, errorCode(answer)]).to.deep.equal([502, "relayer_unreachable"]);
    expect(payer.status()).to.include({ charged, inFlight: 0n });
  });

  it("passes a cut on as a cut, and a refusal as it is", async () => {
    await started();
    relayer.behaviour = { cut: true };
    expect(await codeOf(raw(sidecar, "/v1/chat/completions", {}, "POST", JSON.stringify({ ...question, stream: true })))).to.equal("ECONNRESET");
    relayer.behaviour = { refuse: { status: 429, code: "rate_limited" } };
    const answer = await raw(sidecar, "/v1/chat/completions", {});
    expect([answer.status, errorCode(answer)]).to.deep.equal([429, "rate_limited"]);
  });

  it("gives the relayer up when its client hangs up", async () => {
    await started();
    relayer.behaviour = { hold: new Promise(() => undefined) };
    const { port } = new URL(sidecar.baseUrl);
    const request = httpRequest({ host: "127.0.0.1", port, path: "/v1/chat/completions", method: "POST" });
    request.on("error", () => undefined);
    request.end(JSON.stringify(question));
    await until(() => relayer.payments.length === 1);
    expect(payer.status().orders).to.equal(1);
    request.destroy();
    relayer.behaviour = { forgetful: true };
    await until(() => relayer.headers.some((_, i) => i > 4));
    expect(payer.status().orders, "nobody knows yet what became of it").to.equal(1);
  });

  it("tells of each request without its text", async () => {
    const lines: object[] = [];
    await started({ onRequest: (line) => lines.push(line) });
    await raw(sidecar, "/v1/chat/completions?x=1", {});
    await until(() => lines.length === 1);
    expect(lines[0]).to.include({ method: "POST", path: "/v1/chat/completions", status: 200 });
    expect(JSON.stringify(lines)).to.not.include("sea");
  });

  it("says that its port is taken", async () => {
    await started();
    expect(await codeOf(startSidecar(payer, { port: Number(new URL(sidecar.baseUrl).port) }))).to.equal("port_in_use");
  });
});
