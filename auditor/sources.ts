// Where an audit gets its bytes: receipts from a relayer's HTTP API, facts from the chain through viem.
import { BaseError, createPublicClient, decodeEventLog, fallback, getAbiItem, http, type Log, type PublicClient } from "viem";
import { BatchSettlementAbi } from "../protocol/generated/abi/BatchSettlement.ts";
import { EscrowAbi } from "../protocol/generated/abi/Escrow.ts";
import { NodeRegistryAbi } from "../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../protocol/generated/abi/RelayerRegistry.ts";
import { hashStruct } from "../protocol/typedData.ts";
import { taskViewFromJson, type TaskView } from "../protocol/taskView.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { keyName, type BatchFact, type FactSource, type KeyFact, type ReceiptSource } from "./ports.ts";
import type { Address, Hash, Millis } from "../protocol/units.ts";

export const TIMEOUT_MS = 15_000;
/** A receipt of thousands of attempts is a few MiB; more is no receipt. */
const RECEIPT_BYTES_MAX = 64 * 1_048_576;
/** Blocks asked for at once when a posting is looked for without its transaction: what public nodes allow. */
const LOG_RANGE_BLOCKS = 10_000n;
const LOG_RANGES_MAX = 50;

export interface ChainAccess {
  readonly rpcUrls: readonly string[];
  /** Where given, an RPC address of another chain is refused. */
  readonly chainId?: number;
  /** By name: BatchSettlement, Escrow, NodeRegistry, RelayerRegistry. */
  readonly contracts: Readonly<Record<string, Address>>;
}

/** @param url origin of the relayer. */
export function relayerReceipts(url: string): ReceiptSource {
  const origin = url.replace(/\/+$/, "");
  return {
    async receipt(taskId) {
      const response = await asked(`${origin}/tidelane/v1/receipts/${taskId}`);
      if (response.status === 404) throw new TidelaneError(`The relayer at ${origin} knows no task ${taskId}.`, { code: "task_unknown", details: { taskId } });
      if (!response.ok) throw new TidelaneError(`The relayer at ${origin} answered ${response.status}.`, { code: "relayer_unreachable", retryable: true, details: { status: response.status } });
      return taskViewFromJson(await boundedJson(response, origin));
    },
  };
}

/** @param timeoutMs for the body too. @throws retryable `relayer_unreachable` */
export async function asked(url: string, timeoutMs: Millis = TIMEOUT_MS): Promise<Response> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: "error" });
    // Nobody reads what a refusal says; unread, it would hold its connection.
    if (!response.ok) await response.body?.cancel();
    return response;
  } catch (error) {
    throw new TidelaneError(`The relayer at ${new URL(url).origin} cannot be reached. Check the address, or verify a saved receipt file instead.`, { code: "relayer_unreachable", retryable: true, cause: error });
  }
}

async function boundedJson(response: Response, origin: string): Promise<unknown> {
  const bytes = await bodyOf(response, origin, RECEIPT_BYTES_MAX);
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new TidelaneError(`The relayer at ${origin} answered with something that is not JSON.`, { code: "relayer_answer_invalid", cause: error });
  }
}

/** @throws retryable `relayer_unreachable` where it breaks off or takes too long; `relayer_answer_invalid` where it is longer */
export async function bodyOf(response: Response, origin: string, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk as Uint8Array);
      length += (chunk as Uint8Array).length;
      if (length > bytesMax) break;
    }
  } catch (error) {
    throw new TidelaneError(`The relayer at ${origin} broke off its answer, or sends it too slowly.`, { code: "relayer_unreachable", retryable: true, cause: error });
  }
  if (length > bytesMax) throw new TidelaneError(`The relayer at ${origin} sends more than ${bytesMax} bytes.`, { code: "relayer_answer_invalid" });
  return Buffer.concat(chunks);
}

