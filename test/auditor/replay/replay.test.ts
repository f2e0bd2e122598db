import { expect } from "chai";
import fc from "fast-check";
import { stringToHex, keccak256 } from "viem/utils";
import { replay } from "../../../auditor/replay/replay.ts";
import { Mode } from "../../../protocol/constants.ts";
import { GATES, OPEN } from "../../../relayer/routing/decide.ts";
import { drawOf } from "../../../relayer/routing/seeds.ts";
import { IDLE } from "../../../relayer/routing/saturation.ts";
import { tableFromText } from "../../../relayer/routing/table.ts";
import { CURVE, MODEL } from "../../relayer/work/fleetRig.ts";
import type { LearntNode } from "../../../relayer/work/learnt.ts";
import { FIRST, ReplayWorld, canonical, type Asked } from "./world.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { orderName, type Evidence, type FindingKind, type ReplayReport } from "../../../auditor/replay/evidence.ts";
import type { Outcome } from "../../../relayer/work/routingRequest.ts";
import type { Hash } from "../../../protocol/units.ts";

const EPOCH = { kind: "epoch", epoch: FIRST } as const;
const kinds = (report: ReplayReport): FindingKind[] => [...new Set(report.findings.map((one) => one.kind))];
const details = (report: ReplayReport): string => report.findings.map((one) => one.detail).join("\n");
const left = (report: ReplayReport): string => report.unchecked.map((one) => `${one.kind}: ${one.detail}`).join("\n");

/** Some busy seconds: parallel tasks, a retry, first tokens in between; then the epoch ends and all is published. */
async function busyEpoch(world = new ReplayWorld(), nodes = 5): Promise<ReplayWorld> {
  await world.join(nodes);
  const open: Asked[] = [];
  for (let i = 0; i < 6; i++) {
    open.push((await world.ask(50 + i))!);
    if (i % 2 === 0) open[0]!.choices[0]!.booking.firstToken(10);
    world.rig.clock.pass(400);
  }
  world.fail(open[1]!, "stalled");
  await world.attempt(open[1]!, "stalled");
  for (const asked of open) world.finish(asked);
  await world.serve();
  await world.endEpoch(nodes);
  return world;
}

