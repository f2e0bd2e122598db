// What does not hold in a settled record: the TypeScript twin of contracts/libraries/Records.sol `faultOf`, check by check.
//
// It is not `checkRecord`, which holds for honest records and says more than a judge contests.
import { Mode, Status } from "../../protocol/constants.ts";
import { leafStruct, type LeafStruct } from "../../protocol/evidence.ts";
import { chargeDown, feeOf } from "../../protocol/fees.ts";
import { voucherHashOf, type AttemptRecord } from "../../protocol/records.ts";
import type { Recover } from "../../protocol/signing.ts";
import { digest, hashStruct, type Domain, type Keccak256 } from "../../protocol/typedData.ts";
import { ZERO_HASH, type Seconds } from "../../protocol/units.ts";
import { keyName, type KeyFact } from "../verify.ts";

const TIER_MAX = 2;
const STATUS_MAX = 3;

/** Keys are named `id:epoch`. */
export interface KeyFacts {
  readonly domain: Domain;
  readonly windowSeconds: Seconds;
  readonly nodeKeys: ReadonlyMap<string, KeyFact>;
  readonly relayerKeys: ReadonlyMap<string, KeyFact>;
  readonly recover: Recover;
  readonly keccak256?: Keccak256;
}

/** @returns the first thing that does not hold, in words; null where everything does */
export async function faultOf(record: AttemptRecord, relayerId: number, leaf: LeafStruct, keys: KeyFacts): Promise<string | null> {
  if (record.receipt.relayerId !== relayerId) return `the receipt is for relayer ${record.receipt.relayerId}`;
  return faultOfLinks(record, keys.keccak256) ?? faultOfTerms(record) ?? faultOfMoney(record) ?? await faultOfSignatures(record, keys) ?? faultOfSums(record, leaf);
}

/** Whether the parts name each other by hash: what is not linked is no record, and a judge reads no further. */
export const isLinked = ({ receipt, assignment, order, authorization }: AttemptRecord, keccak256?: Keccak256): boolean =>
  receipt.body.assignmentHash === hashStruct("Assignment", assignment, keccak256) && assignment.taskId === hashStruct("TaskOrder", order, keccak256)
  && order.sessionId === hashStruct("SpendingAuthorization", authorization, keccak256);

/** Whether it is the record of that leaf, as LeafJudge asks of an answer: by every hash in the leaf, and linked to its last part. */
export function isRecordOf(leaf: LeafStruct, record: AttemptRecord): boolean {
  const own = leafStruct(record);
  const isSigned = own.receiptHash === leaf.receiptHash && own.nodeSigHash === leaf.nodeSigHash && own.assignmentSigHash === leaf.assignmentSigHash;
  const isCovered = leaf.voucherHash === ZERO_HASH || (own.voucherHash === leaf.voucherHash && own.voucherSigHash === leaf.voucherSigHash);
  return isSigned && isCovered && isLinked(record);
}

function faultOfLinks(record: AttemptRecord, keccak256?: Keccak256): string | null {
  const { receipt, assignment, order, authorization, voucher } = record;
  const { body } = receipt;
  const sameAttempt = body.taskId === assignment.taskId && body.sessionId === order.sessionId && body.subtask === assignment.subtask
    && body.attempt === assignment.attempt && body.role === assignment.role && receipt.nodeId === assignment.nodeId
    && receipt.relayerId === assignment.relayerId && receipt.keyEpoch === assignment.keyEpoch;
  if (!sameAttempt) return "the receipt is for another attempt than its assignment";
  const voucherHash = voucherHashOf(record, keccak256);
  if (assignment.relayerId !== authorization.relayerId) return "the assignment is another relayer's than the session's";
  if (assignment.subtask >= assignment.subtasks) return "the subtask's number is outside the task";
  if (assignment.voucherHash !== voucherHash) return "the assignment names another voucher";
  if (authorization.mode !== Mode.VOUCHER) return voucherHash === ZERO_HASH ? null : "only VOUCHER sessions have vouchers";
  const fits = voucher !== null && voucher.sessionId === order.sessionId && voucher.taskId === assignment.taskId;
  return fits ? null : "the voucher is not one for this order";
}

