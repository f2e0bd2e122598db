// A node that nobody knows is given little at first: whoever registers many that stall gains no more by it than with a few.

const SLOTS_FIRST = 2;
/** Good answers after which a node may have twice as many at once. */
const KEPT_PER_DOUBLING = 2;

/** @param kept good answers so far, less what was taken off for silence @returns slots that may be used; what is attested and staked bounds it further */
export const warmSlots = (kept: number): number => SLOTS_FIRST * 2 ** Math.min(20, Math.floor(Math.max(0, kept) / KEPT_PER_DOUBLING));

/** @param part of what an earlier process knew that still counts, 0 to 1 */
export const fadedKept = (kept: number, part: number): number => Math.floor(kept * part);

/** After a silence a node has half as much to show as before. */
export const keptAfter = (kept: number, deed: "kept" | "refused" | "silent"): number => (deed === "kept" ? kept + 1 : deed === "silent" ? Math.floor(kept / 2) : kept);
