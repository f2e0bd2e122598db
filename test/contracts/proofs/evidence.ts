// Evidence for every place in which a tree, a list or a board can be off: found in it, accepted by the judge, and none where all holds.
import { expect } from "chai";
import { badSum, type NamedTree } from "../../../auditor/proofs/badSums.ts";
import { boardViewOf, omittedBoardLeaf, wrongPool, type BoardRow, type BoardView } from "../../../auditor/proofs/board.ts";
import { proofCall, type ProvableFinding } from "../../../auditor/proofs/call.ts";
import { openingsOf, wrongChange, wrongIds } from "../../../auditor/proofs/changes.ts";
import { asymmetry, disorder } from "../../../auditor/proofs/order.ts";
import { viewOf, type TreeRow, type TreeView } from "../../../auditor/proofs/treeView.ts";
import { encodeVoids } from "../../../auditor/proofs/withheld.ts";
import { Tree, type FindingOf } from "../../../auditor/watch/findings.ts";
import { leafStructHash } from "../../../protocol/evidence.ts";
import { innerNode, itemsHash, type Item, type SumNode } from "../../../protocol/merkleSum.ts";
import { offersHash, type Offer } from "../../../protocol/link.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import { SaturationBoardAbi } from "../../../protocol/generated/abi/SaturationBoard.ts";
import type { Assignment, SaturationAttestation, TaskReceipt } from "../../../protocol/generated/structs.ts";
import { signStruct } from "../../../protocol/signing.ts";
import { rowsOf } from "../../../bench/gas/evidence.ts";
import { CHARGE, EPOCH_SECONDS, hashOf, postWith, RELAYER_ID, type PostedBatch, type World } from "../../../bench/gas/world.ts";
import { bondRelayer, judgeAccepts, smallWorld } from "./rig.ts";

