// What signed messages show side by side: nodes and relayers that signed two things about one. F1, F2, F3, F8, F10.
//
// Signatures are not checked here: the judge on chain does, before anything is announced.
import { RefusalReason } from "../../protocol/constants.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import type { Assignment, SaturationAttestation, StructName, Structs, TaskReceipt } from "../../protocol/generated/structs.ts";
import type { Hash } from "../../protocol/units.ts";
import type { TwoSigned } from "./findings.ts";
import type { Found, Messages, Signed } from "./history.ts";

/** As FraudProofs takes them. */
const SUBTASKS_SHOWN_MAX = 16;
/** Different messages about one thing that are compared with each other; with a forged one among them the true ones still meet. */
const TWINS_MAX = 8;

export const messageFindings = (messages: Messages): Found[] =>
  [...attestations(messages), ...receipts(messages), ...refusals(messages), ...headers(messages), ...assignments(messages), ...shares(messages)];

/** F1. */
function attestations({ attestations: all }: Messages): Found[] {
  const signed = all.map(({ attestation, signature }) => ({ message: attestation, signature }));
  return twins("SaturationAttestation", signed, (one) => `${one.nodeId}:${one.relayerId}:${one.keyEpoch}:${one.seq}`).map((evidence) => ({
    detail: `node ${evidence.one.nodeId} signed two attestations of one seq for relayer ${evidence.one.relayerId}`,
    finding: { offence: "F1", functionName: "proveSaturationEquivocation", evidence },
  }));
}

/** F2: two receipts of one number, or a running total that does not follow from the receipt before. */
function receipts({ receipts: all }: Messages): Found[] {
  const same = twins("TaskReceipt", all, (one) => `${one.nodeId}:${one.relayerId}:${one.nodeSeq}`);
  const byHash = new Map(all.map((one) => [hashStruct("TaskReceipt", one.message), one]));
  const broken = all.flatMap((other): TwoSigned<TaskReceipt>[] => {
    const one = byHash.get(other.message.body.prevReceiptHash);
    const isOfTab = one && one.message.nodeId === other.message.nodeId && one.message.relayerId === other.message.relayerId;
    if (!isOfTab || other.message.nodeCumulative === one.message.nodeCumulative + other.message.body.fee) return [];
    return [{ one: one.message, oneSignature: one.signature, other: other.message, otherSignature: other.signature }];
  });
  return [...same, ...broken].map((evidence) => ({
    detail: `node ${evidence.other.nodeId} signed two receipts of its tab at relayer ${evidence.other.relayerId} that contradict each other`,
    finding: { offence: "F2", functionName: "proveReceiptEquivocation", evidence },
  }));
}

/** F3: refused as full inside the validity of an attestation that offered more slots than were taken. */
function refusals({ refusals: all, attestations: attested, assignments: given }: Messages): Found[] {
  if (all.length === 0) return [];
  const byHash = new Map(attested.map((one) => [hashStruct("SaturationAttestation", one.attestation), one]));
  const assigned = new Map(given.map((one) => [hashStruct("Assignment", one.message), one]));
  return all.flatMap((refusal): Found[] => {
    const assignment = assigned.get(refusal.message.assignmentHash);
    const signed = assignment && byHash.get(assignment.message.attestationHash);
    if (!signed || !isFalse(signed.attestation, assignment.message, refusal.message)) return [];
    const evidence = {
      attestation: signed.attestation, attestationSignature: signed.signature, assignment: assignment.message, assignmentSignature: assignment.signature,
      refusal: refusal.message, refusalSignature: refusal.signature,
    };
    return [{ detail: `node ${refusal.message.nodeId} refused as full with ${refusal.message.accepted} of ${signed.attestation.slots} slots taken`, finding: { offence: "F3", functionName: "proveFalseRefusal", evidence } }];
  });
}

