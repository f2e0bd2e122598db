// The calls around a force: a node's claim for an acked receipt that no batch holds, what answers it, and its end.
//
//   acked ── W ──▶ open ── W ──▶ resolve      until then: answer (the receipt stands in a batch), show (its task was charged already)
import { encodeFunctionData } from "viem/utils";
import { BatchSettlementAbi } from "./generated/abi/BatchSettlement.ts";
import { leafStruct, pathStruct, recordStruct } from "./evidence.ts";
import { hashStruct } from "./typedData.ts";
import type { SignedAck } from "./link.ts";
import type { SumProof } from "./merkleSum.ts";
import type { AttemptRecord } from "./records.ts";
import type { Hash, Hex, Seconds } from "./units.ts";

/** As IForces: a claim opens from W to 8 W after the ack. */
const OPEN_FROM_WINDOWS = 1;
const OPEN_UNTIL_WINDOWS = 8;

/** When a receipt acked at that time may be claimed, both ends included; of a condemned batch's receipts later, too. */
export const claimableBetween = (ackedAt: Seconds, windowSeconds: Seconds): { readonly from: Seconds; readonly until: Seconds } =>
  ({ from: ackedAt + OPEN_FROM_WINDOWS * windowSeconds, until: ackedAt + OPEN_UNTIL_WINDOWS * windowSeconds });

/** Claims the receipt's fee. Anyone may send it. @param condemnedBatchId a condemned batch in which it stood, for the longer time; else 0 */
export const openForceArgs = (record: AttemptRecord, ack: SignedAck, condemnedBatchId = 0n) => [recordStruct(record), ack.ack, ack.signature, condemnedBatchId] as const;

/** Shows the forced receipt itself in a batch. @param proof in the tab tree */
export const answerForceArgs = (batchId: bigint, record: AttemptRecord, proof: SumProof) =>
  [hashStruct("TaskReceipt", record.receipt), batchId, leafStruct(record), pathStruct(proof)] as const;

/** Shows another settled receipt of the forced one's task. @param proof in the tab tree */
export const showSettledArgs = (receiptHash: Hash, batchId: bigint, record: AttemptRecord, proof: SumProof) =>
  [receiptHash, batchId, leafStruct(record), pathStruct(proof), record.receipt, record.assignment] as const;

export const openForceCall = (...of: Parameters<typeof openForceArgs>): Hex => encodeFunctionData({ abi: BatchSettlementAbi, functionName: "openForce", args: openForceArgs(...of) });
export const answerForceCall = (...of: Parameters<typeof answerForceArgs>): Hex => encodeFunctionData({ abi: BatchSettlementAbi, functionName: "answerForce", args: answerForceArgs(...of) });

/** Pays an unanswered claim, W after it was opened. Anyone may send it. */
export const resolveForceCall = (receiptHash: Hash): Hex => encodeFunctionData({ abi: BatchSettlementAbi, functionName: "resolveForce", args: [receiptHash] });
