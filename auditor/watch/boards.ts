// What a relayer committed of an epoch against what the nodes attested and what it itself relied on: F12.
//
//   data of the epoch ─▶ leaves ─▶ root as committed? ─┬─▶ each leaf against its attestation
//                                                      ├─▶ pool figures against the sums of leaves
//   assignments of the epoch ─▶ attestations named ────┴─▶ leaves that are older, or missing
import { bytesToString } from "viem/utils";
import { z } from "zod";
import { attestationFromJson, type SignedAttestation } from "../../protocol/link.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import { parse } from "../../protocol/json.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { BPS, type Hash, type Seconds } from "../../protocol/units.ts";
import { greatestBps } from "../../relayer/routing/saturation.ts";
import { epochAt } from "../../relayer/routing/seeds.ts";
import { comparePlaces } from "../../relayer/settlement/batch.ts";
import { badBoardLeaf, boardViewOf, omittedBoardLeaf, staleBoardLeaf, wrongPool, type BoardRow, type BoardView } from "../proofs/board.ts";
import type { Assignment } from "../../protocol/generated/structs.ts";
import type { CommitmentEvidence, Finding } from "./findings.ts";
import type { Found, Signed } from "./history.ts";

const LEAVES_MAX = 2 ** 17;
const hash = z.string().regex(/^0x[0-9a-f]{64}$/).transform((value) => value as Hash);
/** No leaf holds more, and no root more slots: what is larger has no hash. */
const UINT32_MAX = 0xffff_ffff;
const uint32 = z.number().int().min(0).max(UINT32_MAX);
const dataSchema = z.object({
  leaves: z.array(z.object({ modelId: hash, nodeId: uint32, attestationHash: hash, slots: uint32, saturationBps: uint32 })).max(LEAVES_MAX),
  attestations: z.array(z.unknown()).max(LEAVES_MAX),
});

/** The bytes behind an epoch's dataHash. */
export interface BoardData {
  readonly rows: readonly BoardRow[];
  readonly attestations: readonly SignedAttestation[];
}

/** Leaves in the order of the tree. @throws InvalidValueError */
export function boardDataFromBytes(bytes: Uint8Array): BoardData {
  let json: unknown = null;
  try {
    json = JSON.parse(bytesToString(bytes));
  } catch {
    // What is no JSON is no epoch's data either; the schema says so.
  }
  const { leaves, attestations } = parse(dataSchema, json, "data");
  if (leaves.reduce((sum, { slots }) => sum + slots, 0) > UINT32_MAX) throw new InvalidValueError("data.leaves", "slots whose sum fits 32 bits");
  const rows = leaves.map(({ saturationBps, ...leaf }): BoardRow => ({ ...leaf, slotBps: BigInt(leaf.slots) * BigInt(saturationBps) }));
  return { rows: rows.sort((one, other) => comparePlaces([one.modelId, one.nodeId], [other.modelId, other.nodeId])), attestations: attestations.map(attestationFromJson) };
}

/** What the watcher knows beside the epoch's own data. */
export interface BoardContext {
  /** Attestations by hash, of this epoch's data and of others. */
  attestation(attestationHash: Hash): SignedAttestation | undefined;
  readonly epochSeconds: Seconds;
  /** The relayer's assignments that were issued in the epoch. */
  readonly assignments: readonly Signed<Assignment>[];
}

/** @returns null where the leaves of the data are not those under the root */
export function boardFindings(commitment: CommitmentEvidence, data: BoardData, context: BoardContext): Found[] | null {
  const view = data.rows.length === 0 ? null : boardViewOf(commitment.relayerId, commitment.epoch, data.rows, commitment.pools);
  if (!view || view.commitment.root !== commitment.root || view.commitment.leafCount !== commitment.leafCount) return null;
  return [...badLeaves(view, context), ...wrongPools(view), ...leftOut(view, context)];
}

