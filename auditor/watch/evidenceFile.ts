// Signed messages that somebody hands in as a file: what never stands in published data, such as a node's refusal, or an
// assignment that only one node got. Saved receipts are taken as they are.
//
//   {"format": "tidelane-evidence/1", "attestations": [{"attestation", "signature", "offers"}], "receipts": [{"receipt", "signature"}],
//    "refusals": [{"refusal", "signature"}], "assignments": [{"assignment", "signature"}], "headers": [{"header", "signature"}], "orders": [...]}
import { z } from "zod";
import { leafStruct, pathStruct } from "../../protocol/evidence.ts";
import { parse, structFromJson } from "../../protocol/json.ts";
import { attestationFromJson } from "../../protocol/link.ts";
import { signatureFromJson } from "../../protocol/records.ts";
import { TASK_VIEW_FORMAT, taskViewFromJson, type TaskView } from "../../protocol/taskView.ts";
import type { StructName, Structs } from "../../protocol/generated/structs.ts";
import { Tree } from "./findings.ts";
import { NO_MESSAGES, type Messages, type ShownPath, type Signed } from "./history.ts";

const EVIDENCE_FORMAT = "tidelane-evidence/1";
const MESSAGES_MAX = 10_000;
const list = z.array(z.record(z.string(), z.unknown())).max(MESSAGES_MAX).default([]);
const fileSchema = z.object({ format: z.literal(EVIDENCE_FORMAT), attestations: list, receipts: list, refusals: list, assignments: list, headers: list, orders: list });

export interface Evidence {
  readonly messages: Messages;
  /** Leaves with their paths, by the batch in which they stand. */
  readonly shown: readonly { readonly batchId: bigint; readonly relayerId: number; readonly shown: ShownPath }[];
}

/** @throws InvalidValueError naming the first member that does not fit */
export function evidenceFromJson(json: unknown, path = "evidence"): Evidence {
  if ((json as { format?: unknown } | null)?.format === TASK_VIEW_FORMAT) return evidenceOfView(taskViewFromJson(json, path));
  const from = parse(fileSchema, json, path);
  const signed = <Name extends StructName>(name: Name, member: string, items: readonly Record<string, unknown>[]): Signed<Structs[Name]>[] =>
    items.map((item, i) => ({ message: structFromJson(name, item[member], `${path}.${member}s[${i}]`), signature: signatureFromJson(item["signature"], `${path}.${member}s[${i}].signature`) }));
  return {
    shown: [],
    messages: {
      attestations: from.attestations.map((one) => attestationFromJson(one)), receipts: signed("TaskReceipt", "receipt", from.receipts),
      refusals: signed("Refusal", "refusal", from.refusals), assignments: signed("Assignment", "assignment", from.assignments),
      headers: signed("BatchHeader", "header", from.headers), orders: from.orders.map((order, i) => structFromJson("TaskOrder", order, `${path}.orders[${i}]`)),
    },
  };
}

/** What a task's receipts hold, as a payer saved them. */
function evidenceOfView(view: TaskView): Evidence {
  const records = view.attempts.map(({ record }) => record);
  const header = view.batch?.header;
  return {
    shown: header ? shownOfView(view).map((shown) => ({ relayerId: header.relayerId, batchId: header.batchId, shown })) : [],
    messages: {
      ...NO_MESSAGES, orders: records.slice(0, 1).map((record) => record.order),
      receipts: records.map((record) => ({ message: record.receipt, signature: record.receiptSignature })),
      assignments: records.map((record) => ({ message: record.assignment, signature: record.assignmentSignature })),
      headers: view.batch ? [{ message: view.batch.header, signature: view.batch.signature }] : [],
    },
  };
}

export const shownOfView = (view: TaskView): ShownPath[] => view.attempts.flatMap(({ record, proofs }): ShownPath[] => {
  if (!proofs) return [];
  const common = { leaf: leafStruct(record), receipt: record.receipt, record };
  return [{ ...common, tree: Tree.SESSION, path: pathStruct(proofs.session) }, { ...common, tree: Tree.TAB, path: pathStruct(proofs.tab) }];
});
