// Puts the accounts of a local network on chain: gas, tokens, registrations, stakes, a payer's deposit. Each for real, each once.
import { createPublicClient, createWalletClient, encodeFunctionData, http, type Abi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { NodeRegistryAbi } from "../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
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
/** What the payer keeps in the wallet, for contracts that ask. */
const POCKET = 1_000_000_000n;
const RELAYER_BOND = 50_000_000_000n;
/** Behind commits to open requests: 20 at a time, at the local minimum penalty. */
const COMMIT_BOND = 1_000_000_000n;
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

/** What the chain says of an account of this network. */
interface Standing {
  readonly key: Hex;
  readonly gas: bigint;
  readonly payTokens: bigint;
  readonly stakeTokens: bigint;
}

/** Three blocks for everybody: gas and tokens, registrations, bonds and the payer's deposit. What is there already is left alone. */
export async function setUpAccounts(setup: Setup): Promise<Ids> {
  await send(setup, await funding(setup));
  const before = await idsOnChain(setup);
  await send(setup, await registrations(setup, before));
  const ids = await idsOnChain(setup);
  if (ids.relayerId === 0 || Object.values(ids.nodeIds).includes(0)) {
    throw new TidelaneError("the registrations were mined, and yet the registries do not know them", { code: "setup_failed" });
  }
  await send(setup, [...await bonds(setup, ids), ...await commitBond(setup, ids), ...await deposit(setup)]);
  return ids;
}

const reading = (setup: Setup) => createPublicClient({ transport: http(setup.rpcUrl) });

/** 0 stands for who is not registered yet. */
async function idsOnChain(setup: Setup): Promise<Ids> {
  const holder = async (registry: string, abi: Abi, key: Hex): Promise<number> =>
    await reading(setup).readContract({ address: contract(setup, registry), abi, functionName: "holderOf", args: [addressOf(key)] }) as number;
  const nodeIds = await Promise.all(setup.nodes.map(async (node) =>
    [node.name, await holder("NodeRegistry", NodeRegistryAbi as Abi, setup.keys.nodes[node.name]!.hot)] as const));
  return { relayerId: await holder("RelayerRegistry", RelayerRegistryAbi as Abi, setup.keys.relayer.signer), nodeIds: Object.fromEntries(nodeIds) };
}

async function standingOf(setup: Setup, key: Hex): Promise<Standing> {
  const client = reading(setup);
  const balance = (token: string): Promise<bigint> =>
    client.readContract({ address: contract(setup, token), abi: TideTokenAbi, functionName: "balanceOf", args: [addressOf(key)] });
  const [gas, payTokens, stakeTokens] = await Promise.all([client.getBalance({ address: addressOf(key) }), balance("payToken"), balance("stakeToken")]);
  return { key, gas, payTokens, stakeTokens };
}

const bondOf = (setup: Setup, party: number, id: number): Promise<bigint> => reading(setup).readContract({
  address: contract(setup, "BondVault"), abi: BondVaultAbi, functionName: "activeBondOf", args: [party, id],
});

const freeBalance = (setup: Setup): Promise<bigint> => reading(setup).readContract({
  address: contract(setup, "Escrow"), abi: EscrowAbi, functionName: "freeBalanceOf", args: [addressOf(setup.keys.payer.owner)],
});

/** Gas for everybody, and the tokens that each still has to bond or deposit. */
async function funding(setup: Setup): Promise<Call[]> {
  const { keys } = setup;
  const ids = await idsOnChain(setup);
  const mint = (token: string, key: Hex, amount: bigint): Call => ({
    key: WELL_KNOWN_TEST_KEY, what: "mint test tokens", to: contract(setup, token),
    data: encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [addressOf(key), amount] }),
  });
  const owners = [keys.payer.owner, keys.relayer.owner, keys.relayer.poster, ...setup.nodes.map((node) => keys.nodes[node.name]!.owner)];
  const standings = new Map((await Promise.all(owners.map((key) => standingOf(setup, key)))).map((standing) => [standing.key, standing]));
  const calls = [...standings.values()].filter((standing) => standing.gas < GAS_WEI / 2n)
    .map((standing): Call => ({ key: WELL_KNOWN_TEST_KEY, what: "fund an account with gas", to: addressOf(standing.key), value: GAS_WEI }));
  if (standings.get(keys.payer.owner)!.payTokens === 0n && await freeBalance(setup) === 0n) calls.push(mint("payToken", keys.payer.owner, DEPOSIT + POCKET));
  const relayerLacks = RELAYER_BOND - (ids.relayerId === 0 ? 0n : await bondOf(setup, Party.RELAYER, ids.relayerId)) + await commitBondLacking(setup, ids);
  if (standings.get(keys.relayer.owner)!.payTokens < relayerLacks) calls.push(mint("payToken", keys.relayer.owner, relayerLacks));
  for (const node of setup.nodes) {
    const id = ids.nodeIds[node.name]!;
    const lacks = node.stake - (id === 0 ? 0n : await bondOf(setup, Party.NODE, id));
    if (standings.get(keys.nodes[node.name]!.owner)!.stakeTokens < lacks) calls.push(mint("stakeToken", keys.nodes[node.name]!.owner, lacks));
  }
  return calls;
}

