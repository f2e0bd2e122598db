// Exits against somebody's will: a payer and its relayer who leave a node unpaid together, a node that claims what it did not earn.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { createPublicClient, http } from "viem";
import { ownerChain, type ChainAccess } from "../../client/adapters/chain.ts";
import { stateToText, type PayerState } from "../../client/state.ts";
import { ForceSender } from "../../node/adapters/forceChain.ts";
import { systemClock } from "../../node/adapters/clock.ts";
import { FileStore } from "../../node/adapters/store.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { batchDataFromBytes } from "../../protocol/batchData.ts";
import { taskViewToJson } from "../../protocol/taskView.ts";
import { Mode } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { signerOfKey, signStruct } from "../../protocol/signing.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { connectChain, type ViemChain } from "../../relayer/adapters/chain.ts";
import { createForceReader } from "../../relayer/adapters/forceReader.ts";
import { MemoryJournal } from "../../relayer/adapters/memoryJournal.ts";
import { MemoryRecords } from "../../relayer/adapters/records.ts";
import { Forces } from "../../relayer/loops/forces.ts";
import { Settlement } from "../../relayer/loops/settle.ts";
import { Watch } from "../../relayer/loops/watch.ts";
import { silentLog as log } from "../../relayer/adapters/log.ts";
import { proofsOfTask, recordsOf, treesOf } from "../../relayer/settlement/batch.ts";
import { ran, type Ran } from "../cli/command.ts";
import { accounts, keys, startLocalChain, type LocalChain } from "../relayer/localChain.ts";
import { HonestWork, type Tabs } from "../relayer/loops/honestWork.ts";
import { clock, crypto, metrics, never } from "../relayer/loops/settleRig.ts";
import type { SpendingAuthorization } from "../../protocol/generated/structs.ts";
import type { Hash, Hex } from "../../protocol/units.ts";
import type { SignedAttempt } from "../../relayer/ports/journal.ts";

const W = 60;
const NODE_ID = 1;
const identity = { relayerId: 1, epoch: 1, feeBps: 300, signer: signerOfKey(keys.signer) };

