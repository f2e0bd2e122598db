// Evidence for F7 (leaves out of order) and F11 (leaves that stand in one tree only).
import { leafStructHash } from "../../protocol/evidence.ts";
import { comparePlaces, type Place } from "../../relayer/settlement/batch.ts";
import type { EntryEvidence, FindingOf } from "../watch/findings.ts";
import { entryAt, placeIn, type TreeView } from "./treeView.ts";

/** @returns the first two neighbours of a tree of which the left does not stand before the right; null where all do */
export function disorder(relayerId: number, batchId: bigint, view: TreeView): FindingOf<"proveDisorder"> | null {
  const places = view.rows.map((row) => placeIn(view.kind, row.receipt));
  const right = places.findIndex((place, index) => index > 0 && comparePlaces(places[index - 1]!, place) >= 0);
  if (right < 0) return null;
  const evidence = { relayerId, batchId, tree: view.kind, left: entryAt(view, right - 1), right: entryAt(view, right) };
  return { offence: "F7", functionName: "proveDisorder", evidence };
}

/** @returns null where the leaf at that index stands in the other tree with the same bytes */
export function asymmetry(relayerId: number, batchId: bigint, view: TreeView, index: number, other: TreeView): FindingOf<"proveAsymmetry"> | null {
  const entry = entryAt(view, index);
  const others = inItsPlace(other, placeIn(other.kind, entry.receipt));
  if (others.length === 1 && leafStructHash(others[0]!.leaf) === leafStructHash(entry.leaf)) return null;
  return { offence: "F11", functionName: "proveAsymmetry", evidence: { relayerId, batchId, tree: view.kind, entry, others } };
}

/** The leaf in that place of a tree; where there is none its two neighbours, or the one at the edge. */
function inItsPlace(view: TreeView, place: Place): EntryEvidence[] {
  const after = view.rows.findIndex((row) => comparePlaces(placeIn(view.kind, row.receipt), place) >= 0);
  if (after < 0) return [entryAt(view, view.leafCount - 1)];
  const isThere = comparePlaces(placeIn(view.kind, view.rows[after]!.receipt), place) === 0;
  return isThere || after === 0 ? [entryAt(view, after)] : [entryAt(view, after - 1), entryAt(view, after)];
}
