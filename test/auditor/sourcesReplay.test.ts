import { expect } from "chai";
import { auditRouting } from "../../auditor/main.ts";
import { routingFacts } from "../../auditor/sourcesReplay.ts";
import { encodeFunctionData } from "viem";
import { orderName } from "../../auditor/replay/evidence.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { ZERO_HASH } from "../../protocol/units.ts";
import { honestRecord } from "../protocol/honest.ts";
import { SeedChain } from "../../relayer/routing/seeds.ts";
import { RELAYER } from "../relayer/work/fleetRig.ts";
import { FIRST, ReplayWorld } from "./replay/world.ts";
import { boardChain, contracts, publishing, type BoardEvent, type Served } from "./replayChain.ts";
import type { Evidence } from "../../auditor/replay/evidence.ts";

const EPOCH = { kind: "epoch", epoch: FIRST + 4 } as const;
const codeOf = async (work: Promise<unknown>): Promise<string> => work.then(() => "nothing thrown", (error: unknown) => (error instanceof TidelaneError ? error.code : String(error)));

describe("the evidence of a replay", () => {
  let world: ReplayWorld;
  let change: Partial<Evidence>;
  const events: BoardEvent[] = [];
  let relayer: Served;
  let chain: Served;

  /** Ten epochs, a batch after each. */
  before(async () => {
    world = new ReplayWorld();
    await world.join(3);
    for (let i = 0; i < 10; i++) {
      for (let k = 0; k < 3; k++) {
        await world.serve(100 + k);
        world.rig.clock.pass(1_100);
      }
      await world.endEpoch(3);
    }
    const all = (): Evidence => world.evidence({ kind: "batch", batchId: 1n }, change);
    relayer = await publishing(all, world.records);
    chain = await boardChain(all, events);
  });
  beforeEach(() => {
    change = {};
    events.splice(0);
    relayer.paths.splice(0);
  });
  after(() => {
    relayer.stop();
    chain.stop();
  });
  const access = { get rpcUrls() { return [chain.url]; }, chainId: 31_337, contracts };

  it("is fetched for an epoch, for a batch and for the newest batch", async () => {
    const epoch = await auditRouting(EPOCH, relayer.url, access);
    expect([epoch.findings, epoch.unchecked]).to.deep.equal([[], []]);
    expect(epoch).to.include({ verdict: "verified", decisions: 3, nonces: 3 });
    const batch = await auditRouting({ kind: "batch", batchId: 2n }, relayer.url, access);
    expect(batch).to.include({ verdict: "verified", decisions: 3 });
    const newest = await auditRouting(null, relayer.url, access);
    expect([newest.verdict, newest.evidence.scope]).to.deep.equal(["verified", { kind: "batch", batchId: 10n }]);
  });

  it("is no more than what matters: batches found by halving, tables walked back to the epoch's beginning", async () => {
    const { evidence } = await auditRouting(EPOCH, relayer.url, access);
    expect(evidence.batches.map((one) => one.batchId)).to.deep.equal([4n, 5n, 6n, 7n, 8n]);
    expect(relayer.paths.filter((path) => path.endsWith("/data")).length).to.equal(5);
    expect(evidence.tables.size).to.be.lessThan(world.rig.tables.length);
  });

  it("is named as missing where it is not served", async () => {
    change = { tables: new Map(world.rig.tables.slice(-4).map(({ root, text }) => [root, text])) };
    const { verdict, unchecked } = await auditRouting(EPOCH, relayer.url, access);
    expect([verdict, unchecked.map((one) => one.kind)]).to.deep.equal(["unchecked", ["table", "table", "table"]]);
    change = { batches: world.batches.map((batch) => ({ ...batch, data: batch.batchId === 5n ? null : batch.data })) };
    expect((await auditRouting({ kind: "batch", batchId: 5n }, relayer.url, access)).unchecked.map((one) => one.kind)).to.include("data");
  });

  it("is looked for in later batches where a nonce is missing", async () => {
    const lost = new ReplayWorld();
    await lost.join(3);
    await lost.serve();
    const late = (await lost.ask())!;
    await lost.serve();
    await lost.endEpoch(3);
    for (let i = 0; i < 12; i++) {
      if (i === 11) lost.finish(late, "expired");
      await lost.serve();
      await lost.endEpoch(3);
    }
    const [honest, node] = await Promise.all([publishing(() => lost.evidence(), lost.records), boardChain(() => lost.evidence())]);
    try {
      const { findings, unchecked, evidence } = await auditRouting({ kind: "epoch", epoch: FIRST }, honest.url, { ...access, rpcUrls: [node.url] });
      expect([findings, unchecked]).to.deep.equal([[], []]);
      expect(evidence.batches.length).to.equal(13);
    } finally {
      honest.stop();
      node.stop();
    }
  });

  it("is refused where another chain answers, nothing is settled, or nobody answers", async () => {
    expect(await codeOf(auditRouting(EPOCH, relayer.url, { ...access, rpcUrls: [chain.url], chainId: 1 }))).to.equal("wrong_chain");
    expect(await codeOf(auditRouting({ kind: "batch", batchId: 11n }, relayer.url, access))).to.equal("not_settled");
    expect(await codeOf(auditRouting(EPOCH, "http://127.0.0.1:9", access))).to.equal("relayer_unreachable");
    expect(await codeOf(auditRouting(EPOCH, relayer.url, { ...access, rpcUrls: ["http://127.0.0.1:9"] }))).to.equal("chain_unreachable");
    expect(await codeOf(auditRouting(EPOCH, relayer.url, { rpcUrls: [chain.url], contracts: {} }))).to.equal("incomplete_deployment");
    change = { batches: [] };
    expect(await codeOf(auditRouting(EPOCH, relayer.url, access))).to.equal("not_settled");
  });

  it("finds the orders whose nodes were paid by claims, in the calls that opened these, and believes no other order there", async () => {
    const record = await honestRecord();
    const { order } = record;
    const taskId = hashStruct("TaskOrder", order);
    const ack = { receiptHash: ZERO_HASH, relayerId: 1, relayerEpoch: 1, ackedAt: 1 };
    const input = (of: typeof order) => encodeFunctionData({ abi: BatchSettlementAbi, functionName: "openForce", args: [{ ...record, order: of, voucher: record.voucher! }, ack, "0x", 0n] });
    const [RESOLVED, ANSWERED] = [3, 2];
    const forged = { ...order, nonce: 99n };
    const node = await boardChain(() => world.evidence(), [], [
      { receiptHash: `0x${"01".repeat(32)}`, taskId, state: RESOLVED, input: `0xdeadbeef${input(order).slice(2)}` }, { receiptHash: `0x${"02".repeat(32)}`, taskId, state: RESOLVED, input: input(forged) },
      { receiptHash: `0x${"03".repeat(32)}`, taskId: hashStruct("TaskOrder", forged), state: ANSWERED, input: input(forged) },
    ]);
    try {
      const found = await routingFacts({ ...access, rpcUrls: [node.url] }).paidByForce(1);
      expect(found).to.deep.equal({ orders: new Set([orderName(order)]), isWhole: true });
    } finally {
      node.stop();
    }
  });

  it("finds the seeds of chains that ended, from the board's events", async () => {
    const [older, newer] = [new SeedChain(`0x${"01".repeat(32)}`, FIRST - 20, 10), new SeedChain(`0x${"02".repeat(32)}`, FIRST - 10, 64)];
    const event = (name: BoardEvent["name"], args: Record<string, unknown>): BoardEvent => ({ name, args: { relayerId: RELAYER, ...args } });
    events.push(
      event("SeedChainCommitted", { firstEpoch: BigInt(FIRST - 20), anchor: older.anchor }), event("SeedRevealed", { epoch: BigInt(FIRST - 18), seed: older.seedOf(FIRST - 18) }),
      event("SeedRevealed", { epoch: BigInt(FIRST - 15), seed: older.seedOf(FIRST - 15) }), event("SeedChainCommitted", { firstEpoch: BigInt(FIRST - 12), anchor: newer.anchor }),
      event("SeedChainCommitted", { firstEpoch: BigInt(FIRST - 10), anchor: newer.anchor }), event("SeedsForfeited", { firstEpoch: BigInt(FIRST - 14), lastEpoch: BigInt(FIRST - 11), withheldUntil: 7 }),
    );
    change = { seedChains: [{ firstEpoch: FIRST - 10, lastRevealed: FIRST, reached: newer.seedOf(FIRST)!, isInUse: true }] };
    expect(await routingFacts({ ...access, rpcUrls: [chain.url] }).seedChains(RELAYER, FIRST - 16)).to.deep.equal([
      { firstEpoch: FIRST - 20, lastRevealed: FIRST - 15, reached: older.seedOf(FIRST - 15), isInUse: false },
      { firstEpoch: FIRST - 10, lastRevealed: FIRST, reached: newer.seedOf(FIRST), isInUse: true },
    ]);
  });
});
