// Who is looked at: at most 16 of N, drawn from the published table, so that nobody can pick them and no decision scans the fleet.
import { CANDIDATES_MAX, type RoutingParameters } from "./parameters.ts";
import type { Draws } from "./draws.ts";
import type { Shard } from "./table.ts";

/** So many rounds are drawn; where none holds an open node, a sweep from a drawn place looks at all. */
export const DRAWN_ROUNDS = 3;

/**
 * The affinity holder, a draw weighted by free capacity, a few evenly drawn: without repeats, in the order of node ids. A shard of at
 * most 16 is taken whole.
 * @param affinityRow -1 for none
 * @param out receives row numbers; room for CANDIDATES_MAX
 * @returns how many
 */
export function drawCandidates(shard: Shard, draws: Draws, affinityRow: number, parameters: RoutingParameters, out: Int32Array): number {
  const total = shard.rows.length;
  if (total <= CANDIDATES_MAX) {
    for (let row = 0; row < total; row++) out[row] = row;
    return total;
  }
  let count = 0;
  const add = (row: number): void => {
    for (let i = 0; i < count; i++) if (out[i] === row) return;
    out[count++] = row;
  };
  if (affinityRow >= 0) add(affinityRow);
  const free = shard.freeUpTo[total - 1]!;
  if (free > 0) for (let i = 0; i < parameters.weightedDraws; i++) add(rowAt(shard.freeUpTo, draws.below(free)));
  for (let i = 0; i < parameters.uniformDraws; i++) add(draws.below(total));
  out.subarray(0, count).sort();
  return count;
}

/**
 * The last resort: the first 16 rows that are open, from a drawn row on and around.
 * @returns how many
 */
export function sweep(shard: Shard, draws: Draws, isOpen: (row: number) => boolean, out: Int32Array): number {
  const total = shard.rows.length;
  const start = total === 0 ? 0 : draws.below(total);
  let count = 0;
  for (let i = 0; i < total && count < CANDIDATES_MAX; i++) {
    const row = (start + i) % total;
    if (isOpen(row)) out[count++] = row;
  }
  out.subarray(0, count).sort();
  return count;
}

/** The row whose share of the running sums holds the ticket: the first sum above it. */
function rowAt(upTo: Float64Array, ticket: number): number {
  let low = 0;
  let high = upTo.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (upTo[middle]! > ticket) high = middle;
    else low = middle + 1;
  }
  return low;
}