describe("exits against somebody's will", function () {
  this.timeout(120_000);
  let local: LocalChain;
  let chain: ViemChain;
  let access: ChainAccess;
  let folder = "";
  let sender: ForceSender;
  /** What the relayer settles by, and what it keeps to itself. */
  const [open, hidden, records, tabs] = [new MemoryJournal(), new MemoryJournal(), new MemoryRecords(), new Map() as Tabs];
  const sessions = { isEnding: () => true, refreshNow: async () => {}, refreshInTurn: async () => {} };
  const settlement = (): Settlement => new Settlement({ chain, journal: open, records, crypto, clock, identity, log, metrics, sessions, entryCost: 1n });
  let settling: Settlement;

  before(async () => {
    local = await startLocalChain(W);
    chain = await connectChain({ rpcUrls: [local.url], chainId: 31_337, addresses: local.addresses, posterKey: accounts.poster });
    access = { rpcUrls: [local.url], chainId: 31_337, contracts: local.addresses };
    sender = new ForceSender(access, accounts.nodeOwner);
    folder = mkdtempSync(join(tmpdir(), "tidelane-hostile-"));
    writeFileSync(join(folder, "deployment.json"), JSON.stringify({ chainId: 31_337, contracts: local.addresses }));
    writeFileSync(join(folder, "owner.key"), accounts.nodeOwner);
    await new Watch({ chain, journal: open, clock, identity, log, metrics, sessions }).begin();
    settling = settlement();
  });
  after(async () => {
    await local?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  const pass = async (seconds: number): Promise<void> => {
    await local.rpc("evm_increaseTime", [seconds]);
    await local.rpc("evm_mine");
  };
  const node = (command: string, ...args: string[]): Promise<Ran> =>
    ran(["node", command, "--node", String(NODE_ID), "--relayer-id", "1", "--rpc", local.url, "--deployment", join(folder, "deployment.json"), "--key-file", join(folder, "owner.key"), "--json", ...args]);
  /** Work that the relayer acked and keeps out of what it settles. */
  const work = (): HonestWork => new HonestWork(local, hidden, tabs);
  const task = async (honest: HonestWork, session: SpendingAuthorization, nodeId: 1 | 2, tokens: number): Promise<SignedAttempt> =>
    honest.task(session, nodeId, tokens, 100, await chain.nextTimestamp());
  /** Lets the relayer settle a task after all. */
  const settle = async (session: SpendingAuthorization, ...signed: readonly SignedAttempt[]): Promise<void> => {
    await open.putSession({ sessionId: idOf(session), authorization: session, nextNonce: 0n, charged: 0n, voucher: null });
    for (const { record } of signed) {
      const { opened, attempts } = (await hidden.task(record.receipt.body.taskId))!;
      await open.openTask(opened, record.voucher && { voucher: record.voucher, signature: record.voucherSignature as `0x${string}` });
      await open.finishTask(opened.taskId, "finished", attempts);
    }
    expect(await settling.round(never)).to.equal(true);
  };
  /** The node's folder, as its agent leaves it. */
  const evidence = async (name: string, ...kept: readonly SignedAttempt[]): Promise<string> => {
    const at = join(folder, name);
    const store = await FileStore.open({ folder: at, evidenceSeconds: 10 * W, clock: systemClock, log });
    for (const { record, ack } of kept) {
      await store.putRecord(record);
      await store.putAck(ack);
    }
    await store.close();
    return at;
  };
  /** As the relayer's audit API hands it out, and `tidelane audit receipt` saves it. */
  const savedReceipt = async ({ record, receiptHash }: SignedAttempt): Promise<object> => {
    const { taskId } = record.receipt.body;
    const { state, batch } = (await open.task(taskId))!;
    const trees = treesOf(recordsOf(batchDataFromBytes((await records.get(batch!.header.dataHash))!).tasks), crypto.keccak256);
    const { header, signature, transaction, blockNumber, gasUsed } = batch!;
    return taskViewToJson({
      domain: local.domain, taskId, state, attempts: [{ record, proofs: proofsOfTask(trees, taskId, crypto.keccak256).get(receiptHash)! }], unsigned: [],
      batch: { header, signature, state: batch!.state, transactionHash: transaction.hash, blockNumber, gasUsed },
    });
  };
  const tabOf = () => createPublicClient({ transport: http(local.url) }).readContract({ address: local.addresses.Escrow!, abi: EscrowAbi, functionName: "tabOf", args: [1, NODE_ID] });
  const sessionOf = (session: SpendingAuthorization) => createPublicClient({ transport: http(local.url) }).readContract({ address: local.addresses.Escrow!, abi: EscrowAbi, functionName: "sessionOf", args: [idOf(session)] });
  const idOf = (session: SpendingAuthorization): Hash => hashStruct("SpendingAuthorization", session);
  const payer = () => ownerChain(access, accounts.payer);
  /** The contract's own words. */
  const reasonOf = (call: Promise<unknown>): Promise<string> => call.then(() => "none", (error: unknown) => (error instanceof TidelaneError ? String(error.details.reason ?? error.code) : String(error)));
  const forced = async ({ record, ack }: SignedAttempt, bends: { readonly ack?: Partial<SignedAttempt["ack"]["ack"]>; readonly by?: Hex } = {}): Promise<string> => {
    const bent = { ...ack.ack, ...bends.ack };
    const signature = bends.by ? await signStruct(signerOfKey(bends.by), local.domain, "Ack", bent) : ack.signature;
    return await reasonOf(sender.open(record, { ack: bent, signature }, 0n));
  };

  it("a payer and its relayer cannot leave an acked node unpaid: the lock waits, and pays", async () => {
    const honest = work();
    const session = await honest.session(chain, Mode.VOUCHER);
    const [left, other] = [await task(honest, session, 1, 800), await task(honest, session, 1, 40)];
    await settle(session, other);
    const at = await evidence("colluded", left, other);
    await payer().closeSession(idOf(session));
    const { free } = await payer().balances();
    expect(await reasonOf(payer().releaseLock(idOf(session)))).to.match(/^LockNotReleasable\(/);
    expect(await reasonOf(payer().withdraw(free + 1n, payer().owner))).to.match(/^InsufficientBalance\(/);
    await pass(W + 1);
    expect((await node("force", "--evidence", at)).json()).to.deep.include({ unpaid: String(left.record.receipt.body.fee), isProven: false });
    const opened = await node("force", "--evidence", at, "--open", "--receipt", left.receiptHash);
    expect((opened.json().opened as { receiptHash: Hash }[]).map(({ receiptHash }) => receiptHash), opened.stdout + opened.stderr).to.deep.equal([left.receiptHash]);
    // The lock's three windows pass while the claim is open: what it holds back stays.
    await pass(W - 10);
    expect(await reasonOf(payer().releaseLock(idOf(session)))).to.match(/^LockNotReleasable\(/);
    await pass(W);
    expect((await node("force", "--evidence", at, "--resolve")).json().resolved).to.have.length(1);
    expect((await tabOf()).forcedEarned).to.equal(left.record.receipt.body.fee);
    expect((await node("claim")).json()).to.include({ amount: String(left.record.receipt.body.fee) });
    await pass(W);
    await payer().releaseLock(idOf(session));
    expect((await payer().balances()).free).to.equal(free + session.lock - other.charge - left.record.receipt.body.fee);
  });

  it("nor by emptying the lock first: then the relayer's bond pays", async () => {
    const honest = work();
    const session = await honest.session(chain, Mode.VOUCHER, { lock: 900n, maxTotal: 900n });
    const left = await task(honest, session, 1, 800);
    const emptying = await task(honest, session, 2, 1_200);
    await settle(session, emptying);
    expect((await chain.session(idOf(session)))!.debitable < left.charge, "too little is left").to.equal(true);
    const [before, bond] = [await tabOf(), (await chain.relayer(1))!.bond];
    await pass(W + 1);
    await sender.open(left.record, left.ack, 0n);
    await pass(W + 1);
    await sender.resolve(left.receiptHash);
    const { fee } = left.record.receipt.body;
    expect((await tabOf()).forcedEarned - before.forcedEarned).to.equal(fee);
    const fromLock = (await chain.session(idOf(session)))!.forced;
    expect(bond - (await chain.relayer(1))!.bond, "the bond's part").to.equal(fee - fromLock);
    expect(fee > fromLock).to.equal(true);
  });

  it("a node that claims what is settled is answered by the payer itself, where its relayer does not", async () => {
    const honest = work();
    const session = await honest.session(chain, Mode.ALLOWANCE);
    const one = await task(honest, session, 1, 700);
    await settle(session, one);
    await pass(W + 1);
    expect(await forced(one)).to.equal("none");
    const receipt = join(folder, "task.receipt.json");
    writeFileSync(receipt, JSON.stringify(await savedReceipt(one)));
    const state: PayerState = {
      relayerUrl: "http://127.0.0.1:1", domain: local.domain, authorization: session, authorizationSignature: one.record.receiptSignature, sessionPrivateKey: keys.session,
      nextNonce: 1n, charged: 0n, orders: [], distrust: null,
    };
    writeFileSync(join(folder, "session.json"), stateToText(state));
    const claims = (...more: string[]): Promise<Ran> =>
      ran(["payer", "claims", "--session", join(folder, "session.json"), "--rpc", local.url, "--deployment", join(folder, "deployment.json"), "--json", ...more], { TIDELANE_OWNER_KEY: accounts.payer });
    const fee = String(one.record.receipt.body.fee);
    expect((await claims()).json().claims).to.have.nested.property("[0]").that.includes({ receiptHash: one.receiptHash, nodeId: 1, fee });
    expect((await claims("--answer")).json().answered).to.deep.equal([{ receiptHash: one.receiptHash, outcome: "unknown", transactions: [] }]);
    const answered = await claims("--answer", "--receipt", receipt);
    expect((answered.json().answered as { outcome: string }[]).map(({ outcome }) => outcome), answered.stdout).to.deep.equal(["answered"]);
    expect((await chain.force(one.receiptHash)).state).to.equal("answered");
    expect((await sessionOf(session)).reserved).to.equal(0n);
  });

  it("a node cannot claim invented or undelivered work", async () => {
    const honest = work();
    const session = await honest.session(chain, Mode.VOUCHER);
    const [mine, theirs] = [await task(honest, session, 1, 500), await task(honest, session, 2, 300)];
    const { receiptHash, ack: { ack: { ackedAt } } } = mine;
    expect(await forced(mine)).to.match(new RegExp(`^ForceNotNow\\(${ackedAt}, ${ackedAt + W}, ${ackedAt + 8 * W}, \\d+\\)$`));
    await pass(W + 1);
    // Without an ack of the relayer's there is only one that the node makes up.
    expect(await forced(mine, { by: keys.hot[0] })).to.equal(`AckInvalid(1, 1, ${ackedAt})`);
    expect(await forced(mine, { ack: { ackedAt: ackedAt - W } })).to.equal(`AckInvalid(1, 1, ${ackedAt - W})`);
    expect(await forced(mine, { ack: { relayerEpoch: 2 } })).to.equal(`AckInvalid(1, 2, ${ackedAt})`);
    expect(await forced({ ...mine, ack: theirs.ack })).to.equal(`AckOfOther(${receiptHash}, ${theirs.receiptHash}, 1, 1)`);
    // More than was acked is another receipt, whoever signs it.
    const { record } = mine;
    const larger = { ...record.receipt, body: { ...record.receipt.body, outputTokens: 9_000, fee: 6_315n }, nodeCumulative: record.receipt.nodeCumulative + 10_000n };
    const resigned = { ...mine, record: { ...record, receipt: larger, receiptSignature: await signStruct(signerOfKey(keys.hot[0]), local.domain, "TaskReceipt", larger) } };
    const largerHash = hashStruct("TaskReceipt", larger);
    expect(await forced(resigned)).to.equal(`AckOfOther(${largerHash}, ${receiptHash}, 1, 1)`);
    expect(await forced(resigned, { ack: { receiptHash: largerHash }, by: keys.hot[0] })).to.equal(`AckInvalid(1, 1, ${ackedAt})`);
    // Nor with a payer's signature that is none, though a relayer acked it: VOUCHER_SIGNATURE is fault 17.
    const unsigned = { ...mine, record: { ...record, voucherSignature: await signStruct(signerOfKey(keys.hot[0]), local.domain, "Voucher", record.voucher!) } };
    expect(await forced(unsigned)).to.equal(`RecordFaulty(${receiptHash}, 17)`);
    const [{ reserved, forced: paid }, before] = [await sessionOf(session), await tabOf()];
    expect([reserved, paid]).to.deep.equal([0n, 0n]);

    // The true one is taken, once.
    expect(await forced(mine)).to.equal("none");
    expect(await forced(mine)).to.equal(`ForceExists(${receiptHash}, 1)`);
    expect(await reasonOf(sender.resolve(receiptHash))).to.match(new RegExp(`^ForceNotResolvable\\(${receiptHash}, \\d+\\)$`));

    // It was settled all the same: the relayer's loop answers, and nothing is paid beside the batch.
    await settle(session, mine, theirs);
    const loop = new Forces({ clock, log, metrics, crypto, identity, journal: open, records, chain, reader: createForceReader([local.url], local.domain.verifyingContract), isLeading: () => true });
    await loop.round();
    await pass(W + 1);
    expect(await reasonOf(sender.resolve(receiptHash))).to.equal(`ForceNotOpen(${receiptHash}, 2)`);
    expect(await forced(mine)).to.equal(`ForceExists(${receiptHash}, 2)`);
    expect(await tabOf()).to.include({ earned: before.earned + record.receipt.body.fee, forcedEarned: before.forcedEarned });
    await pass(8 * W);
    expect(await forced(theirs)).to.match(/^ForceNotNow\(/);
  });
});
