// Nodes' claims on a real chain against a journal in a real Postgres: answered once where the receipt is settled, left alone
// where nothing is to be shown, never paid twice; with the process killed at every step.
import { join } from "node:path";
import { expect } from "chai";
import { Mode } from "../../../protocol/constants.ts";
import { openForceCall, resolveForceCall } from "../../../protocol/forces.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { signerOfKey } from "../../../protocol/signing.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { connectChain, type ViemChain } from "../../../relayer/adapters/chain.ts";
import { createForceReader } from "../../../relayer/adapters/forceReader.ts";
import { openJournal, type PostgresJournal } from "../../../relayer/adapters/journal.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { DiskRecords } from "../../../relayer/adapters/records.ts";
import { Forces, type ForcesOptions } from "../../../relayer/loops/forces.ts";
import { Settlement } from "../../../relayer/loops/settle.ts";
import { Watch } from "../../../relayer/loops/watch.ts";
import { ThrowAwayPostgres } from "../adapters/throwAwayPostgres.ts";
import { accounts, keys, startLocalChain, type LocalChain } from "../localChain.ts";
import { HonestWork } from "./honestWork.ts";
import { bent, catchUp, clock, codeOf, crypto, metrics, never } from "./settleRig.ts";
import type { Log } from "../../../relayer/ports/world.ts";
import type { SignedAttempt } from "../../../relayer/ports/journal.ts";

const identity = { relayerId: 1, epoch: 1, feeBps: 300, signer: signerOfKey(keys.signer) };
const W = 60;

