// What a client sees of a wait: comments in an open stream, an address for what takes long, and errors that say what would help.
import { expect } from "chai";
import { chat, end, LANE, post, says, startApi, type TaskScript, type TestApi } from "./server.ts";
import { Claims } from "../../../relayer/api/claims.ts";
import { Responses } from "../../../relayer/api/responses.ts";
import { createNativeCrypto } from "../../../relayer/adapters/crypto.ts";
import { systemDice } from "../../../relayer/adapters/dice.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import { cannotWait } from "../../../relayer/work/taskErrors.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { until } from "../until.ts";
import type { Clock } from "../../../relayer/ports/world.ts";

let lateMs = 0;
/** Fifty seconds pass in a moment. */
const hasty: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + lateMs, sleep: (ms, signal) => systemClock.sleep(ms > 10_000 ? 30 : ms, signal) };

/** Waits for its turn, then says two words. */
function turn(): { script: TaskScript; go: () => void } {
  let go = (): void => undefined;
  const free = new Promise<void>((resolve) => (go = resolve));
  return {
    go,
    script: async function* (request) {
      yield { type: "waiting", position: 3, expectedInMs: 12_000 };
      const gone = new Promise<void>((_, reject) => request.signal.addEventListener("abort", () => reject(new TidelaneError("gone", { code: "request_aborted" }))));
      await Promise.race([free, gone]);
      yield { type: "waiting", position: 1, expectedInMs: 400 };
      yield { type: "delta", text: "Once upon", tokens: 2 };
      yield end(2);
    },
  };
}

/** One more process of the relayer, on the same journal. */
async function otherProcess({ journal }: TestApi): Promise<TestApi> {
  const claims = new Claims({ clock: hasty, log: silentLog, journal });
  return await startApi({ claims, responses: new Responses({ clock: hasty, crypto: await createNativeCrypto(), dice: systemDice, log: silentLog, journal, claims }) });
}

/** How many answers this process says that it works on. */
async function claimed({ claims, journal }: TestApi): Promise<number> {
  const { renewClaims } = journal;
  let count = 0;
  journal.renewClaims = async (held) => { count = held.length; };
  await claims.renew();
  journal.renewClaims = renewClaims;
  return count;
}

