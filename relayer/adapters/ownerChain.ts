// The relayer's cold owner on chain: register, bond, change the signing key, get the fees and the bond back.
import { encodeFunctionData, parseAbi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { signerOfKey, signStruct } from "../../protocol/signing.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Address, Bps, Hash, Hex, Seconds, TokenAmount } from "../../protocol/units.ts";
import { clientOf, type Client } from "./chain/client.ts";
import { failureOf } from "./chain/failures.ts";
import { Poster } from "./chain/poster.ts";

export interface OwnerChainAccess {
  readonly rpcUrls: readonly string[];
  readonly chainId: number;
  /** By contract name, lowercase. */
  readonly contracts: Readonly<Record<string, Address>>;
}

export interface RelayerOverview {
  readonly relayerId: number;
  readonly owner: Address;
  readonly poster: Address;
  readonly signer: Address;
  readonly keyEpoch: number;
  readonly feeBps: Bps;
  readonly live: boolean;
  readonly bond: TokenAmount;
  readonly unbonding: TokenAmount;
  /** 0 where nothing is unbonding. */
  readonly withdrawableAt: Seconds;
  readonly jailedUntil: Seconds;
  /** What may still be debited now: leverage x bond less unmatured debits. */
  readonly debitCapacity: TokenAmount;
  readonly lastBatch: bigint;
  readonly feesEarned: TokenAmount;
  readonly feesClaimable: TokenAmount;
  /** Wei. */
  readonly posterBalance: bigint;
}

export interface PayToken {
  readonly symbol: string;
  readonly decimals: number;
}

const RELAYER = 1;
const NO_ADDRESS: Address = `0x${"0".repeat(40)}`;
const tokenAbi = parseAbi([
  "function allowance(address,address) view returns (uint256)", "function approve(address,uint256) returns (bool)",
  "function decimals() view returns (uint8)", "function symbol() view returns (string)",
]);

/** Reads that need no key. */
export class RelayerChainReader {
  protected readonly client: Client;
  protected readonly access: OwnerChainAccess;

  constructor(access: OwnerChainAccess) {
    this.access = access;
    this.client = clientOf(access.rpcUrls);
  }

  /** @throws `relayer_not_registered`, retryable `chain_unreachable` */
  async overview(relayerId: number): Promise<RelayerOverview> {
    const registry = { address: this.at("RelayerRegistry"), abi: RelayerRegistryAbi } as const;
    const vault = { address: this.at("BondVault"), abi: BondVaultAbi } as const;
    const escrow = { address: this.at("Escrow"), abi: EscrowAbi } as const;
    const [relayer, [keyEpoch, key], live, bond, account, feesClaimable, debitCapacity, [lastBatch]] = await this.ask(() => Promise.all([
      this.client.readContract({ ...registry, functionName: "relayerOf", args: [relayerId] }),
      this.client.readContract({ ...registry, functionName: "currentKeyOf", args: [relayerId] }),
      this.client.readContract({ ...registry, functionName: "isLive", args: [relayerId] }),
      this.client.readContract({ ...vault, functionName: "bondOf", args: [RELAYER, relayerId] }),
      this.client.readContract({ ...escrow, functionName: "relayerAccountOf", args: [relayerId] }),
      this.client.readContract({ ...escrow, functionName: "claimableRelayerFee", args: [relayerId] }),
      this.client.readContract({ ...escrow, functionName: "debitCapacityOf", args: [relayerId] }),
      this.client.readContract({ address: this.at("BatchSettlement"), abi: lastBatchAbi, functionName: "lastBatchOf", args: [relayerId] }),
    ]));
    if (relayer.owner === NO_ADDRESS) throw new TidelaneError(`Relayer ${relayerId} is not registered on this chain.`, { code: "relayer_not_registered", details: { relayerId } });
    const posterBalance = await this.ask(() => this.client.getBalance({ address: relayer.poster }));
    return {
      relayerId, owner: lower(relayer.owner), poster: lower(relayer.poster), signer: lower(key.key), keyEpoch, feeBps: relayer.feeBps, live,
      bond: bond.active, unbonding: bond.unbonding, withdrawableAt: bond.withdrawableAt, jailedUntil: bond.jailedUntil, debitCapacity, lastBatch,
      feesEarned: account.fees, feesClaimable, posterBalance,
    };
  }

  async payToken(): Promise<PayToken> {
    const token = { address: this.at("payToken"), abi: tokenAbi } as const;
    const [symbol, decimals] = await this.ask(() => Promise.all([
      this.client.readContract({ ...token, functionName: "symbol" }), this.client.readContract({ ...token, functionName: "decimals" }),
    ]));
    return { symbol, decimals };
  }

  protected at(name: string): Address {
    const address = this.access.contracts[name];
    if (!address) throw new TidelaneError(`The deployment names no ${name}.`, { code: "invalid_deployment", details: { contract: name } });
    return lower(address);
  }

  protected async ask<Result>(question: () => Promise<Result>): Promise<Result> {
    try {
      return await question();
    } catch (error) {
      throw failureOf(error);
    }
  }
}

/** The owner's transactions; each resolves when it is mined. @throws `call_reverted` with the contract's reason, `wrong_chain`, `chain_unreachable` */
export class RelayerOwnerChain extends RelayerChainReader {
  readonly #key: Hex;
  readonly #sender: Poster;

  constructor(access: OwnerChainAccess, ownerKey: Hex) {
    super(access);
    this.#key = ownerKey;
    this.#sender = new Poster(this.client, ownerKey, access.chainId, () => true);
  }

  get owner(): Address {
    return lower(privateKeyToAccount(this.#key).address);
  }

  /** @returns the new relayer's id and the transaction. */
  async register(terms: { readonly poster: Address; readonly signerKey: Hex; readonly feeBps: Bps; readonly endpoint: string }): Promise<{ relayerId: number; transaction: Hash }> {
    const signer = signerOfKey(terms.signerKey).address;
    const transaction = await this.#send("RelayerRegistry", encodeFunctionData({
      abi: RelayerRegistryAbi, functionName: "register", args: [terms.poster, signer, terms.feeBps, terms.endpoint, await this.#consent(terms.signerKey)],
    }));
    const relayerId = await this.ask(() => this.client.readContract({ address: this.at("RelayerRegistry"), abi: RelayerRegistryAbi, functionName: "holderOf", args: [signer] }));
    return { relayerId, transaction };
  }

  /** Approves first where it must. */
  async bond(relayerId: number, amount: TokenAmount): Promise<Hash> {
    const vault = this.at("BondVault");
    const allowance = await this.ask(() => this.client.readContract({ address: this.at("payToken"), abi: tokenAbi, functionName: "allowance", args: [this.owner, vault] }));
    if (allowance < amount) await this.#send("payToken", encodeFunctionData({ abi: tokenAbi, functionName: "approve", args: [vault, amount] }));
    return this.#send("BondVault", encodeFunctionData({ abi: BondVaultAbi, functionName: "bond", args: [RELAYER, relayerId, amount] }));
  }

  unbond(relayerId: number, amount: TokenAmount): Promise<Hash> {
    return this.#send("BondVault", encodeFunctionData({ abi: BondVaultAbi, functionName: "requestUnbond", args: [RELAYER, relayerId, amount] }));
  }

  withdraw(relayerId: number, to: Address): Promise<Hash> {
    return this.#send("BondVault", encodeFunctionData({ abi: BondVaultAbi, functionName: "withdraw", args: [RELAYER, relayerId, to] }));
  }

  claimFee(relayerId: number, to: Address): Promise<Hash> {
    return this.#send("Escrow", encodeFunctionData({ abi: EscrowAbi, functionName: "claimRelayerFee", args: [relayerId, to] }));
  }

  /** No new sessions; what was signed stays valid, and the last batches can still be posted. */
  retire(relayerId: number): Promise<Hash> {
    return this.#send("RelayerRegistry", encodeFunctionData({ abi: RelayerRegistryAbi, functionName: "retire", args: [relayerId] }));
  }

  async rotateKey(relayerId: number, signerKey: Hex): Promise<Hash> {
    return this.#send("RelayerRegistry", encodeFunctionData({
      abi: RelayerRegistryAbi, functionName: "rotateKey", args: [relayerId, signerOfKey(signerKey).address, await this.#consent(signerKey)],
    }));
  }

  /** The signing key itself agrees to stand in the registry for this owner. */
  #consent(signerKey: Hex): Promise<Hex> {
    const signer = signerOfKey(signerKey);
    const domain = { chainId: this.access.chainId, verifyingContract: this.at("BatchSettlement") };
    return signStruct(signer, domain, "KeyConsent", { registry: this.at("RelayerRegistry"), owner: this.owner, key: signer.address });
  }

  async #send(contract: string, data: Hex): Promise<Hash> {
    const found = await this.ask(() => this.client.getChainId());
    if (found !== this.access.chainId) throw new TidelaneError(`The RPC serves chain ${found}; the deployment is on chain ${this.access.chainId}.`, { code: "wrong_chain", details: { found, expected: this.access.chainId } });
    return (await this.#sender.submit({ to: this.at(contract), data })).hash;
  }
}

const lastBatchAbi = parseAbi(["function lastBatchOf(uint32) view returns (uint64 batchId, bytes32 batchHash)"]);
const lower = (address: string): Address => address.toLowerCase() as Address;
