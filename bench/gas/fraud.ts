// What exits and fraud proofs cost, at 10,000 leaves and 120 items in the batch.
//
// A tree of 10,000 leaves is stood for by the eight leaves that the evidence shows and the siblings above them: every path has
// the length and the bytes that it has in a full tree.
import { concatHex, encodeAbiParameters, encodeFunctionData, keccak256, type Abi } from "viem";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { FraudProofsAbi } from "../../protocol/generated/abi/FraudProofs.ts";
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { Mode, Status } from "../../protocol/constants.ts";
import { ITEM_GROUP_SIZE, MerkleSumTree, depthOf, innerNode, itemsHash, type Item, type SumNode } from "../../protocol/merkleSum.ts";
import { leafOf, type AttemptRecord } from "../../protocol/records.ts";
import { signStruct } from "../../protocol/signing.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { ZERO_HASH, type Hash } from "../../protocol/units.ts";
import type { Assignment, BatchHeader, Refusal, SaturationAttestation, StructName, Structs } from "../../protocol/generated/structs.ts";
import { addNode, addSession, createWorld, hashOf, LARGE, postWith, RELAYER_ID, WINDOW_SECONDS, EPOCH_SECONDS, type PostedBatch, type World } from "./world.ts";

const LEAVES = 10_000;
const SHOWN = 8;
const SALT = hashOf(4_242);
const FEE = 700_000n;
const ABIS = [...FraudProofsAbi, ...BatchSettlementAbi, ...EscrowAbi] as Abi;
const SESSION = 0;
const TAB = 1;
const ORDER_MAX_FEE = 10_000_000n;

/** `Entry` of the contracts. */
interface Entry {
  readonly leaf: Leaf;
  readonly proof: Path;
  readonly receipt: AttemptRecord["receipt"];
}

interface Leaf {
  readonly receiptHash: Hash;
  readonly fee: bigint;
  readonly charge: bigint;
  readonly nodeSigHash: Hash;
  readonly voucherHash: Hash;
  readonly voucherSigHash: Hash;
  readonly assignmentSigHash: Hash;
}

interface Path {
  readonly index: number;
  readonly hashes: readonly Hash[];
  readonly sums: readonly bigint[];
}

/** What a proof needs of a posted batch: its rows in the order of each tree, by place. */
interface Posted extends PostedBatch {
  inSessions(index: number): Entry;
  inTabs(index: number): Entry;
}

/** How a batch departs from what its rows come to. */
interface Departure {
  /** Other rows in the tab tree. */
  readonly tabRows?: readonly AttemptRecord[];
  /** The session tree names its first leaf with so much more than it holds. */
  readonly bump?: bigint;
}

export async function fraudCosts(): Promise<Record<string, number>> {
  const world = await createWorld();
  for (let i = 0; i < 20; i++) await addNode(world);
  for (let i = 0; i < 100; i++) await addSession(world, Mode.VOUCHER);
  const { chain, contracts, owner } = world;
  await chain.call(owner, contracts["token"]!, TideTokenAbi, "approve", [contracts["FraudProofs"], LARGE]);
  // So that the storage of fees, tabs and sessions is warm, and of a challenger's rewards.
  await post(world, await rowsOf(world));
  const proofs = new Proofs(world);
  await proofs.prove("warming", "proveDoubleAssignment", await twoAssignments(world, 99));
  const gas: Record<string, number> = {};
  Object.assign(gas, await ofNodes(world, proofs), await ofLeaves(world, proofs), await ofTrees(world, proofs), await ofRelayers(world, proofs), await ofForces(world), await ofData(world));
  return gas;
}

