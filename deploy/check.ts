// What of a live deployment is not as its parameter file says: code, bounds, roles, windows and wiring.
//
// All of them are immutables, and an immutable is a constant in the deployed code. So the code itself is read, not what a getter
// says: outside of its immutables it must be, byte for byte, what these sources compile to, and each immutable must hold what
// the parameters and the addresses of the other contracts come to.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { encodeFunctionData, getContractAddress, hexToNumber, keccak256, numberToHex, padHex, type Abi } from "viem";
import { EscrowAbi } from "../protocol/generated/abi/Escrow.ts";
import { TideTokenAbi } from "../protocol/generated/abi/TideToken.ts";
import { domainSeparator } from "../protocol/typedData.ts";
import type { Address, Hash, Hex } from "../protocol/units.ts";
import { artifacts, compile } from "./artifacts.ts";
import { CONTRACT_NAMES, type Addresses, type Parameters } from "./plan.ts";
import { rpc } from "./provider.ts";

/** One thing that differs. `what` is `chain`, `address`, `code`, `trackedBalance`, or the name of an immutable in the sources. */
export interface Difference {
  readonly contract: string;
  readonly what: string;
  readonly expected: string;
  readonly found: string;
}

export interface CheckOptions {
  readonly rpcUrl: string;
  readonly parameters: Parameters;
  readonly addresses: Addresses;
}

interface Immutable {
  readonly name: string;
  /** Byte offsets in the deployed code; each place holds the same 32 bytes. */
  readonly starts: readonly number[];
}

/** What a contract's sources come to. */
interface Compiled {
  readonly code: Hex;
  readonly immutables: readonly Immutable[];
}

const ZERO: Address = `0x${"0".repeat(40)}`;
const WORD_BYTES = 32;
/** The test token's own; whoever deployed it, and OpenZeppelin's cache of its domain. */
const OF_TEST_TOKENS = /^(minter|_cached\w+|_hashed\w+|_name|_version)$/;

/**
 * Compares a deployment with its parameters.
 * @returns every difference, in the order of deployment; empty where nothing differs.
 * @throws TidelaneError `chain_unreachable` (retryable), `compilation_failed`.
 */
export async function differences({ rpcUrl, parameters, addresses }: CheckOptions): Promise<readonly Difference[]> {
  const chainId = hexToNumber(await rpc(rpcUrl, "eth_chainId", []) as Hex);
  if (chainId !== addresses.chainId) return [{ contract: "-", what: "chain", expected: String(addresses.chainId), found: String(chainId) }];
  await compile();
  const values = valuesOf(parameters, addresses);
  const perContract = await Promise.all(CONTRACT_NAMES.map((name) => ofContract(rpcUrl, name, addresses.contracts[name], values)));
  const box = await ofContract(rpcUrl, "DepositBox", implementationOf(addresses), values);
  const found = [...await ofTokens(rpcUrl, parameters, addresses), ...perContract.flat(), ...box];
  return found.length > 0 ? found : ofBooks(rpcUrl, addresses);
}

/** What each immutable must hold, by its name in the sources: one name means one thing in all contracts. */
function valuesOf(parameters: Parameters, { chainId, contracts }: Addresses): ReadonlyMap<string, Hex> {
  const word = (value: bigint | number): Hex => numberToHex(value, { size: WORD_BYTES });
  const at = (name: string): Hex => padHex(contracts[name] ?? ZERO, { size: WORD_BYTES });
  const settlement = contracts["BatchSettlement"] ?? ZERO;
  const named = CONTRACT_NAMES.map((name): [string, Hex] => [name[0]!.toLowerCase() + name.slice(1), at(name)]);
  return new Map<string, Hex>([
    ...named,
    // The Escrow is told of no gateway: the gateway keeps its own money.
    ["inferenceGateway", word(0)],
    ["payToken", at("payToken")], ["stakeToken", at("stakeToken")], ["guardian", padHex(parameters.guardian, { size: WORD_BYTES })],
    ["windowSeconds", word(parameters.windowSeconds)], ["epochSeconds", word(parameters.epochSeconds)], ["leverage", word(parameters.leverage)],
    ["stakePerSlot", word(parameters.stakePerSlot)], ["challengeBond", word(parameters.challengeBond)], ["minimumPenalty", word(parameters.minimumPenalty)],
    ["verifyingContract", at("BatchSettlement")], ["deployedChainId", word(chainId)],
    ["deployedSeparator", domainSeparator({ chainId, verifyingContract: settlement })],
    ["implementation", padHex(implementationOf({ contracts }), { size: WORD_BYTES })], ["boxes", at("DepositBoxes")],
  ]);
}

/** DepositBoxes makes the one implementation of its boxes in its constructor: the first contract of that account. */
const implementationOf = ({ contracts }: Pick<Addresses, "contracts">): Address =>
  getContractAddress({ from: contracts["DepositBoxes"] ?? ZERO, nonce: 1n }).toLowerCase() as Address;

async function ofContract(rpcUrl: string, contract: string, address: Address | undefined, values: ReadonlyMap<string, Hex>): Promise<Difference[]> {
  if (address === undefined) return [{ contract, what: "address", expected: "an address", found: "not named in the addresses file" }];
  const found = await codeAt(rpcUrl, address);
  const compiled = await compiledOf(contract);
  const wrongCode = ofCode(contract, address, compiled, found);
  if (wrongCode) return [wrongCode];
  return compiled.immutables.flatMap(({ name, starts }) => {
    const expected = values.get(name) ?? "no value known for that name";
    // A constructor writes all places of an immutable at once; a forged one might not.
    const odd = starts.map((start) => wordAt(found, start)).find((value) => value !== expected);
    return odd === undefined ? [] : [{ contract, what: name, expected: readable(expected), found: readable(odd) }];
  });
}

