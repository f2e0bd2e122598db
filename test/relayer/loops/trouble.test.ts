// Settlement in trouble: two journals, clocks that differ, a poster without gas, a contract that says no. Nobody pays twice, and it is told.
import { expect } from "chai";
import { encodeFunctionData, keccak256 } from "viem";
import { BatchSettlementAbi } from "../../../protocol/generated/abi/BatchSettlement.ts";
import { Mode } from "../../../protocol/constants.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { signerOfKey } from "../../../protocol/signing.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import type { SpendingAuthorization } from "../../../protocol/generated/structs.ts";
import { ZERO_HASH, type Hash, type Seconds } from "../../../protocol/units.ts";
import { connectChain, type ViemChain } from "../../../relayer/adapters/chain.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { MemoryRecords } from "../../../relayer/adapters/records.ts";
import { assemble } from "../../../relayer/loops/assemble.ts";
import { Settlement } from "../../../relayer/loops/settle.ts";
import { Watch } from "../../../relayer/loops/watch.ts";
import type { Clock, Log } from "../../../relayer/ports/world.ts";
import type { Chain } from "../../../relayer/ports/chain.ts";
import type { Journal, SignedAttempt } from "../../../relayer/ports/journal.ts";
import { accounts, keys, startLocalChain, type LocalChain } from "../localChain.ts";
import { HonestWork } from "./honestWork.ts";
import { bent, catchUp, clock, codeOf, crypto, metrics, never, until } from "./settleRig.ts";

const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const identity = { relayerId: 1, epoch: 1, feeBps: 300, signer: signerOfKey(keys.signer) };
const idOf = (authorization: SpendingAuthorization): Hash => hashStruct("SpendingAuthorization", authorization);
const wallSeconds = (): Seconds => Math.floor(Date.now() / 1_000);