describe("evidence", () => {
  let world: World;
  let ids: Hash[];
  before(async function () {
    this.timeout(60_000);
    world = await smallWorld();
    await bondRelayer(world);
    ids = world.sessions.map(({ sessionId }) => sessionId).sort();
  });

  it("of a change finds each session and tab that its leaves do not make, at every edge and between", async function () {
    this.timeout(30_000);
    // The first is exact, one between has no leaves, one has too many, one is in no list, and the last has too few.
    const stranger = (BigInt(ids[15]!) + 1n).toString(16).padStart(64, "0");
    const rows = [
      row(ids[0]!, 1, 1, CHARGE / 2n), row(ids[0]!, 1, 2, CHARGE - CHARGE / 2n), row(ids[5]!, 2, 3, CHARGE * 18n), row(`0x${stranger}`, 2, 4, 3n), row(ids[19]!, 2, 5, CHARGE - 3n),
    ];
    const { header, debits, credits, session, tab } = await postTrees(world, rows, rows);
    expect(wrongIds(debits, session).sort()).to.deep.equal([...ids.slice(1), `0x${stranger}`].sort());
    expect(wrongChange(header, debits, session, ids[0]!), "the first is what its leaves make").to.equal(null);
    for (const id of [ids[1]!, ids[5]!, ids[15]!, ids[16]!, ids[19]!, `0x${stranger}` as Hash]) await expectAccepted(world, wrongChange(header, debits, session, id), id);
    for (const id of wrongIds(credits, tab)) await expectAccepted(world, wrongChange(header, credits, tab, id), id);
    expect(wrongIds(credits, tab).length, "both tabs are off").to.equal(2);
    for (const id of [ZERO_HASH, hashOf(5), `0x${"f".repeat(64)}` as Hash]) expect(wrongChange(header, debits, session, id), "neither leaves nor a change").to.equal(null);
  });

  it("of a change needs no neighbour where the tree ends", async function () {
    this.timeout(30_000);
    const rows = [row(ids[7]!, 1, 1, CHARGE * 20n)];
    const { header, debits, session } = await postTrees(world, rows, rows);
    for (const id of [ids[0]!, ids[7]!, ids[19]!]) await expectAccepted(world, wrongChange(header, debits, session, id), id);
  });

  it("of a sum finds a leaf, an inner node, the root and padding that are named with more", async function () {
    this.timeout(30_000);
    for (const { level, index, count } of [{ level: 0, index: 1, count: 3 }, { level: 1, index: 1, count: 3 }, { level: 0, index: 3, count: 3 }, { level: 0, index: 0, count: 1 }, { level: 1, index: 3, count: 5 }]) {
      const rows = Array.from({ length: count }, (_, i) => row(ids[i]!, 1, i + 1, i === 0 ? CHARGE * 20n - 7n - BigInt(count - 1) : 1n));
      const tree = named(rows, level, index, 7n);
      const { header } = await postTrees(world, rows, rows, tree.levels.at(-1)![0]!.hash);
      await expectAccepted(world, badSum(RELAYER_ID, header.batchId, tree), `level ${level}, index ${index} of ${count}`);
      expect(badSum(RELAYER_ID, header.batchId, named(rows, level, index, 0n)), "nothing where all adds up").to.equal(null);
    }
  });

  it("of an order finds the first two leaves that stand wrong", async function () {
    this.timeout(30_000);
    const [a, b, c] = [row(ids[1]!, 1, 1, 5n), row(ids[2]!, 1, 2, 5n), row(ids[3]!, 1, 3, 0n)];
    const { header, session, tab } = await postTrees(world, [a!, c!, b!], [a!, b!, c!]);
    const finding = disorder(RELAYER_ID, header.batchId, session);
    expect(finding?.evidence.right.proof.index).to.equal(2);
    await expectAccepted(world, finding, "disorder");
    expect(disorder(RELAYER_ID, header.batchId, tab)).to.equal(null);
  });

  it("of asymmetry shows the empty place between, before and behind, and other bytes in it", async function () {
    this.timeout(30_000);
    const rows = [1, 2, 3, 4].map((i) => row(ids[i]!, 1, 10 * i, 5n));
    for (const missing of [0, 1, 3]) {
      const { header, session, tab } = await postTrees(world, rows, rows.filter((_, i) => i !== missing).concat(row(ids[9]!, 2, 1, 1n)));
      const finding = asymmetry(RELAYER_ID, header.batchId, session, missing, tab);
      expect(finding?.evidence.others.length).to.equal(missing === 0 ? 1 : 2);
      await expectAccepted(world, finding, `leaf ${missing}`);
      expect(asymmetry(RELAYER_ID, header.batchId, session, 2, tab), "what stands in both").to.equal(null);
    }
    const bent = rows.map((one, i) => (i === 2 ? { ...one, leaf: { ...one.leaf, nodeSigHash: hashOf(1) } } : one));
    const { header, session, tab } = await postTrees(world, rows, bent);
    await expectAccepted(world, asymmetry(RELAYER_ID, header.batchId, session, 2, tab), "other bytes");
  });

  it("of a board finds models left out at its edges, and pools of any place", async function () {
    this.timeout(30_000);
    const [low, middle, high] = ["11", "55", "99"].map((byte): Hash => `0x${byte.repeat(32)}`);
    const offers: Offer[] = [low!, middle!, high!, hashOf(3)].map((modelId) => ({ modelId, slots: 4, priceInPerMTok: 1n, priceOutPerMTok: 1n }));
    const began = Math.floor(await world.chain.time() / EPOCH_SECONDS) * EPOCH_SECONDS;
    const attestation = attested(began, offers);
    const of = (modelId: Hash, nodeId = 1): BoardRow => ({ modelId, nodeId, attestationHash: hashStruct("SaturationAttestation", attestation), slots: 4, slotBps: 4n * 5_000n });
    await world.chain.setTime(began + 10 * EPOCH_SECONDS);
    const [template] = await rowsOf(world);
    let epoch = BigInt(began / EPOCH_SECONDS);
    const commit = async (rows: readonly BoardRow[], pools: BoardView["commitment"]["pools"]): Promise<BoardView> => {
      const view = boardViewOf(RELAYER_ID, epoch, rows, pools);
      await world.chain.call(world.owner, world.contracts["SaturationBoard"]!, SaturationBoardAbi, "commitEpoch", [RELAYER_ID, epoch, view.commitment.root, view.commitment.leafCount, hashOf(4), pools]);
      epoch += 1n;
      return view;
    };
    const assignment: Assignment = { ...template!.assignment, attestationHash: hashStruct("SaturationAttestation", attestation), issuedAt: began };
    const relied = { assignment, assignmentSignature: await signStruct(world.signer, world.domain, "Assignment", assignment) };
    const view = await commit([of(middle!, 0), of(middle!, 2)], [{ modelId: middle!, slots: 8n, slotBps: 40_000n }]);
    for (const modelId of [low!, middle!, high!]) await expectAccepted(world, omittedBoardLeaf(view, modelId, { attestation, offers }, relied), modelId);
    expect(omittedBoardLeaf({ ...view, rows: [of(middle!, 0), of(middle!, 1)] }, middle!, { attestation, offers }, relied), "it stands there").to.equal(null);
    expect(wrongPool(view, 0), "an honest pool").to.equal(null);
    const boards: [readonly BoardRow[], bigint, bigint][] = [
      [[of(low!), of(middle!), of(high!)], 5n, 20_000n], [[of(middle!), of(high!)], 4n, 20_001n], [[of(low!), of(middle!)], 5n, 20_000n], [[of(middle!), of(middle!, 2)], 9n, 40_000n],
      [[of(low!), of(middle!), of(middle!, 2), of(high!)], 7n, 30_000n],
    ];
    for (const [rows, slots, slotBps] of boards) await expectAccepted(world, wrongPool(await commit(rows, [{ modelId: middle!, slots, slotBps }]), 0), `pool of ${slots} over ${rows.length} leaves`);
  });

  it("opens a list in pieces that together are all of it, credits before debits", () => {
    const items = Array.from({ length: 200 }, (_, i): Item => ({ id: `0x${(i + 1).toString(16).padStart(64, "0")}`, change: BigInt(i) }));
    const openings = openingsOf(items, 8);
    expect(openings.map(({ first }) => first)).to.deep.equal([0, 8]);
    expect(openings.flatMap(({ opened }) => opened.flat())).to.deep.equal(items);
    expect(openingsOf([], 8)).to.deep.equal([]);
    const header = { ...({} as FindingOf<"proveWrongChange">["evidence"]["header"]), ...HEADER, debitsHash: itemsHash(items) };
    expect(encodeVoids(header, items, items.slice(0, 20)).length).to.equal(3);
  });
});

