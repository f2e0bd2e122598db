import { expect } from "chai";
import { keccak256 } from "viem/utils";
import { deployment, EPOCH_SECONDS, FleetRig, RELAYER, START_MS } from "./fleetRig.ts";
import { honestRecord, relayer } from "../../protocol/honest.ts";
import { recoverWithViem } from "../../../protocol/signing.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { epochAt } from "../../../relayer/routing/seeds.ts";
import { signAssignment } from "../../../relayer/work/assignment.ts";

describe("attestations", () => {
  it("count as saturated when five seconds old, and the node is found again when it speaks", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    rig.clock.pass(4_999);
    expect(await rig.reason()).to.equal("chosen");
    rig.clock.pass(1);
    expect(await rig.reason()).to.equal("saturated");
    expect(rig.node(1)).to.include({ state: "stale", attestationAgeMs: 5_000 });
    await rig.attest(1);
    expect(await rig.reason()).to.equal("chosen");
  });

  it("are needed anew after a disconnection", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    await rig.chosen();
    rig.fleet.disconnected(1);
    expect(await rig.reason()).to.equal("no_node");
    rig.connect(1);
    expect(await rig.reason()).to.equal("no_node");
    await rig.attest(1);
    expect(await rig.reason()).to.equal("chosen");
  });

  it("are ignored when out of order, doubled, or meant for somebody else", async () => {
    const rig = new FleetRig();
    rig.connect(1);
    const late = await rig.signed(1, { slots: 1 });
    const newest = await rig.attest(1, { slots: 4 });
    for (const signed of [late, newest]) rig.fleet.attested(1, signed, rig.clock.nowMs());
    await rig.attest(1, { slots: 1, relayerId: RELAYER + 1 });
    await rig.attest(1, { slots: 1, keyEpoch: 2 });
    await rig.attest(1, { slots: 1, nodeId: 2 });
    rig.fleet.attested(99, newest, rig.clock.nowMs());
    expect(rig.node(1).slots).to.equal(4);
    expect(["old_seq", "other_relayer", "other_key_epoch", "other_node"].map((reason) => rig.counts.get(`attestations_ignored_total:${reason}`))).to.deep.equal([2, 1, 1, 1]);
  });

  it("are dated by the relayer's clock: a node five minutes fast or slow serves alike", async () => {
    for (const skewMs of [-300_000, 300_000]) {
      const rig = new FleetRig();
      rig.connect(1);
      await rig.attest(1, { observedAtMs: START_MS + skewMs, validUntilMs: START_MS + skewMs + 5_000 });
      rig.clock.pass(4_000);
      expect(await rig.reason(), `skew ${skewMs}`).to.equal("chosen");
      rig.clock.pass(1_000);
      expect(await rig.reason(), `skew ${skewMs}, old`).to.equal("saturated");
    }
  });

  it("do not grow younger or ancient when the relayer's own wall clock is set", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    rig.clock.wallMs -= 3_600_000;
    rig.clock.monoMs += 5_000;
    const seeds = await rig.reason().catch((error: { code: string }) => error.code);
    expect(seeds).to.be.oneOf(["no_seed", "saturated"]);
    rig.clock.wallMs += 3_600_000;
    expect(await rig.reason()).to.equal("saturated");
    await rig.attest(1);
    expect(await rig.reason()).to.equal("chosen");
  });

  it("may claim less than five seconds, and nonsense never", async () => {
    const brief = new FleetRig();
    brief.connect(1);
    await brief.attest(1, { validUntilMs: START_MS + 1_000 });
    brief.clock.pass(999);
    expect(await brief.reason()).to.equal("chosen");
    brief.clock.pass(1);
    expect(await brief.reason()).to.equal("saturated");

    const backwards = new FleetRig();
    backwards.connect(1);
    await backwards.attest(1, { validUntilMs: 0 });
    expect(await backwards.reason()).to.equal("saturated");
  });

  it("survive absurd figures", async () => {
    const rig = new FleetRig();
    await rig.join(1, { slots: 65_535, prepSlots: 65_535, computeBps: 65_535, memoryBps: 65_535, queueBps: 65_535, networkBps: 65_535, queuedTokens: 2 ** 32 - 1, kvFreeTokens: 2 ** 32 - 1 });
    const choice = await rig.chosen();
    expect(rig.node(1)).to.include({ slots: 8, prepSlots: 8, computeBps: 10_000, memoryBps: 10_000 });
    choice.booking.release("completed");
    // A free node is preferred to one that claims to be beyond full.
    await rig.join(2);
    for (let i = 0; i < 20; i++) {
      const next = await rig.chosen();
      expect(next.nodeId).to.equal(2);
      next.booking.release("completed");
    }
  });

  it("signed by another key keep the node out, cost it score, and hurt nobody else", async () => {
    const rig = new FleetRig();
    rig.connect(1);
    const before = rig.node(1).scoreBps;
    await rig.attest(1, {}, undefined, 2);
    await rig.join(2);
    const choices = await Promise.all([rig.chosen(), rig.chosen(), rig.chosen()]);
    expect(choices.map((choice) => choice.nodeId)).to.deep.equal([2, 2, 2]);
    expect(rig.node(1)).to.include({ inFlight: 0, state: "stale" });
    expect(rig.node(1).scoreBps).to.be.lessThan(before);
    await rig.chosen();
    expect(await rig.reason()).to.equal("saturated");
    await rig.attest(1);
    expect((await rig.chosen()).nodeId).to.equal(1);
  });

  it("without a signature worth the name are refused the same way", async () => {
    const rig = new FleetRig();
    rig.connect(1);
    rig.fleet.attested(1, { ...await rig.signed(1), signature: `0x${"00".repeat(65)}` }, rig.clock.nowMs());
    expect(await rig.reason()).to.equal("saturated");
    expect(rig.node(1).inFlight).to.equal(0);
  });
});