async function registrations(setup: Setup, ids: Ids): Promise<Call[]> {
  const { keys } = setup;
  const calls: Call[] = ids.relayerId !== 0 ? [] : [{
    key: keys.relayer.owner, what: "register the relayer", to: contract(setup, "RelayerRegistry"),
    data: encodeFunctionData({
      abi: RelayerRegistryAbi, functionName: "register",
      args: [addressOf(keys.relayer.poster), addressOf(keys.relayer.signer), RELAYER_FEE_BPS, setup.relayerEndpoint, await consent(setup, "RelayerRegistry", keys.relayer.owner, keys.relayer.signer)],
    }),
  }];
  for (const node of setup.nodes.filter((one) => ids.nodeIds[one.name] === 0)) {
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

async function bonds(setup: Setup, ids: Ids): Promise<Call[]> {
  const bond = async (key: Hex, token: string, party: number, id: number, amount: bigint): Promise<Call[]> => {
    const lacks = amount - await bondOf(setup, party, id);
    return lacks <= 0n ? [] : [
      approve(key, contract(setup, token), contract(setup, "BondVault"), lacks),
      { key, what: "bond", to: contract(setup, "BondVault"), data: encodeFunctionData({ abi: BondVaultAbi, functionName: "bond", args: [party, id, lacks] }) },
    ];
  };
  const all = await Promise.all([
    bond(setup.keys.relayer.owner, "payToken", Party.RELAYER, ids.relayerId, RELAYER_BOND),
    ...setup.nodes.map((node) => bond(setup.keys.nodes[node.name]!.owner, "stakeToken", Party.NODE, ids.nodeIds[node.name]!, node.stake)),
  ]);
  return all.flat();
}

/** Penalties of commits that are still open lie in it too, so it is topped up once half of it is gone for good. */
async function commitBondLacking(setup: Setup, { relayerId }: Ids): Promise<bigint> {
  const { commitBond } = await reading(setup).readContract({
    address: contract(setup, "InferenceGateway"), abi: InferenceGatewayAbi, functionName: "relayerAccountOf", args: [relayerId],
  });
  return commitBond < COMMIT_BOND / 2n ? COMMIT_BOND - commitBond : 0n;
}

async function commitBond(setup: Setup, ids: Ids): Promise<Call[]> {
  const key = setup.keys.relayer.owner;
  const lacks = await commitBondLacking(setup, ids);
  return lacks === 0n ? [] : [
    approve(key, contract(setup, "payToken"), contract(setup, "InferenceGateway"), lacks),
    { key, what: "bond commits", to: contract(setup, "InferenceGateway"), data: encodeFunctionData({ abi: InferenceGatewayAbi, functionName: "bondCommits", args: [ids.relayerId, lacks] }) },
  ];
}

/** Once: what the payer takes out again, or spends to the end, is the payer's business. */
async function deposit(setup: Setup): Promise<Call[]> {
  const key = setup.keys.payer.owner;
  const amount = (await standingOf(setup, key)).payTokens - POCKET;
  return amount <= 0n || await freeBalance(setup) > 0n ? [] : [
    approve(key, contract(setup, "payToken"), contract(setup, "Escrow"), amount),
    { key, what: "deposit", to: contract(setup, "Escrow"), data: encodeFunctionData({ abi: EscrowAbi, functionName: "deposit", args: [amount] }) },
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
