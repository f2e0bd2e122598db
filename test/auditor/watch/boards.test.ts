// What a relayer's board shows against what nodes attested and the relayer relied on; nothing where it was honest.
import { expect } from "chai";
import { attestationsByHash, boardDataFromBytes, boardFindings, reliedOnIn, type BoardData } from "../../../auditor/watch/boards.ts";
import type { CommitmentEvidence } from "../../../auditor/watch/findings.ts";
import type { Signed } from "../../../auditor/watch/history.ts";
import { InvalidValueError } from "../../../protocol/errors.ts";
import { attestationToJson, offersHash, type Offer, type SignedAttestation } from "../../../protocol/link.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ZERO_HASH, type Hash, type Hex } from "../../../protocol/units.ts";
import type { Assignment, SaturationAttestation } from "../../../protocol/generated/structs.ts";
import { epochRoot, leavesOf, type BoardLeaf } from "../../../relayer/routing/pool.ts";
import { honestRecord } from "../../protocol/honest.ts";

const EPOCH = 6_333_333n;
const EPOCH_SECONDS = 300;
const START_SECONDS = Number(EPOCH) * EPOCH_SECONDS;
const SIGNATURE: Hex = `0x${"11".repeat(64)}1b`;
const model = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;
const offer = (n: number): Offer => ({ modelId: model(n), slots: 3, priceInPerMTok: 1n, priceOutPerMTok: 2n });

function attested(nodeId: number, models: readonly number[], bends: Partial<SaturationAttestation> = {}): SignedAttestation {
  const offers = models.map(offer);
  return {
    signature: SIGNATURE, offers,
    attestation: {
      nodeId, relayerId: 1, keyEpoch: 1, seq: 5n, prevHash: ZERO_HASH, slots: 4, prepSlots: 1, computeBps: 100 * nodeId, memoryBps: 10, queueBps: 10, networkBps: 10, queuedTokens: 0,
      kvFreeTokens: 10, offersHash: offersHash(offers), observedAtMs: START_SECONDS * 1_000, validUntilMs: START_SECONDS * 1_000 + 5_000, ...bends,
    },
  };
}
const leavesFor = (all: readonly SignedAttestation[]): BoardLeaf[] => all.flatMap((one) => leavesOf(one.attestation, hashStruct("SaturationAttestation", one.attestation), one.offers, 100));

