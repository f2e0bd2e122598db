// The chain as a payer reads it, and the owner's own transactions, through viem.
import { BaseError, ContractFunctionRevertedError, createPublicClient, createWalletClient, encodeFunctionData, fallback, http, parseAbi, type Abi, type PublicClient } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { DepositBoxesAbi } from "../../protocol/generated/abi/DepositBoxes.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
import { NodeRegistryAbi } from "../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { TransferProofsAbi } from "../../protocol/generated/abi/TransferProofs.ts";
import { digest, type Domain } from "../../protocol/typedData.ts";
import { signerOfKey } from "../../protocol/signing.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Address, Hash, Hex } from "../../protocol/units.ts";
import type { Owner, OwnerChain, PayerChain } from "../ports.ts";
import { permitFor } from "./permit.ts";
import { creditTransfers } from "./transfers.ts";

export interface ChainAccess {
  readonly rpcUrls: readonly string[];
  readonly chainId: number;
  /** By name: BatchSettlement, Escrow, NodeRegistry, RelayerRegistry, payToken; DepositBoxes and TransferProofs for deposits by transfer. */
  readonly contracts: Readonly<Record<string, Address>>;
}

const TIMEOUT_MS = 10_000;
export const MINED_TIMEOUT_MS = 180_000;
export const tokenAbi = parseAbi([
  "function balanceOf(address) view returns (uint256)", "function allowance(address,address) view returns (uint256)", "function decimals() view returns (uint8)",
  "function symbol() view returns (string)", "function approve(address,uint256) returns (bool)",
]);
/** Lets viem name the contracts' own errors, wherever in a call they were raised. */
const everyError = [...EscrowAbi, ...DepositBoxesAbi, ...TransferProofsAbi, ...BatchSettlementAbi, ...NodeRegistryAbi, ...RelayerRegistryAbi, ...InferenceGatewayAbi].filter((item) => item.type === "error") as unknown as Abi;

export function payerChain(access: ChainAccess): PayerChain {
  const client = reader(access);
  const keys = new Map<string, Address>();
  const keyOf = async (registry: "NodeRegistry" | "RelayerRegistry", id: number, epoch: number): Promise<Address | null> => {
    const name = `${registry} ${id} ${epoch}`;
    const known = keys.get(name);
    if (known) return known;
    const found = await reached(async () => client.readContract({
      address: contract(access, registry), abi: registry === "NodeRegistry" ? NodeRegistryAbi : RelayerRegistryAbi, functionName: "keyOf", args: [id, epoch],
    }));
    const key = lower(found.key);
    if (/^0x0{40}$/.test(key)) return null;
    if (keys.size >= 10_000) keys.clear();
    keys.set(name, key);
    return key;
  };
  return {
    domain: domainOf(access),
    async session(sessionId) {
      const escrow = { address: contract(access, "Escrow"), abi: EscrowAbi } as const;
      const [session, closingSinceSeconds] = await reached(async () => Promise.all([
        client.readContract({ ...escrow, functionName: "sessionOf", args: [sessionId] }), client.readContract({ ...escrow, functionName: "closingSince", args: [sessionId] }),
      ]));
      if (/^0x0{40}$/.test(session.payer)) return null;
      return { payer: lower(session.payer), lock: session.lock, charged: session.charged, reserved: session.reserved, closingSinceSeconds };
    },
    nodeKey: (nodeId, epoch) => keyOf("NodeRegistry", nodeId, epoch),
    relayerKey: (relayerId, epoch) => keyOf("RelayerRegistry", relayerId, epoch),
  };
}

export const domainOf = (access: ChainAccess): Domain => ({ chainId: access.chainId, verifyingContract: contract(access, "BatchSettlement") });

/** An owner whose key is at hand. The key stays inside. */
export function ownerOfKey(privateKey: Hex): Owner {
  const signer = signerOfKey(privateKey);
  return { address: signer.address, signAuthorization: (domain, authorization) => signer.sign(digest(domain, "SpendingAuthorization", authorization)) };
}

/** Sends calls with a key and waits for their blocks. @throws `transaction_reverted` with the contract's reason, `wrong_chain`, retryable `chain_unreachable` */
export interface Sender {
  readonly address: Address;
  /** @param value wei to send along; none where it is left out */
  send(to: Address, abi: Abi, functionName: string, args: readonly unknown[], value?: bigint): Promise<Hash>;
}

export function senderOf(access: ChainAccess, privateKey: Hex): Sender {
  const client = reader(access);
  const account = privateKeyToAccount(privateKey);
  const wallet = createWalletClient({ account, transport: transportOf(access) });
  return {
    address: lower(account.address),
    async send(address, abi, functionName, args, value = 0n) {
      await expectChain(client, access.chainId);
      return reached(async () => {
        const { request } = await client.simulateContract({ account, address, abi: [...abi, ...everyError], functionName, args, value });
        const hash = await wallet.writeContract({ ...request, chain: null });
        const receipt = await client.waitForTransactionReceipt({ hash, timeout: MINED_TIMEOUT_MS });
        if (receipt.status !== "success") throw new TidelaneError(`The transaction ${hash} was mined, but reverted.`, { code: "transaction_reverted", details: { hash } });
        return hash;
      });
    },
  };
}

