// What a watcher reads off a chain node: only the events that it acts on, in pieces as small as the node answers.
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { expect } from "chai";
import { encodeAbiParameters, encodeEventTopics, getAbiItem, numberToHex, type Hex } from "viem";
import { watchChain } from "../../auditor/sourcesWatch.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { FraudProofsAbi } from "../../protocol/generated/abi/FraudProofs.ts";
import type { Address } from "../../protocol/units.ts";

const addressOf = (n: number): Address => `0x${n.toString(16).padStart(2, "0").repeat(20)}`;
const contracts = { BatchSettlement: addressOf(1), SaturationBoard: addressOf(2), FraudProofs: addressOf(3), RelayerRegistry: addressOf(4), Escrow: addressOf(5) };
const hash = (n: number): Hex => numberToHex(n, { size: 32 });

/** Relayer n registers its address in block n. */
const logIn = (block: number): object => ({
  address: contracts.RelayerRegistry, blockNumber: numberToHex(block), blockHash: hash(block), transactionHash: hash(100 + block), transactionIndex: "0x0", logIndex: "0x0", removed: false,
  topics: encodeEventTopics({ abi: RelayerRegistryAbi, eventName: "RelayerProfileSet", args: { relayerId: block, poster: addressOf(9) } }),
  data: encodeAbiParameters(getAbiItem({ abi: RelayerRegistryAbi, name: "RelayerProfileSet" }).inputs.filter(({ indexed }) => !indexed), [30, `http://relayer-${block}.example`]),
});

interface Filter {
  readonly fromBlock: Hex;
  readonly toBlock: Hex;
  readonly topics: readonly (readonly Hex[])[];
}

describe("what a watcher reads off a chain node", () => {
  let server: Server;
  let blocksMax: number;
  const asked: Filter[] = [];
  const answer = ({ fromBlock, toBlock }: Filter): object => {
    const [from, to] = [Number(fromBlock), Number(toBlock)];
    if (to - from >= blocksMax) return { error: { code: -32_602, message: "too many" } };
    return { result: Array.from({ length: to - from + 1 }, (_, i) => logIn(from + i)) };
  };
  beforeEach(async () => {
    asked.splice(0);
    server = createServer((request, response) => {
      let text = "";
      request.on("data", (chunk: Buffer) => (text += chunk.toString()));
      request.on("end", () => {
        const { id, params } = JSON.parse(text) as { id: number; params: readonly [Filter] };
        asked.push(params[0]);
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ jsonrpc: "2.0", id, ...answer(params[0]) }));
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(() => {
    server.close();
    server.closeAllConnections();
  });
  const events = (from: bigint, to: bigint) => watchChain({ rpcUrls: [`http://127.0.0.1:${(server.address() as { port: number }).port}`], contracts }).events(from, to, false);

  it("comes in the order of blocks, in halves where the node answers so many at most", async () => {
    blocksMax = 3;
    const read = await events(1n, 10n);
    expect(read.map((event) => (event.kind === "endpoint" ? event.endpoint : event.kind))).to.deep.equal(Array.from({ length: 10 }, (_, i) => `http://relayer-${i + 1}.example`));
  });

  it("is nothing that it does not act on: anyone may announce, as often as he likes", async () => {
    blocksMax = 10;
    await events(1n, 2n);
    const [announced] = encodeEventTopics({ abi: FraudProofsAbi, eventName: "Announced" });
    expect(asked).to.have.length(1);
    expect(asked[0]!.topics[0]).to.have.length(7).and.not.include(announced);
  });

  it("is nothing where not even one block is answered", async () => {
    blocksMax = 0;
    expect(await events(1n, 4n).then(() => "", (error: { code: string }) => error.code)).to.equal("chain_unreachable");
  });
});
