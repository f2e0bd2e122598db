// Every check of `faultOf` fails for exactly what it is for, in the order of Records.sol; an honest record has no fault.
import { expect } from "chai";
import { faultOf, isLinked, type KeyFacts } from "../../../auditor/watch/faults.ts";
import { leafStruct } from "../../../protocol/evidence.ts";
import { Mode, Status } from "../../../protocol/constants.ts";
import { recoverWithViem } from "../../../protocol/signing.ts";
import type { AttemptRecord } from "../../../protocol/records.ts";
import { domain, honestRecord, node, relayer, type Bends } from "../../protocol/honest.ts";

const always = { openedAtSeconds: 1, closedAtSeconds: 0 };
const keys: KeyFacts = {
  domain, windowSeconds: 3_600, recover: recoverWithViem,
  nodeKeys: new Map([["7:1", { key: node.address, ...always }]]), relayerKeys: new Map([["1:1", { key: relayer.address, ...always }]]),
};
const found = (record: AttemptRecord, bends: Partial<KeyFacts> = {}, relayerId = 1): Promise<string | null> => faultOf(record, relayerId, leafStruct(record), { ...keys, ...bends });

describe("what does not hold in a settled record", () => {
  it("is nothing where the record is honest, in each mode and with each ending", async () => {
    for (const bends of [{}, { authorization: { mode: Mode.ALLOWANCE } }, { body: { status: Status.ABORTED } }, { body: { status: Status.CANCELLED } }] satisfies Bends[]) {
      expect(await found(await honestRecord(bends))).to.equal(null);
    }
  });

  const faults: readonly [string, Bends, RegExp][] = [
    ["another attempt's receipt", { body: { attempt: 3 } }, /another attempt/],
    ["another role's receipt", { body: { role: 2 } }, /another attempt/],
    ["another node's receipt", { receipt: { nodeId: 8 } }, /another attempt/],
    ["an assignment of another relayer", { assignment: { relayerId: 2 }, receipt: { relayerId: 1 } }, /another attempt/],
    ["a session of another relayer", { authorization: { relayerId: 2 } }, /another relayer's than the session's/],
    ["a subtask beyond the task", { assignment: { subtask: 1, subtasks: 1 }, body: { subtask: 1 } }, /outside the task/],
    ["another voucher than the assignment's", { assignment: { voucherHash: `0x${"77".repeat(32)}` } }, /another voucher/],
    ["a voucher for another order", { voucher: { taskId: `0x${"77".repeat(32)}` } }, /not one for this order/],
    ["a price above the maximum", { assignment: { priceInPerMTok: 2_000_001n } }, /price exceeds/],
    ["an output price above the maximum", { assignment: { priceOutPerMTok: 6_000_001n } }, /price exceeds/],
    ["a fee above the maximum", { assignment: { feeBps: 501 } }, /relayer's fee exceeds/],
    ["a share above maxFee", { assignment: { shareCap: 10_001n } }, /share exceeds/],
    ["an order above maxPerTask", { order: { maxFee: 50_001n } }, /maximum for a task/],
    ["an unknown tier", { order: { tier: 3 } }, /tier 3/],
    ["no status", { body: { status: 0 } }, /status 0/],
    ["more output than ordered", { body: { outputTokens: 101 } }, /101 output tokens/],
    ["a fee that is not the formula's", { body: { fee: 221n } }, /the fee is 221/],
    ["a running total below the fee", { receipt: { nodeCumulative: 1n } }, /running total/],
    ["an unregistered node key", { assignment: { keyEpoch: 2 }, receipt: { keyEpoch: 2 } }, /node's key did not speak/],
    ["an unregistered relayer key", { assignment: { relayerEpoch: 2 } }, /relayer's key did not speak/],
  ];
  for (const [name, bends, words] of faults) {
    it(`is told of ${name}`, async () => expect(await found(await honestRecord(bends))).to.match(words));
  }

  it("is told of a receipt, an assignment and a voucher that others signed", async () => {
    const [honest, other] = [await honestRecord(), await honestRecord({ order: { nonce: 2n } })];
    expect(await found({ ...honest, receiptSignature: other.receiptSignature })).to.match(/receipt is not signed/);
    expect(await found({ ...honest, assignmentSignature: other.assignmentSignature })).to.match(/assignment is not signed/);
    expect(await found({ ...honest, voucherSignature: other.voucherSignature })).to.match(/voucher is not signed/);
    expect(await found(honest, {}, 2)).to.match(/for relayer 1/);
  });

  it("follows the keys' epochs: from W before the opening to W after the closing", async () => {
    const record = await honestRecord();
    const { issuedAt } = record.assignment;
    const nodeKey = (openedAtSeconds: number, closedAtSeconds: number): Partial<KeyFacts> => ({ nodeKeys: new Map([["7:1", { key: node.address, openedAtSeconds, closedAtSeconds }]]) });
    expect(await found(record, nodeKey(issuedAt + 3_600, 0))).to.equal(null);
    expect(await found(record, nodeKey(issuedAt + 3_601, 0))).to.match(/node's key/);
    expect(await found(record, nodeKey(1, issuedAt - 3_599))).to.equal(null);
    expect(await found(record, nodeKey(1, issuedAt - 3_600))).to.match(/node's key/);
  });

  it("is told of a leaf that says other sums than its record, or holds a voucher's signature without one", async () => {
    const [record, plain] = [await honestRecord(), await honestRecord({ authorization: { mode: Mode.ALLOWANCE } })];
    expect(await faultOf(record, 1, { ...leafStruct(record), charge: leafStruct(record).charge + 1n }, keys)).to.match(/the leaf says/);
    expect(await faultOf(record, 1, { ...leafStruct(record), fee: 0n }, keys)).to.match(/the leaf says/);
    expect(await faultOf(plain, 1, { ...leafStruct(plain), voucherSigHash: `0x${"11".repeat(32)}` }, keys)).to.match(/signature of no voucher/);
  });

  it("is not asked about parts that do not name each other by hash", async () => {
    const [honest, other] = [await honestRecord(), await honestRecord({ order: { nonce: 2n } })];
    expect(isLinked(honest)).to.equal(true);
    expect(isLinked({ ...honest, assignment: other.assignment })).to.equal(false);
    expect(isLinked({ ...honest, order: other.order })).to.equal(false);
    expect(isLinked({ ...honest, authorization: { ...honest.authorization, salt: 10n } })).to.equal(false);
  });
});
