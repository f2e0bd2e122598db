// Gathers a batch: what is due by the journal, what there is room for by the chain, and the header over both.
import { buildBatch, type BatchInput, type BuiltBatch, type SessionBooks, type TabBooks } from "../settlement/batch.ts";
import { bucketLevelAt } from "../settlement/ledger.ts";
import { dueSessions, fitTasks, type HeldReason, type PlanTask, type Room } from "../settlement/plan.ts";
import { journalForked } from "./post.ts";
import { Mode } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { BatchDataTask } from "../../protocol/batchData.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Hash, Seconds, TokenAmount } from "../../protocol/units.ts";
import type { Clock, Crypto, Identity } from "../ports/world.ts";
import type { Chain, ChainSession } from "../ports/chain.ts";
import type { EndedTask, Journal, StoredBatch, StoredSession, TaskPlace } from "../ports/journal.ts";

export interface AssembleWorld {
  readonly chain: Chain;
  readonly journal: Journal;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly identity: Identity;
}

export interface AssembleLimits {
  /** What one session's entry costs in gas, in the pay token's smallest unit. */
  readonly entryCost: TokenAmount;
  readonly itemsMax: number;
  readonly tasksMax: number;
}

export interface Assembled {
  readonly built: BuiltBatch;
  /** Tasks that the chain would have refused; `full` is ordinary. */
  readonly held: readonly { readonly taskId: Hash; readonly reason: HeldReason }[];
}

/** Published beside the batch's own tasks; the rest goes with the next one. */
const FAILURES_MAX = 1_000;
/** Lists of due tasks that are looked through for some that fit. */
const PAGES_MAX = 16;
/** The part of a window that is kept for answering a claim with the batch: three hours of a day. */
const ANSWER_PARTS = 8;

/**
 * @param isEnding whether a session must settle whatever it is worth; null where nothing is known of it.
 * @returns null where nothing is due or nothing fits.
 * @throws `chain_unreachable`, `journal_unavailable`, `chain_older_than_journal`, `journal_older_than_chain`, `journal_forked`, `settlement_blocked`, `settlement_waits`
 */
export async function assemble(world: AssembleWorld, limits: AssembleLimits, isEnding: (sessionId: Hash) => boolean | null): Promise<Assembled | null> {
  const { chain, journal, clock } = world;
  const owing = await journal.unsettledSessions();
  if (owing.length === 0) return null;
  // Acks carry our time, forces are opened by the chain's: whichever is ahead says what is due.
  const chainSeconds = await chain.nextTimestamp();
  const due = dueSessions(owing, isEnding, {
    nowSeconds: Math.max(chainSeconds, Math.floor(clock.nowMs() / 1_000)), windowSeconds: chain.deployment.windowSeconds, entryCost: limits.entryCost,
  });
  if (due.length === 0) return null;
  const place = await placeOf(world, chainSeconds);
  const { tasks, books, held } = await fitting(world, limits, due, place.periodEnd);
  if (tasks.length === 0) return held.length === 0 ? null : Promise.reject(nothingFits(held));
  const included = [...tasks, ...await journal.unsettledFailures(FAILURES_MAX)].map(dataTask);
  return { built: buildBatch({ ...place, ...books, tasks: included }, world.crypto.keccak256, hashOf(world.crypto)), held };
}

interface Fitting {
  readonly tasks: readonly EndedTask[];
  readonly books: Gathered["books"];
  readonly held: Assembled["held"];
}

/** The oldest due tasks that the chain has room for. What stays held, for weeks perhaps, must not hide the rest: the list is read on. */
async function fitting(world: AssembleWorld, limits: AssembleLimits, due: readonly Hash[], periodEnd: Seconds): Promise<Fitting> {
  const { chain, journal, identity } = world;
  const debitCapacity = await chain.debitCapacity(identity.relayerId);
  let fit: Fitting = { tasks: [], books: { sessions: new Map(), tabs: new Map() }, held: [] };
  let after: TaskPlace | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const page = await journal.unsettledTasks(due, limits.tasksMax, after);
    // What was acked after the period's end belongs to a later one.
    const acked = page.filter((task) => newestAck(task) <= periodEnd);
    const forced = await forcedAmong(world, acked, periodEnd);
    const tasks = [...fit.tasks, ...acked.filter((task) => !forced.has(task.opened.taskId))];
    const gathered = await gather(world, tasks);
    const { taskIds, held } = fitTasks(tasks.map(planTask), due, { ...roomOf(gathered, periodEnd), debitCapacity, itemsMax: limits.itemsMax, tasksMax: limits.tasksMax });
    const taken = new Set(taskIds);
    fit = { tasks: tasks.filter((task) => taken.has(task.opened.taskId)), books: gathered.books, held: [...fit.held, ...held, ...[...forced].map((taskId) => ({ taskId, reason: "forced" as const }))] };
    if (page.length < limits.tasksMax || taken.size > limits.tasksMax / 2 || held.some(({ reason }) => reason === "full" || reason === "leverage")) break;
    after = placeIn(page.at(-1)!);
  }
  return fit;
}

