// Relayers and nodes that can do anything, on a real chain, and one HTTP server that publishes for all of them.
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { encodeFunctionData, keccak256 } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { NodeRegistryAbi } from "../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { Mode, Role, Status } from "../../protocol/constants.ts";
import { feeOf } from "../../protocol/fees.ts";
import { attestationToJson, offersHash, type Offer, type SignedAttestation } from "../../protocol/link.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import { signerOfKey, signStruct } from "../../protocol/signing.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { ZERO_HASH, type Address, type Hash, type Hex } from "../../protocol/units.ts";
import type { Assignment, SaturationAttestation, SpendingAuthorization, StructName, Structs, TaskOrder, TaskReceipt } from "../../protocol/generated/structs.ts";
import { epochRoot, leavesOf, type BoardLeaf, type PoolFigure } from "../../relayer/routing/pool.ts";
import { accounts, startLocalChain, type LocalChain } from "../relayer/localChain.ts";

export const BOND = 100_000_000n;
export const STAKE = 100_000_000n;
export const EPOCH_SECONDS = 15;
export const TERMS = { priceInPerMTok: 150_000n, priceOutPerMTok: 700_000n, feeBps: 300 };
export const MODEL_ID: Hash = `0x${"12".repeat(32)}`;
export const OFFERS: readonly Offer[] = [{ modelId: MODEL_ID, slots: 4, priceInPerMTok: 150_000n, priceOutPerMTok: 700_000n }];
const PARTIES_MAX = 40n;
const Party = { node: 0, relayer: 1 } as const;

export interface Actor {
  readonly id: number;
  readonly key: Hex;
}

/** Members to replace before each struct is hashed and signed, so that everything after them is consistent. */
export interface Bends {
  readonly order?: Partial<TaskOrder>;
  readonly assignment?: Partial<Assignment>;
  readonly receipt?: Partial<TaskReceipt>;
  readonly body?: Partial<TaskReceipt["body"]>;
}

export const bytes32 = (n: number | bigint): Hash => `0x${n.toString(16).padStart(64, "0")}`;
/** Keys of this process only. */
const keyOf = (n: number): Hex => keccak256(bytes32(0xfeed_0000 + n));
const addressOf = (key: Hex): Address => privateKeyToAccount(key).address.toLowerCase() as Address;

/** Turns every word that it is sent over, calls the target with them, and reverts where that does. */
const inverterCode = (target: Address): Hex =>
  `0x5f5b3681101560145780351981526020016001565b5f5f365f5f73${target.slice(2)}5af16037575f5ffd5b00`;

/** In whole words. */
function inverted(bytes: Hex): Hex {
  const words = bytes.slice(2).padEnd(Math.ceil((bytes.length - 2) / 64) * 64, "0");
  return `0x${words.replace(/./g, (digit) => (15 - parseInt(digit, 16)).toString(16))}`;
}

export class FraudWorld {
  readonly local: LocalChain;
  /** What each path of the server answers with; anything else is 404. */
  readonly published = new Map<string, Uint8Array>();
  readonly #server: Server;
  #made = 0;
  #relayers = 1;
  #nodes = 2;
  readonly #inverters = new Map<number, Address>();
  #tabs = new Map<string, { seq: bigint; cumulative: bigint; hash: Hash }>();

  private constructor(local: LocalChain, server: Server) {
    this.local = local;
    this.#server = server;
  }

