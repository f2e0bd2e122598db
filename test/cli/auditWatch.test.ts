import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { startLocalChain, type LocalChain } from "../relayer/localChain.ts";
import { ran } from "./command.ts";

describe("tidelane audit watch", function () {
  this.timeout(60_000);
  let local: LocalChain;
  let folder: string;
  let flags: string[];

  before(async () => {
    local = await startLocalChain();
    folder = mkdtempSync(join(tmpdir(), "tidelane-watch-"));
    writeFileSync(join(folder, "deployment.json"), JSON.stringify({ chainId: 31_337, contracts: local.addresses }));
    flags = ["audit", "watch", "--once", "--rpc", local.url, "--deployment", join(folder, "deployment.json"), "--archive", join(folder, "archive")];
  });
  after(async () => {
    await local?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const code = (json: Record<string, unknown>): string => (json as { error: { code: string } }).error.code;

  it("finds nothing where nothing happened, needs no key, and goes on from where it stopped: exit 0", async () => {
    const first = await ran([...flags, "--json"]);
    expect(first.exitCode, first.stderr).to.equal(0);
    const { blockNumber, ...rest } = first.json();
    expect(Number(blockNumber)).to.be.above(10);
    expect(rest).to.deep.equal({ chainId: 31_337, isCaughtUp: true, checked: { batches: 0, boards: 0 }, waiting: { batches: 0, boards: 0 }, findings: [] });
    await local.rpc("evm_mine");
    const again = await ran(flags);
    expect(again.exitCode).to.equal(0);
    expect(again.stdout).to.include(`up to block ${Number(blockNumber) + 1}`).and.include("Nothing wrong was found.");
  });

  it("refuses what it cannot work with, each by its code", async () => {
    const file = (name: string, text: string): string => (writeFileSync(join(folder, name), text), join(folder, name));
    const foreign = file("foreign.json", JSON.stringify({ chainId: 31_337, contracts: { ...local.addresses, FraudProofs: undefined } }));
    const wrongChain = file("wrongChain.json", JSON.stringify({ chainId: 5, contracts: local.addresses }));
    const cases: readonly [string, string[], Record<string, string>][] = [
      ["invalid_watcher_key", flags, { TIDELANE_WATCHER_KEY: "0x12" }], ["invalid_value", [...flags, "--evidence", file("other.json", "{}")], {}],
      ["incomplete_deployment", [...flags.slice(0, 6), foreign, ...flags.slice(7)], {}], ["wrong_chain", [...flags.slice(0, 6), wrongChain, ...flags.slice(7)], {}],
    ];
    await Promise.all(cases.map(async ([expected, args, env]) => {
      const { exitCode, json } = await ran([...args, "--json"], env);
      expect(code(json())).to.equal(expected);
      expect(exitCode, expected).to.be.oneOf([1, 2]);
    }));
    expect((await ran([...flags, "--every", "soon"])).exitCode).to.equal(64);
  });

  it("leaves another deployment's folder alone", async () => {
    const path = join(folder, "archive", "state.json");
    const state = readFileSync(path, "utf8");
    writeFileSync(path, state.replace('"chainId":31337', '"chainId":8453'));
    expect(code((await ran([...flags, "--json"])).json())).to.equal("foreign_archive");
    writeFileSync(path, state);
  });
});
