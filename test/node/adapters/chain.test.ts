// The chain adapter against a JSON-RPC server in the test that answers as the contracts would.
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { decodeFunctionData, encodeAbiParameters, encodeEventTopics, encodeFunctionResult, getAddress, keccak256, numberToHex, stringToHex, type Abi, type Hex } from "viem";
import { BatchSettlementAbi } from "../../../protocol/generated/abi/BatchSettlement.ts";
import { BondVaultAbi } from "../../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../../protocol/generated/abi/Escrow.ts";
import { InferenceGatewayAbi } from "../../../protocol/generated/abi/InferenceGateway.ts";
import { SaturationBoardAbi } from "../../../protocol/generated/abi/SaturationBoard.ts";
import { NodeRegistryAbi } from "../../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../../protocol/generated/abi/RelayerRegistry.ts";
import { openChain } from "../../../node/adapters/chain.ts";
import { Mode } from "../../../protocol/constants.ts";
import { failure } from "../engines/suite.ts";
import type { Address } from "../../../protocol/units.ts";

const contracts: Record<string, Address> = Object.fromEntries(["BatchSettlement", "BondVault", "Escrow", "NodeRegistry", "RelayerRegistry", "InferenceGateway", "SaturationBoard"].map((name, i) => [name, `0x${String(i + 1).repeat(40)}`]));
const abis: Record<string, Abi> = { BatchSettlement: BatchSettlementAbi as Abi, BondVault: BondVaultAbi as Abi, Escrow: EscrowAbi as Abi, NodeRegistry: NodeRegistryAbi as Abi, RelayerRegistry: RelayerRegistryAbi as Abi, InferenceGateway: InferenceGatewayAbi as Abi, SaturationBoard: SaturationBoardAbi as Abi };
const zero: Address = `0x${"0".repeat(40)}`;
const key: Address = getAddress(`0x${"ab".repeat(20)}`);
const emptySession = {
  payer: zero, sessionKey: zero, relayerId: 0, mode: 0, validAfter: 0, validUntil: 0, closingAt: 0, lock: 0n, maxTotal: 0n, maxPerDay: 0n, charged: 0n, provenCap: 0n,
  forced: 0n, reserved: 0n, voidedCharge: 0n, bucketLevel: 0n,
};

let head = 0;
/** Endpoints that were registered, with their blocks. */
let endpoints: { readonly block: number; readonly relayerId: number; readonly text: string }[] = [];
let searches = 0;

/** As an RPC service that refuses to search more than 10,000 blocks at once. */
function logsFor({ fromBlock, toBlock, topics }: { fromBlock: Hex; toBlock: Hex; topics: Hex[] }): object[] {
  searches++;
  const [from, to] = [Number(fromBlock), Number(toBlock)];
  if (to - from >= 10_000) throw new Error(`the test's RPC searches 10,000 blocks, not ${to - from + 1}`);
  return endpoints.filter((one) => one.block >= from && one.block <= to && numberToHex(one.relayerId, { size: 32 }) === topics[1]).map((one) => ({
    address: contracts.RelayerRegistry, topics: encodeEventTopics({ abi: RelayerRegistryAbi, eventName: "RelayerProfileSet", args: { relayerId: one.relayerId, poster: key } }),
    data: encodeAbiParameters([{ type: "uint16" }, { type: "string" }], [300, one.text]), blockNumber: numberToHex(one.block), transactionHash: `0x${"aa".repeat(32)}`,
    transactionIndex: "0x0", blockHash: `0x${"bb".repeat(32)}`, logIndex: "0x0", removed: false,
  }));
}

/** What each function returns, by name. */
let answers: Record<string, unknown> = {};
let server: Server;
let url = "";

