// Attempts with real signatures, and posted batches over them, as exits and fraud proofs show them.
//
// A tree of 10,000 leaves is stood for by the eight leaves that the evidence shows and the siblings above them: every path has
// the length and the bytes that it has in a full tree.
import { Status } from "../../protocol/constants.ts";
import { leafStruct } from "../../protocol/evidence.ts";
import { MerkleSumTree, depthOf, innerNode, type SumNode, type SumProof } from "../../protocol/merkleSum.ts";
import { leafOf, type AttemptRecord } from "../../protocol/records.ts";
import { signStruct } from "../../protocol/signing.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import type { TreeView } from "../../auditor/proofs/treeView.ts";
import { Tree, type TreeKind } from "../../auditor/watch/findings.ts";
import type { Assignment } from "../../protocol/generated/structs.ts";
import { hashOf, LARGE, postWith, RELAYER_ID, type PostedBatch, type World } from "./world.ts";

export const LEAVES = 10_000;
export const FEE = 700_000n;
export const ORDER_MAX_FEE = 10_000_000n;
const SHOWN = 8;

/** A batch on chain, and its trees as far as they are shown. */
export interface Posted extends PostedBatch {
  readonly session: TreeView;
  readonly tab: TreeView;
}

/** How a batch departs from what its rows come to. */
export interface Departure {
  /** Other rows in the tab tree. */
  readonly tabRows?: readonly AttemptRecord[];
  /** The session tree names its first leaf with so much more than it holds. */
  readonly bump?: bigint;
}

/** Eight attempts of eight sessions, all by the first node, in the order of both trees. */
export async function rowsOf(world: World, change: (record: AttemptRecord) => AttemptRecord = (record) => record, maxFee = ORDER_MAX_FEE): Promise<AttemptRecord[]> {
  const sorted = world.sessions.toSorted((a, b) => (a.sessionId < b.sessionId ? -1 : 1));
  const first = Math.floor(sorted.length * 0.4);
  const now = await world.chain.time();
  const rows: AttemptRecord[] = [];
  for (const session of sorted.slice(first, first + SHOWN)) rows.push(await attempt(world, session, now, change, maxFee));
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

/** Another attempt of the same order that charges input as well. */
export async function secondAttempt(world: World, first: AttemptRecord): Promise<AttemptRecord> {
  const assignment: Assignment = { ...first.assignment, attempt: 1 };
  const receipt = { ...first.receipt, nodeSeq: first.receipt.nodeSeq + 1n, body: { ...first.receipt.body, attempt: 1, assignmentHash: hashStruct("Assignment", assignment) } };
  return {
    ...first, assignment, assignmentSignature: await signStruct(world.signer, world.domain, "Assignment", assignment), receipt,
    receiptSignature: await signStruct(world.nodes[0]!.key, world.domain, "TaskReceipt", receipt),
  };
}

/** Posts the next batch with those leaves first; what is not shown makes up the totals. */
export async function post(world: World, rows: readonly AttemptRecord[], { tabRows = rows, bump = 0n }: Departure = {}): Promise<Posted> {
  const inSessions = rows.map((row) => leafOf(row)).map(({ hash, charge }, i) => ({ hash, sum: charge + (i === 0 ? bump : 0n) }));
  const inTabs = tabRows.map((row) => leafOf(row)).map(({ hash, fee }) => ({ hash, sum: fee }));
  const batch = await postWith(world, world.sessions, world.nodes, LEAVES, ({ totalDebit, totalCredit }) =>
    ({ sessionRoot: sparse(inSessions, LEAVES, totalDebit).root.hash, tabRoot: sparse(inTabs, LEAVES, totalCredit).root.hash }));
  const { totalDebit, totalCredit } = batch.header;
  return { ...batch, session: view(Tree.SESSION, rows, sparse(inSessions, LEAVES, totalDebit)), tab: view(Tree.TAB, tabRows, sparse(inTabs, LEAVES, totalCredit)) };
}

export interface SparseTree {
  readonly root: SumNode;
  proof(index: number): SumProof;
}

/** The first leaves of a tree; one sibling to their right carries the rest of the total. */
export function sparse(leaves: readonly SumNode[], leafCount: number, total: bigint): SparseTree {
  const shown = new MerkleSumTree(leaves);
  const rest = total > shown.root.sum ? total - shown.root.sum : 0n;
  const above = Array.from({ length: depthOf(leafCount) - depthOf(leaves.length) }, (_, i): SumNode => ({ hash: hashOf(9_000 + i), sum: i === 0 ? rest : 0n }));
  return {
    root: above.reduce((node, sibling) => innerNode(node, sibling), shown.root),
    proof: (index) => ({ index, siblings: [...shown.proof(index).siblings, ...above] }),
  };
}

const view = (kind: TreeKind, records: readonly AttemptRecord[], tree: SparseTree): TreeView =>
  ({ kind, leafCount: LEAVES, rows: records.map((record) => ({ leaf: leafStruct(record), receipt: record.receipt })), proof: (index) => tree.proof(index) });
