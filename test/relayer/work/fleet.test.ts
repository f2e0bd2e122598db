import { expect } from "chai";
import fc from "fast-check";
import { keccak256, stringToHex } from "viem/utils";
import { EPOCH_SECONDS, FleetRig, model, MODEL, NAME, offer, request, START_MS } from "./fleetRig.ts";
import { drawOf, SeedChain } from "../../../relayer/routing/seeds.ts";
import { Tier } from "../../../protocol/constants.ts";
import { pricesAtTide, TIDE_LEAST, TIDE_MOST, TIDE_ONE } from "../../../protocol/tide.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { modelIdOf } from "../../../protocol/ids.ts";
import type { Hash } from "../../../protocol/units.ts";
import type { Choice, UnavailableReason } from "../../../relayer/work/fleet.ts";

describe("a choice of the fleet", () => {
  it("names node, key, offer, attestation and a decision whose hash is over its text", async () => {
    const rig = new FleetRig();
    rig.connect(7);
    const { attestation } = await rig.attest(7);
    const asked = request();
    const choice = await rig.fleet.choose(asked) as Choice;
    expect(choice).to.include({ ok: true, nodeId: 7, keyEpoch: 1, attestationSeq: attestation.seq });
    expect(choice.prices).to.deep.equal({ priceInPerMTok: offer().priceInPerMTok, priceOutPerMTok: offer().priceOutPerMTok });
    expect(choice.model.name).to.equal(NAME);
    expect(choice.attestationHash).to.equal(hashStruct("SaturationAttestation", attestation));
    expect(choice.decisionHash).to.equal(keccak256(stringToHex(choice.decision)));
    const epoch = Math.floor(START_MS / 1_000 / EPOCH_SECONDS);
    const seed = new SeedChain(`0x${"5e".repeat(32)}`, epoch, 1_000).seedOf(epoch)!;
    expect(JSON.parse(choice.decision)).to.deep.include({ chosen: 7, taskId: asked.taskId, epoch, draw: drawOf(seed, asked), table: rig.tables.at(-1)!.root, cause: null, attempt: 0 });
    choice.booking.release("completed");
  });

  it("publishes a table at most each second, each naming the one before, and every decision names one of them", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    const named = new Set<Hash>();
    for (let i = 0; i < 30; i++) {
      const choice = await rig.chosen();
      named.add((JSON.parse(choice.decision) as { table: Hash }).table);
      choice.booking.release("completed");
      rig.clock.pass(100);
      if (i % 10 === 9) await rig.attest(1);
    }
    expect(rig.tables).to.have.length(3);
    expect([...named]).to.deep.equal(rig.tables.map((table) => table.root));
    for (const [i, table] of rig.tables.entries()) {
      expect(keccak256(stringToHex(table.text))).to.equal(table.root);
      expect((JSON.parse(table.text) as { previous: Hash }).previous).to.equal(i === 0 ? `0x${"00".repeat(32)}` : rig.tables[i - 1]!.root);
    }
  });

  it("writes the cause of a further attempt down and leaves out the nodes that were tried", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    await rig.join(2);
    for (let i = 0; i < 10; i++) {
      const choice = await rig.chosen({ attempt: 1, cause: "node_disconnected", exclude: [1] });
      expect(choice.nodeId).to.equal(2);
      expect(JSON.parse(choice.decision)).to.deep.include({ cause: "node_disconnected", attempt: 1 });
      choice.booking.release("completed");
    }
  });

  it("refuses a further attempt without a cause, and a first one with one", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    for (const changes of [{ attempt: 1 }, { cause: "node_disconnected" }]) {
      const error = await rig.choose(changes).catch((caught: unknown) => caught);
      expect(error).to.include({ code: "invalid_value" });
    }
    expect(rig.node(1).inFlight).to.equal(0);
  });

  it("refuses to choose without a committed seed, and says that it passes", async () => {
    const rig = new FleetRig({ seeds: { seedOf: () => null } });
    await rig.join(1);
    const error = await rig.choose().catch((caught: unknown) => caught);
    expect(error).to.include({ code: "no_seed", retryable: true });
    expect(rig.node(1).inFlight).to.equal(0);
  });
});

