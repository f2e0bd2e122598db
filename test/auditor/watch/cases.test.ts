// From a finding to its punishment: asked, announced, proven once, whatever happens in between; withheld data demanded, condemned, voided.
import { rmSync } from "node:fs";
import { expect } from "chai";
import { advanceCases, openCases } from "../../../auditor/work/cases.ts";
import { checkEvidence } from "../../../auditor/work/check.ts";
import type { Watch } from "../../../auditor/work/watch.ts";
import { watchOnce } from "../../../auditor/work/watcher.ts";
import { NO_MESSAGES, type Found } from "../../../auditor/watch/history.ts";
import { signStruct } from "../../../protocol/signing.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { itemsHash } from "../../../protocol/merkleSum.ts";
import { ZERO_HASH, type Address } from "../../../protocol/units.ts";
import { domain, honestRecord, payer, relayer } from "../../protocol/honest.ts";
import { FakeChain, FakeSender, WINDOW_SECONDS, journalOf, newFolder, watcherIn } from "./rig.ts";

const OTHER: Address = `0x${"22".repeat(20)}`;
const withheld: Found = { detail: "not served", finding: { offence: "F9", functionName: "challengeData", evidence: { relayerId: 1, batchId: 1n, index: 0 } } };

/** Batch 1 of relayer 1, with a debit and a credit. */
async function keepBatch({ archive }: Watch): Promise<void> {
  const [debits, credits] = [[{ id: `0x${"01".repeat(32)}` as const, change: 5n }], [{ id: `0x${"02".repeat(32)}` as const, change: 4n }]];
  const header = {
    relayerId: 1, relayerEpoch: 1, batchId: 1n, prevBatchHash: ZERO_HASH, sessionRoot: ZERO_HASH, tabRoot: ZERO_HASH, leafCount: 1, debitsHash: itemsHash(debits), creditsHash: itemsHash(credits),
    totalDebit: 5n, totalCredit: 4n, dataHash: ZERO_HASH, periodStart: 0, periodEnd: 1, postBy: 2,
  };
  await archive.keepBatch({ header, batchHash: hashStruct("BatchHeader", header), postedAt: 3, debits, credits, shown: [] });
}

