// Random honest batches and boards, with all that happens to honest parties: nothing in them is evidence of anything.
import { expect } from "chai";
import fc from "fast-check";
import { keccak256, numberToHex } from "viem/utils";
import { badSum } from "../../../auditor/proofs/badSums.ts";
import { boardViewOf, omittedBoardLeaf, wrongPool, type BoardRow } from "../../../auditor/proofs/board.ts";
import { openingOf, taskAboveMaxFee, wrongChange, wrongIds } from "../../../auditor/proofs/changes.ts";
import { asymmetry, disorder } from "../../../auditor/proofs/order.ts";
import { entryAt, ownerIn, sumIn, viewsOf, type TreeView } from "../../../auditor/proofs/treeView.ts";
import { Status } from "../../../protocol/constants.ts";
import { leafStructHash } from "../../../protocol/evidence.ts";
import { innerNode, itemsHash, walkProof, type Item, type SumNode } from "../../../protocol/merkleSum.ts";
import type { AttemptRecord } from "../../../protocol/records.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import { epochRoot, leavesOf } from "../../../relayer/routing/pool.ts";
import { honestRecord } from "../../protocol/honest.ts";

const RUNS = 25;
const MAX_FEE = 1_000_000n;
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);

const hashOf = (n: number): Hash => keccak256(numberToHex(n, { size: 32 }));

/** What happened to one task: its session, how many redundant subtasks, and how each subtask's attempts ended. */
const tasks = fc.array(fc.record({
  session: fc.nat(5), node: fc.integer({ min: 1, max: 4 }),
  subtasks: fc.array(fc.constantFrom("whole", "migrated", "hedged", "cancelled", "recovered", "free"), { minLength: 1, maxLength: 3 }),
}), { minLength: 1, maxLength: 12 });

describe(`honest batches (FUZZ_SEED=${seed})`, () => {
  let template: AttemptRecord;
  before(async () => {
    template = await honestRecord();
  });

  it("hold no evidence of F5, F6, F7 or F11", () => {
    fc.assert(fc.property(tasks, (drawn) => {
      const records = recordsOf(template, drawn);
      const { session, tab } = viewsOf(records);
      for (const view of [session, tab]) {
        const items = itemsIn(view);
        expect(wrongIds(items, view)).to.deep.equal([]);
        for (const id of [...items.map((item) => item.id), hashOf(99)]) expect(wrongChange(HEADER, items, view, id), "F5").to.equal(null);
        expect(disorder(1, 1n, view), "F7").to.equal(null);
        expect(badSum(1, 1n, { kind: view.kind, leaves: view.rows.map(({ leaf }) => leaf), levels: levelsOf(view) }), "F6").to.equal(null);
        for (const [index] of view.rows.entries()) expect(asymmetry(1, 1n, view, index, view === session ? tab : session), "F11").to.equal(null);
      }
      for (const { order, assignment } of records) expect(taskAboveMaxFee(1, 1n, session, order, assignment.taskId), "F5 task").to.equal(null);
    }), { numRuns: RUNS, seed });
  }).timeout(60_000);

  it("are shown leaf by leaf under their roots, and their lists group by group under their hashes", () => {
    fc.assert(fc.property(tasks, (drawn) => {
      const { session } = viewsOf(recordsOf(template, drawn));
      const root = levelsOf(session).at(-1)![0]!;
      let left = 0n;
      for (const [index, row] of session.rows.entries()) {
        const { proof } = entryAt(session, index);
        const siblings = proof.hashes.map((hash, i): SumNode => ({ hash, sum: proof.sums[i]! }));
        const walked = walkProof({ hash: leafStructHash(row.leaf), sum: row.leaf.charge }, { index, siblings }, session.leafCount);
        expect(walked).to.deep.equal({ root, leftSum: left });
        left += row.leaf.charge;
      }
      const items = itemsIn(session);
      for (const { id } of items) expect(keccak256(`0x${openingOf(items, id).groups.map((group) => group.slice(2)).join("")}`)).to.equal(itemsHash(items));
    }), { numRuns: RUNS, seed });
  }).timeout(60_000);

  it("have boards that hold no evidence of F12", () => {
    const offered = fc.record({ nodeId: fc.integer({ min: 1, max: 9 }), slots: fc.integer({ min: 1, max: 8 }), bps: fc.integer({ min: 0, max: 12_000 }), models: fc.uniqueArray(fc.nat(3), { minLength: 1 }) });
    fc.assert(fc.property(fc.uniqueArray(offered, { selector: ({ nodeId }) => nodeId, minLength: 1 }), (nodes) => {
      const attested = nodes.map(({ nodeId, slots, bps, models }) => ({
        attestation: { ...ATTESTATION, nodeId, slots, memoryBps: bps }, offers: models.map((model) => ({ modelId: hashOf(model), slots, priceInPerMTok: 1n, priceOutPerMTok: 1n })),
      }));
      const leaves = attested.flatMap(({ attestation, offers }) => leavesOf(attestation, hashStruct("SaturationAttestation", attestation), offers, 6));
      const committed = epochRoot(leaves)!;
      const rows = leaves.map((leaf): BoardRow => ({ ...leaf, slotBps: BigInt(leaf.slots * leaf.saturationBps) })).sort((a, b) => (a.modelId === b.modelId ? a.nodeId - b.nodeId : a.modelId < b.modelId ? -1 : 1));
      const view = boardViewOf(1, 1n, rows, committed.pools);
      expect(view.commitment.root).to.equal(committed.root);
      for (const [pool] of committed.pools.entries()) expect(wrongPool(view, pool)).to.equal(null);
      for (const one of attested) for (const { modelId } of one.offers) expect(omittedBoardLeaf(view, modelId, one, { assignment: template.assignment, assignmentSignature: "0x" })).to.equal(null);
    }), { numRuns: RUNS, seed });
  }).timeout(60_000);
});

