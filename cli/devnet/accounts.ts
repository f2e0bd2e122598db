// Puts the accounts of a local network on chain: gas, tokens, registrations, stakes, a payer's deposit. Each for real, each once.
import { createPublicClient, createWalletClient, encodeFunctionData, http, type Abi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { NodeRegistryAbi } from "../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { modelIdOf } from "../../protocol/ids.ts";
import { signerOfKey, signStruct } from "../../protocol/signing.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Domain } from "../../protocol/typedData.ts";
import type { Address, Hex } from "../../protocol/units.ts";
import { WELL_KNOWN_TEST_KEY, type DevnetKeys } from "./keys.ts";
import type { NodeSpec } from "./fleet.ts";

export interface Setup {
  readonly rpcUrl: string;
  readonly chainId: number;
  readonly contracts: Readonly<Record<string, Address>>;
  readonly keys: DevnetKeys;
  readonly nodes: readonly NodeSpec[];
  readonly relayerEndpoint: string;
}

export interface Ids {
  readonly relayerId: number;
  /** Node id by name. */
  readonly nodeIds: Readonly<Record<string, number>>;
}

const GAS_WEI = 10n ** 20n;
/** 10,000 tokens with 6 decimals. */
const DEPOSIT = 10_000_000_000n;
const RELAYER_BOND = 50_000_000_000n;
const RELAYER_FEE_BPS = 300;
/** More than any single call here needs; calls of one account are sent together, before the earlier ones can be simulated. */
const GAS_LIMIT = 2_000_000n;

interface Call {
  readonly key: Hex;
  readonly what: string;
  readonly to: Address;
  readonly data?: Hex;
  readonly value?: bigint;
}

/** Three blocks for everybody: gas and tokens, registrations, bonds and the payer's deposit. What is there already is left alone. */
export async function setUpAccounts(setup: Setup): Promise<Ids> {
  const known = await idsOnChain(setup);
  if (known) return known;
  await send(setup, funding(setup));
  await send(setup, await registrations(setup));
  const ids = await idsOnChain(setup);
  if (!ids) throw new TidelaneError("the registrations were mined, and yet the registries do not know them", { code: "setup_failed" });
  await send(setup, [...bonds(setup, ids), ...deposit(setup)]);
  return ids;
}

/** @returns the ids where relayer and nodes are all registered, else null. */
async function idsOnChain(setup: Setup): Promise<Ids | null> {
  const client = createPublicClient({ transport: http(setup.rpcUrl) });
  const holder = async (registry: string, abi: Abi, key: Hex): Promise<number> =>
    await client.readContract({ address: contract(setup, registry), abi, functionName: "holderOf", args: [addressOf(key)] }) as number;
  const relayerId = await holder("RelayerRegistry", RelayerRegistryAbi as Abi, setup.keys.relayer.signer);
  const nodeIds = Object.fromEntries(await Promise.all(setup.nodes.map(async (node) =>
    [node.name, await holder("NodeRegistry", NodeRegistryAbi as Abi, setup.keys.nodes[node.name]!.hot)] as const)));
  return relayerId === 0 || Object.values(nodeIds).includes(0) ? null : { relayerId, nodeIds };
}

function funding(setup: Setup): Call[] {
  const { keys } = setup;
  const gas = [keys.payer.owner, keys.relayer.owner, keys.relayer.poster, ...Object.values(keys.nodes).map((node) => node.owner)]
    .map((key): Call => ({ key: WELL_KNOWN_TEST_KEY, what: "fund an account with gas", to: addressOf(key), value: GAS_WEI }));
  const mint = (token: Address, key: Hex, amount: bigint): Call => ({
    key: WELL_KNOWN_TEST_KEY, what: "mint test tokens", to: token,
    data: encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [addressOf(key), amount] }),
  });
  const pay = contract(setup, "payToken");
  const stake = contract(setup, "stakeToken");
  return [
    ...gas, mint(pay, keys.payer.owner, DEPOSIT), mint(pay, keys.relayer.owner, RELAYER_BOND),
    ...setup.nodes.map((node) => mint(stake, keys.nodes[node.name]!.owner, node.stake)),
  ];
}

