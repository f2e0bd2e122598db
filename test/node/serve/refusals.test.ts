// Every reason for which a node does not work, each signed, each without an engine's work and without a trace in the books.
import { expect } from "chai";
import { Mode, RefusalReason, Role, Status, Tier } from "../../../protocol/constants.ts";
import { pricesAtTide, TIDE_LEAST, TIDE_MOST, TIDE_ONE, tideStep } from "../../../protocol/tide.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { modelIdOf, nextSeq } from "../../../protocol/ids.ts";
import { ATTESTED, failsAfter, hangsAfter, MemoryStore, nowSeconds, peer, prices, RELAYER_ID, relayerSigner, requestOf, says, sessionSigner, strangerSigner, TestChain, WINDOW_SECONDS, type Bends } from "../fixtures.ts";
import { eventually } from "../engines/suite.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import { endOf, never, refusalOf, worldOf, type World } from "./world.ts";
import type { ChainSession } from "../../../node/ports.ts";

const { FULL, DRAINING, MODEL, UNPAID, INPUT, UNACKED, ASSIGNMENT } = RefusalReason;
const now = nowSeconds;

async function expectRefused(world: World, request: Awaited<ReturnType<typeof requestOf>>, reason: number): Promise<void> {
  const worked = world.engine.worked;
  expect((await refusalOf(await world.send(request), request)).reason).to.equal(reason);
  expect(world.engine.worked).to.equal(worked);
  expect(world.store.entries).to.have.length(0);
}

/** Room for the dearest tide and tier. */
const ROOMY = { maxPriceInPerMTok: 10n ** 8n, maxPriceOutPerMTok: 10n ** 8n };

const expectUnpaid = async (world: World, request: Awaited<ReturnType<typeof requestOf>>): Promise<void> => {
  expect((await refusalOf(await world.send(request), request)).reason).to.equal(UNPAID);
};