/** Announces, waits and proves, as a challenger does. */
class Proofs {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  async prove(name: string, functionName: string, args: readonly unknown[]): Promise<Record<string, number>> {
    const { chain, contracts, owner } = this.#world;
    const call = encodeFunctionData({ abi: FraudProofsAbi as Abi, functionName, args: [...args, SALT] });
    const commitment = keccak256(encodeAbiParameters([{ type: "address" }, { type: "bytes32" }], [owner, keccak256(call)]));
    await chain.call(owner, contracts["FraudProofs"]!, FraudProofsAbi, "announce", [commitment]);
    await chain.request("evm_mine");
    const gas = await chain.call(owner, contracts["FraudProofs"]!, ABIS, functionName, [...args, SALT]);
    await chain.call(owner, contracts["BondVault"]!, BondVaultAbi, "bond", [1, RELAYER_ID, LARGE]);
    return { [name]: gas };
  }
}

async function ofNodes(world: World, proofs: Proofs): Promise<Record<string, number>> {
  const now = await world.chain.time();
  const attestation: SaturationAttestation = {
    nodeId: 1, relayerId: RELAYER_ID, keyEpoch: 1, seq: BigInt(now * 1_000) << 20n, prevHash: hashOf(1), slots: 8, prepSlots: 2, computeBps: 7_100, memoryBps: 6_200,
    queueBps: 300, networkBps: 40, queuedTokens: 12_000, kvFreeTokens: 80_000, offersHash: hashOf(9), observedAtMs: now * 1_000, validUntilMs: now * 1_000 + 5_000,
  };
  const twin = { ...attestation, slots: 4 };
  const node = world.nodes[0]!.key;
  const sign = <Name extends StructName>(name: Name, value: Structs[Name]) => signStruct(node, world.domain, name, value);
  const [row] = await rowsOf(world);
  const otherReceipt = { ...row!.receipt, nodeCumulative: row!.receipt.nodeCumulative + 1n };
  const assignment: Assignment = { ...row!.assignment, attestationHash: hashStruct("SaturationAttestation", attestation), issuedAt: now };
  const refusal: Refusal = {
    assignmentHash: hashStruct("Assignment", assignment), nodeId: 1, relayerId: RELAYER_ID, keyEpoch: 1, attestationSeq: attestation.seq, accepted: 3, reason: 1, refusedAtMs: now * 1_000 + 100,
  };
  return {
    ...await proofs.prove("prove_F1_saturationEquivocation", "proveSaturationEquivocation", [
      attestation, await sign("SaturationAttestation", attestation), twin, await sign("SaturationAttestation", twin)]),
    ...await proofs.prove("prove_F3_falseRefusal", "proveFalseRefusal", [
      attestation, await sign("SaturationAttestation", attestation), assignment, await signStruct(world.signer, world.domain, "Assignment", assignment), refusal, await sign("Refusal", refusal)]),
    ...await proofs.prove("prove_F2_receiptEquivocation", "proveReceiptEquivocation", [row!.receipt, await sign("TaskReceipt", row!.receipt), otherReceipt, await sign("TaskReceipt", otherReceipt)]),
  };
}

async function ofLeaves(world: World, proofs: Proofs): Promise<Record<string, number>> {
  const rows = await rowsOf(world, (record) => ({ ...record, receipt: { ...record.receipt, body: { ...record.receipt.body, fee: FEE + 1n } } }));
  const posted = await post(world, rows);
  const { leaf, proof } = posted.inSessions(1);
  const forced = (await rowsOf(world))[0]!;
  await force(world, forced);
  const again = await post(world, [forced, ...(await rowsOf(world)).slice(1)]);
  return {
    ...await proofs.prove("prove_F4_invalidLeaf", "proveInvalidLeaf", [RELAYER_ID, posted.header.batchId, leaf, proof, rows[1]!]),
    ...await proofs.prove("prove_F13_paidAfterForce", "provePaidAfterForce", [hashStruct("TaskReceipt", forced.receipt), again.header.batchId, again.inSessions(0), forced.assignment]),
  };
}

