// The promises as a command: figures with bounds, kept between runs, and what the comparisons at the ebb are made of.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { MEASUREMENTS, measurementsOf } from "../../bench/sim/measures/all.ts";
import { badNodes, Taken } from "../../bench/sim/measures/attackers.ts";
import { compared } from "../../bench/sim/measures/ebb.ts";
import { announcementError } from "../../bench/sim/measures/waiters.ts";
import { flatOf, peersOf } from "../../bench/sim/measures/surge.ts";
import { atLeast, atMost } from "../../bench/sim/measures/measure.ts";
import { REFERENCE_FLEET } from "../../bench/sim/profiles.ts";
import type { ExperimentReport } from "../../bench/sim/experiment.ts";
import type { Job } from "../../bench/sim/job.ts";
import type { PolicyReport } from "../../bench/sim/score.ts";
import type { Trace } from "../../bench/sim/trace.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const command = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> => new Promise((done) => {
  execFile(process.execPath, ["bench/measures.ts", ...args], { cwd: root, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => done({ code: error ? Number(error.code) : 0, stdout, stderr }));
});
const report = (goodput: number, ttftMsP99: number | null, busiestOverMean: number): PolicyReport => ({
  offered: 100, good: goodput * 100, goodput, goodputByQuartile: [goodput, goodput, goodput, goodput], usefulWork: 1, refused: 0, completedEventually: 100, failed: 0,
  ttftMsP50: 1, ttftMsP99, tpotMsP50: 1, tpotMsP99: 1, busiestOverMean, fairnessJain: 1, preemptions: 0,
});

