// A real chain with the gateway, the example dApp on it, and a relayer's request loop over scripted nodes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { concatHex, createPublicClient, encodeAbiParameters, encodeFunctionData, getContractAddress, http, parseEventLogs, type Abi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { InferenceGatewayAbi } from "../../../protocol/generated/abi/InferenceGateway.ts";
import { TideTokenAbi } from "../../../protocol/generated/abi/TideToken.ts";
import { Status } from "../../../protocol/constants.ts";
import { feeOf } from "../../../protocol/fees.ts";
import { modelIdOf, outputSalt, saltedCommit } from "../../../protocol/ids.ts";
import { signerOfKey, signStruct } from "../../../protocol/signing.ts";
import { TIDE_ONE } from "../../../protocol/tide.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ZERO_HASH, type Address, type Hash, type Hex } from "../../../protocol/units.ts";
import { connectChain } from "../../../relayer/adapters/chain.ts";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import { createNativeCrypto } from "../../../relayer/adapters/crypto.ts";
import { systemDice } from "../../../relayer/adapters/dice.ts";
import { createGatewayReader } from "../../../relayer/adapters/gatewayReader.ts";
import { createPromptSource } from "../../../relayer/adapters/promptSource.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { noMetrics } from "../../../relayer/adapters/metrics.ts";
import { MemoryRecords } from "../../../relayer/adapters/records.ts";
import { tokenCounter } from "../../../relayer/adapters/tokens.ts";
import { Requests } from "../../../relayer/loops/requests.ts";
import { answerContract } from "../../../relayer/work/contractTask.ts";
import { Tabs } from "../../../relayer/work/tabs.ts";
import type { AttemptEvent, AttemptRequest } from "../../../protocol/link.ts";
import type { GatewayReader, PromptSource } from "../../../relayer/ports/readers.ts";
import type { Log } from "../../../relayer/ports/world.ts";
import type { FleetModel } from "../../../relayer/work/fleet.ts";
import { accounts, keys, startLocalChain, type LocalChain } from "../localChain.ts";

export const OUTPUT = "It will rain. ☂";
export const GAS_PAYMENT = 10n ** 16n;
export const MAX_FEE = 5_000_000n;
const NAME = "org/model@q4";
const PRICES = { priceInPerMTok: 100_000_000n, priceOutPerMTok: 300_000_000n };
const SECONDS = 600;
const model: FleetModel = {
  name: NAME, modelId: modelIdOf(NAME), aliases: [], kind: "generate", contextTokens: 4_096, dimensions: 0, base: PRICES, tideMultiplier: TIDE_ONE, nodes: 1, tokenizer: "", capabilities: [],
};

/** What stays of a relayer when its process ends, and what its nodes were asked. */
export interface Rig {
  readonly chain: LocalChain;
  readonly gateway: Address;
  readonly journal: MemoryJournal;
  readonly attempts: AttemptRequest[];
  /** What the node does next; the last one stays. */
  readonly script: ("answer" | "fail" | "hang" | "claim")[];
  /** What a node that claims another output than its own names. */
  claimed: Hash;
  readonly records: MemoryRecords;
  models: FleetModel[];
  output: string;
  /** A fresh process of the relayer. */
  start(recordsUrl?: string | null): Promise<Requests>;
  dApp(relayerId: number, callbackGas?: number, seconds?: number): Promise<Address>;
  ask(dApp: Address, question: string): Promise<Hash>;
  readonly reader: GatewayReader;
  read<Result>(functionName: string, args?: readonly unknown[]): Promise<Result>;
  /** The dApp's Answered events. */
  answersOf(dApp: Address): Promise<{ requestId: Hash; answer: string; uri: string }[]>;
  /** Asks by URI; the answer stays for a pull. */
  askByUri(uri: string, promptHash: Hash): Promise<Hash>;
  /** Where prompts by URI come from. */
  prompts: PromptSource;
  /** Codes and reasons of the loops' warnings. */
  readonly warned: string[];
  stop(): Promise<void>;
}

const artifact = (path: string): { abi: Abi; bytecode: Hex } =>
  JSON.parse(readFileSync(join(import.meta.dirname, "../../../artifacts/contracts", path), "utf8")) as { abi: Abi; bytecode: Hex };

