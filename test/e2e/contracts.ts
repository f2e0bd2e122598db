// Contracts that ask, on the network of real processes: named and open, answered, refused by the dApp, unanswered, interrupted.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { createWalletClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { chainAccess } from "../../cli/devnet/firstQuestion.ts";
import { STORIES } from "../../cli/devnet/fleet.ts";
import { WELL_KNOWN_TEST_KEY } from "../../cli/devnet/keys.ts";
import { gatewayBooks, gatewayCalls } from "../../client/adapters/gateway.ts";
import { OracleChain, type AskedQuestion, type OracleTerms } from "../../client/adapters/oracle.ts";
import { artifacts } from "../../deploy/artifacts.ts";
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { modelIdOf } from "../../protocol/ids.ts";
import type { Address, Hash, Hex } from "../../protocol/units.ts";
import { until, type Network } from "./network.ts";

const QUESTION = "Once a small crab asked the sea";
const MAX_FEE = 10_000n;
const BLOCK_SECONDS = 2;

interface Asker {
  readonly chain: OracleChain;
  readonly oracle: Address;
}

export function describeContracts(network: Network): void {
  const { devnet } = network;
  const read = <Result>(functionName: string, args: readonly unknown[]): Promise<Result> =>
    network.reader.readContract({ address: devnet.contracts.InferenceGateway!, abi: InferenceGatewayAbi, functionName, args } as never) as Promise<Result>;
  const commitBond = async (): Promise<bigint> => (await read<{ commitBond: bigint }>("relayerAccountOf", [devnet.ids.relayerId])).commitBond;
  const committedAt = async (requestId: Hash): Promise<number> => (await read<{ madeAt: number }>("commitOf", [requestId, devnet.ids.relayerId])).madeAt;
  const stateOf = (requestId: Hash) => gatewayBooks(chainAccess(devnet)).state(requestId);
  const fulfilled = (requestId: Hash): Promise<void> => until(`${requestId} is fulfilled`, async () => await stateOf(requestId) === "fulfilled", 40_000);

  /** A dApp of its own, and somebody with tokens who asks it: accounts that wait for nobody else's transactions. */
  async function asker(key: Hex, terms: Partial<OracleTerms>): Promise<Asker> {
    const chain = new OracleChain(chainAccess(devnet), key);
    const { bytecode } = await artifacts.loadArtifact("Oracle");
    const oracle = await chain.deploy(bytecode as Hex, {
      modelId: modelIdOf(STORIES.name), maxOutTokens: 16, maxFee: MAX_FEE, callbackGas: 200_000, lifetimeSeconds: 120, relayerId: devnet.ids.relayerId, ...terms,
    });
    return { chain, oracle };
  }

  async function fund(keys: readonly Hex[]): Promise<void> {
    const minter = createWalletClient({ account: privateKeyToAccount(WELL_KNOWN_TEST_KEY), transport: http(devnet.rpcUrl) });
    let hash: Hash = "0x";
    for (const key of keys) hash = await minter.writeContract({ chain: null, address: devnet.contracts.payToken!, abi: TideTokenAbi, functionName: "mint", args: [network.addressOf(key), 10n * MAX_FEE], gas: 200_000n });
    await network.reader.waitForTransactionReceipt({ hash, pollingInterval: 100 });
  }

  /** What was charged is what the gateway itself quotes for these tokens; the tide may have moved by two steps since. */
  async function expectQuotedPrice(requestId: Hash): Promise<void> {
    const [attempt] = await network.sql<{ charge: string; record: { receipt: { nodeId: number; body: { inputTokens: number; outputTokens: number } } } }>(
      `select a.charge, a.record from attempts a join tasks t using (task_id) where t.session_id = '${requestId}' and a.receipt_hash is not null`);
    const { nodeId, body } = attempt!.record.receipt;
    const [quoted] = await read<readonly [bigint, bigint]>("quote", [devnet.ids.relayerId, nodeId, modelIdOf(STORIES.name), body.inputTokens, body.outputTokens, 0]);
    const charge = Number(attempt!.charge);
    expect(Number(quoted)).to.be.within(charge * (7 / 8) ** 2 - 2, charge * (9 / 8) ** 2 + 2);
  }

  /** The page for dApps, to the letter. */
  async function byCommand(): Promise<{ readonly requestId: Hash; readonly answer: string; readonly answers: unknown }> {
    const root = join(import.meta.dirname, "../..");
    const tidelane = async (...args: string[]): Promise<string> =>
      (await promisify(execFile)(process.execPath, [join(root, "cli/tidelane.mjs"), "oracle", ...args, "--data-dir", network.directory, "--json"], { encoding: "utf8" })).stdout.trim().split("\n").at(-1)!;
    const { oracle } = JSON.parse(await tidelane("deploy", "--model", "stories15M", "--max-tokens", "16")) as { oracle: Address };
    const { answer, requestId } = JSON.parse(await tidelane("ask", oracle, QUESTION)) as { answer: string; requestId: Hash };
    return { requestId, answer, answers: JSON.parse(await tidelane("answers", oracle)) };
  }

  describe("contracts that ask", () => {
    let [open, failing, late]: Asker[] = [];
    /** All on their way at once: what each waits for are blocks. */
    let asked: { readonly command: ReturnType<typeof byCommand>; readonly open: AskedQuestion; readonly failing: AskedQuestion; readonly late: AskedQuestion };
    let bonded = 0n;
    before(async () => {
      await network.rpc("evm_setIntervalMining", [1]);
      const keys = ["high", "mid", "low-1"].map((name) => devnet.keys.nodes[name]!.owner);
      await fund(keys);
      const command = byCommand();
      command.catch(() => undefined);
      [open, failing, late] = await Promise.all([
        // A relayer begins nothing whose answer could come too late; nobody begins the last one.
        asker(keys[0]!, { relayerId: 0 }), asker(keys[1]!, { callbackGas: 1_000 }), asker(keys[2]!, { lifetimeSeconds: 5 }),
      ]);
      bonded = await commitBond();
      const [first, second, third] = await Promise.all([open, failing, late].map(({ chain, oracle }) => chain.ask(oracle, QUESTION)));
      asked = { command, open: first!, failing: second!, late: third! };
    });
    after(async () => {
      await network.rpc("evm_setIntervalMining", [BLOCK_SECONDS]);
    });

    it("from the command line, as the page for dApps says it: deploy, ask, read the answer", async () => {
      const { requestId, answer, answers } = await asked.command;
      expect(answer).to.have.length.greaterThan(10);
      expect(answers).to.deep.equal({ answers: [{ requestId, answer, uri: "" }] });
      const task = await network.sql<{ state: string }>(`select state from tasks where session_id = '${requestId}'`);
      expect(task).to.deep.equal([{ state: "finished" }]);
    });

    it("openly: the relayer commits first, answers then, and gets its penalty back", async () => {
      const { chain, oracle } = open!;
      const { requestId, request } = asked.open;
      await fulfilled(requestId);
      const [answered] = await chain.answers(oracle, asked.open);
      expect(answered!.answer).to.have.length.greaterThan(10);
      const commits = await network.reader.getContractEvents({ address: devnet.contracts.InferenceGateway!, abi: InferenceGatewayAbi, eventName: "Committed", args: { requestId }, fromBlock: asked.open.block });
      expect(commits.map(({ args }) => args.relayerId)).to.deep.equal([devnet.ids.relayerId]);
      expect(await commitBond()).to.equal(bonded);
      await expectQuotedPrice(requestId);
      const change = await read<bigint>("balanceOf", [oracle]);
      expect(change > 0n && change < request.maxFee, "what it did not cost is the dApp's again").to.equal(true);
    });

    it("with a callback that fails: the answer is kept, and anyone hands it in", async () => {
      const { chain, oracle } = failing!;
      const { requestId } = asked.failing;
      await fulfilled(requestId);
      expect(await chain.answers(oracle, asked.failing)).to.deep.equal([]);
      expect(await read<Hash>("outputCommitOf", [requestId])).to.not.match(/^0x0*$/);
      await open!.chain.pull(requestId);
      expect((await chain.answers(oracle, asked.failing))[0]!.answer).to.have.length.greaterThan(10);
    });

    it("in vain: after the deadline anyone gives everything back", async () => {
      const { requestId, request } = asked.late;
      await until("the deadline has passed", async () => (await network.reader.getBlock()).timestamp > request.deadline, 20_000);
      expect(await stateOf(requestId)).to.equal("pending");
      await gatewayCalls(chainAccess(devnet), devnet.keys.nodes["high"]!.owner).refund(request);
      expect(await stateOf(requestId)).to.equal("refunded");
      expect(await read<bigint>("balanceOf", [late!.oracle])).to.equal(request.maxFee);
      expect(await read<bigint>("gasBalanceOf", [late!.oracle])).to.equal(request.gasPayment);
    });

    it("of a relayer that dies between commit and answer: it is delivered after the restart, once", async () => {
      const { chain, oracle } = open!;
      const { requestId, block } = await chain.ask(oracle, QUESTION);
      await until("the relayer has committed", async () => await committedAt(requestId) !== 0, 20_000);
      await network.killRelayer();
      expect(await stateOf(requestId)).to.equal("pending");
      await devnet.startRelayer();
      await fulfilled(requestId);
      expect(await chain.answers(oracle, { requestId, block })).to.have.length(1);
      const [attempts] = await network.sql<{ n: string }>(`select count(*) as n from attempts a join tasks t using (task_id) where t.session_id = '${requestId}'`);
      expect(Number(attempts!.n), "the node was not asked again").to.equal(1);
      await devnet.attested();
    });
  });
}