describe("replaying an honest relayer", () => {
  it("makes every decision again", async () => {
    const report = replay((await busyEpoch()).evidence());
    expect([report.findings, report.unchecked]).to.deep.equal([[], []]);
    expect(report).to.deep.include({ verdict: "verified", decisions: 8, recomputed: 8, openDraws: 0, nonces: 7 });
  });

  it("does so for a relayer that goes on from what it learnt before it was started again", async () => {
    const before = await busyEpoch();
    const world = new ReplayWorld();
    const slower = (node: LearntNode): LearntNode["models"] => ({ [MODEL]: { fit: node.models[MODEL]!.fit.map((number) => 2 * number), hall: null } });
    const learnt = before.rig.fleet.learnt().map((node) => ({ ...node, scoreBps: 4_321, models: slower(node) }));
    world.rig.fleet.recall(learnt);
    const report = replay((await busyEpoch(world)).evidence());
    expect([report.findings, report.unchecked]).to.deep.equal([[], []]);
    expect(report).to.deep.include({ verdict: "verified", decisions: 8, recomputed: 8 });
    const { curve, scoreBps } = tableFromText(world.rig.tables[0]!.text, () => IDLE).shards.get(MODEL)!.rows.find((row) => row.nodeId === learnt[0]!.nodeId)!;
    expect(curve.bNs, "its tables publish what it goes on from").to.equal(2 * CURVE.bNs);
    expect(scoreBps).to.be.below(5_000);
  });

  it("does so for a batch, and where payers sign their orders", async () => {
    const world = await busyEpoch(new ReplayWorld(Mode.VOUCHER));
    const report = replay(world.evidence({ kind: "batch", batchId: 1n }));
    expect([report.findings, report.unchecked]).to.deep.equal([[], []]);
    expect(report).to.deep.include({ verdict: "verified", decisions: 8, recomputed: 8, nonces: 0 });
  });

  type Step = readonly ["ask" | "first" | "end" | "retry" | "attest" | "drop" | "wait" | "settle", number];
  const anySteps = fc.array(fc.tuple(fc.constantFrom<Step[0]>("ask", "ask", "ask", "first", "end", "end", "retry", "attest", "drop", "wait", "settle"), fc.nat(1_000)), { minLength: 20, maxLength: 60 });
  const outcomes: readonly Outcome[] = ["failed", "refused", "refused_full", "unsent"];

  async function live(world: ReplayWorld, steps: readonly Step[], nodes: number): Promise<void> {
    await world.join(nodes);
    const open: Asked[] = [];
    let ended = 0;
    for (const [kind, n] of steps) {
      const asked = open[n % Math.max(1, open.length)];
      if (kind === "ask") {
        const made = await world.ask(1 + n, String(n % 5));
        if (made) open.push(made);
        else world.repeatNonce();
      }
      if (kind === "first") asked?.choices.at(-1)!.booking.firstToken(10 + n);
      if (kind === "end" && asked) {
        open.splice(open.indexOf(asked), 1);
        world.finish(asked);
        ended += 1;
      }
      if (kind === "retry" && asked && asked.attempts.length < 3) {
        world.fail(asked, "stalled", outcomes[n % outcomes.length]!);
        if (!await world.attempt(asked, "stalled")) {
          open.splice(open.indexOf(asked), 1);
          world.finishFailed(asked);
        }
      }
      const nodeId = 1 + (n % nodes);
      if (kind === "attest") await world.rig.attest(nodeId, { slots: n % 6, queueBps: n });
      if (kind === "drop") {
        world.rig.fleet.disconnected(nodeId);
        await world.rig.join(nodeId, { slots: 2 });
      }
      if (kind === "wait") world.rig.clock.pass(Math.floor(n / 2));
      if (kind === "settle" && ended > 0) {
        world.settle();
        ended = 0;
      }
    }
    for (const asked of open) world.finish(asked);
    await world.goTo(world.epoch + 1, nodes);
    await world.serve();
    await world.endEpoch(nodes);
  }

  for (const nodes of [5, 30]) {
    it(`whatever happens over ${nodes} nodes: nothing is found, nothing stays open`, async function () {
      this.timeout(120_000);
      await fc.assert(fc.asyncProperty(anySteps, async (steps) => {
        const world = new ReplayWorld();
        await live(world, steps, nodes);
        for (let epoch = FIRST; epoch < world.epoch; epoch++) {
          const report = replay(world.evidence({ kind: "epoch", epoch }));
          expect(report.findings, `epoch ${epoch}`).to.deep.equal([]);
          expect(report.recomputed).to.equal(report.decisions);
          if (report.decisions > 0) expect(report.unchecked, `epoch ${epoch}`).to.deep.equal([]);
        }
      }), { numRuns: 12 });
    });
  }
});

