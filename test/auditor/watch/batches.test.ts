// What one batch shows against what was settled and forced before it, and what is read from files that somebody hands in.
import { expect } from "chai";
import { assignmentsOf, batchVerdict, leafOfTask, type Before } from "../../../auditor/watch/batches.ts";
import { evidenceFromJson } from "../../../auditor/watch/evidenceFile.ts";
import type { KeyFacts } from "../../../auditor/watch/faults.ts";
import type { ForceFact, WatchedBatch } from "../../../auditor/watch/history.ts";
import type { BatchDataTask } from "../../../protocol/batchData.ts";
import { Status } from "../../../protocol/constants.ts";
import { InvalidValueError } from "../../../protocol/errors.ts";
import { structToJson } from "../../../protocol/json.ts";
import { leafStruct, pathStruct } from "../../../protocol/evidence.ts";
import { chargeDown } from "../../../protocol/fees.ts";
import type { AttemptRecord } from "../../../protocol/records.ts";
import { recoverWithViem } from "../../../protocol/signing.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import { recordsOf, treesOf } from "../../../relayer/settlement/batch.ts";
import { keccak256 } from "viem/utils";
import { domain, honestRecord, node, relayer } from "../../protocol/honest.ts";

const WINDOW_SECONDS = 3_600;
const always = { openedAtSeconds: 1, closedAtSeconds: 0 };
const keys: KeyFacts = {
  domain, windowSeconds: WINDOW_SECONDS, recover: recoverWithViem,
  nodeKeys: new Map([["7:1", { key: node.address, ...always }]]), relayerKeys: new Map([["1:1", { key: relayer.address, ...always }]]),
};
const nothing: Before = { earlier: new Map(), forces: new Map() };

function taskOf(record: AttemptRecord): BatchDataTask {
  const ack = { ack: { receiptHash: hashStruct("TaskReceipt", record.receipt), relayerId: 1, relayerEpoch: 1, ackedAt: 1 }, signature: record.receiptSignature };
  return { taskId: record.assignment.taskId, state: "finished", order: record.order, openedAtMs: 1, attempts: [{ assignmentHash: hashStruct("Assignment", record.assignment), nodeId: 7, decision: "{}", cause: null, assignment: {}, signed: { record, ack } }] };
}

function settled(records: readonly AttemptRecord[], batchId = 1n, postedAt = 1_900_000_100): WatchedBatch {
  const { session, tab } = treesOf(records, keccak256);
  const [sessionId, fees] = [records[0]!.order.sessionId, tab.root.sum];
  return {
    postedAt, tasks: records.map(taskOf), shown: [], debits: [{ id: sessionId, change: session.root.sum }], credits: [{ id: `0x${"7".padStart(64, "0")}`, change: fees }],
    header: {
      relayerId: 1, relayerEpoch: 1, batchId, prevBatchHash: ZERO_HASH, sessionRoot: session.root.hash, tabRoot: tab.root.hash, leafCount: records.length, debitsHash: ZERO_HASH, creditsHash: ZERO_HASH,
      totalDebit: session.root.sum, totalCredit: fees, dataHash: ZERO_HASH, periodStart: 0, periodEnd: 1, postBy: 2,
    },
  };
}
const found = async (batch: WatchedBatch, before: Before = nothing): Promise<string[]> => (await batchVerdict(batch, keys, before)).found.map(({ finding }) => finding.functionName);

