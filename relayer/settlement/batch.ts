// From records to a batch: leaves in both orders, trees, debits, credits, data and the header that the relayer signs.
//
//   records ─▶ leaves ─┬─ by (sessionId, taskId, subtask, attempt), charges ─▶ sessionRoot ─▶ debits per session
//                      └─ by (nodeId, nodeSeq), fees                        ─▶ tabRoot     ─▶ credits per tab
//
// A session's or tab's change equals the sum of its leaves, because that is what a fraud proof compares.
import { encodeFunctionData, numberToHex } from "viem/utils";
import { batchDataToBytes, type BatchDataTask } from "../../protocol/batchData.ts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { MerkleSumTree, itemsHash, tabItemId, type Item, type SumProof } from "../../protocol/merkleSum.ts";
import { hashStruct, type Keccak256 } from "../../protocol/typedData.ts";
import { leafOf, sessionLeaf, tabLeaf, type AttemptRecord, type Leaf } from "../../protocol/records.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import { ZERO_HASH, type Hash, type Hex, type Seconds, type Signature, type TokenAmount } from "../../protocol/units.ts";
import type { BatchHeader, TaskReceipt, Voucher } from "../../protocol/generated/structs.ts";

/** What the chain holds of a session, and the greatest voucher that the journal holds. */
export interface SessionBooks {
  readonly charged: TokenAmount;
  readonly provenCap: TokenAmount;
  readonly voucher: { readonly voucher: Voucher; readonly signature: Signature } | null;
}

/** What the chain holds of a tab, and its greatest receipt in the journal. */
export interface TabBooks {
  readonly earned: TokenAmount;
  readonly provenEarned: TokenAmount;
  readonly lastReceipt: { readonly receipt: AttemptRecord["receipt"]; readonly receiptSignature: Signature } | null;
}

export interface BatchInput {
  readonly relayerId: number;
  readonly relayerEpoch: number;
  readonly batchId: bigint;
  readonly prevBatchHash: Hash;
  readonly periodStart: Seconds;
  readonly periodEnd: Seconds;
  readonly postBy: Seconds;
  /** With at least one receipt among them; those without any ride along in the data. */
  readonly tasks: readonly BatchDataTask[];
  readonly sessions: ReadonlyMap<Hash, SessionBooks>;
  readonly tabs: ReadonlyMap<number, TabBooks>;
}

/** As BatchSettlement takes it; the proof members are zero where nothing has to be raised. */
export interface Debit {
  readonly sessionId: Hash;
  readonly change: TokenAmount;
  readonly cumulativeCap: TokenAmount;
  readonly taskId: Hash;
  readonly r: Hash;
  readonly vs: Hash;
}

export interface Credit {
  readonly nodeId: number;
  readonly keyEpoch: number;
  readonly nodeSeq: bigint;
  readonly change: TokenAmount;
  readonly nodeCumulative: TokenAmount;
  readonly bodyHash: Hash;
  readonly r: Hash;
  readonly vs: Hash;
}

export interface BuiltBatch {
  readonly header: BatchHeader;
  readonly headerHash: Hash;
  readonly debits: readonly Debit[];
  readonly credits: readonly Credit[];
  readonly debitItems: readonly Item[];
  readonly creditItems: readonly Item[];
  readonly data: Uint8Array;
  readonly taskIds: readonly Hash[];
}

/** @throws InvalidValueError where no task has a receipt, a session's or tab's books are missing, or what is claimed cannot be proven. */
export function buildBatch(input: BatchInput, keccak256: Keccak256, keccakBytes: (bytes: Uint8Array) => Hash): BuiltBatch {
  const records = recordsOf(input.tasks);
  const trees = treesOf(records, keccak256);
  const debits = debitsOf(trees.bySession, input.sessions);
  const credits = creditsOf(trees.byTab, input.tabs, keccak256);
  const debitItems = debits.map((debit): Item => ({ id: debit.sessionId, change: debit.change }));
  const creditItems = credits.map((credit): Item => ({ id: tabItemId(credit.nodeId), change: credit.change }));
  const { relayerId, relayerEpoch, batchId, prevBatchHash, periodStart, periodEnd, postBy } = input;
  const data = batchDataToBytes({ relayerId, batchId, periodStart, periodEnd, tasks: input.tasks });
  const header: BatchHeader = {
    relayerId, relayerEpoch, batchId, prevBatchHash,
    sessionRoot: trees.session.root.hash, tabRoot: trees.tab.root.hash, leafCount: records.length,
    debitsHash: itemsHash(debitItems, keccak256), creditsHash: itemsHash(creditItems, keccak256),
    totalDebit: trees.session.root.sum, totalCredit: trees.tab.root.sum,
    dataHash: keccakBytes(data), periodStart, periodEnd, postBy,
  };
  return { header, headerHash: hashStruct("BatchHeader", header, keccak256), debits, credits, debitItems, creditItems, data, taskIds: input.tasks.map((task) => task.taskId) };
}

export const encodePostBatch = (built: Pick<BuiltBatch, "header" | "debits" | "credits">, signature: Signature): Hex =>
  encodeFunctionData({ abi: BatchSettlementAbi, functionName: "postBatch", args: [built.header, signature, built.debits, built.credits] });

interface Entry {
  readonly record: AttemptRecord;
  readonly leaf: Leaf;
}

export interface BatchTrees {
  readonly session: MerkleSumTree;
  readonly tab: MerkleSumTree;
  /** Leaves in the order of each tree. */
  readonly bySession: readonly Entry[];
  readonly byTab: readonly Entry[];
}