/** Reads from the chain all that one receipt is to be compared with; keys, sessions and batches alike. */
export function chainFacts(access: ChainAccess): FactSource {
  const client: PublicClient = createPublicClient({ transport: fallback(access.rpcUrls.map((url) => http(url, { timeout: TIMEOUT_MS, retryCount: 1 }))) });
  return {
    factsFor: (view) => reached(async () => {
      const chainId = await client.getChainId();
      if (access.chainId !== undefined && chainId !== access.chainId) throw new TidelaneError(`The RPC address serves chain ${chainId}; the deployment is on chain ${access.chainId}.`, { code: "wrong_chain" });
      const escrow = contract(access, "Escrow");
      const [window, nodeKeys, relayerKeys, sessionPayers, batch] = await Promise.all([
        client.readContract({ address: escrow, abi: EscrowAbi, functionName: "windowSeconds" }),
        keysOf(client, contract(access, "NodeRegistry"), "node", view.attempts.map(({ record }) => [record.receipt.nodeId, record.receipt.keyEpoch])),
        keysOf(client, contract(access, "RelayerRegistry"), "relayer", relayerEpochs(view)),
        payersOf(client, escrow, view), batchFact(client, contract(access, "BatchSettlement"), view),
      ]);
      return { domain: { chainId, verifyingContract: contract(access, "BatchSettlement") }, windowSeconds: Number(window), nodeKeys, relayerKeys, sessionPayers, batch };
    }),
  };
}

function relayerEpochs(view: TaskView): [number, number][] {
  const named = view.attempts.map(({ record }): [number, number] => [record.assignment.relayerId, record.assignment.relayerEpoch]);
  return view.batch ? [...named, [view.batch.header.relayerId, view.batch.header.relayerEpoch]] : named;
}

export async function keysOf(client: PublicClient, registry: Address, kind: "node" | "relayer", wanted: readonly (readonly [number, number])[]): Promise<Map<string, KeyFact>> {
  const unique = new Map(wanted.map(([id, epoch]) => [keyName(id, epoch), [id, epoch] as const]));
  const found = await Promise.all([...unique].map(async ([name, [id, epoch]]): Promise<[string, KeyFact] | null> => {
    const key = await client.readContract({ address: registry, abi: kind === "node" ? NodeRegistryAbi : RelayerRegistryAbi, functionName: "keyOf", args: [id, epoch] });
    if (/^0x0{40}$/.test(key.key)) return null;
    return [name, { key: lower(key.key), openedAtSeconds: key.openedAt, closedAtSeconds: key.closedAt }];
  }));
  return new Map(found.filter((one) => one !== null));
}

async function payersOf(client: PublicClient, escrow: Address, view: TaskView): Promise<Map<Hash, Address>> {
  const ids = [...new Set(view.attempts.map(({ record }) => hashStruct("SpendingAuthorization", record.authorization)))];
  const sessions = await Promise.all(ids.map((id) => client.readContract({ address: escrow, abi: EscrowAbi, functionName: "sessionOf", args: [id] })));
  return new Map(ids.flatMap((id, i) => (/^0x0{40}$/.test(sessions[i]!.payer) ? [] : [[id, lower(sessions[i]!.payer)] as const])));
}

async function batchFact(client: PublicClient, settlement: Address, view: TaskView): Promise<BatchFact | null> {
  if (!view.batch) return null;
  const { relayerId, batchId } = view.batch.header;
  const stored = await client.readContract({ address: settlement, abi: BatchSettlementAbi, functionName: "batchOf", args: [relayerId, batchId] });
  if (/^0x0{64}$/.test(stored.batchHash)) return null;
  return {
    batchHash: stored.batchHash, sessionRoot: stored.sessionRoot, tabRoot: stored.tabRoot, totalDebit: stored.totalDebit, totalCredit: stored.totalCredit,
    leafCount: stored.leafCount, postedAtSeconds: stored.postedAt, posting: await postingOf(client, settlement, relayerId, batchId, stored.batchHash, view.batch.transactionHash),
  };
}

