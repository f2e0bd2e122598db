import { expect } from "chai";
import { AttestedState } from "../../../relayer/work/attestedState.ts";
import { EPOCHS_KEPT, EpochShares } from "../../../relayer/work/epochShares.ts";
import type { HeldAttestation } from "../../../relayer/work/epochAttestations.ts";
import type { Hash } from "../../../protocol/units.ts";
import { codeOf } from "../loops/settleRig.ts";
import { factsIn } from "./factsIn.ts";
import { journalErrors } from "../../../relayer/adapters/journal/errors.ts";
import { EPOCH_SECONDS, FleetRig, signer, START_MS } from "./fleetRig.ts";

const TABLE: Hash = `0x${"7a".repeat(32)}`;
const SEED: Hash = `0x${"5e".repeat(32)}`;
const OTHER_TABLE: Hash = `0x${"7b".repeat(32)}`;

describe("epochs of several processes", () => {
  const facts = new Map<string, string>();
  let rig: FleetRig;
  beforeEach(() => {
    facts.clear();
    rig = new FleetRig();
  });

  const process = (id: string): EpochShares => new EpochShares(factsIn(facts), id);
  const held = async (nodeId: number, seq: bigint): Promise<HeldAttestation> =>
    ({ state: new AttestedState(await rig.signed(nodeId, { seq }), signer(nodeId).address, 0, 8, { inFlight: 0, prefillTokens: 0, contextTokens: 0 }), slotsMax: Number(seq) });

  it("are whole once all that lived in them have put their part, each node by its greatest attestation", async () => {
    const [one, other] = [process("one"), process("other")];
    await one.noteAlive(10, 11);
    await other.noteAlive(10, 11);
    await one.put(10, [await held(1, 5n), await held(2, 9n)], TABLE);
    expect(await one.whole(10)).to.equal(null);
    await other.put(10, [await held(1, 6n), await held(2, 8n), await held(3, 1n)], OTHER_TABLE);
    for (const process of [one, other]) {
      const whole = await process.whole(10);
      expect(whole!.held.map(({ signed, slotsMax }) => [signed.attestation.nodeId, signed.attestation.seq, slotsMax])).to.deep.equal([[1, 6n, 6], [2, 9n, 9], [3, 1n, 1]]);
      expect(whole!.tables).to.deep.equal([TABLE, OTHER_TABLE]);
    }
  });

  it("are whole without those who came later or had nothing to do with them", async () => {
    const one = process("one");
    await one.noteAlive(10, 10);
    await one.put(10, [], null);
    await process("later").noteAlive(11, 12);
    expect(await one.whole(10)).to.deep.equal({ held: [], tables: [] });
    expect(await one.whole(9), "nobody put anything").to.equal(null);
  });

  it("are never whole where a process died in them, and whole again after it", async () => {
    const [dead, one] = [process("dead"), process("one")];
    await dead.noteAlive(10, 11);
    await one.noteAlive(11, 12);
    for (const epoch of [11, 12]) await one.put(epoch, [await held(1, BigInt(epoch))], null);
    expect(await one.whole(11)).to.equal(null);
    expect((await one.whole(12))!.held).to.have.length(1);
  });

  it("tell a process how many others may live, by what it was told when it said that it lives", async () => {
    const [one, other] = [process("one"), process("other")];
    await one.noteAlive(10, 11);
    expect(one.count).to.equal(0);
    await other.noteAlive(11, 12);
    expect([one.count, other.count]).to.deep.equal([0, 1]);
    await one.noteAlive(12, 13);
    expect(one.count).to.equal(1);
    await one.noteAlive(13, 14);
    expect(one.count, "it has not said that it lives any more").to.equal(0);
  });

  it("take each part once", async () => {
    const one = process("one");
    await one.noteAlive(10, 11);
    await one.put(10, [await held(1, 5n)], TABLE);
    await one.put(10, [await held(1, 6n)], OTHER_TABLE);
    const whole = await one.whole(10);
    expect([whole!.held[0]!.signed.attestation.seq, whole!.tables]).to.deep.equal([5n, [TABLE]]);
  });

  it("are chosen in only by those of whom the journal knows that they live in them", async () => {
    let isCut = false;
    const plain = factsIn(facts);
    const cut = new EpochShares({
      getFact: async (name) => { if (isCut) throw journalErrors.unavailable(null); return plain.getFact(name); }, replaceFact: plain.replaceFact,
    }, "cut");
    rig = new FleetRig({ seeds: cut.whileAlive({ seedOf: () => SEED }) });
    const first = START_MS / 1_000 / EPOCH_SECONDS;
    const inEpoch = async (epoch: number): Promise<string> => {
      rig.clock.pass(epoch * EPOCH_SECONDS * 1_000 - rig.clock.nowMs());
      await rig.join(1);
      return codeOf(rig.chosen());
    };
    expect(await inEpoch(first)).to.equal("no_seed");
    await cut.noteAlive(first, first + 1);
    expect([await inEpoch(first), await inEpoch(first + 1)]).to.deep.equal(["none", "none"]);
    isCut = true;
    expect(await codeOf(cut.noteAlive(first + 1, first + 2))).to.equal("journal_unavailable");
    expect(await inEpoch(first + 2)).to.equal("no_seed");
    // The others wait for its part of the epochs in which it chose, and not for the one in which it could not.
    const one = process("one");
    await one.noteAlive(first, first + 2);
    for (let epoch = first; epoch <= first + 2; epoch++) await one.put(epoch, [], TABLE);
    expect([await one.whole(first), await one.whole(first + 1), (await one.whole(first + 2))?.tables]).to.deep.equal([null, null, [TABLE]]);
    isCut = false;
    await cut.noteAlive(first + 3, first + 3);
    expect([await inEpoch(first + 3), await inEpoch(first - 1)]).to.deep.equal(["none", "no_seed"]);
  });

  it("take back nothing that was said of who lives in them, in whatever order two words of it arrive", async () => {
    const one = process("one");
    const both = [one.noteAlive(10, 12), one.noteAlive(10, 11)];
    await Promise.all(both);
    expect(JSON.parse(facts.get("board_processes")!)).to.deep.equal({ one: [10, 12] });
    // Said once, it is not written again.
    const written = facts.get("board_processes")!;
    facts.set("board_processes", "{}");
    await one.noteAlive(11, 12);
    expect(facts.get("board_processes")).to.equal("{}");
    facts.set("board_processes", written);
    const seeds = one.whileAlive({ seedOf: () => SEED });
    expect([9, 10, 12, 13].map((epoch) => seeds.seedOf(epoch))).to.deep.equal([null, SEED, SEED, null]);
  });

  it("take a bounded room in the journal, however many there were", async () => {
    for (let epoch = 10; epoch < 100; epoch++) {
      const fresh = process(`process ${epoch}`);
      await fresh.noteAlive(epoch, epoch);
      await fresh.put(epoch, [await held(1, 1n)], null);
    }
    expect(facts.size).to.equal(2 * EPOCHS_KEPT + 1);
    expect(Object.keys(JSON.parse(facts.get("board_processes")!) as object)).to.have.length(EPOCHS_KEPT + 1);
    // What comes too late does not push out what is newer.
    await process("slow").put(99 - 2 * EPOCHS_KEPT, [await held(1, 7n)], null);
    expect((await process("any").whole(99))!.held[0]!.slotsMax).to.equal(1);
  });

  it("lose nothing where two write at once, and say so where others always write first", async () => {
    const plain = factsIn(facts);
    let races = 0;
    const raced = (times: number): EpochShares => new EpochShares({
      getFact: plain.getFact, replaceFact: async (name, expected, value) => (races++ < times ? false : plain.replaceFact(name, expected, value)),
    }, "raced");
    await raced(3).put(10, [await held(1, 5n)], null);
    expect((await process("any").whole(10))!.held).to.have.length(1);
    races = 0;
    expect(await codeOf(raced(1_000).put(11, [], null))).to.equal("journal_busy");
  });
});
