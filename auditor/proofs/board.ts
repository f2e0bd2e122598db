// Evidence for F12: an epoch's leaves on the saturation board, in the order of (modelId, nodeId), and what they should have been.
import { pathStruct } from "../../protocol/evidence.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import { offersBytes, type SignedAttestation } from "../../protocol/link.ts";
import { MerkleSumTree, type SumProof } from "../../protocol/merkleSum.ts";
import { boardNode } from "../../relayer/routing/pool.ts";
import { comparePlaces } from "../../relayer/settlement/batch.ts";
import type { BoardEntryEvidence, CommitmentEvidence, FindingOf } from "../watch/findings.ts";
import type { Assignment, SaturationAttestation } from "../../protocol/generated/structs.ts";
import type { Hash, Hex } from "../../protocol/units.ts";

/** A leaf of the board: `slotBps` = slots x the greatest of the attested dimensions, where it is honest. */
export interface BoardRow {
  readonly modelId: Hash;
  readonly nodeId: number;
  readonly attestationHash: Hash;
  readonly slots: number;
  readonly slotBps: bigint;
}

/** An epoch as it was committed; `rows` may be its first leaves only. */
export interface BoardView {
  readonly commitment: CommitmentEvidence;
  readonly rows: readonly BoardRow[];
  proof(index: number): SumProof;
}

/** An assignment that the relayer signed in the epoch and that names an attestation. */
export interface ReliedOn {
  readonly assignment: Assignment;
  readonly assignmentSignature: Hex;
}

/** @param rows in their order. @throws InvalidValueError for none or too many */
export function boardViewOf(relayerId: number, epoch: bigint, rows: readonly BoardRow[], pools: CommitmentEvidence["pools"]): BoardView {
  const tree = new MerkleSumTree(rows.map((row) => boardNode(row, row.slots, row.slotBps)));
  return { commitment: { relayerId, epoch, root: tree.root.hash, leafCount: rows.length, pools }, rows, proof: (index) => tree.proof(index) };
}

export function boardEntryAt(view: BoardView, index: number): BoardEntryEvidence {
  const row = view.rows[index];
  if (!row) throw new InvalidValueError("index", `a leaf among the ${view.rows.length} that are shown`);
  return { ...row, proof: pathStruct(view.proof(index)) };
}

/** @param attestation that the leaf names by its hash */
export const badBoardLeaf = (view: BoardView, index: number, attestation: SaturationAttestation): FindingOf<"proveBadBoardLeaf"> =>
  ({ offence: "F12", functionName: "proveBadBoardLeaf", evidence: { commitment: view.commitment, entry: boardEntryAt(view, index), attestation } });

/** @param later attestation of the same node that the assignment names */
export const staleBoardLeaf = (
  view: BoardView, index: number, attestation: SaturationAttestation, later: SaturationAttestation, { assignment, assignmentSignature }: ReliedOn,
): FindingOf<"proveStaleBoardLeaf"> => ({
  offence: "F12", functionName: "proveStaleBoardLeaf",
  evidence: { commitment: view.commitment, entry: boardEntryAt(view, index), attestation, later, assignment, assignmentSignature },
});

/** @returns null where the node has a leaf under that model */
export function omittedBoardLeaf(
  view: BoardView, modelId: Hash, { attestation, offers }: Pick<SignedAttestation, "attestation" | "offers">, { assignment, assignmentSignature }: ReliedOn,
): FindingOf<"proveOmittedBoardLeaf"> | null {
  const place = [modelId, attestation.nodeId];
  const after = view.rows.findIndex((row) => comparePlaces([row.modelId, row.nodeId], place) >= 0);
  if (after >= 0 && comparePlaces([view.rows[after]!.modelId, view.rows[after]!.nodeId], place) === 0) return null;
  const around = after < 0 ? [view.commitment.leafCount - 1] : after === 0 ? [0] : [after - 1, after];
  return {
    offence: "F12", functionName: "proveOmittedBoardLeaf",
    evidence: {
      commitment: view.commitment, modelId, omitted: attestation, offers: offersBytes(offers), assignment, assignmentSignature,
      others: around.map((index) => boardEntryAt(view, index)),
    },
  };
}

/** @returns null where that figure of the commitment is the sum of its model's leaves */
export function wrongPool(view: BoardView, pool: number): FindingOf<"proveWrongPool"> | null {
  const figure = view.commitment.pools[pool]!;
  const own = view.rows.filter((row) => row.modelId === figure.modelId);
  const slots = own.reduce((sum, row) => sum + BigInt(row.slots), 0n);
  const slotBps = own.reduce((sum, row) => sum + row.slotBps, 0n);
  if (figure.slots === slots && figure.slotBps === slotBps) return null;
  const isOver = figure.slots > slots || figure.slotBps > slotBps;
  const { bounds, hasLeft } = isOver ? around(view, figure.modelId) : across(view, figure.modelId);
  const evidence = { commitment: view.commitment, pool, bounds: bounds.map((index) => boardEntryAt(view, index)), isOver, hasLeft };
  return { offence: "F12", functionName: "proveWrongPool", evidence };
}

interface Bounds {
  readonly bounds: readonly number[];
  readonly hasLeft: boolean;
}

/** The neighbours of a model's leaves; a board of one model has none, and any of its leaves stands for the edge. */
function around(view: BoardView, modelId: Hash): Bounds {
  const left = view.rows.findLastIndex((row) => row.modelId < modelId);
  const right = view.rows.findIndex((row) => row.modelId > modelId);
  const bounds = [...(left < 0 ? [] : [left]), ...(right < 0 ? [] : [right])];
  return { bounds: bounds.length > 0 ? bounds : [0], hasLeft: left >= 0 };
}

function across(view: BoardView, modelId: Hash): Bounds {
  const isOwn = (row: BoardRow): boolean => row.modelId === modelId;
  return { bounds: [view.rows.findIndex(isOwn), view.rows.findLastIndex(isOwn)], hasLeft: false };
}
