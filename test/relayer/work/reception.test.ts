// The reception: nobody waits in silence, nobody is lost, and no node gets more than its slots.
import { expect } from "chai";
import { ReceptionRig, settled, type Asked } from "./receptionRig.ts";
import { CURVE, model, offer } from "./fleetRig.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { noMetrics } from "../../../relayer/adapters/metrics.ts";

const codes = (all: readonly Asked[]): (string | undefined)[] => all.map((asked) => asked.error?.code);

describe("the reception", () => {
  // The first signature takes as long as its code takes to load.
  before(async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1);
    const first = rig.ask();
    for (let i = 0; i < 1_000 && !first.choice; i++) await new Promise((wake) => setTimeout(wake, 5));
  });

  it("sends whoever finds a free slot on at once, and lets the others wait with a position and a time", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 2 });
    const all = Array.from({ length: 5 }, () => rig.ask());
    await settled();
    expect(all.map(({ choice }) => choice !== null)).to.deep.equal([true, true, false, false, false]);
    expect(rig.nodes.node(1).inFlight).to.equal(2);
    await rig.passAttesting(1_000, [1]);
    expect(all.map(({ told }) => told[0]?.position)).to.deep.equal([undefined, undefined, 1, 2, 3]);
    expect(all[4]!.told[0]!.expectedInMs).to.be.above(all[2]!.told[0]!.expectedInMs);
    expect(rig.reception.status()).to.include({ waiting: 3 });
    for (const [i, asked] of all.entries()) {
      rig.finish(asked);
      await settled();
      expect(rig.nodes.node(1).inFlight, `after ${i}`).to.be.at.most(2);
    }
    expect(codes(all).every((code) => code === undefined) && all.every(({ choice }) => choice !== null)).to.equal(true);
    expect(rig.reception.status()).to.include({ waiting: 0 });
    expect(rig.nodes.node(1).inFlight).to.equal(0);
  });

  it("knows a node that holds most of a prompt for free again as soon as it is, however much of its memory that prompt takes", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { kvFreeTokens: 10_000 }, { models: [model({ contextTokens: 8_192 })], curve: { ...CURVE, bNs: 1_000_000 } });
    const turn = { conversationKey: "conversation-one", inputTokens: 6_000 };
    const first = rig.ask({}, turn);
    await settled();
    first.choice!.booking.firstToken(6_002);
    first.choice!.booking.release("completed");
    const [second, other] = [rig.ask({}, turn), rig.ask()];
    await settled();
    expect(JSON.parse(second.choice!.decision)).to.deep.include({ affinityNode: 1, cachedTokens: 6_000 });
    expect(other.choice).to.not.equal(null);
  });

  it("goes on after a round that failed", async () => {
    let isBroken = false;
    const said: string[] = [];
    const log = { ...silentLog, error: (_fields: object, message: string) => void said.push(message) };
    const rig = new ReceptionRig(undefined, { ...noMetrics, gauge: () => { if (isBroken) throw new Error("broken"); } }, log);
    await rig.nodes.join(1, { slots: 1 });
    const [first, second] = [rig.ask(), rig.ask()];
    await settled();
    isBroken = true;
    await rig.clock.passBy(2_000);
    isBroken = false;
    expect(said[0]).to.include("the next one goes on");
    second.leave();
    rig.finish(first);
    const third = rig.ask();
    await rig.passAttesting(2_000, [1]);
    expect(third.choice).to.not.equal(null);
  });

  it("begins with a new node though others keep it busy, and with no more than a new one is given", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 16, computeBps: 5_000 }, { stakedSlots: 16 });
    const all = Array.from({ length: 4 }, () => rig.ask());
    await settled();
    expect(all.map(({ choice }) => choice !== null)).to.deep.equal([true, true, false, false]);
    expect(rig.nodes.node(1).inFlight).to.equal(2);
  });

  it("keeps to its part of the nodes where other relayers are told of, until the client has waited", async () => {
    const rig = new ReceptionRig();
    const presences = [{ party: "me", running: 19 }, { party: "other", running: 41 }];
    const tell = async () => {
      for (const nodeId of [1, 2, 3]) rig.nodes.events.attested(nodeId, { ...await rig.nodes.signed(nodeId, { slots: 64, computeBps: 9_400 }), presences }, rig.clock.nowMs());
    };
    for (const nodeId of [1, 2, 3]) rig.nodes.connect(nodeId, { stakedSlots: 64, curve: { aNs: 1_000_000, bNs: 1_000_000, cNs: 0, dNs: 0, ePs: 0 } });
    await tell();
    for (let i = 0; i < 4; i++) rig.ask({}, { inputTokens: 400 });
    await settled();
    const inFlight = (): number[] => [1, 2, 3].map((nodeId) => rig.nodes.node(nodeId).inFlight);
    expect(inFlight()).to.deep.equal([1, 0, 0]);
    await rig.clock.passBy(1_000);
    await tell();
    expect(inFlight()[2]).to.equal(0);
    await rig.clock.passBy(1_500);
    expect(inFlight().reduce((sum, one) => sum + one, 0)).to.equal(4);
  });

  it("has its part of the nodes that offer anything, where another before them in the line offers nothing", async () => {
    const rig = new ReceptionRig();
    const presences = [{ party: "me", running: 22 }, { party: "other", running: 38 }];
    const tell = async () => {
      await rig.nodes.attest(1, { slots: 0 });
      for (const nodeId of [2, 3]) rig.nodes.events.attested(nodeId, { ...await rig.nodes.signed(nodeId, { slots: 64, computeBps: 9_400 }), presences }, rig.clock.nowMs());
      await rig.clock.passBy(1_000);
    };
    for (const nodeId of [1, 2, 3]) rig.nodes.connect(nodeId, { stakedSlots: 64, curve: { aNs: 1_000_000, bNs: 1_000_000, cNs: 0, dNs: 0, ePs: 0 } });
    await tell();
    const given: (number | undefined)[] = [];
    for (let i = 0; i < 2; i++) {
      await tell();
      const asked = rig.ask({ waitMsMax: 0 }, { inputTokens: 400 });
      await settled();
      given.push(asked.choice?.nodeId);
    }
    // Its part of the first of them is most of it: enough for such a prompt each second.
    expect(given).to.deep.equal([2, 2]);
  });

  it("tells whoever will not wait so at once: why, how long it would be, what would help", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 1 }, { curve: { aNs: 2_000_000_000, bNs: 1_000_000, cNs: 0, dNs: 0, ePs: 0 } });
    const first = rig.ask();
    for (let i = 0; i < 3; i++) rig.ask();
    await settled();
    const refused = rig.ask({ waitMsMax: 1_000 });
    await settled();
    expect(first.choice).to.not.equal(null);
    expect(refused.error!.code).to.equal("saturated");
    expect(refused.error!.details).to.include({ reason: "wait_too_long", waitMsMax: 1_000 });
    expect(refused.error!.details.retryAfterMs).to.be.above(1_000);
    expect(refused.error!.message).to.match(/About \d+ s of wait are expected.*Send x-tidelane-wait/);
    const hurried = rig.ask({ waitMsMax: 0 });
    await rig.passAttesting(9_000, [1], 1);
    expect(hurried.error!.details).to.include({ reason: "too_late" });
    expect(hurried.told).to.deep.equal([]);
  });

  it("lets a client that hangs up go, and moves the others up", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 1 });
    const [running, leaving, last] = [rig.ask(), rig.ask(), rig.ask()] as const;
    await rig.passAttesting(1_000, [1], 1);
    leaving.leave();
    await rig.passAttesting(1_000, [1], 1);
    expect(leaving.error!.code).to.equal("request_aborted");
    expect(last.told.at(-1)!.position).to.equal(1);
    rig.finish(running);
    await settled();
    expect(last.choice).to.not.equal(null);
    expect(rig.reception.status()).to.include({ waiting: 0 });
  });

  it("gives a place back that was given to a client that had just gone", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 1 });
    const [running, leaving] = [rig.ask(), rig.ask()] as const;
    await settled();
    rig.finish(running);
    leaving.leave();
    await settled();
    expect(leaving.choice === null || leaving.error === null).to.equal(true);
    leaving.choice?.booking.release("unsent");
    expect(rig.nodes.node(1).inFlight).to.equal(0);
  });

  it("defers flex to the ebb, behind whoever is in a hurry, and still starts it by its own time", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 2 });
    const running = [rig.ask(), rig.ask()];
    await settled();
    const flex = rig.ask({ isDeferrable: true, waitMsMax: 600_000 });
    const normal = rig.ask();
    await rig.passAttesting(1_000, [1]);
    rig.finish(running[0]!);
    await settled();
    expect(normal.choice, "whoever came later, but not deferrable").to.not.equal(null);
    expect(flex.choice).to.equal(null);
    rig.finish(running[1]!);
    await settled();
    expect(flex.choice, "with half of the slots free").to.not.equal(null);
    // A full fleet for good: it starts when its time comes.
    const [two, late] = [[flex, normal], rig.ask({ isDeferrable: true, waitMsMax: 20_000 })] as const;
    await rig.passAttesting(10_000, [1]);
    expect(late.choice).to.equal(null);
    const ahead = Array.from({ length: 3 }, () => rig.ask());
    await rig.passAttesting(8_000, [1]);
    rig.finish(two[0]!);
    rig.finish(two[1]!);
    for (const one of ahead) {
      await rig.passAttesting(1_000, [1]);
      if (one.choice) rig.finish(one);
    }
    await rig.passAttesting(1_000, [1]);
    expect(late.choice).to.not.equal(null);
  });

  it("keeps no idle node closed to who waits because it has proved slower since", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 1 });
    let running = rig.ask();
    await settled();
    const flex = rig.ask({ isDeferrable: true, waitMsMax: 600_000 });
    // Each is answered much later than the node's curve says: it is learnt to be slower than what was promised when flex came.
    for (let i = 0; i < 4; i++) {
      const next = rig.ask();
      await settled();
      running.choice!.booking.firstToken(60_000);
      running.choice!.booking.release("completed");
      for (let second = 0; second < 20 && !next.choice; second++) await rig.passAttesting(1_000, [1], 1);
      running = next;
    }
    rig.finish(running);
    for (let second = 0; second < 60 && !flex.choice; second++) await rig.passAttesting(1_000, [1], 1);
    expect(flex.choice).to.not.equal(null);
  });

  it("breaks a silent node out, and finds it again when it answers", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 4 });
    const silent = rig.ask();
    await settled();
    await rig.passAttesting(5_000, [1], 4);
    const waiting = rig.ask();
    await settled();
    expect(waiting.choice, "while its first token is overdue").to.equal(null);
    await rig.nodes.join(2, { slots: 4 });
    await settled();
    expect(waiting.choice!.nodeId).to.equal(2);
    silent.choice!.booking.release("failed");
    await rig.passAttesting(70_000, [1, 2], 4);
    const found = new Set<number>();
    for (let i = 0; i < 40 && !found.has(1); i++) {
      const one = rig.ask();
      await settled();
      if (!one.choice) continue;
      found.add(one.choice.nodeId);
      rig.finish(one);
      await rig.passAttesting(1_000, [1, 2], 4);
    }
    expect([...found], "by exploration").to.include(1);
  });

  it("tells those who wait when nobody is left to serve them, and when their order ends", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 1 });
    rig.ask();
    const [orphan, short] = [rig.ask(), rig.ask({ untilMs: rig.clock.monoMs + 3_000 })] as const;
    await rig.passAttesting(4_000, [1], 1);
    expect(short.error!.code).to.equal("deadline_exceeded");
    rig.reception.disconnected(1);
    await rig.clock.passBy(12_000);
    expect(orphan.error!.code).to.equal("no_node");
    expect(rig.reception.status()).to.include({ waiting: 0 });
  });

  it("puts a further try first in line, and tells its client where even that takes too long", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 1 });
    const running = rig.ask();
    await settled();
    const later = rig.ask();
    const again = rig.ask({ waitMsMax: 0 }, { attempt: 1, cause: "no_answer" });
    await rig.passAttesting(2_000, [1], 1);
    rig.finish(running);
    await settled();
    expect([again.choice !== null, later.choice !== null]).to.deep.equal([true, false]);
    const stuck = rig.ask({ waitMsMax: 0 }, { attempt: 1, cause: "no_answer" });
    await rig.passAttesting(11_000, [1], 1);
    expect(stuck.error!.details).to.include({ reason: "too_late" });
    expect(stuck.told).to.deep.equal([]);
    expect(later.error).to.equal(null);
  });

  it("tells a task of its own trouble, whoever moves the line, and goes on with the others", async () => {
    const rig = new ReceptionRig({ seedOf: (epoch) => (rig.hasSeeds ? `0x${epoch.toString(16).padStart(64, "0")}` : null) });
    await rig.nodes.join(1, { slots: 1 });
    const running = rig.ask();
    await settled();
    const unlucky = rig.ask({ waitMsMax: 10_000 });
    await settled();
    rig.hasSeeds = false;
    rig.clock.pass(15_000);
    await rig.nodes.attest(1, { slots: 1 });
    rig.finish(running);
    await settled();
    expect(unlucky.error!.code).to.equal("no_seed");
    rig.hasSeeds = true;
    const next = rig.ask();
    await settled();
    expect(next.choice).to.not.equal(null);
    expect(rig.reception.status()).to.include({ waiting: 0 });
  });

  it("leaves who said that it waits in line until the epoch's seed is there, for as long as it said", async () => {
    const rig = new ReceptionRig({ seedOf: (epoch) => (rig.hasSeeds ? `0x${epoch.toString(16).padStart(64, "0")}` : null) });
    await rig.nodes.join(1, { slots: 2 });
    rig.hasSeeds = false;
    const [brief, patient] = [rig.ask({ waitMsMax: 3_000 }), rig.ask()] as const;
    await rig.passAttesting(2_000, [1]);
    expect([patient.error, brief.error]).to.deep.equal([null, null]);
    expect([brief, patient].map(({ told }) => told[0]!.position)).to.deep.equal([1, 2]);
    await rig.passAttesting(2_000, [1]);
    expect(brief.error!.code).to.equal("no_seed");
    rig.hasSeeds = true;
    await rig.passAttesting(1_000, [1]);
    expect(patient.choice).to.not.equal(null);
  });

  it("measures what waits, what is refused and how the lanes are", async () => {
    const gauges = new Map<string, number>();
    const promises: (string | undefined)[] = [];
    const count = (name: string, labels: Readonly<Record<string, string>> = {}): void => { if (name === "lobby_promises_total") promises.push(labels.kept); };
    const rig = new ReceptionRig(undefined, { ...noMetrics, count, gauge: (name, value, labels = {}) => gauges.set([name, ...Object.values(labels)].join(":"), value) });
    await rig.nodes.join(1, { slots: 1 });
    const first = rig.ask();
    await settled();
    const [second] = [rig.ask(), rig.ask()];
    rig.ask({ isDeferrable: true });
    await rig.passAttesting(2_500, [1], 1);
    expect(Object.fromEntries(gauges)).to.include({ lobby_parties: 1, lobby_waiting: 2, lobby_deferred: 1, "lane_nodes:decode": 1, "lane_waiting:decode": 2, "lane_running:decode": 1, "lane_nodes:prep": 0, lane_switches: 0 });
    expect(gauges.get("lobby_expected_wait_ms")).to.be.above(0);
    rig.finish(first);
    await settled();
    await rig.passAttesting(60_000, [1], 1);
    rig.finish(second!);
    await settled();
    expect(promises.at(-1)).to.equal("late");
  });

  it("gives up nodes that say nothing any more, and takes them back", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 1 });
    const first = rig.ask();
    await settled();
    const second = rig.ask();
    await rig.clock.passBy(7_000);
    rig.finish(first);
    await settled();
    expect(second.choice, "the node's word is seven seconds old").to.equal(null);
    await rig.nodes.attest(1, { slots: 1 });
    await settled();
    expect(second.choice).to.not.equal(null);
  });

  it("closes: whoever waits is told to come again, and nobody is let in", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 1 });
    const [running, waiting] = [rig.ask(), rig.ask()] as const;
    await settled();
    rig.reception.close();
    const late = rig.ask();
    await settled();
    expect(codes([running, waiting, late])).to.deep.equal([undefined, "shutting_down", "shutting_down"]);
    expect(waiting.error!.retryable).to.equal(true);
  });

  it("under its own overload refuses flex first, then what is new, and carries through what has begun", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 4 });
    rig.reception.overload("no_flex");
    const [flex, normal] = [rig.ask({ isDeferrable: true }), rig.ask()] as const;
    await settled();
    expect(codes([flex, normal])).to.deep.equal(["overloaded", undefined]);
    rig.reception.overload("closed");
    const [refused, retried] = [rig.ask(), rig.ask({}, { attempt: 1, cause: "no_answer" })] as const;
    await settled();
    expect(codes([refused, retried])).to.deep.equal(["overloaded", undefined]);
    expect(refused.error!.details.retryAfterMs).to.be.within(5_000, 7_500);
    expect(retried.choice).to.not.equal(null);
  });

  describe("whatever is claimed", () => {
    it("an empty fleet is told from a full one", async () => {
      const rig = new ReceptionRig();
      const nobody = rig.ask();
      await settled();
      expect(nobody.error!.code).to.equal("model_not_found");
      await rig.nodes.join(1, { slots: 0 });
      const none = rig.ask({ waitMsMax: 0 });
      await rig.passAttesting(3_000, [1], 0);
      expect(none.error).to.not.equal(null);
    });

    it("where all nodes have fallen silent, whoever will not wait is told at once, and the others are served when they are back", async () => {
      const rig = new ReceptionRig();
      await rig.nodes.join(1, { slots: 1 });
      const first = rig.ask();
      await settled();
      // Flex waits without a line that would turn others away before they are looked at.
      const flex = rig.ask({ isDeferrable: true, waitMsMax: 600_000 });
      await rig.clock.passBy(8_000);
      const hurried = Array.from({ length: 20 }, (_, i) => rig.ask({ waitMsMax: 0, payer: `payer ${i}` }));
      await settled();
      expect(hurried.map(({ error }) => error?.code)).to.deep.equal(hurried.map(() => "saturated"));
      const patient = rig.ask({ payer: "patient" });
      rig.finish(first);
      for (let round = 0; round < 12; round++) {
        await rig.passAttesting(1_000, [1], 1);
        for (const asked of [flex, patient]) if (asked.choice) rig.finish(asked);
      }
      expect([flex, patient].map(({ choice }) => choice?.nodeId)).to.deep.equal([1, 1]);
    });

    it("all nodes full by what they say of others' work: nobody is lost, and the line moves when that ends", async () => {
      const rig = new ReceptionRig();
      const full = { slots: 2, computeBps: 10_000, memoryBps: 10_000, queueBps: 10_000, networkBps: 10_000, queuedTokens: 5_000 };
      for (const nodeId of [1, 2]) await rig.nodes.join(nodeId, full);
      const [hurried, patient] = [rig.ask({ waitMsMax: 0 }), rig.ask()] as const;
      for (let second = 0; second < 5; second++) {
        await rig.clock.passBy(1_000);
        for (const nodeId of [1, 2]) await rig.nodes.attest(nodeId, full);
      }
      expect([hurried.error?.code, patient.error, patient.choice]).to.deep.equal(["saturated", null, null]);
      expect(patient.told.length).to.be.above(3);
      await rig.passAttesting(2_000, [1, 2]);
      expect(patient.choice).to.not.equal(null);
    });

    it("negative figures, more than all, a million slots and clocks five minutes off crash and stall nothing", async () => {
      const rig = new ReceptionRig();
      const nowMs = rig.clock.nowMs();
      await rig.nodes.join(1, { slots: 1_000_000, computeBps: 60_000, memoryBps: 65_535, queueBps: 30_000, queuedTokens: 4_000_000_000, kvFreeTokens: 0 }, { stakedSlots: 2 });
      await rig.nodes.join(2, { slots: 2 });
      const signed = await rig.nodes.signed(2);
      rig.reception.attested(2, { ...signed, attestation: { ...signed.attestation, slots: -5, computeBps: -1, kvFreeTokens: -7, queuedTokens: -9 } }, nowMs);
      await rig.nodes.join(3, { slots: 2, observedAtMs: nowMs + 300_000, validUntilMs: nowMs + 305_000 });
      await rig.nodes.join(4, { slots: 2, observedAtMs: nowMs - 300_000, validUntilMs: nowMs - 295_000 });
      const all = Array.from({ length: 8 }, () => rig.ask());
      for (let round = 0; round < 12; round++) {
        await rig.clock.passBy(500);
        for (const [nodeId, slots] of [[1, 1_000_000], [3, 2], [4, 2]] as const) {
          await rig.nodes.attest(nodeId, { slots }, [offer({ slots: 4 })]);
          expect(rig.nodes.node(nodeId).inFlight).to.be.at.most(2);
        }
        for (const asked of all) if (asked.choice) rig.finish(asked);
      }
      expect(all.filter(({ choice }) => choice === null)).to.deep.equal([]);
      expect(new Set(all.map(({ choice }) => choice!.nodeId))).to.not.include(2);
    });

    it("attestations out of order and doubled change nothing for those who wait", async () => {
      const rig = new ReceptionRig();
      await rig.nodes.join(1, { slots: 1 });
      const [running, waiting] = [rig.ask(), rig.ask()] as const;
      await settled();
      const [older, newer] = [await rig.nodes.signed(1, { slots: 1 }), await rig.nodes.signed(1, { slots: 1, computeBps: 10_000 })];
      for (const signed of [newer, older, newer, older]) rig.reception.attested(1, signed, rig.clock.nowMs());
      expect(waiting.choice).to.equal(null);
      rig.finish(running);
      await rig.passAttesting(2_000, [1], 1);
      expect(waiting.choice).to.not.equal(null);
    });

    it("who will not wait, and came while the only node claimed to take hours, is served by the next one that does not", async () => {
      const rig = new ReceptionRig();
      await rig.nodes.join(1, { slots: 1 }, { curve: { aNs: 10 ** 12, bNs: 0, cNs: 0, dNs: 0, ePs: 0 } });
      rig.ask();
      await settled();
      const hurried = rig.ask({ waitMsMax: 0 });
      await rig.passAttesting(4_000, [1], 1);
      expect([hurried.choice, hurried.error]).to.deep.equal([null, null]);
      await rig.nodes.join(2, { slots: 1 });
      rig.nodes.events.disconnected(1);
      await rig.passAttesting(2_000, [2], 1);
      expect(hurried.choice?.nodeId).to.equal(2);
    });

    it("a boast that is never put to the test, for want of slots or of an answer, has no honest node called too slow", async () => {
      const boast = { aNs: 0, bNs: 0, cNs: 0, dNs: 0, ePs: 0 };
      for (const slow of [{ ...CURVE, aNs: 3e8 }, { ...CURVE, bNs: 5e6 }]) {
        for (const slots of [0, 2]) {
          const rig = new ReceptionRig();
          await rig.nodes.join(1, { slots: 8 }, { curve: slow });
          await rig.nodes.join(2, { slots }, { curve: boast });
          const ask = async () => {
            const asked = rig.ask({ waitMsMax: 0 }, { inputTokens: 900 });
            await settled();
            return asked;
          };
          if (slots > 0) {
            const stalled = await ask();
            expect(stalled.choice?.nodeId).to.equal(2);
            stalled.choice!.booking.release("failed");
            await rig.nodes.attest(2, { slots });
          }
          expect((await ask()).choice?.nodeId, JSON.stringify([slow, slots])).to.equal(1);
        }
      }
    });

    it("curves that diverge keep nobody waiting for ever", async () => {
      const rig = new ReceptionRig();
      const most = 10 ** 12;
      await rig.nodes.join(1, { slots: 2 }, { curve: { aNs: most, bNs: most, cNs: most, dNs: most, ePs: most } });
      await rig.nodes.join(2, { slots: 2 }, { curve: { aNs: 0, bNs: 0, cNs: 0, dNs: 0, ePs: 0 } });
      const all = Array.from({ length: 6 }, () => rig.ask());
      for (let round = 0; round < 20; round++) {
        await rig.passAttesting(1_000, [1, 2]);
        for (const asked of all) if (asked.choice) rig.finish(asked);
      }
      expect(codes(all).filter((code) => code !== undefined)).to.deep.equal([]);
      expect(all.every(({ choice }) => choice !== null)).to.equal(true);
    });
  });
});