describe("a watcher's cases", () => {
  let folder: string;
  let chain: FakeChain;
  let sender: FakeSender;
  let twice: Found;
  const open: (Watch & { close(): Promise<void> })[] = [];
  const watcher = async (options: Parameters<typeof watcherIn>[3] = {}, by: FakeSender | null = sender): Promise<Watch> => {
    for (const one of open.splice(0)) await one.close();
    const watch = await watcherIn(folder, chain, by, options);
    open.push(watch);
    return watch;
  };
  const statuses = (watch: Watch): string[] => watch.state.cases.map(({ status }) => status);

  beforeEach(async () => {
    folder = newFolder();
    chain = new FakeChain();
    sender = new FakeSender(chain);
    const { assignment: one } = await honestRecord();
    const other = { ...one, nodeId: 8 };
    const sign = (value: typeof one) => signStruct(relayer, domain, "Assignment", value);
    twice = { detail: "given out twice", finding: { offence: "F10", functionName: "proveDoubleAssignment", evidence: { one, oneSignature: await sign(one), other, otherSignature: await sign(other) } } };
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("are announced, wait for two blocks, and are proven with the very bytes that were announced", async () => {
    const watch = await watcher();
    expect(await openCases(watch, [twice])).to.deep.equal([twice]);
    chain.number = 20n;
    await advanceCases(watch);
    // The announcement stands in the newest block: one more must come before a transaction can stand two blocks above it.
    expect([sender.sent, statuses(watch)]).to.deep.equal([["announce"], ["announced"]]);
    chain.number += 1n;
    await advanceCases(watch);
    expect([sender.sent, statuses(watch)]).to.deep.equal([["announce", "proveDoubleAssignment"], ["proven"]]);
    expect(sender.bytes[1]).to.equal(watch.state.cases[0]!.proof);
    await advanceCases(watch);
    expect(sender.sent).to.have.length(2);
    expect(journalOf(folder)).to.deep.equal(["found", "announced", "proving", "proven"]);
  });

  it("are opened once, however often the same is found, and after a restart too", async () => {
    const watch = await watcher();
    await openCases(watch, [twice, twice]);
    await openCases(watch, [twice]);
    expect(chain.judged).to.equal(1);
    const again = await watcher();
    expect(await openCases(again, [twice])).to.deep.equal([twice]);
    expect(again.state.cases).to.have.length(1);
  });

  it("go on where a killed watcher stopped: announced is not announced again, sent is not sent again", async () => {
    await openCases(await watcher(), [twice]);
    await advanceCases(await watcher());
    expect(sender.sent).to.deep.equal(["announce"]);
    chain.number += 5n;
    sender.refusals.set("proveDoubleAssignment", "unreachable");
    const killed = await advanceCases(await watcher()).then(() => "", (error: { code: string }) => error.code);
    expect(killed).to.equal("chain_unreachable");
    // It had been mined all the same.
    chain.judgement = { ...chain.judgement, isPunished: true } as typeof chain.judgement;
    const watch = await watcher();
    expect(statuses(watch)).to.deep.equal(["proving"]);
    await advanceCases(watch);
    expect([sender.sent, statuses(watch)]).to.deep.equal([["announce"], ["proven"]]);
  });

  it("are none where the judge does not uphold it, where somebody was first, or where a signature is not theirs", async () => {
    const watch = await watcher();
    chain.judgement = { holds: false, reason: "NothingWrong()" };
    expect(await openCases(watch, [twice])).to.deep.equal([]);
    expect(journalOf(folder)).to.deep.equal(["not upheld"]);
    chain.judgement = { holds: true, key: ZERO_HASH, party: "relayer", offender: 1, isPunished: true };
    const later = await watcher();
    expect(await openCases(later, [twice])).to.deep.equal([twice]);
    const { assignment } = await honestRecord();
    const forged = { ...assignment, nodeId: 9 };
    const junk: Found = { ...twice, finding: { ...twice.finding, evidence: { ...twice.finding.evidence, other: forged, otherSignature: await signStruct(payer, domain, "Assignment", forged) } } as Found["finding"] };
    const asked = chain.judged;
    expect(await openCases(later, [junk])).to.deep.equal([]);
    expect(chain.judged).to.equal(asked);
    expect(later.state.cases).to.deep.equal([]);
  });

  it("are found behind any number of forged messages about the same thing", async () => {
    const { assignment } = await honestRecord();
    const naming = async (nodeId: number, by: typeof relayer) => ({ message: { ...assignment, nodeId }, signature: await signStruct(by, domain, "Assignment", { ...assignment, nodeId }) });
    const forged = await Promise.all(Array.from({ length: 20 }, (_, i) => naming(100 + i, payer)));
    const assignments = [await naming(7, relayer), ...forged, await naming(8, relayer)];
    const watch = { ...await watcher(), evidence: [{ shown: [], messages: { ...NO_MESSAGES, assignments } }] };
    await checkEvidence(watch);
    expect(watch.state.cases.map(({ functionName }) => functionName)).to.deep.equal(["proveDoubleAssignment"]);
  });

  it("are sent by nobody in a dry run or without a key, and by whoever comes later with one", async () => {
    for (const watch of [await watcher({ isDryRun: true }), await watcher({}, null)]) {
      await openCases(watch, [twice, withheld]);
      await advanceCases(watch);
      expect(statuses(watch)).to.deep.equal(["found", "found"]);
    }
    expect(sender.sent).to.deep.equal([]);
    await advanceCases(await watcher());
    expect(sender.sent).to.deep.equal(["announce", "challengeData", "proveDoubleAssignment"]);
  });

  it("are lost where another was first, refused with the reason, and announced anew where the chain took the announcement back", async () => {
    const outcomes = [["PunishedBefore(0x00)", "lost"], ["WrongNeighbours()", "refused"], ["NotAnnounced(0xab, 0, 30)", "found"], ["NotAnnounced(0xab, 29, 30)", "announced"]] as const;
    for (const [reason, status] of outcomes) {
      const watch = await watcher();
      await openCases(watch, [twice]);
      await advanceCases(watch);
      chain.number += 1n;
      sender.refusals.set("proveDoubleAssignment", reason);
      await advanceCases(watch);
      expect(statuses(watch), reason).to.deep.equal([status]);
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("that another key announced are announced again by this one", async () => {
    await openCases(await watcher(), [twice]);
    await advanceCases(await watcher());
    chain.number += 1n;
    const mine = new FakeSender(chain, OTHER);
    const watch = await watcher({}, mine);
    for (let i = 0; i < 3; i++) {
      await advanceCases(watch);
      chain.number += 1n;
    }
    expect([mine.sent, statuses(watch)]).to.deep.equal([["announce", "proveDoubleAssignment"], ["proven"]]);
  });

  it("of withheld data put a bond at risk, wait for W, condemn and void: credits, then debits", async () => {
    const watch = await watcher();
    await keepBatch(watch);
    await openCases(watch, [withheld, withheld]);
    await advanceCases(watch);
    expect([sender.sent, sender.approved, statuses(watch)]).to.deep.equal([["challengeData"], 7n, ["challenged"]]);
    chain.timestamp += WINDOW_SECONDS;
    await advanceCases(watch);
    expect(sender.sent).to.have.length(1);
    chain.timestamp += 1;
    chain.owed = 9n;
    await advanceCases(watch);
    expect([sender.sent, statuses(watch)]).to.deep.equal([["challengeData", "condemn", "voidEntries", "voidEntries", "claim"], ["condemned"]]);
    await advanceCases(watch);
    expect(sender.sent).to.have.length(5);
  });

  it("of withheld data void what the batch moved, whoever condemned it and whether the watcher saw its own call end", async () => {
    const watch = await watcher();
    await keepBatch(watch);
    await openCases(watch, [withheld]);
    await advanceCases(watch);
    chain.standing = { ...chain.standing!, isSettled: true };
    chain.condemned = true;
    await advanceCases(watch);
    expect([sender.sent, statuses(watch)]).to.deep.equal([["challengeData", "voidEntries", "voidEntries"], ["condemned"]]);
    await advanceCases(watch);
    expect(sender.sent).to.have.length(3);
  });

  it("of withheld data end where it was answered, share another's demand, and are as many as bonds may be risked", async () => {
    const watch = await watcher();
    chain.standing = { challenger: OTHER, openedAt: chain.timestamp, isSettled: false };
    await openCases(watch, [withheld]);
    await advanceCases(watch);
    expect([sender.sent, statuses(watch)]).to.deep.equal([[], ["challenged"]]);
    chain.standing = { ...chain.standing, isSettled: true };
    await advanceCases(watch);
    expect(statuses(watch)).to.deep.equal(["answered"]);
    const at = (index: number): Found => ({ ...withheld, finding: { ...withheld.finding, evidence: { relayerId: 1, batchId: 1n, index } } as Found["finding"] });
    await openCases(watch, [at(1)]);
    await advanceCases(watch);
    await openCases(watch, [at(2)]);
    expect(watch.state.cases.map(({ place }) => place!.index)).to.deep.equal([0, 1]);
  });

  it("of withheld data that are refused are tried again while there is time: the bond's tokens may still come", async () => {
    const watch = await watcher();
    await keepBatch(watch);
    const { postedAt } = (await watch.archive.batch(1, 1n))!;
    chain.timestamp = postedAt + 10;
    await openCases(watch, [withheld]);
    sender.refusals.set("challengeData", "ERC20InsufficientBalance(0xab, 0, 7)");
    await advanceCases(watch);
    expect([sender.sent, statuses(watch), watch.state.cases[0]!.reason]).to.deep.equal([[], ["found"], "ERC20InsufficientBalance(0xab, 0, 7)"]);
    const { isCaughtUp } = await watchOnce(watch, async () => expect.fail("nothing is under way"), new AbortController().signal);
    expect([isCaughtUp, sender.sent], "not before a while has passed").to.deep.equal([true, []]);
    chain.timestamp += WINDOW_SECONDS / 40;
    const again = await watcher();
    await advanceCases(again);
    expect([sender.sent, statuses(again), again.state.cases[0]!.reason]).to.deep.equal([["challengeData"], ["challenged"], null]);
    expect(journalOf(folder)).to.deep.equal(["found", "put off", "challenged"]);
  });

  it("of withheld data that are refused once W is over stay refused", async () => {
    const watch = await watcher();
    await keepBatch(watch);
    chain.timestamp = (await watch.archive.batch(1, 1n))!.postedAt + WINDOW_SECONDS + 1;
    await openCases(watch, [withheld]);
    sender.refusals.set("challengeData", "ChallengeTooLate(3603)");
    await advanceCases(watch);
    expect([statuses(watch), watch.state.cases[0]!.reason]).to.deep.equal([["refused"], "ChallengeTooLate(3603)"]);
  });

  it("of withheld data are no more once a relayer has taken as many bonds as it may, whatever its batches", async () => {
    const watch = await watcher();
    const of = (relayerId: number, batchId: bigint): Found => ({ ...withheld, finding: { ...withheld.finding, evidence: { relayerId, batchId, index: 0 } } as Found["finding"] });
    chain.standing = { challenger: OTHER, openedAt: chain.timestamp, isSettled: true };
    for (const batchId of [1n, 2n, 3n, 4n]) {
      await openCases(watch, [of(1, batchId)]);
      for (let turn = 0; turn < 2; turn++) await advanceCases(watch);
    }
    expect(statuses(watch)).to.deep.equal(["answered", "answered", "answered"]);
    await openCases(watch, [of(2, 1n)]);
    expect(watch.state.cases.map(({ offender }) => offender), "another relayer's").to.deep.equal([1, 1, 1, 2]);
  });
});