export const recordsOf = (tasks: readonly BatchDataTask[]): AttemptRecord[] =>
  tasks.flatMap((task) => task.attempts.flatMap((attempt) => (attempt.signed ? [attempt.signed.record] : [])));

/** Both trees over the same leaves. @throws InvalidValueError for no record or too many. */
export function treesOf(records: readonly AttemptRecord[], keccak256: Keccak256): BatchTrees {
  const entries = records.map((record): Entry => ({ record, leaf: leafOf(record, keccak256) }));
  const bySession = entries.toSorted((a, b) => comparePlaces(sessionPlace(a.record.receipt), sessionPlace(b.record.receipt)));
  const byTab = entries.toSorted((a, b) => comparePlaces(tabPlace(a.record.receipt), tabPlace(b.record.receipt)));
  return {
    session: new MerkleSumTree(bySession.map((entry) => sessionLeaf(entry.leaf)), keccak256),
    tab: new MerkleSumTree(byTab.map((entry) => tabLeaf(entry.leaf)), keccak256), bySession, byTab,
  };
}

/** Where each receipt of a task stands, by receipt hash. Empty for a task that is not in the trees. */
export function proofsOfTask(trees: BatchTrees, taskId: Hash, keccak256: Keccak256): Map<Hash, { session: SumProof; tab: SumProof }> {
  const proofs = new Map<Hash, { session: SumProof; tab: SumProof }>();
  for (const [index, entry] of trees.bySession.entries()) {
    if (entry.record.receipt.body.taskId !== taskId) continue;
    const tab = trees.tab.proof(trees.byTab.indexOf(entry));
    proofs.set(hashStruct("TaskReceipt", entry.record.receipt, keccak256), { session: trees.session.proof(index), tab });
  }
  return proofs;
}

/** Where a receipt's leaf stands in the order of a tree, compared member by member. */
export type Place = readonly (string | number | bigint)[];

export const sessionPlace = ({ body }: TaskReceipt): Place => [body.sessionId, body.taskId, body.subtask, body.attempt];
export const tabPlace = ({ nodeId, nodeSeq }: TaskReceipt): Place => [nodeId, nodeSeq];

/** Hashes are lowercase hex of one length, so their text order is their numeric order. @returns below zero where `a` stands first */
export function comparePlaces(a: Place, b: Place): number {
  for (const [i, part] of a.entries()) if (part !== b[i]) return part < b[i]! ? -1 : 1;
  return 0;
}

function debitsOf(entries: readonly Entry[], books: BatchInput["sessions"]): Debit[] {
  return sumsBy(entries, (entry) => entry.record.receipt.body.sessionId, (entry) => entry.leaf.charge).map(([sessionId, change]) => {
    const session = books.get(sessionId);
    if (!session) throw new InvalidValueError(`sessions.${sessionId}`, "what the chain holds of it");
    const newCharged = session.charged + change;
    if (newCharged <= session.provenCap) return { sessionId, change, cumulativeCap: 0n, taskId: ZERO_HASH, r: ZERO_HASH, vs: ZERO_HASH };
    if (!session.voucher || session.voucher.voucher.cumulativeCap < newCharged) throw new InvalidValueError(`sessions.${sessionId}.voucher`, `a cap of at least ${newCharged}`);
    const { voucher, signature } = session.voucher;
    return { sessionId, change, cumulativeCap: voucher.cumulativeCap, taskId: voucher.taskId, ...compact(signature) };
  });
}

function creditsOf(entries: readonly Entry[], books: BatchInput["tabs"], keccak256: Keccak256): Credit[] {
  return sumsBy(entries, (entry) => entry.record.receipt.nodeId, (entry) => entry.leaf.fee).map(([nodeId, change]) => {
    const tab = books.get(nodeId);
    if (!tab) throw new InvalidValueError(`tabs.${nodeId}`, "what the chain holds of it");
    const newEarned = tab.earned + change;
    if (newEarned <= tab.provenEarned) return { nodeId, keyEpoch: 0, nodeSeq: 0n, change, nodeCumulative: 0n, bodyHash: ZERO_HASH, r: ZERO_HASH, vs: ZERO_HASH };
    const last = tab.lastReceipt;
    if (!last || last.receipt.nodeCumulative < newEarned) throw new InvalidValueError(`tabs.${nodeId}.lastReceipt`, `a running total of at least ${newEarned}`);
    const { keyEpoch, nodeSeq, nodeCumulative, body } = last.receipt;
    return { nodeId, keyEpoch, nodeSeq, change, nodeCumulative, bodyHash: hashStruct("ReceiptBody", body, keccak256), ...compact(last.receiptSignature) };
  });
}

/** Sums over entries that are ordered by the key; who changes by nothing is not an item. */
function sumsBy<Key>(entries: readonly Entry[], keyOf: (entry: Entry) => Key, amountOf: (entry: Entry) => TokenAmount): [Key, TokenAmount][] {
  const sums = new Map<Key, TokenAmount>();
  for (const entry of entries) sums.set(keyOf(entry), (sums.get(keyOf(entry)) ?? 0n) + amountOf(entry));
  return [...sums].filter(([, sum]) => sum > 0n);
}

/** ERC-2098: r, and s with the parity of v in its top bit. */
function compact(signature: Signature): { r: Hash; vs: Hash } {
  const s = BigInt(`0x${signature.slice(66, 130)}`);
  const parity = signature.slice(130) === "1c" ? 1n << 255n : 0n;
  return { r: signature.slice(0, 66) as Hash, vs: numberToHex(s | parity, { size: 32 }) };
}
