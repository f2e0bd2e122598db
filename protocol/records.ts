// The record of an attempt: everything that was signed about it, and the checks that anyone can make from it alone.
import { chargeDown, feeOf } from "./fees.ts";
import { Mode, Status, Tier } from "./constants.ts";
import { leafHash, type SumNode } from "./merkleSum.ts";
import { structFromJson, structToJson } from "./json.ts";
import { digest, hashStruct, type Domain, type Keccak256 } from "./typedData.ts";
import { isSignedBy, type Recover } from "./signing.ts";
import { InvalidValueError } from "./errors.ts";
import { ZERO_HASH, type Address, type Hash, type Hex, type Signature, type TokenAmount } from "./units.ts";
import type { Assignment, SpendingAuthorization, TaskOrder, TaskReceipt, Voucher } from "./generated/structs.ts";

/** An order with the evidence that its payer covers it. */
export interface CoveredOrder {
  readonly authorization: SpendingAuthorization;
  readonly order: TaskOrder;
  /** Null in ALLOWANCE mode, where the payer signed the authorization only. */
  readonly voucher: Voucher | null;
  /** `0x` in ALLOWANCE mode. */
  readonly voucherSignature: Hex;
}

export interface AttemptRecord extends CoveredOrder {
  readonly assignment: Assignment;
  readonly assignmentSignature: Signature;
  readonly receipt: TaskReceipt;
  readonly receiptSignature: Signature;
}

export interface Leaf {
  readonly hash: Hash;
  readonly fee: TokenAmount;
  readonly charge: TokenAmount;
}

export const voucherHashOf = (covered: CoveredOrder, keccak256?: Keccak256): Hash =>
  covered.voucher === null ? ZERO_HASH : hashStruct("Voucher", covered.voucher, keccak256);

export function leafOf(record: AttemptRecord, keccak256?: Keccak256): Leaf {
  const fee = record.receipt.body.fee;
  const charge = chargeDown(fee, record.assignment.feeBps);
  const hash = leafHash({
    receiptHash: hashStruct("TaskReceipt", record.receipt, keccak256), fee, charge,
    nodeSignature: record.receiptSignature, voucherHash: voucherHashOf(record, keccak256),
    voucherSignature: record.voucherSignature, assignmentSignature: record.assignmentSignature,
  }, keccak256);
  return { hash, fee, charge };
}

/** The leaf as it stands in the session tree (sum of charges) and in the tab tree (sum of fees). */
export const sessionLeaf = (leaf: Leaf): SumNode => ({ hash: leaf.hash, sum: leaf.charge });
export const tabLeaf = (leaf: Leaf): SumNode => ({ hash: leaf.hash, sum: leaf.fee });

export interface RecordKeys {
  readonly domain: Domain;
  readonly recover: Recover;
  /** The hot key of a node's epoch, or null where there is none. */
  nodeKey(nodeId: number, keyEpoch: number): Promise<Address | null>;
  relayerKey(relayerId: number, relayerEpoch: number): Promise<Address | null>;
}

/**
 * Checks all that holds for an honest record: links, limits, fee and signatures (what fraud proof F4 contests).
 * @returns what does not hold, one sentence each; empty where all does.
 */
export async function checkRecord(record: AttemptRecord, keys: RecordKeys): Promise<string[]> {
  return [...checkCover(record), ...checkLinks(record), ...checkMoney(record), ...await checkSignatures(record, keys)];
}

/** Order, voucher and authorization against each other. */
export function checkCover(covered: CoveredOrder): string[] {
  const { authorization, order, voucher } = covered;
  const sessionId = hashStruct("SpendingAuthorization", authorization);
  const taskId = hashStruct("TaskOrder", order);
  const found: string[] = [];
  if (order.sessionId !== sessionId) found.push("the order's sessionId is not the authorization's hash");
  if (!Object.values(Tier).includes(order.tier as 0)) found.push(`tier ${order.tier} is none`);
  if (order.maxFee > authorization.maxPerTask) found.push(`the order's maxFee ${order.maxFee} exceeds the authorization's maxPerTask ${authorization.maxPerTask}`);
  if (authorization.mode === Mode.VOUCHER) {
    if (voucher === null) return [...found, "a VOUCHER session needs a voucher for each order"];
    if (voucher.sessionId !== sessionId) found.push("the voucher is for another session");
    if (voucher.taskId !== taskId) found.push("the voucher is for another order");
    if (voucher.cumulativeCap > authorization.maxTotal) found.push(`the voucher's cap ${voucher.cumulativeCap} exceeds the authorization's maxTotal ${authorization.maxTotal}`);
  } else if (voucher !== null) {
    found.push("only orders of VOUCHER sessions carry a voucher");
  }
  return found;
}

