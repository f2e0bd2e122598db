// Every offence committed on a chain in this process, and the finding that proves it: one for each function of FraudProofs.
import { badSumAlong } from "../../auditor/proofs/badSums.ts";
import { badBoardLeaf, omittedBoardLeaf, staleBoardLeaf, wrongPool, type BoardRow, type BoardView } from "../../auditor/proofs/board.ts";
import type { ProvableFinding } from "../../auditor/proofs/call.ts";
import { taskAboveMaxFee, wrongChange } from "../../auditor/proofs/changes.ts";
import { invalidLeaf, paidAfterForce, secondInput, taskInTwoBatches, type PostedTree } from "../../auditor/proofs/leaves.ts";
import { asymmetry, disorder } from "../../auditor/proofs/order.ts";
import { entryAt } from "../../auditor/proofs/treeView.ts";
import { Tree, type FindingOf, type TwoSigned } from "../../auditor/watch/findings.ts";
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { offersHash, type Offer } from "../../protocol/link.ts";
import { signStruct, type DigestSigner } from "../../protocol/signing.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { boardNode } from "../../relayer/routing/pool.ts";
import type { Assignment, BatchHeader, Refusal, SaturationAttestation, StructName, Structs } from "../../protocol/generated/structs.ts";
import { FEE, ORDER_MAX_FEE, post, rowsOf, secondAttempt, sparse, type Posted } from "./evidence.ts";
import { force } from "./exits.ts";
import { EPOCH_SECONDS, hashOf, RELAYER_ID, type World } from "./world.ts";

/** A finding on that chain, by the name under which its cost is told. */
export interface Offence {
  readonly name: string;
  readonly finding: ProvableFinding;
}

/** Commits them one after the other: each is to be proven before the next is asked for, or its keys may be over. */
export async function* offences(world: World): AsyncGenerator<Offence> {
  yield* ofNodes(world);
  yield* ofLeaves(world);
  yield* ofTrees(world);
  yield* ofRelayers(world);
  yield* ofBoards(world);
}

export async function twoAssignments(world: World, n: number): Promise<FindingOf<"proveDoubleAssignment">> {
  const one = { ...(await rowsOf(world))[0]!.assignment, taskId: hashOf(n) };
  return { offence: "F10", functionName: "proveDoubleAssignment", evidence: await twoSigned(world, world.signer, "Assignment", one, { ...one, nodeId: 2 }) };
}

async function* ofNodes(world: World): AsyncGenerator<Offence> {
  const now = await world.chain.time();
  const attestation = attestationAt(now, 1n);
  const node = world.nodes[0]!.key;
  const sign = <Name extends StructName>(name: Name, value: Structs[Name]) => signStruct(node, world.domain, name, value);
  yield { name: "prove_F1_saturationEquivocation", finding: {
    offence: "F1", functionName: "proveSaturationEquivocation", evidence: await twoSigned(world, node, "SaturationAttestation", attestation, { ...attestation, slots: 4 }),
  } };
  const [row] = await rowsOf(world);
  const assignment: Assignment = { ...row!.assignment, attestationHash: hashStruct("SaturationAttestation", attestation), issuedAt: now };
  const refusal: Refusal = {
    assignmentHash: hashStruct("Assignment", assignment), nodeId: 1, relayerId: RELAYER_ID, keyEpoch: 1, attestationSeq: attestation.seq, accepted: 3, reason: 1, refusedAtMs: now * 1_000 + 100,
  };
  yield { name: "prove_F3_falseRefusal", finding: { offence: "F3", functionName: "proveFalseRefusal", evidence: {
    attestation, attestationSignature: await sign("SaturationAttestation", attestation),
    assignment, assignmentSignature: await signStruct(world.signer, world.domain, "Assignment", assignment), refusal, refusalSignature: await sign("Refusal", refusal),
  } } };
  const other = { ...row!.receipt, nodeCumulative: row!.receipt.nodeCumulative + 1n };
  yield { name: "prove_F2_receiptEquivocation", finding: {
    offence: "F2", functionName: "proveReceiptEquivocation", evidence: await twoSigned(world, node, "TaskReceipt", row!.receipt, other),
  } };
}

