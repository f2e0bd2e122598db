// Generated from the Solidity sources by `npm run generate`. Do not edit.
type Hex = `0x${string}`;

export interface Ack {
  readonly receiptHash: Hex;
  readonly relayerId: number;
  readonly relayerEpoch: number;
  readonly ackedAt: number;
}

export interface Assignment {
  readonly taskId: Hex;
  readonly subtask: number;
  readonly subtasks: number;
  readonly attempt: number;
  readonly relayerId: number;
  readonly relayerEpoch: number;
  readonly nodeId: number;
  readonly keyEpoch: number;
  readonly role: number;
  readonly voucherHash: Hex;
  readonly attestationHash: Hex;
  readonly decisionHash: Hex;
  readonly contextHead: Hex;
  readonly priceInPerMTok: bigint;
  readonly priceOutPerMTok: bigint;
  readonly feeBps: number;
  readonly shareCap: bigint;
  readonly inputCommit: Hex;
  readonly issuedAt: number;
  readonly deadline: number;
}

export interface BatchHeader {
  readonly relayerId: number;
  readonly relayerEpoch: number;
  readonly batchId: bigint;
  readonly prevBatchHash: Hex;
  readonly sessionRoot: Hex;
  readonly tabRoot: Hex;
  readonly leafCount: number;
  readonly debitsHash: Hex;
  readonly creditsHash: Hex;
  readonly totalDebit: bigint;
  readonly totalCredit: bigint;
  readonly dataHash: Hex;
  readonly periodStart: number;
  readonly periodEnd: number;
  readonly postBy: number;
}

export interface KeyConsent {
  readonly registry: Hex;
  readonly owner: Hex;
  readonly key: Hex;
}

export interface ReceiptBody {
  readonly assignmentHash: Hex;
  readonly sessionId: Hex;
  readonly taskId: Hex;
  readonly subtask: number;
  readonly attempt: number;
  readonly role: number;
  readonly prevReceiptHash: Hex;
  readonly outputCommit: Hex;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly fee: bigint;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly status: number;
}

export interface Refusal {
  readonly assignmentHash: Hex;
  readonly nodeId: number;
  readonly relayerId: number;
  readonly keyEpoch: number;
  readonly attestationSeq: bigint;
  readonly accepted: number;
  readonly reason: number;
  readonly refusedAtMs: number;
}

export interface SaturationAttestation {
  readonly nodeId: number;
  readonly relayerId: number;
  readonly keyEpoch: number;
  readonly seq: bigint;
  readonly prevHash: Hex;
  readonly slots: number;
  readonly prepSlots: number;
  readonly computeBps: number;
  readonly memoryBps: number;
  readonly queueBps: number;
  readonly networkBps: number;
  readonly queuedTokens: number;
  readonly kvFreeTokens: number;
  readonly offersHash: Hex;
  readonly observedAtMs: number;
  readonly validUntilMs: number;
}

export interface SpendingAuthorization {
  readonly payer: Hex;
  readonly sessionKey: Hex;
  readonly relayerId: number;
  readonly lock: bigint;
  readonly maxTotal: bigint;
  readonly maxPerTask: bigint;
  readonly maxPerDay: bigint;
  readonly maxPriceInPerMTok: bigint;
  readonly maxPriceOutPerMTok: bigint;
  readonly maxFeeBps: number;
  readonly mode: number;
  readonly validAfter: number;
  readonly validUntil: number;
  readonly salt: bigint;
}

export interface TaskOrder {
  readonly sessionId: Hex;
  readonly nonce: bigint;
  readonly promptCommit: Hex;
  readonly modelId: Hex;
  readonly tier: number;
  readonly maxOutTokens: number;
  readonly maxFee: bigint;
  readonly deadline: number;
}

export interface TaskReceipt {
  readonly body: ReceiptBody;
  readonly nodeId: number;
  readonly relayerId: number;
  readonly keyEpoch: number;
  readonly nodeSeq: bigint;
  readonly nodeCumulative: bigint;
}

export interface Voucher {
  readonly sessionId: Hex;
  readonly cumulativeCap: bigint;
  readonly taskId: Hex;
}

export interface Structs {
  readonly Ack: Ack;
  readonly Assignment: Assignment;
  readonly BatchHeader: BatchHeader;
  readonly KeyConsent: KeyConsent;
  readonly ReceiptBody: ReceiptBody;
  readonly Refusal: Refusal;
  readonly SaturationAttestation: SaturationAttestation;
  readonly SpendingAuthorization: SpendingAuthorization;
  readonly TaskOrder: TaskOrder;
  readonly TaskReceipt: TaskReceipt;
  readonly Voucher: Voucher;
}

export type StructName = keyof Structs;

