// One deployment with relayer, nodes, payers and open sessions, and batches with real signatures on it.
import { readFileSync } from "node:fs";
import { concatHex, encodeAbiParameters, getContractAddress, keccak256, numberToHex } from "viem";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { NodeRegistryAbi } from "../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { Mode } from "../../protocol/constants.ts";
import { itemsHash, type Item } from "../../protocol/merkleSum.ts";
import { signerOfKey, signStruct, type DigestSigner } from "../../protocol/signing.ts";
import { hashStruct, type Domain } from "../../protocol/typedData.ts";
import { ZERO_HASH, type Address, type Hash, type Hex, type Signature } from "../../protocol/units.ts";
import type { BatchHeader, SpendingAuthorization, TaskReceipt } from "../../protocol/generated/structs.ts";
import { GasChain } from "./chain.ts";

export const WINDOW_SECONDS = 3_600;
export const EPOCH_SECONDS = 300;
export const RELAYER_ID = 1;
/** Amounts of six decimals, of the size that a batch of chats comes to. */
export const CHARGE = 1_234_567n;
const FEE = 1_200_345n;
export const LARGE = 10n ** 15n;

export interface OpenSession {
  readonly sessionId: Hash;
  readonly mode: number;
  readonly authorization: SpendingAuthorization;
  readonly key: DigestSigner;
  cap: bigint;
}

export interface BenchNode {
  readonly nodeId: number;
  readonly key: DigestSigner;
  cumulative: bigint;
}

export interface World {
  readonly chain: GasChain;
  readonly domain: Domain;
  readonly contracts: Readonly<Record<string, Address>>;
  readonly owner: Address;
  readonly signer: DigestSigner;
  readonly nodes: BenchNode[];
  readonly sessions: OpenSession[];
  lastBatch: { id: bigint; hash: Hash };
}

/** Keys of numbers: test keys, in this process only. */
export const keyOf = (n: number): DigestSigner => signerOfKey(numberToHex(BigInt(n) + 0xbeefn, { size: 32 }));
export const hashOf = (n: number | bigint): Hash => keccak256(numberToHex(n, { size: 32 }));

/** Deploys everything and registers and bonds a relayer; account 0 is everybody's owner and the poster. */
export async function createWorld(): Promise<World> {
  const chain = await GasChain.start();
  const owner = chain.accounts[0]!;
  const contracts = await deployAll(chain, owner);
  const domain: Domain = { chainId: chain.chainId, verifyingContract: contracts["BatchSettlement"]! };
  const world: World = { chain, domain, contracts, owner, signer: keyOf(0), nodes: [], sessions: [], lastBatch: { id: 0n, hash: ZERO_HASH } };
  const token = contracts["token"]!;
  await chain.call(owner, token, TideTokenAbi, "mint", [owner, LARGE * 1_000n]);
  for (const spender of ["Escrow", "BondVault"]) await chain.call(owner, token, TideTokenAbi, "approve", [contracts[spender], LARGE * 1_000n]);
  const consent = await consentOf(world, "RelayerRegistry", world.signer);
  await chain.call(owner, contracts["RelayerRegistry"]!, RelayerRegistryAbi, "register", [owner, world.signer.address, 300, "https://relayer.example", consent]);
  await chain.call(owner, contracts["BondVault"]!, BondVaultAbi, "bond", [1, RELAYER_ID, LARGE]);
  await chain.call(owner, contracts["Escrow"]!, EscrowAbi, "deposit", [LARGE * 10n]);
  return world;
}

/** @returns gas of the registration and of its stake. */
export async function addNode(world: World): Promise<{ register: number; bond: number }> {
  const { chain, contracts, owner } = world;
  const nodeId = world.nodes.length + 1;
  const key = keyOf(1_000 + nodeId);
  const profile = { payout: chain.accounts[1]!, hardwareClass: 1, agentId: 0n };
  const models = [{ modelId: hashOf(7), priceInPerMTok: 100_000n, priceOutPerMTok: 300_000n }];
  const consent = await consentOf(world, "NodeRegistry", key);
  const register = await chain.call(owner, contracts["NodeRegistry"]!, NodeRegistryAbi, "register", [profile, key.address, models, consent]);
  const bond = await chain.call(owner, contracts["BondVault"]!, BondVaultAbi, "bond", [0, nodeId, 1_000_000_000n]);
  world.nodes.push({ nodeId, key, cumulative: 0n });
  return { register, bond };
}