/** The owner's transactions, sent with its key. */
export function ownerChain(access: ChainAccess, privateKey: Hex): OwnerChain {
  const client = reader(access);
  const { address: owner, send } = senderOf(access, privateKey);
  const escrow = contract(access, "Escrow");
  const token = contract(access, "payToken");
  const allowance = (): Promise<bigint> => reached(async () => client.readContract({ address: token, abi: tokenAbi, functionName: "allowance", args: [owner, escrow] }));
  const allow = async (amount: bigint): Promise<void> => {
    if (await allowance() < amount) await send(token, tokenAbi as unknown as Abi, "approve", [escrow, amount]);
  };
  /** The call that pays in: with a permit where that saves the approval's transaction. */
  const payIn = async (amount: bigint): Promise<{ functionName: string; args: readonly unknown[] }> => {
    const permit = await allowance() < amount ? await reached(async () => permitFor(client, privateKeyToAccount(privateKey), token, escrow, amount)) : null;
    if (permit) return { functionName: "depositWithPermit", args: [amount, permit.deadline, permit.v, permit.r, permit.s] };
    await allow(amount);
    return { functionName: "deposit", args: [amount] };
  };
  return {
    owner,
    async balances() {
      const read = { address: token, abi: tokenAbi } as const;
      const [wallet_, free, decimals, symbol] = await reached(async () => Promise.all([
        client.readContract({ ...read, functionName: "balanceOf", args: [owner] }),
        client.readContract({ address: escrow, abi: EscrowAbi, functionName: "freeBalanceOf", args: [owner] }),
        client.readContract({ ...read, functionName: "decimals" }), client.readContract({ ...read, functionName: "symbol" }),
      ]));
      return { wallet: wallet_, free, decimals, symbol };
    },
    async deposit(amount) {
      const { functionName, args } = await payIn(amount);
      return send(escrow, EscrowAbi as unknown as Abi, functionName, args);
    },
    async depositFor(payer, amount) {
      await allow(amount);
      return send(escrow, EscrowAbi as unknown as Abi, "depositFor", [payer, amount]);
    },
    async depositAndOpen(amount, authorization, signature) {
      const calls = [await payIn(amount), { functionName: "openSession", args: [authorization, signature] }];
      return send(escrow, EscrowAbi as unknown as Abi, "multicall", [calls.map((call) => encodeFunctionData({ abi: EscrowAbi as unknown as Abi, ...call }))]);
    },
    boxOf: (payer) => reached(async () => lower(await client.readContract({ address: contract(access, "DepositBoxes"), abi: DepositBoxesAbi, functionName: "boxOf", args: [payer] }))),
    collect: (payer) => send(contract(access, "DepositBoxes"), DepositBoxesAbi as unknown as Abi, "collect", [payer]),
    creditTransfers: (transaction) => reached(() => creditTransfers({ client, transferProofs: contract(access, "TransferProofs"), payToken: token, escrow, send }, transaction)),
    withdraw: (amount, to) => send(escrow, EscrowAbi as unknown as Abi, "withdraw", [amount, to]),
    openSession: (authorization, signature) => send(escrow, EscrowAbi as unknown as Abi, "openSession", [authorization, signature]),
    topUp: (sessionId, amount) => send(escrow, EscrowAbi as unknown as Abi, "topUp", [sessionId, amount]),
    revoke: (sessionId) => send(escrow, EscrowAbi as unknown as Abi, "revoke", [sessionId]),
    closeSession: (sessionId) => send(escrow, EscrowAbi as unknown as Abi, "closeSession", [sessionId]),
    releaseLock: (sessionId) => send(escrow, EscrowAbi as unknown as Abi, "releaseLock", [sessionId]),
  };
}

export const reader = (access: ChainAccess): PublicClient => createPublicClient({ transport: transportOf(access), pollingInterval: 500 });

export const transportOf = (access: ChainAccess) => fallback(access.rpcUrls.map((url) => http(url, { timeout: TIMEOUT_MS, retryCount: 1 })));

/** Money must not be sent to a namesake contract on another chain. */
export async function expectChain(client: PublicClient, chainId: number): Promise<void> {
  const found = await reached(async () => client.getChainId());
  if (found !== chainId) throw new TidelaneError(`The node at the given RPC address serves chain ${found}; the deployment is on chain ${chainId}.`, { code: "wrong_chain", details: { found, expected: chainId } });
}

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

export function contract(access: ChainAccess, name: string): Address {
  const address = access.contracts[name];
  if (!address) throw new TidelaneError(`The deployment names no ${name}.`, { code: "incomplete_deployment", details: { name } });
  return lower(address);
}

export const lower = (address: string): Address => address.toLowerCase() as Address;
