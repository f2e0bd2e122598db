// `tidelane node` against a real chain: a node comes, stakes, runs as a process of its own, changes its key, and leaves whole.
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { encodeFunctionData } from "viem";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { attestationFromJson, linkDigest, nodeInfoSchema } from "../../protocol/link.ts";
import { isSignedBy, recoverWithViem, signerOfKey } from "../../protocol/signing.ts";
import type { Hex } from "../../protocol/units.ts";
import { accounts, keys, startLocalChain, type LocalChain } from "../relayer/localChain.ts";
import { eventually } from "../node/engines/suite.ts";
import { TestRelayer } from "../node/testRelayer.ts";
import { ran, started, type Ran } from "./command.ts";

const W = 60;
const owner = signerOfKey(accounts.payer).address;
const NODE_ID = 3;

describe("tidelane node", function () {
  this.timeout(60_000);
  let local: LocalChain;
  let folder = "";
  const file = (name: string): string => join(folder, name);

  before(async () => {
    local = await startLocalChain(W);
    folder = mkdtempSync(join(tmpdir(), "tidelane-node-cli-"));
    writeFileSync(file("deployment.json"), JSON.stringify({ chainId: 31_337, contracts: local.addresses }));
    writeFileSync(file("owner.key"), `${accounts.payer}\n`);
    const curve = { aNs: 1_000_000, bNs: 1_000, cNs: 0, dNs: 100_000, ePs: 0 };
    writeFileSync(file("node.json"), JSON.stringify({
      slots: 2, drainSeconds: 5, models: [{ name: "test/timed@q0", priceInPerMTok: "1000", priceOutPerMTok: "2000", engine: { kind: "timed", curve, contextTokens: 500 } }],
    }));
    await local.send(accounts.deployer, local.addresses.stakeToken!, encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [owner, 500_000_000n] }));
  });
  after(async () => {
    await local?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  const place = (): string[] => ["--rpc", local.url, "--deployment", file("deployment.json"), "--json"];
  const asOwner = (): string[] => [...place(), "--key-file", file("owner.key")];
  const node = (command: string, ...args: string[]): Promise<Ran> => ran(["node", command, ...args]);
  const hotKey = (name: string): Hex => readFileSync(file(name), "utf8").trim() as Hex;

  /** The agent as a process, and what it needs. */
  const agent = (hotKeyFile: string, relayerUrl: string) => started(["node", "start"], {
    TIDELANE_NODE_ID: String(NODE_ID), TIDELANE_HOT_KEY_FILE: file(hotKeyFile), TIDELANE_RELAYERS: relayerUrl, TIDELANE_RPC_URLS: local.url,
    TIDELANE_DEPLOYMENT: file("deployment.json"), TIDELANE_NODE_CONFIG: file("node.json"), TIDELANE_DATA_DIR: file("data"), TIDELANE_LOG_LEVEL: "warn",
  });

  it("registers with a new hot key that nobody else can read, and says what stake it needs", async () => {
    const registered = await node("register", ...asOwner(), "--class", "low", "--config", file("node.json"), "--new-hot-key", file("hot.key"));
    expect(registered.json(), registered.stderr).to.deep.include({ nodeId: NODE_ID, owner, payout: owner, models: 1, stakeNeeded: "200000000" });
    expect(statSync(file("hot.key")).mode & 0o777).to.equal(0o600);
    const again = await node("register", ...asOwner(), "--class", "low", "--config", file("node.json"), "--new-hot-key", file("hot.key"));
    expect([again.exitCode, (again.json().error as { code: string }).code]).to.deep.equal([1, "file_exists"]);
  });

  it("stakes, and shows what the chain knows", async () => {
    expect((await node("stake", "200", ...asOwner(), "--node", "3")).json()).to.include({ nodeId: NODE_ID, amount: "200000000", slots: 2 });
    const status = await node("status", ...place(), "--node", "3", "--relayer-id", "1");
    expect(status.json()).to.deep.include({ owner, hardwareClass: 3, hotKey: signerOfKey(hotKey("hot.key")).address, keyEpoch: 1, live: true, slots: 2, staked: "200000000" });
    expect(status.json().tab).to.deep.equal({ relayerId: 1, earned: "0", provenEarned: "0", claimed: "0", claimable: "0" });
  });

  it("runs: dials in, proves its key, attests its slots, and ends with 0 when it is told to", async () => {
    const relayer = new TestRelayer({ signer: signerOfKey(keys.signer), domain: local.domain, relayerId: 1, nodeId: NODE_ID });
    const running = agent("hot.key", await relayer.listen());
    try {
      await eventually(() => running.output().includes("\n"), 20_000);
      expect(JSON.parse(running.output())).to.deep.equal({ ready: true, what: "node", nodeId: NODE_ID });
      await eventually(() => relayer.sessions.length === 1, 20_000);
      const hot = signerOfKey(hotKey("hot.key")).address;
      const auth = JSON.parse((await relayer.call("POST", "/auth", {})).text) as { signature: Hex };
      const link = linkDigest(local.domain, "node", { nodeId: NODE_ID, relayerId: 1, nodeNonce: relayer.nodeNonce, relayerNonce: relayer.relayerNonce });
      expect(await recoverWithViem(link, auth.signature)).to.equal(hot);
      expect(nodeInfoSchema.parse(JSON.parse((await relayer.call("GET", "/info")).text))).to.include({ nodeId: NODE_ID, engine: "timed" });
      const [line] = await once(relayer.open("GET", "/attestations"), "data") as [string];
      const { attestation, signature, offers } = attestationFromJson(JSON.parse(line));
      expect(attestation).to.include({ slots: 2, relayerId: 1, keyEpoch: 1 });
      expect(offers[0]).to.include({ slots: 2, priceInPerMTok: 1_000n, priceOutPerMTok: 2_000n });
      expect(await isSignedBy(hot, local.domain, "SaturationAttestation", attestation, signature)).to.equal(true);
      running.child.kill("SIGTERM");
      expect((await running.ended).exitCode, (await running.ended).stderr).to.equal(0);
    } finally {
      running.child.kill("SIGKILL");
      relayer.stop();
    }
  });

  it("does not run two agents on one record, nor one with another key", async () => {
    const relayer = new TestRelayer({ signer: signerOfKey(keys.signer), domain: local.domain, relayerId: 1, nodeId: NODE_ID });
    const url = await relayer.listen();
    const first = agent("hot.key", url);
    try {
      await eventually(() => first.output().includes("ready"), 20_000);
      const second = await agent("hot.key", url).ended;
      expect([second.exitCode, second.stderr]).to.satisfy(([code, stderr]: [number, string]) => code === 1 && stderr.includes("folder_in_use"));
      first.child.kill("SIGINT");
      expect((await first.ended).exitCode).to.equal(0);
    } finally {
      first.child.kill("SIGKILL");
      relayer.stop();
    }
    writeFileSync(file("other.key"), "12".repeat(32));
    const other = await agent("other.key", url).ended;
    expect([other.exitCode, other.stderr]).to.satisfy(([code, stderr]: [number, string]) => code === 1 && stderr.includes("wrong_hot_key"));
  });

  it("changes its key, unbonds, and gets its stake back after 14 windows", async () => {
    const rotated = await node("rotate-key", ...asOwner(), "--node", "3", "--new-hot-key", file("next.key"));
    expect(rotated.json()).to.include({ keyEpoch: 2, hotKey: signerOfKey(hotKey("next.key")).address });
    expect((await node("unbond", "150", ...asOwner(), "--node", "3")).json()).to.include({ amount: "150000000", slots: 0 });
    expect((await node("withdraw", ...asOwner(), "--node", "3")).json()).to.have.nested.property("error.details.reason").that.matches(/^StillUnbonding\(/);
    await local.rpc("evm_increaseTime", [14 * W + 1]);
    await local.rpc("evm_mine");
    expect((await node("withdraw", ...asOwner(), "--node", "3")).json()).to.include({ amount: "150000000", to: owner });
  });

  it("says what is missing or refused, with an exit code", async () => {
    chmodSync(file("owner.key"), 0o600);
    const cases: [Promise<Ran>, number, string][] = [
      [node("status", ...place(), "--node", "99"), 1, "node_not_registered"],
      [node("status", ...place()), 1, "invalid_id"],
      [node("stake", "5", ...place(), "--node", "3"), 1, "no_owner_key"],
      [node("stake", "1.2345678", ...asOwner(), "--node", "3"), 1, "invalid_amount"],
      [node("stake", "999999999", ...asOwner(), "--node", "3"), 1, "transaction_reverted"],
      [node("claim", ...asOwner(), "--node", "3", "--relayer-id", "1"), 2, "nothing_matured"],
      [node("register", ...asOwner(), "--class", "huge", "--config", file("node.json")), 1, "invalid_class"],
      [node("register", ...asOwner(), "--class", "low", "--config", file("node.json")), 1, "no_hot_key"],
      [node("rotate-key", ...asOwner(), "--node", "1", "--hot-key-file", file("other.key")), 1, "transaction_reverted"],
      [node("force", ...place(), "--node", "3", "--relayer-id", "1"), 1, "no_evidence"],
      [node("force", ...place(), "--node", "3", "--relayer-id", "1", "--evidence", file("data"), "--open", "--receipt", `0x${"11".repeat(32)}`), 1, "receipt_unknown"],
      [node("status", "--rpc", "http://127.0.0.1:1", ...place().slice(2), "--node", "3"), 2, "chain_unreachable"],
    ];
    for (const [running, exitCode, code] of cases) {
      const one = await running;
      expect([one.exitCode, (one.json().error as { code: string }).code], one.stdout + one.stderr).to.deep.equal([exitCode, code]);
    }
  });
});