export async function createRig(): Promise<Rig> {
  const chain = await startLocalChain();
  const gateway = chain.addresses.InferenceGateway!;
  const crypto = await createNativeCrypto();
  const client = createPublicClient({ transport: http(chain.url), cacheTime: 0 });
  const oracle = artifact("examples/Oracle.sol/Oracle.json");
  const records = new MemoryRecords();
  const payer = privateKeyToAccount(accounts.payer);
  const token = chain.addresses.payToken!;
  const mint = async (to: Hex, amount: bigint): Promise<void> => chain.send(accounts.deployer, token, encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [privateKeyToAccount(to).address, amount] }));
  await mint(accounts.payer, 1_000_000_000n);
  await mint(accounts.relayerOwner, 1_000_000_000n);
  await chain.send(accounts.relayerOwner, token, encodeFunctionData({ abi: TideTokenAbi, functionName: "approve", args: [gateway, 1_000_000_000n] }));
  await chain.send(accounts.relayerOwner, gateway, encodeFunctionData({ abi: InferenceGatewayAbi, functionName: "bondCommits", args: [1, 500_000_000n] }));

  const transact = async (transaction: { to?: Address; data: Hex; value?: bigint }) => {
    const nonce = await client.getTransactionCount({ address: payer.address });
    const raw = await payer.signTransaction({ type: "eip1559", chainId: 31_337, nonce, gas: 6_000_000n, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 10n ** 9n, ...transaction });
    const receipt = await client.waitForTransactionReceipt({ hash: await client.sendRawTransaction({ serializedTransaction: raw }), pollingInterval: 20 });
    if (receipt.status !== "success") throw new Error("a transaction reverted");
    return { receipt, created: getContractAddress({ from: payer.address, nonce: BigInt(nonce) }) };
  };

  const log: Log = { ...silentLog, warn: (fields) => void rig.warned.push(...Object.values(fields).map(String)) };
  const rig: Rig = {
    prompts: createPromptSource({ ipfsGateway: null, mayLoopBack: false }), warned: [],
    chain, gateway, journal: new MemoryJournal(), attempts: [], script: ["answer"], claimed: ZERO_HASH, records, models: [model], output: OUTPUT,
    async start(recordsUrl = null) {
      const viemChain = await connectChain({ rpcUrls: [chain.url], chainId: 31_337, addresses: chain.addresses, posterKey: accounts.poster });
      const identity = { relayerId: 1, epoch: 1, feeBps: 300, signer: signerOfKey(keys.signer) };
      const shared = { clock: systemClock, dice: systemDice, log, metrics: noMetrics, crypto, identity, journal: rig.journal, deployment: viemChain.deployment };
      const tasksWorld = {
        ...shared, tokens: tokenCounter, tabs: new Tabs(), limits: { startMsMax: 5_000, firstTokenMsMax: 5_000, gapMsMax: 5_000, cancelMsMax: 500, outputBytesMax: 1_000_000 },
        links: {
          attempt: (_: number, request: AttemptRequest, signal?: AbortSignal) => { rig.attempts.push(request); return node.work(request, signal); },
          cancel: async () => {}, ack: async () => {},
        },
        fleet: {
          modelIdOf: () => model.modelId, models: () => rig.models,
        },
        reception: {
          close: () => {},
          async *enter() {
            return {
              ok: true as const, atMs: Date.now(), nodeId: 1, keyEpoch: 1, hotKey: privateKeyToAccount(keys.hot[0]).address.toLowerCase() as Address,
              prices: PRICES,
              model: { modelId: model.modelId, name: NAME, aliases: [], kind: "generate" as const, contextTokens: 4_096, tokenizer: "", capabilities: [], dimensions: 0 },
              attestationHash: ZERO_HASH, attestationSeq: 1n, decision: "{}", decisionHash: ZERO_HASH,
              booking: { firstToken: () => {}, progress: () => {}, contradicted: () => {}, release: () => {} },
            };
          },
        },
      };
      return new Requests({
        ...shared, chain: viemChain, records, gateway, reader: rig.reader, models: () => rig.models, isLeading: () => true, recordsUrl, prompts: { fetch: (uri) => rig.prompts.fetch(uri) },
        answer: (one) => answerContract({ ...tasksWorld, journal: rig.journal, records, gateway }, one),
      });
    },
    async dApp(relayerId, callbackGas = 100_000, seconds = SECONDS) {
      const terms = encodeAbiParameters(
        ["address", "bytes32", "uint32", "uint96", "uint32", "uint32", "uint32"].map((type) => ({ type })), [gateway, model.modelId, 64, MAX_FEE, callbackGas, seconds, relayerId],
      );
      const { created } = await transact({ data: concatHex([oracle.bytecode, terms]) });
      await chain.send(accounts.payer, token, encodeFunctionData({ abi: TideTokenAbi, functionName: "approve", args: [created, 10n ** 12n] }));
      return created;
    },
    async ask(dApp, question) {
      const { receipt } = await transact({ to: dApp, data: encodeFunctionData({ abi: oracle.abi, functionName: "ask", args: [question] }), value: GAS_PAYMENT });
      return parseEventLogs({ abi: InferenceGatewayAbi, eventName: "Requested", logs: receipt.logs })[0]!.args.requestId;
    },
    async askByUri(uri, promptHash) {
      await transact({ to: token, data: encodeFunctionData({ abi: TideTokenAbi, functionName: "approve", args: [gateway, MAX_FEE] }) });
      const { timestamp } = await client.getBlock();
      const { receipt } = await transact({
        to: gateway, value: GAS_PAYMENT,
        data: encodeFunctionData({ abi: InferenceGatewayAbi, functionName: "requestByUri", args: [model.modelId, uri, promptHash, 64, MAX_FEE, 0, Number(timestamp) + SECONDS, 1] }),
      });
      return parseEventLogs({ abi: InferenceGatewayAbi, eventName: "Requested", logs: receipt.logs })[0]!.args.requestId;
    },
    reader: createGatewayReader([chain.url], gateway),
    read: async (functionName, args = []) => await client.readContract({ address: gateway, abi: InferenceGatewayAbi as Abi, functionName, args }) as never,
    async answersOf(dApp) {
      const logs = await client.getContractEvents({ address: dApp, abi: oracle.abi, eventName: "Answered", fromBlock: 0n, strict: true });
      return logs.map((log) => (log as unknown as { args: { requestId: Hash; answer: string; uri: string } }).args);
    },
    stop: () => chain.stop(),
  };
  const node = new ScriptedNode(rig);
  return rig;
}

