// Following the chain: every block once, none before it is confirmed, and again what a reorganisation put elsewhere.
import { rmSync } from "node:fs";
import { expect } from "chai";
import { keccak256 } from "viem/utils";
import type { PostedBatch } from "../../../auditor/ports.ts";
import { follow } from "../../../auditor/work/follow.ts";
import type { Watch } from "../../../auditor/work/watch.ts";
import { checkOpen } from "../../../auditor/work/check.ts";
import { watchOnce } from "../../../auditor/work/watcher.ts";
import { leafStruct, pathStruct, type LeafStruct, type PathStruct } from "../../../protocol/evidence.ts";
import { itemsHash } from "../../../protocol/merkleSum.ts";
import type { AttemptRecord } from "../../../protocol/records.ts";
import { treesOf } from "../../../relayer/settlement/batch.ts";
import { signStruct } from "../../../protocol/signing.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ZERO_HASH } from "../../../protocol/units.ts";
import type { BatchHeader } from "../../../protocol/generated/structs.ts";
import { domain, honestRecord, payer, relayer } from "../../protocol/honest.ts";
import { FakeChain, FakeSender, WINDOW_SECONDS, journalOf, newFolder, watcherIn } from "./rig.ts";

const header = (bends: Partial<BatchHeader> = {}): BatchHeader => ({
  relayerId: 1, relayerEpoch: 1, batchId: 1n, prevBatchHash: ZERO_HASH, sessionRoot: ZERO_HASH, tabRoot: ZERO_HASH, leafCount: 1, debitsHash: itemsHash([]), creditsHash: itemsHash([]),
  totalDebit: 5n, totalCredit: 4n, dataHash: ZERO_HASH, periodStart: 0, periodEnd: 100, postBy: 200, ...bends,
});
const posted = (bends: Partial<BatchHeader> = {}, postedAt = 1_000_000): PostedBatch => ({ header: header(bends), batchHash: hashStruct("BatchHeader", header(bends)), postedAt, debits: [], credits: [] });

