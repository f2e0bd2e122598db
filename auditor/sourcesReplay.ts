// Where a replay gets its evidence: what a relayer publishes over HTTP, and what SaturationBoard and BatchSettlement hold.
import { createPublicClient, fallback, getAbiItem, http, type PublicClient } from "viem";
import { BatchSettlementAbi } from "../protocol/generated/abi/BatchSettlement.ts";
import { EscrowAbi } from "../protocol/generated/abi/Escrow.ts";
import { SaturationBoardAbi } from "../protocol/generated/abi/SaturationBoard.ts";
import { structFromJson } from "../protocol/json.ts";
import { infoFromJson } from "../protocol/service.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { hashStruct } from "../protocol/typedData.ts";
import { callsIn } from "./sourcesCalls.ts";
import { TIMEOUT_MS, asked, bodyOf, contract, logsBack, reached, searchedInVain, type ChainAccess } from "./sources.ts";
import { orderName, type PublishedSource, type RoutingFactSource, type SeedChainFact } from "./ports.ts";
import type { Hash } from "../protocol/units.ts";
import type { TaskOrder } from "../protocol/generated/structs.ts";

/** A batch's data or a table is some MiB; what is larger is not waited for. */
const BYTES_MAX = 512 * 1_048_576;
/** For an answer with all of its body. */
const DATA_MS_MAX = 60_000;
/** The newest claims of nodes that are looked at where nonces are missing. */
const FORCES_MAX = 1_000;
/** As IForces' enum. */
const RESOLVED = 3;

/** @param url origin of the relayer */
export function relayerPublications(url: string): PublishedSource {
  const origin = url.replace(/\/+$/, "");
  const bytes = async (path: string): Promise<Uint8Array | null> => {
    const response = await asked(`${origin}/tidelane/v1/${path}`, DATA_MS_MAX);
    if (response.status === 404) return null;
    if (!response.ok) throw new TidelaneError(`The relayer at ${origin} answered ${response.status}.`, { code: "relayer_unreachable", retryable: true, details: { status: response.status } });
    return bodyOf(response, origin, BYTES_MAX);
  };
  const json = async (path: string): Promise<unknown> => {
    const found = await bytes(path);
    if (found === null) return null;
    try {
      return JSON.parse(new TextDecoder().decode(found));
    } catch (error) {
      throw new TidelaneError(`The relayer at ${origin} answered with something that is not JSON.`, { code: "relayer_answer_invalid", cause: error });
    }
  };
  return {
    relayerId: async () => infoFromJson(await json("info")).relayerId,
    batchHeader: async (batchId) => {
      const found = await json(`batches/${batchId}`);
      return found === null ? null : structFromJson("BatchHeader", (found as { header?: unknown }).header, "batch.header");
    },
    batchData: (batchId) => bytes(`batches/${batchId}/data`),
    record: (hash) => bytes(`records/${hash}`),
  };
}