describe("waiting over HTTP", () => {
  let api: TestApi;
  before(async () => { api = await startApi({ clock: hasty }); });
  after(() => api.close());
  const streamed = { stream: true, ...chat() };

  it("opens a stream at once and tells position and start as comments, which an answer follows", async () => {
    const { script, go } = turn();
    api.script = script;
    const response = await post(api, "/v1/chat/completions", streamed);
    expect(response.status).to.equal(200);
    expect(response.headers.get("x-tidelane-task")).to.match(/^0x/);
    expect(response.headers.get("x-tidelane-node")).to.equal(null);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("position 3")) text += (await reader.read()).value;
    expect(text).to.include(": position 3, expected start in 12 s\n\n").and.not.include("data:");
    go();
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
    expect(text).to.include(": position 1, expected start in 1 s\n\n").and.include("Once upon").and.match(/data: \[DONE\]\n\n$/);
    expect(text.indexOf("data:")).to.be.greaterThan(text.indexOf("position 1"));
  });

  it("hands the client's wish on, and refuses one that is none", async () => {
    api.script = says("Once");
    for (const [said, ms] of [["0", 0], ["2.5", 2_500], ["3600", 3_600_000]] as const) {
      expect((await post(api, "/v1/chat/completions", chat(), { "x-tidelane-wait": said })).status).to.equal(200);
      expect(api.asked.at(-1)!.waitMsMax).to.equal(ms);
    }
    await post(api, "/v1/chat/completions", chat());
    expect(api.asked.at(-1)!.waitMsMax).to.equal(null);
    await post(api, "/v1/chat/completions", chat(), { "x-tidelane-wait": "3600", "idempotency-key": "long" });
    expect(api.asked.at(-1)!.waitMsMax, "a claim must outlast the wait").to.equal(300_000);
    for (const said of ["-1", "soon", "1e3", "3601", "NaN", ""]) expect((await post(api, "/v1/chat/completions", chat(), { "x-tidelane-wait": said })).status, said).to.equal(400);
  });

  it("says 429 with the time, the reason and what would help", async () => {
    api.refusal = cannotWait("wait_too_long", 7_200, 42_000, 5_000);
    const response = await post(api, "/v1/chat/completions", chat());
    api.refusal = null;
    expect([response.status, response.headers.get("retry-after"), response.headers.get("retry-after-ms"), response.headers.get("x-should-retry")]).to.deep.equal([429, "8", "7200", "true"]);
    const { error } = await response.json() as { error: { type: string; message: string; details: Record<string, unknown> } };
    expect(error.type).to.equal("rate_limit_error");
    expect(error.message).to.include("About 42 s").and.include("x-tidelane-wait: 84");
    expect(error.details).to.include({ reason: "wait_too_long", expectedWaitMs: 42_000, waitMsMax: 5_000 });
  });

  it("tells an error that comes while a stream waits inside the stream", async () => {
    api.script = async function* () {
      yield { type: "waiting", position: 1, expectedInMs: 100 };
      throw new TidelaneError("This relayer is shutting down.", { code: "shutting_down", retryable: true });
    };
    const text = await (await post(api, "/v1/chat/completions", streamed)).text();
    expect(text).to.include('"code":"shutting_down"').and.not.include("[DONE]");
  });

  it("turns a long silent wait into an address, from which the answer is fetched when it is done", async () => {
    const { script, go } = turn();
    api.script = script;
    const first = await post(api, "/v1/chat/completions", chat());
    expect(first.status).to.equal(202);
    const later = await first.json() as { id: string; status: string; position: number; url: string };
    expect(later).to.include({ status: "waiting", position: 3 });
    expect(first.headers.get("location")).to.equal(later.url).and.match(/^\/tidelane\/v1\/responses\/resp_[0-9a-f]{64}$/);
    const poll = (): Promise<Response> => fetch(`${api.url}${later.url}`);
    expect((await poll()).status).to.equal(202);
    expect(await claimed(api)).to.equal(1);
    go();
    let last = await poll();
    for (let i = 0; i < 200 && last.status === 202; i++, last = await poll()) await systemClock.sleep(10);
    const answer = await last.json() as { choices: { message: { content: string } }[]; tidelane: object };
    expect(answer.choices[0]!.message.content).to.equal("Once upon");
    expect(answer.tidelane).to.have.property("charge", "12");
    expect((await poll()).status, "it may be fetched again").to.equal(200);
    expect(await claimed(api)).to.equal(0);
  });

  it("tells of what another process has done, or works on, and says so of what ended with its process", async () => {
    const [done, undone] = [turn(), turn()];
    api.script = done.script;
    const ids: string[] = [];
    for (const { script } of [done, undone]) {
      api.script = script;
      ids.push((await (await post(api, "/v1/chat/completions", chat())).json() as { id: string }).id);
    }
    done.go();
    for (let i = 0; i < 200 && (await fetch(`${api.url}/tidelane/v1/responses/${ids[0]}`)).status === 202; i++) await systemClock.sleep(10);
    const other = await otherProcess(api);
    const statuses = async (): Promise<number[]> => await Promise.all(ids.map(async (id) => (await fetch(`${other.url}/tidelane/v1/responses/${id}`)).status));
    try {
      expect(await statuses(), "which works on").to.deep.equal([200, 202]);
      lateMs = 31_000;
      await api.claims.renew();
      expect(await statuses(), "and says so").to.deep.equal([200, 202]);
      lateMs = 62_000;
      expect(await statuses(), "which has ended").to.deep.equal([200, 410]);
    } finally {
      lateMs = 0;
      undone.go();
      await other.close();
    }
  });

  it("says every few seconds what it works on, also after the journal was away", async () => {
    const told: number[] = [];
    const stop = new AbortController();
    const claims = new Claims({
      clock: { ...systemClock, nowMs: () => 7_000, sleep: async (ms) => { expect(ms).to.be.below(10_000); } }, log: silentLog,
      journal: { renewClaims: async (held, nowMs) => {
        told.push(held.length, nowMs);
        if (told.length === 2) throw new TidelaneError("away", { code: "journal_unavailable", retryable: true });
        stop.abort();
      } },
    });
    claims.hold(`0x${"01".repeat(32)}`, "one");
    claims.hold(`0x${"01".repeat(32)}`, "two")();
    await claims.run(stop.signal);
    expect(told).to.deep.equal([1, 7_000, 1, 7_000]);
  });

  it("tells a failed answer's error at its address, and knows no other address", async () => {
    api.script = async function* () {
      yield { type: "waiting", position: 1, expectedInMs: 100 };
      await systemClock.sleep(80);
      throw new TidelaneError("No answer came.", { code: "generation_failed", retryable: true });
    };
    const { url } = await (await post(api, "/v1/chat/completions", chat())).json() as { url: string };
    let last = await fetch(`${api.url}${url}`);
    for (let i = 0; i < 200 && last.status === 202; i++, last = await fetch(`${api.url}${url}`)) await systemClock.sleep(10);
    expect(last.status).to.equal(502);
    await until(async () => await claimed(api) === 0);
    for (const id of [`resp_${"0".repeat(64)}`, "resp_", "x", "resp_../../info"]) expect((await fetch(`${api.url}/tidelane/v1/responses/${encodeURIComponent(id)}`)).status, id).to.equal(404);
  });

  it("holds one Idempotency-Key over the whole wait, and answers with it afterwards", async () => {
    const { script, go } = turn();
    api.script = script;
    const keyed = (): Promise<Response> => post(api, "/v1/chat/completions", chat(), { "idempotency-key": "over-a-wait" });
    const { url } = await (await keyed()).json() as { url: string };
    expect((await keyed()).status, "while it waits").to.equal(409);
    go();
    for (let i = 0; i < 200 && (await fetch(`${api.url}${url}`)).status === 202; i++) await systemClock.sleep(10);
    const again = await keyed();
    expect([again.status, again.headers.get("idempotent-replayed")]).to.deep.equal([200, "true"]);
    expect(await again.text()).to.equal(await (await fetch(`${api.url}${url}`)).text());
  });

  it("lets the task know when a waiting client hangs up", async () => {
    const { script } = turn();
    api.script = script;
    const client = new AbortController();
    const response = await fetch(`${api.url}/v1/chat/completions`, {
      method: "POST", signal: client.signal, headers: { "content-type": "application/json", authorization: "Bearer tl_test" }, body: JSON.stringify(streamed),
    });
    expect(response.status).to.equal(200);
    const asked = api.asked.at(-1)!;
    client.abort();
    for (let i = 0; i < 200 && !asked.signal.aborted; i++) await systemClock.sleep(10);
    expect(asked.signal.aborted).to.equal(true);
  });

  it("keeps no connections while the relayer is short of room", async () => {
    const narrow = await startApi({ lobby: { isLean: true, status: () => ({ waiting: 0, deferred: 0, refusedPercent: 0, expectedWaitMs: 0, overload: "lean", lanes: { decode: LANE, prep: LANE, prepNodeIds: [], switches: 0 } }) } });
    expect((await fetch(`${narrow.url}/v1/models`)).headers.get("connection")).to.equal("close");
    expect((await fetch(`${api.url}/v1/models`)).headers.get("connection")).to.equal("keep-alive");
    await narrow.close();
  });
});