function faultOfTerms({ assignment, order, authorization }: AttemptRecord): string | null {
  if (assignment.priceInPerMTok > authorization.maxPriceInPerMTok || assignment.priceOutPerMTok > authorization.maxPriceOutPerMTok) return "a price exceeds the payer's signed maximum";
  if (assignment.feeBps > authorization.maxFeeBps) return "the relayer's fee exceeds the payer's signed maximum";
  if (assignment.shareCap > order.maxFee) return "the share exceeds the order's maxFee";
  if (order.maxFee > authorization.maxPerTask) return "the order exceeds the payer's signed maximum for a task";
  return order.tier > TIER_MAX ? `tier ${order.tier} is none` : null;
}

function faultOfMoney({ receipt, assignment, order }: AttemptRecord): string | null {
  const { body } = receipt;
  if (body.status === 0 || body.status > STATUS_MAX) return `status ${body.status} is none`;
  if (body.outputTokens > order.maxOutTokens) return `${body.outputTokens} output tokens exceed the order's ${order.maxOutTokens}`;
  const { fee } = feeOf(body.status === Status.ABORTED ? 0 : body.inputTokens, body.outputTokens, assignment);
  if (body.fee !== fee) return `the fee is ${body.fee}; tokens, prices and share give ${fee}`;
  return receipt.nodeCumulative < body.fee ? "the tab's running total is below this fee" : null;
}

/** The receipt is signed under the assignment's key epoch, so the assignment's time decides for both. */
async function faultOfSignatures(record: AttemptRecord, { domain, windowSeconds, nodeKeys, relayerKeys, recover, keccak256 }: KeyFacts): Promise<string | null> {
  const { assignment, receipt, voucher, authorization } = record;
  const nodeKey = nodeKeys.get(keyName(assignment.nodeId, assignment.keyEpoch));
  if (!inEpoch(nodeKey, assignment.issuedAt, windowSeconds)) return "the node's key did not speak for that time";
  if (await recover(digest(domain, "TaskReceipt", receipt, keccak256), record.receiptSignature) !== nodeKey!.key) return "the receipt is not signed by the node's key";
  const relayerKey = relayerKeys.get(keyName(assignment.relayerId, assignment.relayerEpoch));
  if (!inEpoch(relayerKey, assignment.issuedAt, windowSeconds)) return "the relayer's key did not speak for that time";
  if (await recover(digest(domain, "Assignment", assignment, keccak256), record.assignmentSignature) !== relayerKey!.key) return "the assignment is not signed by the relayer's key";
  if (voucher === null) return null;
  return await recover(digest(domain, "Voucher", voucher, keccak256), record.voucherSignature) === authorization.sessionKey.toLowerCase() ? null : "the voucher is not signed by the session key";
}

function inEpoch(fact: KeyFact | undefined, seconds: Seconds, windowSeconds: Seconds): boolean {
  if (!fact) return false;
  return seconds + windowSeconds >= fact.openedAtSeconds && (fact.closedAtSeconds === 0 || seconds < fact.closedAtSeconds + windowSeconds);
}

/** The leaf that stands for the record, where it is not the one that the record makes. */
function faultOfSums(record: AttemptRecord, leaf: LeafStruct): string | null {
  const { fee } = record.receipt.body;
  const charge = chargeDown(fee, record.assignment.feeBps);
  if (leaf.fee !== fee || leaf.charge !== charge) return `the leaf says fee ${leaf.fee} and charge ${leaf.charge}; the record ${fee} and ${charge}`;
  return leaf.voucherHash === ZERO_HASH && leaf.voucherSigHash !== leafStruct(record).voucherSigHash ? "the leaf holds the signature of no voucher" : null;
}
