// A relayer that is gone for good, on real processes: everybody gets out whole, to the last unit, by commands that a person would type.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { createWalletClient, encodeFunctionData, http, parseEventLogs, type Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { WELL_KNOWN_TEST_KEY } from "../../cli/devnet/keys.ts";
import { STORIES, type EngineChoice, type NodeSpec } from "../../cli/devnet/fleet.ts";
import { amountToText } from "../../cli/output.ts";
import { readEvidence } from "../../node/adapters/evidence.ts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { modelIdOf } from "../../protocol/ids.ts";
import { ran, type Ran } from "../cli/command.ts";
import { chat, Network, until, type Paying } from "./network.ts";
import type { Address, Hash } from "../../protocol/units.ts";

const W = 20;
/** As IForces' enum. */
const ANSWERED = 2;
const NODE = "high";
const fleet: readonly NodeSpec[] = [{ name: NODE, hardwareClass: 1, slots: 4, tokensPerSecond: null, stake: 400_000_000n, models: [STORIES] }];
const curve = { aNs: 1_000_000, bNs: 1_000, cNs: 0, dNs: 100_000, ePs: 0 };
const engine: EngineChoice = { model: "stories15M", isPaced: false, modelsOf: (node) => node.models.map((model) => ({ model, engine: { kind: "timed", curve, contextTokens: 4_096 } })) };
/** Guardian, and a dApp's account; the well-known key of every local chain. */
const somebody = privateKeyToAccount(WELL_KNOWN_TEST_KEY);
const DECIMALS = 6;
const inTokens = (amount: string): string => amountToText(BigInt(amount), DECIMALS);
const ASKED = { maxFee: 3_000_000n, gasPayment: 10n ** 16n };

