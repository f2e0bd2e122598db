// The evidence as it is read beside a running agent: whole, by node, whatever the last line looks like.
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { evidenceOf, readEvidence } from "../../../node/adapters/evidence.ts";
import { FileStore } from "../../../node/adapters/store.ts";
import { systemClock } from "../../../node/adapters/clock.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ended, type Ended } from "../../relayer/ended.ts";

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

describe("an agent's evidence", () => {
  let folder = "";
  let store: FileStore;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "tidelane-evidence-"));
    store = await FileStore.open({ folder, evidenceSeconds: 1_000, clock: systemClock, log });
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const put = async (one: Ended, isAcked = true): Promise<void> => {
    await store.putRecord(one.record);
    if (isAcked) await store.putAck(one.attempt.signed!.ack);
  };
  const file = (): string => join(folder, "evidence", "000001.log");

  it("tells each receipt and its ack while the agent runs, and gives whole records back", async () => {
    const [acked, waiting, allowance] = await Promise.all([ended({ order: { nonce: 1n } }), ended({ order: { nonce: 2n } }), ended({ order: { nonce: 3n }, authorization: { mode: 1 } })]);
    await put(acked!);
    await put(waiting!, false);
    await put(allowance!);
    const rows = await readEvidence(folder, acked!.record.receipt.nodeId);
    expect(rows.map(({ taskId, ackedAt }) => [taskId, ackedAt])).to.deep.equal([[acked!.task.taskId, 1_900_000_010], [waiting!.task.taskId, null], [allowance!.task.taskId, 1_900_000_010]]);
    const { receipt } = acked!.record;
    expect(rows[0]).to.include({ receiptHash: hashStruct("TaskReceipt", receipt), relayerId: 1, nodeSeq: receipt.nodeSeq, cumulative: receipt.nodeCumulative, fee: receipt.body.fee });
    const whole = await evidenceOf(folder, new Set(rows.map((row) => row.receiptHash)));
    expect([...whole.values()]).to.deep.equal([acked, allowance].map((one) => ({ record: one!.record, ack: one!.attempt.signed!.ack })));
  });

  it("leaves other nodes' receipts aside", async () => {
    await put(await ended());
    expect(await readEvidence(folder, 99)).to.deep.equal([]);
  });

  it("takes a torn last line for none, and says where an earlier one is damaged", async () => {
    const one = await ended();
    await put(one);
    appendFileSync(file(), '00000000 {"receiptHash":"0x');
    expect(await readEvidence(folder, one.record.receipt.nodeId)).to.have.length(1);
    writeFileSync(file(), readFileSync(file(), "utf8").replace('"fee"', '"fie"'));
    const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => "none", (error: unknown) => (error as TidelaneError).code);
    expect([await codeOf(readEvidence(folder, one.record.receipt.nodeId)), await codeOf(readEvidence(join(folder, "nowhere"), 7))]).to.deep.equal(["store_damaged", "no_evidence"]);
  });
});
