// The two writes of a task's life, each for many tasks at once.
import { and, eq, inArray, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { recordToJson, type AttemptRecord } from "../../../protocol/records.ts";
import { structToJson } from "../../../protocol/json.ts";
import type { Hash, TokenAmount } from "../../../protocol/units.ts";
import type { EndedAttempt, OpenedTask, SignedVoucher } from "../../ports/journal.ts";
import { journalErrors } from "./errors.ts";
import { attemptToRow, taskToRow } from "./rows.ts";
import { attempts, sessions, tabs, tasks } from "./schema.ts";

export interface Opening {
  readonly task: OpenedTask;
  readonly voucher: SignedVoucher | null;
  readonly most: TokenAmount | undefined;
}

export interface Finish {
  readonly taskId: Hash;
  readonly state: "finished" | "failed";
  readonly attempts: readonly EndedAttempt[];
}

interface Progress {
  nextNonce: bigint;
  /** Charges of ended tasks and the greatest charges of open ones. */
  owed: TokenAmount;
  cap: TokenAmount;
  voucher: SignedVoucher | null;
}

/** Opens tasks in order. @returns for each what was wrong with it, or null. */
export async function openTasks(db: NodePgDatabase, openings: readonly Opening[]): Promise<(Error | null)[]> {
  if (openings.length === 0) return [];
  const progress = await lockSessions(db, openings.map(({ task }) => task.sessionId));
  const taskIds = openings.map(({ task }) => task.taskId);
  const known = new Set((await db.select({ taskId: tasks.taskId }).from(tasks).where(inArray(tasks.taskId, taskIds))).map(({ taskId }) => taskId));
  const errors = openings.map(({ task, voucher, most }) => {
    const session = progress.get(task.sessionId);
    if (!session) return journalErrors.unknownSession(task.sessionId);
    if (known.has(task.taskId)) return journalErrors.replayed(task.taskId);
    if (voucher === null && task.order.nonce !== session.nextNonce) return journalErrors.nonceTaken(task.sessionId, task.order.nonce, session.nextNonce);
    const owed = session.owed + task.order.maxFee;
    if (most !== undefined && owed > most) return journalErrors.ordersElsewhere(task.sessionId, owed, most);
    session.owed = owed;
    known.add(task.taskId);
    if (voucher === null) session.nextNonce += 1n;
    else if (voucher.voucher.cumulativeCap > session.cap) [session.cap, session.voucher] = [voucher.voucher.cumulativeCap, voucher];
    return null;
  });
  const good = openings.filter((_, i) => errors[i] === null);
  if (good.length === 0) return errors;
  await db.insert(tasks).values(good.map(({ task }) => taskToRow(task)));
  for (const sessionId of new Set(good.map(({ task }) => task.sessionId))) await saveProgress(db, sessionId, progress.get(sessionId)!);
  return errors;
}

/** In the order of their ids, so that two processes never wait for each other in a circle. */
async function lockSessions(db: NodePgDatabase, sessionIds: readonly Hash[]): Promise<Map<Hash, Progress>> {
  const rows = await db.select({ sessionId: sessions.sessionId, nextNonce: sessions.nextNonce, cap: sessions.cap, charged: sessions.charged })
    .from(sessions).where(inArray(sessions.sessionId, [...new Set(sessionIds)])).orderBy(sessions.sessionId).for("update");
  // Asked once the rows are locked: whoever opened before has committed, and its tasks are seen.
  const reserved = await reservedBy(db, rows.map((row) => row.sessionId));
  return new Map(rows.map((row) => [row.sessionId, {
    nextNonce: BigInt(row.nextNonce), cap: BigInt(row.cap), voucher: null, owed: BigInt(row.charged) + (reserved.get(row.sessionId) ?? 0n),
  }]));
}

/** What the open tasks of each session may cost at most. */
async function reservedBy(db: NodePgDatabase, sessionIds: readonly Hash[]): Promise<Map<Hash, TokenAmount>> {
  const sums = await db.select({ sessionId: tasks.sessionId, reserved: sql<string>`sum((${tasks.order} ->> 'maxFee')::numeric)` })
    .from(tasks).where(and(inArray(tasks.sessionId, [...sessionIds]), eq(tasks.state, "open"))).groupBy(tasks.sessionId);
  return new Map(sums.map((sum) => [sum.sessionId, BigInt(sum.reserved)]));
}

async function saveProgress(db: NodePgDatabase, sessionId: Hash, progress: Progress): Promise<void> {
  const voucher = progress.voucher && {
    cap: String(progress.cap), voucher: structToJson("Voucher", progress.voucher.voucher), voucherSignature: progress.voucher.signature,
  };
  await db.update(sessions).set({ nextNonce: String(progress.nextNonce), ...voucher }).where(eq(sessions.sessionId, sessionId));
}

/** Ends tasks that are open, or were given up for lost and are in no batch; a task that ended otherwise stays as it is. @returns for each what was wrong with it, or null. */
export async function finishTasks(db: NodePgDatabase, finishes: readonly Finish[]): Promise<(Error | null)[]> {
  if (finishes.length === 0) return [];
  const first = new Map<Hash, Finish>();
  for (const finish of finishes) if (!first.has(finish.taskId)) first.set(finish.taskId, finish);
  const rows = await db.select({ taskId: tasks.taskId, sessionId: tasks.sessionId, state: tasks.state, expired: tasks.expired, batchHash: tasks.batchHash }).from(tasks)
    .where(inArray(tasks.taskId, [...first.keys()])).orderBy(tasks.taskId).for("update");
  const byTask = new Map(rows.map((row) => [row.taskId, row]));
  // In the order in which they came: of two with one receipt the first counts.
  const open = [...first.values()].flatMap((finish) => {
    const row = byTask.get(finish.taskId);
    return row && (row.state === "open" || (row.expired && row.batchHash === null)) ? [{ ...finish, sessionId: row.sessionId }] : [];
  });
  const refused = await reusedReceipts(db, open);
  const ending = open.filter(({ taskId }) => !refused.has(taskId));
  if (ending.length > 0) await endTasks(db, ending);
  return finishes.map(({ taskId, state }) => {
    const row = byTask.get(taskId);
    if (!row) return journalErrors.unknownTask(taskId);
    // Whoever has a receipt must not ack it, nor charge for it, where the task had failed for good.
    const isTooLate = state === "finished" && row.state === "failed" && !open.some((one) => one.taskId === taskId);
    return refused.get(taskId) ?? (isTooLate ? journalErrors.taskEnded(taskId) : null);
  });
}

/** By task: which of its receipts counts already, in the journal or in another task of this group. */
async function reusedReceipts(db: NodePgDatabase, ending: readonly Finish[]): Promise<Map<Hash, Error>> {
  const receipts = ending.flatMap(({ taskId, attempts: ended }) => ended.flatMap(({ signed }) => (signed
    ? [{ taskId, receiptHash: signed.receiptHash, nodeId: signed.record.receipt.nodeId, place: placeOf(signed.record.receipt.nodeId, signed.record.receipt.nodeSeq), seq: String(signed.record.receipt.nodeSeq) }] : [])));
  if (receipts.length === 0) return new Map();
  const { rows } = await db.execute<{ receipt_hash: Hash; node_id: string; node_seq: string }>(sql`select receipt_hash, node_id, node_seq from attempts
    where receipt_hash = any(${sql.param(receipts.map(({ receiptHash }) => receiptHash))}::text[])
      or (node_id, node_seq) in (select * from unnest(${sql.param(receipts.map(({ nodeId }) => nodeId))}::bigint[], ${sql.param(receipts.map(({ seq }) => seq))}::numeric[]))`);
  const taken = new Set<string>(rows.flatMap((row) => [row.receipt_hash, placeOf(Number(row.node_id), BigInt(row.node_seq))]));
  const refused = new Map<Hash, Error>();
  for (const { taskId, receiptHash, nodeId, place } of receipts) {
    if (taken.has(receiptHash) || taken.has(place)) refused.set(taskId, journalErrors.receiptReused(receiptHash, nodeId));
    else taken.add(receiptHash).add(place);
  }
  return refused;
}

const placeOf = (nodeId: number, nodeSeq: bigint): string => `${nodeId} ${nodeSeq}`;

async function endTasks(db: NodePgDatabase, ending: readonly (Finish & { sessionId: Hash })[]): Promise<void> {
  const acks = ending.map((finish) => oldestAckSeconds(finish.attempts));
  const charges = ending.map((finish) => String(chargeOf(finish.attempts)));
  await db.execute(sql`update tasks set state = ended.state, expired = false, oldest_ack = ended.oldest_ack, charge = ended.charge
    from unnest(${sql.param(ending.map(({ taskId }) => taskId))}::text[], ${sql.param(ending.map(({ state }) => state))}::text[],
      ${sql.param(acks)}::bigint[], ${sql.param(charges)}::numeric[])
      as ended (task_id, state, oldest_ack, charge) where tasks.task_id = ended.task_id`);
  const rows = ending.flatMap((finish) => finish.attempts.map(attemptToRow));
  if (rows.length > 0) await db.insert(attempts).values(rows);
  await raiseCharges(db, ending);
  await raiseTabs(db, ending.flatMap((finish) => finish.attempts.flatMap(({ signed }) => (signed ? [signed.record] : []))));
}

async function raiseCharges(db: NodePgDatabase, ending: readonly (Finish & { sessionId: Hash })[]): Promise<void> {
  const charges = new Map<Hash, TokenAmount>();
  for (const finish of ending) {
    charges.set(finish.sessionId, (charges.get(finish.sessionId) ?? 0n) + chargeOf(finish.attempts));
  }
  for (const [sessionId, charge] of [...charges].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (charge > 0n) await db.update(sessions).set({ charged: sql`${sessions.charged} + ${String(charge)}::numeric` }).where(eq(sessions.sessionId, sessionId));
  }
}

/** Keeps the greatest receipt of each tab: what proves its credits. */
async function raiseTabs(db: NodePgDatabase, records: readonly AttemptRecord[]): Promise<void> {
  const greatest = new Map<number, AttemptRecord>();
  for (const record of records) {
    const { nodeId, nodeSeq } = record.receipt;
    if (nodeSeq > (greatest.get(nodeId)?.receipt.nodeSeq ?? -1n)) greatest.set(nodeId, record);
  }
  if (greatest.size === 0) return;
  const rows = [...greatest].sort(([a], [b]) => a - b).map(([nodeId, record]) => ({ nodeId, nodeSeq: String(record.receipt.nodeSeq), record: recordToJson(record) }));
  await db.insert(tabs).values(rows).onConflictDoUpdate({
    target: tabs.nodeId, set: { nodeSeq: sql`excluded.node_seq`, record: sql`excluded.record` }, setWhere: sql`${tabs.nodeSeq} < excluded.node_seq`,
  });
}

/** Claims ended tasks for a batch. @returns how many could be claimed. */
export async function claimTasks(db: NodePgDatabase, headerHash: Hash, taskIds: readonly Hash[]): Promise<number> {
  const claimed = await db.update(tasks).set({ batchHash: headerHash })
    .where(and(sql`${tasks.taskId} = any(${sql.param([...taskIds])}::text[])`, sql`${tasks.batchHash} is null`, sql`${tasks.state} <> 'open'`, sql`not ${tasks.forced}`));
  return claimed.rowCount ?? 0;
}

const chargeOf = (ended: readonly EndedAttempt[]): TokenAmount => ended.reduce((sum, { signed }) => sum + (signed?.charge ?? 0n), 0n);

function oldestAckSeconds(ended: readonly EndedAttempt[]): number | null {
  const acks = ended.flatMap(({ signed }) => (signed ? [signed.ack.ack.ackedAt] : []));
  return acks.length === 0 ? null : Math.min(...acks);
}
