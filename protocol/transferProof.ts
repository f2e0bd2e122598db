// Proofs for TransferProofs: what of a node's answers shows that an authorization's transfer to the Escrow stands in a block.
//
// Nothing that the node says is believed: the header must hash to the block's hash and the receipts to the header's root. What
// does not is a node or a kind of chain that is not known here, and is named before anybody pays for a transaction that fails.
import { keccak256, toEventSelector, toRlp } from "viem/utils";
import { TidelaneError } from "./errors.ts";
import { integer, proofInList, TRANSACTIONS_MAX } from "./receiptTrie.ts";
import type { Address, Hash, Hex, TokenAmount } from "./units.ts";

/** Arguments of TransferProofs.creditTransfer, and what they will credit. */
export interface TransferProof {
  /** Of the transfer; a contract knows its hash from the next block on. */
  readonly blockNumber: bigint;
  readonly header: Hex;
  readonly proof: readonly Hex[];
  readonly transactionIndex: number;
  /** Of AuthorizationUsed in the receipt's own list. */
  readonly logPosition: number;
  /** How many that list has: the contract goes through all of them. */
  readonly logCount: number;
  readonly payer: Address;
  readonly nonce: Hash;
  readonly amount: TokenAmount;
}

/** Asks a node: JSON-RPC. */
export type RpcRequest = (method: string, params: readonly unknown[]) => Promise<unknown>;

export interface RpcLog {
  readonly address: Address;
  readonly topics: readonly Hex[];
  readonly data: Hex;
}

export interface RpcReceipt {
  readonly type?: Hex;
  readonly status: Hex;
  readonly cumulativeGasUsed: Hex;
  readonly logsBloom: Hex;
  readonly logs: readonly RpcLog[];
  readonly transactionIndex: Hex;
  readonly blockHash: Hash;
  /** Of deposits from the layer below on the OP stack; both stand in the trie where there is a version, neither where there is none. */
  readonly depositNonce?: Hex | null;
  readonly depositReceiptVersion?: Hex | null;
}

export type RpcBlock = Readonly<Record<string, unknown>> & { readonly hash: Hash; readonly number: Hex; readonly receiptsRoot: Hash; readonly transactions: readonly Hash[] };

/** A transfer by authorization to the Escrow, as the token's events tell it. */
export interface ArrivedTransfer {
  readonly logPosition: number;
  readonly payer: Address;
  readonly nonce: Hash;
  readonly amount: TokenAmount;
}

interface Place {
  readonly payToken: Address;
  readonly escrow: Address;
}

export const AUTHORIZATION_USED = toEventSelector("AuthorizationUsed(address,bytes32)");
export const AUTHORIZATION_DEPOSITED = toEventSelector("AuthorizationDeposited(address,bytes32)");
export const TRANSFER = toEventSelector("Transfer(address,address,uint256)");
/** Where a node does not give a block's receipts at once, they are asked for one by one, that many at a time. */
const AT_ONCE = 16;

/** In the order of a header's fields; the later ones came with forks, and stand only in blocks since. */
const HASHES = ["parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"] as const;
const NUMBERS = ["difficulty", "number", "gasLimit", "gasUsed", "timestamp"] as const;
const SEALS = ["extraData", "mixHash", "nonce"] as const;
const FORKS = [["baseFeePerGas", true], ["withdrawalsRoot", false], ["blobGasUsed", true], ["excessBlobGas", true], ["parentBeaconBlockRoot", false], ["requestsHash", false], ["blockAccessListHash", false]] as const;

/**
 * Proves every transfer by authorization that a transaction brought to the Escrow and that the Escrow did not credit itself.
 * @returns in the order of the receipt; empty where the transaction brought none.
 * @throws TidelaneError `transaction_unknown`, `transaction_failed`, `block_unproven` where the node's answers do not fit together.
 */
export async function proofsOfTransfers(request: RpcRequest, transaction: Hash, place: Place): Promise<readonly TransferProof[]> {
  const receipt = await request("eth_getTransactionReceipt", [transaction]) as RpcReceipt | null;
  if (!receipt) throw new TidelaneError(`The chain knows no mined transaction ${transaction}.`, { code: "transaction_unknown", retryable: true, details: { transaction } });
  if (receipt.status !== "0x1") throw new TidelaneError(`The transaction ${transaction} failed: it moved nothing.`, { code: "transaction_failed", details: { transaction } });
  const arrived = arrivedIn(receipt.logs, place);
  if (arrived.length === 0) return [];
  const block = await request("eth_getBlockByHash", [receipt.blockHash, false]) as RpcBlock | null;
  if (!block) throw unproven(receipt.blockHash, "the node does not have it");
  const header = headerOf(block);
  const transactionIndex = Number(receipt.transactionIndex);
  const receipts = await receiptsOf(request, block);
  const { root, nodes } = proofInList(receipts.map(encodedReceipt), transactionIndex);
  if (root !== block.receiptsRoot) throw unproven(block.hash, "its receipts do not come to its root: their kind is not known here");
  return arrived.map((one) => ({ ...one, blockNumber: BigInt(block.number), header, proof: nodes, transactionIndex, logCount: receipt.logs.length }));
}