/** Node 1 of the local chain: signs real receipts of one tab. */
class ScriptedNode {
  readonly #rig: Rig;
  #cumulative = 0n;
  #seq = BigInt(Date.now()) << 20n;
  #lastHash: Hash = ZERO_HASH;

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  async *work(request: AttemptRequest, signal?: AbortSignal): AsyncGenerator<AttemptEvent> {
    const { script, output } = this.#rig;
    const manner = script.length > 1 ? script.shift()! : script[0]!;
    if (manner === "fail") return yield { type: "failed", code: "engine", message: "no" };
    yield { type: "start", inputTokens: 7 };
    yield { type: "delta", text: output, tokens: 9 };
    // As a process that dies in mid-stream leaves it: no end ever comes.
    if (manner === "hang") await new Promise((resolve) => signal?.addEventListener("abort", resolve));
    const { assignment, covered, input } = request;
    const assignmentHash = hashStruct("Assignment", assignment);
    const { fee } = feeOf(7, 9, assignment);
    const [cumulative, seq] = [this.#cumulative + fee, this.#seq + 1n];
    const receipt = {
      body: {
        assignmentHash, sessionId: covered.order.sessionId, taskId: assignment.taskId, subtask: 0, attempt: assignment.attempt, role: assignment.role, prevReceiptHash: this.#lastHash,
        outputCommit: manner === "claim" ? this.#rig.claimed : saltedCommit(outputSalt(input.salt, assignmentHash), `0x${Buffer.from(output).toString("hex")}`), inputTokens: 7, outputTokens: 9, fee,
        startedAt: assignment.issuedAt, finishedAt: assignment.issuedAt, status: Status.COMPLETE,
      },
      nodeId: 1, relayerId: 1, keyEpoch: 1, nodeSeq: seq, nodeCumulative: cumulative,
    };
    // What no relayer can take is no part of the tab.
    if (manner !== "claim") [this.#cumulative, this.#seq, this.#lastHash] = [cumulative, seq, hashStruct("TaskReceipt", receipt)];
    yield { type: "end", finishReason: "stop", receipt, signature: await signStruct(signerOfKey(keys.hot[0]), this.#rig.chain.domain, "TaskReceipt", receipt) };
  }
}

