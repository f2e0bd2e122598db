// What every journal promises; run against Postgres and against its twin in memory.
import { expect } from "chai";
import { hashStruct } from "../../../protocol/typedData.ts";
import { Mode } from "../../../protocol/constants.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import type { BatchHeader } from "../../../protocol/generated/structs.ts";
import type { Journal, Lead, StoredBatch, TaskPlace } from "../../../relayer/ports/journal.ts";
import { ended, type Ended } from "../ended.ts";

export interface OpenedJournal {
  readonly journal: Journal;
  close(): Promise<void>;
}

const hash = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;

export function journalSuite(open: () => Promise<OpenedJournal>): void {
  let opened: OpenedJournal;
  let journal: Journal;
  beforeEach(async () => {
    opened = await open();
    journal = opened.journal;
  });
  afterEach(() => opened.close());

  const begin = async (one: Ended): Promise<void> => {
    await journal.putSession(one.session);
    await journal.openTask(one.task, one.voucher);
  };
  const finish = (one: Ended): Promise<void> => journal.finishTask(one.task.taskId, "finished", [one.attempt]);

  it("gives a session back as it was put, and keeps the first of two", async () => {
    const one = await ended();
    await journal.putSession(one.session);
    await journal.putSession({ ...one.session, charged: 99n });
    expect(await journal.session(one.session.sessionId)).to.deep.equal(one.session);
    expect(await journal.sessions()).to.deep.equal([one.session]);
    expect(await journal.session(hash(1))).to.equal(null);
  });

  it("knows an API key until it expires", async () => {
    const one = await ended();
    await journal.putSession(one.session);
    await journal.putApiKey(hash(5), one.session.sessionId, 2_000);
    expect(await journal.sessionOfApiKey(hash(5), 1_999)).to.equal(one.session.sessionId);
    expect(await journal.sessionOfApiKey(hash(5), 2_000)).to.equal(null);
    expect(await journal.sessionOfApiKey(hash(6), 1_999)).to.equal(null);
  });

  it("opens a task once, and keeps the voucher with the greatest cap", async () => {
    const [first, second] = await Promise.all([ended({ voucher: { cumulativeCap: 30_000n } }), ended({ order: { nonce: 2n }, voucher: { cumulativeCap: 20_000n } })]);
    await begin(first);
    await journal.openTask(second.task, second.voucher);
    expect((await journal.session(first.session.sessionId))?.voucher).to.deep.equal(first.voucher);
    expect(await codeOf(journal.openTask(first.task, first.voucher))).to.equal("order_replayed");
    expect((await journal.task(first.task.taskId))?.state).to.equal("open");
  });

  it("lets only one of many equal openings through, and the others' failure does no harm", async () => {
    const [one, other] = await Promise.all([ended(), ended({ order: { nonce: 2n } })]);
    await journal.putSession(one.session);
    const codes = await Promise.all([one, one, other, one].map((each) => codeOf(journal.openTask(each.task, each.voucher))));
    expect(codes.toSorted()).to.deep.equal(["none", "none", "order_replayed", "order_replayed"]);
    expect(codes[2]).to.equal("none");
  });

  it("takes an allowance's nonces one after the other", async () => {
    const allowance = { authorization: { mode: Mode.ALLOWANCE } };
    const [zero, one, two] = await Promise.all([0n, 1n, 2n].map((nonce) => ended({ ...allowance, order: { nonce } })));
    await begin(zero!);
    expect(await codeOf(journal.openTask(two!.task, null))).to.equal("nonce_taken");
    expect(await Promise.all([one!, two!].map((each) => codeOf(journal.openTask(each.task, null))))).to.deep.equal(["none", "none"]);
    expect((await journal.session(zero!.session.sessionId))?.nextNonce).to.equal(3n);
  });

  it("refuses a task of a session that it does not know", async () => {
    const one = await ended();
    expect(await codeOf(journal.openTask(one.task, one.voucher))).to.equal("unknown_session");
  });

  it("ends a task once: attempts, charge and tab together", async () => {
    const one = await ended();
    await begin(one);
    await Promise.all([finish(one), finish(one), journal.finishTask(one.task.taskId, "failed", [])]);
    const task = await journal.task(one.task.taskId);
    expect(task).to.deep.equal({ opened: one.task, state: "finished", attempts: [one.attempt], batch: null });
    expect((await journal.session(one.session.sessionId))?.charged).to.equal(one.attempt.signed!.charge);
    expect(await journal.lastReceipts()).to.deep.equal(new Map([[7, one.record]]));
    expect(await codeOf(journal.finishTask(hash(9), "failed", []))).to.equal("unknown_task");
  });

  it("keeps the greatest receipt of a tab in whatever order they come", async () => {
    const receipts = await Promise.all([3n, 9n, 5n].map((seq, i) => ended({ order: { nonce: BigInt(i) }, receipt: { nodeSeq: seq << 20n } })));
    for (const one of receipts) await begin(one);
    for (const one of receipts) await finish(one);
    expect((await journal.lastReceipts()).get(7)?.receipt.nodeSeq).to.equal(9n << 20n);
  });

  it("keeps attempts without a receipt, in their order", async () => {
    const one = await ended();
    const refused = { ...one.attempt, assignmentHash: hash(3), assignment: { nodeId: 7 }, signed: null, cause: "refused_full" };
    await begin(one);
    await journal.finishTask(one.task.taskId, "finished", [refused, one.attempt]);
    expect((await journal.task(one.task.taskId))?.attempts).to.deep.equal([refused, one.attempt]);
  });

  it("lists what is unsettled by its oldest ack, and failures apart", async () => {
    const [late, early, failed] = await Promise.all([
      ended({ order: { nonce: 1n } }, 1_900_000_300), ended({ order: { nonce: 2n } }, 1_900_000_100), ended({ order: { nonce: 3n } }),
    ]);
    for (const one of [late, early, failed]) await begin(one);
    await finish(late);
    await finish(early);
    await journal.finishTask(failed.task.taskId, "failed", [{ ...failed.attempt, signed: null, cause: "node_disconnected" }]);
    const { sessionId } = early.session;
    const charge = late.attempt.signed!.charge + early.attempt.signed!.charge;
    expect(await journal.unsettledSessions()).to.deep.equal([{ sessionId, charge, oldestAckSeconds: 1_900_000_100 }]);
    expect((await journal.unsettledTasks([sessionId], 10)).map((task) => task.opened.taskId)).to.deep.equal([early.task.taskId, late.task.taskId]);
    expect(await journal.unsettledTasks([sessionId], 1)).to.deep.equal([{ opened: early.task, state: "finished", attempts: [early.attempt] }]);
    expect(await journal.unsettledTasks([hash(1)], 10)).to.deep.equal([]);
    const after = { oldestAckSeconds: 1_900_000_100, taskId: early.task.taskId };
    expect((await journal.unsettledTasks([sessionId], 10, after)).map((task) => task.opened.taskId)).to.deep.equal([late.task.taskId]);
    expect(await journal.unsettledTasks([sessionId], 10, { ...after, oldestAckSeconds: 1_900_000_300, taskId: late.task.taskId })).to.deep.equal([]);
    expect((await journal.unsettledFailures(10)).map((task) => [task.opened.taskId, task.state])).to.deep.equal([[failed.task.taskId, "failed"]]);
  });

  it("keeps contracts' requests apart: asked for by id, never waiting for a batch", async () => {
    const own = await ended({ order: { nonce: 1n } });
    const answered = await ended({ authorization: { mode: Mode.REQUEST, salt: 7n }, order: { nonce: 0n } });
    const failed = await ended({ authorization: { mode: Mode.REQUEST, salt: 8n }, order: { nonce: 0n } });
    for (const one of [own, answered, failed]) await journal.putSession(one.session);
    await journal.openTask(own.task, own.voucher);
    for (const one of [answered, failed]) await journal.openTask(one.task, null);
    for (const one of [own, answered]) await finish(one);
    await journal.finishTask(failed.task.taskId, "failed", []);
    expect((await journal.sessions()).map(({ sessionId }) => sessionId)).to.deep.equal([own.session.sessionId]);
    expect((await journal.session(answered.session.sessionId))?.authorization).to.deep.equal(answered.session.authorization);
    expect((await journal.task(answered.task.taskId))?.attempts).to.deep.equal([answered.attempt]);
    expect((await journal.unsettledSessions()).map(({ sessionId }) => sessionId)).to.deep.equal([own.session.sessionId]);
    expect((await journal.unsettledTasks([own, answered].map(({ session }) => session.sessionId), 10)).map(({ opened: { taskId } }) => taskId)).to.deep.equal([own.task.taskId]);
    expect(await journal.unsettledFailures(10)).to.deep.equal([]);
  });

  it("lists what was acked in one second once, in pages", async () => {
    const many = await Promise.all(Array.from({ length: 5 }, (_, i) => ended({ order: { nonce: BigInt(i) } })));
    for (const one of many) {
      await begin(one);
      await finish(one);
    }
    const seen: Hash[] = [];
    for (let after: TaskPlace | undefined; ;) {
      const page = await journal.unsettledTasks([many[0]!.session.sessionId], 2, after);
      if (page.length === 0) break;
      seen.push(...page.map((task) => task.opened.taskId));
      after = { oldestAckSeconds: 1_900_000_010, taskId: seen.at(-1)! };
    }
    expect(seen).to.deep.equal(many.map((one) => one.task.taskId).toSorted());
  });

  it("ends as failed what was opened too long ago, and only that", async () => {
    const [old, young] = await Promise.all([ended({ order: { nonce: 1n } }), ended({ order: { nonce: 2n } })]);
    await begin(old);
    await begin(young);
    expect(await journal.expireTasks(young.task.openedAtMs, 0)).to.equal(1);
    expect((await journal.task(old.task.taskId))?.state).to.equal("failed");
    expect((await journal.task(young.task.taskId))?.state).to.equal("open");
  });

  it("ends as failed what nobody can serve any more by its order, and still takes its receipt from a process that comes back", async () => {
    const [lost, young] = await Promise.all([ended({ order: { nonce: 1n, deadline: 1_900_000_100 } }), ended({ order: { nonce: 2n, deadline: 1_900_000_101 } })]);
    await begin(lost);
    await begin(young);
    expect(await journal.expireTasks(0, 1_900_000_101)).to.equal(1);
    expect(await journal.expireTasks(0, 1_900_000_101)).to.equal(0);
    expect([(await journal.task(lost.task.taskId))?.state, (await journal.task(young.task.taskId))?.state]).to.deep.equal(["failed", "open"]);
    await finish(lost);
    await journal.finishTask(lost.task.taskId, "failed", []);
    expect(await journal.task(lost.task.taskId)).to.deep.include({ state: "finished", attempts: [lost.attempt] });
    expect((await journal.session(lost.session.sessionId))?.charged).to.equal(lost.attempt.signed!.charge);
  });

  it("takes no receipt any more for a lost task whose end is in a batch", async () => {
    const lost = await ended();
    await begin(lost);
    await journal.expireTasks(lost.task.openedAtMs + 1, 0);
    await journal.putBatch(await batchOf(1n), [lost.task.taskId], await lead());
    expect(await codeOf(finish(lost))).to.equal("task_ended");
    expect(await codeOf(journal.finishTask(lost.task.taskId, "failed", []))).to.equal("none");
    expect(await journal.task(lost.task.taskId)).to.deep.include({ state: "failed", attempts: [] });
    expect((await journal.session(lost.session.sessionId))?.charged).to.equal(0n);
  });

  it("counts a receipt once, whichever task it comes with, and changes nothing where it is refused", async () => {
    const [one, sameSeq, sameReceipt, other] = await Promise.all([1n, 2n, 3n, 4n].map((nonce) => ended({ order: { nonce }, ...(nonce === 2n ? { receipt: { nodeSeq: 2n << 20n } } : {}) })));
    for (const each of [one!, sameSeq!, sameReceipt!, other!]) await begin(each);
    await finish(one!);
    const stolen = { ...sameReceipt!.attempt, signed: { ...sameReceipt!.attempt.signed!, receiptHash: one!.attempt.signed!.receiptHash } };
    const codes = await Promise.all([finish(sameSeq!), journal.finishTask(sameReceipt!.task.taskId, "finished", [stolen]), finish(other!)].map(codeOf));
    expect(codes).to.deep.equal(["receipt_reused", "receipt_reused", "none"]);
    for (const refused of [sameSeq!, sameReceipt!]) expect(await journal.task(refused.task.taskId)).to.deep.include({ state: "open", attempts: [] });
    expect((await journal.session(one!.session.sessionId))?.charged).to.equal(one!.attempt.signed!.charge + other!.attempt.signed!.charge);
    await journal.finishTask(sameSeq!.task.taskId, "failed", [{ ...sameSeq!.attempt, signed: null, cause: "bad_receipt" }]);
    expect((await journal.task(sameSeq!.task.taskId))?.state).to.equal("failed");
  });

  it("takes one of two tasks that end with one receipt at the same moment", async () => {
    const pair = await Promise.all([1n, 2n].map((nonce) => ended({ order: { nonce }, receipt: { nodeSeq: 7n } })));
    for (const each of pair) await begin(each);
    expect((await Promise.all(pair.map((each) => codeOf(finish(each))))).toSorted()).to.deep.equal(["none", "receipt_reused"]);
  });

  it("opens no more than a session covers, whichever process reserved the rest", async () => {
    const many = await Promise.all(Array.from({ length: 5 }, (_, i) => ended({ order: { nonce: BigInt(i), maxFee: 1_000n } })));
    await journal.putSession(many[0]!.session);
    const codes = await Promise.all(many.map(({ task, voucher }) => codeOf(journal.openTask(task, voucher, 3_500n))));
    expect(codes.toSorted()).to.deep.equal(["none", "none", "none", "orders_elsewhere", "orders_elsewhere"]);
    const [opened, refused] = ["none", "orders_elsewhere"].map((code) => many[codes.indexOf(code)]!);
    expect(await journal.task(refused!.task.taskId)).to.equal(null);
    // A charge below the maximum gives the rest back; a failure gives all.
    await finish(opened!);
    const { charge } = opened!.attempt.signed!;
    expect(await codeOf(journal.openTask(refused!.task, refused!.voucher, 3_000n + charge - 1n))).to.equal("orders_elsewhere");
    expect(await codeOf(journal.openTask(refused!.task, refused!.voucher, 3_000n + charge))).to.equal("none");
  });

  const batchOf = async (batchId: bigint, salt = 0): Promise<StoredBatch> => {
    const header: BatchHeader = {
      relayerId: 1, relayerEpoch: 1, batchId, prevBatchHash: ZERO_HASH, sessionRoot: hash(1), tabRoot: hash(2), leafCount: 1, debitsHash: hash(3), creditsHash: hash(4),
      totalDebit: 2n ** 95n, totalCredit: 1n, dataHash: hash(5), periodStart: salt, periodEnd: 2, postBy: 3,
    };
    return {
      header, headerHash: hashStruct("BatchHeader", header), signature: `0x${"ab".repeat(65)}`, debits: [{ id: hash(6), change: 2n ** 95n }], credits: [{ id: hash(7), change: 1n }],
      transaction: { hash: hash(Number(batchId) + 100), raw: "0x02aa", nonce: 4 }, replaced: [], state: "built", blockNumber: null, gasUsed: null,
    };
  };
  const lead = async (): Promise<Lead> => (await journal.lead())!;

  it("claims a batch's tasks, each for one batch only", async () => {
    const [one, other] = await Promise.all([ended(), ended({ order: { nonce: 2n } })]);
    for (const each of [one, other]) {
      await begin(each);
      await finish(each);
    }
    const right = await lead();
    const batch = await batchOf(1n);
    await journal.putBatch(batch, [one.task.taskId], right);
    expect(await journal.batch(1n)).to.deep.equal(batch);
    expect((await journal.task(one.task.taskId))?.batch).to.deep.equal(batch);
    expect((await journal.unsettledTasks([one.session.sessionId], 10)).map((task) => task.opened.taskId)).to.deep.equal([other.task.taskId]);
    expect(await codeOf(journal.putBatch(await batchOf(2n), [one.task.taskId, other.task.taskId], right))).to.equal("already_batched");
    expect(await journal.batch(2n)).to.equal(null);
    expect(await codeOf(journal.putBatch(await batchOf(1n, 1), [other.task.taskId], right))).to.equal("already_batched");
    expect((await journal.task(other.task.taskId))?.batch).to.equal(null);
  });

  it("keeps a task that a force paid out of every batch, and leaves one that stands in a batch there", async () => {
    const [paid, settled] = await Promise.all([ended(), ended({ order: { nonce: 2n } })]);
    for (const each of [paid, settled]) {
      await begin(each);
      await finish(each);
    }
    const right = await lead();
    await journal.putBatch(await batchOf(1n), [settled.task.taskId], right);
    expect([await journal.markForced(paid.task.taskId), await journal.markForced(paid.task.taskId), await journal.markForced(settled.task.taskId), await journal.markForced(hash(9))])
      .to.deep.equal([true, true, false, false]);
    expect([await journal.unsettledSessions(), await journal.unsettledTasks([paid.session.sessionId], 10)]).to.deep.equal([[], []]);
    expect(await codeOf(journal.putBatch(await batchOf(2n), [paid.task.taskId], right))).to.equal("already_batched");
    expect((await journal.task(settled.task.taskId))?.batch).to.not.equal(null);
  });

  it("does not batch a task that is still open", async () => {
    const one = await ended();
    await begin(one);
    expect(await codeOf(journal.putBatch(await batchOf(1n), [one.task.taskId], await lead()))).to.equal("already_batched");
  });

  it("follows a batch through replacement to its block, and frees an abandoned one's tasks for a rebuild of the same id", async () => {
    const one = await ended();
    await begin(one);
    await finish(one);
    const right = await lead();
    const batch = await batchOf(1n);
    await journal.putBatch(batch, [one.task.taskId], right);
    const bumped = { hash: hash(200), raw: "0x02bb", nonce: 4 } as const;
    await journal.updateBatch(1n, "sent", undefined, bumped);
    await journal.updateBatch(1n, "sent", undefined, bumped);
    expect(await journal.batches("sent", 5)).to.deep.equal([{ ...batch, state: "sent", transaction: bumped, replaced: [batch.transaction.hash] }]);
    await journal.updateBatch(1n, "abandoned");
    expect(await journal.batch(1n)).to.equal(null);
    expect((await journal.unsettledTasks([one.session.sessionId], 10)).length).to.equal(1);
    const rebuilt = await batchOf(1n, 1);
    await journal.putBatch(rebuilt, [one.task.taskId], right);
    await journal.updateBatch(1n, "confirmed", { blockNumber: 12n, gasUsed: 345_678n });
    expect(await journal.batch(1n)).to.deep.equal({ ...rebuilt, state: "confirmed", blockNumber: 12n, gasUsed: 345_678n });
    expect((await journal.batches("abandoned", 5)).map((each) => each.headerHash)).to.deep.equal([batch.headerHash]);
    expect(await codeOf(journal.updateBatch(2n, "sent"))).to.equal("unknown_batch");
  });

  it("lists batches newest first", async () => {
    const right = await lead();
    for (const id of [9n, 10n, 11n]) await journal.putBatch(await batchOf(id), [], right);
    expect((await journal.batches("built", 2)).map((batch) => batch.header.batchId)).to.deep.equal([11n, 10n]);
  });

  it("gives the right to post to one at a time, and refuses a former holder", async () => {
    const first = await lead();
    expect(await journal.lead()).to.equal(null);
    await first.release();
    expect(first.isHeld()).to.equal(false);
    const second = await lead();
    expect(second.fence > first.fence).to.equal(true);
    expect(await codeOf(journal.putBatch(await batchOf(1n), [], { ...first, fence: first.fence, isHeld: () => true }))).to.equal("lead_lost");
    await journal.putBatch(await batchOf(1n), [], second);
    await second.release();
  });

  it("remembers a request's answer under its key, and frees a claim that was given up or forgotten", async () => {
    expect(await journal.claimIdempotency(hash(1), "k", hash(2), 1_000)).to.equal(null);
    expect(await journal.claimIdempotency(hash(1), "k", hash(3), 1_001)).to.deep.equal({ requestHash: hash(2), response: null });
    expect(await journal.claimIdempotency(hash(8), "k", hash(3), 1_001)).to.equal(null);
    expect(await journal.keptResponse(hash(1), "k")).to.deep.equal({ response: null, claimedAtMs: 1_000 });
    expect(await journal.keptResponse(hash(1), "another")).to.equal(null);
    await journal.completeIdempotency(hash(1), "k", "{\"a\":1}");
    expect(await journal.keptResponse(hash(1), "k")).to.deep.equal({ response: "{\"a\":1}", claimedAtMs: 1_000 });
    expect(await journal.claimIdempotency(hash(1), "k", hash(2), 2_000)).to.deep.equal({ requestHash: hash(2), response: "{\"a\":1}" });
    await journal.completeIdempotency(hash(8), "k", null);
    expect(await journal.claimIdempotency(hash(8), "k", hash(4), 3_000)).to.equal(null);
    expect(await journal.claimIdempotency(hash(8), "k", hash(5), 3_000 + 16 * 60_000)).to.equal(null);
    expect(await journal.claimIdempotency(hash(1), "k", hash(5), 1_000 + 25 * 3_600_000)).to.equal(null);
    expect(await journal.forgetResponses(3_000 + 16 * 60_000 + 24 * 3_600_000)).to.equal(0);
    expect(await journal.forgetResponses(3_001 + 16 * 60_000 + 24 * 3_600_000)).to.equal(1);
    expect(await journal.keptResponse(hash(8), "k")).to.equal(null);
    expect(await journal.keptResponse(hash(1), "k")).to.deep.equal({ response: null, claimedAtMs: 1_000 + 25 * 3_600_000 });
  });

  it("counts claims that are renewed from then on, and what is complete from when it was claimed", async () => {
    const [minute, one, two] = [60_000, { scope: hash(1), key: "one" }, { scope: hash(2), key: "two" }];
    for (const { scope, key } of [one, two, { scope: hash(1), key: "two" }]) await journal.claimIdempotency(scope, key, hash(3), minute);
    await journal.completeIdempotency(two.scope, two.key, "{}");
    await journal.renewClaims([one, two, { scope: hash(9), key: "none" }], 10 * minute);
    expect(await journal.keptResponse(one.scope, one.key)).to.deep.equal({ response: null, claimedAtMs: 10 * minute });
    expect(await journal.keptResponse(two.scope, two.key)).to.deep.equal({ response: "{}", claimedAtMs: minute });
    expect(await journal.keptResponse(hash(1), "two")).to.deep.equal({ response: null, claimedAtMs: minute });
    expect(await journal.keptResponse(hash(9), "none")).to.equal(null);
    expect(await journal.claimIdempotency(one.scope, one.key, hash(3), 20 * minute)).to.deep.equal({ requestHash: hash(3), response: null });
    expect(await journal.claimIdempotency(hash(1), "two", hash(3), 20 * minute)).to.equal(null);
  });

  it("hands each process what the others told last, the newest first, and forgets who tells no more", async () => {
    const told = (process: string, sequence: number) => ({ process, sequence, text: `{"from":"${process}"}` });
    expect(await journal.shareTallies(told("a", 1), 1_000)).to.deep.equal([]);
    expect(await journal.shareTallies(told("b", 1), 1_001)).to.deep.equal([told("a", 1)]);
    expect(await journal.shareTallies(told("a", 2), 1_002)).to.deep.equal([told("b", 1)]);
    expect(await journal.shareTallies(told("c", 7), 1_003)).to.deep.equal([told("a", 2), told("b", 1)]);
    const minute = 60_000;
    expect(await journal.shareTallies(told("a", 3), 14 * minute)).to.deep.equal([told("c", 7), told("b", 1)]);
    expect(await journal.shareTallies(told("b", 2), 16 * minute)).to.deep.equal([told("a", 3)]);
    expect(await journal.shareTallies(told("d", 1), 16 * minute)).to.deep.equal([told("b", 2), told("a", 3)]);
  });

  it("keeps small facts", async () => {
    expect(await journal.getFact("a")).to.equal(null);
    await journal.setFact("a", "1");
    await journal.setFact("a", "2");
    expect(await journal.getFact("a")).to.equal("2");
    expect(await journal.replaceFact("a", "1", "3")).to.equal(false);
    expect(await journal.replaceFact("a", null, "3")).to.equal(false);
    expect((await Promise.all(["3", "4"].map((value) => journal.replaceFact("a", "2", value)))).filter(Boolean).length).to.equal(1);
    expect((await Promise.all(["5", "6"].map((value) => journal.replaceFact("b", null, value)))).filter(Boolean).length).to.equal(1);
  });
}

export const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(() => "none", (error: unknown) => (error instanceof TidelaneError ? error.code : `not a TidelaneError: ${String(error)}`));
