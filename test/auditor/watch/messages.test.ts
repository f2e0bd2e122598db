// Two messages about one thing are found, whatever lies between them; what careful people sign is not.
import { expect } from "chai";
import type { FindingOf } from "../../../auditor/watch/findings.ts";
import { NO_MESSAGES, type Messages, type Signed } from "../../../auditor/watch/history.ts";
import { messageFindings } from "../../../auditor/watch/messages.ts";
import { RefusalReason } from "../../../protocol/constants.ts";
import { offersHash, type SignedAttestation } from "../../../protocol/link.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ZERO_HASH, type Hex } from "../../../protocol/units.ts";
import type { Assignment, BatchHeader, Refusal, TaskReceipt } from "../../../protocol/generated/structs.ts";
import { honestRecord } from "../../protocol/honest.ts";

const SIGNATURE: Hex = `0x${"11".repeat(64)}1b`;
const signed = <Message>(message: Message): Signed<Message> => ({ message, signature: SIGNATURE });
const functionsOf = (messages: Partial<Messages>): string[] => messageFindings({ ...NO_MESSAGES, ...messages }).map(({ finding }) => finding.functionName);

const attestation = (bends: Partial<SignedAttestation["attestation"]> = {}): SignedAttestation => ({
  signature: SIGNATURE, offers: [],
  attestation: {
    nodeId: 7, relayerId: 1, keyEpoch: 1, seq: 5n, prevHash: ZERO_HASH, slots: 4, prepSlots: 1, computeBps: 10, memoryBps: 10, queueBps: 10, networkBps: 10, queuedTokens: 0, kvFreeTokens: 10,
    offersHash: offersHash([]), observedAtMs: 1_900_000_000_000, validUntilMs: 1_900_000_005_000, ...bends,
  },
});
const header = (bends: Partial<BatchHeader> = {}): Signed<BatchHeader> => signed({
  relayerId: 1, relayerEpoch: 1, batchId: 1n, prevBatchHash: ZERO_HASH, sessionRoot: ZERO_HASH, tabRoot: ZERO_HASH, leafCount: 1, debitsHash: ZERO_HASH, creditsHash: ZERO_HASH,
  totalDebit: 1n, totalCredit: 1n, dataHash: ZERO_HASH, periodStart: 0, periodEnd: 100, postBy: 200, ...bends,
});