/**
 * Tasks that no batch may hold any more: a force of a receipt was paid, or will be before a batch of this period is posted and
 * shown for sure. Paid twice, its charge would cost this relayer the double. Asked for old ones only: before W nothing can be forced.
 */
async function forcedAmong({ chain }: AssembleWorld, tasks: readonly EndedTask[], periodEnd: Seconds): Promise<Set<Hash>> {
  const { windowSeconds } = chain.deployment;
  const postBy = periodEnd + Math.floor(windowSeconds / 2);
  // What is posted at the last moment must still be shown: unanswered, a claim is paid beside the batch.
  const answeredBy = postBy + Math.floor(windowSeconds / ANSWER_PARTS);
  const old = tasks.filter((task) => planTask(task).oldestAckSeconds + windowSeconds <= answeredBy);
  const found = await Promise.all(old.map(async (task) => {
    const forces = await Promise.all(task.attempts.flatMap(({ signed }) => (signed ? [chain.force(signed.receiptHash)] : [])));
    const isForced = forces.some(({ state, openedAtSeconds }) => state === "resolved" || (state === "open" && openedAtSeconds + windowSeconds <= answeredBy));
    return isForced ? [task.opened.taskId] : [];
  }));
  return new Set(found.flat());
}

interface Gathered {
  readonly books: Pick<BatchInput, "sessions" | "tabs">;
  readonly chainSessions: ReadonlyMap<Hash, ChainSession | null>;
  readonly stored: ReadonlyMap<Hash, StoredSession | null>;
}

/** What chain and journal hold of every session and tab that the tasks touch. */
async function gather({ chain, journal, identity }: AssembleWorld, tasks: readonly EndedTask[]): Promise<Gathered> {
  const sessionIds = [...new Set(tasks.map((task) => task.opened.sessionId))];
  const nodeIds = [...new Set(tasks.flatMap((task) => recordsOf(task).map((record) => record.receipt.nodeId)))];
  const [chainSessions, stored, chainTabs, lastReceipts] = await Promise.all([
    all(sessionIds, (id) => chain.session(id)),
    all(sessionIds, (id) => journal.session(id)),
    all(nodeIds, (id) => chain.tab(identity.relayerId, id)),
    journal.lastReceipts(),
  ]);
  const sessions = new Map<Hash, SessionBooks>(sessionIds.map((id) => {
    const found = chainSessions.get(id);
    // Against the cap, what was forced counts as what was charged.
    return [id, { charged: (found?.charged ?? 0n) + (found?.forced ?? 0n), provenCap: found?.provenCap ?? 0n, voucher: stored.get(id)?.voucher ?? null }];
  }));
  const tabs = new Map<number, TabBooks>(nodeIds.map((id) => [id, { ...chainTabs.get(id)!, lastReceipt: lastReceipts.get(id) ?? null }]));
  return { books: { sessions, tabs }, chainSessions, stored };
}

/** @param atSeconds by the chain's clock; the batch is posted then or later. */
function roomOf({ books, chainSessions, stored }: Gathered, atSeconds: Seconds): Pick<Room, "chargeable" | "creditable"> {
  const chargeable = new Map([...books.sessions].map(([id, session]) => [id, chargeableOf(session, chainSessions.get(id) ?? null, stored.get(id)?.authorization.maxPerDay ?? 0n, atSeconds)]));
  const creditable = new Map([...books.tabs].map(([id, tab]) =>
    [id, maxOf(tab.provenEarned, tab.lastReceipt?.receipt.nodeCumulative ?? 0n) - tab.earned]));
  return { chargeable, creditable };
}

/** How much more the contract lets a session be debited. */
function chargeableOf(books: SessionBooks, found: ChainSession | null, maxPerDay: TokenAmount, atSeconds: Seconds): TokenAmount {
  if (!found) return 0n;
  const cap = found.mode === Mode.ALLOWANCE ? found.provenCap : maxOf(found.provenCap, books.voucher?.voucher.cumulativeCap ?? 0n);
  const left = minOf(minOf(cap, found.maxTotal) - books.charged, found.debitable);
  // Orders were taken by what the bucket holds at their time; a chain without traffic still tells of its last block's.
  return found.mode === Mode.ALLOWANCE ? minOf(left, bucketLevelAt(found, maxPerDay, atSeconds)) : left;
}

/**
 * The header's place: after the last batch on chain, over a period that overlaps with no header given up before.
 * @param periodEnd by the chain's clock: the contract refuses a period that ends in its future.
 */