describe("a watcher that follows the chain", () => {
  let folder: string;
  let chain: FakeChain;
  const open: (Watch & { close(): Promise<void> })[] = [];
  const watcher = async (options: Parameters<typeof watcherIn>[3] = {}): Promise<Watch> => {
    for (const one of open.splice(0)) await one.close();
    const watch = await watcherIn(folder, chain, new FakeSender(chain), options);
    open.push(watch);
    return watch;
  };
  beforeEach(() => {
    folder = newFolder();
    chain = new FakeChain();
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("reads every block once, in stretches, over restarts", async () => {
    chain.number = 250n;
    expect(await follow(await watcher({ fromBlock: 3n }))).to.equal(true);
    chain.number = 260n;
    await follow(await watcher({ fromBlock: 3n }));
    await follow(await watcher());
    expect(chain.asked).to.deep.equal([[3n, 102n], [103n, 202n], [203n, 250n], [251n, 260n]]);
  });

  it("believes no block before so many lie above it", async () => {
    chain.happened.set(9n, [{ kind: "batch", batch: posted() }]);
    const watch = await watcher({ confirmations: 2 });
    await follow(watch);
    expect(chain.asked).to.deep.equal([[0n, 8n]]);
    expect(watch.state.batches).to.deep.equal([]);
    chain.number = 11n;
    await follow(watch);
    expect(watch.state.batches.map(({ batchId }) => batchId)).to.deep.equal([1n]);
  });

  it("goes back to the last block that still stands, and takes what stands there now", async () => {
    chain.number = 5n;
    const watch = await watcher();
    await follow(watch);
    chain.number = 10n;
    chain.happened.set(8n, [{ kind: "batch", batch: posted() }]);
    await follow(watch);
    const other = posted({ leafCount: 2 });
    chain.forks = [7n];
    chain.number = 11n;
    chain.happened = new Map([[9n, [{ kind: "batch", batch: other }]]]);
    await follow(await watcher());
    expect(chain.asked).to.deep.equal([[0n, 5n], [6n, 10n], [6n, 11n]]);
    expect((await open[0]!.archive.batch(1, 1n))!.batchHash).to.equal(other.batchHash);
    expect(journalOf(folder)).to.deep.equal(["reorganised"]);
  });

  it("stops between two rounds of a single run when it is told to", async () => {
    chain.number = 1_000_000n;
    const stop = new AbortController();
    const report = await watchOnce(await watcher(), async () => stop.abort(), stop.signal);
    expect([report.isCaughtUp, report.blockNumber, chain.asked.length]).to.deep.equal([false, 4_999n, 50]);
  });

  it("takes nothing of a stretch that changed while it was read", async () => {
    const watch = await watcher();
    chain.happened.set(4n, [{ kind: "batch", batch: posted() }]);
    chain.afterRead = () => void (chain.forks = [3n]);
    expect(await follow(watch)).to.equal(false);
    expect([watch.state.batches, watch.state.marks]).to.deep.equal([[], []]);
    expect(await follow(watch)).to.equal(true);
    expect(watch.state.batches).to.have.length(1);
  });

  it("goes on with the next batch where one makes its check fail", async () => {
    chain.happened.set(4n, [{ kind: "batch", batch: posted() }, { kind: "batch", batch: posted({ batchId: 2n }) }]);
    const watch = await watcher();
    await follow(watch);
    const read = watch.archive.batch;
    watch.archive.batch = async (relayerId, batchId) => (batchId === 1n ? Promise.reject(new Error("poison")) : read(relayerId, batchId));
    await checkOpen(watch);
    expect(watch.state.cases.map(({ place }) => place!.batchId)).to.deep.equal([2n]);
    expect(journalOf(folder)).to.deep.equal(["failed", "found"]);
  });

  it("gives up a batch that makes its check fail once nothing can come of it any more, and says so", async () => {
    chain.happened.set(4n, [{ kind: "batch", batch: posted({}, chain.timestamp) }]);
    const watch = await watcher();
    await follow(watch);
    watch.archive.batch = () => Promise.reject(new Error("poison"));
    const openAfter = async (seconds: number): Promise<number> => {
      chain.timestamp += seconds;
      await checkOpen(watch);
      return watch.state.batches.length;
    };
    expect([await openAfter(2 * WINDOW_SECONDS), await openAfter(WINDOW_SECONDS)]).to.deep.equal([1, 0]);
    expect(journalOf(folder)).to.deep.equal(["failed", "given up"]);
  });

  it("says what of the chain it could not read", async () => {
    const hidden = { ...posted(), debits: null, credits: null };
    chain.happened.set(4n, [{ kind: "batch", batch: hidden }, { kind: "unread", relayerId: 1, batchId: 1n, detail: "leaf 0" }, { kind: "unread", relayerId: 9, batchId: 1n, detail: "another's" }]);
    await follow(await watcher({ relayerId: 1 }));
    expect(journalOf(folder)).to.deep.equal(["unread", "unread"]);
  });

  it("waits for a relayer that answers slowly for so long in a round, and looks at the rest in the next", async () => {
    const batches = [1n, 2n, 3n, 4n, 5n].map((batchId) => ({ kind: "batch" as const, batch: posted({ batchId }, chain.timestamp) }));
    chain.happened.set(4n, [{ kind: "endpoint", relayerId: 1, endpoint: "http://slow.example" }, ...batches]);
    let [nowMs, asked] = [0, 0n];
    const absent = async (): Promise<null> => null;
    const batchData = async (batchId: bigint): Promise<null> => {
      [nowMs, asked] = [nowMs + 25_000, batchId];
      return null;
    };
    const watch = { ...await watcher({ graceSeconds: WINDOW_SECONDS }), nowMs: () => nowMs, published: () => ({ relayerId: async () => 1, batchHeader: absent, batchData, record: absent }) };
    await follow(watch);
    expect([await checkOpen(watch), asked]).to.deep.equal([false, 3n]);
    expect([await checkOpen(watch), asked]).to.deep.equal([true, 5n]);
    expect(watch.state.cases).to.deep.equal([]);
  });

  it("keeps of an answer to a demand the record of that leaf, whatever else its transaction holds", async () => {
    const [one, other] = [await honestRecord(), await honestRecord({ order: { nonce: 2n }, receipt: { nodeSeq: 2n << 20n } })];
    const { session, tab } = treesOf([one], keccak256);
    const of = { sessionRoot: session.root.hash, tabRoot: tab.root.hash, totalDebit: session.root.sum, totalCredit: tab.root.sum };
    const path = pathStruct(session.proof(0));
    const shown = (leaf: LeafStruct, record: AttemptRecord, bent: PathStruct = path) => ({ kind: "shown" as const, relayerId: 1, batchId: 1n, shown: { tree: 0 as const, leaf, path: bent, receipt: record.receipt, record } });
    const loose = { ...one, assignment: { ...one.assignment, issuedAt: one.assignment.issuedAt + 1 } };
    const aside = [shown(leafStruct(other), other), shown(leafStruct(one), other), shown(leafStruct(loose), loose), shown(leafStruct(one), one, { index: 0, hashes: [ZERO_HASH], sums: [2n ** 128n - 1n] })];
    chain.happened.set(4n, [{ kind: "batch", batch: posted(of) }, ...aside, shown(leafStruct(one), one), ...aside]);
    const watch = await watcher();
    await follow(watch);
    expect((await watch.archive.batch(1, 1n))!.shown.map(({ record }) => record)).to.deep.equal([one]);
  });

  it("takes only the relayer that it was told to watch, and addresses of all", async () => {
    chain.happened.set(4n, [
      { kind: "endpoint", relayerId: 1, endpoint: "http://one" }, { kind: "batch", batch: posted() }, { kind: "batch", batch: posted({ relayerId: 2 }) },
      { kind: "epoch", dataHash: ZERO_HASH, commitment: { relayerId: 1, epoch: 1n, root: ZERO_HASH, leafCount: 1, pools: [] } },
    ]);
    const { state } = await watcher({ relayerId: 2 }).then(async (watch) => (await follow(watch), watch));
    expect([state.endpoints, state.batches.map(({ relayerId }) => relayerId), state.boards]).to.deep.equal([{ 1: "http://one" }, [2], []]);
  });

  it("opens a case for two headers in calldata, and for none that somebody else signed", async () => {
    const [one, twin, later] = [header(), header({ leafCount: 2 }), header({ leafCount: 3, periodEnd: 201, postBy: 300 })];
    const signed = async (message: BatchHeader, by = relayer) => ({ kind: "header" as const, signed: { message, signature: await signStruct(by, domain, "BatchHeader", message) } });
    const watch = await watcher();
    chain.happened.set(4n, [await signed(one), await signed(one), await signed(twin, payer), await signed(later)]);
    await follow(watch);
    expect(watch.state.cases).to.deep.equal([]);
    chain.number = 11n;
    chain.happened.set(11n, [await signed(twin)]);
    await follow(watch);
    expect(watch.state.cases.map(({ offence }) => offence)).to.deep.equal(["F8"]);
  });

  it("looks twice before it demands what was posted long ago, unless there is no time left", async () => {
    const posting = (batchId: bigint, age: number) => ({ kind: "batch" as const, batch: posted({ batchId }, chain.timestamp - age) });
    chain.happened.set(4n, [posting(1n, WINDOW_SECONDS / 2), posting(2n, WINDOW_SECONDS - 60)]);
    const watch = await watcher({ graceSeconds: null });
    await follow(watch);
    const demanded = async (): Promise<bigint[]> => {
      await checkOpen(watch);
      return watch.state.cases.map(({ place }) => place!.batchId);
    };
    expect(await demanded()).to.deep.equal([2n]);
    chain.timestamp += WINDOW_SECONDS / 40;
    expect(await demanded()).to.deep.equal([2n, 1n]);
  });

  it("asks for withheld data within its grace, then demands it, and gives up once W has passed", async () => {
    chain.happened.set(4n, [{ kind: "batch", batch: posted({}, chain.timestamp) }]);
    const watch = await watcher({ graceSeconds: null });
    await follow(watch);
    const demandedAfter = async (seconds: number): Promise<[number, number]> => {
      chain.timestamp += seconds;
      await checkOpen(watch);
      return [watch.state.cases.length, watch.state.batches.length];
    };
    expect(await demandedAfter(0)).to.deep.equal([0, 1]);
    expect(await demandedAfter(WINDOW_SECONDS / 4 - 1)).to.deep.equal([0, 1]);
    expect(await demandedAfter(WINDOW_SECONDS / 40 + 1)).to.deep.equal([1, 1]);
    watch.state.cases[0]!.status = "refused";
    expect(await demandedAfter(WINDOW_SECONDS)).to.deep.equal([1, 0]);
    expect(journalOf(folder)).to.deep.equal(["found", "unshown"]);
  });
});
