// What auditors ask: a task's receipts with their places in the trees, a batch, the exact bytes behind a hash, the API's description.
//
// Nothing here is believed by whoever reads it: everything hashes up to what the chain holds.
import { Router } from "express";
import { batchDataFromBytes } from "../../protocol/batchData.ts";
import { InvalidValueError, TidelaneError } from "../../protocol/errors.ts";
import { hexOfLength, structToJson } from "../../protocol/json.ts";
import { taskViewToJson, type BatchView, type TaskView } from "../../protocol/taskView.ts";
import { proofsOfTask, recordsOf, treesOf, type BatchTrees } from "../settlement/batch.ts";
import { route } from "./http.ts";
import { openApiDocument } from "./openapi.ts";
import type { Hash } from "../../protocol/units.ts";
import type { Clock, Crypto } from "../ports/world.ts";
import type { Deployment } from "../ports/chain.ts";
import type { Journal, RecordStore, StoredBatch } from "../ports/journal.ts";

export interface AuditServices {
  readonly journal: Pick<Journal, "task" | "batch">;
  readonly records: RecordStore;
  readonly crypto: Crypto;
  readonly deployment: Deployment;
  readonly clock: Clock;
}

/** Trees of the batches that were asked for last; each holds its records. */
const TREES_CACHED_MAX = 4;
/** Building one takes up to half a second of everybody's time: one at a time, with rests between that are this much longer. */
const REST_TIMES = 4;
const BUILDS_WAITING_MAX = 16;
const OPENING_BRACE = 0x7b;

/** Mounted under /tidelane/v1; errors are thrown as TidelaneError and told as problem+json. */
export function auditRouter(services: AuditServices): Router {
  const router = Router();
  const trees = new TreeCache(services);
  route(router, "/receipts/:taskId", {
    GET: async (request, response) => void response.json(taskViewToJson(await taskView(services, trees, hexOfLength(request.params.taskId, 32, "taskId")))),
  });
  route(router, "/batches/:batchId", {
    GET: async (request, response) => void response.json(batchToJson(await batchOf(services, request.params.batchId))),
  });
  route(router, "/batches/:batchId/data", {
    GET: async (request, response) => {
      const { header } = await batchOf(services, request.params.batchId);
      response.type("application/json").send(Buffer.from(await bytesOf(services, header.dataHash)));
    },
  });
  route(router, "/records/:hash", {
    GET: async (request, response) => {
      const bytes = await bytesOf(services, hexOfLength(request.params.hash, 32, "hash"));
      // Every table and every batch's data is a JSON object; what is none is an answer, too long for the contract that asked.
      response.set("x-content-type-options", "nosniff").type(bytes[0] === OPENING_BRACE ? "application/json" : "text/plain; charset=utf-8").send(Buffer.from(bytes));
    },
  });
  const openApi = openApiDocument();
  route(router, "/openapi.json", { GET: (_request, response) => void response.json(openApi) });
  return router;
}

async function taskView({ journal, deployment, crypto }: AuditServices, trees: TreeCache, taskId: Hash): Promise<TaskView> {
  const task = await journal.task(taskId);
  if (!task) throw new TidelaneError("This task is not known here.", { code: "unknown_task", details: { taskId } });
  const proofs = task.batch ? proofsOfTask(await trees.of(task.batch), taskId, crypto.keccak256) : null;
  return {
    domain: deployment.domain, taskId, state: task.state,
    attempts: task.attempts.flatMap(({ signed }) => (signed ? [{ record: signed.record, proofs: proofs?.get(signed.receiptHash) ?? null }] : [])),
    unsigned: task.attempts.flatMap(({ signed, assignmentHash, nodeId, cause }) => (signed ? [] : [{ assignmentHash, nodeId, cause: cause ?? "" }])),
    batch: task.batch && batchView(task.batch),
  };
}

async function batchOf({ journal }: AuditServices, text: unknown): Promise<StoredBatch> {
  if (typeof text !== "string" || !/^[1-9]\d{0,18}$/.test(text)) throw new InvalidValueError("batchId", "a batch's number");
  const batch = await journal.batch(BigInt(text));
  if (!batch) throw new TidelaneError("There is no such batch.", { code: "unknown_batch", details: { batchId: text } });
  return batch;
}

async function bytesOf({ records }: AuditServices, hash: Hash): Promise<Uint8Array> {
  const bytes = await records.get(hash);
  if (!bytes) throw new TidelaneError("There are no bytes of this hash here.", { code: "not_found", details: { hash } });
  return bytes;
}

const batchView = ({ header, signature, state, transaction, blockNumber, gasUsed }: StoredBatch): BatchView =>
  ({ header, signature, state, transactionHash: transaction.hash, blockNumber, gasUsed });

const batchToJson = (batch: StoredBatch): Record<string, unknown> => ({
  header: structToJson("BatchHeader", batch.header), headerHash: batch.headerHash, signature: batch.signature, state: batch.state,
  debits: batch.debits.map(({ id, change }) => ({ id, change: String(change) })), credits: batch.credits.map(({ id, change }) => ({ id, change: String(change) })),
  transactionHash: batch.transaction.hash, blockNumber: batch.blockNumber?.toString() ?? null, gasUsed: batch.gasUsed?.toString() ?? null,
});

/** Builds a batch's trees from the very bytes behind its dataHash, once for several questions. */
class TreeCache {
  readonly #services: AuditServices;
  readonly #trees = new Map<Hash, Promise<BatchTrees>>();
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(services: AuditServices) {
    this.#services = services;
  }

  of(batch: StoredBatch): Promise<BatchTrees> {
    let trees = this.#trees.get(batch.headerHash);
    // Asked again it becomes the youngest; the oldest goes.
    this.#trees.delete(batch.headerHash);
    if (!trees) {
      trees = this.#inTurn(() => this.#build(batch.header.dataHash));
      trees.catch(() => this.#trees.delete(batch.headerHash));
    }
    this.#trees.set(batch.headerHash, trees);
    if (this.#trees.size > TREES_CACHED_MAX) this.#trees.delete(this.#trees.keys().next().value!);
    return trees;
  }

  /** @throws `too_many_requests` where many are waiting */
  async #inTurn<Result>(build: () => Promise<Result>): Promise<Result> {
    if (this.#waiting >= BUILDS_WAITING_MAX) throw new TidelaneError("Many batches are being looked up; try again in a moment.", { code: "too_many_requests", retryable: true, details: { retryAfterMs: 2_000 } });
    this.#waiting++;
    const turn = this.#last.then(build);
    this.#last = this.#rested(turn);
    return turn.finally(() => this.#waiting--);
  }

  async #rested(turn: Promise<unknown>): Promise<void> {
    const { clock } = this.#services;
    await this.#last;
    const startedMs = clock.monotonicMs();
    await turn.catch(() => undefined);
    await clock.sleep(REST_TIMES * (clock.monotonicMs() - startedMs));
  }

  async #build(dataHash: Hash): Promise<BatchTrees> {
    const { tasks } = batchDataFromBytes(await bytesOf(this.#services, dataHash));
    return treesOf(recordsOf(tasks), this.#services.crypto.keccak256);
  }
}