async function* ofLeaves(world: World): AsyncGenerator<Offence> {
  const rows = await rowsOf(world, (record) => ({ ...record, receipt: { ...record.receipt, body: { ...record.receipt.body, fee: FEE + 1n } } }));
  yield { name: "prove_F4_invalidLeaf", finding: invalidLeaf(treeOf(await post(world, rows)), rows[1]!) };
  const forced = (await rowsOf(world))[0]!;
  await force(world, forced);
  const again = await post(world, [forced, ...(await rowsOf(world)).slice(1)]);
  yield { name: "prove_F13_paidAfterForce", finding: paidAfterForce(treeOf(again), forced, hashStruct("TaskReceipt", forced.receipt)) };
}

async function* ofTrees(world: World): AsyncGenerator<Offence> {
  const rows = await rowsOf(world);
  const posted = await post(world, rows);
  const bumped = await post(world, rows, { bump: 5n });
  const later = await post(world, [rows[0]!, ...(await rowsOf(world)).slice(1)]);
  const small = (await rowsOf(world, (record) => record, 1_000_000n))[4]!;
  const second = await secondAttempt(world, small);
  const twice = await post(world, [...rows.slice(0, 4), small, second, ...rows.slice(6)]);
  const shuffled = await post(world, [rows[3]!, rows[2]!, ...rows.slice(4), rows[0]!, rows[1]!]);
  const hidden = await post(world, [rows[0]!, rows[1]!, ...rows.slice(3), small], { tabRows: rows });
  const idOf = ({ header }: Posted): [number, bigint] => [RELAYER_ID, header.batchId];
  // Of the session, one leaf is between its neighbours; what was debited is more.
  yield { name: "prove_F5_wrongChange", finding: wrongChange(posted.header, posted.debits, posted.session, rows[2]!.order.sessionId)! };
  yield { name: "prove_F5_taskAboveMaxFee", finding: taskAboveMaxFee(...idOf(twice), twice.session, small.order, small.assignment.taskId)! };
  yield { name: "prove_F6_badSum", finding: bumpedSum(bumped, 5n) };
  yield { name: "prove_F7_taskInTwoBatches", finding: taskInTwoBatches(treeOf(posted), rows[0]!, treeOf(later), rows[0]!) };
  yield { name: "prove_F7_secondInput", finding: secondInput(treeOf(twice), small, second) };
  yield { name: "prove_F7_disorder", finding: disorder(...idOf(shuffled), shuffled.session)! };
  yield { name: "prove_F11_asymmetry", finding: asymmetry(...idOf(hidden), hidden.tab, 2, hidden.session)! };
}

async function* ofRelayers(world: World): AsyncGenerator<Offence> {
  const { signer, domain } = world;
  const { header } = await post(world, await rowsOf(world));
  const twin: BatchHeader = { ...header, dataHash: hashOf(1) };
  yield { name: "prove_F8_headerEquivocation", finding: { offence: "F8", functionName: "proveHeaderEquivocation", evidence: await twoSigned(world, signer, "BatchHeader", header, twin) } };
  yield { name: "prove_F10_doubleAssignment", finding: await twoAssignments(world, 1) };
  const { order, assignment } = (await rowsOf(world))[0]!;
  const assignments = Array.from({ length: 16 }, (_, subtask): Assignment => ({ ...assignment, subtask, subtasks: 16, shareCap: ORDER_MAX_FEE }));
  const signatures = await Promise.all(assignments.map((share) => signStruct(signer, domain, "Assignment", share)));
  yield { name: "prove_F10_sharesAboveMaxFee_16", finding: { offence: "F10", functionName: "proveSharesAboveMaxFee", evidence: { order, assignments, signatures } } };
}

// ---- the board

const BOARD_LEAVES = 1_000;
const MODEL = hashOf(7);
const ABSENT_MODEL = hashOf(8);
const OFFERS: readonly Offer[] = [MODEL, ABSENT_MODEL].map((modelId) => ({ modelId, slots: 8, priceInPerMTok: 1n, priceOutPerMTok: 1n }));