describe("what a relayer's board shows", () => {
  const honest = [attested(1, [1, 2]), attested(2, [1])];
  let assignment: Assignment;
  before(async () => void ({ assignment } = await honestRecord()));

  const committed = (leaves: readonly BoardLeaf[]): CommitmentEvidence => ({ relayerId: 1, epoch: EPOCH, ...epochRoot(leaves)! });
  const dataFor = (leaves: readonly BoardLeaf[], attestations: readonly SignedAttestation[]): BoardData =>
    boardDataFromBytes(Buffer.from(JSON.stringify({ leaves, attestations: attestations.map(attestationToJson) })));
  const naming = (one: SignedAttestation, bends: Partial<Assignment> = {}): Signed<Assignment> => ({
    message: { ...assignment, nodeId: one.attestation.nodeId, attestationHash: hashStruct("SaturationAttestation", one.attestation), issuedAt: START_SECONDS + 3, ...bends }, signature: SIGNATURE,
  });
  const found = (commitment: CommitmentEvidence, data: BoardData, assignments: readonly Signed<Assignment>[] = [], others: readonly SignedAttestation[] = []): string[] | null => {
    const known = attestationsByHash([...data.attestations, ...others]);
    return boardFindings(commitment, data, { epochSeconds: EPOCH_SECONDS, assignments: reliedOnIn(EPOCH, assignments, EPOCH_SECONDS), attestation: (hash) => known.get(hash) })?.map(({ finding }) => finding.functionName) ?? null;
  };
  const data = (): BoardData => dataFor(leavesFor(honest), honest);

  it("is nothing where leaves, pools and what was relied on agree", () => {
    expect(found(committed(leavesFor(honest)), data(), honest.map((one) => naming(one)))).to.deep.equal([]);
    // In any order, and with the greatest pools only.
    const { pools, ...rest } = committed(leavesFor(honest));
    expect(found({ ...rest, pools: pools.slice(0, 1) }, dataFor(leavesFor(honest).toReversed(), honest))).to.deep.equal([]);
  });

  it("is unknown where the data's leaves are not those under the root", () => {
    expect(found(committed(leavesFor(honest).slice(1)), data())).to.equal(null);
    expect(found({ ...committed(leavesFor(honest)), leafCount: 4 }, data())).to.equal(null);
  });

  it("is a bad leaf where it says more slots, another saturation, another node or another relayer than attested", () => {
    const [leaf] = leavesFor([honest[0]!]);
    for (const bent of [{ slots: 5 }, { saturationBps: 99 }, { nodeId: 9 }]) {
      const leaves = [{ ...leaf!, ...bent }];
      expect(found(committed(leaves), dataFor(leaves, honest)), JSON.stringify(bent)).to.deep.equal(["proveBadBoardLeaf"]);
    }
    const foreign = attested(1, [1], { relayerId: 2 });
    expect(found(committed(leavesFor([foreign])), dataFor(leavesFor([foreign]), [foreign]))).to.deep.equal(["proveBadBoardLeaf"]);
    // Fewer slots than attested is what the stake allows, and what is past the whole counts as the whole.
    const [fewer, beyond] = [[{ ...leaf!, slots: 1 }], attested(1, [1], { computeBps: 20_000 })];
    expect(found(committed(fewer), dataFor(fewer, honest))).to.deep.equal([]);
    expect(found(committed(leavesFor([beyond])), dataFor(leavesFor([beyond]), [beyond]))).to.deep.equal([]);
  });

  it("is a wrong pool where a figure is above or below the sum of its leaves", () => {
    const { pools, ...rest } = committed(leavesFor(honest));
    for (const [i, off] of [[0, 1n], [0, -1n], [1, 1n]] as const) {
      expect(found({ ...rest, pools: pools.map((pool, at) => (at === i ? { ...pool, slotBps: pool.slotBps + off } : pool)) }, data())).to.deep.equal(["proveWrongPool"]);
    }
  });

  it("is stale or lacks a leaf by an assignment of the epoch that names an attestation of the epoch", () => {
    const later = attested(1, [1, 2], { seq: 6n });
    expect(found(committed(leavesFor(honest)), data(), [naming(later)], [later])).to.deep.equal(["proveStaleBoardLeaf", "proveStaleBoardLeaf"]);
    const third = attested(3, [1, 7]);
    expect(found(committed(leavesFor(honest)), data(), [naming(third)], [third])).to.deep.equal(["proveOmittedBoardLeaf", "proveOmittedBoardLeaf"]);
  });

  it("is not stale by what was never sent, sent at another time, observed in another epoch, or is not known", () => {
    const later = attested(1, [1], { seq: 6n });
    const nextEpoch = attested(1, [1], { seq: 7n, observedAtMs: (START_SECONDS + EPOCH_SECONDS) * 1_000 });
    const earlier = attested(1, [1], { seq: 4n });
    const commitment = committed(leavesFor(honest));
    expect(found(commitment, data(), [], [later])).to.deep.equal([]);
    expect(found(commitment, data(), [naming(later, { issuedAt: START_SECONDS - 1 }), naming(later, { issuedAt: START_SECONDS + EPOCH_SECONDS })], [later])).to.deep.equal([]);
    expect(found(commitment, data(), [naming(nextEpoch)], [nextEpoch])).to.deep.equal([]);
    expect(found(commitment, data(), [naming(earlier)], [earlier])).to.deep.equal([]);
    expect(found(commitment, data(), [naming(later)])).to.deep.equal([]);
    expect(found(commitment, data(), [naming(later, { nodeId: 2 })], [later])).to.deep.equal([]);
  });

  it("is not read out of what is no epoch's data", () => {
    for (const text of ["", "{}", "[]", '{"leaves":[],"attestations":[{}]}', '{"leaves":[{"modelId":"0x"}],"attestations":[]}']) expect(() => boardDataFromBytes(Buffer.from(text)), text).to.throw(InvalidValueError);
  });

  it("is not read out of leaves that no root can hold", () => {
    const leaf = { modelId: `0x${"11".repeat(32)}`, nodeId: 1, attestationHash: `0x${"22".repeat(32)}`, slots: 1, saturationBps: 1 };
    const read = (...leaves: unknown[]) => boardDataFromBytes(Buffer.from(JSON.stringify({ leaves, attestations: [] })));
    const many = { ...leaf, slots: 2 ** 32 - 1, saturationBps: 2 ** 32 - 1 };
    expect(found(committed(leavesFor(honest)), read(many, { ...leaf, slots: 0 }))).to.equal(null);
    for (const leaves of [[{ ...leaf, nodeId: 2 ** 32 }], [{ ...leaf, slots: 2 ** 32 }], [many, leaf]]) expect(() => read(...leaves)).to.throw(InvalidValueError);
  });
});
