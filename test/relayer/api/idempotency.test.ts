// Idempotency-Key: what is replayed, what is refused, what is freed.
import { expect } from "chai";
import { paymentToHeader } from "../../../protocol/payment.ts";
import { signerOfKey, signStruct } from "../../../protocol/signing.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import { domain, honestRecord } from "../../protocol/honest.ts";
import { until } from "../until.ts";
import { chat, end, post, says, startApi, type TestApi } from "./server.ts";

describe("Idempotency-Key", () => {
  let api: TestApi;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(() => api.close());

  const ask = (key: string, body: object = chat(), headers: Record<string, string> = {}): Promise<Response> => post(api, "/v1/chat/completions", body, { "idempotency-key": key, ...headers });
  const codeOf = async (response: Response): Promise<string> => (await response.json() as { error: { code: string } }).error.code;

  it("replays the answer to the same request, headers included, and asks no node again", async () => {
    const first = await ask("k1");
    const again = await ask("k1");
    expect(await again.text()).to.equal(await first.text());
    expect(again.headers.get("idempotent-replayed")).to.equal("true");
    expect(again.headers.get("x-tidelane-task")).to.equal(first.headers.get("x-tidelane-task"));
    expect(api.asked).to.have.length(1);
  });

  it("replays a stream as the same events", async () => {
    const first = await (await ask("k1", chat({ stream: true }))).text();
    const again = await ask("k1", chat({ stream: true }));
    expect(await again.text()).to.equal(first).and.contain("[DONE]");
    expect(again.headers.get("content-type")).to.contain("text/event-stream");
    expect(api.asked).to.have.length(1);
  });

  it("refuses another body or another endpoint under the same key", async () => {
    await ask("k1");
    const other = await ask("k1", chat({ temperature: 1 }));
    expect(other.status).to.equal(422);
    expect(await codeOf(other)).to.equal("idempotency_key_reused");
    expect((await post(api, "/v1/completions", { model: "test", prompt: "x" }, { "idempotency-key": "k1" })).status).to.equal(422);
    expect((await ask("k2", chat({ temperature: 1 }))).status).to.equal(200);
  });

  it("refuses a second request while the first one runs", async () => {
    let proceed = (): void => {};
    api.script = async function* () { await new Promise<void>((resolve) => (proceed = resolve)); yield end(0); };
    const first = ask("k1");
    await until(() => api.asked.length === 1);
    const second = await ask("k1");
    expect(second.status).to.equal(409);
    expect(await codeOf(second)).to.equal("idempotency_in_flight");
    proceed();
    expect((await first).status).to.equal(200);
  });

  it("refuses it as long as the first one runs, and no longer", async () => {
    let lateMs = 0;
    const late = await startApi({ clock: { ...systemClock, nowMs: () => systemClock.nowMs() + lateMs } });
    let proceed = (): void => {};
    late.script = async function* () { await new Promise<void>((resolve) => (proceed = resolve)); yield end(0); };
    const again = (): Promise<Response> => post(late, "/v1/chat/completions", chat(), { "idempotency-key": "long" });
    const first = again();
    await until(() => late.asked.length === 1);
    for (const minutes of [10, 20]) {
      lateMs = minutes * 60_000;
      await late.claims.renew();
    }
    lateMs = 30 * 60_000;
    expect((await again()).status).to.equal(409);
    proceed();
    expect((await first).status).to.equal(200);
    const renewed: number[] = [];
    late.journal.renewClaims = async (claims) => void renewed.push(claims.length);
    await late.claims.renew();
    expect(renewed, "nothing runs any more").to.deep.equal([]);
    await late.close();
  });

  it("keeps nothing of what failed, before or in the middle: nothing was charged for it", async () => {
    api.refusal = new TidelaneError("Busy.", { code: "saturated", retryable: true });
    expect((await ask("k1")).status).to.equal(429);
    api.refusal = null;
    api.script = async function* () { yield { type: "delta", text: "x", tokens: 1 }; throw new TidelaneError("cut", { code: "stream_interrupted" }); };
    expect(await (await ask("k1", chat({ stream: true }))).text()).to.contain("stream_interrupted");
    api.script = says("good");
    expect(await (await ask("k1", chat({ stream: true }))).text()).to.contain("good");
  });

  it("keeps what a lost connection did not hear, unless the answer was cut short for it", async () => {
    let finishReason: "stop" | "cancelled" = "stop";
    let ended = 0;
    api.script = async function* ({ signal }) {
      yield { type: "delta", text: "Once", tokens: 1 };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      yield { ...end(1), finishReason };
      ended++;
    };
    for (const [key, reason] of [["k1", "stop"], ["k2", "cancelled"]] as const) {
      finishReason = reason;
      const gone = new AbortController();
      const first = fetch(`${api.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(chat()), headers: { "content-type": "application/json", authorization: "Bearer tl_test", "idempotency-key": key }, signal: gone.signal }).catch(() => null);
      const asked = api.asked.length;
      await until(() => api.asked.length > asked);
      gone.abort();
      await first;
      await until(() => ended === (reason === "stop" ? 1 : 2));
    }
    api.script = says("anew");
    await until(async () => (await (await ask("k1")).text()).includes("Once"));
    await until(async () => (await (await ask("k2")).text()).includes("anew"));
  });

  it("keeps payers apart, also one who only names another's session", async () => {
    await ask("k1");
    await ask("k1", chat(), { authorization: "Bearer tl_other" });
    expect(api.asked).to.have.length(2);
    const record = await honestRecord();
    const header = async (signature: typeof record.voucherSignature): Promise<string> =>
      paymentToHeader({ order: record.order, voucher: record.voucher!, voucherSignature: signature, promptSalt: `0x${"01".repeat(32)}` });
    await ask("k1", chat(), { "x-tidelane-payment": await header(record.voucherSignature) });
    await ask("k1", chat(), { "x-tidelane-payment": await header(record.voucherSignature) });
    expect(api.asked, "the payer's own repetition").to.have.length(3);
    const thief = await signStruct(signerOfKey(`0x${"66".repeat(32)}`), domain, "Voucher", record.voucher!);
    await ask("k1", chat(), { "x-tidelane-payment": await header(thief) });
    expect(api.asked, "somebody else's signature under the same session").to.have.length(4);
  });

  it("refuses keys that are none, and does without where the header is absent", async () => {
    expect(await codeOf(await ask("x".repeat(256)))).to.equal("invalid_idempotency_key");
    await post(api, "/v1/chat/completions", chat());
    await post(api, "/v1/chat/completions", chat());
    expect(api.asked).to.have.length(2);
  });

  it("refuses while the database is down, rather than risk to charge twice", async () => {
    api.journal.setUp(false);
    const answer = await ask("k1");
    expect(answer.status).to.equal(503);
    expect(api.asked).to.deep.equal([]);
  });
});
