// What a relayer commits of an epoch's attestations: a Merkle-sum root and the pooled saturation of each model.
//
// A leaf stands for (modelId, nodeId, greatest attestation) and carries two sums, slots and slots x greatest saturation; both fit
// one uint128 (slots in the upper 32 bits), so the settlement's tree sums them together and neither runs into the other.
import { keccak256 as viemKeccak256, numberToHex } from "viem/utils";
import { MerkleSumTree, type SumNode } from "../../protocol/merkleSum.ts";
import { greatestBps } from "./saturation.ts";
import { BPS, type Hash, type Hex } from "../../protocol/units.ts";
import { clamp } from "./parameters.ts";
import type { Keccak256 } from "../../protocol/typedData.ts";
import type { SaturationAttestation } from "../../protocol/generated/structs.ts";

export interface BoardLeaf {
  readonly modelId: Hash;
  readonly nodeId: number;
  readonly attestationHash: Hash;
  readonly slots: number;
  /** The greatest of the four dimensions. */
  readonly saturationBps: number;
}

/** As SaturationBoard's PoolFigure. */
export interface PoolFigure {
  readonly modelId: Hash;
  readonly slots: bigint;
  readonly slotBps: bigint;
}

const SLOT_BPS_BITS = 96n;

export interface EpochRoot {
  readonly root: Hash;
  readonly leafCount: number;
  readonly pools: readonly PoolFigure[];
}

/** Leaves of one attestation: one for each model offered. */
export const leavesOf = (attestation: SaturationAttestation, attestationHash: Hash, offers: readonly { modelId: Hash; slots: number }[], slotsMax: number): BoardLeaf[] =>
  offers.map((offer) => ({
    modelId: offer.modelId, nodeId: attestation.nodeId, attestationHash, slots: Math.min(offer.slots, attestation.slots, slotsMax),
    saturationBps: clamp(greatestBps(attestation), 0, BPS),
  }));

/** @returns null where there is no leaf: an empty root is refused on chain. Leaves stand in the order of (modelId, nodeId). */
export function epochRoot(leaves: readonly BoardLeaf[], keccak256: Keccak256 = viemKeccak256): EpochRoot | null {
  if (leaves.length === 0) return null;
  const sorted = [...leaves].sort((one, other) => (one.modelId === other.modelId ? one.nodeId - other.nodeId : one.modelId < other.modelId ? -1 : 1));
  const tree = new MerkleSumTree(sorted.map((leaf) => boardLeaf(leaf, keccak256)), keccak256);
  const pools = new Map<Hash, PoolFigure>();
  for (const leaf of sorted) {
    const pool = pools.get(leaf.modelId) ?? { modelId: leaf.modelId, slots: 0n, slotBps: 0n };
    pools.set(leaf.modelId, { ...pool, slots: pool.slots + BigInt(leaf.slots), slotBps: pool.slotBps + slotBpsOf(leaf) });
  }
  return { root: tree.root.hash, leafCount: sorted.length, pools: [...pools.values()] };
}

/** hash = keccak256(0x00 || modelId || uint32 nodeId || attestationHash), sum = slots << 96 | slots x saturation. */
export const boardLeaf = (leaf: BoardLeaf, keccak256: Keccak256 = viemKeccak256): SumNode =>
  boardNode(leaf, leaf.slots, slotBpsOf(leaf), keccak256);

/** The same of figures that need not be those of an attestation. */
export function boardNode(leaf: Pick<BoardLeaf, "modelId" | "nodeId" | "attestationHash">, slots: number, slotBps: bigint, keccak256: Keccak256 = viemKeccak256): SumNode {
  const hash = keccak256(`0x00${leaf.modelId.slice(2)}${numberToHex(leaf.nodeId, { size: 4 }).slice(2)}${leaf.attestationHash.slice(2)}` as Hex);
  return { hash, sum: (BigInt(slots) << SLOT_BPS_BITS) | slotBps };
}

const slotBpsOf = (leaf: BoardLeaf): bigint => BigInt(leaf.slots) * BigInt(leaf.saturationBps);
