// Sessions, opened tasks and ended attempts with honest signatures: what journal and settlement are fed with in tests.
import { leafOf } from "../../protocol/records.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { signStruct } from "../../protocol/signing.ts";
import { domain, honestRecord, relayer, type Bends } from "../protocol/honest.ts";
import type { EndedAttempt, OpenedTask, SignedVoucher, StoredSession } from "../../relayer/ports/journal.ts";
import type { AttemptRecord } from "../../protocol/records.ts";

export interface Ended {
  readonly record: AttemptRecord;
  readonly session: StoredSession;
  readonly task: OpenedTask;
  readonly voucher: SignedVoucher | null;
  readonly attempt: EndedAttempt;
}

/** One task with one receipt, acked at the given second; each nonce has a nodeSeq of its own. */
export async function ended(bends: Bends = {}, ackedAt = 1_900_000_010): Promise<Ended> {
  const record = await honestRecord({ ...bends, receipt: { nodeSeq: ((bends.order?.nonce ?? 1n) + 1n) << 20n, ...bends.receipt } });
  const { authorization, order } = record;
  const receiptHash = hashStruct("TaskReceipt", record.receipt);
  const taskId = hashStruct("TaskOrder", order);
  const ack = { receiptHash, relayerId: 1, relayerEpoch: 1, ackedAt };
  return {
    record,
    session: { sessionId: order.sessionId, authorization, nextNonce: 0n, charged: 0n, voucher: null },
    task: { taskId, sessionId: order.sessionId, order, kind: "chat", model: "tidelane/test@q8_0", openedAtMs: 1_900_000_000_000 + Number(order.nonce) },
    voucher: record.voucher && { voucher: record.voucher, signature: record.voucherSignature as `0x${string}` },
    attempt: {
      taskId, assignmentHash: hashStruct("Assignment", record.assignment), nodeId: record.receipt.nodeId, decision: "{}", assignment: {}, cause: null,
      signed: { record, receiptHash, charge: leafOf(record).charge, ack: { ack, signature: await signStruct(relayer, domain, "Ack", ack) } },
    },
  };
}