/**
 * A relayer's check of a receipt for an assignment that it signed itself, over an order that it has checked before: what is
 * left is the node's part. Fast with native keccak and recovery.
 * @returns what does not hold, one sentence each; empty where all does.
 */
export async function checkReceipt(record: AttemptRecord, nodeKey: Address, domain: Domain, recover: Recover, keccak256?: Keccak256): Promise<string[]> {
  const found = [...checkLinks(record, keccak256), ...checkMoney(record)];
  if (await recover(digest(domain, "TaskReceipt", record.receipt, keccak256), record.receiptSignature) !== nodeKey) {
    found.push(`the receipt is not signed by node ${record.receipt.nodeId}'s key of epoch ${record.receipt.keyEpoch}`);
  }
  return found;
}

/** The assignment against order, voucher and authorization. */
export function checkAssignment(covered: CoveredOrder, assignment: Assignment, keccak256?: Keccak256): string[] {
  const { authorization, order } = covered;
  const found: string[] = [];
  if (assignment.taskId !== hashStruct("TaskOrder", order, keccak256)) found.push("the assignment is for another order");
  // A contract's request may be open to any relayer; no session is.
  const isOpen = authorization.mode === Mode.REQUEST && authorization.relayerId === 0;
  if (!isOpen && assignment.relayerId !== authorization.relayerId) found.push("the assignment is another relayer's than the session's");
  if (assignment.voucherHash !== voucherHashOf(covered, keccak256)) found.push("the assignment names another voucher");
  if (assignment.priceInPerMTok > authorization.maxPriceInPerMTok) found.push("the input price exceeds the payer's signed maximum");
  if (assignment.priceOutPerMTok > authorization.maxPriceOutPerMTok) found.push("the output price exceeds the payer's signed maximum");
  if (assignment.feeBps > authorization.maxFeeBps) found.push("the relayer's fee exceeds the payer's signed maximum");
  if (assignment.shareCap > order.maxFee) found.push("the share exceeds the order's maxFee");
  if (assignment.subtask >= assignment.subtasks) found.push("the subtask's number is outside the task");
  return found;
}

function checkLinks(record: AttemptRecord, keccak256?: Keccak256): string[] {
  const { assignment, receipt, order } = record;
  const body = receipt.body;
  const found = checkAssignment(record, assignment, keccak256);
  if (body.assignmentHash !== hashStruct("Assignment", assignment, keccak256)) found.push("the receipt is for another assignment");
  if (body.taskId !== assignment.taskId) found.push("the receipt names another task");
  if (body.sessionId !== order.sessionId) found.push("the receipt names another session");
  if (body.subtask !== assignment.subtask || body.attempt !== assignment.attempt) found.push("the receipt names another attempt");
  if (body.role !== assignment.role) found.push("the receipt names another role");
  if (receipt.nodeId !== assignment.nodeId) found.push("the receipt is another node's");
  if (receipt.relayerId !== assignment.relayerId) found.push("the receipt is for another relayer");
  if (receipt.keyEpoch !== assignment.keyEpoch) found.push("the receipt is signed under another key epoch than the assignment's");
  if (body.outputTokens > order.maxOutTokens) found.push(`${body.outputTokens} output tokens exceed the order's ${order.maxOutTokens}`);
  if (body.finishedAt < body.startedAt) found.push("the receipt ends before it starts");
  if (!Object.values(Status).includes(body.status as 1)) found.push(`status ${body.status} is none`);
  return found;
}

