// The cold owner's transactions and what an owner wants to see, through viem: register, stake, change the hot key, get paid.
import { BaseError, ContractFunctionRevertedError, createPublicClient, createWalletClient, fallback, http, parseAbi, type Abi, type PublicClient } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { NodeRegistryAbi } from "../../protocol/generated/abi/NodeRegistry.ts";
import { signerOfKey, signStruct } from "../../protocol/signing.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Address, Hash, Hex, Seconds, TokenAmount } from "../../protocol/units.ts";
import type { ChainAccess } from "./chain.ts";

export interface Registration {
  /** 1 HIGH, 2 MID, 3 LOW. */
  readonly hardwareClass: number;
  readonly payout: Address;
  readonly hotKey: Hex;
  readonly models: readonly { readonly modelId: Hash; readonly priceInPerMTok: TokenAmount; readonly priceOutPerMTok: TokenAmount }[];
}

export interface NodeOverview {
  readonly owner: Address;
  readonly payout: Address;
  readonly hardwareClass: number;
  readonly hotKey: Address;
  readonly keyEpoch: number;
  readonly live: boolean;
  readonly slots: number;
  readonly staked: TokenAmount;
  readonly unbonding: TokenAmount;
  /** 0 where nothing is unbonding. */
  readonly withdrawableAt: Seconds;
  readonly jailedUntil: Seconds;
}

export interface TabOverview {
  readonly earned: TokenAmount;
  readonly provenEarned: TokenAmount;
  readonly claimed: TokenAmount;
  readonly claimable: TokenAmount;
}

export interface Token {
  readonly symbol: string;
  readonly decimals: number;
}

/** BondVault's Party. */
const NODE = 0;
const TIMEOUT_MS = 10_000;
const MINED_TIMEOUT_MS = 180_000;
const tokenAbi = parseAbi([
  "function allowance(address,address) view returns (uint256)", "function decimals() view returns (uint8)", "function symbol() view returns (string)",
  "function approve(address,uint256) returns (bool)", "function balanceOf(address) view returns (uint256)",
  "error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)",
]);
/** Lets viem name the contracts' own errors, wherever in a call they were raised. */
const everyError = [...NodeRegistryAbi, ...BatchSettlementAbi, ...BondVaultAbi, ...EscrowAbi, ...tokenAbi].filter((item) => item.type === "error") as unknown as Abi;

/** Reads that need no key. */
export class NodeChainReader {
  protected readonly client: PublicClient;
  protected readonly access: ChainAccess;

  constructor(access: ChainAccess) {
    this.access = access;
    this.client = createPublicClient({ transport: transportOf(access), pollingInterval: 500 });
  }

  /** @throws `node_not_registered`, retryable `chain_unreachable` */
  async overview(nodeId: number): Promise<NodeOverview> {
    const registry = { address: this.at("NodeRegistry"), abi: NodeRegistryAbi, args: [nodeId] } as const;
    const vault = { address: this.at("BondVault"), abi: BondVaultAbi } as const;
    const [node, [, key], live, bond, slots] = await reached(async () => Promise.all([
      this.client.readContract({ ...registry, functionName: "nodeOf" }), this.client.readContract({ ...registry, functionName: "currentKeyOf" }),
      this.client.readContract({ ...registry, functionName: "isLive" }), this.client.readContract({ ...vault, functionName: "bondOf", args: [NODE, nodeId] }),
      this.client.readContract({ ...vault, functionName: "slotsOf", args: [nodeId] }),
    ]));
    if (/^0x0{40}$/.test(node.owner)) throw new TidelaneError(`Node ${nodeId} is not registered on this chain.`, { code: "node_not_registered", details: { nodeId } });
    return {
      owner: lower(node.owner), payout: lower(node.payout), hardwareClass: node.hardwareClass, hotKey: lower(key.key), keyEpoch: node.keyEpoch, live,
      slots: Number(slots), staked: bond.active, unbonding: bond.unbonding, withdrawableAt: bond.withdrawableAt, jailedUntil: bond.jailedUntil,
    };
  }

  async tab(relayerId: number, nodeId: number): Promise<TabOverview> {
    const escrow = { address: this.at("Escrow"), abi: EscrowAbi, args: [relayerId, nodeId] } as const;
    const [tab, claimable] = await reached(async () => Promise.all([
      this.client.readContract({ ...escrow, functionName: "tabOf" }), this.client.readContract({ ...escrow, functionName: "claimableTab" }),
    ]));
    return { earned: tab.earned, provenEarned: tab.provenEarned, claimed: tab.claimed, claimable };
  }

  /** @param name `payToken` or `stakeToken`. */
  async token(name: "payToken" | "stakeToken"): Promise<Token> {
    const read = { address: this.at(name), abi: tokenAbi } as const;
    const [symbol, decimals] = await reached(async () => Promise.all([
      this.client.readContract({ ...read, functionName: "symbol" }), this.client.readContract({ ...read, functionName: "decimals" }),
    ]));
    return { symbol, decimals };
  }

  stakePerSlot(): Promise<TokenAmount> {
    return reached(async () => this.client.readContract({ address: this.at("BondVault"), abi: BondVaultAbi, functionName: "stakePerSlot" }));
  }

  protected at(name: string): Address {
    const address = this.access.contracts[name];
    if (!address) throw new TidelaneError(`The deployment names no ${name}.`, { code: "incomplete_deployment", details: { name } });
    return lower(address);
  }
}

