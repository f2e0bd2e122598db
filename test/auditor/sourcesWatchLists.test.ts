// What a batch moved, read off the events that it left, on chain nodes that keep all, logs only, or neither.
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { expect } from "chai";
import { createPublicClient, decodeFunctionData, encodeAbiParameters, encodeEventTopics, encodeFunctionResult, getAbiItem, http, numberToHex, type Abi, type Hex } from "viem";
import { listsFromEvents, type Lists } from "../../auditor/sourcesWatchLists.ts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { itemsHash, tabItemId, type Item } from "../../protocol/merkleSum.ts";
import { ZERO_HASH, type Address, type Hash } from "../../protocol/units.ts";
import type { BatchHeader } from "../../protocol/generated/structs.ts";

const contracts = { settlement: `0x${"c0".repeat(20)}`, escrow: `0x${"e5".repeat(20)}` } as const;
const ALICE: Hash = `0x${"0a".repeat(32)}`;
const BOB: Hash = `0x${"0b".repeat(32)}`;
const NODE = 7;
const item = (id: Hash, change: bigint): Item => ({ id, change });
const headerOf = (batchId: bigint, debits: readonly Item[], credits: readonly Item[]): BatchHeader => ({
  relayerId: 1, relayerEpoch: 1, batchId, prevBatchHash: ZERO_HASH, sessionRoot: ZERO_HASH, tabRoot: ZERO_HASH, leafCount: 1, debitsHash: itemsHash(debits), creditsHash: itemsHash(credits),
  totalDebit: 5n, totalCredit: 4n, dataHash: ZERO_HASH, periodStart: 0, periodEnd: 100, postBy: 200,
});
const lists = { first: { debits: [item(ALICE, 40n)], credits: [item(tabItemId(NODE), 30n)] }, second: { debits: [item(ALICE, 5n), item(BOB, 3n)], credits: [item(tabItemId(NODE), 6n)] } };
const headers = { first: headerOf(1n, lists.first.debits, lists.first.credits), second: headerOf(2n, lists.second.debits, lists.second.credits) };

interface Event {
  readonly block: number;
  readonly name: "SessionDebited" | "TabCredited" | "BatchPosted";
  readonly args: Readonly<Record<string, unknown>>;
}

const debited = (block: number, sessionId: Hash, charged: bigint): Event => ({ block, name: "SessionDebited", args: { sessionId, charged } });
const credited = (block: number, relayerId: number, earned: bigint): Event => ({ block, name: "TabCredited", args: { relayerId, nodeId: NODE, earned } });
const posted = (block: number, header: BatchHeader): Event => ({ block, name: "BatchPosted", args: { relayerId: 1, batchId: header.batchId, batchHash: ZERO_HASH, header } });

/** Two batches in block 30,000; before them Alice was charged 100 and the node had earned 70; another relayer's batch lies between. */
const events: readonly Event[] = [
  debited(9, ALICE, 100n), credited(9, 1, 70n),
  posted(30_000, headers.first), debited(30_000, ALICE, 140n), credited(30_000, 1, 100n),
  posted(30_000, headerOf(9n, [], [])), credited(30_000, 2, 1_000n),
  posted(30_000, headers.second), debited(30_000, ALICE, 145n), debited(30_000, BOB, 3n), credited(30_000, 1, 106n),
];
const indexIn = (event: Event): number => events.filter(({ block }) => block === event.block).indexOf(event);

