// Each offence is committed on a real chain by a relayer or a node built for it, found by the watcher from what is public, proven,
// and paid for with a bond. Beside them an honest relayer lives through everything that can happen, and nothing is said about it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { encodeFunctionData } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { watchRelayers } from "../../auditor/main.ts";
import { evidenceFromJson } from "../../auditor/watch/evidenceFile.ts";
import type { WatchReport } from "../../auditor/work/watcher.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import type { Hex } from "../../protocol/units.ts";
import { ran } from "../cli/command.ts";
import { accounts } from "../relayer/localChain.ts";
import { liveHonestly, type Honest } from "./fraudHonest.ts";
import { acts, forceFirst, withheldAndShown, type HandedIn, type Scene } from "./fraudScenes.ts";
import { BOND, FraudWorld, STAKE } from "./fraudWorld.ts";

const WINDOW_SECONDS = 3_600;
/** The sixth account of the test mnemonic: public, never for real money. */
const WATCHER: Hex = "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba";

describe("the watcher", function () {
  this.timeout(180_000);
  const handedIn: HandedIn = { format: "tidelane-evidence/1", attestations: [], refusals: [], assignments: [] };
  const scenes: Scene[] = [];
  let world: FraudWorld;
  let folder: string;
  let miner: NodeJS.Timeout;
  let report: WatchReport;
  let honest: Honest;
  let shown: Awaited<ReturnType<typeof withheldAndShown>>;

  const watch = (): Promise<WatchReport> => watchRelayers({
    folder: join(folder, "archive"), limits: { keepDays: 100, bytesMax: 2 ** 30 }, evidence: [evidenceFromJson(JSON.parse(readFileSync(join(folder, "evidence.json"), "utf8")))],
    options: { relayerId: null, relayerUrl: null, fromBlock: 0n, confirmations: 0, readHeaders: true, graceSeconds: 0, challengesMax: 1, bondsLostMax: 3, isDryRun: false },
    senderKey: WATCHER, everyMs: null, signal: new AbortController().signal, say: () => {},
  }, { rpcUrls: [world.local.url], chainId: 31_337, contracts: world.local.addresses });

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "tidelane-fraud-"));
    world = await FraudWorld.start(WINDOW_SECONDS);
    await world.local.send(accounts.deployer, world.at("payToken"), encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [privateKeyToAccount(WATCHER).address, 10_000_000n] }));
    const node = await world.node();
    const payAgain = await forceFirst(world, node, WINDOW_SECONDS);
    for (const act of acts) scenes.push(await act(world, node, handedIn));
    scenes.push(await payAgain());
    shown = await withheldAndShown(world, node);
    honest = await liveHonestly(world, handedIn);
    writeFileSync(join(folder, "evidence.json"), JSON.stringify(handedIn));
    // The chain mines a block for each transaction only; announcements ripen with blocks.
    miner = setInterval(() => void world.local.rpc("evm_mine").catch(() => undefined), 200);
    report = await watch();
  });
  after(async () => {
    clearInterval(miner);
    await world?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const proofs = [
    "proveSaturationEquivocation", "proveReceiptEquivocation", "proveFalseRefusal", "proveInvalidLeaf", "proveWrongChange", "proveTaskAboveMaxFee", "proveBadSum",
    "proveTaskInTwoBatches", "proveSecondInput", "proveDisorder", "proveHeaderEquivocation", "proveDoubleAssignment", "proveSharesAboveMaxFee", "proveAsymmetry",
    "proveBadBoardLeaf", "proveStaleBoardLeaf", "proveOmittedBoardLeaf", "proveWrongPool", "provePaidAfterForce",
  ] as const;
  for (const functionName of proofs) {
    it(`has ${functionName} paid for`, async () => {
      const scene = scenes.find((one) => one.functionName === functionName)!;
      const proven = report.cases.filter((one) => one.party === scene.party && one.offender === scene.actor.id);
      expect(proven.map((one) => one.functionName)).to.include(functionName);
      expect(new Set(proven.map((one) => one.status))).to.deep.equal(new Set(["proven"]));
      expect(scene.left).to.include(await world.bondOf(scene.party, scene.actor.id));
    });
  }

  it("says nothing about an honest relayer and its nodes, whatever happened to them", async () => {
    const journal = readFileSync(join(folder, "archive", "journal.jsonl"), "utf8");
    const told = journal.trim().split("\n").map((line) => JSON.parse(line) as { party?: string; offender?: number; detail?: string; what: string });
    expect(told.filter((one) => (one.party === "relayer" ? one.offender === honest.relayer.id : honest.nodes.some(({ id }) => one.party === "node" && one.offender === id)))).to.deep.equal([]);
    // What was brought before a judge in vain is told too: of anybody, there is nothing.
    expect(told.filter((one) => one.what === "not upheld" || one.what === "unshown" || one.what === "refused")).to.deep.equal([]);
    expect(await world.bondOf("relayer", honest.relayer.id)).to.equal(BOND);
    for (const { id } of honest.nodes) expect(await world.bondOf("node", id)).to.equal(STAKE);
  });

  it("demands what is withheld, and after W has the batch condemned and voided, as another process that goes on from the folder", async () => {
    const scene = scenes.find((one) => one.functionName === "challengeData")!;
    expect(report.cases.filter((one) => one.offender === scene.actor.id).map(({ offence, status }) => ({ offence, status }))).to.deep.equal([{ offence: "F9", status: "challenged" }]);
    expect(await world.bondOf("relayer", scene.actor.id)).to.equal(BOND);
    await shown.answer();
    await world.pass(WINDOW_SECONDS + 1);
    const deployment = join(folder, "deployment.json");
    writeFileSync(deployment, JSON.stringify({ chainId: 31_337, contracts: world.local.addresses }));
    const again = await ran(
      ["audit", "watch", "--once", "--json", "--deployment", deployment, "--rpc", world.local.url, "--archive", join(folder, "archive"), "--evidence", join(folder, "evidence.json")],
      { TIDELANE_WATCHER_KEY: WATCHER },
    );
    expect(again.exitCode).to.equal(1);
    const { findings } = again.json() as { findings: { offence: string; offender: number; party: string; status: string; transaction: string }[] };
    expect(findings.find((one) => one.offence === "F9" && one.offender === scene.actor.id)?.status).to.equal("condemned");
    expect(await world.bondOf("relayer", scene.actor.id)).to.equal(0n);
    // What the other relayer showed when it was asked is checked like anything else.
    const { actor, left } = shown.scene;
    expect(findings.filter((one) => one.offender === actor.id && one.party === "relayer").map(({ offence, status }) => `${offence} ${status}`)).to.deep.equal(["F9 answered", "F4 proven"]);
    expect(left).to.include(await world.bondOf("relayer", actor.id));
    // Nothing was sent twice: every other case stands as it did.
    expect(report.cases.filter(({ offence, transaction }, i) => offence !== "F9" && findings[i]!.transaction !== transaction)).to.deep.equal([]);
    const journal = readFileSync(join(folder, "archive", "journal.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line) as { what: string; relayerId?: number; reason?: string | null });
    expect(journal.filter((one) => one.what === "voided" && one.relayerId === scene.actor.id).map(({ reason }) => reason)).to.deep.equal([null, null]);
  });
});
