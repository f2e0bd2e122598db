// Brings a database to this version's form by the numbered SQL files beside it, each once, in one transaction.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type pg from "pg";
import { TidelaneError } from "../../../protocol/errors.ts";

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
}

const MIGRATIONS_LOCK = 0x71de_0001;

export function migrationsIn(folder: string = join(import.meta.dirname, "migrations")): Migration[] {
  return readdirSync(folder).filter((name) => /^\d{4}_.*\.sql$/.test(name)).sort()
    .map((name) => ({ number: Number(name.slice(0, 4)), name, sql: readFileSync(join(folder, name), "utf8") }));
}

/**
 * Two processes may start at once: the second waits for the first and finds nothing to do.
 * @throws TidelaneError `journal_newer` where a newer Tidelane wrote the database, `journal_altered` where an applied file was changed since.
 */
export async function migrate(client: pg.ClientBase, migrations: readonly Migration[] = migrationsIn()): Promise<number> {
  await client.query("begin");
  try {
    await client.query("select pg_advisory_xact_lock($1)", [MIGRATIONS_LOCK]);
    await client.query("create table if not exists migrations (number int primary key, name text not null, sha256 text not null)");
    const applied = (await client.query<{ number: number; name: string; sha256: string }>("select number, name, sha256 from migrations order by number")).rows;
    for (const one of applied) expectSame(one, migrations);
    const missing = migrations.filter((one) => !applied.some(({ number }) => number === one.number));
    for (const one of missing) {
      await client.query(one.sql);
      await client.query("insert into migrations (number, name, sha256) values ($1, $2, $3)", [one.number, one.name, sha256(one.sql)]);
    }
    await client.query("commit");
    return missing.length;
  } catch (error) {
    await client.query("rollback").catch(() => { /* The connection is gone, and the transaction with it. */ });
    throw error;
  }
}

function expectSame(applied: { number: number; name: string; sha256: string }, migrations: readonly Migration[]): void {
  const known = migrations.find(({ number }) => number === applied.number);
  if (!known) {
    throw new TidelaneError(
      `The database was written by a newer Tidelane (migration ${applied.name}). Use that version, or another database.`,
      { code: "journal_newer", details: { migration: applied.name } },
    );
  }
  if (sha256(known.sql) === applied.sha256) return;
  throw new TidelaneError(`Migration ${applied.name} was applied in another form than this version's. Use the Tidelane that wrote the database, or another database.`, {
    code: "journal_altered", details: { migration: applied.name },
  });
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
