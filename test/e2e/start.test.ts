// `npm start` as a person runs it: once with JSON, again on the same folder, Ctrl-C, and everything that can be wrong with the place.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { until } from "./network.ts";

const root = join(import.meta.dirname, "../..");

interface Run {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly code: Promise<number | null>;
}

function run(script: string, args: readonly string[]): Run {
  const child = spawn(process.execPath, [join(root, "bootstrap.mjs"), script, ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let [stdout, stderr] = ["", ""];
  child.stdout!.on("data", (chunk: Buffer) => { stdout += chunk.toString(); });
  child.stderr!.on("data", (chunk: Buffer) => { stderr += chunk.toString(); });
  return { child, stdout: () => stdout, stderr: () => stderr, code: new Promise((done) => child.once("close", done)) };
}

/** Processes that work in a folder, by their arguments and their environment. */
function processesIn(directory: string): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid).flatMap((pid) => {
    try {
      const [command, environment] = [readFileSync(`/proc/${pid}/cmdline`, "utf8"), readFileSync(`/proc/${pid}/environ`, "utf8")];
      return command.includes(directory) || environment.includes(directory) ? [command.replaceAll("\0", " ")] : [];
    } catch {
      return [];
    }
  });
}

describe("npm start", function () {
  this.timeout(150_000);
  const directory = mkdtempSync(join(tmpdir(), "tidelane-start-"));
  const place = ["--port", "0", "--data-dir", directory];
  let firstTask = "";
  after(() => { rmSync(directory, { recursive: true, force: true }); });

  it("--once --json: asks, settles, verifies, prints one object on the last line, leaves nothing", async () => {
    const start = run("cli/start.ts", ["--once", "--json", ...place]);
    expect(await start.code, start.stderr()).to.equal(0);
    const report = JSON.parse(start.stdout().trim().split("\n").at(-1)!) as Record<string, unknown>;
    expect(report).to.have.all.keys("taskId", "node", "inputTokens", "outputTokens", "fee", "charge", "batchId", "block", "gasUsed", "verified", "firstTokenMs", "readyMs");
    expect(report.verified).to.equal(true);
    expect(report.taskId).to.match(/^0x[0-9a-f]{64}$/);
    for (const amount of ["fee", "charge"]) expect(report[amount]).to.match(/^[1-9]\d*$/);
    for (const number of ["node", "inputTokens", "outputTokens", "block", "gasUsed", "firstTokenMs", "readyMs"]) expect(report[number]).to.be.a("number").greaterThan(0);
    firstTask = report.taskId as string;
    if (process.platform === "linux") expect(processesIn(directory)).to.deep.equal([]);
  });

  it("again: the same chain and database; yesterday's receipt verifies; Ctrl-C leaves nothing", async () => {
    const start = run("cli/start.ts", place);
    try {
      await until("the network is up", () => start.stderr().includes("The network is up") || start.child.exitCode !== null, 90_000);
      expect(start.stderr()).to.include("The network is up");
      const verify = run("cli/main.ts", ["audit", "verify", firstTask, "--data-dir", directory, "--json"]);
      expect(await verify.code, verify.stderr()).to.equal(0);
      expect(JSON.parse(verify.stdout().trim().split("\n").at(-1)!)).to.include({ verified: true, taskId: firstTask });

      const second = run("cli/start.ts", ["--once", ...place]);
      expect(await second.code).to.equal(1);
      expect(second.stderr()).to.include("runs in").and.include("already");
    } finally {
      // Ctrl-C in a terminal goes to the whole group.
      process.kill(-start.child.pid!, "SIGINT");
    }
    expect(await start.code, start.stderr()).to.equal(0);
    if (process.platform === "linux") expect(processesIn(directory)).to.deep.equal([]);
  });

  it("says which port is in use, and leaves nothing", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((ready) => server.once("listening", ready));
    const { port } = server.address() as { port: number };
    const start = run("cli/start.ts", ["--once", "--port", String(port), "--data-dir", directory]);
    expect(await start.code).to.equal(1);
    expect(start.stderr()).to.include(`port ${port} is in use`);
    server.close();
    if (process.platform === "linux") expect(processesIn(directory)).to.deep.equal([]);
  });

  it("refuses a data directory of another version", async () => {
    const other = mkdtempSync(join(tmpdir(), "tidelane-old-"));
    writeFileSync(join(other, "layout.json"), '{"layout":0}');
    const start = run("cli/start.ts", ["--once", "--port", "0", "--data-dir", other]);
    expect(await start.code).to.equal(1);
    expect(start.stderr()).to.include("layout version 0").and.include("reads version 1");
    rmSync(other, { recursive: true });
  });

  it("says when the chain is older than the database", async () => {
    rmSync(join(directory, "chain"), { recursive: true });
    const start = run("cli/start.ts", ["--once", ...place]);
    expect(await start.code).to.equal(1);
    expect(start.stderr()).to.match(/older than the database|chain is older/i);
    if (process.platform === "linux") expect(processesIn(directory)).to.deep.equal([]);
  });

  it("refuses options that it does not know", async () => {
    const start = run("cli/start.ts", ["--twice"]);
    expect(await start.code).to.equal(1);
    expect(start.stderr()).to.include("--twice");
  });
});
