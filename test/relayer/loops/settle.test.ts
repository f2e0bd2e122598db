// Settlement on a real chain: what was finished is paid once, whenever the process is killed, and the sums are the same everywhere.
import { expect } from "chai";
import { encodeFunctionData, type Abi, decodeFunctionResult } from "viem";
import { EscrowAbi } from "../../../protocol/generated/abi/Escrow.ts";
import { TaskReceiptsAbi } from "../../../protocol/generated/abi/TaskReceipts.ts";
import { batchDataFromBytes } from "../../../protocol/batchData.ts";
import { Mode } from "../../../protocol/constants.ts";
import { chargeDown } from "../../../protocol/fees.ts";
import { keccak256 } from "viem/utils";
import { leafOf } from "../../../protocol/records.ts";
import { signerOfKey } from "../../../protocol/signing.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import type { SpendingAuthorization } from "../../../protocol/generated/structs.ts";
import { connectChain, type ViemChain } from "../../../relayer/adapters/chain.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { MemoryRecords } from "../../../relayer/adapters/records.ts";
import { Settlement } from "../../../relayer/loops/settle.ts";
import { Watch } from "../../../relayer/loops/watch.ts";
import { proofsOfTask, recordsOf, treesOf } from "../../../relayer/settlement/batch.ts";
import type { Log } from "../../../relayer/ports/world.ts";
import type { Chain } from "../../../relayer/ports/chain.ts";
import type { SignedAttempt, StoredBatch } from "../../../relayer/ports/journal.ts";
import { accounts, keys, startLocalChain, type LocalChain } from "../localChain.ts";
import { HonestWork, type Tabs } from "./honestWork.ts";
import { bent, catchUp, clock, codeOf, crypto, metrics, never, until } from "./settleRig.ts";