function isFalse(attestation: SaturationAttestation, assignment: Assignment, refusal: Messages["refusals"][number]["message"]): boolean {
  const isInside = refusal.refusedAtMs >= attestation.observedAtMs && refusal.refusedAtMs <= attestation.validUntilMs && assignment.issuedAt * 1_000 <= attestation.validUntilMs;
  return refusal.reason === RefusalReason.FULL && isInside && refusal.accepted < attestation.slots && refusal.attestationSeq === attestation.seq;
}

/** F8: two headers of one batch that could both have been posted at one time. */
function headers({ headers: all }: Messages): Found[] {
  return twins("BatchHeader", all, (one) => `${one.relayerId}:${one.batchId}`)
    .filter(({ one, other }) => one.periodEnd <= other.postBy && other.periodEnd <= one.postBy)
    .map((evidence) => ({
      detail: `relayer ${evidence.one.relayerId} signed two headers of batch ${evidence.one.batchId} whose times overlap`,
      finding: { offence: "F8", functionName: "proveHeaderEquivocation", evidence },
    }));
}

/** F10: one attempt given out twice. */
function assignments({ assignments: all }: Messages): Found[] {
  return twins("Assignment", all, (one) => `${one.relayerId}:${one.taskId}:${one.subtask}:${one.attempt}`).map((evidence) => ({
    detail: `relayer ${evidence.one.relayerId} gave out attempt ${evidence.one.attempt} of subtask ${evidence.one.subtask} of task ${evidence.one.taskId} twice`,
    finding: { offence: "F10", functionName: "proveDoubleAssignment", evidence },
  }));
}

/** F10: the greatest shares of a task's subtasks together above what was ordered. */
function shares({ assignments: all, orders }: Messages): Found[] {
  const byTask = Map.groupBy(all, (one) => one.message.taskId);
  const ordered = new Map(orders.map((order): [Hash, typeof order] => [hashStruct("TaskOrder", order), order]));
  return [...ordered].flatMap(([taskId, order]) => [...Map.groupBy(byTask.get(taskId) ?? [], (one) => one.message.relayerId).values()].flatMap((given): Found[] => {
    const shown = greatestShares(given);
    if (shown.reduce((sum, one) => sum + one.message.shareCap, 0n) <= order.maxFee) return [];
    const evidence = { order, assignments: shown.map((one) => one.message), signatures: shown.map((one) => one.signature) };
    return [{ detail: `the shares of task ${taskId} exceed its maxFee ${order.maxFee}`, finding: { offence: "F10", functionName: "proveSharesAboveMaxFee", evidence } }];
  }));
}

/** One for each subtask, the greatest of as many as can be shown, in rising order of subtasks. */
function greatestShares(given: readonly Signed<Assignment>[]): Signed<Assignment>[] {
  const greatest = new Map<number, Signed<Assignment>>();
  for (const one of given) {
    const before = greatest.get(one.message.subtask);
    if (!before || before.message.shareCap < one.message.shareCap) greatest.set(one.message.subtask, one);
  }
  return [...greatest.values()].sort((one, other) => (one.message.shareCap > other.message.shareCap ? -1 : 1)).slice(0, SUBTASKS_SHOWN_MAX)
    .sort((one, other) => one.message.subtask - other.message.subtask);
}

/** Pairs of different messages about one thing. @param keyOf what they are about */
function twins<Name extends StructName>(name: Name, all: readonly Signed<Structs[Name]>[], keyOf: (message: Structs[Name]) => string): TwoSigned<Structs[Name]>[] {
  const groups = Map.groupBy(all, (one) => keyOf(one.message));
  return [...groups.values()].filter((group) => group.length > 1).flatMap((group) => {
    const different = [...new Map(group.map((one) => [`${hashStruct(name, one.message)}${one.signature}`, one])).values()].slice(0, TWINS_MAX);
    return different.flatMap((one, i) => different.slice(i + 1).flatMap((other): TwoSigned<Structs[Name]>[] =>
      (hashStruct(name, one.message) === hashStruct(name, other.message) ? [] : [{ one: one.message, oneSignature: one.signature, other: other.message, otherSignature: other.signature }])));
  });
}
