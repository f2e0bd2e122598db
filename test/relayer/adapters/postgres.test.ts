// The local database server: made once, found again after an orderly stop and after a kill, closed to strangers.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import pg from "pg";
import { startPostgres, type PostgresCluster } from "../../../relayer/adapters/postgres.ts";
import { TidelaneError } from "../../../protocol/errors.ts";

describe("the local Postgres", function () {
  this.timeout(60_000);
  let dir = "";
  let running: PostgresCluster | null = null;

  // Mode 0700, as mktemp makes it: a folder that only its owner may enter, root's own clone among them.
  before(() => { dir = mkdtempSync(join(tmpdir(), "tidelane-pg-")); });
  afterEach(async () => {
    await running?.stop();
    running = null;
  });
  after(() => { rmSync(dir, { recursive: true, force: true }); });

  const query = async (url: string, text: string): Promise<Record<string, unknown>[]> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query(text)).rows as Record<string, unknown>[];
    } finally {
      await client.end();
    }
  };

  it("keeps what was written over an orderly stop, with sync on and a private password", async () => {
    running = await startPostgres({ dir });
    await query(running.url, "create table kept (n int); insert into kept values (7)");
    expect(await query(running.url, "show fsync")).to.deep.equal([{ fsync: "on" }]);
    expect(statSync(join(dir, "password")).mode & 0o777).to.equal(0o600);
    await running.stop();
    running = await startPostgres({ dir });
    expect(await query(running.url, "select n from kept")).to.deep.equal([{ n: 7 }]);
  });

  it("refuses a wrong password", async () => {
    running = await startPostgres({ dir });
    const wrong = running.url.replace(/:[^:@]+@/, ":wrong@");
    const failure = await query(wrong, "select 1").then(() => null, (error: { code: string }) => error);
    expect(failure?.code).to.equal("28P01");
  });

  it("ends a server whose parent was killed, and goes on from its data", async () => {
    const script = `import { startPostgres } from ${JSON.stringify(new URL("../../../relayer/adapters/postgres.ts", import.meta.url).href)};
      const { pid } = await startPostgres({ dir: ${JSON.stringify(dir)} }); console.log(pid); setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const orphan = Number(await new Promise<Buffer>((said) => parent.stdout.once("data", said)));
    const isGone = new Promise((done) => parent.once("exit", done));
    parent.kill("SIGKILL");
    await isGone;
    running = await startPostgres({ dir });
    expect(running.pid).not.to.equal(orphan);
    expect(await query(running.url, "select n from kept")).to.deep.equal([{ n: 7 }]);
  });

  it("does not take the data from a process that lives", async () => {
    running = await startPostgres({ dir });
    expect(await codeOf(startPostgres({ dir }))).to.equal("postgres_in_use");
    expect(await query(running.url, "select n from kept")).to.deep.equal([{ n: 7 }]);
  });

  it("starts over a process id that belongs to somebody else by now", async () => {
    writeFileSync(join(dir, "cluster", "postmaster.pid"), `${process.pid}\n/elsewhere\n`);
    running = await startPostgres({ dir });
    expect(await query(running.url, "select n from kept")).to.deep.equal([{ n: 7 }]);
  });

  it("names both versions where the data is another major version's", async () => {
    const file = join(dir, "cluster", "PG_VERSION");
    const found = readFileSync(file, "utf8");
    writeFileSync(file, "15\n");
    const error = await startPostgres({ dir }).then(() => null, (caught: unknown) => caught as TidelaneError);
    writeFileSync(file, found);
    expect(error?.code).to.equal("postgres_data_version");
    expect(error?.details).to.deep.equal({ found: "15", expected: found.trim() });
  });
});

const codeOf = (promise: Promise<unknown>): Promise<string> => promise.then(() => "no error", (error: unknown) => (error instanceof TidelaneError ? error.code : String(error)));
