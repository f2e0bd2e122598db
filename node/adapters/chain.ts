// The chain as a node agent reads it, through viem: registrations, keys, stake, sessions, what a tab has proof of.
import { BaseError, createPublicClient, fallback, http, keccak256, stringToHex, type PublicClient } from "viem";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
import { NodeRegistryAbi } from "../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { Mode } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { TIDE_ONE, type TideMultiplier } from "../../protocol/tide.ts";
import { UINT96_MAX, type Address, type Seconds } from "../../protocol/units.ts";
import type { ChainKey, ChainSelf, ChainSession, NodeChain } from "../ports.ts";

export interface ChainAccess {
  readonly rpcUrls: readonly string[];
  readonly chainId: number;
  /** By name: NodeRegistry, RelayerRegistry, BondVault, Escrow, BatchSettlement. */
  readonly contracts: Readonly<Record<string, Address>>;
  /** The contracts are not older than this block; 0 where that is not known. */
  readonly deploymentBlock?: number;
}

/** Many RPC services search no more blocks for events at once. */
const SEARCH_BLOCKS = 10_000n;
const SEARCHES_MAX = 1_000;
const TIMEOUT_MS = 5_000;
const SLOTS_MAX = 65_535n;
const REQUEST_PENDING = 1;
const SECONDS_MAX: Seconds = 2 ** 48 - 1;

/** @throws TidelaneError `wrong_chain`, `incomplete_deployment`, retryable `chain_unreachable` */
export async function openChain(access: ChainAccess): Promise<NodeChain> {
  const client = createPublicClient({ transport: fallback(access.rpcUrls.map((url) => http(url, { timeout: TIMEOUT_MS, retryCount: 1 }))) });
  const found = await reached(async () => client.getChainId());
  if (found !== access.chainId) {
    throw new TidelaneError(`The RPC address serves chain ${found}; the deployment is on chain ${access.chainId}.`, { code: "wrong_chain", details: { found, expected: access.chainId } });
  }
  const windowSeconds = await reached(async () => client.readContract({ address: contract(access, "BatchSettlement"), abi: BatchSettlementAbi, functionName: "windowSeconds" }));
  return new ViemChain(client, access, Number(windowSeconds));
}

class ViemChain implements NodeChain {
  readonly domain;
  readonly windowSeconds: Seconds;
  readonly #client: PublicClient;
  readonly #access: ChainAccess;

  constructor(client: PublicClient, access: ChainAccess, windowSeconds: Seconds) {
    this.#client = client;
    this.#access = access;
    this.windowSeconds = windowSeconds;
    this.domain = { chainId: access.chainId, verifyingContract: contract(access, "BatchSettlement") };
  }

