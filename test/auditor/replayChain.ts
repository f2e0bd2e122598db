// A chain node and a relayer over real HTTP that hold what a made-up relayer's routing left behind.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import { decodeFunctionData, encodeAbiParameters, encodeEventTopics, encodeFunctionResult, getAbiItem, type Abi } from "viem";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { structToJson } from "../../protocol/json.ts";
import { infoToJson } from "../../protocol/service.ts";
import { ZERO_HASH, type Address, type Hash, type Hex } from "../../protocol/units.ts";
import type { Evidence } from "../../auditor/replay/evidence.ts";

export interface Served {
  readonly url: string;
  readonly paths: string[];
  stop(): void;
}

export const contracts = { BatchSettlement: `0x${"c0".repeat(20)}`, Escrow: `0x${"e5".repeat(20)}`, SaturationBoard: `0x${"b0".repeat(20)}` } as const;

/** Earlier events of the board, by name, in order. */
export interface BoardEvent {
  readonly name: "SeedChainCommitted" | "SeedRevealed" | "SeedsForfeited";
  readonly args: Readonly<Record<string, unknown>>;
}

/** A claim of a node, opened by these bytes in a transaction of the receipt's own hash. */
export interface OpenedForce {
  readonly receiptHash: Hash;
  readonly taskId: Hash;
  readonly state: number;
  readonly input: Hex;
}

/** The relayer's HTTP API over what it published; `evidence()` is asked anew for each request. */
export function publishing(evidence: () => Evidence, records: ReadonlyMap<Hash, Uint8Array>): Promise<Served> {
  return served((request, response) => {
    const { batches, tables, relayerId } = evidence();
    const path = request.url!.replace("/tidelane/v1/", "");
    const batch = batches.find((one) => [`batches/${one.batchId}`, `batches/${one.batchId}/data`].includes(path));
    const hash = path.replace("records/", "") as Hash;
    const info = infoToJson({ domain: { chainId: 31_337, verifyingContract: contracts.BatchSettlement }, addresses: contracts, relayerId, epoch: 1, feeBps: 300, windowSeconds: 20, payToken: contracts.Escrow });
    const body = path === "info" ? JSON.stringify(info)
      : batch && path.endsWith("/data") ? batch.data
        : batch ? JSON.stringify({ header: structToJson("BatchHeader", batch.header) })
          : tables.get(hash) ?? records.get(hash) ?? null;
    response.writeHead(body === null ? 404 : 200, { "content-type": "application/json" });
    response.end(body ?? "{}");
  });
}

/** A node of the chain that answers what a replay reads. */
export function boardChain(evidence: () => Evidence, events: readonly BoardEvent[] = [], forces: readonly OpenedForce[] = []): Promise<Served> {
  return served((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const { id, method, params } = JSON.parse(text) as { id: number; method: string; params: readonly unknown[] };
      response.setHeader("content-type", "application/json");
      try {
        response.end(JSON.stringify({ jsonrpc: "2.0", id, result: answer(evidence(), events, forces, method, params) }));
      } catch (error) {
        response.end(JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32_000, message: String(error) } }));
      }
    });
  });
}

function answer(evidence: Evidence, events: readonly BoardEvent[], forces: readonly OpenedForce[], method: string, params: readonly unknown[]): unknown {
  if (method === "eth_chainId") return "0x7a69";
  if (method === "eth_blockNumber") return "0x40";
  const settlement = (params[0] as { address?: Address }).address?.toLowerCase() === contracts.BatchSettlement;
  if (method === "eth_getLogs" && settlement) return forces.map(forceLog);
  if (method === "eth_getTransactionByHash") return { hash: params[0], input: forces.find(({ receiptHash }) => receiptHash === params[0])!.input, type: "0x2", nonce: "0x0", value: "0x0", gas: "0x0", blockNumber: "0x1", transactionIndex: "0x0" };
  if (method === "eth_getLogs") return logs(evidence, events, (params[0] as { topics: readonly (Hex | null)[] }).topics);
  const { to, data } = params[0] as { to: Address; data: Hex };
  const name = Object.entries(contracts).find(([, address]) => address === to.toLowerCase())![0] as keyof typeof contracts;
  const abi = { BatchSettlement: BatchSettlementAbi, Escrow: EscrowAbi, SaturationBoard: SaturationBoardAbi }[name] as Abi;
  const { functionName, args } = decodeFunctionData({ abi, data });
  if (functionName === "forceOf") return forceAnswer(forces.find(({ receiptHash }) => receiptHash === args![0])!);
  return encodeFunctionResult({ abi, functionName, result: view(evidence, functionName, args ?? []) as never });
}

