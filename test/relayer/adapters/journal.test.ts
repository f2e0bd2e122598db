// The journal on a real Postgres: the shared promises, and what only a database that can fail has to promise.
import { readFileSync, writeFileSync, appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import pg from "pg";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { openJournal, type PostgresJournal } from "../../../relayer/adapters/journal.ts";
import { migrate, migrationsIn } from "../../../relayer/adapters/journal/migrate.ts";
import { Spool } from "../../../relayer/adapters/journal/spool.ts";
import { structToJson } from "../../../protocol/json.ts";
import { recordToJson } from "../../../protocol/records.ts";
import type { Log } from "../../../relayer/ports/world.ts";
import { ended, type Ended } from "../ended.ts";
import { servedAtTwo } from "../loops/tallyRig.ts";
import { codeOf, journalSuite } from "./journalSuite.ts";
import { ThrowAwayPostgres } from "./throwAwayPostgres.ts";

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

describe("the journal", function () {
  this.timeout(30_000);
  let postgres: ThrowAwayPostgres;

  before(async () => { postgres = await ThrowAwayPostgres.start("journal"); });
  after(function () {
    // Thousands of files, on a disk that others use too.
    this.timeout(120_000);
    return postgres.discard();
  });

  const spoolDir = (): string => join(postgres.dir, `spool_${postgres.databases}`);
  const open = (databaseUrl: string, spool = spoolDir()): Promise<PostgresJournal> => openJournal({ databaseUrl, spoolDir: spool, log: quiet });

  describe("in memory", () => journalSuite(async () => ({ journal: new MemoryJournal(), close: async () => {} })));

  describe("in Postgres", () => journalSuite(async () => {
    const journal = await open(await postgres.freshDatabase());
    return { journal, close: () => journal.close() };
  }));

  describe("in Postgres only", () => {
    it("holds after it was closed and opened again", async () => {
      const url = await postgres.freshDatabase();
      const one = await ended();
      const before = await open(url);
      await before.putSession(one.session);
      await before.openTask(one.task, one.voucher);
      await before.finishTask(one.task.taskId, "finished", [one.attempt]);
      await before.close();
      const after = await open(url);
      expect((await after.task(one.task.taskId))?.attempts).to.deep.equal([one.attempt]);
      await after.close();
    });

    it("gives a payer at two processes one share of all, as they tell each other what they gave", async () => {
      const url = await postgres.freshDatabase();
      const journals = [await open(url), await open(url, join(postgres.dir, "spool_other"))] as const;
      const { both, first, second } = await servedAtTwo(journals, true);
      expect(both + first + second).to.equal(40);
      expect(Math.max(both, first, second) - Math.min(both, first, second)).to.be.below(4);
      for (const journal of journals) await journal.close();
    });

    it("waits for no process that it forgets just as that one comes back, or the two would wait for each other", async () => {
      const url = await postgres.freshDatabase();
      const journal = await open(url);
      await journal.shareTallies({ process: "idle", sequence: 1, text: "" }, 0);
      const comesBack = new pg.Client({ connectionString: url });
      await comesBack.connect();
      await comesBack.query("begin");
      await comesBack.query("update tallies set told_at_ms = 3600000 where process = 'idle'");
      expect(await journal.shareTallies({ process: "busy", sequence: 1, text: "" }, 3_600_000)).to.deep.equal([]);
      await comesBack.query("commit");
      expect(await journal.shareTallies({ process: "busy", sequence: 2, text: "" }, 3_600_001)).to.deep.equal([{ process: "idle", sequence: 1, text: "" }]);
      await comesBack.end();
      await journal.close();
    });

    it("shares commits between those who wait", async () => {
      const journal = await open(await postgres.freshDatabase());
      const many = await Promise.all(Array.from({ length: 40 }, (_, i) => ended({ order: { nonce: BigInt(i) } })));
      await journal.putSession(many[0]!.session);
      const commits = async (): Promise<number> => Number((await postgres.query("select sum(xact_commit) as n from pg_stat_database where datname like 'journal_%'")).rows[0].n);
      const before = await commits();
      await Promise.all(many.map((one) => journal.openTask(one.task, one.voucher)));
      await Promise.all(many.map((one) => journal.finishTask(one.task.taskId, "finished", [one.attempt])));
      await journal.close();
      // The server counts a connection's commits when it ends.
      await until(async () => await commits() > before);
      expect(await commits() - before).to.be.below(40);
    });

    it("keeps one bad entry from taking its group along", async () => {
      const journal = await open(await postgres.freshDatabase());
      const [good, twin, other] = await Promise.all([ended(), ended({ order: { nonce: 2n } }), ended({ order: { nonce: 3n } })]);
      for (const one of [good, twin, other]) {
        await journal.putSession(one.session);
        await journal.openTask(one.task, one.voucher);
      }
      // The twin claims the same receipt, which the database refuses.
      const stolen = { ...twin.attempt, signed: { ...twin.attempt.signed!, receiptHash: good.attempt.signed!.receiptHash } };
      const outcomes = await Promise.allSettled([
        journal.finishTask(other.task.taskId, "finished", [other.attempt]),
        journal.finishTask(good.task.taskId, "finished", [good.attempt]),
        journal.finishTask(twin.task.taskId, "finished", [stolen]),
      ]);
      expect(outcomes.map(({ status }) => status)).to.deep.equal(["fulfilled", "fulfilled", "rejected"]);
      expect((await journal.task(twin.task.taskId))?.state).to.equal("open");
      await journal.close();
    });

    it("brings a database of the first form along, with the places of its receipts", async () => {
      const url = await postgres.freshDatabase();
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await migrate(client, migrationsIn().slice(0, 1));
      const one = await ended();
      const { signed } = one.attempt;
      await client.query("insert into sessions (session_id, \"authorization\", next_nonce, charged, cap) values ($1, $2, 0, 0, 0)", [one.session.sessionId, structToJson("SpendingAuthorization", one.session.authorization)]);
      await client.query("insert into tasks (task_id, session_id, state, kind, model, task_order, opened_at_ms) values ($1, $2, 'finished', 'chat', 'm', $3, 1)", [one.task.taskId, one.session.sessionId, structToJson("TaskOrder", one.task.order)]);
      await client.query("insert into attempts (task_id, position, assignment_hash, node_id, decision, assignment, record, receipt_hash, charge) values ($1, 0, $2, 7, '{}', '{}', $3, $4, 1)",
        [one.task.taskId, one.attempt.assignmentHash, recordToJson(signed!.record), signed!.receiptHash]);
      const journal = await open(url);
      expect((await client.query("select node_seq from attempts")).rows).to.deep.equal([{ node_seq: String(signed!.record.receipt.nodeSeq) }]);
      const twin = await ended({ order: { nonce: 2n }, receipt: { nodeSeq: signed!.record.receipt.nodeSeq } });
      await journal.openTask(twin.task, twin.voucher);
      expect(await codeOf(journal.finishTask(twin.task.taskId, "finished", [twin.attempt]))).to.equal("receipt_reused");
      await journal.close();
      await client.end();
    });

    it("refuses a database that a newer version wrote, and one whose migrations are not its own", async () => {
      const url = await postgres.freshDatabase();
      await (await open(url)).close();
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query("insert into migrations values (9999, '9999_future.sql', 'x')");
      expect(await codeOf(open(url))).to.equal("journal_newer");
      await client.query("delete from migrations where number = 9999");
      await client.query("update migrations set sha256 = 'other'");
      expect(await codeOf(open(url))).to.equal("journal_altered");
      await client.end();
    });

    it("migrates once though two begin at the same time, and leaves nothing half done", async () => {
      const url = await postgres.freshDatabase();
      const clients = [new pg.Client({ connectionString: url }), new pg.Client({ connectionString: url })] as const;
      for (const client of clients) await client.connect();
      const applied = await Promise.all(clients.map((client) => migrate(client)));
      expect(applied.toSorted()).to.deep.equal([0, migrationsIn().length]);
      const broken = [...migrationsIn(), { number: 9000, name: "9000_broken.sql", sql: "create table half (n int); select nonsense from nowhere" }];
      expect(await codeOf(migrate(clients[0], broken))).to.match(/^not a TidelaneError/);
      expect((await clients[0].query("select to_regclass('half') as half")).rows).to.deep.equal([{ half: null }]);
      for (const client of clients) await client.end();
    });

    it("says that the database cannot be reached", async () => {
      expect(await codeOf(open("postgres://nobody:x@127.0.0.1:1/none"))).to.equal("journal_unavailable");
    });

    it("loses the right to post with its connection", async () => {
      const url = await postgres.freshDatabase();
      const journal = await open(url);
      const lead = (await journal.lead())!;
      await postgres.query("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()");
      await until(() => !lead.isHeld());
      const next = await journal.lead();
      expect(next?.fence).to.equal(lead.fence + 1n);
      await next!.release();
      await journal.close();
    });
  });

  describe("while the database is away", () => {
    // The databases of the tests above are thousands of files to sync: here, rather than inside a stop that is to be quick.
    before(async function () {
      this.timeout(120_000);
      await postgres.query("checkpoint");
    });

    let url = "";
    let one: Ended;
    let other: Ended;
    beforeEach(async () => {
      url = await postgres.freshDatabase();
      [one, other] = await Promise.all([ended(), ended({ order: { nonce: 2n } })]);
    });

    it("refuses new tasks, spools what finishes and brings it in when the server is back", async () => {
      const journal = await open(url);
      await journal.putSession(one.session);
      await journal.openTask(one.task, one.voucher);
      await postgres.outage(async () => {
        await journal.finishTask(one.task.taskId, "finished", [one.attempt]);
        await journal.finishTask(one.task.taskId, "finished", [one.attempt]);
        expect(journal.isUp()).to.equal(false);
        expect(await codeOf(journal.openTask(other.task, other.voucher))).to.equal("journal_unavailable");
        expect(await codeOf(journal.task(one.task.taskId))).to.equal("journal_unavailable");
      });
      await until(() => journal.isUp());
      expect((await journal.task(one.task.taskId))?.attempts).to.deep.equal([one.attempt]);
      expect((await journal.session(one.session.sessionId))?.charged).to.equal(one.attempt.signed!.charge);
      await journal.openTask(other.task, other.voucher);
      await journal.close();
    });

    it("replays the spool of a process that died meanwhile, also twice, also with half a line at its end", async () => {
      const spool = spoolDir();
      const journal = await open(url, spool);
      await journal.putSession(one.session);
      await journal.openTask(one.task, one.voucher);
      await postgres.outage(async () => {
        await journal.finishTask(one.task.taskId, "finished", [one.attempt]);
        await journal.close();
      });
      const lines = readFileSync(join(spool, "spool.jsonl"), "utf8");
      for (let round = 0; round < 2; round++) {
        const again = await open(url, spool);
        expect((await again.session(one.session.sessionId))?.charged).to.equal(one.attempt.signed!.charge);
        expect(new Spool(spool).isEmpty).to.equal(true);
        await again.close();
        writeFileSync(join(spool, "spool.replay.jsonl"), lines);
        appendFileSync(join(spool, "spool.jsonl"), lines.slice(0, 50));
      }
    });

    it("counts a server that stands still as away, and brings nothing in twice when it goes on", async function () {
      if (process.platform !== "linux") this.skip();
      const journal = await open(url);
      await journal.putSession(one.session);
      await journal.openTask(one.task, one.voucher);
      const workers = readFileSync(`/proc/${postgres.pid}/task/${postgres.pid}/children`, "utf8").trim().split(" ").map(Number);
      for (const pid of [postgres.pid, ...workers]) process.kill(pid, "SIGSTOP");
      try {
        await journal.finishTask(one.task.taskId, "finished", [one.attempt]);
        expect(journal.isUp()).to.equal(false);
      } finally {
        for (const pid of [postgres.pid, ...workers]) process.kill(pid, "SIGCONT");
      }
      await until(() => journal.isUp());
      expect((await journal.session(one.session.sessionId))?.charged).to.equal(one.attempt.signed!.charge);
      await journal.close();
    });

    it("sets aside what the database refuses for good", async () => {
      const spool = spoolDir();
      mkdirSync(spool, { recursive: true });
      writeFileSync(join(spool, "spool.jsonl"), `${JSON.stringify({ version: 1, taskId: other.task.taskId, state: "failed", attempts: [] })}\n`);
      await (await open(url, spool)).close();
      expect(readFileSync(join(spool, "spool.refused.jsonl"), "utf8")).to.include(other.task.taskId);
      expect(new Spool(spool).isEmpty).to.equal(true);
    });
  });
});

async function until(holds: () => boolean | Promise<boolean>, msMax = 10_000): Promise<void> {
  const end = performance.now() + msMax;
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`did not hold within ${msMax} ms: ${holds}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}
