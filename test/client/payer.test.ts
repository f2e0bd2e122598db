import { expect } from "chai";
import OpenAI from "openai";
import { TidelanePayer } from "../../client/payer.ts";
import { systemClock } from "../../client/adapters/world.ts";
import { stateFromText, stateToText } from "../../client/state.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { isSignedBy } from "../../protocol/signing.ts";
import { domain } from "../protocol/honest.ts";
import { ALIAS, FakeRelayer, honestCharge, MODEL } from "./fakeRelayer.ts";
import { codeOf, openedPayer, until, worldOf } from "./world.ts";
import type { TaskOutcome } from "../../client/receipt.ts";

const question = { model: ALIAS, max_tokens: 50, messages: [{ role: "user" as const, content: "What does the sea do?" }] };
const clientOf = (payer: TidelanePayer): OpenAI => new OpenAI({ baseURL: payer.baseUrl, apiKey: "sk-somebody-else", fetch: payer.fetch, maxRetries: 0 });

describe("a payer", () => {
  let relayer: FakeRelayer;
  beforeEach(async () => {
    relayer = await new FakeRelayer().start();
  });
  afterEach(() => relayer.stop());

  it("pays an unmodified OpenAI client's requests, streamed and plain, and counts what they cost", async () => {
    const outcomes: TaskOutcome[] = [];
    const { payer } = await openedPayer(relayer, {}, { onOutcome: (outcome) => outcomes.push(outcome) });
    const plain = await clientOf(payer).chat.completions.create(question);
    expect(plain.choices[0]!.message.content).to.equal("The tide rises.");
    let text = "";
    for await (const chunk of await clientOf(payer).chat.completions.create({ ...question, stream: true })) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).to.equal("The tide rises.");
    await payer.settled();
    expect(payer.status()).to.include({ charged: 2n * honestCharge(6), inFlight: 0n, orders: 0, distrust: null });
    expect(outcomes.map(({ state, answerMatches, findings, nodes }) => ({ state, answerMatches, findings, nodes }))).to.deep.equal(
      Array(2).fill({ state: "finished", answerMatches: true, findings: [], nodes: [7] }));
  });

  it("gives away no key: neither the application's nor its own", async () => {
    const { payer, world } = await openedPayer(relayer);
    await clientOf(payer).chat.completions.create(question);
    await payer.settled();
    const { sessionPrivateKey } = stateFromText(world.store.text!);
    expect(JSON.stringify(relayer.headers)).to.not.include("sk-somebody-else").and.not.include(sessionPrivateKey.slice(2));
  });

  it("signs an order for exactly this body, within the session's limits", async () => {
    const { payer, world } = await openedPayer(relayer);
    await clientOf(payer).chat.completions.create(question);
    const { authorization } = stateFromText(world.store.text!);
    const { order, voucher, voucherSignature } = relayer.payments[0]!;
    expect(order).to.include({ sessionId: payer.sessionId, maxOutTokens: 50, nonce: 0n });
    expect(order.maxFee <= authorization.maxPerTask && order.maxFee >= honestCharge(50)).to.equal(true);
    expect(voucher).to.deep.equal({ sessionId: payer.sessionId, cumulativeCap: order.maxFee, taskId: hashStruct("TaskOrder", order) });
    expect(await isSignedBy(authorization.sessionKey, domain, "Voucher", voucher, voucherSignature)).to.equal(true);
  });

  it("runs many requests at once in one session, each cap covering all that is in flight", async () => {
    let release = (): void => undefined;
    relayer.behaviour = { hold: new Promise((done) => (release = done)) };
    const { payer, world } = await openedPayer(relayer);
    const writesBefore = world.store.writes;
    const answers = Promise.all(Array.from({ length: 40 }, () => clientOf(payer).chat.completions.create(question)));
    await until(() => relayer.payments.length === 40);
    const { maxFee } = relayer.payments[0]!.order;
    const caps = relayer.payments.map(({ voucher }) => voucher.cumulativeCap).sort((a, b) => Number(a - b));
    expect(caps).to.deep.equal(caps.map((_, i) => BigInt(i + 1) * maxFee));
    expect(payer.status().inFlight).to.equal(40n * maxFee);
    expect(world.store.writes - writesBefore, "parallel orders share a write").to.be.lessThan(40);
    release();
    await answers;
    await payer.settled();
    expect(payer.status()).to.include({ charged: 40n * honestCharge(6), inFlight: 0n });
    expect(new Set(relayer.payments.map(({ order }) => order.nonce)).size).to.equal(40);
  });

  it("has saved each order before it leaves", async () => {
    const { payer, world } = await openedPayer(relayer);
    let saved: string | null = null;
    const pay = world.fetch;
    const watching = { ...world, fetch: (async (url: string, init?: RequestInit) => {
      if (url.endsWith("/chat/completions")) saved = world.store.text;
      return pay(url, init);
    }) };
    await payer.close();
    const second = await TidelanePayer.restore(watching);
    await clientOf(second).chat.completions.create(question);
    expect(stateFromText(saved!).orders.map((order) => order.taskId)).to.deep.equal([hashStruct("TaskOrder", relayer.payments[0]!.order)]);
    expect(stateFromText(saved!).nextNonce).to.equal(1n);
  });

  it("goes on after a crash in mid-answer with the same count as the relayer", async () => {
    relayer.behaviour = { cut: true };
    const { payer, world } = await openedPayer(relayer);
    // A crash: what was saved before the order left is all that remains.
    const saved: string[] = [];
    const write = world.store.write.bind(world.store);
    world.store.write = async (text) => void (saved.push(text), await write(text));
    const stream = await clientOf(payer).chat.completions.create({ ...question, stream: true });
    await stream[Symbol.asyncIterator]().next();
    relayer.behaviour = {};
    world.store.text = saved[0]!;
    const again = await TidelanePayer.restore({ ...world, store: Object.assign(worldOf(relayer).store, { text: saved[0]! }) });
    expect(again.status()).to.include({ charged: honestCharge(6), inFlight: 0n, distrust: null });
    await clientOf(again).chat.completions.create(question);
    await again.settled();
    expect(again.status().charged).to.equal(2n * honestCharge(6));
  });

  it("follows its relayer to another address, and no other relayer", async () => {
    const { payer, world } = await openedPayer(relayer);
    await payer.close();
    const moved = await new FakeRelayer().start();
    const other = await new FakeRelayer({ ...domain, chainId: 1 }).start();
    try {
      moved.sessions.set(payer.sessionId, relayer.sessions.get(payer.sessionId)!);
      await relayer.stop();
      const there = await TidelanePayer.restore(world, { relayerUrl: moved.url });
      expect((await clientOf(there).chat.completions.create(question)).choices).to.have.length(1);
      await there.settled();
      expect(stateFromText(world.store.text!).relayerUrl).to.equal(moved.url);
      const elsewhere = await TidelanePayer.restore(world, { relayerUrl: other.url });
      expect(await codeOf(clientOf(elsewhere).chat.completions.create(question))).to.equal("wrong_relayer");
    } finally {
      await moved.stop();
      await other.stop();
    }
  });

  it("charges a cut stream by its receipt, and shows the cut to the client", async () => {
    relayer.behaviour = { cut: true };
    const { payer } = await openedPayer(relayer);
    const read = async (): Promise<void> => {
      for await (const chunk of await clientOf(payer).chat.completions.create({ ...question, stream: true })) void chunk;
    };
    await read().then(() => expect.fail("a cut must not look like an end"), () => undefined);
    await payer.settled();
    expect(payer.status()).to.include({ charged: honestCharge(6), inFlight: 0n, distrust: null });
  });

  it("takes a refusal as unpaid, and a failure after asking", async () => {
    const { payer } = await openedPayer(relayer);
    for (const [status, code] of [[404, "model_not_found"], [402, "insufficient_escrow"], [429, "rate_limited"], [503, "no_node"]] as const) {
      relayer.behaviour = { refuse: { status, code } };
      expect(await codeOf(clientOf(payer).chat.completions.create(question))).to.equal(code);
      await payer.settled();
      expect(payer.status()).to.include({ charged: 0n, inFlight: 0n });
    }
  });

  it("counts what a relayer took and promised an answer for, whatever becomes of the promise", async () => {
    const refused = (): never => { throw new TypeError("fetch failed", { cause: Object.assign(new Error("refused"), { code: "ECONNREFUSED" }) }); };
    const lost = (): Response => Response.json({ error: { message: "lost", code: "response_lost" } }, { status: 410 });
    for (const [poll, code] of [[refused, "relayer_unreachable"], [lost, "response_lost"]] as const) {
      const { world } = await openedPayer(relayer);
      const payer = await TidelanePayer.restore({
        ...world, clock: { ...systemClock, sleep: async () => {} },
        fetch: async (url, init) => {
          if (String(url).includes("/responses/")) return poll();
          const answer = await fetch(url, init);
          return String(url).endsWith("/completions") ? new Response("{}", { status: 202, headers: { location: "/tidelane/v1/responses/1" } }) : answer;
        },
      });
      expect(await codeOf(clientOf(payer).chat.completions.create(question).catch((error: Error) => { throw error.cause ?? error; }))).to.equal(code);
      await payer.settled();
      expect(payer.status(), code).to.include({ charged: honestCharge(6), inFlight: 0n });
      await payer.close();
    }
  });

  it("keeps an order counted while nobody can say what became of it", async () => {
    const { payer } = await openedPayer(relayer, {}, { orderSeconds: 600 });
    relayer.behaviour = { forgetful: true };
    await clientOf(payer).chat.completions.create(question);
    await until(() => relayer.payments.length === 1);
    expect(payer.status().inFlight).to.equal(relayer.payments[0]!.order.maxFee);
    relayer.behaviour = {};
    await until(() => payer.status().inFlight === 0n);
    expect(payer.status().charged).to.equal(honestCharge(6));
  });

  it("does not sign a greater cap because the relayer asks for one", async () => {
    const { payer } = await openedPayer(relayer);
    relayer.countExtra = 5_000n;
    expect(await codeOf(clientOf(payer).chat.completions.create(question))).to.equal("voucher_cap_too_low");
    const { maxFee } = relayer.payments[0]!.order;
    expect(relayer.payments.map(({ voucher }) => voucher.cumulativeCap)).to.deep.equal([maxFee, maxFee]);
    await payer.settled();
    expect(payer.status()).to.include({ charged: 0n, inFlight: 0n });
  });

  it("tries once more where the relayer was only a moment behind", async () => {
    const { payer } = await openedPayer(relayer);
    relayer.countExtra = 5_000n;
    const answer = clientOf(payer).chat.completions.create(question);
    await until(() => relayer.payments.length === 1);
    relayer.countExtra = 0n;
    expect((await answer).choices).to.have.length(1);
  });

  it("lets a running answer be while it asks about forgotten orders", async () => {
    const outcomes: TaskOutcome[] = [];
    const { payer } = await openedPayer(relayer, {}, { onOutcome: (outcome) => outcomes.push(outcome) });
    const stream = await clientOf(payer).chat.completions.create({ ...question, stream: true });
    const reader = stream[Symbol.asyncIterator]();
    await reader.next();
    await payer.reconcile();
    expect(payer.status().orders, "still running").to.equal(1);
    while (!(await reader.next()).done);
    await payer.settled();
    expect(outcomes.map((outcome) => outcome.answerMatches)).to.deep.equal([true]);
  });

  it("asks again about cut connections while it runs, not only at the next start", async () => {
    const { world } = await openedPayer(relayer);
    let skew = 0;
    const payer = await TidelanePayer.restore({ ...world, clock: { nowMs: () => Date.now() + skew, sleep: async () => undefined } });
    relayer.behaviour = { cut: true, forgetful: true };
    const read = async (): Promise<void> => {
      for await (const chunk of await clientOf(payer).chat.completions.create({ ...question, stream: true })) void chunk;
    };
    await read().catch(() => undefined);
    await payer.settled();
    expect(payer.status().orders).to.equal(1);
    relayer.behaviour = {};
    skew = 120_000;
    await clientOf(payer).chat.completions.create(question);
    await payer.settled();
    expect(payer.status()).to.include({ orders: 0, charged: 2n * honestCharge(6) });
  });

  it("orders nothing for a caller that has gone already", async () => {
    const { payer } = await openedPayer(relayer);
    const gone = payer.fetch(`${payer.baseUrl}/chat/completions`, { method: "POST", body: JSON.stringify(question), signal: AbortSignal.abort() });
    expect((await gone.then(() => null, (error: Error) => error))?.name).to.equal("AbortError");
    expect(relayer.payments).to.have.length(0);
    expect(payer.status().inFlight).to.equal(0n);
  });

  const dishonest: [string, FakeRelayer["behaviour"]][] = [
    ["a fee of one more than tokens and prices give", { bend: (receipt) => ({ ...receipt, body: { ...receipt.body, fee: receipt.body.fee + 1n } }) }],
    ["input tokens that the request cannot have", { bend: (receipt) => bentTokens(receipt, 5_000, 6) }],
    ["output tokens that the answer cannot have", { bend: (receipt) => bentTokens(receipt, 20, 45) }],
    ["more output than was ordered", { bend: (receipt) => bentTokens(receipt, 20, 51) }],
    ["a receipt for another assignment", { bend: (receipt) => ({ ...receipt, body: { ...receipt.body, assignmentHash: `0x${"00".repeat(32)}` } }) }],
    ["another node's receipt", { bend: (receipt) => ({ ...receipt, nodeId: 8 }) }],
  ];
  for (const [what, behaviour] of dishonest) {
    it(`signs nothing more after ${what}`, async () => {
      const { payer, world } = await openedPayer(relayer);
      relayer.behaviour = behaviour;
      await clientOf(payer).chat.completions.create(question);
      await payer.settled();
      expect(payer.status().distrust).to.match(/does not hold/);
      relayer.behaviour = {};
      expect(await codeOf(clientOf(payer).chat.completions.create(question))).to.equal("relayer_distrusted");
      expect(relayer.payments).to.have.length(1);
      const again = await TidelanePayer.restore(worldOf(relayer, world.store));
      expect(again.status().distrust, "after a restart too").to.match(/does not hold/);
    });
  }

  it("tells an answer that is not the one the node signed", async () => {
    const outcomes: TaskOutcome[] = [];
    const { payer } = await openedPayer(relayer, {}, { onOutcome: (outcome) => outcomes.push(outcome) });
    relayer.behaviour = { deliver: "The tide falls." };
    await clientOf(payer).chat.completions.create(question);
    await payer.settled();
    expect(outcomes[0]!.answerMatches).to.equal(false);
  });

  it("notices on the chain that it was charged more than it ordered", async () => {
    const { payer } = await openedPayer(relayer);
    await clientOf(payer).chat.completions.create(question);
    relayer.chainExtra = 1n;
    expect((await payer.reconcile()).distrust).to.match(/the chain shows/);
    expect(await codeOf(clientOf(payer).chat.completions.create(question))).to.equal("relayer_distrusted");
  });

  it("stops at the session's budget, after waiting for what is being judged", async () => {
    const { payer } = await openedPayer(relayer, { lock: 700n, maxPerTask: 700n });
    const { choices } = await clientOf(payer).chat.completions.create(question);
    expect(choices).to.have.length(1);
    // The next fits only once the first is judged: its reservation was far above its charge.
    await clientOf(payer).chat.completions.create(question);
    let code = "";
    for (let i = 0; i < 20 && code === ""; i++) code = await codeOf(clientOf(payer).chat.completions.create(question)).catch(() => "");
    expect(code).to.equal("budget_exhausted");
    expect(payer.status().charged <= 700n).to.equal(true);
  });

  it("refuses what it cannot pay for before anything leaves", async () => {
    const { payer } = await openedPayer(relayer);
    const refused = async (path: string, body: string): Promise<string> =>
      ((await (await payer.fetch(`${payer.baseUrl}${path}`, { method: "POST", body })).json()) as { error: { code: string } }).error.code;
    expect(await refused("/chat/completions", "{")).to.equal("invalid_json");
    expect(await refused("/chat/completions", "[]")).to.equal("invalid_value");
    expect(await refused("/chat/completions", "{}")).to.equal("invalid_value");
    expect(await refused("/chat/completions", `{"model":"none"}`)).to.equal("model_not_found");
    expect(await refused("/embeddings", `{"model":"${MODEL}","input":"x"}`)).to.equal("model_not_found");
    const elsewhere = await payer.fetch("http://127.0.0.1:9/v1/chat/completions", { method: "POST", body: "{}" });
    expect(((await elsewhere.json()) as { error: { code: string } }).error.code).to.equal("wrong_relayer");
    expect(relayer.payments).to.have.length(0);
    expect(payer.status().inFlight).to.equal(0n);
  });

  it("says that the relayer cannot be reached, and counts nothing for it", async () => {
    const { payer } = await openedPayer(relayer);
    await clientOf(payer).chat.completions.create(question);
    await payer.settled();
    await relayer.stop();
    expect(await codeOf(payer.fetch(`${payer.baseUrl}/chat/completions`, { method: "POST", body: JSON.stringify(question) }))).to.equal("relayer_unreachable");
    expect(payer.status()).to.include({ charged: honestCharge(6), inFlight: 0n });
  });

  it("pays nothing after the session's end", async () => {
    const { payer, world } = await openedPayer(relayer, { validSeconds: 1 });
    const later = await TidelanePayer.restore({ ...world, clock: { ...world.clock, nowMs: () => Date.now() + 2_000 } });
    await payer.close();
    expect(await codeOf(clientOf(later).chat.completions.create(question))).to.equal("session_expired");
  });

  it("refuses another deployment's session, a broken file, and an empty place", async () => {
    const { world } = await openedPayer(relayer);
    const elsewhere = { ...world, chain: Object.assign(Object.create(relayer) as FakeRelayer, { domain: { ...domain, chainId: 1 } }) };
    expect(await codeOf(TidelanePayer.restore(elsewhere))).to.equal("wrong_deployment");
    const state = stateFromText(world.store.text!);
    expect(stateFromText(stateToText(state))).to.deep.equal(state);
    world.store.text = world.store.text!.replace("tidelane-payer/1", "tidelane-payer/9");
    expect(await codeOf(TidelanePayer.restore(world))).to.equal("state_of_other_version");
    world.store.text = world.store.text.slice(0, 100);
    expect(await codeOf(TidelanePayer.restore(world))).to.equal("invalid_state");
    world.store.text = null;
    expect(await codeOf(TidelanePayer.restore(world))).to.equal("no_session");
  });
});

function bentTokens<Receipt extends { body: { inputTokens: number; outputTokens: number; fee: bigint } }>(receipt: Receipt, inputTokens: number, outputTokens: number): Receipt {
  return { ...receipt, body: { ...receipt.body, inputTokens, outputTokens, fee: BigInt(inputTokens) + 3n * BigInt(outputTokens) } };
}
