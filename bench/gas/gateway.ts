// What a contract's request costs from asking to the callback: open (asked, committed, fulfilled) and named (asked, fulfilled).
// The example dApp asks, for a user who pays it; its callback emits the answer.
import { readFileSync } from "node:fs";
import { concatHex, decodeEventLog, encodeAbiParameters, encodeFunctionData, stringToHex, type Abi } from "viem";
import { Status } from "../../protocol/constants.ts";
import { outputSalt, saltedCommit } from "../../protocol/ids.ts";
import { commitmentOf, coveredByGateway, type ContractRequest } from "../../protocol/requests.ts";
import { signStruct } from "../../protocol/signing.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { ZERO_HASH, type Address, type Hash, type Hex } from "../../protocol/units.ts";
import type { Assignment, TaskReceipt } from "../../protocol/generated/structs.ts";
import { hashOf, RELAYER_ID, WINDOW_SECONDS, type World } from "./world.ts";

const MODEL = hashOf(7);
const PENALTY = 50_000_000n;
const MAX_FEE = 5_000_000n;
const CALLBACK_GAS = 100_000;
const LIFETIME_SECONDS = 3_600;
/** As in Earnings: a relayer's fees; a new period of theirs is one of the node's credits too. */
const FEE_PERIOD_WINDOWS = 7;
const GAS_PAYMENT = 10n ** 15n;
const PROMPT = "In one sentence: will the harbour freeze before the new year?";
const OUTPUT = stringToHex("No: the water has been four degrees warmer than usual since the beginning of November.");

interface Compiled {
  readonly abi: Abi;
  readonly bytecode: Hex;
}

const compiled = (path: string): Compiled =>
  JSON.parse(readFileSync(new URL(`../../artifacts/contracts/${path}.sol/${path.split("/").at(-1)!}.json`, import.meta.url), "utf8")) as Compiled;

interface Scene {
  readonly world: World;
  readonly gateway: Address;
  readonly gatewayAbi: Abi;
  readonly openOracle: Address;
  readonly namedOracle: Address;
  readonly oracleAbi: Abi;
}

/**
 * Gas by operation. `first`: no party ever had to do with the gateway; `new_asker`: only the dApp had not. `period`: the first
 * answer of new periods of maturity, node's and relayer's; `period_first`: and before it they never had two.
 */
export async function gatewayCosts(world: World): Promise<Record<string, number>> {
  const scene = await sceneOf(world);
  const first = await roundOf(scene, scene.openOracle);
  const later = await roundOf(scene, scene.openOracle);
  const newAsker = await roundOf(scene, await oracleOf(scene, 0));
  await roundOf(scene, scene.namedOracle);
  const named = await roundOf(scene, scene.namedOracle);
  const periodFirst = await inNewPeriods(scene);
  const period = await inNewPeriods(scene);
  return {
    gateway_ask_first: first.ask, gateway_commit_first: first.commit, gateway_fulfil_first: first.fulfil,
    gateway_ask: later.ask, gateway_commit: later.commit, gateway_fulfil: later.fulfil,
    gateway_open_whole_first: wholeOf(first), gateway_open_whole: wholeOf(later), gateway_open_whole_new_asker: wholeOf(newAsker),
    gateway_open_whole_period_first: wholeOf(periodFirst), gateway_open_whole_period: wholeOf(period), gateway_named_whole: wholeOf(named),
  };
}

const wholeOf = ({ ask, commit, fulfil }: Round): number => ask + commit + fulfil;

async function inNewPeriods(scene: Scene): Promise<Round> {
  const { chain } = scene.world;
  await chain.setTime(await chain.time() + FEE_PERIOD_WINDOWS * WINDOW_SECONDS);
  return await roundOf(scene, scene.openOracle);
}

async function sceneOf(world: World): Promise<Scene> {
  const { chain, owner, contracts } = world;
  const { abi: gatewayAbi, bytecode } = compiled("InferenceGateway");
  const gateway = await chain.create(owner, concatHex([bytecode, encodeAbiParameters(
    [{ type: "address" }, { type: "address" }, { type: "uint96" }], [contracts["BatchSettlement"]!, contracts["SaturationBoard"]!, PENALTY])]));
  const token = contracts["token"]!;
  const erc20 = compiled("token/TideToken").abi;
  await chain.call(owner, token, erc20, "mint", [owner, 10n ** 12n]);
  await chain.call(owner, token, erc20, "approve", [gateway, 10n ** 12n]);
  await chain.call(owner, gateway, gatewayAbi, "bondCommits", [RELAYER_ID, 10n * PENALTY]);
  const place = { world, gateway };
  return { ...place, gatewayAbi, openOracle: await oracleOf(place, 0), namedOracle: await oracleOf(place, RELAYER_ID), oracleAbi: compiled("examples/Oracle").abi };
}