describe("measures", function () {
  this.timeout(60_000);

  it("pass at their bound, and fail beyond it or where there is no number", () => {
    expect([atLeast("x", "", 2, 2).pass, atLeast("x", "", 1.99, 2).pass, atLeast("x", "", NaN, 2).pass]).to.deep.equal([true, false, false]);
    expect([atMost("x", "", 2, 2).pass, atMost("x", "", 2.01, 2).pass, atMost("x", "", Infinity, 2)]).to.deep.equal([true, false, { name: "x", at: "", value: null, bound: 2, sense: "at most", pass: false }]);
  });

  it("at the ebb compare with the quickest of those who serve as many, and with the most even of the quick", () => {
    const [ttft, busiest] = compared(report(1, 1_100, 2), [report(0.995, 1_000, 1.9), report(1, 1_400, 1.5), report(1, 1_600, 1), report(0.9, 10, 1)], "");
    expect(ttft).to.include({ value: 1.1, pass: true });
    expect(busiest!.value).to.be.closeTo(2 / 1.5, 1e-9);
    expect(busiest!.pass).to.equal(false);
    // Nobody serves as many, or everybody refuses more than one in a hundred: there is nothing to be behind, and no promise kept by it.
    for (const peer of [report(0.5, 10, 1), report(1, null, 1)]) expect(compared(report(1, 500, 2), [peer], "")[0]).to.include({ value: null, bound: null, pass: null });
    expect(compared(report(1, 500, 2), [report(0.5, 10, 1)], "")[1]).to.include({ value: null, pass: null });
    expect(compared(report(1, null, 2), [report(1, 700, 2)], "")[0]!.pass).to.equal(false);
  });

  it("of a surge are judged from reports: the flat against what came before, peers strictly, and loosely where prefixes are shared", () => {
    const at = (load: number, policies: Record<string, PolicyReport>, hasPrefixes = false): ExperimentReport => ({
      trace: "t", fleet: "f", nodes: 1, load, copies: load, capacityCopies: 1, seed: 1, attestationAgeMs: 500, hasPrefixes, targets: { ttftRule: "", ttftMsP50: 1, ttftMsP99: 1, tpotMs: 100 },
      excluded: 0, bounds: { B1: { goodput: 1, usefulWork: 2 }, B2: { goodput: 1, usefulWork: 1 } }, policies,
    });
    const works = (usefulWork: number, goodputs = [0.5, 0.5, 0.5, 0.5]): PolicyReport => ({ ...report(0.5, 1, 1), usefulWork, goodputByQuartile: goodputs });
    const flat = flatOf([at(1, { tidelane: works(100) }), at(1.5, { tidelane: works(97) }), at(2, { tidelane: works(96, [0.6, 0.6, 0.5, 0.32]) })]);
    expect(flat.map((one) => one.pass)).to.deep.equal([true, true, false, false]);
    // The peer serves its worst quartile as well, and does 4 % more work.
    const [ours, peer] = [works(0.96), works(1)];
    expect(peersOf(at(1.5, { tidelane: ours, mooncake: peer })).map(({ pass }) => pass)).to.deep.equal([false, true, true, null]);
    expect(peersOf(at(1.5, { tidelane: ours, mooncake: peer }, true)).map(({ pass }) => pass)).to.deep.equal([true, true, null, null]);
    expect(peersOf(at(1.5, { tidelane: works(0.94), mooncake: peer }, true)).map(({ pass }) => pass)).to.deep.equal([true, false, null, null]);
    expect(peersOf(at(2, { tidelane: ours, random: report(0.21, 1, 1) }))[0]).to.include({ name: "goodput / best without admission", pass: false });
    expect(peersOf(at(3, { tidelane: ours, mooncake: peer }))).to.deep.equal([]);
  });

  it("a tenth of each class is dishonest, rounded up, and the same for a seed", () => {
    const bad = (seed: number): number[] => [...badNodes({ trace: {} as Trace, fleet: REFERENCE_FLEET, seed })].sort((one, other) => one - other);
    const classes = bad(1).map((node) => REFERENCE_FLEET.nodes[node]!.hardwareClass);
    expect(["HIGH", "MID", "LOW"].map((name) => classes.filter((one) => one === name).length)).to.deep.equal([1, 4, 3]);
    expect(bad(1)).to.deep.equal(bad(1)).and.not.to.deep.equal(bad(2));
  });

  it("count what a dishonest node takes where it is sent, whether it comes back or not, in the second minute", () => {
    const taken = new Taken(new Set([1]));
    const job = { inputTokens: 100, outputTokens: 50 } as Job;
    for (const [node, nowMs] of [[0, 60_000], [1, 60_000], [0, 61_000], [0, 119_999], [1, 59_999], [1, 120_000]] as const) taken.sent(job, node, nowMs);
    expect(taken.share).to.equal(1 / 4);
  });

  it("count who was told nothing, or never started, as announced wrongly without limit", () => {
    const errorOf = (announcedStartMs: number, sentMs: number): number => announcementError({ arrivalMs: 0, announcedStartMs, sentMs } as Job);
    expect([errorOf(4_000, 5_000), errorOf(-1, 5_000), errorOf(4_000, -1)]).to.deep.equal([0.2, Infinity, Infinity]);
  });

  it("are known by name", () => {
    expect(measurementsOf("all")).to.equal(MEASUREMENTS);
    expect(MEASUREMENTS.map((one) => one.name)).to.have.members(["flat", "peers", "gap", "ebb", "waiters", "fairness", "herd", "attackers", "lanes"]);
    expect(() => measurementsOf("flat,nonsense")).to.throw("nonsense");
  });

  it("are printed as one line of JSON for a trace and a fleet by path", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tidelane-measures-"));
    try {
      const rows = Array.from({ length: 300 }, (_, i) => `${i * 500},${100 + ((i * 37) % 900)},${10 + ((i * 53) % 90)}`);
      writeFileSync(join(folder, "mine.csv"), `arrival_ms,input_tokens,output_tokens\n${rows.join("\n")}\n`);
      writeFileSync(join(folder, "two.json"), JSON.stringify({ nodes: [{ profile: "3060" }, { profile: "3070" }] }));
      const args = ["--measures", "waiters,fairness", "--traces", join(folder, "mine.csv"), "--fleet", join(folder, "two.json"), "--keep", join(folder, "kept"), "--out", join(folder, "page"), "--json"];
      const { code, stdout, stderr } = await command(...args);
      expect(code, stderr).to.equal(0);
      const { cells, failed } = JSON.parse(stdout) as { failed: number; cells: { measurement: string; measures: { value: number; bound: number; pass: boolean | null }[] }[] };
      expect(cells.map((cell) => cell.measurement)).to.deep.equal(["waiters", "fairness"]);
      expect(cells[0]!.measures[0]).to.include({ name: "completed / offered", value: 1, bound: 1, pass: true });
      expect(stderr).to.contain("2/2");
      const page = readFileSync(join(folder, "page", "measures.md"), "utf8");
      expect(page).to.contain("| mine.csv, 1 | completed / offered | 2 x capacity | 1 | at least 1 | kept |").and.to.contain("## fairness");
      expect(page).not.to.contain(join(folder, "page"));
      // Two weak nodes keep not all that is promised of the reference fleet.
      expect(failed).to.be.greaterThan(0);
      expect((await command(...args, "--missed-max", String(failed))).code).to.equal(0);
      expect((await command(...args, "--missed-max", String(failed - 1))).code).to.equal(1);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("name what is asked for wrongly", async () => {
    const { code, stderr } = await command("--measures", "nonsense");
    expect([code, stderr.includes("nonsense"), stderr.includes("    at ")]).to.deep.equal([2, true, false]);
  });
});
