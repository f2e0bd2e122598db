// What a batch moved, read off the events that it left: for a posting whose calldata cannot be read, as where a contract made the
// call out of other bytes.
//
//   block N-1 ─▶ what each session was charged in all ─┐
//   SessionDebited, TabCredited of the posting ────────┴─▶ the difference is the change; the header's own hashes say whether it is
import { BaseError, LimitExceededRpcError, RpcRequestError, getAbiItem, parseEventLogs, type Abi, type Log, type PublicClient } from "viem";
import { BatchSettlementAbi } from "../protocol/generated/abi/BatchSettlement.ts";
import { EscrowAbi } from "../protocol/generated/abi/Escrow.ts";
import { itemsHash, tabItemId, type Item } from "../protocol/merkleSum.ts";
import { logsBack } from "./sources.ts";
import type { BatchHeader } from "../protocol/generated/structs.ts";
import type { Address, Hash, TokenAmount } from "../protocol/units.ts";

export interface Lists {
  readonly debits: readonly Item[];
  readonly credits: readonly Item[];
}

export interface ListContracts {
  readonly settlement: Address;
  readonly escrow: Address;
}

/** Where BatchPosted stands. */
export interface Posting {
  readonly blockNumber: bigint;
  readonly logIndex: number;
}

/** Questions to the chain asked at once. */
const PARALLEL_MAX = 8;
const DEBITED = getAbiItem({ abi: EscrowAbi, name: "SessionDebited" });
const CREDITED = getAbiItem({ abi: EscrowAbi, name: "TabCredited" });
const EVENTS = [DEBITED, CREDITED, getAbiItem({ abi: BatchSettlementAbi, name: "BatchPosted" })] as const;

/** A session or a tab, and what it was moved by in all when this event was left. */
interface Moved {
  readonly kind: "debit" | "credit";
  /** As it stands in the lists. */
  readonly id: Hash;
  readonly total: TokenAmount;
  readonly logIndex: number;
}

/**
 * @returns null where the chain node has neither the state before the batch nor logs that reach far enough back; anything else has
 *   the hashes that the header names
 * @throws where the chain cannot be reached
 */
export async function listsFromEvents(client: PublicClient, contracts: ListContracts, header: BatchHeader, posting: Posting): Promise<Lists | null> {
  const { blockNumber, logIndex } = posting;
  const logs = parsed(await client.getLogs({ address: [contracts.settlement, contracts.escrow], events: EVENTS, fromBlock: blockNumber, toBlock: blockNumber }));
  const next = logs.find((one) => one.eventName === "BatchPosted" && one.logIndex > logIndex)?.logIndex ?? Infinity;
  const all = logs.flatMap((log) => movedBy(log, header.relayerId));
  const own = all.filter((one) => one.logIndex > logIndex && one.logIndex < next);
  const before = await totalsBefore(client, contracts.escrow, header.relayerId, own, blockNumber - 1n);
  if (!before) return null;
  // Batches earlier in the same block have moved them since.
  for (const one of all) if (one.logIndex < logIndex) before.set(nameOf(one), one.total);
  const itemsOf = (kind: Moved["kind"]): Item[] => own.filter((one) => one.kind === kind).map((one) => ({ id: one.id, change: one.total - (before.get(nameOf(one)) ?? 0n) }));
  const lists = { debits: itemsOf("debit"), credits: itemsOf("credit") };
  return areThose(header, lists) ? lists : null;
}

/** Whether the lists are the ones that a header names. */
export const areThose = ({ debitsHash, creditsHash }: BatchHeader, { debits, credits }: Lists): boolean => itemsHash(debits) === debitsHash && itemsHash(credits) === creditsHash;

/** From the state of that block, or where the node keeps no old states from the events up to it. */
async function totalsBefore(client: PublicClient, escrow: Address, relayerId: number, own: readonly Moved[], blockNumber: bigint): Promise<Map<string, TokenAmount> | null> {
  try {
    const totals = new Map<string, TokenAmount>();
    for (let i = 0; i < own.length; i += PARALLEL_MAX) {
      await Promise.all(own.slice(i, i + PARALLEL_MAX).map(async (one) => totals.set(nameOf(one), await totalAt(client, escrow, relayerId, one, blockNumber))));
    }
    return totals;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return totalsFromLogs(client, escrow, relayerId, own, blockNumber);
  }
}

async function totalAt(client: PublicClient, escrow: Address, relayerId: number, { kind, id }: Moved, blockNumber: bigint): Promise<TokenAmount> {
  const contract = { address: escrow, abi: EscrowAbi, blockNumber } as const;
  if (kind === "debit") return (await client.readContract({ ...contract, functionName: "sessionOf", args: [id] })).charged;
  return (await client.readContract({ ...contract, functionName: "tabOf", args: [relayerId, Number(id)] })).earned;
}

/** The newest event of each; one without any was never moved, if the search went back to the beginning. The hashes tell. */
async function totalsFromLogs(client: PublicClient, escrow: Address, relayerId: number, own: readonly Moved[], blockNumber: bigint): Promise<Map<string, TokenAmount> | null> {
  const ofKind = (kind: Moved["kind"]): Moved[] => own.filter((one) => one.kind === kind);
  const [sessions, nodes] = [ofKind("debit").map(({ id }) => id), ofKind("credit").map(({ id }) => Number(id))];
  const totals = new Map<string, TokenAmount>();
  try {
    await logsBack(client, async (range) => {
      const logs = await Promise.all([
        sessions.length === 0 ? [] : client.getLogs({ address: escrow, event: DEBITED, args: { sessionId: sessions }, ...range }),
        nodes.length === 0 ? [] : client.getLogs({ address: escrow, event: CREDITED, args: { relayerId, nodeId: nodes }, ...range }),
      ]);
      const found = new Map(parsed(logs.flat()).flatMap((log) => movedBy(log, relayerId)).map((one) => [nameOf(one), one.total]));
      for (const [name, total] of found) if (!totals.has(name)) totals.set(name, total);
      return [];
    }, { toBlock: blockNumber, isEnough: () => own.every((one) => totals.has(nameOf(one))) });
    return totals;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}

interface ParsedLog {
  readonly eventName: string;
  readonly args: Record<string, unknown>;
  readonly logIndex: number;
}

/** In the order of the chain. */
const parsed = (logs: readonly Log[]): ParsedLog[] => parseEventLogs({ abi: EVENTS as unknown as Abi, logs: [...logs] }) as unknown as ParsedLog[];

function movedBy({ eventName, args, logIndex }: ParsedLog, ofRelayer: number): Moved[] {
  const { sessionId, charged, relayerId, nodeId, earned } = args as { sessionId: Hash; charged: bigint; relayerId: number; nodeId: number; earned: bigint };
  if (eventName === "SessionDebited") return [{ kind: "debit", id: sessionId, total: charged, logIndex }];
  return eventName === "TabCredited" && relayerId === ofRelayer ? [{ kind: "credit", id: tabItemId(nodeId), total: earned, logIndex }] : [];
}

const nameOf = ({ kind, id }: Pick<Moved, "kind" | "id">): string => `${kind} ${id}`;

/** Whether the node has answered, and will not tell: asking it again is in vain. One that was asked too much answers later. */
function isRefusal(error: unknown): boolean {
  const refusal = error instanceof BaseError ? error.walk((one) => one instanceof RpcRequestError) : null;
  return refusal instanceof RpcRequestError && refusal.code !== LimitExceededRpcError.code;
}
