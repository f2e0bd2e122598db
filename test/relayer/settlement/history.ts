// Random histories of sessions, nodes and tasks whose structs hang together; signatures are stand-ins, as a batch only hashes them.
import fc from "fast-check";
import { feeOf } from "../../../protocol/fees.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { Mode, Role, Status } from "../../../protocol/constants.ts";
import { ZERO_HASH, type Hash, type Hex } from "../../../protocol/units.ts";
import type { AttemptRecord } from "../../../protocol/records.ts";
import type { BatchDataTask } from "../../../protocol/batchData.ts";
import type { SpendingAuthorization, TaskOrder, Voucher } from "../../../protocol/generated/structs.ts";

export const bytes32 = (n: number | bigint): Hash => `0x${n.toString(16).padStart(64, "0")}`;
const signature = (n: number): Hex => `0x${bytes32(n).slice(2)}${bytes32(n + 1).slice(2)}${n % 2 ? "1b" : "1c"}`;

export interface Step {
  readonly session: number;
  readonly attempts: readonly { readonly node: number; readonly inputTokens: number; readonly outputTokens: number }[];
  readonly ackedAt: number;
}

export const stepsArbitrary = (max: number): fc.Arbitrary<Step[]> => fc.array(fc.record({
  session: fc.nat(4),
  attempts: fc.array(fc.record({ node: fc.integer({ min: 1, max: 5 }), inputTokens: fc.nat(3_000), outputTokens: fc.nat(500) }), { minLength: 1, maxLength: 3 }),
  ackedAt: fc.integer({ min: 1_000, max: 2_000 }),
}), { minLength: 1, maxLength: max });

export interface History {
  readonly tasks: readonly (BatchDataTask & { readonly sessionId: Hash; readonly charge: bigint; readonly ackedAt: number })[];
  /** The voucher with the greatest cap, which is what all tasks of the session cost. */
  readonly vouchers: ReadonlyMap<Hash, { readonly voucher: Voucher; readonly signature: Hex }>;
  /** Each node's last receipt; its running total is what all its receipts cost. */
  readonly lastReceipts: ReadonlyMap<number, AttemptRecord>;
}

/** Plays the steps in order: caps and running totals grow as they would. */
export function historyOf(steps: readonly Step[]): History {
  const tasks: History["tasks"][number][] = [];
  const caps = new Map<Hash, bigint>();
  const vouchers = new Map<Hash, { voucher: Voucher; signature: Hex }>();
  const lastReceipts = new Map<number, AttemptRecord>();
  for (const [n, step] of steps.entries()) {
    const authorization: SpendingAuthorization = {
      payer: `0x${"11".repeat(20)}`, sessionKey: `0x${"22".repeat(20)}`, relayerId: 1, lock: 10n ** 12n, maxTotal: 10n ** 12n, maxPerTask: 10n ** 9n, maxPerDay: 0n,
      maxPriceInPerMTok: 10n ** 9n, maxPriceOutPerMTok: 10n ** 9n, maxFeeBps: 1_000, mode: Mode.VOUCHER, validAfter: 0, validUntil: 2 ** 40, salt: BigInt(step.session),
    };
    const sessionId = hashStruct("SpendingAuthorization", authorization);
    const order: TaskOrder = { sessionId, nonce: BigInt(n), promptCommit: bytes32(n), modelId: bytes32(1), tier: 0, maxOutTokens: 500, maxFee: 10n ** 8n, deadline: 2 ** 40 };
    const taskId = hashStruct("TaskOrder", order);
    const fees = step.attempts.map((attempt, i) => feeOf(i === 0 ? attempt.inputTokens : 0, attempt.outputTokens, terms));
    const charge = fees.reduce((sum, fee) => sum + fee.charge, 0n);
    caps.set(sessionId, (caps.get(sessionId) ?? 0n) + charge);
    const voucher: Voucher = { sessionId, cumulativeCap: caps.get(sessionId)!, taskId };
    vouchers.set(sessionId, { voucher, signature: signature(7 * n) });
    const attempts = step.attempts.map((attempt, i) => {
      const assignment = {
        taskId, subtask: 0, subtasks: 1, attempt: i, relayerId: 1, relayerEpoch: 1, nodeId: attempt.node, keyEpoch: 1, role: Role.GENERATE,
        voucherHash: hashStruct("Voucher", voucher), attestationHash: bytes32(1), decisionHash: bytes32(2), contextHead: ZERO_HASH, ...terms, inputCommit: bytes32(3), issuedAt: 1, deadline: 2,
      };
      const before = lastReceipts.get(attempt.node)?.receipt;
      const fee = fees[i]!.fee;
      const record: AttemptRecord = {
        authorization, order, voucher, voucherSignature: signature(7 * n), assignment, assignmentSignature: signature(7 * n + 1),
        receipt: {
          body: {
            assignmentHash: hashStruct("Assignment", assignment), sessionId, taskId, subtask: 0, attempt: i, role: Role.GENERATE, prevReceiptHash: ZERO_HASH, outputCommit: bytes32(4),
            inputTokens: i === 0 ? attempt.inputTokens : 0, outputTokens: attempt.outputTokens, fee, startedAt: 1, finishedAt: 2, status: Status.COMPLETE,
          },
          nodeId: attempt.node, relayerId: 1, keyEpoch: 1, nodeSeq: (before?.nodeSeq ?? 0n) + 1n, nodeCumulative: (before?.nodeCumulative ?? 0n) + fee,
        },
        receiptSignature: signature(7 * n + 2 + i),
      };
      lastReceipts.set(attempt.node, record);
      const ack = { receiptHash: hashStruct("TaskReceipt", record.receipt), relayerId: 1, relayerEpoch: 1, ackedAt: step.ackedAt };
      return { assignmentHash: record.receipt.body.assignmentHash, nodeId: attempt.node, decision: "{\"draw\":1}", cause: null, assignment: {}, signed: { record, ack: { ack, signature: signature(5) } } };
    });
    tasks.push({ taskId, state: "finished", order, openedAtMs: 1_000 * step.ackedAt, attempts, sessionId, charge, ackedAt: step.ackedAt });
  }
  return { tasks, vouchers, lastReceipts };
}

const terms = { priceInPerMTok: 150_000n, priceOutPerMTok: 700_000n, feeBps: 300, shareCap: 10n ** 8n };

export const feesOf = (task: BatchDataTask): { nodeId: number; fee: bigint }[] =>
  task.attempts.flatMap((attempt) => (attempt.signed ? [{ nodeId: attempt.nodeId, fee: attempt.signed.record.receipt.body.fee }] : []));
