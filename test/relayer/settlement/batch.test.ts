// Batches over random histories: the sums agree everywhere, every task is settled once, and what is handed out can be checked.
import { expect } from "chai";
import fc from "fast-check";
import { keccak256 } from "viem/utils";
import { buildBatch, proofsOfTask, recordsOf, treesOf, type BatchInput, type BuiltBatch, type SessionBooks, type TabBooks } from "../../../relayer/settlement/batch.ts";
import { dueAtSeconds, dueSessions, fitTasks, type Owing, type PlanTask, type Room } from "../../../relayer/settlement/plan.ts";
import { batchDataFromBytes, batchDataToBytes, canonicalJson } from "../../../protocol/batchData.ts";
import { chargeDown } from "../../../protocol/fees.ts";
import { itemsHash, tabItemId, walkProof } from "../../../protocol/merkleSum.ts";
import { leafOf, sessionLeaf, tabLeaf } from "../../../protocol/records.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { InvalidValueError } from "../../../protocol/errors.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import { feesOf, historyOf, stepsArbitrary, type History } from "./history.ts";

const keccakBytes = (bytes: Uint8Array): Hash => keccak256(bytes);

/** A chain that applies batches by the contract's rules. */
class ModelChain {
  readonly sessions = new Map<Hash, { charged: bigint; provenCap: bigint }>();
  readonly tabs = new Map<number, { earned: bigint; provenEarned: bigint }>();
  lastId = 0n;
  lastHash: Hash = ZERO_HASH;
  fees = 0n;

  session(id: Hash): { charged: bigint; provenCap: bigint } {
    return this.sessions.get(id) ?? { charged: 0n, provenCap: 0n };
  }

  tab(id: number): { earned: bigint; provenEarned: bigint } {
    return this.tabs.get(id) ?? { earned: 0n, provenEarned: 0n };
  }

  post(built: BuiltBatch): void {
    const { header, debits, credits } = built;
    expect([header.batchId, header.prevBatchHash]).to.deep.equal([this.lastId + 1n, this.lastHash]);
    expect(debits.map((debit) => debit.sessionId)).to.deep.equal(debits.map((debit) => debit.sessionId).toSorted());
    expect(credits.map((credit) => credit.nodeId)).to.deep.equal(credits.map((credit) => credit.nodeId).toSorted((a, b) => a - b));
    for (const debit of debits) {
      const { charged, provenCap } = this.session(debit.sessionId);
      const cap = debit.cumulativeCap > provenCap ? debit.cumulativeCap : provenCap;
      expect(debit.change > 0n && charged + debit.change <= cap, "a debit within the proven cap").to.equal(true);
      this.sessions.set(debit.sessionId, { charged: charged + debit.change, provenCap: cap });
    }
    for (const credit of credits) {
      const { earned, provenEarned } = this.tab(credit.nodeId);
      const proven = credit.nodeCumulative > provenEarned ? credit.nodeCumulative : provenEarned;
      expect(credit.change > 0n && earned + credit.change <= proven, "a credit within what the node signed").to.equal(true);
      this.tabs.set(credit.nodeId, { earned: earned + credit.change, provenEarned: proven });
    }
    const totalDebit = debits.reduce((sum, debit) => sum + debit.change, 0n);
    const totalCredit = credits.reduce((sum, credit) => sum + credit.change, 0n);
    expect([header.totalDebit, header.totalCredit]).to.deep.equal([totalDebit, totalCredit]);
    expect(header.debitsHash).to.equal(itemsHash(debits.map((debit) => ({ id: debit.sessionId, change: debit.change }))));
    expect(header.creditsHash).to.equal(itemsHash(credits.map((credit) => ({ id: tabItemId(credit.nodeId), change: credit.change }))));
    expect(totalDebit >= totalCredit && totalDebit <= chargeDown(totalCredit, 300), "the rest is a fee within bps").to.equal(true);
    this.fees += totalDebit - totalCredit;
    this.lastId = header.batchId;
    this.lastHash = built.headerHash;
  }
}

function inputOf(chain: ModelChain, history: History, taskIds: ReadonlySet<Hash>, bends: Partial<BatchInput> = {}): BatchInput {
  const sessions = new Map<Hash, SessionBooks>([...history.vouchers].map(([id, voucher]) => [id, { ...chain.session(id), voucher }]));
  const tabs = new Map<number, TabBooks>([...history.lastReceipts].map(([id, lastReceipt]) => [id, { ...chain.tab(id), lastReceipt }]));
  return {
    relayerId: 1, relayerEpoch: 1, batchId: chain.lastId + 1n, prevBatchHash: chain.lastHash, periodStart: 1, periodEnd: 2, postBy: 3,
    tasks: history.tasks.filter((task) => taskIds.has(task.taskId)), sessions, tabs, ...bends,
  };
}

