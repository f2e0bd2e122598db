// A Postgres of a test's own, with as many empty databases as it asks for; nothing of it outlives the test.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startPostgres, type PostgresCluster } from "../../../relayer/adapters/postgres.ts";

export class ThrowAwayPostgres {
  /** Holds the cluster, and is the test's for whatever else it writes. */
  readonly dir: string;
  readonly #name: string;
  #cluster: PostgresCluster;
  #admin: pg.Client;
  #databases = 0;

  private constructor(dir: string, name: string, cluster: PostgresCluster, admin: pg.Client) {
    this.dir = dir;
    this.#name = name;
    this.#cluster = cluster;
    this.#admin = admin;
  }

  /** @param name of the databases, before their number: lowercase letters and underscores */
  static async start(name: string): Promise<ThrowAwayPostgres> {
    const dir = mkdtempSync(join(tmpdir(), `tidelane-${name.replaceAll("_", "-")}-`));
    const cluster = await startPostgres({ dir: join(dir, "postgres") });
    return new ThrowAwayPostgres(dir, name, cluster, await connected(cluster));
  }

  get pid(): number {
    return this.#cluster.pid;
  }

  /** How many databases there are. */
  get databases(): number {
    return this.#databases;
  }

  query(text: string): Promise<pg.QueryResult> {
    return this.#admin.query(text);
  }

  /** @returns the URL of a new database */
  async freshDatabase(): Promise<string> {
    const name = `${this.#name}_${this.#databases++}`;
    await this.query(`create database ${name}`);
    return this.#cluster.url.replace(/\/[^/]*$/, `/${name}`);
  }

  /** Stops the server, and starts it again on the same port. */
  async outage(during: () => Promise<void>): Promise<void> {
    await this.#admin.end();
    await this.#cluster.stop();
    await during();
    this.#cluster = await startPostgres({ dir: join(this.dir, "postgres"), port: Number(new URL(this.#cluster.url).port) });
    this.#admin = await connected(this.#cluster);
  }

  async discard(): Promise<void> {
    await this.#admin.end().catch(() => {});
    // At once: writing many databases to the disk takes longer than most tests, and they are thrown away.
    process.kill(this.#cluster.pid, "SIGQUIT");
    await this.#cluster.exited;
    rmSync(this.dir, { recursive: true, force: true });
  }
}

async function connected(cluster: PostgresCluster): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: cluster.url });
  await client.connect();
  return client;
}