async function registrations(setup: Setup): Promise<Call[]> {
  const { keys } = setup;
  const calls: Call[] = [{
    key: keys.relayer.owner, what: "register the relayer", to: contract(setup, "RelayerRegistry"),
    data: encodeFunctionData({
      abi: RelayerRegistryAbi, functionName: "register",
      args: [addressOf(keys.relayer.poster), addressOf(keys.relayer.signer), RELAYER_FEE_BPS, setup.relayerEndpoint, await consent(setup, "RelayerRegistry", keys.relayer.owner, keys.relayer.signer)],
    }),
  }];
  for (const node of setup.nodes) {
    const { owner, hot } = keys.nodes[node.name]!;
    const offers = node.models.map((model) => ({ modelId: modelIdOf(model.name), priceInPerMTok: model.priceInPerMTok, priceOutPerMTok: model.priceOutPerMTok }));
    calls.push({
      key: owner, what: `register node ${node.name}`, to: contract(setup, "NodeRegistry"),
      data: encodeFunctionData({
        abi: NodeRegistryAbi, functionName: "register",
        args: [{ payout: addressOf(owner), hardwareClass: node.hardwareClass, agentId: 0n }, addressOf(hot), offers, await consent(setup, "NodeRegistry", owner, hot)],
      }),
    });
  }
  return calls;
}

/** The key itself agrees to stand in the registry for the owner. */
function consent(setup: Setup, registry: string, owner: Hex, key: Hex): Promise<Hex> {
  const domain: Domain = { chainId: setup.chainId, verifyingContract: contract(setup, "BatchSettlement") };
  return signStruct(signerOfKey(key), domain, "KeyConsent", { registry: contract(setup, registry), owner: addressOf(owner), key: addressOf(key) });
}

const Party = { NODE: 0, RELAYER: 1 } as const;

function bonds(setup: Setup, ids: Ids): Call[] {
  const bond = (key: Hex, token: Address, party: number, id: number, amount: bigint): Call[] => [
    approve(key, token, contract(setup, "BondVault"), amount),
    { key, what: "bond", to: contract(setup, "BondVault"), data: encodeFunctionData({ abi: BondVaultAbi, functionName: "bond", args: [party, id, amount] }) },
  ];
  return [
    ...bond(setup.keys.relayer.owner, contract(setup, "payToken"), Party.RELAYER, ids.relayerId, RELAYER_BOND),
    ...setup.nodes.flatMap((node) => bond(setup.keys.nodes[node.name]!.owner, contract(setup, "stakeToken"), Party.NODE, ids.nodeIds[node.name]!, node.stake)),
  ];
}

function deposit(setup: Setup): Call[] {
  const key = setup.keys.payer.owner;
  return [
    approve(key, contract(setup, "payToken"), contract(setup, "Escrow"), DEPOSIT),
    { key, what: "deposit", to: contract(setup, "Escrow"), data: encodeFunctionData({ abi: EscrowAbi, functionName: "deposit", args: [DEPOSIT] }) },
  ];
}

const approve = (key: Hex, token: Address, spender: Address, amount: bigint): Call =>
  ({ key, what: "approve", to: token, data: encodeFunctionData({ abi: TideTokenAbi, functionName: "approve", args: [spender, amount] }) });

/** Sends all calls at once, each account's in order, and waits for every one. @throws `setup_failed` naming what reverted. */
async function send(setup: Setup, calls: readonly Call[]): Promise<void> {
  const reader = createPublicClient({ transport: http(setup.rpcUrl), pollingInterval: 200 });
  const nonces = new Map<Hex, number>();
  const sent: { call: Call; hash: Hex }[] = [];
  for (const call of calls) {
    const account = privateKeyToAccount(call.key);
    const nonce = nonces.get(call.key) ?? await reader.getTransactionCount({ address: account.address, blockTag: "pending" });
    nonces.set(call.key, nonce + 1);
    const wallet = createWalletClient({ account, transport: http(setup.rpcUrl) });
    const hash = await wallet.sendTransaction({ chain: null, to: call.to, nonce, gas: GAS_LIMIT, value: call.value ?? 0n, ...(call.data ? { data: call.data } : {}) });
    sent.push({ call, hash });
  }
  await Promise.all(sent.map(async ({ call, hash }) => {
    const receipt = await reader.waitForTransactionReceipt({ hash, timeout: 30_000 });
    if (receipt.status !== "success") throw new TidelaneError(`could not ${call.what}: the transaction ${hash} reverted`, { code: "setup_failed" });
  }));
}

function contract(setup: Setup, name: string): Address {
  const address = setup.contracts[name];
  if (!address) throw new TidelaneError(`the deployment names no ${name}`, { code: "setup_failed", details: { name } });
  return address;
}

const addressOf = (key: Hex): Address => privateKeyToAccount(key).address.toLowerCase() as Address;
