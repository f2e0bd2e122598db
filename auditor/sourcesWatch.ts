// What a watcher reads off the chain: batches, boards, forces, answers and headers in the order of blocks; keys and judgements.
import { createPublicClient, fallback, http, parseEventLogs, type Abi, type Log, type PublicClient } from "viem";
import { BatchSettlementAbi } from "../protocol/generated/abi/BatchSettlement.ts";
import { EscrowAbi } from "../protocol/generated/abi/Escrow.ts";
import { FraudProofsAbi } from "../protocol/generated/abi/FraudProofs.ts";
import { RelayerRegistryAbi } from "../protocol/generated/abi/RelayerRegistry.ts";
import { SaturationBoardAbi } from "../protocol/generated/abi/SaturationBoard.ts";
import { tabItemId, type Item } from "../protocol/merkleSum.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { ZERO_HASH, type Address, type Hash, type Hex } from "../protocol/units.ts";
import type { BatchHeader, TaskReceipt, Voucher } from "../protocol/generated/structs.ts";
import type { AttemptRecord } from "../protocol/records.ts";
import type { LeafStruct, PathStruct } from "../protocol/evidence.ts";
import { callsIn, PLACES_MAX } from "./sourcesCalls.ts";
import { areThose, listsFromEvents, type Lists } from "./sourcesWatchLists.ts";
import { judgeOf } from "./sourcesJudge.ts";
import { TIMEOUT_MS, contract, keysOf, reached, type ChainAccess } from "./sources.ts";
import type { BlockMark, WatchChain, WatchEvent } from "./ports.ts";

const NO_ADDRESS = /^0x0{40}$/;
/** All that is read of them: whoever leaves others there by the thousand keeps nobody from these. */
const EVENT_NAMES = ["RelayerProfileSet", "BatchPosted", "EpochCommitted", "PoolCommitted", "ForceResolved", "DataAnswered", "BatchCondemned"];
const EVENTS = ([...BatchSettlementAbi, ...SaturationBoardAbi, ...FraudProofsAbi, ...RelayerRegistryAbi] as Abi)
  .filter((item) => item.type === "event").filter(({ name }) => EVENT_NAMES.includes(name));
/** Blocks whose transactions are asked for at once. */
const PARALLEL_MAX = 8;
interface Found {
  readonly eventName: string;
  readonly args: Record<string, unknown>;
  readonly transactionHash: Hash;
  readonly blockNumber: bigint;
  readonly logIndex: number;
}

export function watchChain(access: ChainAccess): WatchChain {
  const client: PublicClient = createPublicClient({ transport: fallback(access.rpcUrls.map((url) => http(url, { timeout: TIMEOUT_MS, retryCount: 1 }))), cacheTime: 0 });
  const reader = new Reader(client, access);
  const fraud = { address: contract(access, "FraudProofs"), abi: FraudProofsAbi } as const;
  const settlement = { address: contract(access, "BatchSettlement"), abi: BatchSettlementAbi } as const;
  const judge = judgeOf(client, fraud.address);
  return {
    settings: () => reached(async () => {
      const chainId = await client.getChainId();
      if (access.chainId !== undefined && chainId !== access.chainId) throw new TidelaneError(`The RPC address serves chain ${chainId}; the deployment is on chain ${access.chainId}.`, { code: "wrong_chain" });
      const [windowSeconds, epochSeconds, challengeBond] = await Promise.all([
        client.readContract({ address: contract(access, "Escrow"), abi: EscrowAbi, functionName: "windowSeconds" }),
        client.readContract({ address: contract(access, "SaturationBoard"), abi: SaturationBoardAbi, functionName: "epochSeconds" }),
        client.readContract({ ...fraud, functionName: "challengeBond" }),
      ]);
      return { domain: { chainId, verifyingContract: settlement.address }, windowSeconds: Number(windowSeconds), epochSeconds: Number(epochSeconds), challengeBond };
    }),
    head: () => reached(async () => markOf(await client.getBlock({ blockTag: "latest" }))),
    blockAt: (number) => reached(async () => client.getBlock({ blockNumber: number }).then(markOf, (error: unknown) => {
      if ((error as Error).name === "BlockNotFoundError") return null;
      throw error;
    })),
    events: (from, to, readHeaders) => reached(async () => [...await reader.events(from, to), ...(readHeaders ? await reader.headers(from, to) : [])]),
    keys: ({ nodes, relayers }) => reached(async () => {
      const [nodeKeys, relayerKeys] = await Promise.all([
        keysOf(client, contract(access, "NodeRegistry"), "node", nodes), keysOf(client, contract(access, "RelayerRegistry"), "relayer", relayers),
      ]);
      return { nodeKeys, relayerKeys };
    }),
    judge: (functionName, proof) => reached(() => judge(functionName, proof)),
    challenge: (relayerId, batchId, index) => reached(async () => {
      const { challenger, openedAt, isSettled } = await client.readContract({ ...fraud, functionName: "challengeOf", args: [relayerId, batchId, index] });
      return NO_ADDRESS.test(challenger) ? null : { challenger: lower(challenger), openedAt, isSettled };
    }),
    isCondemned: (relayerId, batchId) => reached(async () => await client.readContract({ ...fraud, functionName: "condemnedAt", args: [relayerId, batchId] }) !== 0),
    owedTo: (account) => reached(async () => {
      const tokens = new Set([await client.readContract({ ...fraud, functionName: "payToken" }), await client.readContract({ ...fraud, functionName: "stakeToken" })]);
      return Promise.all([...tokens].map(async (token) => ({ token: lower(token), amount: await client.readContract({ ...fraud, functionName: "owedTo", args: [token, account] }) })));
    }),
  };
}