describe("nodes' claims", function () {
  this.timeout(60_000);
  let local: LocalChain;
  let chain: ViemChain;
  let postgres: ThrowAwayPostgres;
  let journal: PostgresJournal;
  let databaseUrl = "";
  let snapshot: unknown;
  const said: string[] = [];
  const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: (_fields, message) => { said.push(message); } };

  before(async () => {
    [local, postgres] = await Promise.all([startLocalChain(W), ThrowAwayPostgres.start("forces")]);
    chain = await connectChain({ rpcUrls: [local.url], chainId: 31_337, addresses: local.addresses, posterKey: accounts.poster });
  });
  after(async () => {
    await postgres?.discard();
    await local?.stop();
  });
  beforeEach(async () => {
    snapshot = await local.rpc("evm_snapshot");
    await catchUp(local, chain);
    await local.rpc("evm_mine");
    said.length = 0;
    databaseUrl = await postgres.freshDatabase();
    journal = await openJournal({ databaseUrl, spoolDir: join(postgres.dir, `spool_${postgres.databases}`), log });
    const sessions = { isEnding: () => true, refreshNow: async () => {}, refreshInTurn: async () => {} };
    await new Watch({ chain, journal, clock, identity, log, metrics, sessions }).begin();
  });
  afterEach(async () => {
    await journal.close();
    await local.rpc("evm_revert", [snapshot]);
  });

  const records = (): DiskRecords => new DiskRecords(join(postgres.dir, "records"));
  const settle = async (): Promise<void> => {
    const sessions = { isEnding: () => true, refreshNow: async () => {}, refreshInTurn: async () => {} };
    const settlement = new Settlement({ chain, journal, records: records(), crypto, clock, identity, log, metrics, sessions, entryCost: 1n });
    await settlement.round(never);
    const stop = new AbortController();
    stop.abort();
    await settlement.run(stop.signal);
  };
  const reader = () => createForceReader([local.url], local.domain.verifyingContract);
  const forces = (bends: Partial<ForcesOptions> = {}): Forces =>
    new Forces({ clock, log, metrics, crypto, identity, journal, records: records(), chain, reader: reader(), isLeading: () => true, ...bends });
  const pass = async (seconds: number): Promise<void> => {
    await local.rpc("evm_increaseTime", [seconds]);
    await local.rpc("evm_mine");
  };
  const send = (data: `0x${string}`): Promise<void> => local.send(accounts.nodeOwner, local.domain.verifyingContract, data);
  const claim = ({ record, ack }: SignedAttempt): Promise<void> => send(openForceCall(record, ack));
  const stateOf = async ({ receiptHash }: SignedAttempt): Promise<string> => (await chain.force(receiptHash)).state;
  /** A new connection to the same database: the process that had the old one is gone. */
  const restart = async (): Promise<void> => {
    await journal.close();
    journal = await openJournal({ databaseUrl, spoolDir: join(postgres.dir, "again"), log });
  };
  const work = async (mode: number = Mode.VOUCHER, bends: Parameters<HonestWork["session"]>[2] = {}): Promise<[SignedAttempt, HonestWork, Awaited<ReturnType<HonestWork["session"]>>]> => {
    const honest = new HonestWork(local, journal);
    const session = await honest.session(chain, mode, bends);
    return [await honest.task(session, 1, 500), honest, session];
  };

  it("answers a claim for a settled receipt with its leaf, and pays nobody twice", async () => {
    const [one, honest, session] = await work();
    const other = await honest.task(session, 2, 40);
    const allowance = await honest.session(chain, Mode.ALLOWANCE);
    const free = await honest.task(allowance, 1, 70);
    await settle();
    await pass(W + 1);
    for (const each of [one, free]) await claim(each);
    const loop = forces();
    await loop.round();
    expect(await Promise.all([one, other, free].map(stateOf))).to.deep.equal(["answered", "none", "answered"]);
    await loop.round();
    await pass(W + 1);
    expect(await codeOf(send(resolveForceCall(one.receiptHash)))).to.match(/reverted/);
    expect((await chain.session(hashStruct("SpendingAuthorization", session)))!).to.include({ charged: one.charge + other.charge, forced: 0n });
    expect(said).to.deep.equal([]);
  });

  it("sees a claimed task settled first, and then answers", async () => {
    const [one] = await work();
    await pass(W + 1);
    await claim(one);
    const loop = forces();
    await loop.round();
    expect(await stateOf(one)).to.equal("open");
    await settle();
    await loop.round();
    expect(await stateOf(one)).to.equal("answered");
  });

  it("leaves a claim that it cannot settle to be paid, and keeps the task out of batches for ever", async () => {
    // The bucket holds ten units: the task can be in no batch, and the bond pays what the session does not.
    const [one] = await work(Mode.ALLOWANCE, { maxPerDay: 5n });
    await pass(W + 1);
    await claim(one);
    const loop = forces();
    await loop.round();
    await pass(W + 1);
    await loop.round();
    await send(resolveForceCall(one.receiptHash));
    expect(await journal.unsettledSessions()).to.have.length(1);
    // Paid, and not yet final: a reorganisation could still undo it.
    await forces({ chain: bent(chain, { finalBatch: async () => ({ timestampSeconds: 0, batchId: 0n }) }) }).round();
    expect(await journal.unsettledSessions()).to.have.length(1);
    await loop.round();
    expect(await journal.unsettledSessions()).to.deep.equal([]);
    expect((await journal.task(one.record.receipt.body.taskId))!.batch).to.equal(null);
    await settle();
    expect((await chain.lastBatch(1)).batchId).to.equal(0n);
  });

  it("keeps a paid task out, too, whose batch was on its way and is given up", async () => {
    const [one] = await work();
    const { taskId } = one.record.receipt.body;
    const lead = (await journal.lead())!;
    const header = {
      relayerId: 1, relayerEpoch: 1, batchId: 1n, prevBatchHash: one.receiptHash, sessionRoot: one.receiptHash, tabRoot: one.receiptHash, leafCount: 1, debitsHash: one.receiptHash,
      creditsHash: one.receiptHash, totalDebit: 1n, totalCredit: 1n, dataHash: one.receiptHash, periodStart: 1, periodEnd: 2, postBy: 3,
    };
    const transaction = { hash: one.receiptHash, raw: "0x" as const, nonce: 0 };
    await journal.putBatch({ header, headerHash: one.receiptHash, signature: one.ack.signature, debits: [], credits: [], transaction, replaced: [], state: "built", blockNumber: null, gasUsed: null }, [taskId], lead);
    await pass(W + 1);
    await claim(one);
    await pass(W + 1);
    await send(resolveForceCall(one.receiptHash));
    const loop = forces();
    await loop.round();
    await journal.updateBatch(1n, "abandoned");
    expect(await journal.unsettledSessions()).to.have.length(1);
    await loop.round();
    expect(await journal.unsettledSessions()).to.deep.equal([]);
    await lead.release();
  });

  it("posts nothing against a claim of work that it never journaled", async () => {
    const elsewhere = new MemoryJournal();
    const honest = new HonestWork(local, elsewhere);
    const stranger = await honest.task(await honest.session(chain, Mode.VOUCHER), 1, 500);
    await pass(W + 1);
    await claim(stranger);
    const nonce = await chain.nonce();
    const loop = forces();
    await loop.round();
    await loop.round();
    expect([await stateOf(stranger), await chain.nonce()]).to.deep.equal(["open", nonce]);
    expect(said).to.deep.equal(["a node claims an acked receipt that this journal does not hold; nothing is answered"]);
  });

  it("answers nothing while another process posts", async () => {
    const [one] = await work();
    await settle();
    await pass(W + 1);
    await claim(one);
    await forces({ isLeading: () => false }).round();
    expect(await stateOf(one)).to.equal("open");
  });

  describe("killed", () => {
    const dead = new TidelaneError("killed", { code: "killed", retryable: true });
    const kills: Record<string, (loop: ViemChain) => Partial<ForcesOptions>> = {
      "before it has read any claim": () => ({ reader: { opened: () => Promise.reject(dead) } }),
      "before its answer is sent": (on) => ({ chain: bent(on, { submit: () => Promise.reject(dead) }) }),
      "when its answer is mined, and before it knows": (on) => ({ chain: bent(on, { submit: async (call) => { await on.submit(call); throw dead; } }) }),
      "before it has noted how far it read": () => ({ journal: bentJournal({ setFact: () => Promise.reject(dead) }) }),
      "after that": () => ({ journal: bentJournal({ setFact: async (...fact) => { await journal.setFact(...fact); throw dead; } }) }),
    };
    const bentJournal = (bends: Partial<ForcesOptions["journal"]>): ForcesOptions["journal"] => ({
      task: (taskId) => journal.task(taskId), markForced: (taskId) => journal.markForced(taskId), getFact: (name) => journal.getFact(name), setFact: (name, value) => journal.setFact(name, value), ...bends,
    });
    for (const [when, kill] of Object.entries(kills)) {
      it(`${when}: the next process answers, once`, async () => {
        const [one] = await work();
        await settle();
        await pass(W + 1);
        await claim(one);
        const nonce = await chain.nonce();
        expect(await codeOf(forces(kill(chain)).round())).to.equal("killed");
        await restart();
        await forces().round();
        await forces().round();
        expect([await stateOf(one), await chain.nonce()]).to.deep.equal(["answered", nonce + 1]);
      });
    }

    for (const when of ["before", "after"] as const) {
      it(`${when} it has marked a task that a claim paid: the next process knows`, async () => {
        const [one] = await work(Mode.ALLOWANCE, { maxPerDay: 5n });
        await pass(W + 1);
        await claim(one);
        await pass(W + 1);
        await send(resolveForceCall(one.receiptHash));
        const markForced = async (taskId: `0x${string}`): Promise<boolean> => {
          if (when === "after") await journal.markForced(taskId);
          throw dead;
        };
        expect(await codeOf(forces({ journal: bentJournal({ markForced }) }).round())).to.equal("killed");
        await restart();
        await forces().round();
        expect(await journal.unsettledSessions()).to.deep.equal([]);
      });
    }
  });

  it("answers again where a reorganisation undid the answer, and drops a claim that it undid", async () => {
    const [one, honest, session] = await work();
    const other = await honest.task(session, 2, 40);
    await settle();
    await pass(W + 1);
    await claim(one);
    const loop = forces();
    const answered = await local.rpc("evm_snapshot");
    await loop.round();
    expect(await stateOf(one)).to.equal("answered");
    await local.rpc("evm_revert", [answered]);
    const claimed = await local.rpc("evm_snapshot");
    await claim(other);
    await loop.round();
    expect(await Promise.all([one, other].map(stateOf))).to.deep.equal(["answered", "answered"]);
    expect(loop.held).to.equal(2);
    await local.rpc("evm_revert", [claimed]);
    await loop.round();
    await local.rpc("anvil_mine", ["0x21"]);
    await loop.round();
    expect(await Promise.all([one, other].map(stateOf))).to.deep.equal(["answered", "none"]);
    await local.rpc("anvil_mine", ["0x21"]);
    await loop.round();
    expect(loop.held).to.equal(0);
  });

  it("tries again what the contract refuses now, and says when its records are gone", async () => {
    const [one] = await work();
    await settle();
    await pass(W + 1);
    await claim(one);
    let refusals = 2;
    const refused = new TidelaneError("no", { code: "call_reverted", details: { reason: "LeafNotSettled(1, 1, 0x)" } });
    const soon = { ...clock, monotonicMs: () => performance.now() * 10_000_000 };
    const loop = forces({ clock: soon, chain: bent(chain, { submit: (call) => (refusals-- > 0 ? Promise.reject(refused) : chain.submit(call)) }) });
    await forces({ records: { get: async () => null } }).round();
    expect(await stateOf(one)).to.equal("open");
    for (let rounds = 0; rounds < 3; rounds++) await loop.round();
    expect(await stateOf(one)).to.equal("answered");
  });
});
