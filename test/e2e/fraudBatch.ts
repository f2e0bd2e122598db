// Batches that need not be what their leaves come to: built as an honest relayer builds them, bent, signed, posted, published.
import { keccak256 } from "viem";
import { bytesToHex } from "viem/utils";
import type { BatchDataTask } from "../../protocol/batchData.ts";
import { leafStruct, leafStructHash } from "../../protocol/evidence.ts";
import { structToJson } from "../../protocol/json.ts";
import { itemsHash, MerkleSumTree, type SumProof } from "../../protocol/merkleSum.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { taskViewToJson } from "../../protocol/taskView.ts";
import { ZERO_HASH, type Hash } from "../../protocol/units.ts";
import type { BatchHeader } from "../../protocol/generated/structs.ts";
import { buildBatch, comparePlaces, encodePostBatch, sessionPlace, tabPlace, type Debit, type SessionBooks, type TabBooks } from "../../relayer/settlement/batch.ts";
import { accounts } from "../relayer/localChain.ts";
import type { Actor, FraudWorld } from "./fraudWorld.ts";

export interface Departure {
  /** Records in the order in which their leaves stand in each tree, where it is not the honest one. */
  readonly sessionRows?: readonly AttemptRecord[];
  readonly tabRows?: readonly AttemptRecord[];
  /** The session tree names its first leaf with so much more than it holds. */
  readonly bump?: bigint;
  /** What else is published in the data. */
  readonly unsettled?: readonly AttemptRecord[];
  /** Attempts that ended without a receipt. */
  readonly failed?: readonly AttemptRecord[];
  debits?(debits: readonly Debit[]): readonly Debit[];
  readonly header?: Partial<BatchHeader>;
  readonly isWithheld?: boolean;
}

/** A relayer's own books. */
export class Books {
  readonly relayer: Actor;
  readonly #world: FraudWorld;
  readonly #charged = new Map<Hash, bigint>();
  readonly #earned = new Map<number, bigint>();
  last: { id: bigint; hash: Hash } = { id: 0n, hash: ZERO_HASH };

  constructor(world: FraudWorld, relayer: Actor) {
    this.#world = world;
    this.relayer = relayer;
  }

  /** @returns the header that was posted */
  async post(records: readonly AttemptRecord[], departure: Departure = {}): Promise<BatchHeader> {
    const { header, debits, credits, data } = await this.build(records, departure);
    const signature = await this.#world.sign(this.relayer.key, "BatchHeader", header);
    await this.#world.post(this.relayer, encodePostBatch({ header, debits, credits }, signature));
    this.last = { id: header.batchId, hash: hashStruct("BatchHeader", header) };
    for (const { sessionId, change } of debits) this.#charged.set(sessionId, (this.#charged.get(sessionId) ?? 0n) + change);
    for (const { nodeId, change } of credits) this.#earned.set(nodeId, (this.#earned.get(nodeId) ?? 0n) + change);
    if (!departure.isWithheld) this.#publish(header, data, records, departure);
    return header;
  }