/** Field lists in signing order; a type that names a struct is nested. */
export const structFields = {
  Ack: [
    { name: "receiptHash", type: "bytes32" },
    { name: "relayerId", type: "uint32" },
    { name: "relayerEpoch", type: "uint32" },
    { name: "ackedAt", type: "uint48" },
  ],
  Assignment: [
    { name: "taskId", type: "bytes32" },
    { name: "subtask", type: "uint16" },
    { name: "subtasks", type: "uint16" },
    { name: "attempt", type: "uint8" },
    { name: "relayerId", type: "uint32" },
    { name: "relayerEpoch", type: "uint32" },
    { name: "nodeId", type: "uint32" },
    { name: "keyEpoch", type: "uint32" },
    { name: "role", type: "uint8" },
    { name: "voucherHash", type: "bytes32" },
    { name: "attestationHash", type: "bytes32" },
    { name: "decisionHash", type: "bytes32" },
    { name: "contextHead", type: "bytes32" },
    { name: "priceInPerMTok", type: "uint96" },
    { name: "priceOutPerMTok", type: "uint96" },
    { name: "feeBps", type: "uint16" },
    { name: "shareCap", type: "uint96" },
    { name: "inputCommit", type: "bytes32" },
    { name: "issuedAt", type: "uint48" },
    { name: "deadline", type: "uint48" },
  ],
  BatchHeader: [
    { name: "relayerId", type: "uint32" },
    { name: "relayerEpoch", type: "uint32" },
    { name: "batchId", type: "uint64" },
    { name: "prevBatchHash", type: "bytes32" },
    { name: "sessionRoot", type: "bytes32" },
    { name: "tabRoot", type: "bytes32" },
    { name: "leafCount", type: "uint32" },
    { name: "debitsHash", type: "bytes32" },
    { name: "creditsHash", type: "bytes32" },
    { name: "totalDebit", type: "uint96" },
    { name: "totalCredit", type: "uint96" },
    { name: "dataHash", type: "bytes32" },
    { name: "periodStart", type: "uint48" },
    { name: "periodEnd", type: "uint48" },
    { name: "postBy", type: "uint48" },
  ],
  KeyConsent: [
    { name: "registry", type: "address" },
    { name: "owner", type: "address" },
    { name: "key", type: "address" },
  ],
  ReceiptBody: [
    { name: "assignmentHash", type: "bytes32" },
    { name: "sessionId", type: "bytes32" },
    { name: "taskId", type: "bytes32" },
    { name: "subtask", type: "uint16" },
    { name: "attempt", type: "uint8" },
    { name: "role", type: "uint8" },
    { name: "prevReceiptHash", type: "bytes32" },
    { name: "outputCommit", type: "bytes32" },
    { name: "inputTokens", type: "uint32" },
    { name: "outputTokens", type: "uint32" },
    { name: "fee", type: "uint96" },
    { name: "startedAt", type: "uint48" },
    { name: "finishedAt", type: "uint48" },
    { name: "status", type: "uint8" },
  ],
  Refusal: [
    { name: "assignmentHash", type: "bytes32" },
    { name: "nodeId", type: "uint32" },
    { name: "relayerId", type: "uint32" },
    { name: "keyEpoch", type: "uint32" },
    { name: "attestationSeq", type: "uint64" },
    { name: "accepted", type: "uint16" },
    { name: "reason", type: "uint8" },
    { name: "refusedAtMs", type: "uint48" },
  ],
  SaturationAttestation: [
    { name: "nodeId", type: "uint32" },
    { name: "relayerId", type: "uint32" },
    { name: "keyEpoch", type: "uint32" },
    { name: "seq", type: "uint64" },
    { name: "prevHash", type: "bytes32" },
    { name: "slots", type: "uint16" },
    { name: "prepSlots", type: "uint16" },
    { name: "computeBps", type: "uint16" },
    { name: "memoryBps", type: "uint16" },
    { name: "queueBps", type: "uint16" },
    { name: "networkBps", type: "uint16" },
    { name: "queuedTokens", type: "uint32" },
    { name: "kvFreeTokens", type: "uint32" },
    { name: "offersHash", type: "bytes32" },
    { name: "observedAtMs", type: "uint48" },
    { name: "validUntilMs", type: "uint48" },
  ],
  SpendingAuthorization: [
    { name: "payer", type: "address" },
    { name: "sessionKey", type: "address" },
    { name: "relayerId", type: "uint32" },
    { name: "lock", type: "uint96" },
    { name: "maxTotal", type: "uint96" },
    { name: "maxPerTask", type: "uint96" },
    { name: "maxPerDay", type: "uint96" },
    { name: "maxPriceInPerMTok", type: "uint96" },
    { name: "maxPriceOutPerMTok", type: "uint96" },
    { name: "maxFeeBps", type: "uint16" },
    { name: "mode", type: "uint8" },
    { name: "validAfter", type: "uint48" },
    { name: "validUntil", type: "uint48" },
    { name: "salt", type: "uint256" },
  ],
  TaskOrder: [
    { name: "sessionId", type: "bytes32" },
    { name: "nonce", type: "uint256" },
    { name: "promptCommit", type: "bytes32" },
    { name: "modelId", type: "bytes32" },
    { name: "tier", type: "uint8" },
    { name: "maxOutTokens", type: "uint32" },
    { name: "maxFee", type: "uint96" },
    { name: "deadline", type: "uint48" },
  ],
  TaskReceipt: [
    { name: "body", type: "ReceiptBody" },
    { name: "nodeId", type: "uint32" },
    { name: "relayerId", type: "uint32" },
    { name: "keyEpoch", type: "uint32" },
    { name: "nodeSeq", type: "uint64" },
    { name: "nodeCumulative", type: "uint96" },
  ],
  Voucher: [
    { name: "sessionId", type: "bytes32" },
    { name: "cumulativeCap", type: "uint96" },
    { name: "taskId", type: "bytes32" },
  ],
} as const;
