// Merkle-sum trees: the TypeScript twin of contracts/libraries/MerkleSum.sol.
//
//   leaf  = keccak256(0x00 || receiptHash || uint128 fee || uint128 charge || keccak256(nodeSig) || voucherHash ||
//                     keccak256(voucherSig) || keccak256(assignmentSig))
//   inner = keccak256(0x01 || leftHash || leftSum || rightHash || rightSum)           sums as uint128
//
// A tree is padded with (0, 0) to a power of two, so a path's length follows from the leaf count alone, and the sum of
// everything to a leaf's left follows from its path: two paths prove what a session, a tab or a task was charged.
import { keccak256 as viemKeccak256, numberToHex } from "viem/utils";
import type { Keccak256 } from "./typedData.ts";
import { InvalidValueError } from "./errors.ts";
import { ZERO_HASH, type Hash, type Hex, type Signature, type TokenAmount } from "./units.ts";

export interface SumNode {
  readonly hash: Hash;
  readonly sum: bigint;
}

export interface SumProof {
  /** Position of the leaf, from 0. */
  readonly index: number;
  /** Siblings from the leaf's level up; as many as the depth of a tree of that leaf count. */
  readonly siblings: readonly SumNode[];
}

export interface LeafParts {
  readonly receiptHash: Hash;
  readonly fee: TokenAmount;
  readonly charge: TokenAmount;
  readonly nodeSignature: Signature;
  /** Zero hash and empty signature (`0x`) in ALLOWANCE mode. */
  readonly voucherHash: Hash;
  readonly voucherSignature: Hex;
  readonly assignmentSignature: Signature;
}

export const LEAF_COUNT_MAX = 2 ** 20;
const PADDING: SumNode = { hash: ZERO_HASH, sum: 0n };

/** The same bytes stand in both trees; only the sum differs (charge or fee). */
export function leafHash(leaf: LeafParts, keccak256: Keccak256 = viemKeccak256): Hash {
  const voucherSignatureHash = leaf.voucherHash === ZERO_HASH ? ZERO_HASH : keccak256(leaf.voucherSignature);
  return keccak256(`0x00${[
    leaf.receiptHash, uint128(leaf.fee), uint128(leaf.charge), keccak256(leaf.nodeSignature), leaf.voucherHash,
    voucherSignatureHash, keccak256(leaf.assignmentSignature),
  ].map((part) => part.slice(2)).join("")}`);
}

export function innerNode(left: SumNode, right: SumNode, keccak256: Keccak256 = viemKeccak256): SumNode {
  const hash = keccak256(`0x01${left.hash.slice(2)}${uint128(left.sum).slice(2)}${right.hash.slice(2)}${uint128(right.sum).slice(2)}`);
  return { hash, sum: left.sum + right.sum };
}

/** A tree kept level by level, leaves first; memory is twice the padded leaf count. */
export class MerkleSumTree {
  readonly leafCount: number;
  readonly #levels: readonly (readonly SumNode[])[];

  /** @throws InvalidValueError for no leaves or more than LEAF_COUNT_MAX. */
  constructor(leaves: readonly SumNode[], keccak256: Keccak256 = viemKeccak256) {
    if (leaves.length === 0 || leaves.length > LEAF_COUNT_MAX) throw new InvalidValueError("leaves", `1 to ${LEAF_COUNT_MAX} leaves`);
    this.leafCount = leaves.length;
    const width = 2 ** depthOf(leaves.length);
    const levels: SumNode[][] = [[...leaves, ...Array<SumNode>(width - leaves.length).fill(PADDING)]];
    while (levels.at(-1)!.length > 1) {
      const below = levels.at(-1)!;
      levels.push(Array.from({ length: below.length / 2 }, (_, i) => innerNode(below[2 * i]!, below[2 * i + 1]!, keccak256)));
    }
    this.#levels = levels;
  }

  get root(): SumNode {
    return this.#levels.at(-1)![0]!;
  }

  proof(index: number): SumProof {
    if (!Number.isInteger(index) || index < 0 || index >= this.leafCount) throw new InvalidValueError("index", `0 to ${this.leafCount - 1}`);
    return { index, siblings: this.#levels.slice(0, -1).map((level, depth) => level[(index >> depth) ^ 1]!) };
  }
}

/** Number of siblings in every path of a tree with that many leaves: ceil(log2(leafCount)). */
export const depthOf = (leafCount: number): number => (leafCount <= 1 ? 0 : 32 - Math.clz32(leafCount - 1));

/**
 * Walks a path up.
 * @returns the root it leads to and the sum of all leaves left of it, or null where the proof does not fit the leaf count.
 */
export function walkProof(leaf: SumNode, proof: SumProof, leafCount: number, keccak256: Keccak256 = viemKeccak256): { root: SumNode; leftSum: bigint } | null {
  if (leafCount < 1 || leafCount > LEAF_COUNT_MAX || !Number.isInteger(proof.index) || proof.index < 0 || proof.index >= leafCount) return null;
  if (proof.siblings.length !== depthOf(leafCount)) return null;
  let root = leaf;
  let leftSum = 0n;
  for (const [depth, sibling] of proof.siblings.entries()) {
    const isRight = ((proof.index >> depth) & 1) === 1;
    if (isRight) leftSum += sibling.sum;
    root = isRight ? innerNode(sibling, root, keccak256) : innerNode(root, sibling, keccak256);
  }
  return { root, leftSum };
}

export interface Item {
  readonly id: Hash;
  readonly change: TokenAmount;
}

/** A node's id as it stands in creditsHash. */
export const tabItemId = (nodeId: number): Hash => numberToHex(nodeId, { size: 32 });

/** debitsHash and creditsHash hash the hashes of groups of 16 (id, change): a proof opens one group, not the whole list. */
export const ITEM_GROUP_SIZE = 16;

/** A list cut into its groups; the last may be shorter. */
export function itemGroups(items: readonly Item[]): (readonly Item[])[] {
  const groups: (readonly Item[])[] = [];
  for (let start = 0; start < items.length; start += ITEM_GROUP_SIZE) groups.push(items.slice(start, start + ITEM_GROUP_SIZE));
  return groups;
}

/** keccak256 of a group's (bytes32 id, uint96 change as uint256) pairs, ABI-encoded. */
export const itemGroupHash = (group: readonly Item[], keccak256: Keccak256 = viemKeccak256): Hash =>
  keccak256(`0x${group.map((item) => item.id.slice(2) + numberToHex(item.change, { size: 32 }).slice(2)).join("")}`);

/** keccak256 over the concatenated group hashes. */
export const itemsHash = (items: readonly Item[], keccak256: Keccak256 = viemKeccak256): Hash =>
  keccak256(`0x${itemGroups(items).map((group) => itemGroupHash(group, keccak256).slice(2)).join("")}`);

const uint128 = (value: bigint): Hex => numberToHex(value, { size: 16 });
