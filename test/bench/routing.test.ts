// The command itself: any trace and fleet by path, the JSON that it promises, the same bytes for a seed, and bad input by name.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { POLICIES } from "../../bench/sim/policies.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const command = (...args: string[]): Promise<Outcome> => new Promise((done) => {
  execFile(process.execPath, ["bench/routing.ts", ...args], { cwd: root, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
    done({ code: error ? Number(error.code) : 0, stdout, stderr });
  });
});

describe("bench:routing", function () {
  this.timeout(60_000);
  let folder = "";
  let [trace, fleet] = ["", ""];

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "tidelane-bench-"));
    trace = join(folder, "mine.csv.gz");
    fleet = join(folder, "two.json");
    const rows = Array.from({ length: 400 }, (_, i) => `${i * 500},${100 + ((i * 37) % 900)},${10 + ((i * 53) % 90)},${i % 40}`);
    writeFileSync(trace, gzipSync(`arrival_ms,input_tokens,output_tokens,session_id\n${rows.join("\n")}\n`));
    writeFileSync(join(folder, "torn.csv.gz"), "no gzip at all");
    writeFileSync(join(folder, "blocks.csv"), "arrival_ms,input_tokens,output_tokens,session_id,hash_blocks_512\n0,2000,5,1,1 x 3\n");
    writeFileSync(join(folder, "slow.json"), JSON.stringify({ nodes: [{ profile: "slow" }], profiles: { slow: { a: 500, b: 1, e: 0, c: 0, d: 0, kvTokens: 1_000, batchLimit: 4 } } }));
    writeFileSync(fleet, JSON.stringify({ nodes: [{ profile: "4090" }, { profile: "3060" }] }));
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it("writes the report that it promises, with every policy, and the same bytes again", async () => {
    const run = (): Promise<Outcome> => command("--trace", trace, "--fleet", fleet, "--load", "1.5", "--policies", "all", "--seed", "7", "--json", join(folder, "out.json"));
    const first = await run();
    expect(first.code, first.stderr).to.equal(0);
    const text = readFileSync(join(folder, "out.json"), "utf8");
    const report = JSON.parse(text);
    expect(report).to.include({ trace: "mine", fleet: "two", load: 1.5, seed: 7, excluded: 0 });
    expect(report.copies).to.be.closeTo(1.5 * report.capacityCopies, 1e-9);
    expect(Object.keys(report.targets)).to.have.members(["ttftRule", "ttftMsP50", "ttftMsP99", "tpotMs"]);
    expect(report.bounds.B1.goodput).to.be.within(report.bounds.B2.goodput, 1);
    expect(Object.keys(report.policies)).to.deep.equal(POLICIES.map((policy) => policy.name));
    for (const one of Object.values(report.policies) as Record<string, unknown>[]) {
      expect(one).to.include.keys(
        "offered", "good", "goodput", "goodputByQuartile", "usefulWork", "refused", "completedEventually", "ttftMsP50", "ttftMsP99", "tpotMsP50", "tpotMsP99", "busiestOverMean", "fairnessJain",
      );
    }
    expect(first.stderr).to.contain(`${POLICIES.length}/${POLICIES.length}`);
    await run();
    expect(readFileSync(join(folder, "out.json"), "utf8")).to.equal(text);
  });

  it("prints JSON alone on standard output when asked to", async () => {
    const { stdout } = await command("--trace", trace, "--fleet", fleet, "--load", "0.5", "--policies", "tidelane", "--json", "-");
    expect(JSON.parse(stdout).policies.tidelane.goodput).to.be.above(0.98);
  });

  it("makes a report of several loads and seeds, tables and charts, on two threads as on one", async () => {
    const args = ["--report", "--traces", trace, "--fleet", fleet, "--loads", "0.5,1,2", "--seeds", "1,2", "--policies", "tidelane,mooncake"];
    const two = await command(...args, "--threads", "2", "--out", join(folder, "written"), "--json", "-");
    const one = await command(...args, "--threads", "1", "--out", join(folder, "one"), "--json", "-");
    expect(two.code, two.stderr).to.equal(0);
    expect(JSON.parse(two.stdout)).to.deep.equal(JSON.parse(one.stdout));
    const page = readFileSync(join(folder, "written", "routing.md"), "utf8");
    expect(page).to.contain("### 0.5 x capacity").and.to.contain("| **tidelane** |").and.to.contain("routing-mine-goodput.svg");
    expect(page).to.match(/\| TTFT p99 \/ best peer's \| 0.5 x capacity \| [\d.]+, [\d.]+ \| at most 1.100 \| (kept|\*\*missed\*\* by \d of 2) \|/);
    expect(page).to.match(/\| worst quartile \/ peer's \| 2 x capacity, mooncake \| [\d.]+, [\d.]+ \| at least 1.250 \|/);
    expect(page).not.to.contain("goodput / best without admission");
    expect(page).not.to.contain(join(folder, "written"));
  });

  for (const [what, args, told] of [
    ["a trace that is torn", ["--trace", "torn.csv.gz"], "torn.csv.gz"], ["blocks that are no numbers", ["--trace", "blocks.csv"], "line 2, hash_blocks_512"],
    ["a folder for a trace", ["--trace", "."], "--trace"], ["a folder for a fleet", ["--fleet", "."], "--fleet"],
    ["a fleet that is too slow for anything", ["--fleet", "slow.json"], "fleet"],
  ] as const) {
    it(`${what}: one line that names it, exit code 2`, async () => {
      const { code, stderr } = await command(args[0], join(folder, args[1]));
      expect(code).to.equal(2);
      expect(stderr).to.contain(told);
      expect(stderr).not.to.contain("    at ");
    });
  }

  for (const [what, args, told] of [
    ["an unknown option", ["--nonsense"], "--nonsense"], ["a load of nothing", ["--load", "0"], "--load"], ["a load of text", ["--load", "much"], "--load"],
    ["half a seed", ["--seed", "1.5"], "--seed"], ["no such trace", ["--trace", "/nowhere.csv"], "--trace"], ["no such fleet", ["--fleet", "/nowhere.json"], "--fleet"],
    ["an unknown policy", ["--policies", "best"], "best"], ["a place for the result that is none", ["--json", "/nowhere/out.json"], "--json"],
  ] as const) {
    it(`${what}: one line that names it, exit code 2`, async () => {
      const { code, stdout, stderr } = await command(...args);
      expect(code).to.equal(2);
      expect(stdout).to.equal("");
      expect(stderr).to.contain(told);
      expect(stderr).not.to.contain("    at ");
    });
  }
});
