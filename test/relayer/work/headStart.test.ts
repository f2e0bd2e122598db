// Tasks whose row is still on its way to disk: what may happen before it is there, and what comes of it where it is refused.
import { expect } from "chai";
import { Mode, RefusalReason } from "../../../protocol/constants.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { signStruct } from "../../../protocol/signing.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { saltedCommit } from "../../../protocol/ids.ts";
import { bytesToHex } from "viem/utils";
import { journalErrors } from "../../../relayer/adapters/journal/errors.ts";
import { SessionBook } from "../../../relayer/work/sessionBook.ts";
import { domain, payer, session } from "../../protocol/honest.ts";
import { until } from "../until.ts";
import { all, endOf, failure, textOf } from "./taskChecks.ts";
import { answers, type Script } from "./world.ts";
import { coverRequestOf, rigOf, SESSION, SlowJournal, TERMS, type Rig } from "./headStartRig.ts";
import type { StoredTask } from "../../../relayer/ports/journal.ts";
import type { TaskOrder } from "../../../protocol/generated/structs.ts";

const PAUSE_MS = 60_000;
const away = (): TidelaneError => journalErrors.unavailable(null);

describe("a task ahead of its row", () => {
  let journal: SlowJournal;
  beforeEach(() => { journal = new SlowJournal(); });

  /** With a session that this process has served before. */
  const provenRig = async (...scripts: Script[]): Promise<Rig> => {
    const rig = await rigOf(journal, null, answers("first"), ...scripts.slice(1));
    await all(await rig.ask());
    rig.world.nodes[0]!.script = scripts[0] ?? answers("Once", " upon");
    return rig;
  };
  const storedOf = async (rig: Rig, at: number): Promise<StoredTask | null> => await journal.task(hashStruct("TaskOrder", rig.world.requests[at]!.covered.order));
  const isSettled = async (work: Promise<unknown>): Promise<boolean> => {
    let settled = false;
    work.then(() => (settled = true), () => (settled = true));
    for (let turn = 0; turn < 5; turn++) await new Promise((next) => setImmediate(next));
    return settled;
  };

  for (const isStreamed of [true, false]) {
    it(`is worked on at once, and nothing of its answer leaves or counts before the row is there (${isStreamed ? "streamed" : "whole"})`, async () => {
      const rig = await provenRig();
      const before = { charged: (await journal.session(SESSION))!.charged, acks: rig.world.acks.length };
      journal.hold();
      const start = rig.ask({ isStreamed });
      await until(() => rig.world.requests.length === 2);
      if (!isStreamed) await until(() => rig.world.nodes[0]!.seq > (1n << 20n) + 1n);
      expect([await isSettled(start), await storedOf(rig, 1), rig.world.acks.length, (await journal.session(SESSION))!.charged]).to.deep.equal([false, null, before.acks, before.charged]);
      expect(rig.world.steps.filter((step) => step.startsWith("journaled"))).to.deep.equal([]);
      journal.letGo();
      const events = await all(await start);
      expect(textOf(events)).to.equal("Once upon");
      expect([(await storedOf(rig, 1))?.state, rig.world.acks.length]).to.deep.equal(["finished", before.acks + 1]);
      expect((await journal.session(SESSION))!.charged).to.equal(before.charged + BigInt(endOf(events).cost.charge));
      expect(await rig.sessions.describe(SESSION)).to.include({ reserved: "0", charged: String(before.charged + BigInt(endOf(events).cost.charge)) });
    });

    it(`is stopped at its node where the row is refused, and costs nobody anything (${isStreamed ? "streamed" : "whole"})`, async () => {
      const rig = await provenRig(async function* (attempt) { yield { type: "start", inputTokens: 5 }; yield attempt.delta("Once"); await attempt.hang(); });
      const before = { charged: (await journal.session(SESSION))!.charged, acks: rig.world.acks.length };
      // Nobody waits for the node to fall silent.
      Object.assign(rig.world.limits, { startMsMax: 600_000, firstTokenMsMax: 600_000, gapMsMax: 600_000, cancelMsMax: 600_000 });
      journal.hold();
      const start = failure(rig.ask({ isStreamed }));
      await until(() => rig.world.requests.length === 2);
      journal.refusals.push(journalErrors.ordersElsewhere(SESSION, 2n, 1n));
      journal.letGo();
      expect((await start).code).to.equal("orders_elsewhere");
      expect(rig.world.cancels).to.deep.equal([{ assignmentHash: hashStruct("Assignment", rig.world.requests[1]!.assignment), reason: "relayer" }]);
      expect(rig.world.outcomes).to.deep.equal(["completed", "cancelled"]);
      expect([await storedOf(rig, 1), rig.world.acks.length, rig.tasks.running]).to.deep.equal([null, before.acks, 0]);
      // No end of it either: a spool would keep it for a person to look at.
      expect(journal.ends).to.have.length(1);
      expect(await rig.sessions.describe(SESSION)).to.include({ reserved: "0", charged: String(before.charged) });
    });
  }

  it("is not sent any more where its row was refused before a node was found", async () => {
    const rig = await provenRig();
    journal.refusals.push(away());
    expect((await failure(rig.ask())).code).to.equal("journal_unavailable");
    expect([rig.world.requests.length, rig.world.cancels, rig.world.outcomes]).to.deep.equal([1, [], ["completed", "unsent"]]);
  });

  it("is not tried again, nor told that it waits, before the row is there", async () => {
    const rig = await provenRig(async function* (attempt) { yield await attempt.refuse(RefusalReason.DRAINING); }, answers("other"));
    journal.hold();
    const start = rig.ask();
    await until(() => rig.world.requests.length === 2);
    expect([await isSettled(start), rig.world.requests.length]).to.deep.equal([false, 2]);
    journal.letGo();
    expect(textOf(await all(await start))).to.equal("other");
    rig.world.waiting = [{ type: "waiting", position: 1, expectedInMs: 10 }];
    journal.hold();
    const waits = rig.ask();
    await until(() => rig.world.chosen.length === 4);
    expect(await isSettled(waits)).to.equal(false);
    journal.letGo();
    expect((await waits).isWaiting).to.equal(true);
    await all(await waits);
  });

  it("is written down before it is sent where this process has not served the session before, and a while after a row was refused", async () => {
    const rig = await rigOf(journal, null, answers("x"));
    const isAhead = async (): Promise<boolean> => {
      journal.hold();
      const cover = rig.sessions.cover(coverRequestOf(rig));
      const ahead = await isSettled(cover);
      journal.letGo();
      (await cover).release();
      return ahead;
    };
    expect([await isAhead(), await isAhead()]).to.deep.equal([false, true]);
    journal.refusals.push(away());
    expect((await failure((await rig.sessions.cover(coverRequestOf(rig))).opened)).code).to.equal("journal_unavailable");
    expect([await isAhead(), await isAhead()]).to.deep.equal([false, false]);
    rig.clock.lateMs += PAUSE_MS;
    expect([await isAhead(), await isAhead()]).to.deep.equal([false, true]);
  });

  it("is written down before it is sent while many rows wait", async () => {
    const rig = await provenRig();
    journal.hold();
    const covers = Array.from({ length: 130 }, () => rig.sessions.cover(coverRequestOf(rig)));
    expect(await Promise.all([covers[127]!, covers[128]!].map(isSettled))).to.deep.equal([true, false]);
    journal.letGo();
    await Promise.all(covers);
  });

  it("is written down before it is sent for an hour after so many were in vain: nodes keep their receipts that long", async () => {
    const rig = await provenRig();
    const cover = () => rig.sessions.cover(coverRequestOf(rig));
    journal.hold();
    const covers = await Promise.all(Array.from({ length: 128 }, cover));
    journal.refusals.push(...covers.map(away));
    journal.letGo();
    await Promise.all(covers.map(({ opened }) => failure(opened)));
    const isAhead = async (): Promise<boolean> => {
      // The first finds the next nonce, the second earns the session its head start again.
      for (let i = 0; i < 2; i++) {
        rig.clock.lateMs += PAUSE_MS;
        (await cover()).release();
      }
      journal.hold();
      const asked = cover();
      const ahead = await isSettled(asked);
      journal.letGo();
      (await asked).release();
      return ahead;
    };
    expect(await isAhead()).to.equal(false);
    rig.clock.lateMs += 3_600_000 - 4 * PAUSE_MS - 30_000;
    expect(await isAhead(), "half a minute before").to.equal(false);
    rig.clock.lateMs += 30_000;
    expect(await isAhead()).to.equal(true);
  });

  it("never is one that the payer signed: the payer could send it again", async () => {
    const rig = await rigOf(journal, null, answers("x"));
    const terms = { ...TERMS, mode: Mode.VOUCHER, salt: 2n };
    const { sessionId } = await rig.sessions.register(terms, await signStruct(payer, domain, "SpendingAuthorization", terms));
    const request = coverRequestOf(rig);
    const promptSalt = `0x${"5a".repeat(32)}` as const;
    const cover = async (nonce: bigint) => {
      const order: TaskOrder = {
        sessionId, nonce, promptCommit: saltedCommit(promptSalt, bytesToHex(request.body)), modelId: request.modelId, tier: 0, maxOutTokens: 50, maxFee: 1_000n, deadline: Math.floor(rig.clock.nowMs() / 1_000) + 600,
      };
      const voucher = { sessionId, cumulativeCap: 10_000n, taskId: hashStruct("TaskOrder", order) };
      return rig.sessions.cover({ ...request, apiKey: null, payment: { order, voucher, voucherSignature: await signStruct(session, domain, "Voucher", voucher), promptSalt } });
    };
    await cover(1n);
    const rowsBefore = journal.rows;
    journal.hold();
    const second = cover(2n);
    await until(() => journal.rows > rowsBefore);
    expect(await isSettled(second)).to.equal(false);
    journal.letGo();
    await second;
  });

  it("begins anew under the next nonce where another process was faster, and nobody notices", async () => {
    const rig = await provenRig();
    const other = await rigOf(journal, rig.apiKey, answers("theirs"));
    // The same node, on its other connection.
    other.world.nodes[0]!.seq += 1n << 20n;
    await all(await other.ask());
    const rowsBefore = journal.rows;
    journal.hold();
    const running = Array.from({ length: 8 }, () => rig.ask());
    await until(() => rig.world.requests.length === 9);
    journal.letGo();
    const events = await Promise.all((await Promise.all(running)).map(all));
    expect(events.map(textOf)).to.deep.equal(Array.from({ length: 8 }, () => "Once upon"));
    expect([rig.counted.get("tasks_withdrawn_total"), rig.world.cancels.length]).to.deep.equal([1, 1]);
    // One row in vain: the others' nonces were theirs.
    expect(journal.rows - rowsBefore).to.equal(9);
    expect((await journal.session(SESSION))!.nextNonce).to.equal(10n);
    const states = await Promise.all(rig.world.requests.map((_, i) => storedOf(rig, i)));
    expect(states.filter((task) => task === null)).to.have.length(1);
    const nonces = states.flatMap((task) => (task ? [Number(task.opened.order.nonce)] : []));
    expect(nonces.toSorted((a, b) => a - b)).to.deep.equal([0, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("takes the first word on where the nonces are, not those of others that were given theirs before it", () => {
    const book = new SessionBook({ sessionId: SESSION, authorization: TERMS, nextNonce: 8n, charged: 0n, voucher: null });
    book.correctNonce(5n, 2n, 0);
    expect(book.nextNonce).to.equal(2n);
    book.nextNonce = 4n;
    book.correctNonce(6n, 2n, 0);
    expect(book.nextNonce).to.equal(4n);
    book.correctNonce(3n, 9n, book.nonceCorrections);
    expect(book.nextNonce).to.equal(9n);
  });

  it("is lost with all behind it where its own row was, and each of them begins anew once", async () => {
    const rig = await provenRig();
    journal.hold();
    const first = failure(rig.ask());
    const later = Array.from({ length: 5 }, () => rig.ask());
    await until(() => rig.world.requests.length === 7);
    journal.refusals.push(away());
    journal.letGo();
    expect((await first).code).to.equal("journal_unavailable");
    expect((await Promise.all((await Promise.all(later)).map(all))).map(textOf)).to.deep.equal(Array.from({ length: 5 }, () => "Once upon"));
    expect([rig.counted.get("tasks_withdrawn_total"), (await journal.session(SESSION))!.nextNonce]).to.deep.equal([5, 6n]);
    // Six that were lost, and five once more: the first refusal told all of them where the nonces are.
    expect(journal.rows).to.equal(1 + 6 + 5);
    expect(await rig.sessions.describe(SESSION)).to.include({ reserved: "0" });
  });
});