class Reader {
  readonly #client: PublicClient;
  readonly #settlement: Address;
  readonly #escrow: Address;
  readonly #addresses: Address[];

  constructor(client: PublicClient, access: ChainAccess) {
    this.#client = client;
    this.#settlement = contract(access, "BatchSettlement");
    this.#escrow = contract(access, "Escrow");
    this.#addresses = [this.#settlement, ...["SaturationBoard", "FraudProofs", "RelayerRegistry"].map((name) => contract(access, name))];
  }

  async events(from: bigint, to: bigint): Promise<WatchEvent[]> {
    const found = parseEventLogs({ abi: EVENTS, logs: await this.#logs(from, to) }) as unknown as Found[];
    const pools = Map.groupBy(found.filter((one) => one.eventName === "PoolCommitted"), (one) => `${one.args.relayerId}:${one.args.epoch}`);
    const events: WatchEvent[] = [];
    for (const one of found) events.push(...await this.#eventsOf(one, pools));
    return events;
  }

  /** In halves where the node refuses: most answer with so many logs or blocks at most. */
  async #logs(from: bigint, to: bigint): Promise<Log[]> {
    try {
      return await this.#client.getLogs({ address: this.#addresses, events: EVENTS, fromBlock: from, toBlock: to });
    } catch (error) {
      if (from >= to) throw error;
      const middle = (from + to) / 2n;
      return [...await this.#logs(from, middle), ...await this.#logs(middle + 1n, to)];
    }
  }

  /** Those in calldata, whatever became of the transaction: a header that was refused is signed all the same. */
  async headers(from: bigint, to: bigint): Promise<WatchEvent[]> {
    const numbers = Array.from({ length: Number(to - from) + 1 }, (_, i) => from + BigInt(i));
    const events: WatchEvent[] = [];
    for (let i = 0; i < numbers.length; i += PARALLEL_MAX) {
      const blocks = await Promise.all(numbers.slice(i, i + PARALLEL_MAX).map((blockNumber) => this.#client.getBlock({ blockNumber, includeTransactions: true })));
      for (const { input, hash } of blocks.flatMap((block) => block.transactions)) {
        const { calls, isWhole } = callsIn(input, "postBatch");
        if (!isWhole) events.push({ kind: "unread", relayerId: null, batchId: null, detail: `transaction ${hash} looks like more than ${PLACES_MAX} postings; the rest is not read` });
        for (const [message, signature] of calls) events.push({ kind: "header", signed: { message: message as BatchHeader, signature: signature as Hex } });
      }
    }
    return events;
  }

  async #eventsOf(found: Found, pools: Map<string, Found[]>): Promise<WatchEvent[]> {
    const { eventName, args, transactionHash } = found;
    if (eventName === "DataAnswered") return this.#answers(args as { relayerId: number; batchId: bigint; index: number }, transactionHash);
    const event = await this.#eventOf(found, pools);
    return event ? [event] : [];
  }

  async #eventOf(found: Found, pools: Map<string, Found[]>): Promise<WatchEvent | null> {
    const { eventName, args } = found;
    if (eventName === "RelayerProfileSet") return { kind: "endpoint", relayerId: args.relayerId as number, endpoint: args.endpoint as string };
    if (eventName === "BatchPosted") return this.#batch(found);
    if (eventName === "EpochCommitted") {
      const { relayerId, epoch, root, leafCount, dataHash } = args as { relayerId: number; epoch: bigint; root: Hash; leafCount: number; dataHash: Hash };
      const figures = (pools.get(`${relayerId}:${epoch}`) ?? []).map((one) => one.args as { modelId: Hash; slots: bigint; slotBps: bigint });
      return { kind: "epoch", dataHash, commitment: { relayerId, epoch, root, leafCount, pools: figures.map(({ modelId, slots, slotBps }) => ({ modelId, slots, slotBps })) } };
    }
    if (eventName === "ForceResolved") return this.#force(args.receiptHash as Hash);
    return eventName === "BatchCondemned" ? { kind: "condemned", relayerId: args.relayerId as number, batchId: args.batchId as bigint } : null;
  }

  async #batch(found: Found): Promise<WatchEvent | null> {
    const { header, batchHash } = found.args as { header: BatchHeader; batchHash: Hash };
    const [{ postedAt, batchHash: stored }, { input }] = await Promise.all([
      this.#client.readContract({ address: this.#settlement, abi: BatchSettlementAbi, functionName: "batchOf", args: [header.relayerId, header.batchId] }),
      this.#client.getTransaction({ hash: found.transactionHash }),
    ]);
    // Another one stands there after a reorganisation: its own event will come.
    if (stored !== batchHash) return null;
    const lists = callsIn(input, "postBatch").calls.map(listsOf).find((one) => areThose(header, one)) ?? await this.#listsLeft(header, found);
    return { kind: "batch", batch: { header, batchHash, postedAt, debits: lists?.debits ?? null, credits: lists?.credits ?? null } };
  }

  #listsLeft(header: BatchHeader, posting: Found): Promise<Lists | null> {
    return listsFromEvents(this.#client, { settlement: this.#settlement, escrow: this.#escrow }, header, posting);
  }

  async #force(receiptHash: Hash): Promise<WatchEvent> {
    const force = await this.#client.readContract({ address: this.#settlement, abi: BatchSettlementAbi, functionName: "forceOf", args: [receiptHash] });
    const { relayerId, taskId, openedAt, subtask, paysInput, fee, maxFee } = force;
    return { kind: "force", relayerId, force: { receiptHash, taskId, openedAt, subtask, paysInput, fee, maxFee } };
  }

  /** All that the transaction's bytes hold of it: what stands in the batch is for the reader to tell. */
  async #answers({ relayerId, batchId, index }: { relayerId: number; batchId: bigint; index: number }, transactionHash: Hash): Promise<WatchEvent[]> {
    const { input } = await this.#client.getTransaction({ hash: transactionHash });
    const shown = callsIn(input, "answerData").calls.flatMap((args): WatchEvent[] => {
      const [ofRelayer, ofBatch, leaf, path, record] = args as [number, bigint, LeafStruct, PathStruct, AttemptRecord & { voucher: Voucher; receipt: TaskReceipt }];
      if (ofRelayer !== relayerId || ofBatch !== batchId || path.index !== index) return [];
      const voucher = leaf.voucherHash === ZERO_HASH && record.voucherSignature === "0x" ? null : record.voucher;
      return [{ kind: "shown", relayerId, batchId, shown: { tree: 0, leaf, path, receipt: record.receipt, record: { ...record, voucher } } }];
    });
    return shown.length > 0 ? shown : [{ kind: "unread", relayerId, batchId, detail: `leaf ${index} was shown in transaction ${transactionHash} in bytes that cannot be read` }];
  }
}

const listsOf = ([, , debits, credits]: readonly unknown[]): Lists => ({
  debits: (debits as { sessionId: Hash; change: bigint }[]).map(({ sessionId, change }): Item => ({ id: sessionId, change })),
  credits: (credits as { nodeId: number; change: bigint }[]).map(({ nodeId, change }): Item => ({ id: tabItemId(nodeId), change })),
});

const markOf = (block: { number: bigint | null; hash: Hash | null; timestamp: bigint }): BlockMark => ({ number: block.number!, hash: block.hash!, timestamp: Number(block.timestamp) });
const lower = (address: string): Address => address.toLowerCase() as Address;