describe("a relayer that is gone for good", function () {
  this.timeout(180_000);
  const network = new Network({ fleet, engine, parameters: { windowSeconds: W, guardian: somebody.address.toLowerCase() as Address } });
  const { devnet } = network;
  let paying: Paying;
  let first: { payer: bigint; somebody: bigint };
  let requestId: Hash;
  const signed: bigint[] = [];

  before(() => network.start());
  after(() => network.stop());

  const contract = (name: string): Address => devnet.contracts[name]!;
  const balanceOf = (account: Hex): Promise<bigint> => network.reader.readContract({ address: contract("payToken"), abi: TideTokenAbi, functionName: "balanceOf", args: [account] });
  const addressOf = (key: Hex): Address => privateKeyToAccount(key).address.toLowerCase() as Address;
  const evidence = () => readEvidence(devnet.layout.nodeDir(NODE), devnet.ids.nodeIds[NODE]!);
  const send = async (address: Address, data: Hex, value = 0n) => {
    const hash = await createWalletClient({ account: somebody, transport: http(devnet.rpcUrl) }).sendTransaction({ chain: null, to: address, data, value });
    return await network.reader.waitForTransactionReceipt({ hash, pollingInterval: 100 });
  };
  const pass = async (seconds: number): Promise<void> => {
    await network.rpc("evm_increaseTime", [seconds]);
    await network.rpc("evm_mine");
  };
  const run = (words: string, key: Hex, ...more: string[]): Promise<Ran> =>
    ran([...words.split(" "), "--rpc", devnet.rpcUrl, "--deployment", devnet.layout.addressesFile, "--relayer", devnet.relayerUrl, "--json", ...more], { TIDELANE_OWNER_KEY: key });
  const done = async (words: string, key: Hex, ...more: string[]): Promise<Record<string, unknown>> => {
    const one = await run(words, key, ...more);
    expect(one.exitCode, `${words}: ${one.stdout}${one.stderr}`).to.equal(0);
    return one.json();
  };
  const refused = async (words: string, key: Hex, ...more: string[]): Promise<unknown> => ((await run(words, key, ...more)).json().error as { code: string }).code;
  const payer = (words: string): Promise<Record<string, unknown>> => done(`payer ${words}`, devnet.keys.payer.owner, "--session", paying.sessionFile);
  const node = (words: string, ...more: string[]): Promise<Record<string, unknown>> => done(`node ${words}`, devnet.keys.nodes[NODE]!.owner, "--node", String(devnet.ids.nodeIds[NODE]!), ...more);
  const force = (...more: string[]): Promise<Record<string, unknown>> => node("force", "--relayer-id", String(devnet.ids.relayerId), "--evidence", devnet.layout.nodeDir(NODE), ...more);
  const relayer = (words: string): Promise<Record<string, unknown>> => done(`relayer ${words}`, devnet.keys.relayer.owner, "--relayer-id", String(devnet.ids.relayerId));
  const hashes = (list: unknown): Hash[] => (list as { receiptHash: Hash }[]).map(({ receiptHash }) => receiptHash);

  const ask = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await paying.client.chat.completions.create({ ...chat, messages: [{ role: "user", content: `Question ${i} about the sea` }] });
  };

  it("answers a node that claims what is settled, while it lives", async () => {
    first = { payer: await balanceOf(addressOf(devnet.keys.payer.owner)) + (await network.owner.balances()).free, somebody: await balanceOf(somebody.address) };
    paying = await network.voucherPayer();
    await ask(2);
    await network.allSettled();
    const { receiptHash, ackedAt } = (await evidence())[0]!;
    expect(await force()).to.deep.include({ unpaid: "0", settled: 2, isProven: true });
    await until("the receipt can be claimed", async () => (await network.reader.getBlock()).timestamp >= BigInt(ackedAt! + W));
    expect(hashes((await force("--open", "--receipt", receiptHash)).opened)).to.deep.equal([receiptHash]);
    await until("the relayer answers", async () => (await network.reader.readContract({ address: contract("BatchSettlement"), abi: BatchSettlementAbi, functionName: "forceOf", args: [receiptHash] })).state === ANSWERED);
  });

  it("settles some work, acks some more, and is killed", async () => {
    // Nothing is mined any more: what the relayer acks now can stand in no batch.
    await network.rpc("evm_setIntervalMining", [0]);
    await ask(3);
    await until("all five receipts are acked", async () => (await evidence()).filter(({ ackedAt }) => ackedAt !== null).length === 5, 60_000);
    devnet.relayerProcess.kill("SIGKILL");
    await until("the relayer is gone", () => !devnet.relayerProcess.isRunning);
    await network.rpc("anvil_dropAllTransactions");
    await network.rpc("evm_setAutomine", [true]);
    await paying.payer.close();
    signed.push(...(await evidence()).map(({ fee }) => fee));
    const { earned } = await network.tab(devnet.ids.nodeIds[NODE]!);
    expect(earned).to.equal(signed[0]! + signed[1]!).and.not.equal(0n);
  });

  it("leaves a contract's request unanswered, a session to close, and work to claim", async () => {
    await send(contract("payToken"), encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [somebody.address, ASKED.maxFee] }));
    await send(contract("payToken"), encodeFunctionData({ abi: TideTokenAbi, functionName: "approve", args: [contract("InferenceGateway"), ASKED.maxFee] }));
    const { timestamp } = await network.reader.getBlock();
    const receipt = await send(contract("InferenceGateway"), encodeFunctionData({
      abi: InferenceGatewayAbi, functionName: "request", args: [modelIdOf(STORIES.name), "0x68656c6c6f", 50, ASKED.maxFee, 0, Number(timestamp) + 3 * W, devnet.ids.relayerId],
    }), ASKED.gasPayment);
    requestId = parseEventLogs({ abi: InferenceGatewayAbi, eventName: "Requested", logs: receipt.logs })[0]!.args.requestId;
    expect(await refused(`gateway refund ${requestId}`, WELL_KNOWN_TEST_KEY)).to.equal("deadline_not_passed");
    await payer("close");
    expect(await refused("payer release", devnet.keys.payer.owner, "--session", paying.sessionFile)).to.equal("lock_not_releasable");
    const listed = await force("--list");
    expect(listed).to.deep.include({ unpaid: String(signed[2]! + signed[3]! + signed[4]!), settled: 1, isProven: false });
    // A busy machine may be past the window by now.
    for (const { state } of (listed.claims as { state: string }[]).slice(0, 3)) expect(state).to.be.oneOf(["early", "claimable"]);
    expect((listed.claims as { state: string }[])[3]!.state).to.equal("answered");
    await pass(W + 1);
    const [oldest] = hashes(listed.claims);
    expect(hashes((await force("--open", "--receipt", oldest!)).opened)).to.deep.equal([oldest]);
    await until("the agent tells its runner of the other two", () => /"receipts":2.*claim it in time/.test(readFileSync(join(devnet.layout.logsDir, `node-${NODE}.log`), "utf8")));
  });

  it("and with the contracts paused, too, everybody gets the rest", async () => {
    await send(contract("Escrow"), encodeFunctionData({ abi: EscrowAbi, functionName: "pauseNewSessions" }));
    expect(Number(await network.reader.readContract({ address: contract("Escrow"), abi: EscrowAbi, functionName: "newSessionsPausedUntil" }))).to.be.greaterThan(Number((await network.reader.getBlock()).timestamp) + 60 * W);
    expect((await force("--open")).opened).to.have.length(2);
    await pass(W + 1);
    expect((await force("--resolve")).resolved).to.have.length(3);
    await pass(2 * W);
    await done(`gateway refund ${requestId}`, devnet.keys.payer.owner);
    expect(await done("gateway withdraw", WELL_KNOWN_TEST_KEY)).to.include({ amount: String(ASKED.maxFee), to: somebody.address.toLowerCase() });
    expect(await done("gateway withdraw-gas", WELL_KNOWN_TEST_KEY)).to.include({ amount: String(ASKED.gasPayment) });
    expect(await payer("release")).to.include({ stillLocked: "0" });
    const { free } = await done("payer balance", devnet.keys.payer.owner) as { free: string };
    await done(`payer withdraw ${inTokens(free)}`, devnet.keys.payer.owner);
    await pass(6 * W);
    const earned = signed.reduce((sum, fee) => sum + fee, 0n);
    expect(await node("claim", "--relayer-id", String(devnet.ids.relayerId))).to.include({ amount: String(earned) });

    await node("retire");
    await node("unbond 400");
    await relayer("retire");
    const { commitBond } = (await done("gateway status", WELL_KNOWN_TEST_KEY, "--relayer-id", String(devnet.ids.relayerId))).relayer as { commitBond: string };
    await done(`gateway withdraw-commit-bond ${inTokens(commitBond)}`, devnet.keys.relayer.owner, "--relayer-id", String(devnet.ids.relayerId));
    await relayer("unbond 50000");
    await pass(21 * W + 1);
    expect(await node("withdraw")).to.include({ amount: "400000000" });
    expect(await relayer("withdraw")).to.include({ amount: "50000000000" });
  });

  it("whole, to the last unit: only the relayer's own fee stays, until it reveals what it drew by", async () => {
    const { charged, forced } = await network.session(paying.sessionId);
    const forcedFees = signed.slice(2).reduce((sum, fee) => sum + fee, 0n);
    expect(forced).to.equal(forcedFees);
    expect(await balanceOf(addressOf(devnet.keys.payer.owner))).to.equal(first.payer - charged - forcedFees);
    expect(await balanceOf(addressOf(devnet.keys.nodes[NODE]!.owner))).to.equal(signed.reduce((sum, fee) => sum + fee, 0n));
    expect(await balanceOf(somebody.address)).to.equal(first.somebody + ASKED.maxFee);
    const { fees } = await network.relayerAccount();
    expect(fees).to.equal(charged - signed[0]! - signed[1]!);
    expect(await Promise.all(["Escrow", "BondVault", "InferenceGateway"].map((name) => balanceOf(contract(name))))).to.deep.equal([fees, 0n, 0n]);
  });
});