/** A dApp of its own. @param relayerId 0: anyone answers it. */
async function oracleOf({ world: { chain, owner, contracts }, gateway }: Pick<Scene, "world" | "gateway">, relayerId: number): Promise<Address> {
  const terms = [MODEL, 1_000, MAX_FEE, CALLBACK_GAS, LIFETIME_SECONDS, relayerId];
  const types = ["address", "bytes32", "uint32", "uint96", "uint32", "uint32", "uint32"].map((type) => ({ type }));
  const { bytecode } = compiled("examples/Oracle");
  const address = await chain.create(owner, concatHex([bytecode, encodeAbiParameters(types, [gateway, ...terms])]));
  await chain.call(owner, contracts["token"]!, compiled("token/TideToken").abi, "approve", [address, 10n ** 12n]);
  return address;
}

interface Round {
  readonly ask: number;
  readonly commit: number;
  readonly fulfil: number;
}

async function roundOf(scene: Scene, oracle: Address): Promise<Round> {
  const { world: { chain, owner }, gateway, gatewayAbi } = scene;
  const { gas: ask, request } = await askOf(scene, oracle);
  const fulfilment = await fulfilmentOf(scene, request);
  let commit = 0;
  if (request.relayerId === 0) {
    const commitment = commitmentOf(hashStruct("TaskReceipt", fulfilment.receipt), RELAYER_ID, fulfilment.salt);
    commit = await chain.call(owner, gateway, gatewayAbi, "commit", [fulfilment.receipt.body.sessionId, RELAYER_ID, commitment]);
  }
  return { ask, commit, fulfil: await chain.call(owner, gateway, gatewayAbi, "fulfil", [fulfilment]) };
}

async function askOf({ world: { chain, owner }, gateway, gatewayAbi, oracleAbi }: Scene, oracle: Address): Promise<{ gas: number; request: ContractRequest }> {
  const data = encodeFunctionData({ abi: oracleAbi, functionName: "ask", args: [PROMPT] });
  const { gas, logs } = await chain.pay(owner, oracle, data, GAS_PAYMENT);
  const log = logs.find((one) => one.address.toLowerCase() === gateway.toLowerCase())!;
  const { args } = decodeEventLog({ abi: gatewayAbi, eventName: "Requested", ...log, topics: log.topics as [Hex] });
  return { gas, request: (args as unknown as { request: ContractRequest }).request };
}

async function fulfilmentOf({ world, gateway }: Scene, request: ContractRequest) {
  const node = world.nodes[0]!;
  const now = await world.chain.time();
  const { order } = coveredByGateway(request, gateway);
  const taskId = hashStruct("TaskOrder", order);
  const assignment: Assignment = {
    taskId, subtask: 0, subtasks: 1, attempt: 0, relayerId: RELAYER_ID, relayerEpoch: 1, nodeId: node.nodeId, keyEpoch: 1, role: 1, voucherHash: ZERO_HASH,
    attestationHash: hashOf(1), decisionHash: hashOf(2), contextHead: ZERO_HASH, priceInPerMTok: 100_000n, priceOutPerMTok: 300_000n, feeBps: 300,
    shareCap: request.maxFee, inputCommit: hashOf(3), issuedAt: now, deadline: request.deadline,
  };
  const assignmentHash = hashStruct("Assignment", assignment);
  const requestId: Hash = order.sessionId;
  const receipt: TaskReceipt = {
    body: {
      assignmentHash, sessionId: requestId, taskId, subtask: 0, attempt: 0, role: 1, prevReceiptHash: hashOf(4),
      outputCommit: saltedCommit(outputSalt(requestId, assignmentHash), OUTPUT), inputTokens: 900, outputTokens: 400, fee: 210n,
      startedAt: now, finishedAt: now + 1, status: Status.COMPLETE,
    },
    nodeId: node.nodeId, relayerId: RELAYER_ID, keyEpoch: 1, nodeSeq: BigInt(now) * 1_000n << 20n, nodeCumulative: 10n ** 9n,
  };
  return {
    request, assignment, assignmentSignature: await signStruct(world.signer, world.domain, "Assignment", assignment), receipt: { ...receipt.body, ...receipt },
    receiptSignature: await signStruct(node.key, world.domain, "TaskReceipt", receipt), output: OUTPUT, uri: "", salt: hashOf(5),
  };
}