// ---- trees that are posted as they are

const HEADER = {
  relayerId: 1, relayerEpoch: 1, batchId: 1n, prevBatchHash: ZERO_HASH, sessionRoot: ZERO_HASH, tabRoot: ZERO_HASH, leafCount: 1, debitsHash: ZERO_HASH, creditsHash: ZERO_HASH,
  totalDebit: 1n, totalCredit: 1n, dataHash: ZERO_HASH, periodStart: 1, periodEnd: 1, postBy: 1,
};

async function expectAccepted(world: World, finding: ProvableFinding | null, what: string): Promise<void> {
  expect(finding, `${what}: found`).to.not.equal(null);
  expect(await judgeAccepts(world, proofCall(finding!)), `${what}: accepted`).to.equal(true);
}

function row(sessionId: Hash, nodeId: number, seq: number, charge: bigint): TreeRow {
  const receipt: TaskReceipt = {
    body: {
      assignmentHash: hashOf(seq), sessionId, taskId: hashOf(seq + 100), subtask: 0, attempt: 0, role: 1, prevReceiptHash: ZERO_HASH, outputCommit: ZERO_HASH, inputTokens: 1, outputTokens: 1,
      fee: charge, startedAt: 1, finishedAt: 2, status: 1,
    },
    nodeId, relayerId: RELAYER_ID, keyEpoch: 1, nodeSeq: BigInt(seq), nodeCumulative: charge,
  };
  return { receipt, leaf: { receiptHash: hashStruct("TaskReceipt", receipt), fee: charge, charge, nodeSigHash: hashOf(2), voucherHash: hashOf(3), voucherSigHash: hashOf(4), assignmentSigHash: hashOf(5) } };
}