/** The receipt's own hint first, checked by the log that the transaction left; otherwise the logs are searched backwards. */
async function postingOf(client: PublicClient, settlement: Address, relayerId: number, batchId: bigint, batchHash: Hash, hint: Hash): Promise<BatchFact["posting"]> {
  const hinted = await client.getTransactionReceipt({ hash: hint }).catch(() => null);
  const log = hinted?.logs.find((one) => isPosting(one, settlement, batchHash)) ?? await searchedLog(client, settlement, relayerId, batchId, batchHash);
  if (!log?.transactionHash) return null;
  const receipt = log.transactionHash === hinted?.transactionHash ? hinted : await client.getTransactionReceipt({ hash: log.transactionHash });
  return { transactionHash: receipt.transactionHash, blockNumber: receipt.blockNumber, gasUsed: receipt.gasUsed };
}

async function searchedLog(client: PublicClient, settlement: Address, relayerId: number, batchId: bigint, batchHash: Hash): Promise<Log | null> {
  const event = getAbiItem({ abi: BatchSettlementAbi, name: "BatchPosted" });
  // A node that keeps no old logs refuses: then the place of the posting stays unknown, which no other check depends on.
  return await logsBack(client, (range) => client.getLogs({ address: settlement, event, args: { relayerId, batchId, batchHash }, ...range }), { isEnough: ({ length }) => length > 0 }).then(({ logs }) => logs[0] ?? null, () => null);
}

export interface LogRange {
  readonly fromBlock: bigint;
  readonly toBlock: bigint;
}

interface SearchedLogs<Found> {
  /** In the order of the chain. */
  readonly logs: Found[];
  /** False where it ended at its limit: older ones may exist. */
  readonly isWhole: boolean;
}

/**
 * Logs in stretches that public nodes allow, newest stretch first.
 * @param isEnough whether what was found up to now will do; default: never
 * @param toBlock where the search begins; default: the newest block
 */
export async function logsBack<Found>(client: PublicClient, ask: (range: LogRange) => Promise<Found[]>, { isEnough = () => false, toBlock }: {
  readonly isEnough?: (found: readonly Found[]) => boolean; readonly toBlock?: bigint;
} = {}): Promise<SearchedLogs<Found>> {
  let logs: Found[] = [];
  let to = toBlock ?? await client.getBlockNumber();
  for (let range = 0; range < LOG_RANGES_MAX && to >= 0n; range++) {
    const fromBlock = to > LOG_RANGE_BLOCKS ? to - LOG_RANGE_BLOCKS : 0n;
    logs = [...await ask({ fromBlock, toBlock: to }), ...logs];
    if (isEnough(logs)) return { logs, isWhole: true };
    to = fromBlock - 1n;
  }
  return { logs, isWhole: to < 0n };
}

/** A search that ended at its limit before it found what must be known. */
export const searchedInVain = (what: string): TidelaneError => new TidelaneError(
  `${what} was not found in the newest ${LOG_RANGE_BLOCKS * BigInt(LOG_RANGES_MAX)} blocks, which is as far as logs are searched. Nothing can be said of what rests on it.`,
  { code: "logs_too_old", details: { what } },
);

function isPosting(log: Log, settlement: Address, batchHash: Hash): boolean {
  if (lower(log.address) !== settlement) return false;
  try {
    const event = decodeEventLog({ abi: BatchSettlementAbi, data: log.data, topics: log.topics });
    return event.eventName === "BatchPosted" && event.args.batchHash === batchHash;
  } catch {
    return false;
  }
}

/** @throws what the reading throws as Tidelane's error, else retryable `chain_unreachable` */
export async function reached<Result>(read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof TidelaneError) throw error;
    const message = error instanceof BaseError ? error.shortMessage : String(error);
    throw new TidelaneError(`The chain cannot be reached, or holds no such deployment: ${message}`, { code: "chain_unreachable", retryable: true, cause: error });
  }
}

/** @throws `incomplete_deployment` */
export function contract(access: ChainAccess, name: string): Address {
  const address = access.contracts[name];
  if (!address) throw new TidelaneError(`The deployment names no ${name}.`, { code: "incomplete_deployment", details: { name } });
  return lower(address);
}

const lower = (address: string): Address => address.toLowerCase() as Address;
