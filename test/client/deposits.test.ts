// Every way of paying in, on a real chain: what is credited, to whom, and in how many transactions.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { createPublicClient, encodeFunctionData, http } from "viem";
import { ownerChain, ownerOfKey, payerChain, type ChainAccess } from "../../client/adapters/chain.ts";
import { Mode } from "../../protocol/constants.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { signerOfKey } from "../../protocol/signing.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import type { OwnerChain } from "../../client/ports.ts";
import type { SpendingAuthorization } from "../../protocol/generated/structs.ts";
import type { Address, Hex } from "../../protocol/units.ts";
import { ran } from "../cli/command.ts";
import { accounts, startLocalChain, type LocalChain } from "../relayer/localChain.ts";

const owner = signerOfKey(accounts.payer).address;
const other = signerOfKey(accounts.nodeOwner).address;

describe("deposits", function () {
  this.timeout(60_000);
  let local: LocalChain;
  let access: ChainAccess;
  let chain: OwnerChain;
  let folder: string;
  before(async () => {
    local = await startLocalChain();
    folder = mkdtempSync(join(tmpdir(), "tidelane-deposits-"));
    writeFileSync(join(folder, "deployment.json"), JSON.stringify({ chainId: 31_337, contracts: local.addresses }));
    access = { rpcUrls: [local.url], chainId: 31_337, contracts: local.addresses };
    chain = ownerChain(access, accounts.payer);
    await mint(owner, 50_000_000n);
  });
  after(async () => {
    await local?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });
  const key = { TIDELANE_OWNER_KEY: accounts.payer };
  const flags = (): string[] => ["--rpc", local.url, "--json", "--deployment", join(folder, "deployment.json")];

  const client = () => createPublicClient({ transport: http(local.url) });
  const mint = (to: Address, amount: bigint): Promise<void> =>
    local.send(accounts.deployer, local.addresses.payToken!, encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [to, amount] }));
  const freeOf = (payer: Address): Promise<bigint> => client().readContract({ address: local.addresses.Escrow!, abi: EscrowAbi, functionName: "freeBalanceOf", args: [payer] });
  const allowance = (): Promise<bigint> => client().readContract({ address: local.addresses.payToken!, abi: TideTokenAbi, functionName: "allowance", args: [owner, local.addresses.Escrow!] });

  /** What the work credited, and how many transactions of the owner's it took. */
  async function costOf(payer: Address, work: () => Promise<unknown>): Promise<{ credited: bigint; transactions: number }> {
    const [free, nonce] = [await freeOf(payer), await client().getTransactionCount({ address: owner })];
    await work();
    return { credited: await freeOf(payer) - free, transactions: await client().getTransactionCount({ address: owner }) - nonce };
  }

  it("goes in one transaction by a permit, and leaves no allowance behind", async () => {
    const before = await allowance();
    expect(await costOf(owner, () => chain.deposit(before + 2_000_000n))).to.deep.equal({ credited: before + 2_000_000n, transactions: 1 });
    expect(await allowance()).to.equal(0n);
  });

  it("is approved first where the token knows no permits", async () => {
    const payToken = local.addresses.payToken!;
    const honest = await local.rpc("eth_getCode", [payToken, "latest"]);
    const { deployedBytecode } = JSON.parse(readFileSync(new URL("../../artifacts/contracts/mocks/OddTokens.sol/HookToken.json", import.meta.url), "utf8")) as { deployedBytecode: Hex };
    await local.rpc("anvil_setCode", [payToken, deployedBytecode]);
    expect(await costOf(owner, () => chain.deposit(3_000_000n))).to.deep.equal({ credited: 3_000_000n, transactions: 2 });
    await local.rpc("anvil_setCode", [payToken, honest]);
  });

  it("credits another payer", async () => {
    expect(await costOf(other, () => chain.depositFor(other, 4_000_000n))).to.deep.equal({ credited: 4_000_000n, transactions: 2 });
  });

  it("opens a session in the same transaction, or does neither", async () => {
    const now = Number((await client().getBlock()).timestamp);
    const authorization: SpendingAuthorization = {
      payer: owner, sessionKey: other, relayerId: 1, lock: 5_000_000n, maxTotal: 5_000_000n, maxPerTask: 1_000_000n, maxPerDay: 0n, maxPriceInPerMTok: 1n, maxPriceOutPerMTok: 1n,
      maxFeeBps: 500, mode: Mode.VOUCHER, validAfter: now - 60, validUntil: now + 86_400, salt: 7n,
    };
    const signature = await ownerOfKey(accounts.payer).signAuthorization(payerChain(access).domain, authorization);
    const forged = { ...authorization, salt: 8n };
    expect(await costOf(owner, async () => chain.depositAndOpen(5_000_000n, forged, signature).catch(() => null))).to.deep.equal({ credited: 0n, transactions: 0 });
    expect(await costOf(owner, () => chain.depositAndOpen(5_000_000n, authorization, signature))).to.deep.equal({ credited: 0n, transactions: 1 });
    expect(await payerChain(access).session(hashStruct("SpendingAuthorization", authorization))).to.include({ payer: owner, lock: 5_000_000n });
  });

  it("is collected from a payer's own address by anyone", async () => {
    const box = await chain.boxOf(other);
    expect(box).to.equal((await ran(["payer", "deposit-address", "--payer", other, ...flags()], key)).json()["address"]);
    await mint(box, 6_000_000n);
    const collected = await ran(["payer", "collect", "--payer", other, ...flags()], key);
    expect([collected.exitCode, await freeOf(other)], collected.stdout).to.deep.equal([0, 10_000_000n]);
    expect(await chain.collect(other).catch((error: Error) => error.message)).to.match(/BoxIsEmpty/);
  });

});