/** One board of one leaf for each of 1,000 nodes in each epoch, stood for by the leaves that are shown. */
async function* ofBoards(world: World): AsyncGenerator<Offence> {
  const { chain, signer, domain } = world;
  // In the epoch that is over, so that its board can be committed.
  const began = Math.floor(await chain.time() / EPOCH_SECONDS) * EPOCH_SECONDS;
  await chain.setTime(began + 4 * EPOCH_SECONDS);
  const at = (epoch: number): number => began + epoch * EPOCH_SECONDS;
  const early = attestationAt(at(0), 1n);
  const [honest, over] = [rowFor(early, MODEL, 8), rowFor(early, MODEL, 9)];
  const far: BoardRow = { ...honest, modelId: `0x${"ff".repeat(32)}` };
  const relyOn = async (attestation: SaturationAttestation, issuedAt: number) => {
    const assignment: Assignment = { ...(await rowsOf(world))[0]!.assignment, attestationHash: hashStruct("SaturationAttestation", attestation), issuedAt };
    return { assignment, assignmentSignature: await signStruct(signer, domain, "Assignment", assignment) };
  };
  yield { name: "prove_F12_badBoardLeaf", finding: badBoardLeaf(await commitBoard(world, at(0), [over, far], 9n), 0, early) };
  const later = attestationAt(at(1), 2n);
  yield { name: "prove_F12_staleBoardLeaf", finding: staleBoardLeaf(await commitBoard(world, at(1), [honest, far], 8n), 0, early, later, await relyOn(later, at(1))) };
  const omitted = attestationAt(at(2), 3n);
  const rows = [honest, far].toSorted((a, b) => (a.modelId < b.modelId ? -1 : 1));
  yield { name: "prove_F12_omittedBoardLeaf", finding: omittedBoardLeaf(await commitBoard(world, at(2), rows, 8n), ABSENT_MODEL, { attestation: omitted, offers: OFFERS }, await relyOn(omitted, at(2)))! };
  yield { name: "prove_F12_wrongPool", finding: wrongPool(await commitBoard(world, at(3), rows, 9n), 0)! };
}

async function commitBoard(world: World, at: number, rows: readonly BoardRow[], poolSlots: bigint): Promise<BoardView> {
  const { chain, contracts, owner } = world;
  const tree = sparse(rows.map((row) => boardNode(row, row.slots, row.slotBps)), BOARD_LEAVES, 0n);
  const epoch = BigInt(Math.floor(at / EPOCH_SECONDS));
  const pools = [{ modelId: MODEL, slots: poolSlots, slotBps: poolSlots * 7_100n }];
  await chain.call(owner, contracts["SaturationBoard"]!, SaturationBoardAbi, "commitEpoch", [RELAYER_ID, epoch, tree.root.hash, BOARD_LEAVES, hashOf(4), pools]);
  return { commitment: { relayerId: RELAYER_ID, epoch, root: tree.root.hash, leafCount: BOARD_LEAVES, pools }, rows, proof: (index) => tree.proof(index) };
}

const rowFor = (attestation: SaturationAttestation, modelId: BoardRow["modelId"], slots: number): BoardRow =>
  ({ modelId, nodeId: 1, attestationHash: hashStruct("SaturationAttestation", attestation), slots, slotBps: BigInt(slots) * 7_100n });

const attestationAt = (now: number, counter: bigint): SaturationAttestation => ({
  nodeId: 1, relayerId: RELAYER_ID, keyEpoch: 1, seq: (BigInt(now * 1_000) << 20n) + counter, prevHash: hashOf(1), slots: 8, prepSlots: 2, computeBps: 7_100, memoryBps: 6_200,
  queueBps: 300, networkBps: 40, queuedTokens: 12_000, kvFreeTokens: 80_000, offersHash: offersHash(OFFERS), observedAtMs: now * 1_000, validUntilMs: now * 1_000 + 5_000,
});

// ---- helpers

const treeOf = ({ header, session }: Posted): PostedTree => ({ relayerId: RELAYER_ID, batchId: header.batchId, session });

/** The first leaf, which its parent names with more than it holds. */
function bumpedSum({ header, session }: Posted, bump: bigint): FindingOf<"proveBadSum"> {
  const { leaf } = entryAt(session, 0);
  const { siblings } = session.proof(0);
  let own = leaf.charge + bump;
  const ownSums = siblings.map(({ sum }) => (own += sum) - sum);
  return { offence: "F6", functionName: "proveBadSum", evidence: { relayerId: RELAYER_ID, batchId: header.batchId, tree: Tree.SESSION, badSum: badSumAlong(0, 0, { leaf }, ownSums, siblings) } };
}

async function twoSigned<Name extends StructName>(world: World, signer: DigestSigner, name: Name, one: Structs[Name], other: Structs[Name]): Promise<TwoSigned<Structs[Name]>> {
  const sign = (value: Structs[Name]) => signStruct(signer, world.domain, name, value);
  return { one, oneSignature: await sign(one), other, otherSignature: await sign(other) };
}
