// The journal on Postgres: what must outlive any crash, in one transaction at a time, shared by all who wait for one.
//
// Opened tasks and finished tasks go through one group commit. While the database is away nothing is opened, and what
// finishes goes to the spool on disk, which is replayed before the database counts as back.
import { and, asc, desc, eq, gt, isNotNull, isNull, lt, ne, or, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";
import { Mode } from "../../protocol/constants.ts";
import { recordFromJson, type AttemptRecord } from "../../protocol/records.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Hash, Millis, Seconds, TokenAmount } from "../../protocol/units.ts";
import type { Log } from "../ports/world.ts";
import type { BatchState, EndedAttempt, EndedTask, Journal, Lead, OpenedTask, SignedVoucher, StoredBatch, StoredSession, StoredTask, TaskPlace, ToldTally, UnsettledSession } from "../ports/journal.ts";
import { Database, isUnavailable } from "./journal/database.ts";
import { journalErrors } from "./journal/errors.ts";
import { GroupCommit } from "./journal/groupCommit.ts";
import { PostgresLead } from "./journal/lead.ts";
import { CLAIM_MS_MAX, IDEMPOTENCY_MS_MAX, TALLIES_MAX, TALLY_MS_MAX } from "./journal/limits.ts";
import { migrate } from "./journal/migrate.ts";
import { attemptFromRow, batchFromRow, batchToRow, finishFromJson, finishToJson, sessionFromRow, sessionToRow, taskFromRow } from "./journal/rows.ts";
import { apiKeys, attempts, batches, facts, idempotency, sessions, tabs, tasks } from "./journal/schema.ts";
import { Spool } from "./journal/spool.ts";
import { claimTasks, finishTasks, openTasks, type Finish, type Opening } from "./journal/writes.ts";

export interface PostgresJournalOptions {
  readonly databaseUrl: string;
  /** Folder of the spool. */
  readonly spoolDir: string;
  readonly log: Log;
}

type Write = { readonly open: Opening } | { readonly finish: Finish };

/** More writes waiting than this means that the database cannot keep up: new work is refused, running work is not. */
const WAITING_MAX = 10_000;
const CONNECT_MS_MAX = 5_000;

/**
 * Connects, migrates and replays what an earlier process left in the spool.
 * @throws TidelaneError `journal_unavailable`, `journal_newer`, `journal_altered`
 */
export async function openJournal(options: PostgresJournalOptions): Promise<PostgresJournal> {
  const client = new pg.Client({ connectionString: options.databaseUrl, connectionTimeoutMillis: CONNECT_MS_MAX });
  client.on("error", () => { /* The query that meets it says so. */ });
  try {
    await client.connect();
    await migrate(client);
  } catch (error) {
    throw isUnavailable(error) ? journalErrors.unavailable(error) : error;
  } finally {
    await client.end().catch(() => { /* It never was connected. */ });
  }
  const journal = new PostgresJournal(options);
  await journal.replay();
  return journal;
}

export class PostgresJournal implements Journal {
  readonly #database: Database;
  readonly #spool: Spool;
  readonly #log: Log;
  readonly #writes: GroupCommit<Write>;

  constructor(options: PostgresJournalOptions) {
    this.#log = options.log;
    this.#spool = new Spool(options.spoolDir);
    this.#database = new Database(options.databaseUrl, options.log, () => this.replay());
    this.#writes = new GroupCommit((group) => this.#commit(group));
  }

  /** Commits what the spool holds. */
  async replay(): Promise<void> {
    const committed = await this.#spool.replay(async (entry) => {
      const finish = finishFromJson(entry);
      try {
        const [error] = await this.#database.transaction((db) => finishTasks(db, [finish]), true);
        if (error) throw error;
        return true;
      } catch (error) {
        if (error instanceof TidelaneError && error.code === "journal_unavailable") throw error;
        this.#log.error({ taskId: finish.taskId, err: String(error) }, "the database refuses a spooled task; it is kept in spool.refused.jsonl");
        return false;
      }
    });
    if (committed > 0) this.#log.info({ tasks: committed }, "spooled tasks are in the database");
  }

  /** Waits for what is being written, then disconnects. */
  async close(): Promise<void> {
    await this.#writes.settled();
    await this.#spool.close();
    await this.#database.close();
  }

  isUp(): boolean {
    return this.#database.isUp;
  }

  // ------------------------------------------------------------ sessions and keys

  async putSession(session: StoredSession): Promise<void> {
    await this.#database.query((db) => db.insert(sessions).values(sessionToRow(session)).onConflictDoNothing());
  }

  async session(sessionId: Hash): Promise<StoredSession | null> {
    const [row] = await this.#database.query((db) => db.select().from(sessions).where(eq(sessions.sessionId, sessionId)));
    return row ? sessionFromRow(row) : null;
  }

  async sessions(): Promise<readonly StoredSession[]> {
    return (await this.#database.query((db) => db.select().from(sessions).orderBy(sessions.sessionId))).map(sessionFromRow).filter((session) => session.authorization.mode !== Mode.REQUEST);
  }

  async putApiKey(keyHash: Hash, sessionId: Hash, expiresAtMs: Millis): Promise<void> {
    await this.#database.query((db) => db.insert(apiKeys).values({ keyHash, sessionId, expiresAtMs: Math.floor(expiresAtMs) }).onConflictDoNothing());
  }

  async sessionOfApiKey(keyHash: Hash, nowMs: Millis): Promise<Hash | null> {
    const [row] = await this.#database.query((db) => db.select({ sessionId: apiKeys.sessionId }).from(apiKeys)
      .where(and(eq(apiKeys.keyHash, keyHash), gt(apiKeys.expiresAtMs, Math.floor(nowMs)))));
    return row?.sessionId ?? null;
  }

  // ------------------------------------------------------------ tasks

  async openTask(task: OpenedTask, voucher: SignedVoucher | null, most?: TokenAmount): Promise<void> {
    if (!this.#database.isUp || this.#writes.length >= WAITING_MAX) throw journalErrors.unavailable(null);
    await this.#writes.add({ open: { task, voucher, most } });
  }

  async finishTask(taskId: Hash, state: "finished" | "failed", ended: readonly EndedAttempt[]): Promise<void> {
    if (this.#database.isUp) {
      try {
        return await this.#writes.add({ finish: { taskId, state, attempts: ended } });
      } catch (error) {
        if (!(error instanceof TidelaneError && error.code === "journal_unavailable")) throw error;
      }
    }
    await this.#spool.append(finishToJson(taskId, state, ended));
  }

  async task(taskId: Hash): Promise<StoredTask | null> {
    return await this.#database.query(async (db) => {
      const [row] = await db.select().from(tasks).leftJoin(batches, eq(tasks.batchHash, batches.headerHash)).where(eq(tasks.taskId, taskId));
      if (!row) return null;
      const ended = await db.select().from(attempts).where(eq(attempts.taskId, taskId)).orderBy(attempts.position);
      return { opened: taskFromRow(row.tasks), state: row.tasks.state, attempts: ended.map(attemptFromRow), batch: row.batches && batchFromRow(row.batches) };
    });
  }

  async expireTasks(openedBeforeMs: Millis, deadlineBeforeSeconds: Seconds): Promise<number> {
    const isLost = or(lt(tasks.openedAtMs, Math.floor(openedBeforeMs)), sql`(${tasks.order} ->> 'deadline')::bigint < ${Math.floor(deadlineBeforeSeconds)}`);
    const expired = await this.#database.query((db) => db.update(tasks).set({ state: "failed", expired: true })
      .where(and(eq(tasks.state, "open"), isLost, isNull(tasks.batchHash))));
    return expired.rowCount ?? 0;
  }

  async unsettledSessions(): Promise<readonly UnsettledSession[]> {
    const rows = await this.#database.query((db) => db.select({ sessionId: tasks.sessionId, charge: sql<string>`sum(${tasks.charge})`, oldestAck: sql<string>`min(${tasks.oldestAck})` })
      .from(tasks).where(and(isWaiting, isNotNull(tasks.oldestAck))).groupBy(tasks.sessionId));
    return rows.map((row) => ({ sessionId: row.sessionId, charge: BigInt(row.charge), oldestAckSeconds: Number(row.oldestAck) }));
  }

  async unsettledTasks(sessionIds: readonly Hash[], limit: number, after?: TaskPlace): Promise<readonly EndedTask[]> {
    const isLater = after && sql`(${tasks.oldestAck}, ${tasks.taskId}) > (${after.oldestAckSeconds}::bigint, ${after.taskId})`;
    return await this.#ended((db) => db.select().from(tasks)
      .where(and(isWaiting, isNotNull(tasks.oldestAck), sql`${tasks.sessionId} = any(${sql.param([...sessionIds])}::text[])`, isLater)).orderBy(asc(tasks.oldestAck), asc(tasks.taskId)).limit(limit));
  }

  async unsettledFailures(limit: number): Promise<readonly EndedTask[]> {
    return await this.#ended((db) => db.select().from(tasks).where(and(isWaiting, isNull(tasks.oldestAck))).orderBy(asc(tasks.openedAtMs), asc(tasks.taskId)).limit(limit));
  }

  async #ended(select: (db: NodePgDatabase) => Promise<(typeof tasks.$inferSelect)[]>): Promise<EndedTask[]> {
    return await this.#database.query(async (db) => {
      const rows = await select(db);
      const byTask = await attemptsOf(db, rows.map((row) => row.taskId));
      return rows.map((row) => ({ opened: taskFromRow(row), state: row.state as "finished" | "failed", attempts: byTask.get(row.taskId) ?? [] }));
    });
  }

  async markForced(taskId: Hash): Promise<boolean> {
    const marked = await this.#database.query((db) => db.update(tasks).set({ forced: true }).where(and(eq(tasks.taskId, taskId), isNull(tasks.batchHash))));
    return marked.rowCount === 1;
  }

  async lastReceipts(): Promise<ReadonlyMap<number, AttemptRecord>> {
    const rows = await this.#database.query((db) => db.select().from(tabs));
    return new Map(rows.map((row) => [row.nodeId, recordFromJson(row.record)]));
  }

  // ------------------------------------------------------------ batches

  async lead(): Promise<Lead | null> {
    return await PostgresLead.take(await this.#database.client());
  }

  async putBatch(batch: StoredBatch, taskIds: readonly Hash[], lead: Lead): Promise<void> {
    await this.#database.transaction(async (db) => {
      await PostgresLead.expect(db, lead);
      const inserted = await db.insert(batches).values(batchToRow(batch)).onConflictDoNothing();
      if (inserted.rowCount !== 1) throw journalErrors.alreadyBatched(`batch ${batch.header.batchId} exists`);
      const claimed = await claimTasks(db, batch.headerHash, taskIds);
      if (claimed !== taskIds.length) throw journalErrors.alreadyBatched(`${taskIds.length - claimed} of its tasks cannot be claimed`);
    });
  }

  async updateBatch(...[batchId, state, mined, transaction]: Parameters<Journal["updateBatch"]>): Promise<void> {
    await this.#database.transaction(async (db) => {
      const [row] = await db.select().from(batches).where(isLive(batchId)).for("update");
      if (!row) throw journalErrors.unknownBatch(batchId);
      const isNew = transaction !== undefined && transaction.hash !== row.transactionHash;
      await db.update(batches).set({
        state, ...mined,
        ...(isNew && {
          transactionHash: transaction.hash, transactionRaw: transaction.raw, transactionNonce: transaction.nonce, replaced: [...row.replaced, row.transactionHash],
        }),
      }).where(eq(batches.headerHash, row.headerHash));
      if (state === "abandoned") await db.update(tasks).set({ batchHash: null }).where(eq(tasks.batchHash, row.headerHash));
    });
  }

  async batch(batchId: bigint): Promise<StoredBatch | null> {
    const [row] = await this.#database.query((db) => db.select().from(batches).where(isLive(batchId)));
    return row ? batchFromRow(row) : null;
  }

  async batches(state: BatchState, limit: number): Promise<readonly StoredBatch[]> {
    const rows = await this.#database.query((db) => db.select().from(batches).where(eq(batches.state, state)).orderBy(desc(batches.batchId)).limit(limit));
    return rows.map(batchFromRow);
  }

  // ------------------------------------------------------------ requests and facts

  async claimIdempotency(...[scope, key, requestHash, nowMs]: Parameters<Journal["claimIdempotency"]>): ReturnType<Journal["claimIdempotency"]> {
    return await this.#database.transaction(async (db) => {
      const claimedAtMs = Math.floor(nowMs);
      const claimed = await db.insert(idempotency).values({ scope, key, requestHash, claimedAtMs }).onConflictDoUpdate({
        target: [idempotency.scope, idempotency.key], set: { requestHash, response: null, claimedAtMs },
        setWhere: sql`${idempotency.claimedAtMs} < ${claimedAtMs} - case when ${idempotency.response} is null then ${CLAIM_MS_MAX}::bigint else ${IDEMPOTENCY_MS_MAX}::bigint end`,
      });
      if (claimed.rowCount === 1) return null;
      const [known] = await db.select().from(idempotency).where(and(eq(idempotency.scope, scope), eq(idempotency.key, key)));
      return known ? { requestHash: known.requestHash, response: known.response } : null;
    });
  }

  async completeIdempotency(scope: Hash, key: string, response: string | null): Promise<void> {
    const row = and(eq(idempotency.scope, scope), eq(idempotency.key, key));
    await this.#database.query(async (db) => { await (response === null ? db.delete(idempotency).where(row) : db.update(idempotency).set({ response }).where(row)); });
  }

  async keptResponse(scope: Hash, key: string): Promise<{ response: string | null; claimedAtMs: Millis } | null> {
    const [known] = await this.#database.query((db) => db.select({ response: idempotency.response, claimedAtMs: idempotency.claimedAtMs }).from(idempotency).where(and(eq(idempotency.scope, scope), eq(idempotency.key, key))));
    return known ?? null;
  }

  async renewClaims(claims: readonly { readonly scope: Hash; readonly key: string }[], nowMs: Millis): Promise<void> {
    const named = sql`(${idempotency.scope}, ${idempotency.key}) in (select * from unnest(${sql.param(claims.map(({ scope }) => scope))}::text[], ${sql.param(claims.map(({ key }) => key))}::text[]))`;
    await this.#database.query((db) => db.update(idempotency).set({ claimedAtMs: Math.floor(nowMs) }).where(and(named, isNull(idempotency.response))));
  }

  async forgetResponses(nowMs: Millis): Promise<number> {
    const gone = await this.#database.query((db) => db.delete(idempotency).where(lt(idempotency.claimedAtMs, Math.floor(nowMs) - IDEMPOTENCY_MS_MAX)));
    return gone.rowCount ?? 0;
  }

  async getFact(name: string): Promise<string | null> {
    const [row] = await this.#database.query((db) => db.select().from(facts).where(eq(facts.name, name)));
    return row?.value ?? null;
  }

  async setFact(name: string, value: string): Promise<void> {
    await this.#database.query((db) => db.insert(facts).values({ name, value }).onConflictDoUpdate({ target: facts.name, set: { value } }));
  }

  async replaceFact(name: string, expected: string | null, value: string): Promise<boolean> {
    const replaced = await this.#database.query((db) => (expected === null
      ? db.insert(facts).values({ name, value }).onConflictDoNothing()
      : db.update(facts).set({ value }).where(and(eq(facts.name, name), eq(facts.value, expected)))));
    return replaced.rowCount === 1;
  }

  async shareTallies({ process, sequence, text }: ToldTally, nowMs: Millis): Promise<readonly ToldTally[]> {
    const atMs = Math.floor(nowMs);
    // One round trip. The select sees the table as it was before the other two. Who comes back after so long may be forgotten by another
    // at that moment: the own row is first, and others' that are being written are passed over, or two would wait for each other.
    const told = await this.#database.query((db) => db.execute<{ process: string; sequence: string; tally: string }>(sql`
      with own as (insert into tallies (process, sequence, told_at_ms, tally) values (${process}, ${sequence}, ${atMs}, ${text})
        on conflict (process) do update set sequence = excluded.sequence, told_at_ms = excluded.told_at_ms, tally = excluded.tally returning process),
      forgotten as (delete from tallies where process in (
        select process from tallies where told_at_ms < ${atMs - TALLY_MS_MAX}::bigint and process <> (select process from own) for update skip locked))
      select process, sequence, tally from tallies where process <> ${process} and told_at_ms >= ${atMs - TALLY_MS_MAX}::bigint order by told_at_ms desc limit ${TALLIES_MAX}`));
    return told.rows.map((row) => ({ process: row.process, sequence: Number(row.sequence), text: row.tally }));
  }

  /** One entry that the database refuses must not take the others with it. */
  async #commit(group: readonly Write[]): Promise<readonly (Error | null)[]> {
    try {
      return await this.#commitTogether(group);
    } catch (error) {
      if (error instanceof TidelaneError && error.code === "journal_unavailable") throw error;
      if (group.length === 1) return [refusalOf(error, group[0]!)];
      const errors: (Error | null)[] = [];
      for (const write of group) errors.push(await this.#commitTogether([write]).then(([one]) => one ?? null, (one: unknown) => refusalOf(one, write)));
      return errors;
    }
  }

  async #commitTogether(group: readonly Write[]): Promise<readonly (Error | null)[]> {
    return await this.#database.transaction(async (db) => {
      const opened = await openTasks(db, group.flatMap((write) => ("open" in write ? [write.open] : [])));
      const finished = await finishTasks(db, group.flatMap((write) => ("finish" in write ? [write.finish] : [])));
      return group.map((write) => ("open" in write ? opened.shift()! : finished.shift()!));
    });
  }
}

/** Two processes that end tasks with one receipt at the same moment: the database's own index tells the second one. */
function refusalOf(error: unknown, write: Write): Error {
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  const signed = "finish" in write ? write.finish.attempts.find((attempt) => attempt.signed)?.signed : null;
  if (signed && code === UNIQUE_VIOLATION && RECEIPT_INDEXES.has(String(constraint))) return journalErrors.receiptReused(signed.receiptHash, signed.record.receipt.nodeId);
  return error instanceof Error ? error : new Error(String(error));
}

const UNIQUE_VIOLATION = "23505";
const RECEIPT_INDEXES = new Set(["attempts_by_node_seq", "attempts_receipt_hash_key"]);

/** A contract's request is paid by its fulfilment, never by a batch. */
const isOfSession = sql`not exists (select 1 from sessions where sessions.session_id = tasks.session_id and sessions."authorization" ->> 'mode' = ${String(Mode.REQUEST)})`;
const isWaiting = and(isNull(tasks.batchHash), ne(tasks.state, "open"), eq(tasks.forced, false), isOfSession);
const isLive = (batchId: bigint) => and(eq(batches.batchId, String(batchId)), ne(batches.state, "abandoned"));

async function attemptsOf(db: NodePgDatabase, taskIds: readonly Hash[]): Promise<Map<Hash, EndedAttempt[]>> {
  const byTask = new Map<Hash, EndedAttempt[]>();
  if (taskIds.length === 0) return byTask;
  const rows = await db.select().from(attempts).where(sql`${attempts.taskId} = any(${sql.param([...taskIds])}::text[])`).orderBy(attempts.taskId, attempts.position);
  for (const row of rows) byTask.set(row.taskId, [...(byTask.get(row.taskId) ?? []), attemptFromRow(row)]);
  return byTask;
}