describe("refusals: by what was sent", () => {
  it("takes the honest request that all the others are bent from", async () => {
    const world = worldOf();
    expect(endOf(await world.send(await requestOf())).finishReason).to.equal("stop");
  });

  // A function, because what is in the future when this file is read may be the past when its test runs.
  const bent = (): Record<string, [Bends, number]> => ({
    "another node": [{ assignment: { nodeId: 8 } }, ASSIGNMENT],
    "another key epoch": [{ assignment: { keyEpoch: 2 } }, ASSIGNMENT],
    "another relayer than the connection's": [{ authorization: { relayerId: 4 }, assignment: { relayerId: 4 } }, ASSIGNMENT],
    "an unknown epoch of the relayer's key": [{ assignment: { relayerEpoch: 2 } }, ASSIGNMENT],
    "an issue in the future": [{ assignment: { issuedAt: now() + 100 } }, ASSIGNMENT],
    "a deadline that has passed": [{ assignment: { issuedAt: now() - 100, deadline: now() - 10 } }, ASSIGNMENT],
    "a deadline beyond W": [{ assignment: { deadline: now() + WINDOW_SECONDS + 50 } }, ASSIGNMENT],
    "an attestation that it never signed": [{ assignment: { attestationHash: `0x${"11".repeat(32)}` } }, ASSIGNMENT],
    "no attestation at all": [{ assignment: { attestationHash: ZERO_HASH } }, ASSIGNMENT],
    "a role that does not fit": [{ assignment: { role: Role.EMBED } }, ASSIGNMENT],
    "an input that was not committed to": [{ assignment: { inputCommit: `0x${"11".repeat(32)}` } }, ASSIGNMENT],
    "an unknown model": [{ order: { modelId: modelIdOf("a/b@c") } }, MODEL],
    "embeddings from a model for text": [{ input: { kind: "embeddings" }, assignment: { role: Role.EMBED } }, MODEL],
    "an input price more than a step below the node's": [{ assignment: { priceInPerMTok: 874_999n } }, UNPAID],
    "an input price of zero in the first attempt": [{ assignment: { priceInPerMTok: 0n } }, UNPAID],
    "an output price more than a step below the node's": [{ assignment: { priceOutPerMTok: 1_749_999n } }, UNPAID],
    "a price above the payer's maximum": [{ assignment: { priceOutPerMTok: 5_000_001n } }, UNPAID],
    "a fee above the payer's maximum": [{ assignment: { feeBps: 501 } }, UNPAID],
    "a share above the order": [{ assignment: { shareCap: 10_001n } }, UNPAID],
    "an order above the task limit": [{ order: { maxFee: 100_001n } }, UNPAID],
    "an order that has expired": [{ order: { deadline: now() - 1 } }, UNPAID],
    "an assignment for another order": [{ assignment: { taskId: `0x${"22".repeat(32)}` } }, UNPAID],
    "another voucher than was assigned": [{ assignment: { voucherHash: `0x${"22".repeat(32)}` } }, UNPAID],
    "a voucher for another order": [{ voucher: { taskId: `0x${"22".repeat(32)}` } }, UNPAID],
    "a voucher above the session's total": [{ voucher: { cumulativeCap: 1_000_001n } }, UNPAID],
    "a voucher below the share": [{ voucher: { cumulativeCap: 9_999n } }, UNPAID],
    "an authorization that is not valid yet": [{ authorization: { validAfter: now() + 50 } }, UNPAID],
    "an authorization that has expired": [{ authorization: { validUntil: now() } }, UNPAID],
    "an authorization for another relayer": [{ authorization: { relayerId: 4 } }, UNPAID],
    "a subtask outside the task": [{ assignment: { subtask: 1 } }, UNPAID],
    "a body that is no JSON": [{ input: { body: "{oops" } }, INPUT],
    "a body that is no object": [{ input: { body: "[1]" } }, INPUT],
    "a body nested 100,000 deep": [{ input: { body: `${"[".repeat(100_000)}${"]".repeat(100_000)}` } }, INPUT],
    "a parameter that the model does not have": [{ body: { response_format: { type: "json_object" } } }, INPUT],
    "a parameter named __proto__": [{ input: { body: '{"messages":[],"__proto__":{"x":1}}' } }, INPUT],
  });
  for (const what of Object.keys(bent())) {
    it(`refuses ${what}`, async () => {
      const [bends, reason] = bent()[what]!;
      await expectRefused(worldOf(), await requestOf(bends), reason);
    });
  }

  it("takes the prices of the tide and the tier, whichever of two epochs the relayer has read, and refuses less", async () => {
    const tides = [TIDE_LEAST, 600_000, TIDE_ONE, 1_700_000, TIDE_MOST];
    for (const tide of tides) for (const tier of [Tier.DEFAULT, Tier.PRIORITY, Tier.FLEX]) {
      const world = worldOf();
      world.chain.tide = tide;
      // Before and after an epoch that moved the tide as far as it goes.
      const [fell, stood, before] = [tideStep(tide, 0), tide, Math.max(TIDE_LEAST, Math.ceil((tide * 8) / 9))];
      const ask = (multiplier: number, less: bigint) => {
        const priced = pricesAtTide(prices, multiplier, tier);
        return requestOf({ authorization: ROOMY, order: { tier }, assignment: { priceInPerMTok: priced.priceInPerMTok, priceOutPerMTok: priced.priceOutPerMTok - less } });
      };
      for (const multiplier of [fell, stood, before]) endOf(await world.send(await ask(multiplier, 0n)));
      await expectUnpaid(world, await ask(fell, 1n));
    }
  });

  it("refuses a tier that there is not", async () => {
    await expectRefused(worldOf(), await requestOf({ order: { tier: 3 } }), UNPAID);
  });

  it("takes an attestation for as long as an assignment may be on its way, and those of a moment ago beside the newest", async () => {
    const world = worldOf();
    const signed = world.agent.attestations(peer, never);
    const hashes: Hash[] = [];
    for (let i = 0; i < 2; i++) hashes.push(hashStruct("SaturationAttestation", (await signed.next()).value!.attestation));
    await signed.return(undefined);
    for (const attestationHash of [...hashes, ATTESTED]) endOf(await world.send(await requestOf({ assignment: { attestationHash } })));
    const store = new MemoryStore();
    store.attested.set(RELAYER_ID, { seq: nextSeq(0n, Date.now() - 60_000), hash: ATTESTED });
    await expectRefused(worldOf({}, { store }), await requestOf(), ASSIGNMENT);
  });

  it("refuses what the relayer, or the session key, did not sign", async () => {
    await expectRefused(worldOf(), await requestOf({}, sessionSigner, strangerSigner), ASSIGNMENT);
    await expectRefused(worldOf(), await requestOf({}, strangerSigner, relayerSigner), UNPAID);
  });

  it("takes brackets inside strings for text, and a declared capability for what it is", async () => {
    const world = worldOf();
    endOf(await world.send(await requestOf({ body: { user: `${"[".repeat(200)}\\"`, tools: [{ type: "function" }] } })));
  });

  it("refuses input that its share does not pay, to the unit, before anything of it is answered", async () => {
    // Five input tokens at 1,000,000 per million are 5; with a fee of 300 bps a share of 5 pays 5, one of 4 pays 4.
    const chain = new TestChain();
    // A lock of 5: were anything of the refused share still reserved, the next one would not fit.
    chain.session_ = { lock: 5n };
    const world = worldOf({}, { chain });
    const poor = await requestOf({ assignment: { shareCap: 4n } });
    expect((await refusalOf(await world.send(poor), poor)).reason).to.equal(UNPAID);
    expect(world.store.entries).to.have.length(0);
    expect(endOf(await world.send(await requestOf({ assignment: { shareCap: 5n } }))).receipt.body.fee).to.equal(5n);
    expect(endOf(await world.send(await requestOf({ assignment: { attempt: 1, priceInPerMTok: 0n, shareCap: 1n } }))).receipt.body.fee).to.equal(1n);
  });

  it("takes a hedge without an input price, because another attempt carries it", async () => {
    const world = worldOf();
    const end = endOf(await world.send(await requestOf({ assignment: { attempt: 1, priceInPerMTok: 0n } })));
    expect(end.receipt.body.fee).to.equal(4n);
  });
});