describe("settlement in trouble", function () {
  this.timeout(60_000);
  let local: LocalChain;
  let chain: ViemChain;
  /** The other process's: each has a nonce queue of its own. */
  let theirChain: ViemChain;
  let snapshot: unknown;

  before(async () => {
    local = await startLocalChain();
    const connected = () => connectChain({ rpcUrls: [local.url], chainId: 31_337, addresses: local.addresses, posterKey: accounts.poster });
    [chain, theirChain] = [await connected(), await connected()];
  });
  after(() => local?.stop());
  beforeEach(async () => {
    snapshot = await local.rpc("evm_snapshot");
    await catchUp(local, chain);
  });
  afterEach(() => local.rpc("evm_revert", [snapshot]));

  interface Setup {
    readonly on?: Chain;
    readonly at?: Clock;
    /** False: sessions settle when they are due, not at once. */
    readonly isEnding?: boolean;
  }
  const sessionsOf = (isEnding: boolean) => ({ isEnding: () => isEnding, refreshNow: async () => {}, refreshInTurn: async () => {} });
  const settlementOf = (journal: Journal, { on = chain, at = clock, isEnding = true }: Setup = {}): Settlement =>
    new Settlement({ chain: on, journal, records: new MemoryRecords(), crypto, clock: at, identity, log, metrics, sessions: sessionsOf(isEnding), entryCost: 10n ** 9n });
  const watchOf = (journal: Journal): Watch => new Watch({ chain, journal, clock, identity, log, metrics, sessions: sessionsOf(true) });
  const begun = async (): Promise<MemoryJournal> => {
    const journal = new MemoryJournal();
    await watchOf(journal).begin();
    return journal;
  };
  const chargedOf = async (authorization: SpendingAuthorization): Promise<bigint> => (await chain.session(idOf(authorization)))!.charged;

  /** Two journals that hold the same finished task, as a restored copy and its original do; their batches differ in the data. */
  const copies = async (): Promise<{ ours: MemoryJournal; theirs: MemoryJournal; session: SpendingAuthorization; charge: bigint }> => {
    const [ours, theirs] = [await begun(), await begun()];
    const work = new HonestWork(local, ours);
    const session = await work.session(chain, Mode.ALLOWANCE);
    const { record, charge } = await work.task(session, 1, 500);
    await theirs.putSession({ sessionId: idOf(session), authorization: session, nextNonce: 0n, charged: 0n, voucher: null });
    const { opened, attempts } = (await ours.task(record.receipt.body.taskId))!;
    await theirs.openTask(opened, null);
    await theirs.finishTask(opened.taskId, "finished", attempts.map((attempt) => ({ ...attempt, decision: "{\"copy\":true}" })));
    return { ours, theirs, session, charge };
  };

  it("stops for good where another journal's batch takes our batch's place, and rebuilds none of its tasks", async () => {
    const { ours, theirs, session, charge } = await copies();
    const other = settlementOf(theirs, { on: theirChain });
    let isFirst = true;
    // The other's batch lands after ours was stored and signed, and before it is sent.
    const late = bent(chain, {
      simulate: async (call) => {
        if (isFirst) expect(await other.round(never)).to.equal(true);
        isFirst = false;
        return chain.simulate(call);
      },
    });
    const settlement = settlementOf(ours, { on: late });
    expect(await codeOf(settlement.round(never))).to.equal("batch_refused");
    for (let again = 0; again < 2; again++) expect(await codeOf(settlement.round(never))).to.equal("journal_forked");
    expect(await chargedOf(session)).to.equal(charge);
    expect((await ours.batch(1n))?.state).to.equal("built");
    expect([await ours.unsettledSessions(), await ours.batches("abandoned", 9)]).to.deep.equal([[], []]);
    // Neither time nor a new process frees them.
    await local.rpc("evm_increaseTime", [3_600]);
    await local.rpc("evm_mine");
    expect(await codeOf(settlementOf(theirs, { on: theirChain }).round(never))).to.equal("none");
    await settlement.run(AbortSignal.abort());
    const next = settlementOf(ours);
    expect(await codeOf(next.round(never))).to.equal("journal_forked");
    expect(await chargedOf(session)).to.equal(charge);
  });

  it("tells of it where everybody looks, and not as something that passes", async () => {
    const { ours, theirs } = await copies();
    await settlementOf(theirs, { on: theirChain }).round(never);
    const watch = watchOf(ours);
    await watch.round();
    expect(watch.problem).to.include({ code: "journal_older_than_chain", retryable: false });
    const settlement = settlementOf(ours);
    const stop = new AbortController();
    const running = settlement.run(stop.signal);
    await until(() => settlement.problem !== null);
    expect(settlement.status()).to.deep.include({ leading: true, problem: { code: "journal_older_than_chain", message: settlement.problem!.message, retryable: false } });
    stop.abort();
    await running;
    const mine = watchOf(theirs);
    await mine.round();
    expect(mine.problem).to.equal(null);
  });

  it("sees a foreign batch in the place of a confirmed one of ours", async () => {
    const { ours, theirs, session, charge } = await copies();
    const before = await local.rpc("evm_snapshot");
    const settlement = settlementOf(ours);
    expect(await settlement.round(never)).to.equal(true);
    await local.rpc("evm_revert", [before]);
    await catchUp(local, chain);
    expect(await settlementOf(theirs, { on: theirChain }).round(never)).to.equal(true);
    const watch = watchOf(ours);
    await watch.round();
    expect(watch.problem?.code).to.equal("journal_forked");
    const { record } = await new HonestWork(local, ours).task(session, 2, 10);
    expect(await codeOf(settlement.round(never))).to.equal("journal_forked");
    expect((await ours.task(record.receipt.body.taskId))?.batch).to.equal(null);
    expect(await chargedOf(session)).to.equal(charge);
  });

  it("does not give a batch up on the word of a server that lags behind", async () => {
    const journal = await begun();
    const work = new HonestWork(local, journal);
    const session = await work.session(chain, Mode.VOUCHER);
    const { charge } = await work.task(session, 1, 500);
    const killed = settlementOf(journal, { on: bent(chain, { broadcast: (raw) => chain.broadcast(raw).then(() => { throw new Error("killed"); }) }) });
    await killed.round(never).catch(() => {});
    await killed.run(AbortSignal.abort());
    const { header, transaction } = (await journal.batch(1n))!;
    // The server answers before it has mined: the block below would otherwise hold the batch, too late for it.
    await until(async () => (await chain.receipt(transaction.hash)) !== null);
    await local.rpc("evm_setNextBlockTimestamp", [header.postBy + 1]);
    await local.rpc("evm_mine");
    const lagging = settlementOf(journal, { on: bent(chain, { lastBatch: async () => ({ batchId: 0n, hash: header.prevBatchHash }) }) });
    expect(await lagging.round(never)).to.equal(false);
    expect(await journal.batches("abandoned", 9)).to.deep.equal([]);
    await lagging.run(AbortSignal.abort());
    await settlementOf(journal).round(never);
    expect([(await journal.batch(1n))?.state, await chargedOf(session)]).to.deep.equal(["confirmed", charge]);
  });

  it("sends nothing more for a batch that is mined while a server that lags behind does not know it", async () => {
    const journal = await begun();
    const work = new HonestWork(local, journal);
    const session = await work.session(chain, Mode.VOUCHER);
    const { charge } = await work.task(session, 1, 500);
    // Three times as long as a transaction may stand in no block before it is sent again for more.
    let lagsUntilMs = Infinity;
    const sent: Hash[] = [];
    const lagging = bent(chain, {
      broadcast: async (raw) => {
        sent.push(keccak256(raw));
        if (lagsUntilMs === Infinity) lagsUntilMs = clock.monotonicMs() + 60_000;
        await chain.broadcast(raw);
      },
      lastBatch: async (relayerId) => (clock.monotonicMs() < lagsUntilMs ? { batchId: 0n, hash: ZERO_HASH } : await chain.lastBatch(relayerId)),
    });
    expect(await settlementOf(journal, { on: lagging }).round(never)).to.equal(true);
    const stored = (await journal.batch(1n))!;
    expect([sent, stored.replaced, stored.state, await chargedOf(session)]).to.deep.equal([[stored.transaction.hash], [], "confirmed", charge]);
  });

  it("gives way where no block can take a batch any more, though the chain stands still", async () => {
    const journal = await begun();
    const work = new HonestWork(local, journal);
    await work.task(await work.session(chain, Mode.VOUCHER), 1, 500);
    const settlement = settlementOf(journal, { on: bent(chain, { broadcast: () => local.rpc("evm_increaseTime", [3_600]).then(() => {}) }) });
    expect(await settlement.round(never)).to.equal(false);
    expect([(await journal.batch(1n))?.state, await chain.nonce()]).to.deep.equal(["sent", await theirChain.nonce()]);
  });

  it("waits for a chain whose clock is half a minute behind, without spending gas on it", async () => {
    const journal = await begun();
    const work = new HonestWork(local, journal);
    const session = await work.session(chain, Mode.VOUCHER);
    const ahead: Clock = { ...clock, nowMs: () => Date.now() + 30_000 };
    const { charge } = await work.task(session, 1, 500, 100, wallSeconds() + 30);
    const settlement = settlementOf(journal, { at: ahead });
    const nonce = await chain.nonce();
    for (let rounds = 0; rounds < 3; rounds++) expect(await settlement.round(never)).to.equal(false);
    expect([await chain.nonce(), settlement.problem, await journal.batch(1n)]).to.deep.equal([nonce, null, null]);
    await local.rpc("evm_increaseTime", [31]);
    expect(await settlement.round(never)).to.equal(true);
    expect([await chargedOf(session), await chain.nonce()]).to.deep.equal([charge, nonce + 1]);
  });

  it("counts by the chain's clock what is due where that one is ahead", async () => {
    const journal = await begun();
    const work = new HonestWork(local, journal);
    const session = await work.session(chain, Mode.VOUCHER);
    const { charge } = await work.task(session, 1, 500);
    const settlement = settlementOf(journal, { isEnding: false });
    expect(await settlement.round(never)).to.equal(false);
    // W is 60 s: a quarter of it after the ack, a receipt is due.
    await local.rpc("evm_increaseTime", [30]);
    expect(await settlement.round(never)).to.equal(true);
    expect(await chargedOf(session)).to.equal(charge);
  });

  it("settles what fits behind any number of older tasks that do not", async () => {
    const journal = await begun();
    const work = new HonestWork(local, journal);
    const exhausted = await work.session(chain, Mode.ALLOWANCE, { maxPerDay: 5n });
    const good = await work.session(chain, Mode.VOUCHER);
    const earlier = wallSeconds() - 100;
    for (let i = 0; i < 9; i++) await work.task(exhausted, 1, 500, 100, earlier + i);
    const { charge } = await work.task(good, 2, 40);
    const world = { chain, journal, crypto, clock, identity };
    const assembled = (await assemble(world, { entryCost: 1n, itemsMax: 300, tasksMax: 2 }, () => true))!;
    expect(assembled.built.debits.map((debit) => [debit.sessionId, debit.change])).to.deep.equal([[idOf(good), charge]]);
    expect(assembled.held.map(({ reason }) => reason)).to.deep.equal(Array.from({ length: 9 }, () => "session_room"));
  });

  it("settles a task that a node has claimed while that answers the claim, and never once the claim was paid", async () => {
    const journal = await begun();
    const work = new HonestWork(local, journal);
    const session = await work.session(chain, Mode.VOUCHER);
    const acked = wallSeconds();
    const [answered, paid] = [await work.task(session, 1, 500, 100, acked), await work.task(session, 2, 40, 100, acked)];
    const { windowSeconds, domain } = chain.deployment;
    const claim = ({ record, ack }: SignedAttempt): Promise<void> => local.send(accounts.nodeOwner, domain.verifyingContract, encodeFunctionData({
      abi: BatchSettlementAbi, functionName: "openForce", args: [{ ...record, voucher: record.voucher! }, ack.ack, ack.signature, 0n],
    }));
    await local.rpc("evm_increaseTime", [windowSeconds + 1]);
    await claim(paid);
    await local.rpc("evm_increaseTime", [windowSeconds + 1]);
    await local.send(accounts.nodeOwner, domain.verifyingContract, encodeFunctionData({ abi: BatchSettlementAbi, functionName: "resolveForce", args: [paid.receiptHash] }));
    await claim(answered);
    expect([(await chain.force(paid.receiptHash)).state, (await chain.force(answered.receiptHash)).state]).to.deep.equal(["resolved", "open"]);
    const settlement = settlementOf(journal);
    expect(await settlement.round(never)).to.equal(true);
    expect(settlement.status()).to.include({ heldTasks: 1, heldFor: "forced" });
    const found = (await chain.session(idOf(session)))!;
    expect([found.charged, found.forced]).to.deep.equal([answered.charge, paid.record.receipt.body.fee]);
    expect(await codeOf(settlement.round(never))).to.equal("settlement_blocked");
    expect((await journal.task(paid.record.receipt.body.taskId))?.batch).to.equal(null);
  });

  it("names a poster that cannot pay for gas, and goes on when it can", async () => {
    const journal = await begun();
    const work = new HonestWork(local, journal);
    const session = await work.session(chain, Mode.VOUCHER);
    const { charge } = await work.task(session, 1, 500);
    const poster = signerOfKey(accounts.poster).address;
    const balance = await local.rpc("eth_getBalance", [poster, "latest"]);
    await local.rpc("anvil_setBalance", [poster, "0x0"]);
    const settlement = settlementOf(journal);
    const stop = new AbortController();
    const running = settlement.run(stop.signal);
    await until(() => settlement.problem?.code === "poster_out_of_gas");
    expect(settlement.status().problem).to.deep.include({ retryable: true }).and.to.have.property("message").that.includes(poster);
    await local.rpc("anvil_setBalance", [poster, balance]);
    await until(() => settlement.problem === null);
    stop.abort();
    await running;
    expect(await chargedOf(session)).to.equal(charge);
  });

  it("passes on why the contract says no, and posts the same batch when it says yes", async () => {
    const journal = await begun();
    const work = new HonestWork(local, journal);
    const session = await work.session(chain, Mode.VOUCHER);
    const { charge } = await work.task(session, 1, 500);
    let isRefusing = true;
    const refused = new TidelaneError("no", { code: "call_reverted", details: { reason: "LeverageExceeded(1, 2, 1)" } });
    const settlement = settlementOf(journal, { on: bent(chain, { simulate: (call) => (isRefusing ? Promise.reject(refused) : chain.simulate(call)) }) });
    const error = await settlement.round(never).then(() => null, (thrown: TidelaneError) => thrown);
    expect(error).to.include({ code: "batch_refused", retryable: true });
    expect(error!.message).to.include("LeverageExceeded(1, 2, 1)");
    const stored = (await journal.batch(1n))!.headerHash;
    isRefusing = false;
    await settlement.round(never);
    expect([await chargedOf(session), await chain.batchHash(1, 1n)]).to.deep.equal([charge, stored]);
  });
});
