// A task that two batches settle is found in whatever order their data comes, and whatever the data calls it.
import { rmSync } from "node:fs";
import { expect } from "chai";
import { bytesToHex, keccak256 } from "viem/utils";
import { checkOpen } from "../../../auditor/work/check.ts";
import { follow } from "../../../auditor/work/follow.ts";
import type { Watch } from "../../../auditor/work/watch.ts";
import type { PostedBatch } from "../../../auditor/ports.ts";
import { batchDataToBytes, type BatchDataTask } from "../../../protocol/batchData.ts";
import { itemsHash, type Item } from "../../../protocol/merkleSum.ts";
import type { AttemptRecord } from "../../../protocol/records.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import { treesOf } from "../../../relayer/settlement/batch.ts";
import { honestRecord } from "../../protocol/honest.ts";
import { FakeChain, FakeSender, WINDOW_SECONDS, newFolder, watcherIn } from "./rig.ts";

const RELAYER = "https://relayer.example";

/** A batch of one record, and the bytes behind it, in which the task stands under that name. */
function settled(record: AttemptRecord, batchId: bigint, postedAt: number, name: Hash = record.assignment.taskId): { batch: PostedBatch; data: Uint8Array } {
  const ack = { ack: { receiptHash: hashStruct("TaskReceipt", record.receipt), relayerId: 1, relayerEpoch: 1, ackedAt: 1 }, signature: record.receiptSignature };
  const attempt = { assignmentHash: hashStruct("Assignment", record.assignment), nodeId: 7, decision: "{}", cause: null, assignment: {}, signed: { record, ack } };
  const task: BatchDataTask = { taskId: name, state: "finished", order: record.order, openedAtMs: 1, attempts: [attempt] };
  const data = batchDataToBytes({ relayerId: 1, batchId, periodStart: 0, periodEnd: 1, tasks: [task] });
  const { session, tab } = treesOf([record], keccak256);
  const [debits, credits]: Item[][] = [[{ id: record.order.sessionId, change: session.root.sum }], [{ id: `0x${"7".padStart(64, "0")}`, change: tab.root.sum }]];
  const header = {
    relayerId: 1, relayerEpoch: 1, batchId, prevBatchHash: ZERO_HASH, sessionRoot: session.root.hash, tabRoot: tab.root.hash, leafCount: 1, debitsHash: itemsHash(debits!), creditsHash: itemsHash(credits!),
    totalDebit: session.root.sum, totalCredit: tab.root.sum, dataHash: keccak256(bytesToHex(data)), periodStart: 0, periodEnd: 1, postBy: 2,
  };
  return { data, batch: { header, batchHash: hashStruct("BatchHeader", header), postedAt, debits: debits!, credits: credits! } };
}

describe("a task in two batches", () => {
  let folder: string;
  let chain: FakeChain;
  let watch: Watch & { close(): Promise<void> };
  const served = new Map<bigint, Uint8Array>();
  const looked = async (): Promise<string[]> => {
    await checkOpen(watch);
    return watch.state.cases.map(({ functionName }) => functionName);
  };
  const begin = async (batches: readonly { readonly batch: PostedBatch }[]): Promise<void> => {
    chain.happened.set(4n, [{ kind: "endpoint", relayerId: 1, endpoint: RELAYER }, ...batches.map(({ batch }) => ({ kind: "batch" as const, batch }))]);
    const absent = async (): Promise<null> => null;
    watch = {
      ...await watcherIn(folder, chain, new FakeSender(chain), { graceSeconds: WINDOW_SECONDS }),
      published: () => ({ relayerId: async () => 1, batchHeader: absent, batchData: async (batchId) => served.get(batchId) ?? null, record: absent }),
    };
    await follow(watch);
  };
  beforeEach(() => {
    folder = newFolder();
    chain = new FakeChain();
    served.clear();
  });
  afterEach(async () => {
    await watch.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("is found where the earlier one's data comes only after the later one was looked at", async () => {
    const record = await honestRecord();
    const [first, second] = [settled(record, 1n, chain.timestamp), settled(record, 2n, chain.timestamp)];
    await begin([first, second]);
    served.set(2n, second.data);
    expect(await looked()).to.deep.equal([]);
    expect(watch.state.batches.map(({ batchId }) => batchId)).to.deep.equal([1n]);
    served.set(1n, first.data);
    chain.timestamp += WINDOW_SECONDS / 40 + 1;
    await looked();
    expect(await looked()).to.deep.equal(["proveTaskInTwoBatches"]);
    expect(watch.state.batches).to.deep.equal([]);
  });

  for (const [where, names] of [["earlier", [`0x${"0b".repeat(32)}`, undefined]], ["later", [undefined, `0x${"0b".repeat(32)}`]]] as const) {
    it(`is found where the ${where} one's data calls the task otherwise`, async () => {
      const record = await honestRecord();
      const [first, second] = [settled(record, 1n, chain.timestamp, names[0]), settled(record, 2n, chain.timestamp, names[1])];
      await begin([first, second]);
      served.set(1n, first.data).set(2n, second.data);
      expect(await looked()).to.deep.equal(["proveTaskInTwoBatches"]);
    });
  }
});