async function placeOf({ chain, journal, identity }: AssembleWorld, periodEnd: Seconds): Promise<Omit<BatchInput, "tasks" | "sessions" | "tabs">> {
  const last = await chain.lastBatch(identity.relayerId);
  const [confirmed] = await journal.batches("confirmed", 1);
  if (confirmed && confirmed.header.batchId > last.batchId) throw chainIsOlder(confirmed.header.batchId, last.batchId);
  const previous = await knownBatch(journal, last);
  const batchId = last.batchId + 1n;
  // Two headers of one id with overlapping periods are slashable, whatever became of the first.
  const givenUp = (await journal.batches("abandoned", 100)).filter((batch) => batch.header.batchId === batchId);
  if (givenUp.some((batch) => periodEnd <= batch.header.postBy)) {
    throw new TidelaneError("A batch of this id was given up a moment ago; its period must be over first.", { code: "settlement_waits", retryable: true });
  }
  return {
    relayerId: identity.relayerId, relayerEpoch: identity.epoch, batchId, prevBatchHash: last.hash,
    periodStart: Math.min(previous?.header.periodEnd ?? 0, periodEnd), periodEnd, postBy: periodEnd + Math.floor(chain.deployment.windowSeconds / 2),
  };
}

export const chainIsOlder = (journaled: bigint, onChain: bigint): TidelaneError => new TidelaneError(
  `The chain is older than the journal: it ends at batch ${onChain}, and batch ${journaled} was confirmed. ` +
  "It was restored from an earlier state or is another chain; settlement waits. Restore the chain's newer state, or start both anew.",
  { code: "chain_older_than_journal", details: { journaled: String(journaled), onChain: String(onChain) } },
);

/**
 * The chain's last batch as this journal holds it; null before the first.
 * @param last read before the journal is asked, which holds every batch before it is sent.
 * @throws `journal_older_than_chain` where it is not known here, `journal_forked` where another one has its place.
 */
export async function knownBatch(journal: Pick<Journal, "batch" | "getFact">, last: { readonly batchId: bigint; readonly hash: Hash }): Promise<StoredBatch | null> {
  if (last.batchId === 0n) return null;
  const held = await journal.batch(last.batchId);
  if (held?.headerHash === last.hash) return held;
  if (held) throw journalForked(last.batchId, held.headerHash, last.hash);
  if (await journal.getFact(FIRST_BATCH_FACT) !== firstBatchFact(last)) throw journalIsOlder(last.batchId);
  return null;
}

/** A journal that was begun anew goes on after the batch that was the last one then. */
export const FIRST_BATCH_FACT = "first_batch";
export const firstBatchFact = (last: { readonly batchId: bigint; readonly hash: Hash }): string => `${last.batchId} ${last.hash}`;

/** What it believes to be unsettled may be settled, and a task in two batches costs the whole bond. */
const journalIsOlder = (onChain: bigint): TidelaneError => new TidelaneError(
  `The journal is older than the chain: it knows nothing of batch ${onChain}. The database was restored from a copy, or another process posts with ` +
  "the same keys and a database of its own; settlement waits. Use the newest database.",
  { code: "journal_older_than_chain", details: { onChain: String(onChain) } },
);

const nothingFits = (held: Assembled["held"]): TidelaneError => new TidelaneError(
  `${held.length} tasks are due, and the chain would take none of them now: ${[...new Set(held.map(({ reason }) => reason))].join(", ")}. ` +
  "session_room: cap, lock or bucket of a session; tab_room: a node's running total; leverage: raise the relayer's bond; forced: the node was paid by its claim.",
  { code: "settlement_blocked", retryable: true, details: { tasks: held.length, reason: held[0]!.reason } },
);

const placeIn = (task: EndedTask): TaskPlace => ({ oldestAckSeconds: planTask(task).oldestAckSeconds, taskId: task.opened.taskId });
const newestAck = (task: EndedTask): Seconds => Math.max(...task.attempts.flatMap(({ signed }) => (signed ? [signed.ack.ack.ackedAt] : [])));
const recordsOf = (task: EndedTask): AttemptRecord[] => task.attempts.flatMap(({ signed }) => (signed ? [signed.record] : []));

const planTask = (task: EndedTask): PlanTask => {
  const signed = task.attempts.flatMap((attempt) => attempt.signed ?? []);
  return {
    taskId: task.opened.taskId, sessionId: task.opened.sessionId, charge: signed.reduce((sum, one) => sum + one.charge, 0n),
    fees: signed.map(({ record: { receipt } }) => ({ nodeId: receipt.nodeId, fee: receipt.body.fee })), oldestAckSeconds: Math.min(...signed.map((one) => one.ack.ack.ackedAt)),
  };
};

const dataTask = (task: EndedTask): BatchDataTask => ({
  taskId: task.opened.taskId, state: task.state, order: task.opened.order, openedAtMs: Math.floor(task.opened.openedAtMs), attempts: task.attempts,
});

/** Native hashing over bytes, without a list of numbers in between. */
const hashOf = (crypto: Crypto) => (bytes: Uint8Array): Hash => crypto.keccak256(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")}`);

const all = async <Key, Value>(keys: readonly Key[], ask: (key: Key) => Promise<Value>): Promise<Map<Key, Value>> =>
  new Map(await Promise.all(keys.map(async (key): Promise<[Key, Value]> => [key, await ask(key)])));

const minOf = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const maxOf = (a: bigint, b: bigint): bigint => (a > b ? a : b);
