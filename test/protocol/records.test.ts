import { expect } from "chai";
import { Mode, Status } from "../../protocol/constants.ts";
import { checkRecord, leafOf } from "../../protocol/records.ts";
import { fieldsOf, isStruct } from "../../protocol/typedData.ts";
import type { StructName } from "../../protocol/generated/structs.ts";
import { chargeOf, honestRecord, keys, type Bends } from "./honest.ts";

/** Another value of the same type. */
function bent(value: unknown): unknown {
  if (typeof value === "bigint") return value + 1n;
  if (typeof value === "number") return value + 1;
  const hex = value as string;
  return `${hex.slice(0, -1)}${hex.endsWith("0") ? "1" : "0"}`;
}

describe("an attempt's record", () => {
  it("holds when all were honest, in both modes and every status", async () => {
    for (const mode of [Mode.VOUCHER, Mode.ALLOWANCE]) for (const status of Object.values(Status)) {
      expect(await checkRecord(await honestRecord({ authorization: { mode }, body: { status } }), keys)).to.deep.equal([]);
    }
  });

  it("has a leaf with the fee and the charge", async () => {
    const record = await honestRecord();
    expect(leafOf(record)).to.include({ fee: 220n, charge: 226n });
    expect(chargeOf(record)).to.equal(226n);
  });

  for (const [member, name] of [["authorization", "SpendingAuthorization"], ["order", "TaskOrder"], ["voucher", "Voucher"], ["assignment", "Assignment"], ["receipt", "TaskReceipt"]] as const) {
    it(`does not hold when any field of its ${member} is changed afterwards`, async () => {
      const record = await honestRecord();
      const struct = record[member] as unknown as Record<string, unknown>;
      for (const field of fieldsOf(name as StructName)) {
        if (isStruct(field.type)) continue;
        const changed = { ...record, [member]: { ...struct, [field.name]: bent(struct[field.name]) } };
        expect(await checkRecord(changed, keys), field.name).to.not.deep.equal([]);
      }
    });
  }

  it("does not hold when any field of the receipt's body is changed afterwards", async () => {
    const record = await honestRecord();
    for (const field of fieldsOf("ReceiptBody")) {
      const body = { ...record.receipt.body, [field.name]: bent((record.receipt.body as unknown as Record<string, unknown>)[field.name]) };
      expect(await checkRecord({ ...record, receipt: { ...record.receipt, body } }, keys), field.name).to.not.deep.equal([]);
    }
  });

  const offences: [string, Bends, RegExp][] = [
    ["an input price above the payer's maximum", { assignment: { priceInPerMTok: 2_000_001n } }, /input price/],
    ["an output price above the payer's maximum", { assignment: { priceOutPerMTok: 6_000_001n } }, /output price/],
    ["a relayer fee above the payer's maximum", { assignment: { feeBps: 501 } }, /relayer's fee/],
    ["a share above the order's maxFee", { assignment: { shareCap: 10_001n } }, /share/],
    ["an order above maxPerTask", { order: { maxFee: 50_001n }, assignment: { shareCap: 50_000n } }, /maxPerTask/],
    ["a voucher above maxTotal", { voucher: { cumulativeCap: 1_000_001n } }, /maxTotal/],
    ["a voucher for another order", { voucher: { taskId: `0x${"00".repeat(32)}` } }, /another order/],
    ["another relayer than the payer named", { authorization: { relayerId: 2 } }, /another relayer/],
    ["more output than ordered", { body: { outputTokens: 101 } }, /output tokens/],
    ["an aborted attempt that charges input", { body: { status: Status.ABORTED, fee: 220n }, receipt: { nodeCumulative: 220n } }, /the fee is 220/],
    ["a fee of one more", { body: { fee: 221n }, receipt: { nodeCumulative: 221n } }, /the fee is 221/],
    ["a total below the fee", { receipt: { nodeCumulative: 219n } }, /running total/],
    ["a key epoch that is not registered", { assignment: { keyEpoch: 2 }, receipt: { keyEpoch: 2 } }, /not signed by node/],
    ["a relayer epoch that is not registered", { assignment: { relayerEpoch: 2 } }, /not signed by relayer/],
    ["an unknown status", { body: { status: 0 } }, /status 0/],
    ["a subtask outside the task", { assignment: { subtask: 1 }, body: { subtask: 1 } }, /outside the task/],
  ];
  for (const [what, bends, message] of offences) {
    it(`does not hold with ${what}, even when everybody signs it`, async () => {
      expect((await checkRecord(await honestRecord(bends), keys)).join("; ")).to.match(message);
    });
  }
});