function checkMoney(record: AttemptRecord): string[] {
  const { assignment, receipt } = record;
  // An aborted attempt is the node's fault: its input is not paid.
  const inputTokens = receipt.body.status === Status.ABORTED ? 0 : receipt.body.inputTokens;
  const { fee } = feeOf(inputTokens, receipt.body.outputTokens, assignment);
  const found: string[] = [];
  if (receipt.body.fee !== fee) found.push(`the fee is ${receipt.body.fee}; tokens, prices and share give ${fee}`);
  if (receipt.nodeCumulative < receipt.body.fee) found.push("the tab's running total is below this fee");
  return found;
}

async function checkSignatures(record: AttemptRecord, keys: RecordKeys): Promise<string[]> {
  const { domain, recover } = keys;
  const { assignment, receipt, voucher, authorization } = record;
  const found: string[] = [];
  const nodeKey = await keys.nodeKey(receipt.nodeId, receipt.keyEpoch);
  const relayerKey = await keys.relayerKey(assignment.relayerId, assignment.relayerEpoch);
  if (!nodeKey || !await isSignedBy(nodeKey, domain, "TaskReceipt", receipt, record.receiptSignature, recover)) {
    found.push(`the receipt is not signed by node ${receipt.nodeId}'s key of epoch ${receipt.keyEpoch}`);
  }
  if (!relayerKey || !await isSignedBy(relayerKey, domain, "Assignment", assignment, record.assignmentSignature, recover)) {
    found.push(`the assignment is not signed by relayer ${assignment.relayerId}'s key of epoch ${assignment.relayerEpoch}`);
  }
  if (voucher && !await isSignedBy(authorization.sessionKey, domain, "Voucher", voucher, record.voucherSignature, recover)) {
    found.push("the voucher is not signed by the session key");
  }
  return found;
}

export function coveredToJson(covered: CoveredOrder): Record<string, unknown> {
  return {
    authorization: structToJson("SpendingAuthorization", covered.authorization),
    order: structToJson("TaskOrder", covered.order),
    voucher: covered.voucher && structToJson("Voucher", covered.voucher),
    voucherSignature: covered.voucherSignature,
  };
}

/** @throws InvalidValueError */
export function coveredFromJson(json: unknown, path = "record"): CoveredOrder {
  const from = objectOf(json, path);
  return {
    authorization: structFromJson("SpendingAuthorization", from.authorization, `${path}.authorization`),
    order: structFromJson("TaskOrder", from.order, `${path}.order`),
    voucher: from.voucher === null ? null : structFromJson("Voucher", from.voucher, `${path}.voucher`),
    voucherSignature: from.voucher === null ? "0x" : signatureFromJson(from.voucherSignature, `${path}.voucherSignature`),
  };
}

export function recordToJson(record: AttemptRecord): Record<string, unknown> {
  return {
    ...coveredToJson(record),
    assignment: structToJson("Assignment", record.assignment), assignmentSignature: record.assignmentSignature,
    receipt: structToJson("TaskReceipt", record.receipt), receiptSignature: record.receiptSignature,
  };
}

/** @throws InvalidValueError */
export function recordFromJson(json: unknown, path = "record"): AttemptRecord {
  const from = objectOf(json, path);
  return {
    ...coveredFromJson(json, path),
    assignment: structFromJson("Assignment", from.assignment, `${path}.assignment`),
    assignmentSignature: signatureFromJson(from.assignmentSignature, `${path}.assignmentSignature`),
    receipt: structFromJson("TaskReceipt", from.receipt, `${path}.receipt`),
    receiptSignature: signatureFromJson(from.receiptSignature, `${path}.receiptSignature`),
  };
}

/** @throws InvalidValueError unless the value is 65 bytes of hex. */
export function signatureFromJson(value: unknown, path: string): Signature {
  if (typeof value !== "string" || !/^0x[0-9a-fA-F]{130}$/.test(value)) throw new InvalidValueError(path, "a 65-byte signature in hex");
  return value.toLowerCase() as Signature;
}

function objectOf(json: unknown, path: string): Record<string, unknown> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new InvalidValueError(path, "an object");
  return json as Record<string, unknown>;
}