describe("settlement", function () {
  this.timeout(60_000);
  let local: LocalChain;
  let chain: ViemChain;
  let journal: MemoryJournal;
  let records: MemoryRecords;
  let work: HonestWork;
  let logged: string[];
  /** What the chain held when the test began: tests share it, each with a journal and sessions of its own. */
  let base: { batchId: bigint; fees: bigint; earned: readonly bigint[] };
  const tabs: Tabs = new Map();

  before(async () => {
    local = await startLocalChain();
    chain = await connectChain({ rpcUrls: [local.url], chainId: 31_337, addresses: local.addresses, posterKey: accounts.poster });
  });
  after(() => local?.stop());
  beforeEach(async () => {
    journal = new MemoryJournal();
    records = new MemoryRecords();
    work = new HonestWork(local, journal, tabs);
    logged = [];
    await watchOn().begin();
    base = { batchId: (await chain.lastBatch(1)).batchId, fees: await feesOnChain(), earned: await earned() };
  });
  afterEach(() => local.rpc("evm_setAutomine", [true]));

  const log: Log = {
    debug: () => {}, info: () => {},
    warn: (_, message) => { logged.push(message); },
    error: (fields, message) => { logged.push(`${message} ${JSON.stringify(fields)}`); },
  };
  const identity = { relayerId: 1, epoch: 1, feeBps: 300, signer: signerOfKey(keys.signer) };
  /** Every session settles at once. */
  const sessions = { isEnding: () => true, refreshNow: async () => {}, refreshInTurn: async () => {} };
  const settlementOn = (on: Chain = chain): Settlement => new Settlement({ chain: on, journal, records, crypto, clock, identity, log, metrics, sessions, entryCost: 1n });
  const watchOn = (on: Chain = chain): Watch => new Watch({ chain: on, journal, clock, identity, log, metrics, sessions });
  const idOf = (authorization: SpendingAuthorization): Hash => hashStruct("SpendingAuthorization", authorization);
  const read = async (name: "TaskReceipts" | "Escrow", abi: Abi, functionName: string, args: unknown[]): Promise<unknown> => {
    const data = await local.rpc("eth_call", [{ to: local.addresses[name], data: encodeFunctionData({ abi, functionName, args }) }, "latest"]);
    return decodeFunctionResult({ abi, functionName, data: data as `0x${string}` });
  };
  const feesOnChain = async (): Promise<bigint> => (await read("Escrow", EscrowAbi as Abi, "relayerAccountOf", [1]) as { fees: bigint }).fees;
  const earned = async (): Promise<bigint[]> => Promise.all([1, 2].map(async (nodeId) => (await chain.tab(1, nodeId)).earned));
  const batch = async (offset = 1n): Promise<StoredBatch> => (await journal.batch(base.batchId + offset))!;
  const sum = (signed: readonly SignedAttempt[], of: (one: SignedAttempt) => bigint): bigint => signed.reduce((total, one) => total + of(one), 0n);
  const fee = (one: SignedAttempt): bigint => one.record.receipt.body.fee;
  /** What the journal and the chain say of who owes and earned what: equal to the last unit. */
  const expectSettled = async (authorizations: readonly SpendingAuthorization[], signed: readonly SignedAttempt[]): Promise<void> => {
    for (const authorization of authorizations) {
      const charge = sum(signed.filter((one) => one.record.order.sessionId === idOf(authorization)), (one) => one.charge);
      expect((await chain.session(idOf(authorization)))?.charged).to.equal(charge);
      expect((await journal.session(idOf(authorization)))?.charged).to.equal(charge);
    }
    const due = [1, 2].map((nodeId, i) => base.earned[i]! + sum(signed.filter((one) => one.record.receipt.nodeId === nodeId), fee));
    expect(await earned()).to.deep.equal(due);
    expect(await feesOnChain() - base.fees).to.equal(sum(signed, (one) => one.charge) - sum(signed, fee));
    expect(await journal.unsettledSessions()).to.deep.equal([]);
  };

  it("pays nodes and relayer exactly what payers are debited, in both modes and over several batches", async () => {
    const voucher = await work.session(chain, Mode.VOUCHER);
    const allowance = await work.session(chain, Mode.ALLOWANCE);
    const settlement = settlementOn();
    const first = [await work.task(voucher, 1, 500), await work.task(allowance, 1, 333), await work.task(voucher, 2, 77)];
    expect(await round(settlement)).to.equal(true);
    await expectSettled([voucher, allowance], first);
    const second = [...first, await work.task(allowance, 2, 4_000), await work.task(voucher, 1, 1)];
    expect(await round(settlement)).to.equal(true);
    await expectSettled([voucher, allowance], second);
    expect(await round(settlement)).to.equal(false);
    const batches = await journal.batches("confirmed", 10);
    expect(batches.map((batch) => [batch.header.batchId, batch.header.leafCount])).to.deep.equal([[base.batchId + 2n, 2], [base.batchId + 1n, 3]]);
    expect(batches[0]!.header.prevBatchHash).to.equal(batches[1]!.headerHash);
    expect(batches.every((batch) => batch.gasUsed! > 0n && batch.blockNumber! > 0n)).to.equal(true);
    expect(logged).to.deep.equal([]);
  });

  it("stores the data before the batch, and every receipt of it stands on chain in both trees", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const signed = [await work.task(session, 1, 500), await work.task(session, 2, 40), await work.task(session, 1, 9)];
    await round(settlementOn());
    const { header } = (await batch());
    const data = (await records.get(header.dataHash))!;
    expect(keccak256(data)).to.equal(header.dataHash);
    const trees = treesOf(recordsOf(batchDataFromBytes(data).tasks), keccak256);
    for (const one of signed) {
      const { record } = one;
      const proofs = proofsOfTask(trees, record.receipt.body.taskId, keccak256).get(one.receiptHash)!;
      const leaf = {
        receiptHash: one.receiptHash, fee: fee(one), charge: one.charge, nodeSigHash: keccak256(record.receiptSignature), voucherHash: hashStruct("Voucher", record.voucher!),
        voucherSigHash: keccak256(record.voucherSignature), assignmentSigHash: keccak256(record.assignmentSignature),
      };
      const proofArgs = [proofs.session, proofs.tab].map(({ index, siblings }) => ({ index, hashes: siblings.map(({ hash }) => hash), sums: siblings.map((sibling) => sibling.sum) }));
      const ask = (bent: object): Promise<unknown> => read("TaskReceipts", TaskReceiptsAbi as Abi, "isSettled", [record.receipt, header.batchId, { ...leaf, ...bent }, ...proofArgs]);
      expect(await ask({})).to.equal(true);
      expect(await ask({ charge: one.charge + 1n })).to.equal(false);
      expect(await ask({ nodeSigHash: ZERO_HASH })).to.equal(false);
      expect(leafOf(record).charge).to.equal(chargeDown(fee(one), 300));
    }
  });

  it("settles receipts that cost nothing: they stand in the trees, and nobody is debited", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const signed = [await work.task(session, 1, 0, 1)];
    expect(signed[0]!.charge).to.equal(0n);
    expect(await round(settlementOn())).to.equal(true);
    await expectSettled([session], signed);
    expect([(await batch()).header.leafCount, (await batch()).debits]).to.deep.equal([1, []]);
  });

  it("stays within its gas limit where everything is new to the chain", async () => {
    const opened = await Promise.all(Array.from({ length: 12 }, (_, i) => work.session(chain, i % 2 ? Mode.ALLOWANCE : Mode.VOUCHER)));
    const signed: SignedAttempt[] = [];
    for (const [i, session] of opened.entries()) signed.push(await work.task(session, i % 2 ? 1 : 2, 100 + i));
    await round(settlementOn());
    await expectSettled(opened, signed);
    const { gasUsed, debits, credits } = await batch();
    // The formula must hold with room for cold storage, up to the most items of one batch.
    expect(Number(gasUsed!)).to.be.below(0.75 * (400_000 + 45_000 * debits.length + 110_000 * credits.length));
  });

  it("goes on after a kill between the journal and the first send: the same header, once", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const signed = [await work.task(session, 1, 500)];
    const killed = settlementOn(bent(chain, { broadcast: () => Promise.reject(new Error("killed")) }));
    expect(await round(killed).catch((error: Error) => error.message)).to.equal("killed");
    const stored = (await batch());
    expect([stored.state, (await chain.lastBatch(1)).batchId]).to.deep.equal(["built", base.batchId]);
    await release(killed);
    expect(await round(settlementOn())).to.equal(false);
    await expectSettled([session], signed);
    expect(await chain.batchHash(1, base.batchId + 1n)).to.equal(stored.headerHash);
    expect((await batch()).transaction).to.deep.equal(stored.transaction);
  });

  it("goes on after a kill between the send and its receipt: nothing is sent twice", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const signed = [await work.task(session, 1, 500)];
    const killed = settlementOn(bent(chain, { broadcast: (raw) => chain.broadcast(raw).then(() => { throw new Error("killed"); }) }));
    await round(killed).catch(() => {});
    expect((await chain.lastBatch(1)).batchId).to.equal(base.batchId + 1n);
    const nonce = await chain.nonce();
    await release(killed);
    await round(settlementOn());
    await expectSettled([session], signed);
    expect(await chain.nonce()).to.equal(nonce);
    expect((await batch()).state).to.equal("confirmed");
  });

  it("waits for what a killed process sent instead of sending it again", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const signed = [await work.task(session, 1, 500)];
    await local.rpc("evm_setAutomine", [false]);
    const killed = settlementOn(bent(chain, { broadcast: (raw) => chain.broadcast(raw).then(() => { throw new Error("killed"); }) }));
    await round(killed).catch(() => {});
    await release(killed);
    const stored = await batch();
    const recovering = settlementOn().round(never);
    await local.rpc("evm_mine");
    await recovering;
    await expectSettled([session], signed);
    expect([(await batch()).transaction, (await batch()).replaced, (await batch()).state]).to.deep.equal([stored.transaction, [], "confirmed"]);
  });

  it("posts the same call under another nonce where its own was used meanwhile", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const signed = [await work.task(session, 1, 500)];
    const killed = settlementOn(bent(chain, { broadcast: () => Promise.reject(new Error("killed")) }));
    await round(killed).catch(() => {});
    const stored = (await batch());
    const other = await chain.sign({ to: accountOf(accounts.payer), data: "0x", nonce: stored.transaction.nonce, gas: 50_000n });
    await chain.broadcast(other.raw);
    await release(killed);
    await round(settlementOn());
    await expectSettled([session], signed);
    const after = (await batch());
    expect([after.headerHash, after.transaction.nonce, after.replaced]).to.deep.equal([stored.headerHash, stored.transaction.nonce + 1, [stored.transaction.hash]]);
  });

  it("raises the fee of a transaction that no block takes, under the same nonce, journaled before it is sent", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const signed = [await work.task(session, 1, 500)];
    await local.rpc("evm_setAutomine", [false]);
    let sends = 0;
    const counting = bent(chain, {
      broadcast: async (raw) => {
        sends += 1;
        expect((await batch()).transaction.raw).to.equal(raw);
        await chain.broadcast(raw);
        if (sends === 3) await local.rpc("evm_mine");
      },
    });
    expect(await round(settlementOn(counting))).to.equal(true);
    await expectSettled([session], signed);
    expect((await batch()).replaced.length).to.equal(2);
  });

  it("gives up a batch only when its time is final, and rebuilds it over a later period", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const signed = [await work.task(session, 1, 500)];
    const killed = settlementOn(bent(chain, { broadcast: () => Promise.reject(new Error("killed")) }));
    await round(killed).catch(() => {});
    const lost = (await batch());
    await release(killed);
    await local.rpc("evm_setNextBlockTimestamp", [lost.header.postBy + 1]);
    await local.rpc("evm_mine");
    const notFinal = settlementOn(bent(chain, { finalBatch: async () => ({ timestampSeconds: lost.header.postBy, batchId: base.batchId }) }));
    expect(await round(notFinal)).to.equal(false);
    expect((await batch()).headerHash).to.equal(lost.headerHash);
    await release(notFinal);
    // Our clock is the wall's, the chain's runs ahead: the period follows the chain.
    await round(settlementOn());
    await expectSettled([session], signed);
    const rebuilt = (await batch());
    expect(rebuilt.header.periodEnd).to.be.greaterThan(lost.header.postBy);
    expect((await journal.batches("abandoned", 5)).map((batch) => batch.headerHash)).to.deep.equal([lost.headerHash]);
  });

  it("does not pay twice where two processes post the same stored batch", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const signed = [await work.task(session, 1, 500)];
    await local.rpc("evm_setAutomine", [false]);
    const one = settlementOn(bent(chain, {
      broadcast: async (raw) => {
        await chain.broadcast(raw);
        const nonce = (await batch()).transaction.nonce;
        const again = await chain.replace((await batch()).transaction, nonce + 1);
        await chain.broadcast(again.raw);
        await local.rpc("evm_mine");
        expect((await chain.receipt(again.hash))?.status).to.equal("reverted");
      },
    }));
    await round(one);
    await expectSettled([session], signed);
  });

  it("lets one process post at a time", async () => {
    const first = settlementOn();
    const second = settlementOn();
    expect([await first.takeLead(), await second.takeLead(), first.isLeading, second.isLeading]).to.deep.equal([true, false, true, false]);
    const session = await work.session(chain, Mode.VOUCHER);
    await work.task(session, 1, 500);
    expect(await round(second)).to.equal(false);
    expect((await chain.lastBatch(1)).batchId).to.equal(base.batchId);
  });

  it("holds back what the contract would refuse, settles the rest, and says so", async () => {
    const good = await work.session(chain, Mode.VOUCHER);
    const small = await work.session(chain, Mode.ALLOWANCE, { maxPerDay: 50n });
    const settled = await work.task(good, 1, 500);
    await work.task(small, 2, 4_000);
    const settlement = settlementOn();
    expect(await round(settlement)).to.equal(true);
    expect((await chain.session(idOf(good)))?.charged).to.equal(settled.charge);
    expect((await chain.session(idOf(small)))?.charged).to.equal(0n);
    expect(logged.join()).to.include("session_room");
    expect(await codeOf(round(settlement))).to.equal("settlement_blocked");
  });

  it("waits where the chain cannot be reached, and goes on by itself", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const signed = [await work.task(session, 1, 500)];
    let isDown = true;
    const away = (): Promise<never> => Promise.reject(new TidelaneError("away", { code: "chain_unreachable", retryable: true }));
    const flaky = bent(chain, { session: (id) => (isDown ? away() : chain.session(id)), lastBatch: (id) => (isDown ? away() : chain.lastBatch(id)) });
    const settlement = settlementOn(flaky);
    const stop = new AbortController();
    const running = settlement.run(stop.signal);
    await until(() => settlement.problem?.code === "chain_unreachable");
    isDown = false;
    await until(async () => (await journal.batches("confirmed", 1)).length === 1);
    await until(() => settlement.problem === null);
    stop.abort();
    await running;
    expect(settlement.isLeading).to.equal(false);
    await expectSettled([session], signed);
  });

  it("sees a chain that is older than the journal, and settles nothing on it", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const older = await local.rpc("evm_snapshot");
    await work.task(session, 1, 500);
    const settlement = settlementOn();
    await round(settlement);
    await local.rpc("evm_revert", [older]);
    await catchUp(local, chain);
    const watch = watchOn();
    await watch.round();
    expect(watch.problem?.code).to.equal("chain_older_than_journal");
    await work.task(session, 1, 500);
    expect(await codeOf(round(settlement))).to.equal("chain_older_than_journal");
    expect((await chain.lastBatch(1)).batchId).to.equal(base.batchId);
  });

  it("settles nothing from a journal that is older than the chain", async () => {
    const session = await work.session(chain, Mode.ALLOWANCE);
    const signed = [await work.task(session, 1, 500)];
    const settlement = settlementOn();
    await round(settlement);
    // A copy of the database from before the batch: its task looks unsettled.
    const copy = new MemoryJournal();
    for (const name of ["deployment", "first_batch"]) await copy.setFact(name, (await journal.getFact(name))!);
    journal = copy;
    work = new HonestWork(local, journal, tabs);
    await journal.putSession({ sessionId: idOf(session), authorization: session, nextNonce: 0n, charged: 0n, voucher: null });
    await work.task(session, 1, 500);
    expect(await codeOf(round(settlementOn()))).to.equal("journal_older_than_chain");
    expect((await chain.session(idOf(session)))?.charged).to.equal(signed[0]!.charge);
  });

  it("posts again what a reorganisation took back", async () => {
    const session = await work.session(chain, Mode.VOUCHER);
    const before = await local.rpc("evm_snapshot");
    const signed = [await work.task(session, 1, 500)];
    const settlement = settlementOn();
    await round(settlement);
    const posted = (await batch());
    await local.rpc("evm_revert", [before]);
    await catchUp(local, chain, posted.header.periodEnd);
    for (let blocks = 0; blocks < 3; blocks++) await local.rpc("evm_mine");
    const watch = watchOn();
    await watch.round();
    expect([watch.problem, (await batch()).state]).to.deep.equal([null, "sent"]);
    await round(settlement);
    expect(await chain.batchHash(1, base.batchId + 1n)).to.equal(posted.headerHash);
    await expectSettled([session], signed);
  });

  it("begins only with a journal of its own deployment and relayer", async () => {
    await watchOn().begin();
    await watchOn().begin();
    expect(await journal.getFact("deployment")).to.equal(`31337 ${local.domain.verifyingContract} relayer 1`);
    const other = new Watch({ chain, journal, clock, identity: { ...identity, relayerId: 9 }, log, metrics, sessions });
    expect(await codeOf(other.begin())).to.equal("journal_of_other_deployment");
  });

  /** A block of this second, as a chain with traffic has: periods end at the chain's time, not at ours. */
  const round = async (settlement: Settlement): Promise<boolean> => {
    await local.rpc("evm_mine");
    return await settlement.round(never);
  };

  /** What the database does when a process dies. */
  const release = async (dead: Settlement): Promise<void> => {
    const stopped = new AbortController();
    stopped.abort();
    await dead.run(stopped.signal);
  };
});

const accountOf = (key: `0x${string}`): `0x${string}` => signerOfKey(key).address;