export function routingFacts(access: ChainAccess): RoutingFactSource {
  const client: PublicClient = createPublicClient({ transport: fallback(access.rpcUrls.map((url) => http(url, { timeout: TIMEOUT_MS, retryCount: 1 }))) });
  const board = { address: contract(access, "SaturationBoard"), abi: SaturationBoardAbi } as const;
  const settlement = { address: contract(access, "BatchSettlement"), abi: BatchSettlementAbi } as const;
  return {
    routingFacts: (relayerId) => reached(async () => {
      const chainId = await client.getChainId();
      if (access.chainId !== undefined && chainId !== access.chainId) throw new TidelaneError(`The RPC address serves chain ${chainId}; the deployment is on chain ${access.chainId}.`, { code: "wrong_chain" });
      const [epochSeconds, windowSeconds, [lastBatchId]] = await Promise.all([
        client.readContract({ ...board, functionName: "epochSeconds" }),
        client.readContract({ address: contract(access, "Escrow"), abi: EscrowAbi, functionName: "windowSeconds" }),
        client.readContract({ ...settlement, functionName: "lastBatchOf", args: [relayerId] }),
      ]);
      return { epochSeconds: Number(epochSeconds), windowSeconds: Number(windowSeconds), lastBatchId };
    }),
    batchHash: (relayerId, batchId) => reached(async () => {
      const { batchHash } = await client.readContract({ ...settlement, functionName: "batchOf", args: [relayerId, batchId] });
      return /^0x0{64}$/.test(batchHash) ? null : batchHash;
    }),
    epochDataHash: (relayerId, epoch) => reached(async () => {
      const event = getAbiItem({ abi: SaturationBoardAbi, name: "EpochCommitted" });
      const { logs: [log], isWhole } = await logsBack(client, (range) => client.getLogs({ address: board.address, event, args: { relayerId, epoch: BigInt(epoch) }, ...range }), { isEnough: ({ length }) => length > 0 });
      if (!log && !isWhole) throw searchedInVain(`The commitment of epoch ${epoch}`);
      return log?.args.dataHash ?? null;
    }),
    paidByForce: (relayerId) => reached(async () => {
      const event = getAbiItem({ abi: BatchSettlementAbi, name: "ForceOpened" });
      const { logs, isWhole } = await logsBack(client, (range) => client.getLogs({ address: settlement.address, event, args: { relayerId }, ...range }));
      const orders = new Set<string>();
      for (const { args, transactionHash } of logs.slice(-FORCES_MAX)) {
        const { state, taskId } = await client.readContract({ ...settlement, functionName: "forceOf", args: [args.receiptHash!] });
        if (state !== RESOLVED) continue;
        const { input } = await client.getTransaction({ hash: transactionHash });
        const named = callsIn(input, "openForce").calls.map(([record]) => (record as { order: TaskOrder }).order);
        for (const order of named) if (hashStruct("TaskOrder", order) === taskId) orders.add(orderName(order));
      }
      return { orders, isWhole: isWhole && logs.length <= FORCES_MAX };
    }),
    seedChains: (relayerId, fromEpoch) => reached(async () => {
      const [firstEpoch, lastRevealed, revealed, nextFirstEpoch, nextAnchor] = await client.readContract({ ...board, functionName: "seedChainOf", args: [relayerId] });
      if (firstEpoch === 0n) return [];
      const current = { firstEpoch: Number(firstEpoch), lastRevealed: Number(lastRevealed), reached: revealed, isInUse: true };
      const next = nextFirstEpoch === 0n ? [] : [{ firstEpoch: Number(nextFirstEpoch), lastRevealed: Number(nextFirstEpoch) - 1, reached: nextAnchor, isInUse: false }];
      const earlier = fromEpoch < current.firstEpoch ? await earlierChains(client, board.address, relayerId, current.firstEpoch, fromEpoch) : [];
      return [...earlier, current, ...next];
    }),
  };
}

/** Chains before the one in use, from the board's events: where each had come to when the next took over. */
async function earlierChains(client: PublicClient, address: `0x${string}`, relayerId: number, beforeEpoch: number, fromEpoch: number): Promise<SeedChainFact[]> {
  const abi = SaturationBoardAbi;
  const args = { relayerId };
  const { logs: committed, isWhole } = await logsBack(client, (range) => client.getLogs({ address, event: getAbiItem({ abi, name: "SeedChainCommitted" }), args, ...range }));
  const { logs: revealed } = await logsBack(client, (range) => client.getLogs({ address, event: getAbiItem({ abi, name: "SeedRevealed" }), args, ...range }));
  const { logs: forfeited } = await logsBack(client, (range) => client.getLogs({ address, event: getAbiItem({ abi, name: "SeedsForfeited" }), args, ...range }));
  const anchors = new Map(committed.map((log): [number, Hash] => [Number(log.args.firstEpoch), log.args.anchor!]));
  const firsts = [...anchors.keys()].filter((first) => first < beforeEpoch).sort((a, b) => a - b);
  if (!isWhole && (firsts[0] ?? Infinity) > fromEpoch) throw searchedInVain(`The seed chain of epoch ${fromEpoch}`);
  return firsts.flatMap((first, i): SeedChainFact[] => {
    const end = firsts[i + 1] ?? beforeEpoch;
    const last = revealed.filter((log) => Number(log.args.epoch) >= first && Number(log.args.epoch) < end).at(-1);
    // A chain that was replaced before it began was never in force; it leaves no trace but its commitment.
    if (!last && !forfeited.some((log) => Number(log.args.firstEpoch) === first)) return [];
    return [{ firstEpoch: first, lastRevealed: last ? Number(last.args.epoch) : first - 1, reached: last?.args.seed ?? anchors.get(first)!, isInUse: false }];
  });
}