describe("refusals: by what the chain says", () => {
  const states: Record<string, Partial<ChainSession> | null> = {
    "a session that is not open": null, "a session that is closing": { closing: true }, "a session of another mode": { mode: Mode.ALLOWANCE },
    "a session of another relayer": { relayerId: 9 }, "a lock that is used up": { lock: 9_999n }, "a lock that waits for forces": { reserved: 999_000n },
    "a session that was charged up to the voucher": { charged: 495_000n },
  };
  it("takes a contract's pending request, open or its relayer's, and no other", async () => {
    const chain = new TestChain();
    const world = worldOf({}, { chain });
    const request = { mode: Mode.REQUEST, relayerId: 0 };
    chain.session_ = request;
    for (const relayerId of [0, RELAYER_ID]) {
      // Its block's time may be ahead of the node's clock.
      const sent = await requestOf({ authorization: { mode: Mode.REQUEST, relayerId, validAfter: now() + 5 } });
      expect(endOf(await world.send(sent)).finishReason).to.equal("stop");
    }
    const refused = async (bends: Bends): Promise<void> => {
      const other = worldOf({}, { chain });
      await expectRefused(other, await requestOf({ ...bends, authorization: { mode: Mode.REQUEST, relayerId: 0, ...bends.authorization } }), UNPAID);
    };
    await refused({ authorization: { relayerId: 4 } });
    await refused({ authorization: { validUntil: now() } });
    chain.session_ = { ...request, closing: true };
    await refused({});
    chain.session_ = null;
    await refused({});
    chain.session_ = {};
    await refused({});
  });

  for (const [what, session] of Object.entries(states)) {
    it(`refuses ${what}`, async () => {
      const chain = new TestChain();
      chain.session_ = session;
      await expectRefused(worldOf({}, { chain }), await requestOf(), UNPAID);
    });
  }

  it("keeps to an allowance's bucket", async () => {
    const chain = new TestChain();
    chain.session_ = { mode: Mode.ALLOWANCE, bucketLevel: 10_000n };
    const allowance = { authorization: { mode: Mode.ALLOWANCE } };
    endOf(await worldOf({}, { chain }).send(await requestOf(allowance)));
    chain.session_ = { mode: Mode.ALLOWANCE, bucketLevel: 9_999n };
    await expectRefused(worldOf({}, { chain }), await requestOf(allowance), UNPAID);
  });

  it("refuses a relayer whose key was closed more than W ago", async () => {
    const chain = new TestChain();
    chain.closedAt = now() - WINDOW_SECONDS - 10;
    await expectRefused(worldOf({}, { chain }), await requestOf(), ASSIGNMENT);
  });

  it("says nothing about an order while the chain cannot be asked, and signs nothing", async () => {
    const world = worldOf();
    world.chain.unreachable = true;
    world.store.tabs.set(peer.relayerId, { nodeSeq: 1n, receiptHash: `0x${"00".repeat(32)}`, cumulative: 0n });
    expect((await world.send(await requestOf()))[0]).to.include({ type: "failed", code: "chain_unreachable" });
    expect(world.engine.worked).to.equal(0);
  });

  it("goes on while the chain is away, inside what it has seen locked", async () => {
    const world = worldOf();
    endOf(await world.send(await requestOf()));
    world.chain.unreachable = true;
    endOf(await world.send(await requestOf()));
  });
});

