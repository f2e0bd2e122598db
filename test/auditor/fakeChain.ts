// A chain node over real HTTP that answers what an audit reads, from a set of facts.
import { createServer } from "node:http";
import { once } from "node:events";
import { decodeFunctionData, encodeAbiParameters, encodeEventTopics, encodeFunctionResult, getAbiItem, type Abi } from "viem";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { NodeRegistryAbi } from "../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { keyName, type ChainFacts } from "../../auditor/verify.ts";
import { ZERO_HASH, type Address, type Hash, type Hex } from "../../protocol/units.ts";
import type { BatchHeader } from "../../protocol/generated/structs.ts";

const ZERO_ADDRESS: Address = `0x${"0".repeat(40)}`;

export interface FakeChain {
  readonly url: string;
  readonly contracts: Readonly<Record<string, Address>>;
  /** What the chain holds; tests replace it. */
  facts: ChainFacts;
  /** The header of the event that the posting left. */
  header: BatchHeader;
  /** Whether this node still has transactions and logs. */
  keepsLogs: boolean;
  methods: string[];
  stop(): void;
}

export async function fakeChain(facts: ChainFacts, header: BatchHeader): Promise<FakeChain> {
  const contracts = {
    BatchSettlement: facts.domain.verifyingContract, Escrow: `0x${"e5".repeat(20)}`, NodeRegistry: `0x${"a1".repeat(20)}`, RelayerRegistry: `0x${"a2".repeat(20)}`,
  } as const;
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const call = JSON.parse(text) as { id: number; method: string; params: readonly unknown[] };
      chain.methods.push(call.method);
      response.setHeader("content-type", "application/json");
      try {
        response.end(JSON.stringify({ jsonrpc: "2.0", id: call.id, result: answer(chain, call.method, call.params) }));
      } catch (error) {
        response.end(JSON.stringify({ jsonrpc: "2.0", id: call.id, error: { code: -32_000, message: String(error) } }));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const chain: FakeChain = {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, contracts, facts, header, keepsLogs: true, methods: [],
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
  return chain;
}

function answer(chain: FakeChain, method: string, params: readonly unknown[]): unknown {
  const posting = chain.facts.batch?.posting;
  if (method === "eth_chainId") return hex(chain.facts.domain.chainId);
  if (method === "eth_blockNumber") return hex(60);
  if (method === "eth_call") return call(chain, (params[0] as { to: Address }).to, (params[0] as { data: Hex }).data);
  if (method === "eth_getTransactionReceipt") return chain.keepsLogs && posting && params[0] === posting.transactionHash ? receipt(chain, posting) : null;
  if (method === "eth_getLogs") {
    if (!chain.keepsLogs) throw new Error("no logs are kept");
    return posting ? [log(chain, posting.transactionHash)] : [];
  }
  throw new Error(`unexpected ${method}`);
}

function call({ facts, contracts }: FakeChain, to: Address, data: Hex): Hex {
  const name = Object.entries(contracts).find(([, address]) => address === to.toLowerCase())?.[0];
  const abi = { Escrow: EscrowAbi, BatchSettlement: BatchSettlementAbi, NodeRegistry: NodeRegistryAbi, RelayerRegistry: RelayerRegistryAbi }[name!] as Abi;
  const { functionName, args } = decodeFunctionData({ abi, data });
  const result = (value: unknown): Hex => encodeFunctionResult({ abi, functionName, result: value as never });
  if (functionName === "windowSeconds") return result(facts.windowSeconds);
  if (functionName === "keyOf") {
    const [id, epoch] = args as [number, number];
    const key = (name === "NodeRegistry" ? facts.nodeKeys : facts.relayerKeys).get(keyName(id, epoch));
    return result({ key: key?.key ?? ZERO_ADDRESS, openedAt: key?.openedAtSeconds ?? 0, closedAt: key?.closedAtSeconds ?? 0 });
  }
  if (functionName === "sessionOf") {
    const item = getAbiItem({ abi: EscrowAbi, name: "sessionOf" });
    const session = Object.fromEntries(item.outputs[0].components.map(({ name: field, type }) => [field, type === "address" ? ZERO_ADDRESS : ["uint8", "uint32", "uint48"].includes(type) ? 0 : 0n]));
    return result({ ...session, payer: facts.sessionPayers.get((args as [Hash])[0]) ?? ZERO_ADDRESS });
  }
  const batch = facts.batch;
  const isPosted = batch !== null && (args as [number, bigint])[1] === 5n;
  return result(isPosted ? { ...batch, postedAt: batch.postedAtSeconds } : {
    batchHash: ZERO_HASH, sessionRoot: ZERO_HASH, tabRoot: ZERO_HASH, totalDebit: 0n, totalCredit: 0n, leafCount: 0, postedAt: 0,
  });
}

function log(chain: FakeChain, transactionHash: Hash): object {
  const { header, facts } = chain;
  const batchHash = facts.batch!.batchHash;
  const item = getAbiItem({ abi: BatchSettlementAbi, name: "BatchPosted" });
  return {
    address: facts.domain.verifyingContract, transactionHash, blockNumber: hex(42), blockHash: ZERO_HASH, logIndex: "0x0", transactionIndex: "0x0", removed: false,
    topics: encodeEventTopics({ abi: BatchSettlementAbi, eventName: "BatchPosted", args: { relayerId: header.relayerId, batchId: header.batchId, batchHash } }),
    data: encodeAbiParameters(item.inputs.filter((input) => !("indexed" in input && input.indexed)), [header] as never),
  };
}

const receipt = (chain: FakeChain, posting: { transactionHash: Hash; blockNumber: bigint; gasUsed: bigint }): object => ({
  transactionHash: posting.transactionHash, blockNumber: hex(Number(posting.blockNumber)), gasUsed: hex(Number(posting.gasUsed)), cumulativeGasUsed: "0x1", status: "0x1",
  logs: [log(chain, posting.transactionHash)], blockHash: ZERO_HASH, from: ZERO_ADDRESS, to: chain.facts.domain.verifyingContract, transactionIndex: "0x0", type: "0x2",
  logsBloom: `0x${"00".repeat(256)}`, contractAddress: null, effectiveGasPrice: "0x1",
});

const hex = (value: number): Hex => `0x${value.toString(16)}`;
