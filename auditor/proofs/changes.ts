// Evidence for F5: a header's list opened around one id, and the leaves that say what its change should have been.
//
//   leaves of the tree, by owner:   A A A │ B B │ C ...      left neighbour ─┘ └─ first ... last ─┘ └─ right neighbour
//
// A change over its leaves is shown by the neighbours (no more can lie between them), one under them by its first and last leaf.
import { keccak256 as viemKeccak256 } from "viem/utils";
import { ITEM_GROUP_SIZE, itemGroupHash, itemGroups, type Item } from "../../protocol/merkleSum.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import type { Keccak256 } from "../../protocol/typedData.ts";
import type { ChangeEvidence, FindingOf, OpeningEvidence } from "../watch/findings.ts";
import { entryAt, ownerIn, sumIn, type TreeView } from "./treeView.ts";
import type { BatchHeader, TaskOrder } from "../../protocol/generated/structs.ts";
import type { Hash, TokenAmount } from "../../protocol/units.ts";

/**
 * @param items the header's debits for the session tree, its credits for the tab tree
 * @param id a session's id, or a node's as it stands in creditsHash
 * @returns null where the change is that of the leaves
 */
export function wrongChange(header: BatchHeader, items: readonly Item[], view: TreeView, id: Hash): FindingOf<"proveWrongChange"> | null {
  const change = items.find((item) => item.id === id)?.change ?? 0n;
  const claim = overClaim(view, id, change) ?? underClaim(view, id, change);
  return claim && { offence: "F5", functionName: "proveWrongChange", evidence: { header, opening: openingOf(items, id), claim } };
}

/** @returns null where the task's leaves in this batch stay within the order's maxFee */
export function taskAboveMaxFee(relayerId: number, batchId: bigint, session: TreeView, order: TaskOrder, taskId: Hash): FindingOf<"proveTaskAboveMaxFee"> | null {
  const isOfTask = (row: TreeView["rows"][number]): boolean => row.receipt.body.taskId === taskId;
  const [first, last] = [session.rows.findIndex(isOfTask), session.rows.findLastIndex(isOfTask)];
  if (first < 0 || sumOf(session, first, last + 1) <= order.maxFee) return null;
  const evidence = { relayerId, batchId, order, first: entryAt(session, first), last: entryAt(session, last) };
  return { offence: "F5", functionName: "proveTaskAboveMaxFee", evidence };
}

/** Every id whose change is not that of its leaves: those of the list and those of the tree. */
export function wrongIds(items: readonly Item[], view: TreeView): Hash[] {
  const sums = new Map<Hash, TokenAmount>(items.map(({ id, change }) => [id, change]));
  for (const row of view.rows) sums.set(ownerIn(view.kind, row.receipt), (sums.get(ownerIn(view.kind, row.receipt)) ?? 0n) - sumIn(view.kind, row));
  return [...sums].filter(([, left]) => left !== 0n).map(([id]) => id);
}

/** The neighbours of the id's leaves that exist. In a tree out of order they are the nearest that have all of its leaves between. */
function overClaim(view: TreeView, id: Hash, change: TokenAmount): ChangeEvidence | null {
  const owners = view.rows.map((row) => ownerIn(view.kind, row.receipt));
  const atLeast = owners.findIndex((owner) => owner >= id);
  const first = atLeast < 0 ? owners.length : atLeast;
  const after = owners.findIndex((owner, index) => index >= first && owner > id && !owners.includes(id, index));
  if (after < 0 && owners.length < view.leafCount) throw new InvalidValueError("rows", `the right neighbour of ${id}`);
  if (change <= sumOf(view, first, after < 0 ? owners.length : after)) return null;
  const bounds = [...(first === 0 ? [] : [first - 1]), ...(after < 0 ? [] : [after])];
  return { tree: view.kind, id, isOver: true, hasLeft: first > 0, bounds: bounds.map((index) => entryAt(view, index)) };
}

function underClaim(view: TreeView, id: Hash, change: TokenAmount): ChangeEvidence | null {
  const isOwn = (row: TreeView["rows"][number]): boolean => ownerIn(view.kind, row.receipt) === id;
  const [first, last] = [view.rows.findIndex(isOwn), view.rows.findLastIndex(isOwn)];
  if (first < 0 || change >= sumOf(view, first, last + 1)) return null;
  return { tree: view.kind, id, isOver: false, hasLeft: false, bounds: [entryAt(view, first), entryAt(view, last)] };
}

const sumOf = (view: TreeView, from: number, to: number): TokenAmount =>
  view.rows.slice(from, to).reduce((sum, row) => sum + sumIn(view.kind, row), 0n);

// ---- openings of a header's list

/** Opens the group that holds the id; where it stands in none, the groups of its two neighbours, or of the one at the edge. */
export function openingOf(items: readonly Item[], id: Hash, keccak256: Keccak256 = viemKeccak256): OpeningEvidence {
  if (items.length === 0) return { groups: [], first: 0, opened: [] };
  const after = items.findIndex((item) => item.id >= id);
  const [from, to] = after < 0 ? [items.length - 1, items.length - 1] : items[after]!.id === id || after === 0 ? [after, after] : [after - 1, after];
  return openingOfGroups(items, groupAt(from), groupAt(to), keccak256);
}

/** The whole list in openings of so many groups. */
export function openingsOf(items: readonly Item[], groupsEach: number, keccak256: Keccak256 = viemKeccak256): OpeningEvidence[] {
  const openings: OpeningEvidence[] = [];
  const last = groupAt(items.length - 1);
  for (let first = 0; first <= last; first += groupsEach) openings.push(openingOfGroups(items, first, Math.min(first + groupsEach - 1, last), keccak256));
  return openings;
}

function openingOfGroups(items: readonly Item[], first: number, last: number, keccak256: Keccak256): OpeningEvidence {
  const groups = itemGroups(items);
  return { groups: groups.map((group) => itemGroupHash(group, keccak256)), first, opened: groups.slice(first, last + 1) };
}

const groupAt = (index: number): number => Math.floor(index / ITEM_GROUP_SIZE);