interface PostedTrees extends PostedBatch {
  readonly session: TreeView;
  readonly tab: TreeView;
}

/** What the leaves lack of the batch's totals is put on the last of each tree. */
async function postTrees(world: World, sessionRows: readonly TreeRow[], tabRows: readonly TreeRow[], sessionRoot: Hash | null = null): Promise<PostedTrees> {
  let trees: { session: TreeView; tab: TreeView } | null = null;
  const posted = await postWith(world, world.sessions, world.nodes, sessionRows.length, ({ totalDebit, totalCredit }) => {
    const shared = sessionRows.length === tabRows.length && sessionRows.every((one, i) => one === tabRows[i]);
    const session = viewOf(Tree.SESSION, sessionRoot ? sessionRows : filled(sessionRows, totalDebit, "charge"));
    const tab = viewOf(Tree.TAB, filled(shared ? session.rows : tabRows, totalCredit, "fee"));
    trees = { session, tab };
    return { sessionRoot: sessionRoot ?? rootOf(session), tabRoot: rootOf(tab) };
  });
  return { ...posted, ...trees! };
}

const filled = (rows: readonly TreeRow[], total: bigint, member: "charge" | "fee"): TreeRow[] => {
  const missing = total - rows.reduce((sum, one) => sum + one.leaf[member], 0n);
  const last = rows.findLastIndex((one) => one.leaf[member] + missing >= 0n);
  return rows.map((one, i) => (i === last ? { ...one, leaf: { ...one.leaf, [member]: one.leaf[member] + missing } } : one));
};

function rootOf(view: TreeView): Hash {
  const first = view.rows[0]!;
  let node: SumNode = { hash: leafStructHash(first.leaf), sum: view.kind === Tree.SESSION ? first.leaf.charge : first.leaf.fee };
  for (const sibling of view.proof(0).siblings) node = innerNode(node, sibling);
  return node.hash;
}

/** The tree as it is named by a relayer that adds to the place at (level, index). */
function named(rows: readonly TreeRow[], level: number, index: number, more: bigint): NamedTree {
  const width = 2 ** Math.ceil(Math.log2(rows.length));
  let nodes: SumNode[] = Array.from({ length: width }, (_, i) => (rows[i] ? { hash: leafStructHash(rows[i].leaf), sum: rows[i].leaf.charge } : { hash: ZERO_HASH, sum: 0n }));
  const levels: SumNode[][] = [];
  for (let l = 0; ; l++) {
    if (l === level) nodes = nodes.map((node, i) => (i === index ? { ...node, sum: node.sum + more } : node));
    levels.push(nodes);
    if (nodes.length === 1) return { kind: Tree.SESSION, leaves: rows.map(({ leaf }) => leaf), levels };
    nodes = Array.from({ length: nodes.length / 2 }, (_, i) => innerNode(nodes[2 * i]!, nodes[2 * i + 1]!));
  }
}

const attested = (at: number, offers: readonly Offer[]): SaturationAttestation => ({
  nodeId: 1, relayerId: RELAYER_ID, keyEpoch: 1, seq: 5n, prevHash: ZERO_HASH, slots: 4, prepSlots: 1, computeBps: 5_000, memoryBps: 0, queueBps: 0, networkBps: 0, queuedTokens: 0,
  kvFreeTokens: 0, offersHash: offersHash(offers), observedAtMs: at * 1_000, validUntilMs: at * 1_000 + 5_000,
});