  async build(records: readonly AttemptRecord[], departure: Departure = {}) {
    const now = await this.#world.now();
    const tasks = await this.#tasksOf([...records, ...departure.unsettled ?? []], departure.failed ?? []);
    const input = {
      relayerId: this.relayer.id, relayerEpoch: 1, batchId: this.last.id + 1n, prevBatchHash: this.last.hash, periodStart: now - 60, periodEnd: now, postBy: now + 60,
      tasks: await this.#tasksOf(records, []), sessions: this.#sessionsOf(records), tabs: this.#tabsOf(records),
    };
    const built = buildBatch(input, keccak256, (bytes) => keccak256(bytesToHex(bytes)));
    const { data } = buildBatch({ ...input, tasks, sessions: this.#sessionsOf([...records, ...departure.unsettled ?? []]), tabs: this.#tabsOf([...records, ...departure.unsettled ?? []]) }, keccak256, (bytes) => keccak256(bytesToHex(bytes)));
    const debits = departure.debits?.(built.debits) ?? built.debits;
    const trees = treesFor(records, departure);
    const header: BatchHeader = {
      ...built.header, dataHash: keccak256(bytesToHex(data)), debitsHash: itemsHash(debits.map(({ sessionId, change }) => ({ id: sessionId, change }))),
      totalDebit: debits.reduce((sum, { change }) => sum + change, 0n),
      ...(departure.sessionRows || departure.bump ? { sessionRoot: trees.session.root.hash } : {}), ...(departure.tabRows ? { tabRoot: trees.tab.root.hash } : {}), ...departure.header,
    };
    return { header, debits, credits: built.credits, data };
  }

  /** Its data, and each task's receipts with the paths of the trees that were really committed. */
  #publish(header: BatchHeader, data: Uint8Array, records: readonly AttemptRecord[], departure: Departure): void {
    const { relayer } = this;
    this.#world.publish(relayer.id, `batches/${header.batchId}`, { header: structToJson("BatchHeader", header) });
    this.#world.publish(relayer.id, `batches/${header.batchId}/data`, data);
    const trees = treesFor(records, departure);
    const all = [...records, ...departure.unsettled ?? []];
    for (const { receipt } of all) {
      const { taskId } = receipt.body;
      const attempts = all.filter((one) => one.receipt.body.taskId === taskId).map((record) => ({ record, proofs: { session: trees.pathOf(record, "session"), tab: trees.pathOf(record, "tab") } }));
      this.#world.publish(relayer.id, `receipts/${taskId}`, taskViewToJson({
        domain: this.#world.local.domain, taskId, state: "finished", attempts, unsigned: [],
        batch: { header, signature: `0x${"00".repeat(65)}`, state: "confirmed", transactionHash: ZERO_HASH, blockNumber: 1n, gasUsed: 1n },
      }));
    }
  }

  async #tasksOf(records: readonly AttemptRecord[], failed: readonly AttemptRecord[]): Promise<BatchDataTask[]> {
    const tasks = new Map<Hash, BatchDataTask>();
    for (const record of [...records, ...failed]) {
      const { assignment, assignmentSignature, order, receipt } = record;
      const ack = { receiptHash: hashStruct("TaskReceipt", receipt), relayerId: this.relayer.id, relayerEpoch: 1, ackedAt: receipt.body.finishedAt };
      const isFailed = failed.includes(record);
      const attempt = {
        assignmentHash: hashStruct("Assignment", assignment), nodeId: assignment.nodeId, decision: "{}", cause: isFailed ? "node_lost" : null,
        assignment: isFailed ? { assignment: structToJson("Assignment", assignment), assignmentSignature } : {},
        signed: isFailed ? null : { record, ack: { ack, signature: await this.#world.sign(this.relayer.key, "Ack", ack) } },
      };
      const task = tasks.get(assignment.taskId) ?? { taskId: assignment.taskId, state: "finished" as const, order, openedAtMs: receipt.body.startedAt * 1_000, attempts: [] };
      tasks.set(assignment.taskId, { ...task, attempts: [...task.attempts, attempt] });
    }
    return [...tasks.values()];
  }

  #sessionsOf(records: readonly AttemptRecord[]): Map<Hash, SessionBooks> {
    return new Map(records.map(({ order: { sessionId }, voucher, voucherSignature }) => {
      const charged = this.#charged.get(sessionId) ?? 0n;
      return [sessionId, { charged, provenCap: charged > 0n ? 1_000_000n : 0n, voucher: { voucher: voucher!, signature: voucherSignature } }];
    }));
  }

  #tabsOf(records: readonly AttemptRecord[]): Map<number, TabBooks> {
    const tabs = new Map<number, TabBooks>();
    for (const { receipt, receiptSignature } of records) {
      const last = tabs.get(receipt.nodeId)?.lastReceipt?.receipt;
      const earned = this.#earned.get(receipt.nodeId) ?? 0n;
      if (!last || last.nodeCumulative < receipt.nodeCumulative) tabs.set(receipt.nodeId, { earned, provenEarned: earned, lastReceipt: { receipt, receiptSignature } });
    }
    return tabs;
  }
}

/** A header for the next batch that the chain refuses, in a transaction that stands on it all the same. */
export async function postRefused(world: FraudWorld, books: Books, records: readonly AttemptRecord[], departure: Departure): Promise<BatchHeader> {
  const { header, debits, credits } = await books.build(records, departure);
  const signature = await world.sign(books.relayer.key, "BatchHeader", header);
  const wasRefused = await world.local.send(accounts.poster, world.at("BatchSettlement"), encodePostBatch({ header, debits, credits }, signature)).then(() => false, () => true);
  if (!wasRefused) throw new Error("the chain took a header that it was to refuse");
  return header;
}

function treesFor(records: readonly AttemptRecord[], { sessionRows, tabRows, bump = 0n }: Departure) {
  const bySession = sessionRows ?? records.toSorted((a, b) => comparePlaces(sessionPlace(a.receipt), sessionPlace(b.receipt)));
  const byTab = tabRows ?? records.toSorted((a, b) => comparePlaces(tabPlace(a.receipt), tabPlace(b.receipt)));
  const session = new MerkleSumTree(bySession.map((row) => leafStruct(row)).map((leaf, i) => ({ hash: leafStructHash(leaf), sum: leaf.charge + (i === 0 ? bump : 0n) })));
  const tab = new MerkleSumTree(byTab.map((row) => leafStruct(row)).map((leaf) => ({ hash: leafStructHash(leaf), sum: leaf.fee })));
  const pathIn = (tree: MerkleSumTree, rows: readonly AttemptRecord[], record: AttemptRecord): SumProof => tree.proof(Math.max(0, rows.indexOf(record)));
  return { session, tab, pathOf: (record: AttemptRecord, kind: "session" | "tab"): SumProof => (kind === "session" ? pathIn(session, bySession, record) : pathIn(tab, byTab, record)) };
}