/** Tokens that exist already are taken as they are; test tokens must be ours. */
async function ofTokens(rpcUrl: string, parameters: Parameters, { contracts }: Addresses): Promise<readonly Difference[]> {
  const perToken = await Promise.all((["payToken", "stakeToken"] as const).map(async (role): Promise<Difference[]> => {
    const address = contracts[role];
    const expected = parameters.tokens?.[role];
    if (address === undefined) return [{ contract: role, what: "address", expected: expected ?? "an address", found: "not named in the addresses file" }];
    if (expected !== undefined && expected !== address) return [{ contract: role, what: "address", expected, found: address }];
    const code = await codeAt(rpcUrl, address);
    if (expected !== undefined) return code === "0x" ? [{ contract: role, what: "code", expected: "a contract", found: `no code at ${address}` }] : [];
    const compiled = await compiledOf("TideToken");
    const foreign = compiled.immutables.find(({ name }) => !OF_TEST_TOKENS.test(name));
    if (foreign) return [{ contract: role, what: foreign.name, expected: "no such immutable", found: "unknown" }];
    const wrong = ofCode(role, address, compiled, code);
    return wrong ? [wrong] : [];
  }));
  return perToken.flat();
}

/** The invariant that a live Escrow must show: all its books together are covered by tokens. */
async function ofBooks(rpcUrl: string, { contracts }: Addresses): Promise<readonly Difference[]> {
  const [escrow, payToken] = [contracts["Escrow"]!, contracts["payToken"]!];
  const call = async (to: Address, abi: Abi, functionName: string, args: readonly unknown[] = []): Promise<bigint> =>
    BigInt(await rpc(rpcUrl, "eth_call", [{ to, data: encodeFunctionData({ abi, functionName, args }) }, "latest"]) as Hex);
  const [tracked, held] = await Promise.all([call(escrow, EscrowAbi as unknown as Abi, "trackedBalance"), call(payToken, TideTokenAbi as unknown as Abi, "balanceOf", [escrow])]);
  return tracked <= held ? [] : [{ contract: "Escrow", what: "trackedBalance", expected: `at most the ${held} that it holds`, found: tracked.toString() }];
}

/** Whether code outside of the immutables differs; hashes are of the code with its immutables zeroed. */
function ofCode(contract: string, address: Address, compiled: Compiled, found: Hex): Difference | null {
  if (found === "0x") return { contract, what: "code", expected: hashOfBlank(compiled.code, compiled), found: `no code at ${address}` };
  const [expected, actual] = [hashOfBlank(compiled.code, compiled), hashOfBlank(found, compiled)];
  return expected === actual ? null : { contract, what: "code", expected, found: actual };
}

function hashOfBlank(code: Hex, { immutables }: Compiled): Hash {
  const bytes = Buffer.from(code.slice(2), "hex");
  // Foreign code may be shorter than the places where ours has them.
  for (const { starts } of immutables) for (const start of starts) bytes.fill(0, Math.min(start, bytes.length), Math.min(start + WORD_BYTES, bytes.length));
  return keccak256(bytes);
}

const codeAt = async (rpcUrl: string, address: Address): Promise<Hex> => await rpc(rpcUrl, "eth_getCode", [address, "latest"]) as Hex;

const wordAt = (code: Hex, start: number): Hex => `0x${code.slice(2 + 2 * start, 2 + 2 * (start + WORD_BYTES))}`;

/** Addresses as addresses, small numbers as numbers, the rest as it stands. */
function readable(word: string): string {
  if (!/^0x[0-9a-f]{64}$/.test(word)) return word;
  const value = BigInt(word);
  if (value < 2n ** 96n) return value === 0n ? "0" : value.toString();
  return value < 2n ** 160n ? `0x${word.slice(26)}` : word;
}

interface ArtifactFile {
  readonly deployedBytecode: Hex;
  readonly immutableReferences?: Readonly<Record<string, readonly { readonly start: number }[]>>;
  readonly buildInfoId?: string;
}

async function compiledOf(contract: string): Promise<Compiled> {
  const { deployedBytecode, immutableReferences = {}, buildInfoId } = await artifacts.loadArtifact(contract) as unknown as ArtifactFile;
  const names = Object.keys(immutableReferences).length === 0 ? new Map<string, string>() : namesOf(buildInfoId ?? "");
  const immutables = Object.entries(immutableReferences).map(([id, places]) => ({ name: names.get(id) ?? `immutable ${id}`, starts: places.map(({ start }) => start) }));
  return { code: deployedBytecode, immutables };
}

interface AstNode {
  readonly id: number;
  readonly nodeType: string;
  readonly name?: string;
  readonly mutability?: string;
  readonly nodes?: readonly AstNode[];
}

const namesByBuild = new Map<string, ReadonlyMap<string, string>>();

/** Names of a build's immutables by the ids that its artifacts use. */
function namesOf(buildInfoId: string): ReadonlyMap<string, string> {
  const known = namesByBuild.get(buildInfoId);
  if (known) return known;
  const file = join(import.meta.dirname, "..", "artifacts", "build-info", `${buildInfoId}.output.json`);
  const { output } = JSON.parse(readFileSync(file, "utf8")) as { output: { sources: Record<string, { ast: AstNode }> } };
  const contracts = Object.values(output.sources).flatMap(({ ast }) => ast.nodes ?? []).filter(({ nodeType }) => nodeType === "ContractDefinition");
  const variables = contracts.flatMap(({ nodes }) => nodes ?? []).filter(({ mutability }) => mutability === "immutable");
  const names = new Map(variables.map(({ id, name }) => [String(id), name ?? ""]));
  namesByBuild.set(buildInfoId, names);
  return names;
}
