// The Chain port over JSON-RPC: what the relayer reads of the contracts, and what its poster sends to them.
import { encodeFunctionData } from "viem";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { NodeRegistryAbi } from "../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { Mode } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { ZERO_HASH, type Address, type Hash, type Hex, type Seconds, type TokenAmount } from "../../protocol/units.ts";
import type { SpendingAuthorization } from "../../protocol/generated/structs.ts";
import type { Chain, ChainForce, ChainNode, ChainSession, ChainTransaction, Deployment, TransactionReceipt } from "../ports/chain.ts";
import { clientOf, nextTimestampOf, type Client } from "./chain/client.ts";
import { failureOf } from "./chain/failures.ts";
import { Poster } from "./chain/poster.ts";

export interface ChainOptions {
  /** Tried in order; at least one. */
  readonly rpcUrls: readonly string[];
  /** The chain that the deployment is on: an RPC of another chain is refused. */
  readonly chainId: number;
  /** By contract name, lowercase. */
  readonly addresses: Readonly<Record<string, Address>>;
  readonly posterKey: Hex;
  /** False while another process of this relayer sends its transactions; default: always true. */
  readonly mayPost?: () => boolean;
}

const Party = { NODE: 0, RELAYER: 1 } as const;
/** As IForces' enum. */
const FORCE_STATES = ["none", "open", "answered", "resolved"] as const;
const LOCAL_CHAIN_ID = 31_337;
const NO_ADDRESS: Address = `0x${"0".repeat(40)}`;
/** A lock is released so many W after closing. */
const CLOSING_WINDOWS = 3;
const KEYS_CACHED_MAX = 10_000;

/** @throws TidelaneError `chain_unreachable` (retryable), `wrong_chain`, `not_deployed` */
export async function connectChain(options: ChainOptions): Promise<ViemChain> {
  const client = clientOf(options.rpcUrls);
  const chainId = await client.getChainId().catch((error: unknown) => { throw failureOf(error); });
  if (chainId !== options.chainId) {
    throw new TidelaneError(`The RPC serves chain ${chainId}; this relayer is set up for chain ${options.chainId}. Correct TIDELANE_RPC_URLS or TIDELANE_CHAIN_ID.`, {
      code: "wrong_chain", details: { found: chainId, expected: options.chainId },
    });
  }
  return new ViemChain(client, options, await deploymentOf(client, options));
}

async function deploymentOf(client: Client, { addresses, chainId }: ChainOptions): Promise<Deployment> {
  const escrow = required(addresses, "Escrow");
  const verifyingContract = required(addresses, "BatchSettlement");
  const code = await client.getCode({ address: verifyingContract }).catch((error: unknown) => { throw failureOf(error); });
  if (code === undefined || code === "0x") {
    throw new TidelaneError(`There is no contract at ${verifyingContract} on chain ${chainId}. The addresses file is another chain's, or this chain was reset since.`, {
      code: "not_deployed", details: { address: verifyingContract, chainId },
    });
  }
  const [windowSeconds, leverage, epochSeconds] = await Promise.all([
    client.readContract({ address: escrow, abi: EscrowAbi, functionName: "windowSeconds" }),
    client.readContract({ address: escrow, abi: EscrowAbi, functionName: "leverage" }),
    client.readContract({ address: required(addresses, "SaturationBoard"), abi: SaturationBoardAbi, functionName: "epochSeconds" }),
  ]).catch((error: unknown) => { throw failureOf(error); });
  return Object.freeze({ domain: { chainId, verifyingContract }, addresses, windowSeconds, epochSeconds, leverage });
}

export class ViemChain implements Chain {
  readonly deployment: Deployment;
  readonly #client: Client;
  readonly #poster: Poster;
  readonly #escrow: { readonly address: Address; readonly abi: typeof EscrowAbi };
  readonly #settlement: { readonly address: Address; readonly abi: typeof BatchSettlementAbi };
  readonly #vault: { readonly address: Address; readonly abi: typeof BondVaultAbi };
  readonly #nodes: { readonly address: Address; readonly abi: typeof NodeRegistryAbi };
  readonly #relayers: { readonly address: Address; readonly abi: typeof RelayerRegistryAbi };
  /** The key of an epoch never changes. */
  readonly #keys = new Map<string, Address>();

  constructor(client: Client, options: ChainOptions, deployment: Deployment) {
    const { addresses } = options;
    this.#client = client;
    this.deployment = deployment;
    this.#poster = new Poster(client, options.posterKey, options.chainId, options.mayPost ?? (() => true));
    this.#escrow = { address: required(addresses, "Escrow"), abi: EscrowAbi };
    this.#settlement = { address: required(addresses, "BatchSettlement"), abi: BatchSettlementAbi };
    this.#vault = { address: required(addresses, "BondVault"), abi: BondVaultAbi };
    this.#nodes = { address: required(addresses, "NodeRegistry"), abi: NodeRegistryAbi };
    this.#relayers = { address: required(addresses, "RelayerRegistry"), abi: RelayerRegistryAbi };
  }

