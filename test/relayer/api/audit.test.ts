// The audit endpoints over real HTTP: what they hand out hashes up to the batch, in the form that auditors read.
import { expect } from "chai";
import { keccak256 } from "viem/utils";
import { auditRouter } from "../../../relayer/api/audit.ts";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { MemoryRecords } from "../../../relayer/adapters/records.ts";
import { buildBatch } from "../../../relayer/settlement/batch.ts";
import { batchDataFromBytes } from "../../../protocol/batchData.ts";
import { structFromJson } from "../../../protocol/json.ts";
import { leafOf, sessionLeaf, tabLeaf } from "../../../protocol/records.ts";
import { recoverWithViem } from "../../../protocol/signing.ts";
import { taskViewFromJson } from "../../../protocol/taskView.ts";
import { walkProof } from "../../../protocol/merkleSum.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import { domain } from "../../protocol/honest.ts";
import { until } from "../until.ts";
import { ended, type Ended } from "../ended.ts";
import { startApi, type TestApi } from "./server.ts";

describe("the audit endpoints", () => {
  const journal = new MemoryJournal();
  const records = new MemoryRecords();
  const settled: Ended[] = [];
  let open: Ended;
  let api: TestApi;

  before(async () => {
    const deployment = { domain, addresses: {}, windowSeconds: 20, epochSeconds: 15, leverage: 5 };
    api = await startApi({ routers: [auditRouter({ journal, records, deployment, crypto: { keccak256, recover: recoverWithViem }, clock: systemClock })] });
    for (let i = 0; i < 3; i++) settled.push(await ended({ order: { nonce: BigInt(i) }, voucher: { cumulativeCap: 30_000n }, receipt: { nodeSeq: BigInt(i + 1), nodeCumulative: 1_000n * BigInt(i + 1) } }));
    open = await ended({ order: { nonce: 9n } });
    await journal.putSession(open.session);
    const refused = { ...settled[0]!.attempt, assignmentHash: ZERO_HASH, signed: null, cause: "refused_full" };
    for (const one of [...settled, open]) await journal.openTask(one.task, one.voucher);
    for (const [i, one] of settled.entries()) await journal.finishTask(one.task.taskId, "finished", i === 0 ? [refused, one.attempt] : [one.attempt]);
    await settle();
  });
  after(() => api.close());

  const settle = async (): Promise<void> => {
    const tasks = await journal.unsettledTasks([open.session.sessionId], 10);
    const { sessionId } = open.session;
    const built = buildBatch({
      relayerId: 1, relayerEpoch: 1, batchId: 1n, prevBatchHash: ZERO_HASH, periodStart: 1, periodEnd: 2, postBy: 3,
      tasks: tasks.map((task) => ({ taskId: task.opened.taskId, state: task.state, order: task.opened.order, openedAtMs: task.opened.openedAtMs, attempts: task.attempts })),
      sessions: new Map([[sessionId, { charged: 0n, provenCap: 0n, voucher: settled[0]!.voucher }]]),
      tabs: new Map([[7, { earned: 0n, provenEarned: 0n, lastReceipt: (await journal.lastReceipts()).get(7)! }]]),
    }, keccak256, (bytes) => keccak256(bytes));
    await records.put(built.header.dataHash, built.data);
    await journal.putBatch({
      header: built.header, headerHash: built.headerHash, signature: `0x${"ab".repeat(65)}`, debits: built.debitItems, credits: built.creditItems,
      transaction: { hash: `0x${"cd".repeat(32)}`, raw: "0x02", nonce: 0 }, replaced: [], state: "confirmed", blockNumber: 12n, gasUsed: 345n,
    }, built.taskIds, (await journal.lead())!);
  };
  const get = (path: string): Promise<Response> => fetch(`${api.url}/tidelane/v1${path}`);
  const json = async (path: string): Promise<Record<string, unknown>> => await (await get(path)).json() as Record<string, unknown>;

  it("hand out a settled task with proofs that lead to both roots", async () => {
    for (const one of settled) {
      const view = taskViewFromJson(await json(`/receipts/${one.task.taskId}`));
      expect([view.taskId, view.state, view.domain.verifyingContract, view.batch?.state, view.batch?.blockNumber, view.batch?.gasUsed])
        .to.deep.equal([one.task.taskId, "finished", domain.verifyingContract, "confirmed", 12n, 345n]);
      const [attempt] = view.attempts;
      expect(attempt!.record).to.deep.equal(one.record);
      const { header } = view.batch!;
      const leaf = leafOf(attempt!.record);
      expect(walkProof(sessionLeaf(leaf), attempt!.proofs!.session, header.leafCount)?.root).to.deep.equal({ hash: header.sessionRoot, sum: header.totalDebit });
      expect(walkProof(tabLeaf(leaf), attempt!.proofs!.tab, header.leafCount)?.root).to.deep.equal({ hash: header.tabRoot, sum: header.totalCredit });
    }
  });

  it("name attempts without a receipt, and tasks without a batch", async () => {
    const first = taskViewFromJson(await json(`/receipts/${settled[0]!.task.taskId}`));
    expect(first.unsigned).to.deep.equal([{ assignmentHash: ZERO_HASH, nodeId: 7, cause: "refused_full" }]);
    const waiting = taskViewFromJson(await json(`/receipts/${open.task.taskId}`));
    expect([waiting.state, waiting.attempts, waiting.batch]).to.deep.equal(["open", [], null]);
  });

  it("hand out a batch and the exact bytes behind its dataHash", async () => {
    const batch = await json("/batches/1");
    const header = structFromJson("BatchHeader", batch.header);
    expect(hashStruct("BatchHeader", header)).to.equal(batch.headerHash);
    expect(batch).to.deep.include({ state: "confirmed", gasUsed: "345", debits: [{ id: open.session.sessionId, change: String(header.totalDebit) }] });
    for (const path of ["/batches/1/data", `/records/${header.dataHash}`]) {
      const bytes = new Uint8Array(await (await get(path)).arrayBuffer());
      expect(keccak256(bytes)).to.equal(header.dataHash);
      expect(batchDataFromBytes(bytes).tasks.map((task) => task.taskId).toSorted()).to.deep.equal(settled.map((one) => one.task.taskId).toSorted());
    }
  });

  it("hand out a contract's long answer as the text that it is, under its commitment", async () => {
    const [commit, answer]: [Hash, string] = [`0x${"0c".repeat(32)}`, "It will rain. ☂ ".repeat(400)];
    await records.put(commit, Buffer.from(answer));
    const response = await get(`/records/${commit}`);
    expect(response.headers.get("content-type")).to.equal("text/plain; charset=utf-8");
    expect(response.headers.get("x-content-type-options")).to.equal("nosniff");
    expect(await response.text()).to.equal(answer);
  });

  it("say in problem+json what they do not have or understand", async () => {
    const nothing: Hash = `0x${"00".repeat(32)}`;
    const cases: [string, number, string][] = [
      [`/receipts/${nothing}`, 404, "unknown_task"], ["/receipts/0x12", 400, "invalid_value"], ["/batches/2", 404, "unknown_batch"], ["/batches/0", 400, "invalid_value"],
      ["/batches/9999999999999999999999", 400, "invalid_value"], ["/batches/2/data", 404, "unknown_batch"], [`/records/${nothing}`, 404, "not_found"],
    ];
    for (const [path, status, code] of cases) {
      const response = await get(path);
      expect([response.status, response.headers.get("content-type")], path).to.deep.equal([status, "application/problem+json; charset=utf-8"]);
      expect(await response.json(), path).to.include({ code, status });
    }
  });

  it("build the trees of one batch at a time, rest between them, and turn away whom they would keep waiting for long", async () => {
    const known = (await journal.task(settled[0]!.task.taskId))!;
    const { header } = known.batch!;
    let [building, most, built] = [0, 0, 0];
    const gate = Promise.withResolvers<void>();
    const rests: number[] = [];
    let now = 0;
    const busy = await startApi({ routers: [auditRouter({
      // Each task in a batch of its own.
      journal: { task: async (taskId) => ({ ...known, batch: { ...known.batch!, headerHash: taskId } }), batch: async () => null },
      records: {
        put: async () => {},
        async get() {
          most = Math.max(most, ++building);
          await gate.promise;
          now += 10;
          building--;
          built++;
          return records.get(header.dataHash);
        },
      },
      deployment: { domain, addresses: {}, windowSeconds: 20, epochSeconds: 15, leverage: 5 }, crypto: { keccak256, recover: recoverWithViem },
      clock: { nowMs: () => now, monotonicMs: () => now, sleep: async (ms) => void rests.push(ms) },
    })] });
    const ask = async (i: number): Promise<number> => (await fetch(`${busy.url}/tidelane/v1/receipts/0x${String(i).padStart(64, "0")}`)).status;
    const statuses: number[] = [];
    const asked = Promise.all(Array.from({ length: 20 }, async (_, i) => statuses.push(await ask(i))));
    await until(() => statuses.length === 4);
    expect(statuses).to.deep.equal([429, 429, 429, 429]);
    gate.resolve();
    await asked;
    expect(statuses.slice(4)).to.deep.equal(Array.from({ length: 16 }, () => 200));
    expect([most, built]).to.deep.equal([1, 16]);
    expect(rests.slice(0, 15)).to.deep.equal(Array.from({ length: 15 }, () => 40));
    expect(await ask(99), "afterwards").to.equal(200);
    await busy.close();
  });

  it("describe every route of the API", async () => {
    const document = await json("/openapi.json") as { openapi: string; paths: Record<string, Record<string, unknown>>; components: { schemas: object } };
    expect(document.openapi).to.equal("3.1.0");
    const refs = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1]!);
    expect(refs.filter((name) => !(name in document.components.schemas))).to.deep.equal([]);
    for (const [path, methods] of Object.entries(document.paths)) {
      const url = `${api.url}${path.replace(/\{(batchId|nodeId)\}/, "1").replace(/\{\w+\}/, `0x${"00".repeat(32)}`)}`;
      for (const method of Object.keys(methods)) {
        const response = await fetch(url, { method: method.toUpperCase(), ...(method === "post" ? { body: "{}", headers: { "content-type": "application/json" } } : {}) });
        const text = await response.text();
        expect(text, `${method} ${path}`).not.to.match(/route_not_found|method_not_allowed/);
      }
    }
  });
});
