// x402's own client and facilitator pay into a payer's deposit address, or to the Escrow itself: credited to the signer, once,
// whoever comes first.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { createWalletClient, encodeFunctionData, http, parseSignature, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { foundry } from "viem/chains";
import { ownerChain } from "../../client/adapters/chain.ts";
import { DepositBoxesAbi } from "../../protocol/generated/abi/DepositBoxes.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { TransferProofsAbi } from "../../protocol/generated/abi/TransferProofs.ts";
import type { OwnerChain } from "../../client/ports.ts";
import type { Address, Hex } from "../../protocol/units.ts";
import { connectChain } from "../../relayer/adapters/chain.ts";
import { createTransferReader } from "../../relayer/adapters/transferReader.ts";
import { Transfers } from "../../relayer/loops/transfers.ts";
import type { Log } from "../../relayer/ports/world.ts";
import { ran } from "../cli/command.ts";
import { accounts, startLocalChain, type LocalChain } from "../relayer/localChain.ts";
import { clock, metrics } from "../relayer/loops/settleRig.ts";

/** What of x402's types is used here. */
interface PaymentRequirements {
  readonly scheme: "exact";
  readonly network: string;
  readonly asset: string;
  readonly amount: string;
  readonly payTo: string;
  readonly maxTimeoutSeconds: number;
  readonly extra: Readonly<Record<string, string>>;
}

interface Payment {
  readonly x402Version: 2;
  readonly accepted: PaymentRequirements;
  readonly payload: { readonly authorization: Authorization; readonly signature: Hex };
}

interface ClientScheme {
  createPaymentPayload(version: 2, requirements: PaymentRequirements): Promise<Pick<Payment, "payload">>;
}

interface FacilitatorScheme {
  verify(payment: Payment, requirements: PaymentRequirements): Promise<{ readonly isValid: boolean }>;
  settle(payment: Payment, requirements: PaymentRequirements): Promise<{ readonly success: boolean; readonly transaction: Hex }>;
}

type Of<Scheme> = { readonly ExactEvmScheme: new (signer: object) => Scheme };

interface Authorization {
  readonly from: Address;
  readonly to: Address;
  readonly value: string;
  readonly validAfter: string;
  readonly validBefore: string;
  readonly nonce: Hex;
}

const AMOUNT = 250_000n;
const payer = privateKeyToAccount(accounts.nodeOwner);
const stranger = privateKeyToAccount(accounts.poster);

