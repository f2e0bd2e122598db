// The receipts trie of a block (Ethereum's yellow paper, appendix D), and the proof of one receipt in it.
//
// Keys are the RLP of the transactions' indices: none begins another, so a branch never has a value of its own. A node of less
// than 32 bytes stands in its parent itself, any other by its hash.
import { keccak256, numberToHex, toRlp } from "viem/utils";
import { InvalidValueError } from "./errors.ts";
import type { Hash, Hex } from "./units.ts";

export interface TrieProof {
  readonly root: Hash;
  /** Nodes from the root to the value's, as RLP. */
  readonly nodes: readonly Hex[];
}

/** Above what any chain puts into a block. */
export const TRANSACTIONS_MAX = 20_000;
const HASHED_BYTES = 32;

interface Entry {
  /** Nibbles of the key. */
  readonly path: string;
  readonly value: Hex;
}

type Item = Hex | readonly Item[];

/** A node as its parent holds it, and the nodes that stand by their hashes on the way to the wanted value. */
interface Built {
  readonly reference: Item;
  readonly nodes: readonly Hex[];
}

/**
 * @param values what the trie holds, by index; all of them.
 * @param index of the value to be proven.
 * @throws InvalidValueError for no value, too many, or an index without one.
 */
export function proofInList(values: readonly Hex[], index: number): TrieProof {
  if (values.length === 0 || values.length > TRANSACTIONS_MAX) throw new InvalidValueError("values", `1 to ${TRANSACTIONS_MAX} values`);
  if (!Number.isInteger(index) || index < 0 || index >= values.length) throw new InvalidValueError("index", `a whole number below ${values.length}`);
  const entries = values.map((value, i): Entry => ({ path: pathOf(i), value }));
  const top = itemOf(entries, 0, pathOf(index));
  const encoded = toRlp(top.reference as Hex);
  return { root: keccak256(encoded), nodes: [encoded, ...top.nodes] };
}

/** The least bytes that hold a number; none for 0. */
export const integer = (value: bigint | number): Hex => (BigInt(value) === 0n ? "0x" : evenHex(numberToHex(value)));

const evenHex = (hex: Hex): Hex => (hex.length % 2 === 0 ? hex : `0x0${hex.slice(2)}`);

const pathOf = (index: number): string => toRlp(integer(index)).slice(2);

/** The node over these entries, of whose paths the first nibbles stand in nodes above. @param wanted path of the value to be proven, or null below another one */
function itemOf(entries: readonly Entry[], depth: number, wanted: string | null): Built {
  if (entries.length === 1) return { reference: [compact(entries[0]!.path.slice(depth), true), entries[0]!.value], nodes: [] };
  const shared = sharedFrom(entries, depth);
  if (shared > depth) {
    const below = hashed(branchOf(entries, shared, wanted), wanted !== null);
    return { reference: [compact(entries[0]!.path.slice(depth, shared), false), below.reference], nodes: below.nodes };
  }
  return branchOf(entries, depth, wanted);
}

function branchOf(entries: readonly Entry[], depth: number, wanted: string | null): Built {
  const groups = Map.groupBy(entries, ({ path }) => Number.parseInt(path[depth]!, 16));
  const children = Array.from({ length: 16 }, (_, nibble): Built => {
    const group = groups.get(nibble);
    if (!group) return { reference: "0x", nodes: [] };
    const isOnTheWay = wanted !== null && Number.parseInt(wanted[depth]!, 16) === nibble;
    return hashed(itemOf(group, depth + 1, isOnTheWay ? wanted : null), isOnTheWay);
  });
  return { reference: [...children.map(({ reference }) => reference), "0x"], nodes: children.flatMap(({ nodes }) => nodes) };
}

/** As it stands in its parent. */
function hashed({ reference, nodes }: Built, isOnTheWay: boolean): Built {
  const encoded = toRlp(reference as Hex);
  if ((encoded.length - 2) / 2 < HASHED_BYTES) return { reference, nodes };
  return { reference: keccak256(encoded), nodes: isOnTheWay ? [encoded, ...nodes] : [] };
}

/** Up to which nibble all paths are the same. */
function sharedFrom(entries: readonly Entry[], depth: number): number {
  const first = entries[0]!.path;
  let end = depth;
  while (entries.every(({ path }) => path[end] === first[end])) end++;
  return end;
}

/** Nibbles as bytes; the first one says whether their count is odd and whether it is a leaf's path. */
function compact(nibbles: string, isLeaf: boolean): Hex {
  const isOdd = nibbles.length % 2 === 1;
  const flag = (isLeaf ? 2 : 0) + (isOdd ? 1 : 0);
  return `0x${flag}${isOdd ? "" : "0"}${nibbles}`;
}