async function ofTrees(world: World, proofs: Proofs): Promise<Record<string, number>> {
  const rows = await rowsOf(world);
  const posted = await post(world, rows);
  const { batchId } = posted.header;
  // Of the session, one leaf is between its neighbours; what was debited is more.
  const claim = { tree: SESSION, id: rows[2]!.order.sessionId, isOver: true, hasLeft: true, bounds: [posted.inSessions(1), posted.inSessions(3)] };
  const bumped = await post(world, rows, { bump: 5n });
  const later = await post(world, [rows[0]!, ...(await rowsOf(world)).slice(1)]);
  const small = (await rowsOf(world, (record) => record, 1_000_000n))[4]!;
  const second = await secondAttempt(world, small);
  const twice = await post(world, [...rows.slice(0, 4), small, second, ...rows.slice(6)]);
  const shuffled = await post(world, [rows[3]!, rows[2]!, ...rows.slice(4), rows[0]!, rows[1]!]);
  const hidden = await post(world, [rows[0]!, rows[1]!, ...rows.slice(3), small], { tabRows: rows });
  const { batchId: twiceId } = twice.header;
  return {
    ...await proofs.prove("prove_F5_wrongChange", "proveWrongChange", [posted.header, openingOf(posted.debits, claim.id), claim]),
    ...await proofs.prove("prove_F5_taskAboveMaxFee", "proveTaskAboveMaxFee", [RELAYER_ID, twiceId, small.order, twice.inSessions(4), twice.inSessions(5)]),
    ...await proofs.prove("prove_F6_badSum", "proveBadSum", [RELAYER_ID, bumped.header.batchId, SESSION, badSumOf(bumped)]),
    ...await proofs.prove("prove_F7_taskInTwoBatches", "proveTaskInTwoBatches", [RELAYER_ID, batchId, posted.inSessions(0), later.header.batchId, later.inSessions(0)]),
    ...await proofs.prove("prove_F7_secondInput", "proveSecondInput", [RELAYER_ID, twiceId, twice.inSessions(4), small.assignment, twice.inSessions(5), second.assignment]),
    ...await proofs.prove("prove_F7_disorder", "proveDisorder", [RELAYER_ID, shuffled.header.batchId, SESSION, shuffled.inSessions(0), shuffled.inSessions(1)]),
    ...await proofs.prove("prove_F11_asymmetry", "proveAsymmetry", [RELAYER_ID, hidden.header.batchId, TAB, hidden.inTabs(2), [hidden.inSessions(1), hidden.inSessions(2)]]),
  };
}

async function ofRelayers(world: World, proofs: Proofs): Promise<Record<string, number>> {
  const { chain, contracts, owner, signer, domain } = world;
  const { header } = await post(world, await rowsOf(world));
  const twin: BatchHeader = { ...header, dataHash: hashOf(1) };
  const order = (await rowsOf(world))[0]!;
  const shares = Array.from({ length: 16 }, (_, subtask): Assignment => ({ ...order.assignment, subtask, subtasks: 16, shareCap: ORDER_MAX_FEE }));
  const signatures = await Promise.all(shares.map((share) => signStruct(signer, domain, "Assignment", share)));
  // A board of one leaf for each of 1,000 nodes, stood for by the leaf that is shown.
  const epoch = BigInt(Math.floor(await chain.time() / EPOCH_SECONDS));
  const attestation: SaturationAttestation = {
    nodeId: 1, relayerId: RELAYER_ID, keyEpoch: 1, seq: 5n, prevHash: hashOf(1), slots: 8, prepSlots: 2, computeBps: 7_100, memoryBps: 6_200, queueBps: 300, networkBps: 40,
    queuedTokens: 12_000, kvFreeTokens: 80_000, offersHash: hashOf(9), observedAtMs: 1, validUntilMs: 2,
  };
  const attestationHash = hashStruct("SaturationAttestation", attestation);
  const modelId = hashOf(7);
  const leaf: SumNode = { hash: keccak256(concatHex(["0x00", modelId, "0x00000001", attestationHash])), sum: (9n << 96n) | (9n * 7_100n) };
  const path = sparse([leaf], 1_000, 0n);
  const pools = [{ modelId, slots: 9n, slotBps: 9n * 7_100n }];
  const boardEpoch = epoch - 1n;
  await chain.call(owner, contracts["SaturationBoard"]!, SaturationBoardAbi, "commitEpoch", [RELAYER_ID, boardEpoch, path.root.hash, 1_000, hashOf(4), pools]);
  const commitment = { relayerId: RELAYER_ID, epoch: boardEpoch, root: path.root.hash, leafCount: 1_000, pools };
  const entry = { modelId, nodeId: 1, attestationHash, slots: 9, slotBps: 9n * 7_100n, proof: path.proof(0) };
  return {
    ...await proofs.prove("prove_F8_headerEquivocation", "proveHeaderEquivocation", [
      header, await signStruct(signer, domain, "BatchHeader", header), twin, await signStruct(signer, domain, "BatchHeader", twin)]),
    ...await proofs.prove("prove_F10_doubleAssignment", "proveDoubleAssignment", await twoAssignments(world, 1)),
    ...await proofs.prove("prove_F10_sharesAboveMaxFee_16", "proveSharesAboveMaxFee", [order.order, shares, signatures]),
    ...await proofs.prove("prove_F12_badBoardLeaf", "proveBadBoardLeaf", [commitment, entry, attestation]),
  };
}