const planTask = (task: History["tasks"][number]): PlanTask => ({ taskId: task.taskId, sessionId: task.sessionId, charge: task.charge, fees: feesOf(task), oldestAckSeconds: task.ackedAt });

describe("batches", () => {
  it("settle any history in batches of any size: each task once, sums equal, debits = credits + fees", () => {
    fc.assert(fc.property(stepsArbitrary(14), fc.integer({ min: 1, max: 6 }), (steps, tasksMax) => {
      const history = historyOf(steps);
      const chain = new ModelChain();
      const left = new Map(history.tasks.map((task) => [task.taskId, task]));
      const settled: Hash[] = [];
      while (left.size > 0) {
        const waiting = [...left.values()].map(planTask);
        const due = dueSessions(owingOf(waiting), () => null, { nowSeconds: 3_000, windowSeconds: 20, entryCost: 1n });
        const { taskIds } = fitTasks(waiting, due, roomOf(history, chain, { tasksMax }));
        expect(taskIds.length).to.be.within(1, tasksMax);
        const built = buildBatch(inputOf(chain, history, new Set(taskIds)), keccak256, keccakBytes);
        chain.post(built);
        for (const taskId of taskIds) left.delete(taskId);
        settled.push(...taskIds);
      }
      expect(settled.toSorted()).to.deep.equal(history.tasks.map((task) => task.taskId).toSorted());
      for (const [sessionId, { charged }] of chain.sessions) {
        expect(charged).to.equal(sum(history.tasks.filter((task) => task.sessionId === sessionId).map((task) => task.charge)));
      }
      for (const [nodeId, { earned }] of chain.tabs) {
        expect(earned).to.equal(sum(history.tasks.flatMap(feesOf).filter((fee) => fee.nodeId === nodeId).map((fee) => fee.fee)));
      }
      expect(sum([...chain.sessions.values()].map((one) => one.charged))).to.equal(sum([...chain.tabs.values()].map((one) => one.earned)) + chain.fees);
    }), { numRuns: 40 });
  });

  it("prove every receipt in both trees, with the sums to its left", () => {
    fc.assert(fc.property(stepsArbitrary(8), (steps) => {
      const history = historyOf(steps);
      const built = buildBatch(inputOf(new ModelChain(), history, allOf(history)), keccak256, keccakBytes);
      const trees = treesOf(recordsOf(history.tasks), keccak256);
      const lefts: bigint[] = [];
      for (const entry of trees.bySession) {
        const proofs = proofsOfTask(trees, entry.record.receipt.body.taskId, keccak256).get(hashStruct("TaskReceipt", entry.record.receipt))!;
        const inSessions = walkProof(sessionLeaf(leafOf(entry.record)), proofs.session, built.header.leafCount);
        const inTabs = walkProof(tabLeaf(leafOf(entry.record)), proofs.tab, built.header.leafCount);
        expect([inSessions?.root.hash, inSessions?.root.sum]).to.deep.equal([built.header.sessionRoot, built.header.totalDebit]);
        expect([inTabs?.root.hash, inTabs?.root.sum]).to.deep.equal([built.header.tabRoot, built.header.totalCredit]);
        lefts.push(inSessions!.leftSum);
      }
      expect(lefts).to.deep.equal(trees.bySession.map((_, i) => sum(trees.bySession.slice(0, i).map((entry) => entry.leaf.charge))));
      expect(proofsOfTask(trees, ZERO_HASH, keccak256).size).to.equal(0);
    }), { numRuns: 20 });
  });

  it("order leaves by (sessionId, taskId, subtask, attempt) and by (nodeId, nodeSeq)", () => {
    fc.assert(fc.property(stepsArbitrary(10), (steps) => {
      const trees = treesOf(recordsOf(historyOf(steps).tasks), keccak256);
      const key = (parts: readonly (string | number | bigint)[]): string => parts.map((part) => (typeof part === "string" ? part : part.toString().padStart(30, "0"))).join();
      const bySession = trees.bySession.map(({ record: { receipt: { body } } }) => key([body.sessionId, body.taskId, body.subtask, body.attempt]));
      const byTab = trees.byTab.map(({ record: { receipt } }) => key([receipt.nodeId, receipt.nodeSeq]));
      expect(bySession).to.deep.equal(bySession.toSorted());
      expect(byTab).to.deep.equal(byTab.toSorted());
    }), { numRuns: 30 });
  });

  it("carry their data: it hashes to dataHash, reads back, and changes with any byte", () => {
    const history = historyOf([{ session: 1, attempts: [{ node: 1, inputTokens: 100, outputTokens: 100 }], ackedAt: 1_000 }]);
    const failed = { ...history.tasks[0]!, taskId: ZERO_HASH, state: "failed" as const, attempts: [{ ...history.tasks[0]!.attempts[0]!, signed: null, cause: "refused_full", assignment: { nodeId: 1 } }] };
    const input = { ...inputOf(new ModelChain(), history, allOf(history)) };
    const built = buildBatch({ ...input, tasks: [...input.tasks, failed] }, keccak256, keccakBytes);
    expect(keccak256(built.data)).to.equal(built.header.dataHash);
    expect(built.header.leafCount).to.equal(1);
    const read = batchDataFromBytes(built.data);
    expect(batchDataToBytes(read)).to.deep.equal(built.data);
    expect(read.tasks[0]!.attempts[0]!.signed!.record).to.deep.equal(history.tasks[0]!.attempts[0]!.signed!.record);
    expect(read.tasks[1]!.attempts[0]).to.include({ cause: "refused_full", decision: "{\"draw\":1}" });
    expect(() => batchDataFromBytes(new TextEncoder().encode("{\"format\":\"other\"}"))).to.throw(InvalidValueError);
    expect(() => batchDataFromBytes(new Uint8Array([0xff]))).to.throw(InvalidValueError);
  });

  it("raise a proof only where the chain has not seen it, in ERC-2098 form", () => {
    const history = historyOf([{ session: 1, attempts: [{ node: 1, inputTokens: 1_000, outputTokens: 100 }], ackedAt: 1_000 }]);
    const [sessionId, voucher] = [...history.vouchers][0]!;
    const fresh = buildBatch(inputOf(new ModelChain(), history, allOf(history)), keccak256, keccakBytes);
    expect(fresh.debits[0]).to.include({ cumulativeCap: voucher.voucher.cumulativeCap, taskId: voucher.voucher.taskId, r: voucher.signature.slice(0, 66) });
    expect(BigInt(fresh.debits[0]!.vs) >> 255n).to.equal(voucher.signature.endsWith("1c") ? 1n : 0n);
    expect(fresh.credits[0]).to.include({ keyEpoch: 1, nodeSeq: 1n, bodyHash: hashStruct("ReceiptBody", history.lastReceipts.get(1)!.receipt.body) });
    const chain = new ModelChain();
    chain.sessions.set(sessionId, { charged: 0n, provenCap: 10n ** 9n });
    chain.tabs.set(1, { earned: 0n, provenEarned: 10n ** 9n });
    const known = buildBatch(inputOf(chain, history, allOf(history)), keccak256, keccakBytes);
    expect(known.debits[0]).to.include({ cumulativeCap: 0n, taskId: ZERO_HASH, r: ZERO_HASH, vs: ZERO_HASH });
    expect(known.credits[0]).to.include({ keyEpoch: 0, nodeSeq: 0n, bodyHash: ZERO_HASH, r: ZERO_HASH, vs: ZERO_HASH });
  });

  it("are refused where a claim has no proof", () => {
    const history = historyOf([{ session: 1, attempts: [{ node: 1, inputTokens: 1_000, outputTokens: 100 }], ackedAt: 1_000 }]);
    const chain = new ModelChain();
    const build = (bends: Partial<BatchInput>) => () => buildBatch(inputOf(chain, history, allOf(history), bends), keccak256, keccakBytes);
    const [sessionId] = [...history.vouchers][0]!;
    expect(build({ sessions: new Map() })).to.throw(InvalidValueError, "what the chain holds");
    expect(build({ sessions: new Map([[sessionId, { charged: 0n, provenCap: 0n, voucher: null }]]) })).to.throw(InvalidValueError, "a cap of at least");
    expect(build({ tabs: new Map([[1, { earned: 0n, provenEarned: 0n, lastReceipt: null }]]) })).to.throw(InvalidValueError, "a running total of at least");
    expect(build({ tasks: [] })).to.throw(InvalidValueError);
  });

  it("leave out of debits and credits what changes by nothing", () => {
    const history = historyOf([{ session: 1, attempts: [{ node: 1, inputTokens: 1, outputTokens: 0 }], ackedAt: 1_000 }]);
    const built = buildBatch(inputOf(new ModelChain(), history, allOf(history)), keccak256, keccakBytes);
    expect([built.header.leafCount, built.debits.length, built.credits.length, built.header.totalDebit]).to.deep.equal([1, 0, 0, 0n]);
  });
});

