// Tidelane's own endpoints, health and metrics; and the table of errors.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { infoFromJson, modelsFromJson } from "../../../protocol/service.ts";
import { structToJson } from "../../../protocol/json.ts";
import { saidOf } from "../../../relayer/api/errors.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { honestRecord } from "../../protocol/honest.ts";
import { post, startApi, type TestApi } from "./server.ts";

describe("Tidelane's endpoints", () => {
  let api: TestApi;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(() => api.close());
  const get = async (path: string): Promise<{ status: number; body: Record<string, unknown>; type: string }> => {
    const response = await fetch(`${api.url}${path}`);
    return { status: response.status, body: await response.json() as Record<string, unknown>, type: response.headers.get("content-type") ?? "" };
  };

  it("say who the relayer is and what is served, in the words that payers read", async () => {
    expect(infoFromJson((await get("/tidelane/v1/info")).body)).to.deep.include({ relayerId: 1, feeBps: 300, windowSeconds: 20, payToken: `0x${"70".repeat(20)}` });
    expect(modelsFromJson((await get("/v1/models")).body).map((model) => model.name)).to.deep.equal(["tidelane/test@q8_0", "tidelane/embed@f32"]);
    expect((await get("/tidelane/v1/status")).body).to.include.keys("relayer", "fleet", "models", "extra");
  });

  it("take an authorization and give an API key, once it is well formed", async () => {
    const { authorization } = await honestRecord();
    const body = { authorization: structToJson("SpendingAuthorization", authorization), signature: `0x${"ab".repeat(65)}` };
    const answer = await post(api, "/tidelane/v1/sessions", body);
    expect(answer.status).to.equal(201);
    expect(await answer.json()).to.deep.include({ mode: "allowance", apiKey: "tl_new" });
    for (const bad of [{ ...body, signature: "0x1" }, { ...body, authorization: { ...body.authorization, lock: "-1" } }, {}]) {
      const refused = await post(api, "/tidelane/v1/sessions", bad);
      expect(refused.status).to.equal(400);
      expect(refused.headers.get("content-type")).to.contain("application/problem+json");
      expect(await refused.json()).to.include({ code: "invalid_value", status: 400 });
    }
  });

  it("describe sessions and give further keys", async () => {
    const id = `0x${"ab".repeat(32)}`;
    expect(await get(`/tidelane/v1/sessions/${id}`)).to.deep.include({ status: 404 });
    expect(await get("/tidelane/v1/sessions/abc")).to.deep.include({ status: 400 });
    const key = await post(api, `/tidelane/v1/sessions/${id}/keys`, { issuedAt: 12, signature: `0x${"ab".repeat(65)}` });
    expect(key.status).to.equal(201);
    expect(await key.json()).to.deep.equal({ apiKey: "tl_12" });
    expect((await post(api, `/tidelane/v1/sessions/${id}/keys`, { issuedAt: 12, signature: "0x" })).status).to.equal(400);
  });

  it("give a node its last journaled receipt, or null", async () => {
    expect((await get("/tidelane/v1/nodes/7/tab")).body).to.equal(null);
    const { receipt, receiptSignature } = await honestRecord();
    api.tabs.set(7, { receipt, signature: receiptSignature });
    expect((await get("/tidelane/v1/nodes/7/tab")).body).to.deep.equal({ receipt: structToJson("TaskReceipt", receipt), receiptSignature });
    for (const id of ["0", "x", "-1", "4294967296"]) expect((await get(`/tidelane/v1/nodes/${id}/tab`)).status, id).to.equal(400);
  });

  it("tell whether the process lives, and what it lacks to take work", async () => {
    expect((await get("/healthz")).status).to.equal(200);
    api.readiness = [{ name: "chain", ok: true, detail: "" }, { name: "nodes", ok: false, detail: "No node has attested." }];
    expect(await get("/readyz")).to.deep.include({ status: 503 });
    expect((await get("/readyz")).body).to.deep.include({ ready: false, missing: ["nodes"] });
    api.readiness = [{ name: "chain", ok: true, detail: "" }];
    expect(await get("/readyz")).to.deep.include({ status: 200 });
  });

  it("count requests by route and status, never by address", async () => {
    await get("/tidelane/v1/sessions/abc");
    await get("/v1/nothing-with-a-name");
    const text = await (await fetch(`${api.url}/metrics`)).text();
    expect(text).to.contain('tidelane_http_requests_total{route="/sessions/:sessionId",status="400"} 1');
    expect(text).to.contain('tidelane_http_requests_total{route="none",status="404"} 1');
    expect(text).not.to.contain("nothing-with-a-name");
  });
});

describe("the table of errors", () => {
  it("knows every code that the relayer raises towards clients", () => {
    const root = join(import.meta.dirname, "../../..");
    const files = globSync("relayer/{api,work,settlement}/*.ts", { cwd: root });
    const codes = new Set(files.flatMap((file) => [...readFileSync(join(root, file), "utf8").matchAll(/\bcode: "([a-z_0-9]+)"/g)].map((match) => match[1]!)));
    // Raised between parts of the relayer only.
    const internal = new Set(["node_disconnected", "journal_corrupt", "prompt_changed", "prompt_not_text", "journal_busy"]);
    const unknown = [...codes].filter((code) => !internal.has(code) && code !== "internal_error" && saidOf(new TidelaneError("", { code })).status === 500);
    expect(codes.size).to.be.greaterThan(20);
    expect(unknown).to.deep.equal([]);
  });
});