  /** Pays the gas; the registry must name it as the relayer's poster. */
  get posterAddress(): Address {
    return this.#poster.address;
  }

  async head(): Promise<{ number: bigint; timestampSeconds: Seconds; hash: Hash }> {
    const block = await this.#read(() => this.#client.getBlock({ blockTag: "latest" }));
    return { number: block.number, timestampSeconds: Number(block.timestamp), hash: block.hash };
  }

  async nextTimestamp(): Promise<Seconds> {
    return Number(await this.#read(() => nextTimestampOf(this.#client)));
  }

  /** A local chain has no reorganisations; elsewhere the chain itself says what is final. */
  async finalBatch(relayerId: number): Promise<{ timestampSeconds: Seconds; batchId: bigint }> {
    const blockTag = this.deployment.domain.chainId === LOCAL_CHAIN_ID ? "latest" : "finalized";
    const { number: blockNumber, timestamp } = await this.#read(() => this.#client.getBlock({ blockTag }));
    // A server that lags behind does not know this block, and says so.
    const [batchId] = await this.#read(() => this.#client.readContract({ ...this.#settlement, functionName: "lastBatchOf", args: [relayerId], blockNumber }));
    return { timestampSeconds: Number(timestamp), batchId };
  }

  async session(sessionId: Hash): Promise<ChainSession | null> {
    const found = await this.#read(() => this.#client.readContract({ ...this.#escrow, functionName: "sessionOf", args: [sessionId] }));
    if (found.payer === NO_ADDRESS) return null;
    // Asked after the reading: a bucket that is dated later than it was read refills less, never more.
    const readAtSeconds = (await this.head()).timestampSeconds;
    const closingSince = found.closingAt || (found.validUntil <= readAtSeconds ? found.validUntil : 0);
    const isReleasable = closingSince !== 0 && readAtSeconds >= closingSince + CLOSING_WINDOWS * this.deployment.windowSeconds;
    return {
      payer: lower(found.payer), sessionKey: lower(found.sessionKey), relayerId: found.relayerId, mode: found.mode,
      lock: atLeastZero(found.lock - found.forced - found.reserved), maxTotal: found.maxTotal, charged: found.charged, provenCap: found.provenCap,
      forced: found.forced, debitable: atLeastZero(found.lock - found.forced - found.charged),
      bucketLevel: found.mode === Mode.ALLOWANCE ? found.bucketLevel : 0n, validAfter: found.validAfter, validUntil: found.validUntil,
      state: closingSince === 0 ? "open" : isReleasable ? "closed" : "closing", readAtSeconds,
    };
  }

  async openSession(authorization: SpendingAuthorization, signature: Hex): Promise<void> {
    const data = encodeFunctionData({ abi: EscrowAbi, functionName: "openSession", args: [authorization, signature] });
    try {
      await this.submit({ to: this.#escrow.address, data });
    } catch (error) {
      if (!(error instanceof TidelaneError && error.code === "call_reverted")) throw error;
      throw new TidelaneError(`The session could not be opened: ${String(error.details.reason)}.`, { code: "authorization_rejected", cause: error, details: error.details });
    }
  }

  async node(nodeId: number): Promise<ChainNode | null> {
    const [node, [keyEpoch, current], slots, isJailed] = await this.#read(() => Promise.all([
      this.#client.readContract({ ...this.#nodes, functionName: "nodeOf", args: [nodeId] }),
      this.#client.readContract({ ...this.#nodes, functionName: "currentKeyOf", args: [nodeId] }),
      this.#client.readContract({ ...this.#vault, functionName: "slotsOf", args: [nodeId] }),
      this.#client.readContract({ ...this.#vault, functionName: "isJailed", args: [Party.NODE, nodeId] }),
    ]));
    if (node.owner === NO_ADDRESS) return null;
    return { nodeId, hotKey: lower(current.key), keyEpoch, hardwareClass: node.hardwareClass, slots: Number(slots), live: node.retiredAt === 0 && current.closedAt === 0 && !isJailed };
  }

  nodeKey(nodeId: number, keyEpoch: number): Promise<Address | null> {
    return this.#key(`node ${nodeId} ${keyEpoch}`, () => this.#client.readContract({ ...this.#nodes, functionName: "keyAddressOf", args: [nodeId, keyEpoch] }));
  }