/** Transfers by authorization to the Escrow among a transaction's logs, those left out that the Escrow itself credited or that brought nothing. */
export function arrivedIn(logs: readonly RpcLog[], { payToken, escrow }: Place): readonly ArrivedTransfer[] {
  const named = (log: RpcLog | undefined, address: Address, event: Hash): boolean =>
    log !== undefined && log.address.toLowerCase() === address && log.topics.length === 3 && log.topics[0] === event;
  return logs.flatMap((used, logPosition): ArrivedTransfer[] => {
    const moved = logs[logPosition + 1];
    if (!named(used, payToken, AUTHORIZATION_USED) || !named(moved, payToken, TRANSFER)) return [];
    const [, authorizer, nonce] = used.topics as readonly [Hex, Hex, Hex];
    if (moved!.topics[1] !== authorizer || addressIn(moved!.topics[2]!) !== escrow) return [];
    const isCredited = logs.some((log) => named(log, escrow, AUTHORIZATION_DEPOSITED) && log.topics[1] === authorizer && log.topics[2] === nonce);
    const amount = BigInt(moved!.data);
    // Of nothing no credit is taken: one of zero, put before others' by whoever submits them, would keep theirs from being proven.
    return isCredited || amount === 0n ? [] : [{ logPosition, payer: addressIn(authorizer), nonce, amount }];
  });
}

/** A block's header as RLP. @throws TidelaneError `block_unproven` where it does not hash to the block's hash */
export function headerOf(block: RpcBlock): Hex {
  const hex = (name: string): Hex => block[name] as Hex;
  const number = (name: string): Hex => integer(BigInt(hex(name)));
  const forks = FORKS.filter(([name]) => block[name] !== undefined && block[name] !== null).map(([name, isNumber]) => (isNumber ? number(name) : hex(name)));
  const encoded = toRlp([...HASHES.map(hex), ...NUMBERS.map(number), ...SEALS.map(hex), ...forks]);
  if (keccak256(encoded) !== block.hash) throw unproven(block.hash, "its header's fields do not come to its hash: a kind of header that is not known here");
  return encoded;
}

/** As it stands in the trie (EIP-2718): RLP, behind the transaction's type where it has one. */
export function encodedReceipt({ type = "0x0", status, cumulativeGasUsed, logsBloom, logs, depositNonce, depositReceiptVersion }: RpcReceipt): Hex {
  const ofDeposit = depositNonce && depositReceiptVersion ? [depositNonce, depositReceiptVersion].map((field) => integer(BigInt(field))) : [];
  const fields = toRlp([
    integer(BigInt(status)), integer(BigInt(cumulativeGasUsed)), logsBloom, logs.map((log) => [log.address, [...log.topics], log.data]), ...ofDeposit,
  ]);
  const kind = Number(type);
  return kind === 0 ? fields : `0x${kind.toString(16).padStart(2, "0")}${fields.slice(2)}`;
}

async function receiptsOf(request: RpcRequest, block: RpcBlock): Promise<readonly RpcReceipt[]> {
  if (block.transactions.length > TRANSACTIONS_MAX) throw unproven(block.hash, `more than ${TRANSACTIONS_MAX} transactions`);
  const whole = await request("eth_getBlockReceipts", [block.hash]).catch(() => null) as readonly RpcReceipt[] | null;
  if (whole?.length === block.transactions.length) return whole;
  const single: RpcReceipt[] = [];
  for (let i = 0; i < block.transactions.length; i += AT_ONCE) {
    single.push(...await Promise.all(block.transactions.slice(i, i + AT_ONCE).map(async (hash) => await request("eth_getTransactionReceipt", [hash]) as RpcReceipt)));
  }
  return single;
}

const addressIn = (topic: Hex): Address => `0x${topic.slice(26).toLowerCase()}`;

const unproven = (block: Hash, why: string): TidelaneError =>
  new TidelaneError(`Nothing can be proven of block ${block}: ${why}. Ask another node.`, { code: "block_unproven", details: { block } });