async function ofForces(world: World): Promise<Record<string, number>> {
  const [one, other] = (await rowsOf(world)) as [AttemptRecord, AttemptRecord];
  const first = await force(world, one);
  const second = await force(world, other);
  const rows = await rowsOf(world);
  const posted = await post(world, rows);
  const opened = await openForce(world, rows[0]!);
  const answer = posted.inTabs(0);
  const answered = await world.chain.call(world.owner, world.contracts["BatchSettlement"]!, ABIS, "answerForce",
    [hashStruct("TaskReceipt", rows[0]!.receipt), posted.header.batchId, answer.leaf, answer.proof]);
  return { openForce_first: first.opened, openForce: Math.max(second.opened, opened), resolveForce_first: first.resolved, resolveForce: second.resolved, answerForce: answered };
}

async function ofData(world: World): Promise<Record<string, number>> {
  const { chain, contracts, owner } = world;
  const rows = await rowsOf(world);
  const posted = await post(world, rows);
  const { batchId } = posted.header;
  const call = (name: string, args: readonly unknown[]): Promise<number> => chain.call(owner, contracts["FraudProofs"]!, ABIS, name, args);
  const challengeData = await call("challengeData", [RELAYER_ID, batchId, 0]);
  await call("challengeData", [RELAYER_ID, batchId, 1]);
  const { leaf, proof } = posted.inSessions(0);
  const answerData = await call("answerData", [RELAYER_ID, batchId, leaf, proof, rows[0]!]);
  await chain.setTime(await chain.time() + WINDOW_SECONDS + 1);
  const condemn = await call("condemn", [RELAYER_ID, batchId, 1]);
  const voidEntries_16credits = await call("voidEntries", [posted.header, false, openingOf(posted.credits, posted.credits[0]!.id)]);
  const voidEntries_16debits = await call("voidEntries", [posted.header, true, openingOf(posted.debits, posted.debits[0]!.id)]);
  return { challengeData, answerData, condemn, voidEntries_16credits, voidEntries_16debits };
}

// ---- records

/** Eight attempts of eight sessions, all by the first node, in the order of both trees. */
async function rowsOf(world: World, change: (record: AttemptRecord) => AttemptRecord = (record) => record, maxFee = ORDER_MAX_FEE): Promise<AttemptRecord[]> {
  const sessions = world.sessions.toSorted((a, b) => (a.sessionId < b.sessionId ? -1 : 1)).slice(40, 40 + SHOWN);
  const now = await world.chain.time();
  const rows: AttemptRecord[] = [];
  for (const session of sessions) rows.push(await attempt(world, session, now, change, maxFee));
  return rows;
}

let made = 0;

