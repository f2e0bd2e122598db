import { expect } from "chai";
import { issueKey, openSession } from "../../client/session.ts";
import { Mode } from "../../protocol/constants.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { stateFromText } from "../../client/state.ts";
import { domain } from "../protocol/honest.ts";
import { FakeRelayer } from "./fakeRelayer.ts";
import { codeOf, owner, worldOf } from "./world.ts";
import type { OwnerChain } from "../../client/ports.ts";

describe("opening a session", () => {
  let relayer: FakeRelayer;
  beforeEach(async () => {
    relayer = await new FakeRelayer().start();
  });
  afterEach(() => relayer.stop());

  it("signs limits that follow from the lock, the listed prices and the relayer's fee", async () => {
    const world = worldOf(relayer);
    const { sessionId, authorization, apiKey } = await openSession(world, owner, `${relayer.url}/`, { lock: 1_000n });
    expect(authorization).to.include({
      payer: owner.address, relayerId: 1, lock: 1_000n, maxTotal: 1_000n, maxPerTask: 100n, maxPerDay: 0n, maxPriceInPerMTok: 4_000_000n, maxPriceOutPerMTok: 12_000_000n,
      maxFeeBps: 300, mode: Mode.VOUCHER,
    });
    expect(sessionId).to.equal(hashStruct("SpendingAuthorization", authorization));
    expect(apiKey).to.equal(null);
    expect(stateFromText(world.store.text!)).to.deep.include({ authorization, relayerUrl: relayer.url, charged: 0n });
  });

  it("is given an API key in ALLOWANCE mode, and further ones for its session key's signature", async () => {
    const world = worldOf(relayer);
    const { authorization, apiKey } = await openSession(world, owner, relayer.url, { lock: 1_000n, mode: Mode.ALLOWANCE });
    expect(authorization.maxPerDay).to.equal(500n);
    expect(apiKey).to.equal("tl_first");
    expect(world.store.text).to.not.include("tl_first");
    expect(await issueKey(world, stateFromText(world.store.text!))).to.match(/^tl_/);
  });

  it("has no API keys in VOUCHER mode", async () => {
    const world = worldOf(relayer);
    await openSession(world, owner, relayer.url, { lock: 1_000n });
    expect(await codeOf(issueKey(world, stateFromText(world.store.text!)))).to.equal("not_an_allowance");
  });

  it("opens it by the owner's own transaction where asked to", async () => {
    const opened: bigint[] = [];
    const own = { openSession: async (authorization: { lock: bigint }) => void opened.push(authorization.lock) } as unknown as OwnerChain;
    await openSession(worldOf(relayer), owner, relayer.url, { lock: 7n }, own);
    expect(opened).to.deep.equal([7n]);
  });

  it("has saved the session key before anything is locked behind it", async () => {
    const world = worldOf(relayer);
    let saved: string | null = null;
    const pay = world.fetch;
    await openSession({ ...world, fetch: async (url, init) => {
      if (url.endsWith("/sessions")) saved = world.store.text;
      return pay(url, init);
    } }, owner, relayer.url, { lock: 1_000n });
    expect(stateFromText(saved!).sessionPrivateKey).to.match(/^0x/);
  });

  it("does not sign for another deployment than the owner's", async () => {
    const elsewhere = { ...worldOf(relayer), chain: Object.assign(Object.create(relayer) as FakeRelayer, { domain: { ...domain, verifyingContract: `0x${"00".repeat(20)}` } }) };
    expect(await codeOf(openSession(elsewhere, owner, relayer.url, { lock: 1_000n }))).to.equal("wrong_deployment");
    expect(elsewhere.store.text).to.equal(null);
  });

  it("does not believe a relayer that the chain does not confirm", async () => {
    relayer.registerAs = `0x${"11".repeat(32)}`;
    expect(await codeOf(openSession(worldOf(relayer), owner, relayer.url, { lock: 1_000n }))).to.equal("session_not_on_chain");
  });

  it("does not overwrite a session", async () => {
    const world = worldOf(relayer);
    await openSession(world, owner, relayer.url, { lock: 1_000n });
    expect(await codeOf(openSession(world, owner, relayer.url, { lock: 1_000n }))).to.equal("session_exists");
  });
});
