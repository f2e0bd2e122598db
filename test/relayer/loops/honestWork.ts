// Sessions on a real chain and finished tasks in a journal, all signed by the right keys: what settlement is fed with in tests.
import { leafOf, type AttemptRecord } from "../../../protocol/records.ts";
import { feeOf } from "../../../protocol/fees.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { Mode, Role, Status } from "../../../protocol/constants.ts";
import { signerOfKey, signStruct } from "../../../protocol/signing.ts";
import { ZERO_HASH, type Hash, type Hex } from "../../../protocol/units.ts";
import type { SpendingAuthorization, TaskOrder, Voucher } from "../../../protocol/generated/structs.ts";
import type { Chain } from "../../../relayer/ports/chain.ts";
import type { Journal, SignedAttempt } from "../../../relayer/ports/journal.ts";
import { accounts, keys, type LocalChain } from "../localChain.ts";

const bytes32 = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;
export const terms = { priceInPerMTok: 150_000n, priceOutPerMTok: 700_000n, feeBps: 300, shareCap: 10_000n };

/** What each node remembers of its tab; shared by all work on one chain. */
export type Tabs = Map<number, { seq: bigint; cumulative: bigint; hash: Hash }>;

export class HonestWork {
  readonly #local: LocalChain;
  readonly #journal: Journal;
  readonly #tabs: Tabs;
  readonly #caps = new Map<Hash, bigint>();
  #salt = BigInt(Math.floor(performance.now() * 1_000));
  #orders = 0n;

  constructor(local: LocalChain, journal: Journal, tabs: Tabs = new Map()) {
    this.#tabs = tabs;
    this.#local = local;
    this.#journal = journal;
  }

  /** Opens a session on chain and puts it into the journal. */
  async session(chain: Chain, mode: number, bends: Partial<SpendingAuthorization> = {}): Promise<SpendingAuthorization> {
    const authorization: SpendingAuthorization = {
      payer: signerOfKey(accounts.payer).address, sessionKey: signerOfKey(keys.session).address, relayerId: 1, lock: 100_000n, maxTotal: 100_000n, maxPerTask: 10_000n,
      maxPerDay: 30_000n, maxPriceInPerMTok: 10n ** 6n, maxPriceOutPerMTok: 10n ** 6n, maxFeeBps: 500, mode, validAfter: 1, validUntil: 4_000_000_000, salt: ++this.#salt, ...bends,
    };
    await chain.openSession(authorization, await signStruct(signerOfKey(accounts.payer), this.#local.domain, "SpendingAuthorization", authorization));
    await this.#journal.putSession({ sessionId: hashStruct("SpendingAuthorization", authorization), authorization, nextNonce: 0n, charged: 0n, voucher: null });
    return authorization;
  }

  /** One finished task with one receipt, acked now or at the given second. @returns what was signed. */
  async task(authorization: SpendingAuthorization, nodeId: 1 | 2, outputTokens: number, inputTokens = 100, ackedAt = Math.floor(Date.now() / 1_000)): Promise<SignedAttempt> {
    const sessionId = hashStruct("SpendingAuthorization", authorization);
    const order: TaskOrder = {
      sessionId, nonce: authorization.mode === Mode.ALLOWANCE ? (await this.#journal.session(sessionId))!.nextNonce : ++this.#orders,
      promptCommit: bytes32(11), modelId: bytes32(12), tier: 0, maxOutTokens: 10_000, maxFee: 10_000n, deadline: ackedAt + 600,
    };
    const taskId = hashStruct("TaskOrder", order);
    const { fee, charge } = feeOf(inputTokens, outputTokens, terms);
    const cap = (this.#caps.get(sessionId) ?? 0n) + charge;
    this.#caps.set(sessionId, cap);
    const voucher: Voucher | null = authorization.mode === Mode.ALLOWANCE ? null : { sessionId, cumulativeCap: cap, taskId };
    const sign = <Name extends Parameters<typeof signStruct>[2]>(key: Hex, name: Name, value: Parameters<typeof signStruct<Name>>[3]): Promise<Hex> =>
      signStruct(signerOfKey(key), this.#local.domain, name, value);
    const voucherSignature = voucher ? await sign(keys.session, "Voucher", voucher) : "0x" as const;
    await this.#journal.openTask({ taskId, sessionId, order, kind: "chat", model: "test", openedAtMs: ackedAt * 1_000 }, voucher && { voucher, signature: voucherSignature });
    const assignment = {
      taskId, subtask: 0, subtasks: 1, attempt: 0, relayerId: 1, relayerEpoch: 1, nodeId, keyEpoch: 1, role: Role.GENERATE, voucherHash: voucher ? hashStruct("Voucher", voucher) : ZERO_HASH,
      attestationHash: bytes32(1), decisionHash: bytes32(2), contextHead: ZERO_HASH, ...terms, inputCommit: order.promptCommit, issuedAt: ackedAt - 1, deadline: ackedAt + 10,
    };
    const tab = this.#tabs.get(nodeId) ?? { seq: 0n, cumulative: 0n, hash: ZERO_HASH };
    const receipt = {
      body: {
        assignmentHash: hashStruct("Assignment", assignment), sessionId, taskId, subtask: 0, attempt: 0, role: Role.GENERATE, prevReceiptHash: tab.hash, outputCommit: bytes32(3),
        inputTokens, outputTokens, fee, startedAt: ackedAt - 1, finishedAt: ackedAt, status: Status.COMPLETE,
      },
      nodeId, relayerId: 1, keyEpoch: 1, nodeSeq: tab.seq + 1n, nodeCumulative: tab.cumulative + fee,
    };
    const receiptHash = hashStruct("TaskReceipt", receipt);
    this.#tabs.set(nodeId, { seq: receipt.nodeSeq, cumulative: receipt.nodeCumulative, hash: receiptHash });
    const record: AttemptRecord = {
      authorization, order, voucher, voucherSignature, assignment, assignmentSignature: await sign(keys.signer, "Assignment", assignment),
      receipt, receiptSignature: await sign(keys.hot[nodeId - 1]!, "TaskReceipt", receipt),
    };
    const ack = { receiptHash, relayerId: 1, relayerEpoch: 1, ackedAt };
    const signed: SignedAttempt = { record, receiptHash, charge: leafOf(record).charge, ack: { ack, signature: await sign(keys.signer, "Ack", ack) } };
    await this.#journal.finishTask(taskId, "finished", [{ taskId, assignmentHash: receipt.body.assignmentHash, nodeId, decision: "{}", assignment: {}, cause: null, signed }]);
    return signed;
  }
}