describe("slots", () => {
  it("are never given out beyond what is attested, however many ask at once", async () => {
    const rig = new FleetRig();
    await rig.join(1, { slots: 4 });
    await rig.join(2, { slots: 2 });
    await rig.join(3, { slots: 1 });
    const choices = await Promise.all(Array.from({ length: 50 }, () => rig.choose()));
    const got = choices.filter((choice) => choice.ok);
    expect([1, 2, 3].map((nodeId) => got.filter((choice) => choice.nodeId === nodeId).length)).to.deep.equal([4, 2, 1]);
    for (const choice of choices) if (!choice.ok) expect(choice).to.include({ reason: "saturated" }).and.to.satisfy((one: { retryAfterMs: number }) => one.retryAfterMs >= 500 && one.retryAfterMs <= 30_000);
    got[0]!.booking.release("completed");
    expect((await rig.chosen()).nodeId).to.equal(got[0]!.nodeId);
    expect(await rig.reason()).to.equal("saturated");
  });

  it("follow the least of attestation, offer and stake", async () => {
    const staked = new FleetRig();
    await staked.join(1, { slots: 65_535 }, { stakedSlots: 2 });
    await staked.chosen();
    await staked.chosen();
    expect(await staked.reason()).to.equal("saturated");
    expect(staked.node(1)).to.include({ slots: 2, inFlight: 2, state: "full" });

    const offered = new FleetRig();
    offered.connect(1);
    await offered.attest(1, { slots: 8 }, [offer({ slots: 1 })]);
    await offered.chosen();
    expect(await offered.reason()).to.equal("saturated");
  });

  it("shrink at once when the node says so, and come back", async () => {
    const rig = new FleetRig();
    await rig.join(1, { slots: 4 });
    await rig.chosen();
    await rig.attest(1, { slots: 1 });
    expect(await rig.reason()).to.equal("saturated");
    await rig.attest(1, { slots: 0 });
    expect(await rig.reason()).to.equal("saturated");
    await rig.attest(1, { slots: 2 });
    rig.clock.pass(1_000);
    expect(await rig.reason()).to.equal("chosen");
  });

  it("are freed once: a late release of a dead attempt does not free the next booking", async () => {
    const rig = new FleetRig();
    await rig.join(1, { slots: 1 });
    const dead = await rig.chosen();
    dead.booking.release("failed");
    const alive = await rig.chosen();
    dead.booking.release("completed");
    dead.booking.firstToken(5);
    dead.booking.progress(9);
    expect(rig.node(1).inFlight).to.equal(1);
    expect(await rig.reason()).to.equal("saturated");
    alive.booking.release("completed");
    expect(rig.node(1).inFlight).to.equal(0);
  });

  it("stay taken over a reconnection until their bookings are released", async () => {
    const rig = new FleetRig();
    await rig.join(1, { slots: 1 });
    const before = await rig.chosen();
    rig.fleet.disconnected(1);
    await rig.join(1, { slots: 1 });
    expect(await rig.reason()).to.equal("saturated");
    before.booking.release("failed");
    expect(await rig.reason()).to.equal("chosen");
  });

  it("close for a node that signed it is full, until it attests anew", async () => {
    const rig = new FleetRig();
    await rig.join(1, { slots: 4 });
    (await rig.chosen()).booking.release("refused_full");
    expect(await rig.reason()).to.equal("saturated");
    await rig.attest(1, { slots: 4 });
    expect(await rig.reason()).to.equal("chosen");
  });

  it("count dispatch, first token and release so that nothing is left over", async () => {
    const rig = new FleetRig();
    await rig.join(1, { kvFreeTokens: 1_000 });
    const choice = await rig.chosen({ inputTokens: 200 });
    expect(rig.node(1)).to.include({ inFlight: 1, computeBps: 2_500 });
    expect(rig.node(1).memoryBps).to.equal(3_280);
    choice.booking.firstToken(30);
    choice.booking.progress(20);
    choice.booking.release("completed");
    expect(rig.node(1)).to.include({ inFlight: 0, computeBps: 0, memoryBps: 0 });
  });
});