describe("the plan", () => {
  const at = (sessionId: Hash, charge: bigint, ack: number): PlanTask => ({ taskId: hashStruct("Voucher", { sessionId, cumulativeCap: charge, taskId: tabItemId(ack) }), sessionId, charge, fees: [{ nodeId: 1, fee: charge }], oldestAckSeconds: ack });
  const [a, b, c] = [tabItemId(1), tabItemId(2), tabItemId(3)];
  const policy = { nowSeconds: 1_000, windowSeconds: 400, entryCost: 10n };

  it("settles what is worth the gas, what ends, and what is due; ending first, then the oldest", () => {
    const tasks = [at(a, 501n, 990), at(b, 1n, 999), at(c, 1n, 900), at(tabItemId(4), 500n, 901)];
    const isEnding = (sessionId: Hash): boolean => sessionId === b;
    expect(dueSessions(owingOf(tasks), isEnding, policy)).to.deep.equal([b, c, a]);
    expect(dueSessions(owingOf(tasks.slice(3)), isEnding, policy)).to.deep.equal([]);
    expect(dueSessions(owingOf(tasks.slice(3)), () => null, policy)).to.deep.equal([tabItemId(4)]);
    expect(dueAtSeconds(900, 400)).to.equal(1_000);
  });

  it("holds back what the chain would refuse, and says why", () => {
    const tasks = [at(a, 10n, 1), at(b, 10n, 2), at(c, 10n, 3)];
    const room: Room = { chargeable: new Map([[a, 9n], [b, 10n], [c, 10n]]), creditable: new Map([[1, 100n]]), debitCapacity: 100n, itemsMax: 500, tasksMax: 10 };
    const reasons = (bends: Partial<Room>): unknown[] => fitTasks(tasks, [a, b, c], { ...room, ...bends }).held.map((one) => one.reason);
    expect(fitTasks(tasks, [a, b, c], room).taskIds).to.deep.equal([tasks[1]!.taskId, tasks[2]!.taskId]);
    expect(reasons({})).to.deep.equal(["session_room"]);
    expect(reasons({ creditable: new Map([[1, 15n]]) })).to.deep.equal(["session_room", "tab_room"]);
    expect(reasons({ debitCapacity: 19n })).to.deep.equal(["session_room", "leverage"]);
    expect(reasons({ itemsMax: 2 })).to.deep.equal(["session_room", "full"]);
    expect(reasons({ tasksMax: 1 })).to.deep.equal(["session_room", "full"]);
    expect(fitTasks(tasks, [c], room).taskIds).to.deep.equal([tasks[2]!.taskId]);
  });
});

