// Reads the evidence that an agent keeps of its receipts, beside a running agent or after it: what was signed, and what was acked.
//
// A folder may hold days of receipts, so files are read line by line: first what each receipt comes to, then the whole record
// of those that are wanted.
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { structFromJson } from "../../protocol/json.ts";
import { acksFromJson, type SignedAck } from "../../protocol/link.ts";
import { recordFromJson, type AttemptRecord } from "../../protocol/records.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Hash } from "../../protocol/units.ts";
import type { SignedReceiptRow } from "../ports.ts";
import { entryOf } from "./groupLog.ts";

type Line = { readonly record: { readonly receipt: unknown } } | { readonly receiptHash: Hash; readonly ack: unknown; readonly signature: unknown };

/** Every receipt of a node that the folder still holds. @throws `no_evidence`, `store_damaged` */
export async function readEvidence(folder: string, nodeId: number): Promise<SignedReceiptRow[]> {
  const rows = new Map<Hash, SignedReceiptRow>();
  for await (const line of linesIn(folder)) {
    if ("record" in line) {
      const receipt = structFromJson("TaskReceipt", line.record.receipt);
      if (receipt.nodeId !== nodeId) continue;
      const receiptHash = hashStruct("TaskReceipt", receipt);
      rows.set(receiptHash, {
        receiptHash, relayerId: receipt.relayerId, taskId: receipt.body.taskId, nodeSeq: receipt.nodeSeq, cumulative: receipt.nodeCumulative, fee: receipt.body.fee, ackedAt: null,
      });
    } else {
      const row = rows.get(line.receiptHash);
      if (row) rows.set(line.receiptHash, { ...row, ackedAt: ackOf(line).ack.ackedAt });
    }
  }
  return [...rows.values()];
}

/** The whole records of some receipts, each with its ack. @throws `no_evidence`, `store_damaged` */
export async function evidenceOf(folder: string, wanted: ReadonlySet<Hash>): Promise<ReadonlyMap<Hash, { readonly record: AttemptRecord; readonly ack: SignedAck }>> {
  const records = new Map<Hash, AttemptRecord>();
  const whole = new Map<Hash, { record: AttemptRecord; ack: SignedAck }>();
  for await (const line of linesIn(folder)) {
    if ("record" in line) {
      const receiptHash = hashStruct("TaskReceipt", structFromJson("TaskReceipt", line.record.receipt));
      if (wanted.has(receiptHash)) records.set(receiptHash, recordFromJson(line.record));
    } else {
      const record = records.get(line.receiptHash);
      if (record) whole.set(line.receiptHash, { record, ack: ackOf(line) });
    }
  }
  return whole;
}

const ackOf = (line: Extract<Line, { ack: unknown }>): SignedAck => acksFromJson({ acks: [{ ack: line.ack, signature: line.signature }] })[0]!;

/** In the order in which they were written. The agent may be writing the last line of the last file now: half of it is none yet. */
async function* linesIn(folder: string): AsyncGenerator<Line> {
  const names = await readdir(join(folder, "evidence")).catch((error: unknown) => {
    throw new TidelaneError(`There is no agent's evidence in ${folder}: name the folder that TIDELANE_DATA_DIR names for the agent.`, { code: "no_evidence", details: { folder }, cause: error });
  });
  for (const name of names.filter((one) => /^\d{6,}\.log$/.test(one)).sort()) yield* entriesOf(join(folder, "evidence", name));
}

async function* entriesOf(path: string): AsyncGenerator<Line> {
  let number = 0;
  let before: string | null = null;
  for await (const line of createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Infinity })) {
    if (before !== null) yield entryOf(before, path, ++number) as Line;
    before = line;
  }
  if (before === null) return;
  try {
    yield entryOf(before, path, ++number) as Line;
  } catch {
    // A torn last line, as a crash or a running agent leaves it.
  }
}
