// Connections to Postgres, and whether it answers: a failure is noticed by the query that meets it, recovery by a probe.
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";
import type { Log } from "../../ports/world.ts";
import { journalErrors } from "./errors.ts";

const POOL_MAX = 8;
const CONNECT_MS_MAX = 2_000;
/** A server that stands still is as good as down; a receipt then goes to the spool. */
const QUERY_MS_MAX = 5_000;
const PROBE_EVERY_MS = 250;

export class Database {
  readonly #url: string;
  readonly #log: Log;
  readonly #onUp: () => Promise<void>;
  #pool: pg.Pool;
  #isUp = true;
  #isClosed = false;
  #probe: Promise<void> | null = null;

  /** @param onUp runs after the server answers again and before anything is told so; where it throws, the server counts as down. */
  constructor(url: string, log: Log, onUp: () => Promise<void>) {
    this.#url = url;
    this.#log = log;
    this.#onUp = onUp;
    this.#pool = this.#newPool();
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** One statement, or several that need not be atomic. @throws `journal_unavailable` */
  async query<Result>(work: (db: NodePgDatabase) => Promise<Result>): Promise<Result> {
    if (!this.#isUp) throw journalErrors.unavailable(null);
    return await this.#guarded(() => work(drizzle(this.#pool)));
  }

  /** @param evenIfDown for the replay that brings the journal back. @throws `journal_unavailable`; then nothing, or everything, was committed. */
  async transaction<Result>(work: (db: NodePgDatabase) => Promise<Result>, evenIfDown = false): Promise<Result> {
    if (!this.#isUp && !evenIfDown) throw journalErrors.unavailable(null);
    return await this.#guarded(async () => {
      const client = await this.#pool.connect();
      let isBroken = true;
      try {
        await client.query("begin");
        const result = await work(drizzle(client)).catch(async (error: unknown) => {
          if (!isUnavailable(error)) isBroken = !await client.query("rollback").then(() => true, () => false);
          throw error;
        });
        await client.query("commit");
        isBroken = false;
        return result;
      } finally {
        client.release(isBroken);
      }
    });
  }

  /** A connection of its own, outside the pool. */
  async client(): Promise<pg.Client> {
    if (!this.#isUp) throw journalErrors.unavailable(null);
    return await this.#guarded(async () => {
      const client = new pg.Client({ ...this.#config(), keepAlive: true });
      await client.connect();
      return client;
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#probe;
    await this.#pool.end();
  }

  async #guarded<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (!isUnavailable(error)) throw rootOf(error);
      this.#down(error);
      throw journalErrors.unavailable(rootOf(error));
    }
  }

  #down(error: unknown): void {
    if (this.#isClosed) return;
    if (this.#isUp) this.#log.error({ err: messageOf(error) }, "the database cannot be reached: new paid work is refused, receipts go to the spool");
    this.#isUp = false;
    this.#probe ??= this.#comeBack().finally(() => { this.#probe = null; });
  }

  async #comeBack(): Promise<void> {
    // Old connections may stand behind a query that never ends; they go with their pool.
    void this.#pool.end().catch(() => { /* They were broken anyway. */ });
    this.#pool = this.#newPool();
    while (!this.#isClosed) {
      await new Promise((wake) => setTimeout(wake, PROBE_EVERY_MS).unref());
      try {
        await this.#pool.query("select 1");
        await this.#onUp();
        this.#isUp = true;
        this.#log.info({}, "the database answers again");
        return;
      } catch {
        // Still away: the next probe tells.
      }
    }
  }

  #newPool(): pg.Pool {
    const pool = new pg.Pool({ ...this.#config(), max: POOL_MAX });
    pool.on("error", (error) => { if (pool === this.#pool) this.#down(error); });
    return pool;
  }

  #config(): pg.ClientConfig {
    return { connectionString: this.#url, connectionTimeoutMillis: CONNECT_MS_MAX, query_timeout: QUERY_MS_MAX, application_name: "tidelane-relayer" };
  }
}

/** The server is away, going away, or out of room: trying later can help, and the data is not at fault. */
export function isUnavailable(error: unknown): boolean {
  const root = rootOf(error) as { code?: unknown; message?: unknown };
  const code = typeof root?.code === "string" ? root.code : "";
  if (/^(08|53|57P0|58)/.test(code) || /^(ECONN|ENOTFOUND|EPIPE|ETIMEDOUT|EHOST|ENET|EAI_)/.test(code)) return true;
  return code === "" && /timeout|terminated|not queryable|after calling end|Connection/i.test(String(root?.message ?? ""));
}

/** drizzle wraps what pg throws. */
function rootOf(error: unknown): unknown {
  let root = error;
  while (root instanceof Error && root.name === "DrizzleQueryError" && root.cause !== undefined) root = root.cause;
  return root instanceof Error && root.constructor.name === "DrizzleQueryError" && root.cause !== undefined ? rootOf(root.cause) : root;
}

const messageOf = (error: unknown): string => {
  const root = rootOf(error);
  return root instanceof Error ? root.message : String(root);
};