async function attempt(
  world: World, session: World["sessions"][number], now: number, change: (record: AttemptRecord) => AttemptRecord, maxFee: bigint,
): Promise<AttemptRecord> {
  const { domain, signer } = world;
  const { authorization } = session;
  made += 1;
  const order = { sessionId: session.sessionId, nonce: BigInt(made), promptCommit: hashOf(made), modelId: hashOf(7), tier: 0, maxOutTokens: 4_000, maxFee, deadline: now + 600 };
  const taskId = hashStruct("TaskOrder", order);
  const voucher = { sessionId: session.sessionId, cumulativeCap: LARGE / 100n, taskId };
  const assignment: Assignment = {
    taskId, subtask: 0, subtasks: 1, attempt: 0, relayerId: RELAYER_ID, relayerEpoch: 1, nodeId: 1, keyEpoch: 1, role: 1, voucherHash: hashStruct("Voucher", voucher), attestationHash: hashOf(11),
    decisionHash: hashOf(12), contextHead: hashOf(13), priceInPerMTok: 100_000_000n, priceOutPerMTok: 300_000_000n, feeBps: 300, shareCap: maxFee, inputCommit: hashOf(14), issuedAt: now, deadline: now + 600,
  };
  const draft: AttemptRecord = {
    authorization, order, voucher, voucherSignature: await signStruct(session.key, domain, "Voucher", voucher), assignment,
    assignmentSignature: await signStruct(signer, domain, "Assignment", assignment),
    receipt: {
      body: {
        assignmentHash: hashStruct("Assignment", assignment), sessionId: session.sessionId, taskId, subtask: 0, attempt: 0, role: 1, prevReceiptHash: hashOf(15), outputCommit: hashOf(16),
        inputTokens: 1_000, outputTokens: 2_000, fee: FEE, startedAt: now, finishedAt: now + 3, status: Status.COMPLETE,
      },
      nodeId: 1, relayerId: RELAYER_ID, keyEpoch: 1, nodeSeq: (BigInt(now * 1_000) << 20n) + BigInt(made), nodeCumulative: LARGE,
    },
    receiptSignature: "0x",
  };
  const record = change(draft);
  return { ...record, receiptSignature: await signStruct(world.nodes[0]!.key, domain, "TaskReceipt", record.receipt) };
}

async function secondAttempt(world: World, first: AttemptRecord): Promise<AttemptRecord> {
  const assignment: Assignment = { ...first.assignment, attempt: 1 };
  const receipt = { ...first.receipt, nodeSeq: first.receipt.nodeSeq + 1n, body: { ...first.receipt.body, attempt: 1, assignmentHash: hashStruct("Assignment", assignment) } };
  return {
    ...first, assignment, assignmentSignature: await signStruct(world.signer, world.domain, "Assignment", assignment), receipt,
    receiptSignature: await signStruct(world.nodes[0]!.key, world.domain, "TaskReceipt", receipt),
  };
}

async function twoAssignments(world: World, n: number): Promise<unknown[]> {
  const one = { ...(await rowsOf(world))[0]!.assignment, taskId: hashOf(n) };
  const other = { ...one, nodeId: 2 };
  const sign = (value: Assignment) => signStruct(world.signer, world.domain, "Assignment", value);
  return [one, await sign(one), other, await sign(other)];
}

// ---- forces

async function openForce(world: World, record: AttemptRecord): Promise<number> {
  const { chain, contracts, owner, signer, domain } = world;
  const ack = { receiptHash: hashStruct("TaskReceipt", record.receipt), relayerId: RELAYER_ID, relayerEpoch: 1, ackedAt: await chain.time() - WINDOW_SECONDS };
  return chain.call(owner, contracts["BatchSettlement"]!, ABIS, "openForce", [record, ack, await signStruct(signer, domain, "Ack", ack), 0n]);
}

async function force(world: World, record: AttemptRecord): Promise<{ opened: number; resolved: number }> {
  const { chain, contracts, owner } = world;
  const opened = await openForce(world, record);
  await chain.setTime(await chain.time() + WINDOW_SECONDS + 1);
  const resolved = await chain.call(owner, contracts["BatchSettlement"]!, ABIS, "resolveForce", [hashStruct("TaskReceipt", record.receipt)]);
  return { opened, resolved };
}

