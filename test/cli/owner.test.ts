// The owner's side against a real chain with the real contracts: the payer's chain adapter, and the commands on top of it.
import { mkdtempSync, rmSync, writeFileSync, existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { encodeFunctionData } from "viem";
import { ownerChain, ownerOfKey, payerChain, type ChainAccess } from "../../client/adapters/chain.ts";
import { openSession } from "../../client/session.ts";
import { stateFromText } from "../../client/state.ts";
import { systemClock, systemDice } from "../../client/adapters/world.ts";
import { chainFacts } from "../../auditor/sources.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { signerOfKey } from "../../protocol/signing.ts";
import { accounts, keys, startLocalChain, type LocalChain } from "../relayer/localChain.ts";
import { settledBundle } from "../auditor/bundle.ts";
import { FakeRelayer } from "../client/fakeRelayer.ts";
import { codeOf, MemoryStore } from "../client/world.ts";
import { ran } from "./command.ts";

const W = 60;
const owner = signerOfKey(accounts.payer).address;

describe("an owner on a real chain", function () {
  this.timeout(120_000);
  let local: LocalChain;
  let access: ChainAccess;
  let relayer: FakeRelayer;
  let folder: string;
  before(async () => {
    local = await startLocalChain(W);
    access = { rpcUrls: [local.url], chainId: 31_337, contracts: local.addresses };
    relayer = await new FakeRelayer(local.domain).start();
    folder = mkdtempSync(join(tmpdir(), "tidelane-owner-"));
    writeFileSync(join(folder, "deployment.json"), JSON.stringify({ chainId: 31_337, contracts: local.addresses }));
    writeFileSync(join(folder, "owner.key"), `${accounts.payer}\n`);
    await local.send(accounts.deployer, local.addresses.payToken!, encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [owner, 50_000_000n] }));
  });
  after(async () => {
    await relayer?.stop();
    await local?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });
  const later = async (seconds: number): Promise<void> => {
    await local.rpc("evm_increaseTime", [seconds]);
    await local.rpc("evm_mine");
  };
  const flags = (session = join(folder, "session.json")): string[] => [
    "--rpc", local.url, "--deployment", join(folder, "deployment.json"), "--relayer", relayer.url, "--session", session, "--key-file", join(folder, "owner.key"), "--json",
  ];
  const money = (session?: string): string[] => flags(session).filter((word, i, all) => word !== "--session" && all[i - 1] !== "--session");

  it("reads keys of node and relayer, and that there are none", async () => {
    const chain = payerChain(access);
    expect(await chain.nodeKey(1, 1)).to.equal(signerOfKey(keys.hot[0]).address);
    expect(await chain.relayerKey(1, 1)).to.equal(signerOfKey(keys.signer).address);
    expect([await chain.nodeKey(1, 2), await chain.nodeKey(99, 1), await chain.relayerKey(2, 1), await chain.session(`0x${"11".repeat(32)}`)]).to.deep.equal([null, null, null, null]);
  });

  it("reads what an audit needs", async () => {
    const { view } = await settledBundle();
    const facts = await chainFacts(access).factsFor(view);
    expect(facts).to.deep.include({ domain: local.domain, windowSeconds: W, batch: null });
    expect([...facts.relayerKeys]).to.have.length(1);
    expect(facts.relayerKeys.get("1:1")!.key).to.equal(signerOfKey(keys.signer).address);
    expect(facts.nodeKeys.size).to.equal(0);
  });

  it("deposits, opens, tops up, closes, releases and withdraws, each to the last unit", async () => {
    const chain = ownerChain(access, accounts.payer);
    expect(await chain.balances()).to.deep.include({ wallet: 50_000_000n, free: 100_000_000n, decimals: 6 });
    await chain.deposit(10_000_000n);
    expect(await chain.balances()).to.include({ wallet: 40_000_000n, free: 110_000_000n });
    const world = { chain: payerChain(access), clock: systemClock, dice: systemDice, fetch: (url: string, init?: RequestInit) => fetch(url, init), store: new MemoryStore() };
    const { sessionId } = await openSession(world, ownerOfKey(accounts.payer), relayer.url, { lock: 20_000_000n }, chain);
    expect(await world.chain.session(sessionId)).to.deep.equal({ payer: owner, lock: 20_000_000n, charged: 0n, reserved: 0n, closingSinceSeconds: 0 });
    await chain.topUp(sessionId, 1_000_000n);
    expect(await world.chain.session(sessionId)).to.include({ lock: 21_000_000n });
    expect((await chain.balances()).free).to.equal(89_000_000n);
    expect(await codeOf(chain.releaseLock(sessionId))).to.equal("transaction_reverted");
    await chain.closeSession(sessionId);
    expect((await world.chain.session(sessionId))!.closingSinceSeconds).to.be.greaterThan(0);
    await later(3 * W + 1);
    await chain.releaseLock(sessionId);
    expect((await chain.balances()).free).to.equal(110_000_000n);
    await chain.withdraw(10_000_000n, owner);
    expect(await chain.balances()).to.include({ wallet: 50_000_000n, free: 100_000_000n });
  });

  it("revokes what it signed before anybody opens it", async () => {
    const chain = ownerChain(access, accounts.payer);
    const world = { chain: payerChain(access), clock: systemClock, dice: systemDice, fetch: (url: string, init?: RequestInit) => fetch(url, init), store: new MemoryStore() };
    let signature: `0x${string}` = "0x";
    const signing = { ...ownerOfKey(accounts.payer), signAuthorization: async (...what: Parameters<ReturnType<typeof ownerOfKey>["signAuthorization"]>) => (signature = await ownerOfKey(accounts.payer).signAuthorization(...what)) };
    const unsent = { ...chain, openSession: async () => `0x${"00".repeat(32)}` as const };
    expect(await codeOf(openSession(world, signing, relayer.url, { lock: 20_000_000n }, unsent))).to.equal("session_not_on_chain");
    const { authorization } = stateFromText((await world.store.read())!);
    await chain.revoke(hashStruct("SpendingAuthorization", authorization));
    expect(await chain.openSession(authorization, signature).then(() => "opened", (error: Error) => error.message)).to.match(/SessionRevoked|Revoked/);
  });

  it("is told the contract's own reason", async () => {
    const chain = ownerChain(access, accounts.payer);
    const refusal = await chain.withdraw(10n ** 15n, owner).then(() => null, (error: Error) => error.message);
    expect(refusal).to.match(/InsufficientBalance\(0x.*, 100000000, 1000000000000000\)/i);
    expect(await codeOf(ownerChain({ ...access, chainId: 1 }, accounts.payer).deposit(1n))).to.equal("wrong_chain");
    expect(await codeOf(ownerChain({ ...access, rpcUrls: ["http://127.0.0.1:9"] }, accounts.payer).balances())).to.equal("chain_unreachable");
  });

  it("does it all by command", async () => {
    const session = join(folder, "session.json");
    const deposited = await ran(["payer", "deposit", "2.5", ...money()]);
    expect([deposited.exitCode, deposited.json().amount], deposited.stdout).to.deep.equal([0, "2500000"]);
    expect((await ran(["payer", "balance", ...money()])).json()).to.include({ owner, wallet: "47500000", free: "102500000", decimals: 6 });
    const opened = await ran(["payer", "open", "--lock", "20", "--max-per-task", "1", "--own-transaction", ...flags()]);
    expect([opened.exitCode, opened.json().mode, opened.json().maxPerTask], opened.stdout).to.deep.equal([0, "voucher", "1000000"]);
    const state = stateFromText(readFileSync(session, "utf8"));
    expect(hashStruct("SpendingAuthorization", state.authorization)).to.equal(opened.json().sessionId);
    const again = await ran(["payer", "open", "--lock", "20", ...flags()]);
    expect([again.exitCode, (again.json().error as { code: string }).code]).to.deep.equal([1, "session_exists"]);
    const topped = await ran(["payer", "top-up", "1", ...flags()]);
    expect([topped.exitCode, topped.json().amount], topped.stdout).to.deep.equal([0, "1000000"]);
    expect((await ran(["payer", "close", ...flags()])).exitCode).to.equal(0);
    const early = await ran(["payer", "release", ...flags()]);
    expect([early.exitCode, (early.json().error as { code: string }).code]).to.deep.equal([2, "lock_not_releasable"]);
    await later(3 * W + 1);
    const before = await local.rpc("evm_snapshot");
    const released = await ran(["payer", "release", ...flags()]);
    expect([released.exitCode, released.json().stillLocked, existsSync(session)], released.stdout).to.deep.equal([0, "0", false]);
    const kept = released.json().file as string;
    // The lock holds something again, as after a batch was voided.
    await local.rpc("evm_revert", [before]);
    const refilled = await ran(["payer", "release", ...money(), "--session", kept]);
    expect([refilled.exitCode, refilled.json().file], refilled.stdout).to.deep.equal([0, kept]);
    const withdrawn = await ran(["payer", "withdraw", "102.5", ...money()]);
    expect(withdrawn.exitCode, withdrawn.stdout).to.equal(0);
    expect((await ran(["payer", "balance", ...money()])).json()).to.include({ wallet: "150000000", free: "0" });
    const none = await ran(["payer", "deposit", "1.0000001", ...money()]);
    expect([none.exitCode, (none.json().error as { code: string }).code]).to.deep.equal([1, "invalid_amount"]);
  });
});