  async self(nodeId: number): Promise<ChainSelf | null> {
    const registry = { address: this.#at("NodeRegistry"), abi: NodeRegistryAbi } as const;
    const [[keyEpoch, current], live, slots] = await reached(async () => Promise.all([
      this.#client.readContract({ ...registry, functionName: "currentKeyOf", args: [nodeId] }),
      this.#client.readContract({ ...registry, functionName: "isLive", args: [nodeId] }),
      this.#client.readContract({ address: this.#at("BondVault"), abi: BondVaultAbi, functionName: "slotsOf", args: [nodeId] }),
    ]));
    if (keyEpoch === 0) return null;
    return { hotKey: lower(current.key), keyEpoch, live, slots: Number(slots < SLOTS_MAX ? slots : SLOTS_MAX) };
  }

  nodeKey(nodeId: number, keyEpoch: number): Promise<ChainKey | null> {
    return this.#key("NodeRegistry", nodeId, keyEpoch);
  }

  relayerKey(relayerId: number, relayerEpoch: number): Promise<ChainKey | null> {
    return this.#key("RelayerRegistry", relayerId, relayerEpoch);
  }

  async session(sessionId: Address): Promise<ChainSession | null> {
    const escrow = { address: this.#at("Escrow"), abi: EscrowAbi } as const;
    const [session, closingSince] = await reached(async () => Promise.all([
      this.#client.readContract({ ...escrow, functionName: "sessionOf", args: [sessionId] }),
      this.#client.readContract({ ...escrow, functionName: "closingSince", args: [sessionId] }),
    ]));
    if (isZero(session.payer)) return await this.#request(sessionId);
    return {
      mode: session.mode, relayerId: session.relayerId, lock: session.lock - session.charged - session.forced, reserved: session.reserved,
      charged: session.charged, maxTotal: session.maxTotal, bucketLevel: session.bucketLevel, validUntil: session.validUntil, closing: closingSince !== 0,
    };
  }

  /**
   * The gateway knows a request by the hash of its terms alone. While it is pending its whole maxFee lies there, so that the
   * order's own maxFee, which the hash binds, is the only bound left.
   */
  async #request(requestId: Address): Promise<ChainSession | null> {
    const gateway = this.#access.contracts["InferenceGateway"];
    if (!gateway) return null;
    const state = await reached(async () => this.#client.readContract({ address: lower(gateway), abi: InferenceGatewayAbi, functionName: "stateOf", args: [requestId] }));
    if (state === 0) return null;
    return {
      mode: Mode.REQUEST, relayerId: 0, lock: UINT96_MAX, reserved: 0n, charged: 0n, maxTotal: UINT96_MAX, bucketLevel: 0n, validUntil: SECONDS_MAX,
      closing: state !== REQUEST_PENDING,
    };
  }

  async tideMultiplier(relayerId: number, modelId: Address): Promise<TideMultiplier> {
    const board = this.#access.contracts["SaturationBoard"];
    if (!board) return TIDE_ONE;
    return await reached(async () => this.#client.readContract({ address: lower(board), abi: SaturationBoardAbi, functionName: "tideMultiplier", args: [relayerId, modelId] }));
  }

  /** The registry keeps the text's hash only: the text itself is found in the event that set it. */
  async relayerEndpoint(relayerId: number): Promise<string | null> {
    const { endpointHash } = await reached(async () => this.#client.readContract({ address: this.#at("RelayerRegistry"), abi: RelayerRegistryAbi, functionName: "relayerOf", args: [relayerId] }));
    if (/^0x0{64}$/.test(endpointHash)) return null;
    const isIt = (endpoint: string | undefined): endpoint is string => endpoint !== undefined && keccak256(stringToHex(endpoint)) === endpointHash;
    const first = BigInt(this.#access.deploymentBlock ?? 0);
    let to = await reached(async () => this.#client.getBlockNumber({ cacheTime: 0 }));
    for (let searches = 0; to >= first && searches < SEARCHES_MAX; searches++, to -= SEARCH_BLOCKS) {
      const from = to - SEARCH_BLOCKS + 1n;
      const events = await reached(async () => this.#client.getContractEvents({
        address: this.#at("RelayerRegistry"), abi: RelayerRegistryAbi, eventName: "RelayerProfileSet", args: { relayerId }, fromBlock: from > first ? from : first, toBlock: to,
      }));
      const endpoint = events.map((event) => event.args.endpoint).findLast(isIt);
      if (endpoint !== undefined) return endpoint;
    }
    throw new TidelaneError(`The event that set relayer ${relayerId}'s endpoint is not found; list its URL instead.`, { code: "endpoint_not_found", retryable: true, details: { relayerId } });
  }

  async provenEarned(relayerId: number, nodeId: number): Promise<bigint> {
    const tab = await reached(async () => this.#client.readContract({ address: this.#at("Escrow"), abi: EscrowAbi, functionName: "tabOf", args: [relayerId, nodeId] }));
    return tab.provenEarned;
  }

  async #key(registry: "NodeRegistry" | "RelayerRegistry", id: number, epoch: number): Promise<ChainKey | null> {
    const found = await reached(async () => this.#client.readContract({
      address: this.#at(registry), abi: registry === "NodeRegistry" ? NodeRegistryAbi : RelayerRegistryAbi, functionName: "keyOf", args: [id, epoch],
    }));
    return isZero(found.key) ? null : { key: lower(found.key), openedAt: found.openedAt, closedAt: found.closedAt };
  }

  #at(name: string): Address {
    return contract(this.#access, name);
  }
}

function contract(access: ChainAccess, name: string): Address {
  const address = access.contracts[name];
  if (!address) throw new TidelaneError(`The deployment names no ${name}.`, { code: "incomplete_deployment", details: { name } });
  return lower(address);
}

async function reached<Result>(call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof TidelaneError) throw error;
    const message = error instanceof BaseError ? error.shortMessage : String(error);
    throw new TidelaneError(`The chain cannot be reached, or did not answer as expected: ${message}`, { code: "chain_unreachable", retryable: true, cause: error });
  }
}

const lower = (address: string): Address => address.toLowerCase() as Address;
const isZero = (address: string): boolean => /^0x0{40}$/.test(address);
