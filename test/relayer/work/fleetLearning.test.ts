import { expect } from "chai";
import { CURVE, FleetRig, MODEL, model, NAME, offer } from "./fleetRig.ts";
import { marksOf } from "../../../relayer/work/promptMarks.ts";
import { TIDE_ONE } from "../../../protocol/tide.ts";
import { modelIdOf } from "../../../protocol/ids.ts";
import type { ChooseRequest } from "../../../relayer/work/routingRequest.ts";
import type { Hash } from "../../../protocol/units.ts";

describe("what the fleet learns", () => {
  it("keeps away from a node that goes silent, and less from one that signs refusals", async () => {
    const rig = new FleetRig();
    for (const nodeId of [1, 2, 3]) await rig.join(nodeId);
    for (const [nodeId, outcome] of [[1, "failed"], [2, "refused"], [3, "completed"]] as const) {
      const exclude = [1, 2, 3].filter((one) => one !== nodeId);
      for (let i = 0; i < 3; i++) (await rig.chosen({ exclude })).booking.release(outcome);
    }
    const scores = [1, 2, 3].map((nodeId) => rig.node(nodeId).scoreBps);
    expect(scores[0]!).to.be.lessThan(scores[1]!);
    expect(scores[1]!).to.be.lessThan(scores[2]!);
    rig.clock.pass(1_000);
    for (const nodeId of [1, 2, 3]) await rig.attest(nodeId);
    for (let i = 0; i < 20; i++) {
      const choice = await rig.chosen();
      expect(choice.nodeId).to.equal(3);
      choice.booking.release("cancelled");
    }
  });

  it("does not blame a node for what a client cancelled or was never sent", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    const before = rig.node(1).scoreBps;
    for (const outcome of ["cancelled", "unsent"] as const) (await rig.chosen()).booking.release(outcome);
    expect(rig.node(1).scoreBps).to.equal(before);
  });

  it("does not blame a node for refusing what others refuse, too, but for refusing what another takes", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    const before = rig.node(1).scoreBps;
    const { booking } = await rig.chosen();
    booking.release("rejected");
    expect(rig.node(1).scoreBps).to.equal(before);
    booking.contradicted();
    expect(rig.node(1).scoreBps).to.be.lessThan(before);
  });

  it("forgives with time", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    (await rig.chosen()).booking.release("failed");
    const hurt = rig.node(1).scoreBps;
    rig.clock.pass(600_000);
    expect(rig.node(1).scoreBps).to.be.greaterThan(hurt);
  });

  it("turns to the node that is as fast as it claims to be", async () => {
    const rig = new FleetRig();
    for (const nodeId of [1, 2]) await rig.join(nodeId);
    // Node 1 says 2 ms a token and takes 40; node 2 keeps its word.
    for (let i = 0; i < 30; i++) {
      for (const nodeId of [1, 2]) {
        const { booking } = await rig.chosen({ exclude: [3 - nodeId], maxOutTokens: 200 });
        booking.firstToken(25);
        booking.progress(1);
        rig.clock.pass(nodeId === 1 ? 4_000 : 300);
        booking.progress(101);
        booking.release("completed");
        for (const one of [1, 2]) await rig.attest(one);
      }
    }
    for (let i = 0; i < 20; i++) {
      const choice = await rig.chosen();
      expect(choice.nodeId).to.equal(2);
      choice.booking.release("cancelled");
    }
  });

  it("does not take a node for faster at reading because it held most of a prompt", async () => {
    const rig = new FleetRig();
    await rig.join(1, {}, { models: [model({ contextTokens: 8_192 })] });
    const turn = { conversationKey: "conversation-one", inputTokens: 3_000 };
    const serve = async (firstMs: number): Promise<void> => {
      const { booking } = await rig.chosen(turn);
      booking.firstToken(firstMs);
      booking.release("completed");
    };
    await serve(602);
    for (let i = 0; i < 10; i++) await serve(22);
    expect(rig.fleet.standingsOf(1)[0]!.model.curve.bNs).to.be.closeTo(CURVE.bNs, CURVE.bNs / 20);
  });

  it("does not take a node for faster at reading because it held most of what was ahead", async () => {
    const rig = new FleetRig();
    await rig.join(1, {}, { models: [model({ contextTokens: 8_192 })] });
    const turn = { conversationKey: "conversation-one", inputTokens: 3_000 };
    (await rig.chosen(turn)).booking.release("completed");
    const bNs = async (): Promise<number> => {
      const { booking } = await rig.chosen({ inputTokens: 100 });
      booking.firstToken(22);
      booking.release("completed");
      return rig.fleet.standingsOf(1)[0]!.model.curve.bNs;
    };
    for (let i = 0; i < 10; i++) {
      const { booking } = await rig.chosen(turn);
      expect(await bNs()).to.equal(CURVE.bNs);
      if (i % 2 === 0) booking.firstToken(22);
      booking.release("cancelled");
    }
    // What was read, or will not be, is not ahead: from here on it learns again.
    (await rig.chosen({ inputTokens: 3_000 })).booking.firstToken(1_000);
    expect(rig.fleet.standingsOf(1)[0]!.model.curve.bNs).to.be.greaterThan(CURVE.bNs);
  });

  it("expects outputs as long as they turn out, for each payer", async () => {
    const rig = new FleetRig();
    await rig.join(1, {}, { models: [model({ contextTokens: 32_768 })] });
    const brief: Hash = `0x${"01".repeat(32)}`;
    const long: Hash = `0x${"02".repeat(32)}`;
    const expected = async (sessionId: Hash, maxOutTokens = 4_000): Promise<number> => {
      const choice = await rig.chosen({ sessionId, maxOutTokens });
      choice.booking.release("cancelled");
      return (JSON.parse(choice.decision) as { expectedOutTokens: number }).expectedOutTokens;
    };
    for (let i = 0; i < 100; i++) {
      for (const [sessionId, tokens] of [[brief, 10], [long, 2_000]] as const) {
        const { booking } = await rig.chosen({ sessionId, maxOutTokens: 4_000 });
        booking.progress(tokens);
        booking.release("completed");
      }
    }
    expect(await expected(brief)).to.be.closeTo(10, 5);
    expect(await expected(long)).to.be.closeTo(2_000, 200);
    expect(await expected(long, 50)).to.equal(50);
  });

  it("draws a conversation's next turn to the node that holds its prefix, for a while", async () => {
    const slow = { ...CURVE, bNs: 5_000_000 };
    const rig = new FleetRig();
    for (const nodeId of [1, 2, 3, 4]) await rig.join(nodeId, {}, { curve: slow, models: [model({ contextTokens: 8_192 })] });
    const turn = { conversationKey: "conversation-one", inputTokens: 3_000 };
    const first = await rig.chosen(turn);
    first.booking.release("completed");
    for (let i = 0; i < 15; i++) {
      const next = await rig.chosen(turn);
      expect(next.nodeId).to.equal(first.nodeId);
      expect(next.decision).to.not.include("conversation-one");
      next.booking.release("completed");
    }
    rig.clock.pass(600_001);
    for (const nodeId of [1, 2, 3, 4]) await rig.attest(nodeId);
    const after = await rig.chosen(turn);
    expect(JSON.parse(after.decision)).to.deep.include({ affinityNode: -1, cachedTokens: 0 });
  });

  it("believes that a node holds what it was given, not what a client calls by one key", async () => {
    const rig = new FleetRig();
    await rig.join(1, {}, { models: [model({ contextTokens: 8_192 })] });
    const cachedOf = async (prompt: string): Promise<number> => {
      const { decision, booking } = await rig.chosen({ conversationKey: "one key for all", inputTokens: 1_000, promptMarks: marksOf([prompt]) });
      booking.release("completed");
      return (JSON.parse(decision) as { cachedTokens: number }).cachedTokens;
    };
    const story = "Once upon a time there was a fox. ".repeat(120);
    expect(await cachedOf(story)).to.equal(0);
    expect(await cachedOf(story)).to.be.within(800, 1_000);
    expect(await cachedOf(`Another: ${story}`)).to.equal(0);
    expect(await cachedOf(`Another: ${story.slice(0, 1_991)}${"Quite another end. ".repeat(110)}`), "half of it").to.be.within(400, 500);
  });

  it("believes in a prefix no longer than the node's memory can hold it beside what came after", async () => {
    const rig = new FleetRig();
    await rig.join(1, {}, { models: [model({ contextTokens: 8_192 })] });
    const turn = { conversationKey: "conversation-one", inputTokens: 3_000 };
    const cached = async (): Promise<number> => {
      const { decision, booking } = await rig.chosen(turn);
      booking.release("cancelled");
      return (JSON.parse(decision) as { cachedTokens: number }).cachedTokens;
    };
    const serve = async (times: number, more: Partial<ChooseRequest> = {}): Promise<void> => {
      for (let i = 0; i < times; i++) (await rig.chosen({ inputTokens: 7_900, ...more })).booking.release("completed");
    };
    await serve(1, turn);
    expect(await cached()).to.equal(3_000);
    // The rig's nodes have room for 100,000 tokens.
    await serve(12);
    expect(await cached()).to.equal(3_000);
    await serve(1);
    expect(await cached()).to.equal(0);
    await serve(1, turn);
    expect(await cached()).to.equal(3_000);
    // The same engine dials in anew, then another one in its place.
    for (const [curve, holds] of [[CURVE, 3_000], [{ ...CURVE, aNs: CURVE.aNs + 1 }, 0]] as const) {
      await rig.join(1, {}, { curve, models: [model({ contextTokens: 8_192 })] });
      expect(await cached()).to.equal(holds);
    }
  });

  it("reckons what others left on a node by who is there when an answer ends, not when it began", async () => {
    const rig = new FleetRig();
    await rig.join(1, {}, { models: [model({ contextTokens: 8_192 })] });
    const turn = { conversationKey: "conversation-one", inputTokens: 3_000 };
    (await rig.chosen(turn)).booking.release("completed");
    for (let i = 0; i < 2; i++) {
      const { booking } = await rig.chosen({ inputTokens: 7_900 });
      await rig.attest(1, { slots: 8, computeBps: 10_000 });
      booking.release("completed");
      await rig.attest(1);
    }
    expect(JSON.parse((await rig.chosen(turn)).decision)).to.deep.include({ affinityNode: 1, cachedTokens: 0 });
  });

  it("does not take embeddings for what pushes a prefix out", async () => {
    const rig = new FleetRig();
    const embed = model({ modelId: modelIdOf("use/en@f32"), name: "use/en@f32", aliases: [], kind: "embed", dimensions: 512, capabilities: [], contextTokens: 200_000 });
    rig.connect(1, { models: [model({ contextTokens: 8_192 }), embed] });
    await rig.attest(1, {}, [offer(), offer({ modelId: embed.modelId, priceOutPerMTok: 0n })]);
    const turn = { conversationKey: "conversation-one", inputTokens: 3_000 };
    (await rig.chosen(turn)).booking.release("completed");
    (await rig.chosen({ modelId: embed.modelId, kind: "embed", inputTokens: 150_000, maxOutTokens: 0 })).booking.release("completed");
    expect(JSON.parse((await rig.chosen(turn)).decision)).to.deep.include({ affinityNode: 1, cachedTokens: 3_000 });
  });
});

