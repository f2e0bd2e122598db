// x402's own client and facilitator pay into a payer's deposit address: credited to the signer, once, whoever comes first.
import { createRequire } from "node:module";
import { expect } from "chai";
import { createWalletClient, encodeFunctionData, http, parseSignature, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { foundry } from "viem/chains";
import { ownerChain } from "../../client/adapters/chain.ts";
import { DepositBoxesAbi } from "../../protocol/generated/abi/DepositBoxes.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import type { Address, Hex } from "../../protocol/units.ts";
import { accounts, startLocalChain, type LocalChain } from "../relayer/localChain.ts";

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
  settle(payment: Payment, requirements: PaymentRequirements): Promise<{ readonly success: boolean }>;
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
  before(async () => {
    local = await startLocalChain();
    const owner = ownerChain({ rpcUrls: [local.url], chainId: 31_337, contracts: local.addresses }, accounts.payer);
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

  async function signed(): Promise<Payment> {
    const { ExactEvmScheme } = x402("@x402/evm/exact/client") as Of<ClientScheme>;
    const { payload } = await new ExactEvmScheme(payer).createPaymentPayload(2, requirements);
    return { x402Version: 2, accepted: requirements, payload };
  }

  /** As anyone does who saw the payment; the relayer, too. */
  async function collectWith({ payload: { authorization, signature } }: Payment): Promise<void> {
    const { r, s, yParity } = parseSignature(signature);
    const args = [authorization.from, BigInt(authorization.value), BigInt(authorization.validAfter), BigInt(authorization.validBefore), authorization.nonce, 27 + yParity, r, s] as const;
    const { request } = await wallet().simulateContract({ account: stranger, address: local.addresses.DepositBoxes!, abi: DepositBoxesAbi, functionName: "collectWithAuthorization", args });
    await wallet().waitForTransactionReceipt({ hash: await wallet().writeContract(request) });
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
});