before(async () => {
  server = createServer((request, response) => {
    let text = "";
    request.on("data", (part: Buffer) => { text += part.toString(); });
    request.on("end", () => response.end(JSON.stringify(answer(JSON.parse(text) as { id: number; method: string; params: [{ to: Address; data: Hex }] }))));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => { answers = { windowSeconds: 3_600, stateOf: 0 }; });

function answer({ id, method, params }: { id: number; method: string; params: [{ to: Address; data: Hex }] }): object {
  if (method === "eth_chainId") return { jsonrpc: "2.0", id, result: "0x7a69" };
  if (method === "eth_blockNumber") return { jsonrpc: "2.0", id, result: numberToHex(head) };
  if (method === "eth_getLogs") return { jsonrpc: "2.0", id, result: logsFor(params[0] as unknown as { fromBlock: Hex; toBlock: Hex; topics: Hex[] }) };
  const [name] = Object.entries(contracts).find(([, address]) => address === params[0].to.toLowerCase())!;
  const { functionName } = decodeFunctionData({ abi: abis[name]!, data: params[0].data });
  const result = encodeFunctionResult({ abi: abis[name]!, functionName, result: answers[functionName] as never });
  return { jsonrpc: "2.0", id, result };
}

const open = (more: { rpcUrls?: string[]; chainId?: number; contracts?: Record<string, Address>; deploymentBlock?: number } = {}) => openChain({ rpcUrls: [url], chainId: 31_337, contracts, ...more });

describe("chain adapter", () => {
  it("knows domain and window", async () => {
    const chain = await open();
    expect(chain.domain).to.deep.equal({ chainId: 31_337, verifyingContract: contracts.BatchSettlement });
    expect(chain.windowSeconds).to.equal(3_600);
  });

  it("refuses another chain, and a deployment that lacks a contract", async () => {
    expect(await failure(open({ chainId: 1 }))).to.equal("wrong_chain");
    expect(await failure(open({ contracts: {} }))).to.equal("incomplete_deployment");
  });

  it("falls back to another RPC URL, and says so where none answers", async () => {
    expect((await open({ rpcUrls: ["http://127.0.0.1:1", url] })).windowSeconds).to.equal(3_600);
    expect(await failure(open({ rpcUrls: ["http://127.0.0.1:1"] }))).to.equal("chain_unreachable");
  });

  it("reads a node: its key in lowercase, its slots within what can be attested", async () => {
    answers = { ...answers, currentKeyOf: [2, { key, openedAt: 5, closedAt: 0 }], isLive: true, slotsOf: 10n ** 20n };
    expect(await (await open()).self(1)).to.deep.equal({ hotKey: key.toLowerCase(), keyEpoch: 2, live: true, slots: 65_535 });
    answers = { ...answers, currentKeyOf: [0, { key: zero, openedAt: 0, closedAt: 0 }] };
    expect(await (await open()).self(1)).to.equal(null);
  });

  it("reads a contract's request where there is no session of that id", async () => {
    answers = { ...answers, sessionOf: emptySession, closingSince: 0 };
    const { InferenceGateway, ...others } = contracts;
    const states = { none: 0, pending: 1, fulfilled: 2, refunded: 3 };
    const read = async (stateOf: number) => {
      answers = { ...answers, stateOf };
      return await (await open()).session(`0x${"cd".repeat(32)}`);
    };
    expect(await read(states.none)).to.equal(null);
    expect(await read(states.pending)).to.include({ mode: Mode.REQUEST, relayerId: 0, closing: false, charged: 0n });
    expect(await read(states.fulfilled)).to.include({ closing: true });
    expect(await read(states.refunded)).to.include({ closing: true });
    answers = { ...answers, stateOf: states.pending };
    expect(await (await open({ contracts: others as Record<string, Address> })).session(`0x${"cd".repeat(32)}`)).to.equal(null);
  });

  it("reads keys by epoch, null where there is none", async () => {
    answers = { ...answers, keyOf: { key, openedAt: 5, closedAt: 9 } };
    const chain = await open();
    expect(await chain.relayerKey(1, 1)).to.deep.equal({ key: key.toLowerCase(), openedAt: 5, closedAt: 9 });
    expect(await chain.nodeKey(1, 1)).to.deep.equal({ key: key.toLowerCase(), openedAt: 5, closedAt: 9 });
    answers = { ...answers, keyOf: { key: zero, openedAt: 0, closedAt: 0 } };
    expect(await chain.relayerKey(1, 9)).to.equal(null);
  });

  it("reads a session: what is still locked, and whether it is closing", async () => {
    answers = { ...answers, closingSince: 0, sessionOf: { ...emptySession, payer: key, relayerId: 3, mode: 1, lock: 1_000n, charged: 300n, forced: 50n, reserved: 20n, maxTotal: 900n, bucketLevel: 77n, validUntil: 99 } };
    const chain = await open();
    expect(await chain.session(`0x${"11".repeat(32)}`)).to.deep.equal({ mode: 1, relayerId: 3, lock: 650n, reserved: 20n, charged: 300n, maxTotal: 900n, bucketLevel: 77n, validUntil: 99, closing: false });
    answers = { ...answers, closingSince: 42 };
    expect((await chain.session(`0x${"11".repeat(32)}`))!.closing).to.equal(true);
    answers = { ...answers, sessionOf: emptySession };
    expect(await chain.session(`0x${"11".repeat(32)}`)).to.equal(null);
  });

  it("reads what a tab has proof of", async () => {
    answers = { ...answers, tabOf: { earned: 1n, provenEarned: 7n, matured: 0n, voidedEarned: 0n, claimed: 0n, forcedEarned: 0n } };
    expect(await (await open()).provenEarned(1, 2)).to.equal(7n);
  });

  it("reads the tide, and takes it for still where the deployment has no board", async () => {
    answers = { ...answers, tideMultiplier: 1_125_000 };
    expect(await (await open()).tideMultiplier(1, `0x${"11".repeat(32)}`)).to.equal(1_125_000);
    const { SaturationBoard: _, ...others } = contracts;
    expect(await (await open({ contracts: others })).tideMultiplier(1, `0x${"11".repeat(32)}`)).to.equal(1_000_000);
  });

  const registered = (endpoint: string | null) => ({ owner: key, poster: key, feeBps: 300, keyEpoch: 1, registeredAt: 1, retiredAt: 0, endpointHash: endpoint === null ? `0x${"00".repeat(32)}` : keccak256(stringToHex(endpoint)) });

  it("finds a relayer's endpoint in the newest event whose text has the registered hash, in steps that any RPC takes", async () => {
    head = 25_000;
    endpoints = [
      { block: 12_000, relayerId: 3, text: "https://old.example" }, { block: 14_000, relayerId: 3, text: "https://new.example" }, { block: 14_001, relayerId: 4, text: "https://other.example" },
      { block: 24_000, relayerId: 3, text: "https://forged.example" },
    ];
    answers = { ...answers, relayerOf: registered("https://new.example") };
    searches = 0;
    expect(await (await open({ deploymentBlock: 11_000 })).relayerEndpoint(3)).to.equal("https://new.example");
    expect(searches).to.equal(2);
    answers = { ...answers, relayerOf: registered(null) };
    expect(await (await open()).relayerEndpoint(9)).to.equal(null);
    answers = { ...answers, relayerOf: registered("https://never.example") };
    expect(await failure((await open({ deploymentBlock: 11_000 })).relayerEndpoint(3))).to.equal("endpoint_not_found");
  });
});