describe("models and status", () => {
  it("list what is served, the cheapest price and the greatest context", async () => {
    const rig = new FleetRig();
    const embed = model({ modelId: modelIdOf("use/en@f32"), name: "use/en@f32", aliases: [], kind: "embed", dimensions: 512, capabilities: [] });
    rig.connect(1, { models: [model(), embed] });
    await rig.attest(1, {}, [offer(), offer({ modelId: embed.modelId, priceOutPerMTok: 0n })]);
    rig.connect(2, { models: [model({ contextTokens: 2_048, aliases: ["tiny"], capabilities: ["logprobs"] })] });
    await rig.attest(2, {}, [offer({ priceInPerMTok: 50_000n, priceOutPerMTok: 900_000n })]);
    const [stories, use] = rig.fleet.models();
    expect(stories).to.deep.equal({
      name: NAME, modelId: MODEL, aliases: ["stories", "tiny"], kind: "generate", contextTokens: 2_048, dimensions: 0,
      base: { priceInPerMTok: 50_000n, priceOutPerMTok: 200_000n }, tideMultiplier: TIDE_ONE,
      nodes: 2, tokenizer: "llama-2-spm", capabilities: ["logprobs", "seed"],
    });
    expect(use).to.include({ name: "use/en@f32", kind: "embed", dimensions: 512, nodes: 1 });
    const choice = await rig.chosen({ modelId: embed.modelId, kind: "embed", maxOutTokens: 0 });
    expect(choice.nodeId).to.equal(1);
    expect(JSON.parse(choice.decision)).to.deep.include({ expectedOutTokens: 0 });
    rig.clock.pass(6_000);
    expect(rig.fleet.models()[0]).to.include({ nodes: 0, base: null, contextTokens: 2_048 });
  });

  it("let nobody answer for another's model: a name must hash to its id, an alias means what most mean", async () => {
    const rig = new FleetRig();
    const other = "evil/model@q4";
    rig.connect(1, { models: [model({ name: other, aliases: [NAME] })] });
    expect(rig.fleet.models()).to.deep.equal([]);
    rig.connect(2, { models: [model({ modelId: modelIdOf(other), name: other, aliases: [NAME, "stories"] })] });
    rig.connect(3);
    rig.connect(4);
    expect(rig.fleet.modelIdOf(NAME)).to.equal(MODEL);
    expect(rig.fleet.modelIdOf(MODEL)).to.equal(MODEL);
    expect(rig.fleet.modelIdOf("stories")).to.equal(MODEL);
    expect(rig.fleet.modelIdOf(other)).to.equal(modelIdOf(other));
    expect(rig.fleet.modelIdOf("unheard-of")).to.equal(null);
  });

  it("show each node as plain values", async () => {
    const rig = new FleetRig();
    await rig.join(2, { prepSlots: 1, queueBps: 300 });
    rig.connect(1);
    const status = rig.fleet.status();
    expect(status.attested).to.equal(1);
    expect(status.nodes).to.deep.equal([
      { nodeId: 1, hardwareClass: 1, engine: "timed", models: [NAME], state: "unattested", slots: 0, prepSlots: 0, inFlight: 0, computeBps: 0, memoryBps: 0, queueBps: 0, networkBps: 0, scoreBps: 9_900, attestationAgeMs: null },
      { nodeId: 2, hardwareClass: 1, engine: "timed", models: [NAME], state: "serving", slots: 4, prepSlots: 1, inFlight: 0, computeBps: 0, memoryBps: 0, queueBps: 300, networkBps: 0, scoreBps: 9_900, attestationAgeMs: 0 },
    ]);
    expect(JSON.parse(JSON.stringify(status))).to.deep.equal(status);
  });
});