describe("replaying a relayer that lies", () => {
  /** The members of one decision changed before they are hashed and signed. */
  async function lied(lie: (decision: Record<string, unknown>) => Record<string, unknown>, at = 3): Promise<ReplayReport> {
    const world = new ReplayWorld();
    let made = 0;
    world.lie = (decision) => (made++ === at ? lie(decision) : decision);
    return replay((await busyEpoch(world)).evidence());
  }

  const candidatesOf = (decision: Record<string, unknown>): { node: number; own: number[]; out?: string; costUs: number; weight: number }[] => decision.candidates as never;

  it("names a decision that chose another node than the draw does", async () => {
    const report = await lied((decision) => ({ ...decision, chosen: candidatesOf(decision).find((one) => one.node !== decision.chosen)!.node }));
    expect(kinds(report)).to.include("decision");
    expect(details(report)).to.match(/chosen: \d, \d/);
    expect(report.findings[0]!.taskId).to.match(/^0x[0-9a-f]{64}$/);
    expect(report.findings.find((one) => one.kind === "decision")).to.include({ batchId: 1n, attempt: 0 });
  });

  it("names figures that table and load do not give: cost, weight, temperature, round", async () => {
    for (const lie of [
      (decision: Record<string, unknown>) => ({ ...decision, candidates: candidatesOf(decision).map((one) => (one.node === decision.chosen ? { ...one, costUs: one.costUs + 1 } : one)) }),
      (decision: Record<string, unknown>) => ({ ...decision, candidates: candidatesOf(decision).map((one) => (one.node === decision.chosen ? { ...one, weight: one.weight + 1 } : one)) }),
      (decision: Record<string, unknown>) => ({ ...decision, candidates: candidatesOf(decision).filter((one) => one.node === decision.chosen) }),
      (decision: Record<string, unknown>) => ({ ...decision, temperatureUs: Number(decision.temperatureUs) * 2 }),
      (decision: Record<string, unknown>) => ({ ...decision, round: 1 }),
      (decision: Record<string, unknown>) => ({ ...decision, parameters: 2 }),
      (decision: Record<string, unknown>) => ({ ...decision, modelId: `0x${"99".repeat(32)}` }),
    ]) expect(kinds(await lied(lie))).to.deep.equal(["decision"]);
  });

  it("names a load that is not the one of its earlier assignments", async () => {
    const report = await lied((decision) => ({ ...decision, candidates: candidatesOf(decision).map((one, i) => (i === 0 ? { ...one, own: [one.own[0]! + 1, one.own[1]!, one.own[2]!] } : one)) }));
    expect(kinds(report)).to.include("load");
    expect(details(report)).to.match(/node 1: \d in flight.* claimed, \d in flight.* rebuilt/);
  });

  it("names a draw that does not come from the committed seed and the task", async () => {
    const report = await lied((decision) => ({ ...decision, draw: `0x${"77".repeat(32)}` }));
    expect(kinds(report)).to.include("draw");
    expect(details(report)).to.match(/does not come from epoch/);
    expect(kinds(await lied((decision) => ({ ...decision, mode: 0 })))).to.include("draw");
    expect(kinds(await lied((decision) => ({ ...decision, nonce: "99" })))).to.deep.equal(["decision"]);
  });

  it("names a draw for the task where the payer signed no order, though it comes from the seed", async () => {
    const world = new ReplayWorld();
    world.lie = (decision) => {
      const taskId = decision.taskId as Hash;
      return { ...decision, mode: Mode.VOUCHER, draw: drawOf(world.chain.seedOf(FIRST)!, { mode: Mode.VOUCHER, taskId, sessionId: taskId, nonce: 0n, subtask: 0, attempt: 0 }) };
    };
    await world.join(1);
    await world.serve();
    await world.endEpoch(1);
    const report = replay(world.evidence());
    expect([kinds(report), details(report)]).to.deep.equal([["draw"], "the decision is drawn for mode 0; the session's is 1"]);
  });

  it("names numbers of a process's count that are used twice", async () => {
    const numbered = async (sequence: number): Promise<string> => {
      const world = new ReplayWorld();
      await world.join(3);
      await world.serve();
      world.lie = (decision) => ({ ...decision, sequence });
      await world.serve();
      await world.endEpoch(3);
      return details(replay(world.evidence()));
    };
    expect(await numbered(1)).to.match(/number 1 of the process is used by two decisions/);
    expect(await numbered(2)).to.match(/number 2 of the process is told as an event, too/);
  });

  it("names a decision drawn with another epoch's seed", async () => {
    const world = new ReplayWorld();
    const seeds = world.chain;
    world.lie = (decision) => ({ ...decision, epoch: FIRST + 1 });
    await world.join(3);
    await world.serve();
    await world.goTo(FIRST + 2, 3);
    await world.commitEpochs();
    world.settle();
    const report = replay(world.evidence({ kind: "batch", batchId: 1n }));
    expect(kinds(report)).to.include.members(["draw", "time"]);
    expect(seeds.seedOf(FIRST + 1)).to.not.equal(seeds.seedOf(FIRST));
  });

  it("names what was left out as tried before, and was not; and what was tried, and left open", async () => {
    const excluded = await lied((decision) => {
      const other = candidatesOf(decision).find((one) => one.node !== decision.chosen)!.node;
      return { ...decision, candidates: candidatesOf(decision).map(({ node, own, ...rest }) => (node === other ? { node, own, out: "excluded" } : { node, own, ...rest })) };
    });
    expect(details(excluded)).to.match(/is left out as tried before, and no earlier attempt went to it/);
    const world = new ReplayWorld();
    await world.join(2);
    const asked = (await world.ask())!;
    world.fail(asked, "stalled");
    // As if nothing had been tried: the node may be chosen once more.
    const earlier = asked.attempts.splice(0);
    await world.attempt(asked, "stalled", undefined, 1);
    asked.attempts.unshift(...earlier);
    world.finish(asked);
    await world.endEpoch(2);
    expect(details(replay(world.evidence()))).to.match(/was open, though an earlier attempt had failed on it/);
  });

  it("takes a second choice of a node for what it is: allowed where it had signed that it was full", async () => {
    for (const [cause, isAllowed] of [["refused_full", true], ["stalled", false]] as const) {
      const world = new ReplayWorld();
      await world.join(1);
      const asked = (await world.ask())!;
      world.fail(asked, cause);
      const earlier = asked.attempts.splice(0);
      await world.attempt(asked, cause, undefined, 1);
      asked.attempts.unshift(...earlier);
      world.finish(asked);
      await world.serve();
      await world.endEpoch(1);
      expect(details(replay(world.evidence())).includes("though an earlier attempt had failed on it"), cause).to.equal(!isAllowed);
    }
  });

  it("makes decisions again in which the lobby's guide kept nodes closed, and counts its word", async () => {
    const world = new ReplayWorld();
    await world.join(4);
    const [busy, broken] = [GATES.indexOf("busy"), GATES.indexOf("broken")];
    world.guide = (nodeId) => (nodeId === 2 ? busy : nodeId === 3 ? broken : OPEN);
    const asked = await world.ask();
    world.finish(asked!);
    await world.serve();
    await world.endEpoch(4);
    expect(asked!.attempts[0]!.decision).to.include('"node":2,"out":"busy"').and.include('"node":3,"out":"broken"');
    const report = replay(world.evidence());
    expect(report.findings).to.deep.equal([]);
    expect(report.atItsWord).to.include({ busy: 2, broken: 2 });
  });

  it("counts candidates that were left out for reasons that only the relayer knows", async () => {
    const report = await lied((decision) => ({ ...decision, candidates: candidatesOf(decision).map(({ node, own, ...rest }) => (node !== decision.chosen ? { node, own, out: "gone" } : { node, own, ...rest, weight: 65_536 })) }));
    expect(report.findings).to.deep.equal([]);
    expect(report.atItsWord.gone).to.equal(4);
  });

  it("names another decision than the one whose hash the assignment holds", async () => {
    const world = await busyEpoch();
    const batch = world.batches.pop()!;
    const json = JSON.parse(new TextDecoder().decode(batch.data!)) as { tasks: { attempts: { decision: string }[] }[] };
    json.tasks[0]!.attempts[0]!.decision = canonical({ ...JSON.parse(json.tasks[0]!.attempts[0]!.decision) as object, cachedTokens: 1 });
    const data = new TextEncoder().encode(JSON.stringify(json));
    expect(details(replay(world.evidence(EPOCH, { batches: [{ ...batch, data }] })))).to.match(/does not hash to the dataHash/);
    // The relayer signed a header over it: then the assignment convicts it.
    const header = { ...batch.header, dataHash: keccak256(stringToHex(JSON.stringify(json))) };
    const report = replay(world.evidence(EPOCH, { batches: [{ ...batch, data, header, storedHash: hashStruct("BatchHeader", header) }] }));
    expect(kinds(report)).to.include("hash");
    expect(details(report)).to.match(/not the one whose hash the assignment holds/);
  });

  it("names a batch that the chain does not hold so, and records that are not its leaves", async () => {
    const world = await busyEpoch();
    const batch = world.batches[0]!;
    const bad = (change: Partial<typeof batch>): string => details(replay(world.evidence(EPOCH, { batches: [{ ...batch, ...change }] })));
    expect(bad({ storedHash: `0x${"01".repeat(32)}` })).to.match(/not the one that the chain stores/);
    expect(bad({ storedHash: null })).to.match(/not the one that the chain stores/);
    const header = { ...batch.header, sessionRoot: `0x${"02".repeat(32)}` as const };
    expect(bad({ header, storedHash: hashStruct("BatchHeader", header) })).to.match(/not the leaves under its roots/);
    const other = { ...batch.header, relayerId: 9 };
    expect(bad({ header: other, storedHash: hashStruct("BatchHeader", other) })).to.match(/another batch's/);
  });

  it("names nonce gaps and nonces used twice", async () => {
    const world = new ReplayWorld();
    await world.join(3);
    await world.serve();
    world.skipNonce();
    world.skipNonce();
    await world.serve();
    world.repeatNonce();
    await world.serve(101);
    await world.endEpoch(3);
    const early = replay(world.evidence());
    expect(left(early)).to.match(/nonce: .*nonce 1 is missing before 3; a task that was lost in a crash/);
    expect(kinds(early)).to.deep.equal(["nonce"]);
    // The last order's deadline is 20 s after it was opened; a lost task is published within 15 minutes after that.
    await world.goTo(world.epoch + 60, 3);
    await world.serve();
    await world.endEpoch(3);
    expect(left(replay(world.evidence()))).to.match(/nonce 1 is missing/);
    await world.goTo(world.epoch + 4, 3);
    await world.serve();
    await world.endEpoch(3);
    const late = replay(world.evidence());
    expect(kinds(late)).to.deep.equal(["nonce"]);
    expect(details(late)).to.match(/nonce 1 is missing before 3\n.*nonce 2 is missing before 3\n.*nonce 3 stands in two tasks/);
    const paid = replay(world.evidence(undefined, { paidByForce: new Set([orderName({ sessionId: world.sessionId, nonce: 1n }), orderName({ sessionId: `0x${"00".repeat(32)}`, nonce: 2n })]) }));
    expect(details(paid)).to.match(/^[^\n]*nonce 2 is missing before 3\n.*nonce 3 stands in two tasks/);
    expect(left(paid)).to.match(/the node of nonce 1 was paid by its claim/);
  });

  it("names attempts without a cause, with another one, without an earlier attempt, and numbers used twice", async () => {
    const retried = async (change: (world: ReplayWorld, asked: Asked) => Promise<void>): Promise<string> => {
      const world = new ReplayWorld();
      await world.join(4);
      const asked = (await world.ask())!;
      await change(world, asked);
      world.finish(asked);
      await world.endEpoch(4);
      const report = replay(world.evidence());
      return report.findings.filter((one) => one.kind === "attempt").map((one) => one.detail).join("\n");
    };
    expect(await retried(async (world, asked) => {
      world.fail(asked, "stalled");
      world.lie = (decision) => ({ ...decision, cause: null });
      await world.attempt(asked, "stalled");
    })).to.match(/attempt 1 names no cause/);
    expect(await retried(async (world, asked) => {
      world.fail(asked, "stalled");
      await world.attempt(asked, "refused");
    })).to.match(/attempt 1 names the cause refused; attempt 0 ended with stalled/);
    expect(await retried(async (world, asked) => {
      world.fail(asked, "stalled");
      await world.attempt(asked, "stalled");
      world.fail(asked, "stalled");
      await world.attempt(asked, "stalled");
      asked.attempts.splice(1, 1);
    })).to.match(/attempt 2 has no attempt 1 before it/);
    expect(await retried(async (world, asked) => {
      world.fail(asked, "stalled");
      world.lie = (decision) => ({ ...decision, attempt: 0 });
      await world.attempt(asked, "stalled");
    })).to.match(/attempt 0 stands twice/).and.match(/first attempt names a cause: stalled/);
    // A process that took over after a crash does not know how many there were.
    expect(await retried(async (world, asked) => {
      world.fail(asked, "stalled");
      await world.attempt(asked, "recovered", undefined, 128);
    })).to.equal("");
  });

  it("names a table that was old when a newer one was there, tables that contradict each other, and events that cannot be", async () => {
    const world = await busyEpoch();
    const evidence = world.evidence();
    const [first] = world.rig.tables;
    const withTable = (change: (table: Record<string, unknown>) => Record<string, unknown>, from = first!): Evidence => {
      const text = canonical(change(JSON.parse(from.text) as Record<string, unknown>));
      return { ...evidence, tables: new Map([...evidence.tables, [keccak256(stringToHex(text)), text]]) };
    };
    const forked = replay(withTable((table) => ({ ...table, publishedAtMs: Number(table.publishedAtMs) + 1 })));
    expect(kinds(forked)).to.include("table");
    expect(details(forked)).to.match(/both follow/);
    const odd = replay(withTable((table) => ({ ...table, sequence: 900, previous: world.rig.tables.at(-1)!.root, events: [[899, "release", 950]] })));
    expect(details(odd)).to.match(/event 899 \(release of booking 950\) cannot be/);
    const garbage = replay({ ...evidence, tables: new Map([...evidence.tables, [`0x${"12".repeat(32)}` as Hash, "{}"]]) });
    expect(details(garbage)).to.match(/is no node table of that root/);
    const stale = new ReplayWorld();
    await stale.join(3);
    await stale.serve();
    stale.lie = (decision) => ({ ...decision, table: stale.rig.tables[0]!.root });
    stale.rig.clock.pass(1_500);
    await stale.serve();
    await stale.endEpoch(3);
    expect(details(replay(stale.evidence()))).to.match(/was newer when the choice was made/);
  });

  it("names rows that are not what the node attested", async () => {
    const world = new ReplayWorld();
    await world.join(3);
    await world.serve();
    await world.goTo(world.epoch + 1, 3);
    await world.commitEpochs();
    world.settle();
    const [table] = world.rig.tables;
    expect(replay(world.evidence()).findings).to.deep.equal([]);
    const text = table!.text.replace(/(0x[0-9a-f]{64}"),(\d+),/, (_all, hash: string, slots: string) => `${hash},${Number(slots) + 5},`);
    expect(text).to.not.equal(table!.text);
    // The relayer had decided by the forged table.
    const root = keccak256(stringToHex(text));
    const forger = new ReplayWorld();
    forger.lie = (decision) => ({ ...decision, table: root });
    await forger.join(3);
    await forger.serve();
    await forger.goTo(forger.epoch + 1, 3);
    await forger.commitEpochs();
    forger.settle();
    expect(forger.rig.tables[0]!.text).to.equal(table!.text);
    const report = replay(forger.evidence(EPOCH, { tables: new Map([[root, text]]) }));
    expect(kinds(report)).to.include("attestation");
    expect(details(report)).to.match(/node 1 attested 2 slots, 2 for the model; the table says 7/);
  });
});

describe("what cannot be checked yet", () => {
  it("is an unrevealed seed", async () => {
    const world = await busyEpoch();
    const report = replay(world.evidence(EPOCH, { seedChains: world.seedChains(FIRST - 1) }));
    expect([report.verdict, report.findings, report.recomputed]).to.deep.equal(["unchecked", [], 8]);
    expect(report.unchecked).to.deep.equal([{ kind: "seed", detail: `the seed of epoch ${FIRST} is not revealed yet`, count: 8 }]);
  });

  it("is a missing table, missing data, an epoch that is not committed, and an epoch of which nothing is published", async () => {
    const world = await busyEpoch();
    const [first] = world.rig.tables;
    const without = replay(world.evidence(EPOCH, { tables: new Map(world.rig.tables.slice(1).map(({ root, text }) => [root, text])) }));
    expect(left(without)).to.match(new RegExp(`table: node table ${first!.root} is not served`));
    expect([without.verdict, without.findings]).to.deep.equal(["unchecked", []]);
    expect(left(replay(world.evidence(EPOCH, { batches: world.batches.map((batch) => ({ ...batch, data: null })) })))).to.match(/data: the data of batch 1 is not served/);
    expect(left(replay(world.evidence(EPOCH, { cut: ["no more than 5 tables are read"] })))).to.include("data: no more than 5 tables are read");
    expect(left(replay(world.evidence(EPOCH, { epochs: [{ epoch: FIRST, dataHash: null, data: null }] })))).to.match(/attestation: epoch \d+ is not committed/);
    expect(replay(world.evidence({ kind: "epoch", epoch: FIRST + 7 }))).to.deep.include({ verdict: "unchecked", decisions: 0 });
  });

  it("is an idle epoch, until batches reach beyond it", async () => {
    const world = await busyEpoch();
    const idle = { kind: "epoch", epoch: FIRST + 1 } as const;
    await world.commitEpochs();
    const idleEpoch = (): ReplayReport => replay(world.evidence(idle, { epochs: [] }));
    expect(idleEpoch().verdict).to.equal("unchecked");
    await world.goTo(FIRST + 6, 5);
    await world.serve();
    await world.endEpoch(5);
    expect(idleEpoch()).to.deep.include({ verdict: "verified", decisions: 0 });
  });

  it("is a load while no table tells yet what ended", async () => {
    const world = new ReplayWorld();
    await world.join(3);
    const first = (await world.ask())!;
    first.choices[0]!.booking.firstToken(5);
    await world.serve();
    world.finish(first);
    await world.endEpoch(3);
    expect(replay(world.evidence()).verdict).to.equal("verified");
    const early = replay(world.evidence(EPOCH, { tables: new Map(world.rig.tables.slice(0, 1).map(({ root, text }) => [root, text])) }));
    expect([early.findings, early.recomputed]).to.deep.equal([[], 2]);
    expect(early.unchecked.map((one) => [one.kind, one.count])).to.deep.equal([["load", 1]]);
  });

  it("is a load only as long as a dispatch that is kept back runs", async () => {
    const world = new ReplayWorld();
    await world.join(3);
    const kept = (await world.ask())!;
    await world.serve();
    world.fail(kept, "stalled");
    world.rig.clock.pass(1_100);
    await world.serve();
    await world.serve();
    await world.endEpoch(3);
    const report = replay(world.evidence());
    expect([report.findings, report.recomputed]).to.deep.equal([[], 3]);
    expect(report.unchecked.map((one) => [one.kind, one.count])).to.deep.equal([["data", 1], ["load", 1]]);
  });

  it("is a load while earlier dispatches are not published; what is impossible even so is named", async () => {
    const world = new ReplayWorld();
    await world.join(3);
    const long = (await world.ask(500))!;
    await world.serve();
    await world.serve();
    await world.endEpoch(3);
    const waiting = replay(world.evidence());
    expect([waiting.verdict, waiting.findings, waiting.recomputed]).to.deep.equal(["unchecked", [], 2]);
    expect(left(waiting)).to.match(/load: earlier dispatches of process/).and.match(/data: 1 dispatches of process .* not published/);
    world.finish(long);
    await world.serve();
    await world.endEpoch(3);
    expect(replay(world.evidence())).to.deep.include({ verdict: "verified", decisions: 3 });
    const liar = new ReplayWorld();
    liar.lie = (decision) => ({ ...decision, candidates: candidatesWith(decision, 2) });
    await liar.join(3);
    await liar.ask(500);
    await liar.serve();
    await liar.endEpoch(3);
    expect(kinds(replay(liar.evidence()))).to.include("load");
  });

  const candidatesWith = (decision: Record<string, unknown>, more: number): unknown =>
    (decision.candidates as { own: number[] }[]).map((one) => ({ ...one, own: [one.own[0]! + more, one.own[1]!, one.own[2]!] }));
});