/** The owner's transactions; each resolves when it is mined. */
export class NodeOwnerChain extends NodeChainReader {
  readonly #key: Hex;

  constructor(access: ChainAccess, ownerKey: Hex) {
    super(access);
    this.#key = ownerKey;
  }

  get owner(): Address {
    return lower(privateKeyToAccount(this.#key).address);
  }

  /** @returns the new node's id and the transaction. */
  async register(registration: Registration): Promise<{ nodeId: number; transaction: Hash }> {
    const { hardwareClass, payout, hotKey, models } = registration;
    const consent = await this.#consent(hotKey);
    const transaction = await this.send(this.at("NodeRegistry"), NodeRegistryAbi as unknown as Abi, "register", [{ payout, hardwareClass, agentId: 0n }, signerOfKey(hotKey).address, models, consent]);
    const nodeId = await reached(async () => this.client.readContract({ address: this.at("NodeRegistry"), abi: NodeRegistryAbi, functionName: "holderOf", args: [signerOfKey(hotKey).address] }));
    return { nodeId, transaction };
  }

  async stake(nodeId: number, amount: TokenAmount): Promise<Hash> {
    const [token, vault] = [this.at("stakeToken"), this.at("BondVault")];
    const allowance = await reached(async () => this.client.readContract({ address: token, abi: tokenAbi, functionName: "allowance", args: [this.owner, vault] }));
    if (allowance < amount) await this.send(token, tokenAbi as unknown as Abi, "approve", [vault, amount]);
    return this.send(vault, BondVaultAbi as unknown as Abi, "bond", [NODE, nodeId, amount]);
  }

  unbond(nodeId: number, amount: TokenAmount): Promise<Hash> {
    return this.send(this.at("BondVault"), BondVaultAbi as unknown as Abi, "requestUnbond", [NODE, nodeId, amount]);
  }

  withdraw(nodeId: number, to: Address): Promise<Hash> {
    return this.send(this.at("BondVault"), BondVaultAbi as unknown as Abi, "withdraw", [NODE, nodeId, to]);
  }

  /** No new work; what was signed stays valid, and claims go on. */
  retire(nodeId: number): Promise<Hash> {
    return this.send(this.at("NodeRegistry"), NodeRegistryAbi as unknown as Abi, "retire", [nodeId]);
  }

  /** Pays the tab's matured credits to the payout address. */
  claim(relayerId: number, nodeId: number): Promise<Hash> {
    return this.send(this.at("Escrow"), EscrowAbi as unknown as Abi, "claimTab", [relayerId, nodeId]);
  }

  async rotateKey(nodeId: number, hotKey: Hex): Promise<Hash> {
    return this.send(this.at("NodeRegistry"), NodeRegistryAbi as unknown as Abi, "rotateKey", [nodeId, signerOfKey(hotKey).address, await this.#consent(hotKey)]);
  }

  /** The hot key itself agrees to stand in the registry for this owner. */
  #consent(hotKey: Hex): Promise<Hex> {
    const signer = signerOfKey(hotKey);
    const domain = { chainId: this.access.chainId, verifyingContract: this.at("BatchSettlement") };
    return signStruct(signer, domain, "KeyConsent", { registry: this.at("NodeRegistry"), owner: this.owner, key: signer.address });
  }

  protected async send(address: Address, abi: Abi, functionName: string, args: readonly unknown[]): Promise<Hash> {
    const account = privateKeyToAccount(this.#key);
    const wallet = createWalletClient({ account, transport: transportOf(this.access) });
    return reached(async () => {
      const found = await this.client.getChainId();
      if (found !== this.access.chainId) throw new TidelaneError(`The RPC address serves chain ${found}; the deployment is on chain ${this.access.chainId}.`, { code: "wrong_chain", details: { found, expected: this.access.chainId } });
      const { request } = await this.client.simulateContract({ account, address, abi: [...abi, ...everyError], functionName, args });
      const hash = await wallet.writeContract({ ...request, chain: null });
      const receipt = await this.client.waitForTransactionReceipt({ hash, timeout: MINED_TIMEOUT_MS });
      if (receipt.status !== "success") throw new TidelaneError(`Transaction ${hash} was mined, but reverted.`, { code: "transaction_reverted", details: { hash } });
      return hash;
    });
  }
}

const transportOf = (access: ChainAccess) => fallback(access.rpcUrls.map((url) => http(url, { timeout: TIMEOUT_MS, retryCount: 1 })));

/** Runs a call and says whether the chain refused it or could not be reached. */
export async function reached<Result>(call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof TidelaneError) throw error;
    const revert = error instanceof BaseError ? error.walk((one) => one instanceof ContractFunctionRevertedError) : null;
    if (revert instanceof ContractFunctionRevertedError) {
      const reason = revert.data ? `${revert.data.errorName}(${(revert.data.args ?? []).map(String).join(", ")})` : revert.reason ?? revert.shortMessage;
      throw new TidelaneError(`The contract refused: ${reason}`, { code: "transaction_reverted", details: { reason }, cause: error });
    }
    const message = error instanceof BaseError ? error.shortMessage : String(error);
    throw new TidelaneError(`The chain cannot be reached, or did not answer as expected: ${message}`, { code: "chain_unreachable", retryable: true, cause: error });
  }
}

const lower = (address: string): Address => address.toLowerCase() as Address;