  relayerKey(relayerId: number, relayerEpoch: number): Promise<Address | null> {
    return this.#key(`relayer ${relayerId} ${relayerEpoch}`, () => this.#client.readContract({ ...this.#relayers, functionName: "keyAddressOf", args: [relayerId, relayerEpoch] }));
  }

  async relayer(relayerId: number): ReturnType<Chain["relayer"]> {
    const [relayer, [epoch, current], bond, isJailed] = await this.#read(() => Promise.all([
      this.#client.readContract({ ...this.#relayers, functionName: "relayerOf", args: [relayerId] }),
      this.#client.readContract({ ...this.#relayers, functionName: "currentKeyOf", args: [relayerId] }),
      this.#client.readContract({ ...this.#vault, functionName: "activeBondOf", args: [Party.RELAYER, relayerId] }),
      this.#client.readContract({ ...this.#vault, functionName: "isJailed", args: [Party.RELAYER, relayerId] }),
    ]));
    if (relayer.owner === NO_ADDRESS) return null;
    return { signer: lower(current.key), epoch, poster: lower(relayer.poster), feeBps: relayer.feeBps, bond, live: relayer.retiredAt === 0 && current.closedAt === 0 && !isJailed };
  }

  async lastBatch(relayerId: number): Promise<{ batchId: bigint; hash: Hash }> {
    const [batchId, hash] = await this.#read(() => this.#client.readContract({ ...this.#settlement, functionName: "lastBatchOf", args: [relayerId] }));
    return { batchId, hash };
  }

  async batchHash(relayerId: number, batchId: bigint): Promise<Hash | null> {
    const { batchHash } = await this.#read(() => this.#client.readContract({ ...this.#settlement, functionName: "batchOf", args: [relayerId, batchId] }));
    return batchHash === ZERO_HASH ? null : batchHash;
  }

  async force(receiptHash: Hash): Promise<ChainForce> {
    const { state, taskId, openedAt, resolvedAt } = await this.#read(() => this.#client.readContract({ ...this.#settlement, functionName: "forceOf", args: [receiptHash] }));
    return { state: FORCE_STATES[state] ?? "resolved", taskId, openedAtSeconds: openedAt, resolvedAtSeconds: resolvedAt };
  }

  async tab(relayerId: number, nodeId: number): Promise<{ earned: TokenAmount; provenEarned: TokenAmount }> {
    const { earned, provenEarned } = await this.#read(() => this.#client.readContract({ ...this.#escrow, functionName: "tabOf", args: [relayerId, nodeId] }));
    return { earned, provenEarned };
  }

  debitCapacity(relayerId: number): Promise<TokenAmount> {
    return this.#read(() => this.#client.readContract({ ...this.#escrow, functionName: "debitCapacityOf", args: [relayerId] }));
  }

  exclusive<Result>(job: (nonce: number) => Promise<Result>): Promise<Result> {
    return this.#poster.exclusive(job);
  }

  submit(call: { to: Address; data: Hex }): Promise<TransactionReceipt> {
    return this.#poster.submit(call);
  }

  simulate(call: { to: Address; data: Hex }): Promise<void> {
    return this.#poster.simulate(call);
  }

  sign(call: { to: Address; data: Hex; nonce: number; gas: bigint }): Promise<ChainTransaction> {
    return this.#poster.sign(call);
  }

  replace(transaction: ChainTransaction, nonce: number): Promise<ChainTransaction> {
    return this.#poster.replace(transaction, nonce);
  }

  nonce(): Promise<number> {
    return this.#poster.nonce();
  }

  broadcast(raw: Hex): Promise<void> {
    return this.#poster.broadcast(raw);
  }

  receipt(hash: Hash): Promise<TransactionReceipt | null> {
    return this.#poster.receipt(hash);
  }

  async #key(name: string, ask: () => Promise<Address>): Promise<Address | null> {
    const known = this.#keys.get(name);
    if (known) return known;
    const key = lower(await this.#read(ask));
    if (key === NO_ADDRESS) return null;
    if (this.#keys.size >= KEYS_CACHED_MAX) this.#keys.clear();
    this.#keys.set(name, key);
    return key;
  }

  async #read<Result>(question: () => Promise<Result>): Promise<Result> {
    try {
      return await question();
    } catch (error) {
      throw failureOf(error);
    }
  }
}

function required(addresses: Readonly<Record<string, Address>>, name: string): Address {
  const address = addresses[name];
  if (!address) throw new TidelaneError(`The deployment file has no address of ${name}.`, { code: "invalid_deployment", details: { contract: name } });
  return lower(address);
}

const lower = (address: string): Address => address.toLowerCase() as Address;
const atLeastZero = (amount: bigint): bigint => (amount > 0n ? amount : 0n);
