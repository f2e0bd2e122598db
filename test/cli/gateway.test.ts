// `tidelane gateway` against a real chain with an answered request: everybody's part comes out, to the last unit, and nobody else's.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { gatewayBooks, gatewayCalls } from "../../client/adapters/gateway.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { signerOfKey } from "../../protocol/signing.ts";
import { accounts } from "../relayer/localChain.ts";
import { createRig, GAS_PAYMENT, MAX_FEE, type Rig } from "../relayer/loops/requestRig.ts";
import { until } from "../relayer/loops/settleRig.ts";
import { ran, type Ran } from "./command.ts";
import type { Address, Hash, Hex } from "../../protocol/units.ts";

const W = 60;
const FULFILLED = 2;
const poster = signerOfKey(accounts.poster).address;

describe("tidelane gateway", function () {
  this.timeout(120_000);
  let rig: Rig;
  let folder = "";
  let dApp: Address;
  let answered: Hash;

  before(async () => {
    rig = await createRig();
    folder = mkdtempSync(join(tmpdir(), "tidelane-gateway-"));
    writeFileSync(join(folder, "deployment.json"), JSON.stringify({ chainId: 31_337, contracts: rig.chain.addresses }));
    dApp = (await rig.dApp(1)).toLowerCase() as Address;
    answered = await rig.ask(dApp, "Will it rain?");
    const loop = await rig.start();
    await until(async () => {
      await loop.round();
      return await rig.read<number>("stateOf", [answered]) === FULFILLED;
    });
  });
  after(async () => {
    await rig?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  const gateway = (key: Hex, ...words: string[]): Promise<Ran> =>
    ran(["gateway", ...words, "--rpc", rig.chain.url, "--deployment", join(folder, "deployment.json"), "--json"], { TIDELANE_OWNER_KEY: key });
  const access = () => ({ rpcUrls: [rig.chain.url], chainId: 31_337, contracts: rig.chain.addresses });
  const errorOf = (one: Ran): unknown => [one.exitCode, (one.json().error as { code: string }).code];
  const reasonOf = (call: Promise<unknown>): Promise<string> => call.then(() => "none", (error: unknown) => String((error as TidelaneError).details.reason));

  it("pays a requester what its answer did not use, and the poster its deliveries, sent by anyone", async () => {
    const { balance } = await gatewayBooks(access()).account(dApp);
    expect(balance > 0n && balance < MAX_FEE).to.equal(true);
    expect((await gateway(accounts.payer, "withdraw", "--account", dApp)).json()).to.include({ account: dApp, to: dApp, amount: String(balance) });
    expect(errorOf(await gateway(accounts.payer, "withdraw", "--account", dApp))).to.deep.equal([1, "nothing_to_pay"]);
    expect(await reasonOf(gatewayCalls(access(), accounts.payer).withdrawGas(poster, signerOfKey(accounts.payer).address))).to.match(/^NotAccount\(/);
    expect((await gateway(accounts.payer, "withdraw-gas", "--account", poster)).json()).to.include({ to: poster, amount: String(GAS_PAYMENT) });
  });

  it("pays a node once its earnings have matured, and a relayer only what it has revealed the draws of", async () => {
    expect(errorOf(await gateway(accounts.payer, "claim-node", "--node", "1"))).to.deep.equal([2, "nothing_matured"]);
    await rig.chain.rpc("evm_increaseTime", [14 * W]);
    await rig.chain.rpc("evm_mine");
    const { node, relayer } = (await gateway(accounts.payer, "status", "--node", "1", "--relayer-id", "1")).json() as { node: { claimable: string; earned: string }; relayer: { claimable: string; commitBond: string } };
    expect(node.claimable).to.equal(node.earned).and.not.equal("0");
    expect((await gateway(accounts.payer, "claim-node", "--node", "1")).json()).to.include({ nodeId: 1, amount: node.earned });
    expect(relayer).to.include({ commitBond: "500000000" }).and.to.have.property("claimable").that.is.not.equal("0");
    const calls = gatewayCalls(access(), accounts.relayerOwner);
    expect(await reasonOf(calls.claimRelayerFee(1, calls.address))).to.match(/^SeedsNotRevealed\(1, /);
    expect(await reasonOf(gatewayCalls(access(), accounts.payer).withdrawCommitBond(1, 1n, poster))).to.match(/^NotRelayerOwner\(1, /);
    expect((await gateway(accounts.relayerOwner, "withdraw-commit-bond", "500", "--relayer-id", "1")).json()).to.include({ amount: "500000000", to: calls.address });
    expect((await gateway(accounts.relayerOwner, "bond-commits", "60.5", "--relayer-id", "1")).json()).to.include({ amount: "60500000", commitBond: "60500000" });
  });

  it("says what is not there, or over", async () => {
    const unknown = `0x${"11".repeat(32)}`;
    const found = await Promise.all([gateway(accounts.payer, "refund", unknown), gateway(accounts.payer, "refund", answered), gateway(accounts.payer, "refund", "0x12"), gateway(accounts.payer, "status")]);
    expect(found.map(errorOf)).to.deep.equal([[1, "request_unknown"], [1, "request_ended"], [1, "invalid_request"], [1, "nobody_named"]]);
  });
});