describe("x402 into a deposit address", function () {
  this.timeout(60_000);
  let local: LocalChain;
  let requirements: PaymentRequirements;
  let owner: OwnerChain;
  before(async () => {
    local = await startLocalChain();
    owner = ownerChain({ rpcUrls: [local.url], chainId: 31_337, contracts: local.addresses }, accounts.payer);
    requirements = {
      scheme: "exact", network: "eip155:31337", asset: local.addresses.payToken!, amount: AMOUNT.toString(), payTo: await owner.boxOf(payer.address), maxTimeoutSeconds: 600,
      extra: { name: "Tidelane test dollar", version: "1" },
    };
    await local.send(accounts.deployer, local.addresses.payToken!, encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [payer.address, 10n * AMOUNT] }));
  });
  after(async () => local?.stop());

  const wallet = () => createWalletClient({ account: stranger, chain: foundry, transport: http(local.url), pollingInterval: 100 }).extend(publicActions);
  const free = (): Promise<bigint> => wallet().readContract({ address: local.addresses.Escrow!, abi: EscrowAbi, functionName: "freeBalanceOf", args: [payer.address] });
  const x402 = createRequire(import.meta.url);

  function facilitator(): FacilitatorScheme {
    const { toFacilitatorEvmSigner } = x402("@x402/evm") as { toFacilitatorEvmSigner(client: object): object };
    const { ExactEvmScheme } = x402("@x402/evm/exact/facilitator") as Of<FacilitatorScheme>;
    return new ExactEvmScheme(toFacilitatorEvmSigner({ ...wallet(), address: stranger.address }));
  }

  async function signed(accepted = requirements): Promise<Payment> {
    const { ExactEvmScheme } = x402("@x402/evm/exact/client") as Of<ClientScheme>;
    const { payload } = await new ExactEvmScheme(payer).createPaymentPayload(2, accepted);
    return { x402Version: 2, accepted, payload };
  }

  /** As anyone does who saw the payment; the relayer, too. */
  async function collectWith(payment: Payment): Promise<void> {
    const { request } = await wallet().simulateContract({ account: stranger, address: local.addresses.DepositBoxes!, abi: DepositBoxesAbi, functionName: "collectWithAuthorization", args: argumentsOf(payment) });
    await wallet().waitForTransactionReceipt({ hash: await wallet().writeContract(request) });
  }

  /** The same for a payment to the Escrow itself. */
  async function depositWith(payment: Payment): Promise<void> {
    const { request } = await wallet().simulateContract({ account: stranger, address: local.addresses.TransferProofs!, abi: TransferProofsAbi, functionName: "depositWithTransferAuthorization", args: argumentsOf(payment) });
    await wallet().waitForTransactionReceipt({ hash: await wallet().writeContract(request) });
  }

  function argumentsOf({ payload: { authorization, signature } }: Payment) {
    const { r, s, yParity } = parseSignature(signature);
    return [authorization.from, BigInt(authorization.value), BigInt(authorization.validAfter), BigInt(authorization.validBefore), authorization.nonce, 27 + yParity, r, s] as const;
  }

  it("is settled by the facilitator and collected by anyone", async () => {
    const payment = await signed();
    expect(await facilitator().verify(payment, requirements)).to.include({ isValid: true });
    expect(await facilitator().settle(payment, requirements)).to.include({ success: true });
    expect(await free()).to.equal(0n);
    await collectWith(payment);
    expect(await free()).to.equal(AMOUNT);
  });

  it("is credited once where somebody submits it before the facilitator", async () => {
    const payment = await signed();
    await collectWith(payment);
    expect(await free()).to.equal(2n * AMOUNT);
    expect(await facilitator().settle(payment, requirements)).to.include({ success: false });
    expect(await collectWith(payment).then(() => "collected", (error: Error) => error.message)).to.match(/BoxIsEmpty/);
    expect(await free()).to.equal(2n * AMOUNT);
  });

  it("is credited where it was paid to the Escrow itself: by proof after the facilitator, and at once by whoever submits it here", async () => {
    const before = await free();
    const toEscrow = { ...requirements, payTo: local.addresses.Escrow! };
    const { success, transaction } = await facilitator().settle(await signed(toEscrow), toEscrow);
    expect([success, await free()]).to.deep.equal([true, before]);
    await local.rpc("anvil_mine", ["0x1"]);
    const credited = { payer: payer.address.toLowerCase(), amount: AMOUNT };
    const [first] = await owner.creditTransfers(transaction);
    expect(first).to.include(credited);
    expect(await free()).to.equal(before + AMOUNT);
    expect(await owner.creditTransfers(transaction)).to.deep.equal([{ ...credited, transaction: null }]);
    await depositWith(await signed(toEscrow));
    expect(await free()).to.equal(before + 2n * AMOUNT);
    expect(await owner.creditTransfers(first!.transaction!), "a deposit brings no transfer of its own").to.deep.equal([]);
  });

  it("is credited by a relayer by itself, some blocks later", async () => {
    const before = await free();
    const toEscrow = { ...requirements, payTo: local.addresses.Escrow! };
    await facilitator().settle(await signed(toEscrow), toEscrow);
    const chain = await connectChain({ rpcUrls: [local.url], chainId: 31_337, addresses: local.addresses, posterKey: accounts.poster });
    const place = { escrow: local.addresses.Escrow!, payToken: local.addresses.payToken!, transferProofs: local.addresses.TransferProofs! };
    const said: string[] = [];
    const log: Log = { debug: () => {}, info: (_fields, message) => void said.push(message), warn: (fields, message) => void said.push(`${JSON.stringify(fields)} ${message}`), error: () => {} };
    const loop = new Transfers({ clock, log, metrics, chain, address: place.transferProofs, least: AMOUNT, isLeading: () => true, reader: createTransferReader([local.url], place) });
    await local.rpc("anvil_mine", ["0x4"]);
    await loop.round();
    expect(await free(), said.join()).to.equal(before + AMOUNT);
    await loop.round();
    expect(said).to.deep.equal(["a signed transfer to the Escrow is credited to its signer"]);
  });

  it("is proven by a command, for whoever signed it", async () => {
    const before = await free();
    const toEscrow = { ...requirements, payTo: local.addresses.Escrow! };
    const { transaction } = await facilitator().settle(await signed(toEscrow), toEscrow);
    await local.rpc("anvil_mine", ["0x1"]);
    const folder = mkdtempSync(join(tmpdir(), "tidelane-x402-"));
    try {
      writeFileSync(join(folder, "deployment.json"), JSON.stringify({ chainId: 31_337, contracts: local.addresses }));
      const proven = await ran(["payer", "prove-transfer", "--transaction", transaction, "--rpc", local.url, "--json", "--deployment", join(folder, "deployment.json")], { TIDELANE_OWNER_KEY: accounts.payer });
      expect([proven.exitCode, await free()], proven.stdout).to.deep.equal([0, before + AMOUNT]);
      const unknown = await owner.creditTransfers(`0x${"12".repeat(32)}`).catch((error: unknown) => error);
      expect(unknown).to.be.instanceOf(TidelaneError).with.property("code", "transaction_unknown");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