describe("canonical JSON", () => {
  it("is the same text for the same value, and JSON", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => {
      expect(JSON.parse(canonicalJson(value))).to.deep.equal(JSON.parse(JSON.stringify(value)));
    }));
    expect(canonicalJson({ b: [1, { d: null, c: undefined }], a: "x" })).to.equal("{\"a\":\"x\",\"b\":[1,{\"d\":null}]}");
  });
});

function owingOf(tasks: readonly PlanTask[]): Owing[] {
  const ids = [...new Set(tasks.map((task) => task.sessionId))];
  return ids.map((sessionId) => {
    const its = tasks.filter((task) => task.sessionId === sessionId);
    return { sessionId, charge: sum(its.map((task) => task.charge)), oldestAckSeconds: Math.min(...its.map((task) => task.oldestAckSeconds)) };
  });
}

const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((total, amount) => total + amount, 0n);
const allOf = (history: History): Set<Hash> => new Set(history.tasks.map((task) => task.taskId));

function roomOf(history: History, chain: ModelChain, bends: Partial<Room>): Room {
  return {
    chargeable: new Map([...history.vouchers].map(([id, { voucher }]) => [id, voucher.cumulativeCap - chain.session(id).charged])),
    creditable: new Map([...history.lastReceipts].map(([id, { receipt }]) => [id, receipt.nodeCumulative - chain.tab(id).earned])),
    debitCapacity: 10n ** 15n, itemsMax: 500, tasksMax: 100, ...bends,
  };
}