describe("what a batch moved, by its events", () => {
  let server: Server;
  let keeps: { states: boolean; logsFrom: number; isLimited?: boolean };
  let ranges: [number, number][];

  beforeEach(async () => {
    keeps = { states: true, logsFrom: 0 };
    ranges = [];
    server = createServer((request, response) => {
      let text = "";
      request.on("data", (chunk: Buffer) => (text += chunk.toString()));
      request.on("end", () => {
        const { id, method, params } = JSON.parse(text) as { id: number; method: string; params: readonly unknown[] };
        response.setHeader("content-type", "application/json");
        try {
          response.end(JSON.stringify({ jsonrpc: "2.0", id, result: answer(method, params) }));
        } catch (error) {
          response.end(JSON.stringify({ jsonrpc: "2.0", id, error: { code: keeps.isLimited ? -32_005 : -32_000, message: (error as Error).message } }));
        }
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(() => {
    server.close();
    server.closeAllConnections();
  });

  const answer = (method: string, params: readonly unknown[]): unknown => (method === "eth_getLogs" ? logsIn(params[0] as Filter) : stateAt(params));
  interface Filter {
    readonly address: Address | readonly Address[];
    readonly topics: readonly (Hex | readonly Hex[] | null)[];
    readonly fromBlock: Hex;
    readonly toBlock: Hex;
  }
  const logsIn = ({ address, topics, fromBlock, toBlock }: Filter): object[] => {
    const [from, to] = [Number(fromBlock), Number(toBlock)];
    if (from < keeps.logsFrom && to < 30_000) throw new Error("history has been pruned");
    ranges.push([from, to]);
    return events.filter(({ block }) => block >= from && block <= to).map(logOf)
      .filter((log) => [address].flat().includes(log.address) && topics.every((topic, i) => topic === null || [topic].flat().includes(log.topics[i]!)));
  };
  const logOf = (event: Event): { address: Address; topics: Hex[] } => {
    const abi = (event.name === "BatchPosted" ? BatchSettlementAbi : EscrowAbi) as Abi;
    const plain = (getAbiItem({ abi, name: event.name }) as unknown as { inputs: { name: string; type: string; indexed?: boolean }[] }).inputs.filter((input) => !input.indexed);
    return {
      address: event.name === "BatchPosted" ? contracts.settlement : contracts.escrow, topics: encodeEventTopics({ abi, eventName: event.name, args: event.args }) as Hex[],
      ...{ data: encodeAbiParameters(plain, plain.map(({ name }) => event.args[name])), blockNumber: numberToHex(event.block), blockHash: ZERO_HASH, transactionHash: ZERO_HASH, transactionIndex: "0x0", logIndex: numberToHex(indexIn(event)), removed: false },
    };
  };
  /** As of the block before the batches. */
  const stateAt = ([call, block]: readonly unknown[]): Hex => {
    if (!keeps.states) throw new Error("missing trie node");
    expect(block).to.equal(numberToHex(29_999));
    const { functionName, args } = decodeFunctionData({ abi: EscrowAbi as Abi, data: (call as { data: Hex }).data });
    const members = (getAbiItem({ abi: EscrowAbi as Abi, name: functionName }) as unknown as { outputs: [{ components: { name: string; type: string }[] }] }).outputs[0].components;
    const blank = Object.fromEntries(members.map(({ name, type }) => [name, type === "address" ? `0x${"00".repeat(20)}` : ["uint8", "uint16", "uint32", "uint48"].includes(type) ? 0 : type === "bool" ? false : 0n]));
    const known = functionName === "tabOf" ? { earned: (args as [number])[0] === 1 ? 70n : 0n } : { charged: (args as [Hash])[0] === ALICE ? 100n : 0n };
    return encodeFunctionResult({ abi: EscrowAbi as Abi, functionName, result: { ...blank, ...known } as never });
  };
  const read = (name: keyof typeof headers): Promise<Lists | null> => {
    const client = createPublicClient({ transport: http(`http://127.0.0.1:${(server.address() as { port: number }).port}`, { retryCount: 0 }), cacheTime: 0 });
    const event = events.find((one) => one.args.header === headers[name])!;
    return listsFromEvents(client, contracts, headers[name], { blockNumber: BigInt(event.block), logIndex: indexIn(event) });
  };

  it("is what sessions and tabs rose by, each batch of a block for itself", async () => {
    expect(await read("first")).to.deep.equal(lists.first);
    expect(await read("second")).to.deep.equal(lists.second);
    expect(ranges).to.deep.equal([[30_000, 30_000], [30_000, 30_000]]);
  });

  it("is found in older events where the node keeps no old states, back to the beginning for whoever has none", async () => {
    keeps.states = false;
    expect(await read("first")).to.deep.equal(lists.first);
    expect(await read("second")).to.deep.equal(lists.second);
    expect(Math.min(...ranges.map(([from]) => from))).to.equal(0);
  });

  it("is nothing where neither is kept, and nothing that has not the header's hashes", async () => {
    keeps = { states: false, logsFrom: 25_000 };
    expect(await read("first")).to.equal(null);
    keeps = { states: false, logsFrom: 0 };
    const forged = { ...headers.first, debitsHash: ZERO_HASH };
    const client = createPublicClient({ transport: http(`http://127.0.0.1:${(server.address() as { port: number }).port}`, { retryCount: 0 }), cacheTime: 0 });
    expect(await listsFromEvents(client, contracts, forged, { blockNumber: 30_000n, logIndex: 0 })).to.equal(null);
  });

  it("is asked again where the node has had too many questions", async () => {
    keeps = { states: false, logsFrom: 0, isLimited: true };
    const failed = await read("first").then(() => "", (error: Error) => error.message);
    expect(failed).to.include("exceeds defined limit");
  });

  it("is asked again where the node does not answer at all", async () => {
    server.closeAllConnections();
    const client = createPublicClient({ transport: http("http://127.0.0.1:9", { retryCount: 0 }) });
    const failed = await listsFromEvents(client, contracts, headers.first, { blockNumber: 30_000n, logIndex: 0 }).then(() => "", (error: Error) => error.name);
    expect(failed).to.equal("HttpRequestError");
  });
});