describe("epochs of attestations", () => {
  const first = Math.floor(START_MS / 1_000 / EPOCH_SECONDS);

  it("hold each node's greatest in each epoch and are handed out once, without the forged", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    const last = await rig.attest(1, { queueBps: 7 });
    rig.connect(2);
    await rig.attest(2, {}, undefined, 1);
    rig.clock.pass(EPOCH_SECONDS * 1_000);
    await rig.attest(1);
    const taken = await rig.fleet.takeEpochs(first);
    expect(taken.map(({ epoch, held }) => [epoch, held.map((one) => one.state.signed)])).to.deep.equal([[first, [last]]]);
    expect(await rig.fleet.takeEpochs(first)).to.deep.equal([]);
  });

  it("hold what an assignment of the epoch named, also where it was attested before the epoch began", async () => {
    const rig = new FleetRig();
    rig.connect(1);
    rig.clock.pass(EPOCH_SECONDS * 1_000 - 500);
    const named = await rig.attest(1);
    rig.clock.pass(600);
    const choice = await rig.chosen();
    const taken = await rig.fleet.takeEpochs(first + 1);
    expect(taken.map(({ epoch, held }) => [epoch, held.map((one) => one.state.signed.attestation.seq)])).to.deep.equal([[first, [named.attestation.seq]], [first + 1, [named.attestation.seq]]]);
    expect(choice.attestationHash).to.equal(hashStruct("SaturationAttestation", named.attestation));
  });

  it("hold it in the epoch in which the assignment is issued, however long its signing takes", async () => {
    const rig = new FleetRig();
    rig.connect(1);
    rig.clock.pass(EPOCH_SECONDS * 1_000 - 1);
    const named = await rig.attest(1);
    const choice = await rig.chosen();
    rig.fleet.disconnected(1);
    // The next epoch has begun, in which this node says nothing more.
    rig.clock.pass(50);
    const covered = await honestRecord();
    const terms = { covered, taskId: covered.assignment.taskId, inputCommit: covered.order.promptCommit, kind: "chat" as const, choice, attempt: 0 };
    const { assignment } = await signAssignment(terms, { relayerId: RELAYER, epoch: 1, feeBps: 300, signer: relayer }, deployment, { keccak256, recover: recoverWithViem });
    expect(epochAt(assignment.issuedAt * 1_000, EPOCH_SECONDS)).to.equal(first);
    const taken = await rig.fleet.takeEpochs(first + 1);
    expect(taken.map(({ epoch, held }) => [epoch, held.map((one) => one.state.signed)])).to.deep.equal([[first, [named]]]);
  });

  it("come with a table that tells what ended since the last choice, and with no further one where nothing did", async () => {
    const rig = new FleetRig();
    await rig.join(1);
    const choice = await rig.chosen();
    choice.booking.firstToken(5);
    choice.booking.release("completed");
    rig.clock.pass(EPOCH_SECONDS * 1_000);
    await rig.attest(1);
    const [taken] = await rig.fleet.takeEpochs(first);
    const last = rig.tables.at(-1)!;
    expect([rig.tables.length, taken!.tableRoot]).to.deep.equal([2, last.root]);
    expect(JSON.parse(last.text)).to.deep.include({ previous: rig.tables[0]!.root, sequence: 3, events: [[2, "first", 1], [3, "release", 1]] });
    rig.clock.pass(EPOCH_SECONDS * 1_000);
    expect((await rig.fleet.takeEpochs(first + 1)).map((one) => one.tableRoot)).to.deep.equal([last.root]);
    expect(rig.tables).to.have.length(2);
  });

  it("are bounded while the board cannot be reached", async () => {
    const rig = new FleetRig();
    rig.connect(1);
    for (let i = 0; i < 30; i++) {
      await rig.attest(1);
      rig.clock.pass(EPOCH_SECONDS * 1_000);
    }
    expect(await rig.fleet.takeEpochs(first + 100)).to.have.length(8);
  });
});
