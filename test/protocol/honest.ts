// An honest attempt from order to receipt, signed with throwaway keys: what the tests bend, one thing at a time.
import { chargeDown, feeOf } from "../../protocol/fees.ts";
import { Mode, Role, Status } from "../../protocol/constants.ts";
import { hashStruct, type Domain } from "../../protocol/typedData.ts";
import { modelIdOf } from "../../protocol/ids.ts";
import { recoverWithViem, signerOfKey, signStruct } from "../../protocol/signing.ts";
import { ZERO_HASH, type Hash, type Hex } from "../../protocol/units.ts";
import type { AttemptRecord, RecordKeys } from "../../protocol/records.ts";
import type { Assignment, SpendingAuthorization, TaskOrder, TaskReceipt, Voucher } from "../../protocol/generated/structs.ts";

export const domain: Domain = { chainId: 31337, verifyingContract: `0x${"5e".repeat(20)}` };
const key = (byte: string): Hex => `0x${byte.repeat(32)}`;
export const payer = signerOfKey(key("01"));
export const session = signerOfKey(key("02"));
export const relayer = signerOfKey(key("03"));
export const node = signerOfKey(key("04"));
const bytes32 = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;

export const keys: RecordKeys = {
  domain, recover: recoverWithViem,
  nodeKey: async (nodeId, epoch) => (nodeId === 7 && epoch === 1 ? node.address : null),
  relayerKey: async (relayerId, epoch) => (relayerId === 1 && epoch === 1 ? relayer.address : null),
};

export interface Bends {
  readonly authorization?: Partial<SpendingAuthorization>;
  readonly order?: Partial<TaskOrder>;
  readonly voucher?: Partial<Voucher>;
  readonly assignment?: Partial<Assignment>;
  readonly receipt?: Partial<TaskReceipt>;
  readonly body?: Partial<TaskReceipt["body"]>;
}

/** @param bends members to replace before each struct is hashed and signed, so that everything after them is consistent. */
export async function honestRecord(bends: Bends = {}): Promise<AttemptRecord> {
  const authorization: SpendingAuthorization = {
    payer: payer.address, sessionKey: session.address, relayerId: 1, lock: 1_000_000n, maxTotal: 1_000_000n, maxPerTask: 50_000n, maxPerDay: 500_000n,
    maxPriceInPerMTok: 2_000_000n, maxPriceOutPerMTok: 6_000_000n, maxFeeBps: 500, mode: Mode.VOUCHER, validAfter: 1, validUntil: 2_000_000_000, salt: 9n,
    ...bends.authorization,
  };
  const sessionId = hashStruct("SpendingAuthorization", authorization);
  const order: TaskOrder = {
    sessionId, nonce: 1n, promptCommit: bytes32(11), modelId: modelIdOf("tidelane/test@q8_0"), tier: 0, maxOutTokens: 100, maxFee: 10_000n,
    deadline: 1_900_000_100, ...bends.order,
  };
  const taskId = hashStruct("TaskOrder", order);
  const voucher: Voucher | null = authorization.mode === Mode.VOUCHER ? { sessionId, cumulativeCap: 10_000n, taskId, ...bends.voucher } : null;
  const assignment: Assignment = {
    taskId, subtask: 0, subtasks: 1, attempt: 0, relayerId: 1, relayerEpoch: 1, nodeId: 7, keyEpoch: 1, role: Role.GENERATE,
    voucherHash: voucher ? hashStruct("Voucher", voucher) : ZERO_HASH, attestationHash: bytes32(12), decisionHash: bytes32(13), contextHead: ZERO_HASH,
    priceInPerMTok: 1_000_000n, priceOutPerMTok: 3_000_000n, feeBps: 300, shareCap: order.maxFee, inputCommit: order.promptCommit,
    issuedAt: 1_900_000_000, deadline: 1_900_000_010, ...bends.assignment,
  };
  const inputTokens = bends.body?.inputTokens ?? 40;
  const outputTokens = bends.body?.outputTokens ?? 60;
  const isAborted = bends.body?.status === Status.ABORTED;
  const { fee } = feeOf(isAborted ? 0 : inputTokens, outputTokens, assignment);
  const receipt: TaskReceipt = {
    body: {
      assignmentHash: hashStruct("Assignment", assignment), sessionId, taskId, subtask: 0, attempt: assignment.attempt, role: assignment.role,
      prevReceiptHash: ZERO_HASH, outputCommit: bytes32(14), inputTokens, outputTokens, fee, startedAt: 1_900_000_001, finishedAt: 1_900_000_003,
      status: Status.COMPLETE, ...bends.body,
    },
    nodeId: 7, relayerId: 1, keyEpoch: 1, nodeSeq: 1n << 20n, nodeCumulative: fee, ...bends.receipt,
  };
  return {
    authorization, order, voucher, voucherSignature: voucher ? await signStruct(session, domain, "Voucher", voucher) : "0x",
    assignment, assignmentSignature: await signStruct(relayer, domain, "Assignment", assignment),
    receipt, receiptSignature: await signStruct(node, domain, "TaskReceipt", receipt),
  };
}

export const chargeOf = (record: AttemptRecord): bigint => chargeDown(record.receipt.body.fee, record.assignment.feeBps);