describe("what signed messages show side by side", () => {
  it("finds two attestations of one seq, and none of another seq, relayer or key", () => {
    expect(functionsOf({ attestations: [attestation(), attestation({ slots: 3 })] })).to.deep.equal(["proveSaturationEquivocation"]);
    expect(functionsOf({ attestations: [attestation(), attestation()] })).to.deep.equal([]);
    for (const other of [{ seq: 6n }, { relayerId: 2 }, { keyEpoch: 2 }, { nodeId: 8 }]) expect(functionsOf({ attestations: [attestation(), attestation({ slots: 3, ...other })] })).to.deep.equal([]);
  });

  describe("receipts", () => {
    let first: TaskReceipt;
    before(async () => void ({ receipt: first } = await honestRecord()));
    const next = (bends: Partial<TaskReceipt> = {}, fee = 10n): TaskReceipt =>
      ({ ...first, nodeSeq: first.nodeSeq + 1n, nodeCumulative: first.nodeCumulative + fee, ...bends, body: { ...first.body, fee, prevReceiptHash: hashStruct("TaskReceipt", first) } });

    it("of one number are found, and those of other tabs are not", () => {
      const twin = { ...first, nodeCumulative: first.nodeCumulative + 1n };
      expect(functionsOf({ receipts: [signed(first), signed(twin)] })).to.deep.equal(["proveReceiptEquivocation"]);
      expect(functionsOf({ receipts: [signed(first), signed({ ...twin, relayerId: 2 })] })).to.deep.equal([]);
      expect(functionsOf({ receipts: [signed(first), signed({ ...twin, nodeId: 8 })] })).to.deep.equal([]);
    });
    it("must follow their predecessor by their own fee, in whatever order they come", () => {
      expect(functionsOf({ receipts: [signed(first), signed(next())] })).to.deep.equal([]);
      const broken = next({ nodeCumulative: first.nodeCumulative + 9n });
      expect(functionsOf({ receipts: [signed(first), signed(broken)] })).to.deep.equal(["proveReceiptEquivocation"]);
      expect(functionsOf({ receipts: [signed(broken), signed(first)] })).to.deep.equal(["proveReceiptEquivocation"]);
    });
    it("after a gap or a lost database contradict nothing", () => {
      expect(functionsOf({ receipts: [signed(first), signed({ ...next(), body: { ...first.body, prevReceiptHash: ZERO_HASH } })] })).to.deep.equal([]);
    });
  });

  describe("refusals", () => {
    let assignment: Assignment;
    before(async () => void (assignment = { ...(await honestRecord()).assignment, attestationHash: hashStruct("SaturationAttestation", attestation().attestation) }));
    const refused = (bends: Partial<Refusal> = {}): string[] => functionsOf({
      attestations: [attestation()], assignments: [signed(assignment)],
      refusals: [signed({ assignmentHash: hashStruct("Assignment", assignment), nodeId: 7, relayerId: 1, keyEpoch: 1, attestationSeq: 5n, accepted: 3, reason: RefusalReason.FULL, refusedAtMs: 1_900_000_001_000, ...bends })],
    });

    it("as full with a free slot are found, and honest ones are not", () => {
      expect(refused()).to.deep.equal(["proveFalseRefusal"]);
      const honest: Partial<Refusal>[] = [{ accepted: 4 }, { reason: RefusalReason.DRAINING }, { refusedAtMs: 1_900_000_005_001 }, { refusedAtMs: 1_899_999_999_999 }, { attestationSeq: 4n }, { assignmentHash: ZERO_HASH }];
      for (const bends of honest) expect(refused(bends)).to.deep.equal([]);
    });
  });

  it("finds two headers whose times overlap, and none that were rebuilt after the first could not be posted", () => {
    expect(functionsOf({ headers: [header(), header({ leafCount: 2, periodEnd: 200 })] })).to.deep.equal(["proveHeaderEquivocation"]);
    expect(functionsOf({ headers: [header(), header({ leafCount: 2, periodEnd: 201, postBy: 300 })] })).to.deep.equal([]);
    expect(functionsOf({ headers: [header(), header({ batchId: 2n })] })).to.deep.equal([]);
    expect(functionsOf({ headers: [header(), header({ relayerId: 2 })] })).to.deep.equal([]);
  });

  it("finds an attempt that was given out twice, behind forged ones too", async () => {
    const { assignment } = await honestRecord();
    expect(functionsOf({ assignments: [signed(assignment), signed({ ...assignment, nodeId: 8 })] })).to.deep.equal(["proveDoubleAssignment"]);
    expect(functionsOf({ assignments: [signed(assignment), signed({ ...assignment, attempt: 1 }), signed({ ...assignment, subtask: 1, subtasks: 2 })] })).to.deep.equal([]);
    const forged = [10, 11, 12].map((nodeId) => ({ message: { ...assignment, nodeId }, signature: `0x${"22".repeat(64)}1b` as Hex }));
    const found = messageFindings({ ...NO_MESSAGES, assignments: [signed(assignment), ...forged, signed({ ...assignment, nodeId: 8 })] }).map(({ finding }) => finding.evidence as { one: Assignment; other: Assignment });
    expect(found.some(({ one, other }) => one.nodeId === 7 && other.nodeId === 8)).to.equal(true);
  });

  it("adds up one share for each subtask, the greatest, sixteen at most, in rising order", async () => {
    const { assignment, order } = await honestRecord();
    const share = (subtask: number, shareCap: bigint, attempt = 0): Signed<Assignment> => signed({ ...assignment, subtask, subtasks: 20, attempt, shareCap });
    expect(functionsOf({ orders: [order], assignments: [share(0, 5_000n), share(0, 5_000n, 1), share(1, 5_000n)] })).to.deep.equal([]);
    expect(functionsOf({ orders: [order], assignments: [share(0, 5_000n), share(0, 5_001n, 1), share(1, 5_000n)] })).to.deep.equal(["proveSharesAboveMaxFee"]);
    const many = Array.from({ length: 20 }, (_, i) => share(19 - i, 1_000n + BigInt(i)));
    const [finding] = messageFindings({ ...NO_MESSAGES, orders: [order], assignments: many });
    const { assignments } = (finding!.finding as FindingOf<"proveSharesAboveMaxFee">).evidence;
    expect(assignments).to.have.length(16);
    expect(assignments.map(({ subtask }) => subtask)).to.deep.equal(assignments.map(({ subtask }) => subtask).toSorted((a, b) => a - b));
  });
});