/** As RelayerJudge reads a leaf. */
function badLeaves(view: BoardView, { attestation }: BoardContext): Found[] {
  return view.rows.flatMap((row, index): Found[] => {
    const signed = attestation(row.attestationHash);
    if (!signed) return [];
    const { attestation: attested } = signed;
    const holds = attested.nodeId === row.nodeId && attested.relayerId === view.commitment.relayerId && row.slots <= attested.slots
      && row.slotBps === BigInt(row.slots) * BigInt(Math.min(greatestBps(attested), BPS));
    return holds ? [] : [found(badBoardLeaf(view, index, attested), `${placeOf(view)}: the leaf of node ${row.nodeId} is not what it attested`)];
  });
}

const wrongPools = (view: BoardView): Found[] => view.commitment.pools.flatMap((figure, pool): Found[] => {
  const finding = wrongPool(view, pool);
  return finding ? [found(finding, `${placeOf(view)}: the pool figure of model ${figure.modelId} is not the sum of its leaves`)] : [];
});

/** Leaves that are older than what the relayer relied on, or missing. */
function leftOut(view: BoardView, { assignments, attestation, epochSeconds }: BoardContext): Found[] {
  const rowsOf = Map.groupBy(view.rows.map((row, index) => ({ row, index })), ({ row }) => row.nodeId);
  return assignments.flatMap(({ message: assignment, signature }): Found[] => {
    const relied = attestation(assignment.attestationHash);
    // What is relied on across an epoch's edge may stand in either board.
    if (!relied || relied.attestation.nodeId !== assignment.nodeId || !isObservedIn(view, relied, epochSeconds)) return [];
    const relying = { assignment, assignmentSignature: signature };
    const own = rowsOf.get(assignment.nodeId) ?? [];
    const stale = own.flatMap(({ row, index }): Found[] => {
      const shown = attestation(row.attestationHash);
      if (!shown || relied.attestation.seq <= shown.attestation.seq) return [];
      return [found(staleBoardLeaf(view, index, shown.attestation, relied.attestation, relying), `${placeOf(view)}: the leaf of node ${row.nodeId} is older than the attestation that the relayer relied on`)];
    });
    const missing = relied.offers.filter((offer) => !own.some(({ row }) => row.modelId === offer.modelId));
    const omitted = missing.flatMap((offer): Found[] => {
      const finding = omittedBoardLeaf(view, offer.modelId, relied, relying);
      return finding ? [found(finding, `${placeOf(view)}: node ${assignment.nodeId} is left out of model ${offer.modelId}, though the relayer relied on its attestation`)] : [];
    });
    return [...stale, ...omitted];
  });
}

const isObservedIn = ({ commitment }: BoardView, { attestation }: SignedAttestation, epochSeconds: Seconds): boolean =>
  BigInt(epochAt(attestation.observedAtMs, epochSeconds)) === commitment.epoch;

/** Of those that name one attestation the first is enough. */
export function reliedOnIn(epoch: bigint, assignments: readonly Signed<Assignment>[], epochSeconds: Seconds): Signed<Assignment>[] {
  const own = assignments.filter(({ message }) => BigInt(epochOf(message, epochSeconds)) === epoch);
  return [...new Map(own.map((one) => [one.message.attestationHash, one])).values()];
}

/** The epoch in which an assignment was issued, as SaturationBoard counts. */
export const epochOf = ({ issuedAt }: Assignment, epochSeconds: Seconds): number => epochAt(issuedAt * 1_000, epochSeconds);

export const attestationsByHash = (all: readonly SignedAttestation[]): Map<Hash, SignedAttestation> =>
  new Map(all.map((one) => [hashStruct("SaturationAttestation", one.attestation), one]));

const placeOf = ({ commitment }: BoardView): string => `epoch ${commitment.epoch} of relayer ${commitment.relayerId}`;
const found = (finding: Finding, detail: string): Found => ({ finding, detail });