/** @returns gas of the opening. */
export async function addSession(world: World, mode: number): Promise<number> {
  const n = world.sessions.length;
  const key = keyOf(10_000 + n);
  const now = await world.chain.time();
  const authorization: SpendingAuthorization = {
    payer: world.owner, sessionKey: key.address, relayerId: RELAYER_ID, lock: LARGE / 100n, maxTotal: LARGE / 100n,
    maxPerTask: 10_000_000n, maxPerDay: mode === Mode.ALLOWANCE ? LARGE / 1_000n : 0n, maxPriceInPerMTok: 10n ** 9n, maxPriceOutPerMTok: 10n ** 9n,
    maxFeeBps: 500, mode, validAfter: now - 60, validUntil: now + 90 * 86_400, salt: BigInt(hashOf(n)),
  };
  // The well-known first account of the test mnemonic: public, never for real money.
  const payer = signerOfKey("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
  const signature = await signStruct(payer, world.domain, "SpendingAuthorization", authorization);
  const gas = await world.chain.call(world.owner, world.contracts["Escrow"]!, EscrowAbi, "openSession", [authorization, signature]);
  world.sessions.push({ sessionId: hashStruct("SpendingAuthorization", authorization), mode, authorization, key, cap: 0n });
  return gas;
}

/** Settles one change of each of those sessions and tabs. @returns gas used. */
export async function postBatch(world: World, sessions: readonly OpenSession[], nodes: readonly BenchNode[], leafCount: number): Promise<number> {
  return (await postWith(world, sessions, nodes, leafCount, () => ({}))).gas;
}

export interface PostedBatch {
  readonly gas: number;
  readonly header: BatchHeader;
  readonly debits: readonly Item[];
  readonly credits: readonly Item[];
}

/** The same with what a batch's totals call for in its header. */
export async function postWith(
  world: World, sessions: readonly OpenSession[], nodes: readonly BenchNode[], leafCount: number,
  own: (totals: { readonly totalDebit: bigint; readonly totalCredit: bigint }) => Partial<BatchHeader>,
): Promise<PostedBatch> {
  const { chain, contracts, owner, signer, domain } = world;
  const now = await chain.time();
  const byId = sessions.toSorted((a, b) => (a.sessionId < b.sessionId ? -1 : 1));
  const debits = await Promise.all(byId.map((session) => debitOf(world, session)));
  const totalDebit = CHARGE * BigInt(sessions.length);
  // As much as the debits allow at 300 bps, in unequal shares, as tabs are.
  const totalCredit = (totalDebit * FEE) / CHARGE;
  const credits = await Promise.all(nodes.map((node, i) => creditOf(world, node, shareOf(totalCredit, nodes.length, i), now)));
  const debitItems = debits.map((debit): Item => ({ id: debit.sessionId, change: debit.change }));
  const creditItems = credits.map((credit): Item => ({ id: numberToHex(credit.nodeId, { size: 32 }), change: credit.change }));
  const header: BatchHeader = {
    relayerId: RELAYER_ID, relayerEpoch: 1, batchId: world.lastBatch.id + 1n, prevBatchHash: world.lastBatch.hash,
    sessionRoot: hashOf(world.lastBatch.id * 2n), tabRoot: hashOf(world.lastBatch.id * 2n + 1n), leafCount,
    debitsHash: itemsHash(debitItems), creditsHash: itemsHash(creditItems),
    totalDebit, totalCredit, dataHash: hashOf(world.lastBatch.id + 77n), periodStart: now - 60, periodEnd: now, postBy: now + WINDOW_SECONDS / 2,
    ...own({ totalDebit, totalCredit }),
  };
  const signature = await signStruct(signer, domain, "BatchHeader", header);
  const gas = await chain.call(owner, contracts["BatchSettlement"]!, [...BatchSettlementAbi, ...EscrowAbi], "postBatch", [header, signature, debits, credits]);
  world.lastBatch = { id: header.batchId, hash: hashStruct("BatchHeader", header) };
  return { gas, header, debits: debitItems, credits: creditItems };
}

async function debitOf(world: World, session: OpenSession) {
  if (session.mode === Mode.ALLOWANCE) return { sessionId: session.sessionId, change: CHARGE, cumulativeCap: 0n, taskId: ZERO_HASH, r: ZERO_HASH, vs: ZERO_HASH };
  session.cap += CHARGE;
  const voucher = { sessionId: session.sessionId, cumulativeCap: session.cap, taskId: hashOf(session.cap) };
  return { ...voucher, change: CHARGE, ...compact(await signStruct(session.key, world.domain, "Voucher", voucher)) };
}

async function creditOf(world: World, node: BenchNode, change: bigint, now: number) {
  node.cumulative += change;
  const receipt: TaskReceipt = {
    body: {
      assignmentHash: hashOf(1), sessionId: hashOf(2), taskId: hashOf(node.cumulative), subtask: 0, attempt: 0, role: 1, prevReceiptHash: hashOf(3),
      outputCommit: hashOf(4), inputTokens: 900, outputTokens: 400, fee: change, startedAt: now - 9, finishedAt: now - 1, status: 1,
    },
    nodeId: node.nodeId, relayerId: RELAYER_ID, keyEpoch: 1, nodeSeq: BigInt(now) * 1_000n << 20n, nodeCumulative: node.cumulative,
  };
  const { r, vs } = compact(await signStruct(node.key, world.domain, "TaskReceipt", receipt));
  return {
    nodeId: node.nodeId, keyEpoch: 1, nodeSeq: receipt.nodeSeq, change, nodeCumulative: node.cumulative,
    bodyHash: hashStruct("ReceiptBody", receipt.body), r, vs,
  };
}

/** ERC-2098. */
export function compact(signature: Signature): { r: Hex; vs: Hex } {
  const s = BigInt(`0x${signature.slice(66, 130)}`);
  const yParity = signature.endsWith("1c") ? 1n : 0n;
  return { r: `0x${signature.slice(2, 66)}`, vs: numberToHex(s | (yParity << 255n), { size: 32 }) };
}

function shareOf(total: bigint, parts: number, index: number): bigint {
  const each = total / BigInt(parts);
  return index === parts - 1 ? total - each * BigInt(parts - 1) : each;
}

const consentOf = (world: World, registry: string, key: DigestSigner): Promise<Signature> =>
  signStruct(key, world.domain, "KeyConsent", { registry: world.contracts[registry]!, owner: world.owner, key: key.address });

async function deployAll(chain: GasChain, owner: Address): Promise<Record<string, Address>> {
  const zero: Address = `0x${"0".repeat(40)}`;
  const token = await create(chain, owner, "token/TideToken", ["string", "string"], ["Test dollar", "tUSD"]);
  const next = await chain.nonceOf(owner);
  const at = (offset: bigint): Address => getContractAddress({ from: owner, nonce: next + offset });
  const settlement = at(4n);
  const NodeRegistry = await create(chain, owner, "registry/NodeRegistry", ["address"], [settlement]);
  const RelayerRegistry = await create(chain, owner, "registry/RelayerRegistry", ["address"], [settlement]);
  const BondVault = await create(chain, owner, "BondVault", ["address", "address", "address", "address", "address", "uint48", "uint96"],
    [token, token, NodeRegistry, RelayerRegistry, at(10n), WINDOW_SECONDS, 100_000_000n]);
  const Escrow = await create(chain, owner, "Escrow", [...Array<string>(10).fill("address"), "uint48", "uint8"],
    [token, NodeRegistry, RelayerRegistry, BondVault, settlement, at(5n), at(10n), zero, at(11n), owner, WINDOW_SECONDS, 5]);
  const BatchSettlement = await create(chain, owner, "BatchSettlement", ["address"], [Escrow]);
  const SaturationBoard = await create(chain, owner, "SaturationBoard", ["address", "uint48"], [BatchSettlement, EPOCH_SECONDS]);
  const judge = (name: string, types: readonly string[], values: readonly unknown[]): Promise<Address> => create(chain, owner, `fraud/${name}`, types, values);
  const NodeJudge = await judge("NodeJudge", ["address"], [BatchSettlement]);
  const LeafJudge = await judge("LeafJudge", ["address", "uint96"], [BatchSettlement, 50_000_000n]);
  const TreeJudge = await judge("TreeJudge", ["address"], [BatchSettlement]);
  const RelayerJudge = await judge("RelayerJudge", ["address", "address"], [BatchSettlement, SaturationBoard]);
  const FraudProofs = await create(chain, owner, "FraudProofs", [...Array<string>(5).fill("address"), "uint96"],
    [BatchSettlement, NodeJudge, LeafJudge, TreeJudge, RelayerJudge, 2_000_000n]);
  const TransferProofs = await create(chain, owner, "deposits/TransferProofs", ["address"], [Escrow]);
  return { token, NodeRegistry, RelayerRegistry, BondVault, Escrow, BatchSettlement, SaturationBoard, FraudProofs, TransferProofs };
}

/** The constructor's static arguments, flat: a struct of static members is laid out like its members. */
async function create(chain: GasChain, owner: Address, path: string, types: readonly string[], values: readonly unknown[]): Promise<Address> {
  const name = path.split("/").at(-1)!;
  const { bytecode } = JSON.parse(readFileSync(new URL(`../../artifacts/contracts/${path}.sol/${name}.json`, import.meta.url), "utf8")) as { bytecode: Hex };
  return chain.create(owner, concatHex([bytecode, encodeAbiParameters(types.map((type) => ({ type })), values)]));
}