// ---- batches

/** What is not shown makes up the totals. */
async function post(world: World, rows: readonly AttemptRecord[], { tabRows = rows, bump = 0n }: Departure = {}): Promise<Posted> {
  const inSessions = rows.map((row) => leafOf(row)).map(({ hash, charge }, i) => ({ hash, sum: charge + (i === 0 ? bump : 0n) }));
  const inTabs = tabRows.map((row) => leafOf(row)).map(({ hash, fee }) => ({ hash, sum: fee }));
  const batch = await postWith(world, world.sessions, world.nodes, LEAVES, ({ totalDebit, totalCredit }) =>
    ({ sessionRoot: sparse(inSessions, LEAVES, totalDebit).root.hash, tabRoot: sparse(inTabs, LEAVES, totalCredit).root.hash }));
  const [session, tab] = [sparse(inSessions, LEAVES, batch.header.totalDebit), sparse(inTabs, LEAVES, batch.header.totalCredit)];
  return {
    ...batch,
    inSessions: (index) => ({ leaf: leafArg(rows[index]!), proof: session.proof(index), receipt: rows[index]!.receipt }),
    inTabs: (index) => ({ leaf: leafArg(tabRows[index]!), proof: tab.proof(index), receipt: tabRows[index]!.receipt }),
  };
}

function leafArg(row: AttemptRecord): Leaf {
  const { fee, charge } = leafOf(row);
  return {
    receiptHash: hashStruct("TaskReceipt", row.receipt), fee, charge, nodeSigHash: keccak256(row.receiptSignature), voucherHash: hashStruct("Voucher", row.voucher!),
    voucherSigHash: keccak256(row.voucherSignature), assignmentSigHash: keccak256(row.assignmentSignature),
  };
}

/** The first leaves of a tree; one sibling to their right carries the rest of the total. */
function sparse(leaves: readonly SumNode[], leafCount: number, total: bigint): { readonly root: SumNode; proof(index: number): Path } {
  const shown = new MerkleSumTree(leaves);
  const rest = total > shown.root.sum ? total - shown.root.sum : 0n;
  const above = Array.from({ length: depthOf(leafCount) - depthOf(leaves.length) }, (_, i): SumNode => ({ hash: hashOf(9_000 + i), sum: i === 0 ? rest : 0n }));
  return {
    root: above.reduce((node, sibling) => innerNode(node, sibling), shown.root),
    proof(index) {
      const siblings = [...shown.proof(index).siblings, ...above];
      return { index, hashes: siblings.map(({ hash }) => hash), sums: siblings.map(({ sum }) => sum) };
    },
  };
}

/** The first leaf, which its parent names with 5 more than it holds. */
function badSumOf(posted: Posted): object {
  const { leaf, proof } = posted.inSessions(0);
  let own = leaf.charge + 5n;
  const ownSums = proof.sums.map((sum) => (own += sum) - sum);
  return { level: 0, index: 0, leaf, leftHash: ZERO_HASH, leftSum: 0n, rightHash: ZERO_HASH, rightSum: 0n, ownSums, siblingHashes: proof.hashes, siblingSums: proof.sums };
}

/** Opens the one group that holds the id. */
function openingOf(items: readonly Item[], id: Hash): object {
  const place = Math.floor(items.findIndex((item) => item.id === id) / ITEM_GROUP_SIZE);
  const groups: (readonly Item[])[] = [];
  for (let start = 0; start < items.length; start += ITEM_GROUP_SIZE) groups.push(items.slice(start, start + ITEM_GROUP_SIZE));
  const opening = { groups: groups.map(groupHash), first: place, opened: [groups[place]!] };
  if (keccak256(concatHex(opening.groups)) !== itemsHash(items)) throw new Error("the opening is not the list's");
  return opening;
}

const groupHash = (group: readonly Item[]): Hash =>
  keccak256(concatHex(group.map(({ id, change }) => encodeAbiParameters([{ type: "bytes32" }, { type: "uint256" }], [id, change]))));