describe("where no node can take a request, the reason", () => {
  const cases: readonly (readonly [string, UnavailableReason, object])[] = [
    ["an unknown model", "unknown_model", { modelId: modelIdOf("nobody/has-this@q4") }],
    ["a prompt that leaves no room", "context", { inputTokens: 900, maxOutTokens: 200 }],
    ["a parameter that the engine does not honour", "unsupported", { capabilities: ["seed", "tools"] }],
    ["embeddings of a model that generates", "unsupported", { kind: "embed", maxOutTokens: 0 }],
    ["a price above the payer's maximum", "price", { maxPriceOut: 199_999n }],
    ["an input price above the payer's maximum", "price", { maxPriceIn: 99_999n }],
    ["only nodes that were tried", "no_node", { exclude: [1] }],
  ];
  for (const [name, reason, changes] of cases) {
    it(`is told for ${name}`, async () => {
      const rig = new FleetRig();
      await rig.join(1);
      const choice = await rig.choose(changes);
      expect(choice).to.include({ ok: false, reason });
      if (choice.ok) return;
      expect(choice.detail).to.match(/^[A-Z].*\.$/);
      expect(choice.retryAfterMs > 0).to.equal(["no_node", "saturated"].includes(reason));
      expect(rig.node(1).inFlight).to.equal(0);
      // The same request without the obstacle goes through.
      expect(await rig.reason()).to.equal("chosen");
    });
  }

  it("is told for an empty fleet and for nodes without stake", async () => {
    expect(await new FleetRig().reason()).to.equal("unknown_model");
    const retired = new FleetRig();
    await retired.join(1, {}, { live: false });
    expect(await retired.reason()).to.equal("no_node");
    const unstaked = new FleetRig();
    await unstaked.join(1, {}, { stakedSlots: 0 });
    expect(await unstaked.reason()).to.equal("no_node");
  });

  it("is the model's absence, not its unknownness, once it was there", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    rig.fleet.disconnected(1);
    expect(await rig.reason()).to.equal("no_node");
    expect(rig.fleet.modelIdOf("stories")).to.equal(MODEL);
  });

  it("prices each node at the tide and the order's tier, and none above what the payer signed", async () => {
    let tide = TIDE_ONE;
    const rig = new FleetRig({ tide: { multiplierOf: (modelId) => (modelId === MODEL ? tide : TIDE_ONE), ready: () => Promise.resolve() } });
    await rig.join(1, { slots: 8 });
    const prices = (await rig.chosen()).prices;
    for (const [tier, out] of [[Tier.DEFAULT, 200_000n], [Tier.PRIORITY, 300_000n], [Tier.FLEX, 100_000n]] as const) expect((await rig.chosen({ tier, maxPriceOut: out })).prices.priceOutPerMTok).to.equal(out);
    tide = TIDE_MOST;
    expect((await rig.chosen()).prices).to.deep.equal({ priceInPerMTok: 2n * prices.priceInPerMTok, priceOutPerMTok: 2n * prices.priceOutPerMTok });
    expect(rig.fleet.models()[0]).to.deep.include({ tideMultiplier: TIDE_MOST, base: prices });
    expect(await rig.reason({ maxPriceOut: 399_999n }), "the peak is dearer than what was signed").to.equal("price");
    tide = TIDE_LEAST;
    expect((await rig.chosen({ maxPriceOut: 100_000n })).prices.priceOutPerMTok).to.equal(100_000n);
    expect(await rig.reason({ tier: Tier.PRIORITY, maxPriceOut: 149_999n })).to.equal("price");
  });

  it("property: a chosen price is base x tide x tier, and never above the payer's maximum; above it nobody is chosen", async () => {
    let tide = TIDE_ONE;
    const rig = new FleetRig({ tide: { multiplierOf: () => tide, ready: () => Promise.resolve() } });
    const amount = fc.bigInt(0n, 10n ** 6n);
    await fc.assert(fc.asyncProperty(amount, amount, fc.integer({ min: TIDE_LEAST, max: TIDE_MOST }), fc.constantFrom(Tier.DEFAULT, Tier.PRIORITY, Tier.FLEX), amount, amount, async (baseIn, baseOut, multiplier, tier, maxPriceIn, maxPriceOut) => {
      tide = multiplier;
      rig.connect(1);
      await rig.attest(1, {}, [offer({ priceInPerMTok: baseIn, priceOutPerMTok: baseOut })]);
      const priced = pricesAtTide({ priceInPerMTok: baseIn, priceOutPerMTok: baseOut }, multiplier, tier);
      const choice = await rig.choose({ tier, maxPriceIn, maxPriceOut });
      const isWithin = priced.priceInPerMTok <= maxPriceIn && priced.priceOutPerMTok <= maxPriceOut;
      expect(choice.ok ? choice.prices : choice.reason).to.deep.equal(isWithin ? priced : "price");
      if (choice.ok) choice.booking.release("completed");
    }), { numRuns: 60 });
  });

  it("asks for the tide before it chooses, and as soon as a node offers a model", async () => {
    const asked: Hash[] = [];
    const rig = new FleetRig({ tide: { multiplierOf: () => TIDE_ONE, ready: async (modelId) => void asked.push(modelId) } });
    rig.connect(1);
    expect(asked).to.deep.equal([MODEL]);
    await rig.attest(1);
    await rig.chosen();
    expect(asked).to.deep.equal([MODEL, MODEL]);
  });

  it("does not hide a node that can: capability, context and price of one among many", async () => {
    const rig = new FleetRig();
    for (let nodeId = 1; nodeId <= 3; nodeId++) await rig.join(nodeId);
    rig.connect(4, { models: [model({ contextTokens: 8_192, capabilities: ["seed", "tools"] })] });
    await rig.attest(4, {}, [offer({ priceOutPerMTok: 500_000n })]);
    for (const changes of [{ inputTokens: 4_000 }, { capabilities: ["tools"] }]) expect((await rig.chosen(changes)).nodeId).to.equal(4);
    const cheap = await rig.chosen({ maxPriceOut: 200_000n });
    expect(cheap.nodeId).to.be.lessThan(4);
    expect(cheap.prices.priceOutPerMTok).to.equal(200_000n);
  });
});
