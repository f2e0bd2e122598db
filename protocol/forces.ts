// The calls around a force: a node's claim for an acked receipt that no batch holds, what answers it, and its end.
//
//   acked ── W ──▶ open ── W ──▶ resolve         until then: answer (the receipt stands in a batch), show (its task was charged already)
import { encodeFunctionData, keccak256 } from "viem/utils";
import { BatchSettlementAbi } from "./generated/abi/BatchSettlement.ts";
import { chargeDown } from "./fees.ts";
import { voucherHashOf, type AttemptRecord } from "./records.ts";
import { hashStruct } from "./typedData.ts";
import { ZERO_HASH, type Hash, type Hex, type Seconds } from "./units.ts";
import type { SignedAck } from "./link.ts";
import type { SumProof } from "./merkleSum.ts";

/** As IForces: a claim opens from W to 8 W after the ack. */
export const OPEN_FROM_WINDOWS = 1;
export const OPEN_UNTIL_WINDOWS = 8;

/** When a receipt acked at that time may be claimed, both ends included; of a condemned batch's receipts later, too. */
export const claimableBetween = (ackedAt: Seconds, windowSeconds: Seconds): { readonly from: Seconds; readonly until: Seconds } =>
  ({ from: ackedAt + OPEN_FROM_WINDOWS * windowSeconds, until: ackedAt + OPEN_UNTIL_WINDOWS * windowSeconds });

const NO_VOUCHER = { sessionId: ZERO_HASH, cumulativeCap: 0n, taskId: ZERO_HASH } as const;

/** Claims the receipt's fee. Anyone may send it. @param condemnedBatchId a condemned batch in which it stood, for the longer time; else 0 */
export const openForceCall = (record: AttemptRecord, ack: SignedAck, condemnedBatchId = 0n): Hex => encodeFunctionData({
  abi: BatchSettlementAbi, functionName: "openForce", args: [{ ...record, voucher: record.voucher ?? NO_VOUCHER }, ack.ack, ack.signature, condemnedBatchId],
});

/** Shows the forced receipt itself in a batch. @param proof in the tab tree */
export const answerForceCall = (batchId: bigint, record: AttemptRecord, proof: SumProof): Hex => encodeFunctionData({
  abi: BatchSettlementAbi, functionName: "answerForce", args: [hashStruct("TaskReceipt", record.receipt), batchId, leafPartsOf(record), proofParts(proof)],
});

/** Shows another settled receipt of the forced one's task. @param proof in the tab tree */
export const showSettledCall = (receiptHash: Hash, batchId: bigint, record: AttemptRecord, proof: SumProof): Hex => encodeFunctionData({
  abi: BatchSettlementAbi, functionName: "showSettled", args: [receiptHash, batchId, leafPartsOf(record), proofParts(proof), record.receipt, record.assignment],
});

/** Pays an unanswered claim, W after it was opened. */
export const resolveForceCall = (receiptHash: Hash): Hex => encodeFunctionData({ abi: BatchSettlementAbi, functionName: "resolveForce", args: [receiptHash] });

/** A leaf as the contracts take it: signatures by their hashes. */
export function leafPartsOf(record: AttemptRecord) {
  const { fee } = record.receipt.body;
  const voucherHash = voucherHashOf(record);
  return {
    receiptHash: hashStruct("TaskReceipt", record.receipt), fee, charge: chargeDown(fee, record.assignment.feeBps), nodeSigHash: keccak256(record.receiptSignature),
    voucherHash, voucherSigHash: voucherHash === ZERO_HASH ? ZERO_HASH : keccak256(record.voucherSignature), assignmentSigHash: keccak256(record.assignmentSignature),
  };
}

/** A path as the contracts take it. */
export const proofParts = ({ index, siblings }: SumProof) => ({ index, hashes: siblings.map(({ hash }) => hash), sums: siblings.map(({ sum }) => sum) });
