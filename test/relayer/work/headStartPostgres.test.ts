// Tasks ahead of their rows on a real database: a process that dies in between, and two processes that serve one session.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import pg from "pg";
import { openJournal, type PostgresJournal } from "../../../relayer/adapters/journal.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { ThrowAwayPostgres } from "../adapters/throwAwayPostgres.ts";
import { all, endOf, failure, textOf } from "./taskChecks.ts";
import { answers } from "./world.ts";
import { rigOf, SESSION } from "./headStartRig.ts";
import type { Hash } from "../../../protocol/units.ts";

const CHILD = join(dirname(fileURLToPath(import.meta.url)), "headStartChild.ts");

describe("a task ahead of its row, in Postgres", function () {
  this.timeout(60_000);
  let postgres: ThrowAwayPostgres;
  const journals: PostgresJournal[] = [];

  before(async () => { postgres = await ThrowAwayPostgres.start("head_start"); });
  afterEach(async () => { for (const journal of journals.splice(0)) await journal.close(); });
  after(function () {
    // Thousands of files, on a disk that others use too.
    this.timeout(120_000);
    return postgres.discard();
  });

  const open = async (databaseUrl: string): Promise<PostgresJournal> => {
    const journal = await openJournal({ databaseUrl, spoolDir: join(postgres.dir, `spool_${postgres.databases}_${journals.length}`), log: silentLog });
    journals.push(journal);
    return journal;
  };

  it("leaves nothing behind where its process is killed before the row is there: the next order takes its nonce, and is charged once", async () => {
    const url = await postgres.freshDatabase();
    const child: ChildProcess = spawn(process.execPath, [CHILD, url, join(postgres.dir, "spool_child")], { stdio: ["pipe", "pipe", "inherit"] });
    const lines: Interface = createInterface({ input: child.stdout! });
    const told = lines[Symbol.asyncIterator]();
    const next = async (): Promise<Record<string, string>> => JSON.parse((await told.next()).value as string) as Record<string, string>;
    const lock = new pg.Client({ connectionString: url });
    try {
      const { apiKey } = await next();
      await lock.connect();
      await lock.query("begin");
      await lock.query("select 1 from sessions for update");
      child.stdin!.write("\n");
      const orphan = await next();
      child.kill("SIGKILL");
      await once(child, "exit");
      await lock.query("rollback");

      const journal = await open(url);
      const charged = (await journal.session(SESSION))!.charged;
      const rig = await rigOf(journal, apiKey!, answers("again"));
      rig.world.nodes[0]!.seq += 1n << 20n;
      const events = await all(await rig.ask());
      expect(textOf(events)).to.equal("again");
      expect([orphan.nonce, String(rig.world.requests[0]!.covered.order.nonce)]).to.deep.equal(["1", "1"]);
      // Another order with the same nonce: two assignments of one attempt of one task would be slashable.
      expect(rig.world.requests[0]!.assignment.taskId).to.not.equal(orphan.taskId);
      expect(await journal.task(orphan.taskId as Hash)).to.equal(null);
      expect((await failure(journal.finishTask(orphan.taskId as Hash, "finished", []))).code).to.equal("unknown_task");
      expect(await journal.session(SESSION)).to.include({ charged: charged + BigInt(endOf(events).cost.charge), nextNonce: 2n });
      expect((await rig.sessions.describe(SESSION)).reserved).to.equal("0");
    } finally {
      child.kill("SIGKILL");
      lines.close();
      await lock.end().catch(() => {});
    }
  });

  it("answers everybody, with every nonce once, where two processes serve one session in turn", async () => {
    const url = await postgres.freshDatabase();
    const one = await rigOf(await open(url), null, answers("one"));
    const two = await rigOf(await open(url), one.apiKey, answers("two"));
    two.world.nodes[0]!.seq += 1n << 40n;
    await all(await one.ask());
    const events = await Promise.all(Array.from({ length: 24 }, async (_, i) => all(await (i % 3 === 0 ? two : one).ask())));
    expect(events.map(textOf)).to.deep.equal(events.map((_, i) => (i % 3 === 0 ? "two" : "one")));
    const { rows } = await new Promise<{ rows: { nonce: string; state: string }[] }>((resolve, reject) => {
      const client = new pg.Client({ connectionString: url });
      client.connect().then(() => client.query("select task_order ->> 'nonce' as nonce, state from tasks")).then(resolve, reject).finally(() => client.end());
    });
    expect(rows.map((row) => row.state)).to.deep.equal(Array.from({ length: 25 }, () => "finished"));
    expect(rows.map((row) => Number(row.nonce)).toSorted((a, b) => a - b)).to.deep.equal(Array.from({ length: 25 }, (_, i) => i));
    const charges = events.reduce((sum, seen) => sum + BigInt(endOf(seen).cost.charge), 0n);
    const stored = (await journals[0]!.session(SESSION))!;
    expect([stored.nextNonce, stored.charged > charges]).to.deep.equal([25n, true]);
    for (const { sessions, world } of [one, two]) {
      expect((await sessions.describe(SESSION)).reserved).to.equal("0");
      expect(world.acks).to.have.length(world.outcomes.filter((outcome) => outcome === "completed").length);
    }
  });
});
