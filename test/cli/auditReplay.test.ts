import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { FIRST, ReplayWorld } from "../auditor/replay/world.ts";
import { boardChain, contracts, publishing, type Served } from "../auditor/replayChain.ts";
import { ran } from "./command.ts";
import type { Evidence } from "../../auditor/replay/evidence.ts";

describe("tidelane audit replay", function () {
  this.timeout(30_000);
  let world: ReplayWorld;
  let change: Partial<Evidence>;
  let relayer: Served;
  let chain: Served;
  let folder: string;
  let flags: string[];

  beforeEach(async () => {
    world = new ReplayWorld();
    change = {};
    await world.join(3);
    await world.serve();
    const all = (): Evidence => world.evidence(undefined, change);
    [relayer, chain] = [await publishing(all, world.records), await boardChain(all)];
    folder = mkdtempSync(join(tmpdir(), "tidelane-replay-"));
    const deployment = join(folder, "deployment.json");
    writeFileSync(deployment, JSON.stringify({ chainId: 31_337, contracts, block: 0 }));
    flags = ["--rpc", chain.url, "--deployment", deployment, "--relayer", relayer.url];
  });
  afterEach(() => {
    relayer.stop();
    chain.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("verifies an honest relayer: exit 0, for people and for programs", async () => {
    await world.endEpoch(3);
    const [words, json] = await Promise.all([ran(["audit", "replay", "--epoch", String(FIRST), ...flags]), ran(["audit", "replay", "--batch", "1", ...flags, "--json"])]);
    expect(words.exitCode, words.stderr).to.equal(0);
    expect(words.stdout).to.include("1 of 1 made again").and.include("Verified: every decision comes out the same.");
    expect(json.exitCode).to.equal(0);
    expect(json.json()).to.deep.include({ verdict: "verified", verified: true, batchId: "1", decisions: 1, recomputed: 1, findings: [], unchecked: [] });
  });

  it("names what differs: exit 1", async () => {
    world.lie = (decision) => ({ ...decision, temperatureUs: 7, draw: `0x${"77".repeat(32)}` });
    await world.serve();
    world.skipNonce();
    await world.serve();
    await world.endEpoch(3);
    const wrong = await ran(["audit", "replay", "--epoch", String(FIRST), ...flags]);
    expect(wrong.exitCode).to.equal(1);
    expect(wrong.stdout).to.match(/WRONG {2}draw in batch 1, task 0x[0-9a-f]{64}, attempt 0: the draw does not come from epoch/).and.match(/WRONG {2}decision .*temperatureUs: 7, \d+/);
    expect(wrong.stdout).to.match(/left {3}nonce: .*nonce 2 is missing before 3/).and.include("did not decide as it had to");
    const json = (await ran(["audit", "replay", ...flags, "--json"])).json() as { verdict: string; findings: { kind: string; batchId: string }[] };
    expect([json.verdict, json.findings[0]!.batchId]).to.deep.equal(["wrong", "1"]);
  });

  it("says what cannot be checked yet: exit 2", async () => {
    await world.endEpoch(3);
    change = { seedChains: world.seedChains(FIRST - 1) };
    const unrevealed = await ran(["audit", "replay", "--epoch", String(FIRST), ...flags]);
    expect(unrevealed.exitCode).to.equal(2);
    expect(unrevealed.stdout).to.include(`the seed of epoch ${FIRST} is not revealed yet`).and.include("Nothing is wrong so far");
    const later = await ran(["audit", "replay", "--batch", "9", ...flags, "--json"]);
    expect([later.exitCode, (later.json().error as { code: string }).code]).to.deep.equal([2, "not_settled"]);
  });

  it("refuses what is no number, and both at once: exit 64", async () => {
    const wrong = await Promise.all([["--epoch", "last"], ["--batch", "-1"], ["--epoch", "1", "--batch", "1"]].map((args) => ran(["audit", "replay", ...args, ...flags])));
    expect(wrong.map((one) => one.exitCode)).to.deep.equal([64, 64, 64]);
    expect(wrong[2]!.stderr).to.include("not both");
  });
});