  static async start(windowSeconds: number): Promise<FraudWorld> {
    const local = await startLocalChain(windowSeconds);
    const server = createServer((request, response) => {
      const bytes = world.published.get(request.url ?? "");
      response.writeHead(bytes ? 200 : 404, { "content-type": "application/json" }).end(bytes);
    });
    const world = new FraudWorld(local, server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await world.#fund(accounts.relayerOwner, "payToken", PARTIES_MAX * BOND);
    await world.#fund(accounts.nodeOwner, "stakeToken", PARTIES_MAX * STAKE);
    return world;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await this.local.stop();
  }

  at(name: string): Address {
    return this.local.addresses[name]!;
  }

  async now(): Promise<number> {
    const block = await this.local.rpc("eth_getBlockByNumber", ["latest", false]) as { timestamp: Hex };
    return Number(block.timestamp);
  }

  async pass(seconds: number): Promise<void> {
    await this.local.rpc("evm_increaseTime", [seconds]);
    await this.local.rpc("evm_mine");
  }

  /** Registered, bonded, with its own signing key and its own address on the server. */
  async relayer(): Promise<Actor> {
    const [id, key] = [++this.#relayers, keyOf(1_000 + this.#relayers)];
    await this.local.send(accounts.relayerOwner, this.at("RelayerRegistry"), encodeFunctionData({
      abi: RelayerRegistryAbi, functionName: "register", args: [addressOf(accounts.poster), addressOf(key), 300, this.urlOf(id), await this.consent("RelayerRegistry", accounts.relayerOwner, key)],
    }));
    await this.#bond(accounts.relayerOwner, Party.relayer, id, BOND);
    return { id, key };
  }

  /** From now on a contract posts for it, which is sent the call with every bit turned over. */
  async postThroughInverter(relayer: Actor): Promise<void> {
    const inverter: Address = `0x${(0xc0de_0000 + relayer.id).toString(16).padStart(40, "0")}`;
    await this.local.rpc("anvil_setCode", [inverter, inverterCode(this.at("BatchSettlement"))]);
    await this.local.send(accounts.relayerOwner, this.at("RelayerRegistry"), encodeFunctionData({
      abi: RelayerRegistryAbi, functionName: "update", args: [relayer.id, inverter, 300, this.urlOf(relayer.id)],
    }));
    this.#inverters.set(relayer.id, inverter);
  }

  /** Sends a batch as the relayer's poster. */
  async post(relayer: Actor, call: Hex): Promise<void> {
    const inverter = this.#inverters.get(relayer.id);
    await this.local.send(accounts.poster, inverter ?? this.at("BatchSettlement"), inverter ? inverted(call) : call);
  }

  async node(): Promise<Actor> {
    const [id, key] = [++this.#nodes, keyOf(2_000 + this.#nodes)];
    await this.local.send(accounts.nodeOwner, this.at("NodeRegistry"), encodeFunctionData({
      abi: NodeRegistryAbi, functionName: "register",
      args: [{ payout: addressOf(accounts.nodeOwner), hardwareClass: 1, agentId: 0n }, addressOf(key), [], await this.consent("NodeRegistry", accounts.nodeOwner, key)],
    }));
    await this.#bond(accounts.nodeOwner, Party.node, id, STAKE);
    return { id, key };
  }

  urlOf(relayerId: number): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/r${relayerId}`;
  }

  publish(relayerId: number, path: string, body: Uint8Array | unknown): void {
    this.published.set(`/r${relayerId}/tidelane/v1/${path}`, body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body)));
  }

  async bondOf(party: keyof typeof Party, id: number): Promise<bigint> {
    const data = encodeFunctionData({ abi: BondVaultAbi, functionName: "bondOf", args: [Party[party], id] });
    const answer = await this.local.rpc("eth_call", [{ to: this.at("BondVault"), data }, "latest"]) as Hex;
    return BigInt(answer.slice(0, 66));
  }

  async session(relayer: Actor): Promise<SpendingAuthorization> {
    const authorization: SpendingAuthorization = {
      payer: addressOf(accounts.payer), sessionKey: addressOf(keyOf(1)), relayerId: relayer.id, lock: 1_000_000n, maxTotal: 1_000_000n, maxPerTask: 10_000n, maxPerDay: 0n,
      maxPriceInPerMTok: 10n ** 6n, maxPriceOutPerMTok: 10n ** 6n, maxFeeBps: 500, mode: Mode.VOUCHER, validAfter: 1, validUntil: 4_000_000_000, salt: BigInt(++this.#made),
    };
    const signature = await this.sign(accounts.payer, "SpendingAuthorization", authorization);
    await this.local.send(accounts.payer, this.at("Escrow"), encodeFunctionData({ abi: EscrowAbi, functionName: "openSession", args: [authorization, signature] }));
    return authorization;
  }

  /** An attempt of a new task, or with `bends.order` of one that was made before; all of it signed by who has to. */
  async attempt(relayer: Actor, node: Actor, authorization: SpendingAuthorization, bends: Bends = {}): Promise<AttemptRecord> {
    const now = await this.now();
    const sessionId = hashStruct("SpendingAuthorization", authorization);
    const order: TaskOrder = {
      sessionId, nonce: BigInt(++this.#made), promptCommit: bytes32(11), modelId: MODEL_ID, tier: 0, maxOutTokens: 10_000, maxFee: 10_000n, deadline: now + 600, ...bends.order,
    };
    const taskId = hashStruct("TaskOrder", order);
    const voucher = { sessionId, cumulativeCap: 1_000_000n, taskId };
    const assignment: Assignment = {
      taskId, subtask: 0, subtasks: 1, attempt: 0, relayerId: relayer.id, relayerEpoch: 1, nodeId: node.id, keyEpoch: 1, role: Role.GENERATE, voucherHash: hashStruct("Voucher", voucher),
      attestationHash: bytes32(1), decisionHash: bytes32(2), contextHead: ZERO_HASH, ...TERMS, shareCap: order.maxFee, inputCommit: order.promptCommit, issuedAt: now, deadline: now + 60, ...bends.assignment,
    };
    const [inputTokens, outputTokens] = [bends.body?.inputTokens ?? 100, bends.body?.outputTokens ?? 1_000];
    const { fee } = feeOf(bends.body?.status === Status.ABORTED ? 0 : inputTokens, outputTokens, assignment);
    const tabKey = `${node.id}:${relayer.id}`;
    const tab = this.#tabs.get(tabKey) ?? { seq: 0n, cumulative: 0n, hash: ZERO_HASH };
    const body = {
      assignmentHash: hashStruct("Assignment", assignment), sessionId, taskId, subtask: assignment.subtask, attempt: assignment.attempt, role: Role.GENERATE, prevReceiptHash: tab.hash,
      outputCommit: bytes32(3), inputTokens, outputTokens, fee, startedAt: now, finishedAt: now, status: Status.COMPLETE, ...bends.body,
    };
    const receipt: TaskReceipt = { nodeId: node.id, relayerId: relayer.id, keyEpoch: 1, nodeSeq: tab.seq + 1n, nodeCumulative: tab.cumulative + body.fee, ...bends.receipt, body };
    this.#tabs.set(tabKey, { seq: receipt.nodeSeq, cumulative: receipt.nodeCumulative, hash: hashStruct("TaskReceipt", receipt) });
    return {
      authorization, order, voucher, voucherSignature: await this.sign(keyOf(1), "Voucher", voucher), assignment, assignmentSignature: await this.sign(relayer.key, "Assignment", assignment),
      receipt, receiptSignature: await this.sign(node.key, "TaskReceipt", receipt),
    };
  }

  async attestation(relayer: Actor, node: Actor, bends: Partial<SaturationAttestation> = {}): Promise<SignedAttestation> {
    const nowMs = await this.now() * 1_000;
    const attestation: SaturationAttestation = {
      nodeId: node.id, relayerId: relayer.id, keyEpoch: 1, seq: BigInt(nowMs) << 20n, prevHash: ZERO_HASH, slots: 4, prepSlots: 1, computeBps: 5_000, memoryBps: 3_000, queueBps: 100, networkBps: 10,
      queuedTokens: 0, kvFreeTokens: 10_000, offersHash: offersHash(OFFERS), observedAtMs: nowMs, validUntilMs: nowMs + 60_000, ...bends,
    };
    return { attestation, signature: await this.sign(node.key, "SaturationAttestation", attestation), offers: OFFERS };
  }

  /** Commits the newest epoch that is over. @returns its number */
  async commit(relayer: Actor, attested: readonly SignedAttestation[], bends: { leaves?: readonly BoardLeaf[]; pools?: readonly PoolFigure[] } = {}): Promise<number> {
    const epoch = Math.floor(await this.now() / EPOCH_SECONDS) - 1;
    const leaves = bends.leaves ?? attested.flatMap((one) => leavesOf(one.attestation, hashStruct("SaturationAttestation", one.attestation), one.offers, 100));
    const { root, leafCount, pools } = epochRoot(leaves)!;
    const data = Buffer.from(JSON.stringify({ version: 2, relayerId: relayer.id, epoch, leaves, tables: [], attestations: attested.map(attestationToJson) }));
    const dataHash = keccak256(data);
    this.publish(relayer.id, `records/${dataHash}`, data);
    await this.local.send(accounts.poster, this.at("SaturationBoard"), encodeFunctionData({
      abi: SaturationBoardAbi, functionName: "commitEpoch", args: [relayer.id, BigInt(epoch), root, leafCount, dataHash, bends.pools ?? pools],
    }));
    return epoch;
  }

  /** The node's exit: opened, and paid after W without an answer. */
  async force(relayer: Actor, record: AttemptRecord, ackedAt: number): Promise<Hash> {
    const ack = { receiptHash: hashStruct("TaskReceipt", record.receipt), relayerId: relayer.id, relayerEpoch: 1, ackedAt };
    const args = [{ ...record, voucher: record.voucher! }, ack, await this.sign(relayer.key, "Ack", ack), 0n] as const;
    await this.local.send(accounts.nodeOwner, this.at("BatchSettlement"), encodeFunctionData({ abi: BatchSettlementAbi, functionName: "openForce", args }));
    return ack.receiptHash;
  }

  sign<Name extends StructName>(key: Hex, name: Name, value: Structs[Name]): Promise<Hex> {
    return signStruct(signerOfKey(key), this.local.domain, name, value);
  }

  consent(registry: string, owner: Hex, key: Hex): Promise<Hex> {
    return this.sign(key, "KeyConsent", { registry: this.at(registry), owner: addressOf(owner), key: addressOf(key) });
  }

  async #bond(owner: Hex, party: number, id: number, amount: bigint): Promise<void> {
    await this.local.send(owner, this.at("BondVault"), encodeFunctionData({ abi: BondVaultAbi, functionName: "bond", args: [party, id, amount] }));
  }

  async #fund(owner: Hex, tokenName: string, amount: bigint): Promise<void> {
    const call = (functionName: "mint" | "approve", to: Address): Hex => encodeFunctionData({ abi: TideTokenAbi, functionName, args: [to, amount] });
    await this.local.send(accounts.deployer, this.at(tokenName), call("mint", addressOf(owner)));
    await this.local.send(owner, this.at(tokenName), call("approve", this.at("BondVault")));
  }
}