// ---- batches

const HEADER = {
  relayerId: 1, relayerEpoch: 1, batchId: 1n, prevBatchHash: ZERO_HASH, sessionRoot: ZERO_HASH, tabRoot: ZERO_HASH, leafCount: 1, debitsHash: ZERO_HASH, creditsHash: ZERO_HASH,
  totalDebit: 1n, totalCredit: 1n, dataHash: ZERO_HASH, periodStart: 1, periodEnd: 1, postBy: 1,
};
const ATTESTATION = {
  nodeId: 1, relayerId: 1, keyEpoch: 1, seq: 1n, prevHash: ZERO_HASH, slots: 1, prepSlots: 0, computeBps: 0, memoryBps: 0, queueBps: 0, networkBps: 0, queuedTokens: 0, kvFreeTokens: 0,
  offersHash: ZERO_HASH, observedAtMs: 1, validUntilMs: 2,
};

type Ending = "whole" | "migrated" | "hedged" | "cancelled" | "recovered" | "free";

/** Each attempt of a subtask: its number, status and fee. One input is paid at most. */
const ATTEMPTS: Readonly<Record<Ending, readonly { readonly attempt: number; readonly status: number; readonly fee: bigint }[]>> = {
  whole: [{ attempt: 0, status: Status.COMPLETE, fee: 900n }],
  migrated: [{ attempt: 0, status: Status.ABORTED, fee: 300n }, { attempt: 1, status: Status.COMPLETE, fee: 700n }],
  hedged: [{ attempt: 0, status: Status.CANCELLED, fee: 200n }, { attempt: 1, status: Status.COMPLETE, fee: 600n }],
  cancelled: [{ attempt: 0, status: Status.CANCELLED, fee: 100n }],
  recovered: [{ attempt: 0, status: Status.ABORTED, fee: 0n }, { attempt: 128, status: Status.COMPLETE, fee: 800n }],
  free: [{ attempt: 0, status: Status.CANCELLED, fee: 0n }],
};

interface Drawn {
  readonly session: number;
  readonly node: number;
  readonly subtasks: readonly Ending[];
}

/** Unsigned: none of these proofs asks for a signature. */
function recordsOf(template: AttemptRecord, drawn: readonly Drawn[]): AttemptRecord[] {
  let seq = 0n;
  return drawn.flatMap(({ session, node, subtasks }, task) => subtasks.flatMap((ending, subtask) => ATTEMPTS[ending].map(({ attempt, status, fee }): AttemptRecord => {
    const order = { ...template.order, sessionId: hashOf(1_000 + session), nonce: BigInt(task), maxFee: MAX_FEE };
    const taskId = hashStruct("TaskOrder", order);
    const assignment = { ...template.assignment, taskId, subtask, attempt, nodeId: (node + attempt) % 4 + 1, shareCap: MAX_FEE / 3n };
    const body = { ...template.receipt.body, assignmentHash: hashStruct("Assignment", assignment), sessionId: order.sessionId, taskId, subtask, attempt, status, fee };
    seq += 1n;
    return { ...template, order, assignment, receipt: { ...template.receipt, body, nodeId: assignment.nodeId, nodeSeq: seq, nodeCumulative: seq * 1_000n } };
  })));
}

/** What changes nothing is no item. */
function itemsIn(view: TreeView): Item[] {
  const sums = new Map<Hash, bigint>();
  for (const row of view.rows) sums.set(ownerIn(view.kind, row.receipt), (sums.get(ownerIn(view.kind, row.receipt)) ?? 0n) + sumIn(view.kind, row));
  return [...sums].filter(([, change]) => change > 0n).map(([id, change]) => ({ id, change }));
}

function levelsOf(view: TreeView): SumNode[][] {
  const leaves = view.rows.map((row): SumNode => ({ hash: leafStructHash(row.leaf), sum: sumIn(view.kind, row) }));
  const levels = [[...leaves, ...Array.from({ length: 2 ** Math.ceil(Math.log2(leaves.length)) - leaves.length }, (): SumNode => ({ hash: ZERO_HASH, sum: 0n }))]];
  while (levels.at(-1)!.length > 1) levels.push(Array.from({ length: levels.at(-1)!.length / 2 }, (_, i) => innerNode(levels.at(-1)![2 * i]!, levels.at(-1)![2 * i + 1]!)));
  return levels;
}