describe("what a batch shows", () => {
  let one: AttemptRecord;
  let other: AttemptRecord;
  before(async () => {
    one = await honestRecord();
    other = await honestRecord({ order: { nonce: 2n }, receipt: { nodeSeq: 2n << 20n } });
  });
  const again = (assignment: Partial<AttemptRecord["assignment"]>, body: Partial<AttemptRecord["receipt"]["body"]> = {}): Promise<AttemptRecord> =>
    honestRecord({ order: one.order, assignment: { attempt: 1, ...assignment }, body, receipt: { nodeSeq: BigInt(2 + (assignment.attempt ?? 1)) << 20n } });

  it("is nothing where it is honest: hedges, aborted and retried attempts, and what an earlier batch settled of others", async () => {
    const trees = await batchVerdict(settled([one, other]), keys, nothing);
    expect([trees.found, trees.unknownIndex, trees.isTabKnown]).to.deep.equal([[], null, true]);
    expect(await found(settled([one, await again({ priceInPerMTok: 0n })]))).to.deep.equal([]);
    const aborted = await again({}, { status: Status.ABORTED });
    expect(await found(settled([one, aborted]))).to.deep.equal([]);
    expect(await found(settled([one], 2n), { ...nothing, earlier: new Map([[other.assignment.taskId, leafOfTask(settled([other]), other.assignment.taskId)!]]) })).to.deep.equal([]);
  });

  it("is each leaf of a task that an earlier batch holds, and nothing of a later one", async () => {
    const before = { ...nothing, earlier: new Map([[one.assignment.taskId, leafOfTask(settled([one]), one.assignment.taskId)!]]) };
    expect(await found(settled([other, await again({ priceInPerMTok: 0n }), await again({ attempt: 2, priceInPerMTok: 0n })], 2n), before)).to.deep.equal(["proveTaskInTwoBatches", "proveTaskInTwoBatches"]);
    expect(await found(settled([one], 1n), before)).to.deep.equal([]);
    expect(leafOfTask(settled([other]), one.assignment.taskId)).to.equal(null);
  });

  it("is a leaf beside a force once no answer to it counted: the same receipt, a second input, or together above maxFee", async () => {
    const fee = one.receipt.body.fee;
    const force: ForceFact = { receiptHash: hashStruct("TaskReceipt", one.receipt), taskId: one.assignment.taskId, openedAt: 1_900_000_000, subtask: 0, paysInput: true, fee, maxFee: 10_000n };
    const at = (seconds: number, record: AttemptRecord, forced: ForceFact = force) => found(settled([record], 1n, seconds), { ...nothing, forces: new Map([[forced.taskId, [forced]]]) });
    const late = force.openedAt + WINDOW_SECONDS + 1;
    expect(await at(late, one)).to.deep.equal(["provePaidAfterForce"]);
    expect(await at(late - 1, one)).to.deep.equal([]);
    expect(await at(late, other)).to.deep.equal([]);
    const hedge = await again({ priceInPerMTok: 0n });
    expect(await at(late, hedge)).to.deep.equal([]);
    expect(await at(late, await again({}))).to.deep.equal(["provePaidAfterForce"]);
    expect(await at(late, await again({}), { ...force, paysInput: false })).to.deep.equal([]);
    const edge = chargeDown(hedge.receipt.body.fee, 300) + fee;
    expect(await at(late, hedge, { ...force, maxFee: edge })).to.deep.equal([]);
    expect(await at(late, hedge, { ...force, maxFee: edge - 1n })).to.deep.equal(["provePaidAfterForce"]);
  });

  it("is a place to ask about where the records do not make the session tree", async () => {
    const whole = settled([one, other]);
    const verdict = await batchVerdict({ ...whole, tasks: whole.tasks.slice(1) }, keys, nothing);
    expect([verdict.unknownIndex, verdict.isTabKnown, verdict.found]).to.deep.equal([0, false, []]);
  });

  it("is a place to ask about where a record's parts do not name each other: no judge reads such a record, and none answers a demand", async () => {
    const loose = { ...one, assignment: { ...one.assignment, issuedAt: one.assignment.issuedAt + 1 } };
    const batch = settled([other, loose]);
    const at = recordsOf(batch.tasks).toSorted((a, b) => (a.assignment.taskId < b.assignment.taskId ? -1 : 1)).indexOf(loose);
    const { found: shown, unknownIndex } = await batchVerdict(batch, keys, nothing);
    expect([shown, unknownIndex]).to.deep.equal([[], at]);
    // Once one was shown of that leaf whose parts do, it is checked like any other.
    const answer = { tree: 0 as const, leaf: leafStruct(one), path: pathStruct(treesOf(recordsOf(batch.tasks), keccak256).session.proof(at)), receipt: one.receipt, record: one };
    expect((await batchVerdict({ ...batch, shown: [answer] }, keys, nothing)).unknownIndex).to.equal(null);
    const { found: faults } = await batchVerdict({ ...batch, shown: [answer] }, { ...keys, nodeKeys: new Map() }, nothing);
    expect(faults.map(({ finding }) => finding.functionName)).to.deep.equal(["proveInvalidLeaf", "proveInvalidLeaf"]);
  });

  it("takes the assignments of attempts that failed, and none that are not what they are said to be", async () => {
    const [task] = settled([one]).tasks;
    const failed = (assignment: Record<string, unknown>, assignmentHash: Hash = hashStruct("Assignment", one.assignment)): BatchDataTask => ({ ...task!, attempts: [{ ...task!.attempts[0]!, assignmentHash, signed: null, cause: "lost", assignment }] });
    const published = { assignment: structToJson("Assignment", one.assignment), assignmentSignature: one.assignmentSignature };
    expect(assignmentsOf([failed(published)])).to.deep.equal([{ message: one.assignment, signature: one.assignmentSignature }]);
    for (const wrong of [{}, { ...published, assignment: null }, { ...published, assignmentSignature: 5 }]) expect(assignmentsOf([failed(wrong)])).to.deep.equal([]);
    expect(assignmentsOf([failed(published, ZERO_HASH)])).to.deep.equal([]);
    expect(recordsOf([failed(published)])).to.deep.equal([]);
  });
});

describe("a file of evidence", () => {
  it("holds what it names, and may lack every list", async () => {
    const { assignment, assignmentSignature, order } = await honestRecord();
    const { messages } = evidenceFromJson({ format: "tidelane-evidence/1", assignments: [{ assignment: structToJson("Assignment", assignment), signature: assignmentSignature }], orders: [structToJson("TaskOrder", order)] });
    expect(messages.assignments).to.deep.equal([{ message: assignment, signature: assignmentSignature }]);
    expect([messages.orders, messages.headers, messages.attestations]).to.deep.equal([[order], [], []]);
  });

  it("is refused where it is something else, naming the place", () => {
    for (const [json, path] of [
      [null, "evidence"], [{}, "evidence.format"], [{ format: "tidelane-evidence/1", headers: 5 }, "evidence.headers"], [{ format: "tidelane-evidence/1", refusals: [{}] }, "evidence.refusals[0]"],
      [{ format: "tidelane-evidence/1", assignments: [{ assignment: {}, signature: "0x" }] }, "evidence.assignments[0].taskId"],
    ] as const) expect(() => evidenceFromJson(json), path).to.throw(InvalidValueError).with.property("message").that.includes(path);
  });
});
