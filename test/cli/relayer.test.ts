// `tidelane relayer` against a real chain: a relayer comes, bonds, changes its key, and leaves whole.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { encodeFunctionData } from "viem";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { signerOfKey } from "../../protocol/signing.ts";
import type { Hex } from "../../protocol/units.ts";
import { accounts, startLocalChain, type LocalChain } from "../relayer/localChain.ts";
import { ran, type Ran } from "./command.ts";

const W = 60;
const signerKey: Hex = `0x${"61".repeat(32)}`;
const nextSignerKey: Hex = `0x${"62".repeat(32)}`;
const owner = signerOfKey(accounts.payer).address;
const poster = signerOfKey(accounts.poster).address;

describe("tidelane relayer", function () {
  this.timeout(60_000);
  let local: LocalChain;
  let folder = "";

  before(async () => {
    local = await startLocalChain(W);
    folder = mkdtempSync(join(tmpdir(), "tidelane-relayer-"));
    writeFileSync(join(folder, "deployment.json"), JSON.stringify({ chainId: 31_337, contracts: local.addresses }));
    writeFileSync(join(folder, "owner.key"), `${accounts.payer}\n`);
    writeFileSync(join(folder, "next.key"), nextSignerKey);
    await local.send(accounts.deployer, local.addresses.payToken!, encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [owner, 500_000_000n] }));
  });
  after(async () => {
    await local?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  const place = (): string[] => ["--rpc", local.url, "--deployment", join(folder, "deployment.json"), "--json"];
  const asOwner = (): string[] => [...place(), "--key-file", join(folder, "owner.key")];
  const relayer = (command: string, ...args: string[]): Promise<Ran> => ran(["relayer", command, ...args], { TIDELANE_SIGNER_KEY: signerKey });

  it("registers, bonds, changes its key, and gets its bond back after 21 windows", async () => {
    const registered = await relayer("register", ...asOwner(), "--poster", poster, "--fee-bps", "250", "--endpoint", "https://relay.example");
    expect(registered.json(), registered.stderr).to.deep.include({ relayerId: 2, owner, poster, feeBps: 250 });
    const bonded = await relayer("bond", "200.5", ...asOwner(), "--relayer-id", "2");
    expect(bonded.json()).to.deep.include({ amount: "200500000", bond: "200500000", debitCapacity: "1002500000" });
    const rotated = await relayer("rotate-key", ...asOwner(), "--relayer-id", "2", "--signer-key-file", join(folder, "next.key"));
    expect(rotated.json()).to.include({ signer: signerOfKey(nextSignerKey).address, keyEpoch: 2 });
    const status = await relayer("status", ...place(), "--relayer-id", "2");
    expect(status.json()).to.include({ owner, poster, live: true, bond: "200500000", lastBatch: "0", feesEarned: "0", keyEpoch: 2 });
    await relayer("unbond", "200", ...asOwner(), "--relayer-id", "2");
    expect((await relayer("withdraw", ...asOwner(), "--relayer-id", "2")).json()).to.have.nested.property("error.details.reason").that.matches(/^StillUnbonding\(/);
    await local.rpc("evm_increaseTime", [21 * W + 1]);
    await local.rpc("evm_mine");
    expect((await relayer("withdraw", ...asOwner(), "--relayer-id", "2")).json()).to.include({ amount: "200000000", to: owner });
  });

  it("says what is missing or refused, with an exit code", async () => {
    const cases: [Promise<Ran>, number, string][] = [
      [relayer("status", ...place(), "--relayer-id", "9"), 1, "relayer_not_registered"],
      [relayer("status", ...place(), "--relayer-id", "x"), 1, "invalid_id"],
      [relayer("bond", "5", ...place(), "--relayer-id", "1"), 1, "no_owner_key"],
      [relayer("bond", "1.2345678", ...asOwner(), "--relayer-id", "1"), 1, "invalid_amount"],
      [relayer("bond", "999999999", ...asOwner(), "--relayer-id", "1"), 1, "call_reverted"],
      [relayer("claim-fee", ...asOwner(), "--relayer-id", "1"), 2, "nothing_matured"],
      [relayer("register", ...asOwner(), "--poster", "0x12", "--endpoint", "https://x.example"), 1, "invalid_address"],
      [relayer("register", ...asOwner(), "--poster", poster, "--endpoint", "https://x.example", "--fee-bps", "1001"), 1, "invalid_fee"],
      [relayer("status", "--rpc", "http://127.0.0.1:1", ...place().slice(2), "--relayer-id", "1"), 2, "chain_unreachable"],
    ];
    for (const [running, exitCode, code] of cases) {
      const one = await running;
      expect([one.exitCode, (one.json().error as { code: string }).code], one.stdout + one.stderr).to.deep.equal([exitCode, code]);
    }
    const start = await relayer("start");
    expect([start.exitCode, start.stderr], start.stdout).to.satisfy(([exitCode, stderr]: [number, string]) => exitCode === 1 && stderr.includes("TIDELANE_DEPLOYMENT"));
  });
});