function view({ batches, epochSeconds, windowSeconds, seedChains }: Evidence, name: string, args: readonly unknown[]): unknown {
  if (name === "epochSeconds") return epochSeconds;
  if (name === "windowSeconds") return windowSeconds;
  if (name === "lastBatchOf") return [batches.at(-1)?.batchId ?? 0n, batches.at(-1)?.storedHash ?? ZERO_HASH];
  if (name === "batchOf") {
    const batch = batches.find((one) => one.batchId === args[1]);
    return { batchHash: batch?.storedHash ?? ZERO_HASH, sessionRoot: ZERO_HASH, tabRoot: ZERO_HASH, totalDebit: 0n, totalCredit: 0n, leafCount: 1, postedAt: 0 };
  }
  const inUse = seedChains.find((one) => one.isInUse);
  const next = seedChains.find((one) => inUse && one.firstEpoch > inUse.firstEpoch);
  return [BigInt(inUse?.firstEpoch ?? 0), BigInt(inUse?.lastRevealed ?? 0), inUse?.reached ?? ZERO_HASH, BigInt(next?.firstEpoch ?? 0), next?.reached ?? ZERO_HASH];
}

function logs({ epochs, relayerId }: Evidence, events: readonly BoardEvent[], topics: readonly (Hex | null)[]): object[] {
  const committed = epochs.flatMap(({ epoch, dataHash }) => (dataHash === null ? [] : [{ name: "EpochCommitted", args: { relayerId, epoch: BigInt(epoch), root: ZERO_HASH, leafCount: 1, dataHash } }]));
  return [...committed, ...events].map(({ name, args }) => {
    const item = getAbiItem({ abi: SaturationBoardAbi, name: name as "EpochCommitted" });
    const plain = item.inputs.filter((input) => !("indexed" in input && input.indexed));
    return {
      address: contracts.SaturationBoard, topics: encodeEventTopics({ abi: SaturationBoardAbi, eventName: name as "EpochCommitted", args: args as never }),
      data: encodeAbiParameters(plain, plain.map((input) => (args as Record<string, unknown>)[input.name]) as never),
      blockNumber: "0x1", blockHash: ZERO_HASH, transactionHash: ZERO_HASH, transactionIndex: "0x0", logIndex: "0x0", removed: false,
    };
  }).filter((log) => topics.every((topic, i) => topic === null || log.topics[i] === topic));
}

const forceLog = ({ receiptHash }: OpenedForce): object => ({
  address: contracts.BatchSettlement, topics: encodeEventTopics({ abi: BatchSettlementAbi, eventName: "ForceOpened", args: { receiptHash, relayerId: 1, nodeId: 1 } }),
  data: encodeAbiParameters([{ type: "bytes32" }, { type: "uint96" }, { type: "uint96" }], [ZERO_HASH, 1n, 1n]),
  blockNumber: "0x1", blockHash: ZERO_HASH, transactionHash: receiptHash, transactionIndex: "0x0", logIndex: "0x0", removed: false,
});

function forceAnswer({ taskId, state }: OpenedForce): Hex {
  const { components } = getAbiItem({ abi: BatchSettlementAbi, name: "forceOf" }).outputs[0];
  const blank = Object.fromEntries(components.map(({ name, type }) => [name, type === "bytes32" ? ZERO_HASH : type === "bool" ? false : ["uint8", "uint16", "uint32", "uint48"].includes(type) ? 0 : 0n]));
  return encodeFunctionResult({ abi: BatchSettlementAbi, functionName: "forceOf", result: { ...blank, taskId, state } as never });
}

async function served(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<Served> {
  const paths: string[] = [];
  const server: Server = createServer((request, response) => {
    paths.push(request.url!);
    handle(request, response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, paths,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