describe("refusals: by what this node has in hand", () => {
  it("refuses beyond its slots, and counts what it accepted", async () => {
    const world = worldOf();
    world.engine.script = hangsAfter(["x"]);
    const stop = new AbortController();
    const running = [await requestOf(), await requestOf()];
    const reads = running.map(async (request) => { for await (const _ of world.agent.attempt(peer, request, stop.signal)); });
    await eventually(() => world.engine.running === 2);
    const third = await requestOf();
    expect(await refusalOf(await world.send(third), third)).to.deep.equal({ reason: FULL, accepted: 2 });
    stop.abort();
    await Promise.all(reads);
    await world.agent.drain(0);
  });

  it("never takes more than its slots when all come at once", async () => {
    const world = worldOf({ slots: 3 });
    world.engine.script = hangsAfter(["x"]);
    const requests = await Promise.all(Array.from({ length: 10 }, () => requestOf()));
    const ended = requests.map((request) => world.send(request));
    await eventually(() => world.engine.running === 3);
    await world.agent.drain(0);
    const events = (await Promise.all(ended)).map(([first]) => first!.type);
    expect(events.filter((type) => type === "refusal")).to.have.length(7);
  });

  it("attests and takes no more than its stake allows", async () => {
    const chain = new TestChain();
    chain.slots = 0;
    const request = await requestOf();
    expect(await refusalOf(await worldOf({}, { chain }).send(request), request)).to.deep.equal({ reason: FULL, accepted: 0 });
  });

  it("refuses while it drains", async () => {
    const world = worldOf();
    await world.agent.drain(0);
    await expectRefused(world, await requestOf(), DRAINING);
  });

  it("refuses a model whose engine is down", async () => {
    const world = worldOf();
    world.engine.up = false;
    await expectRefused(world, await requestOf(), MODEL);
  });

  it("refuses a relayer that owes too many acks, and only that", async () => {
    const world = worldOf({ unackedMax: 2 });
    endOf(await world.send(await requestOf()));
    endOf(await world.send(await requestOf()));
    const request = await requestOf();
    expect((await refusalOf(await world.send(request), request)).reason).to.equal(UNACKED);
  });

  it("writes a receipt off that was not acked for an hour", async () => {
    const store = new MemoryStore();
    store.waiting.set("0x01", { receiptHash: "0x01", relayerId: peer.relayerId, sessionId: "0x02", charge: 1n, signedAtMs: Date.now() - 3_601_000, isAborted: false });
    endOf(await worldOf({ unackedMax: 1 }, { store }).send(await requestOf()));
  });

  it("writes an aborted receipt, which nobody may want, off after a minute", async () => {
    const world = worldOf({ unackedMax: 1 });
    world.engine.script = failsAfter(["half"]);
    expect(endOf(await world.send(await requestOf())).receipt.body.status).to.equal(Status.ABORTED);
    world.engine.script = says(["whole"]);
    const early = await requestOf();
    expect((await refusalOf(await world.send(early), early)).reason).to.equal(UNACKED);
    const [aborted] = world.store.unacked();
    world.store.waiting.set(aborted!.receiptHash, { ...aborted!, signedAtMs: aborted!.signedAtMs - 61_000 });
    endOf(await world.send(await requestOf()));
    // The whole answer's receipt is another matter: it is waited for.
    const [whole] = world.store.unacked();
    world.store.waiting.set(whole!.receiptHash, { ...whole!, signedAtMs: whole!.signedAtMs - 61_000 });
    const late = await requestOf();
    expect((await refusalOf(await world.send(late), late)).reason).to.equal(UNACKED);
  });

  it("never works an assignment twice: not again when it is sent again, nor after a restart", async () => {
    const world = worldOf();
    const request = await requestOf();
    const first = await world.send(request);
    expect(await world.send(request)).to.deep.equal(first);
    expect(world.engine.worked).to.equal(1);
    const store = new MemoryStore();
    store.assignments.set(endOf(first).receipt.body.assignmentHash, request.assignment.deadline);
    await expectRefused(worldOf({}, { store }), request, ASSIGNMENT);
  });

  it("counts shares of attempts that run against the voucher, and gives them back", async () => {
    const world = worldOf({ slots: 5 });
    world.engine.script = hangsAfter(["x"]);
    const tight = { voucher: { cumulativeCap: 25_000n } };
    const running = [await requestOf(tight), await requestOf(tight)];
    const ends = running.map((request) => world.send(request));
    await eventually(() => world.engine.running === 2);
    const third = await requestOf(tight);
    expect((await refusalOf(await world.send(third), third)).reason).to.equal(UNPAID);
    for (const request of running) world.agent.cancel(peer, { assignmentHash: hashStruct("Assignment", request.assignment), reason: "client" });
    await Promise.all(ends);
    const fourth = await requestOf(tight);
    world.engine.script = hangsAfter([]);
    const stop = new AbortController();
    const read = (async () => { for await (const event of world.agent.attempt(peer, fourth, stop.signal)) if (event.type === "start") stop.abort(); })();
    await read;
    await world.agent.drain(0);
  });

  it("takes an order with a smaller cap when a greater one was seen: the greatest counts", async () => {
    const world = worldOf({ slots: 5 });
    world.engine.script = hangsAfter(["x"]);
    const ends = [world.send(await requestOf({ voucher: { cumulativeCap: 20_000n } }))];
    await eventually(() => world.engine.running === 1);
    ends.push(world.send(await requestOf({ voucher: { cumulativeCap: 10_000n } })));
    await eventually(() => world.engine.running === 2);
    await world.agent.drain(0);
    await Promise.all(ends);
  });
});
