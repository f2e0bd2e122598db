// Which blocks a loop reads for events: the last ones again in every round, the others once, never too many in one question.

/** Blocks that a reorganisation may still change: read again each round, and what ended in them is remembered. */
export const REORG_BLOCKS = 32n;
/** Blocks asked for at once: what public nodes allow. */
const BLOCKS_PER_QUERY = 2_000n;

/** From some blocks before the next one up to the head, both included, in questions of bounded size. */
export function* blockRanges(next: bigint, head: bigint): Generator<{ readonly from: bigint; readonly to: bigint }> {
  for (let from = atLeastZero((next < head ? next : head) - REORG_BLOCKS); from <= head; from += BLOCKS_PER_QUERY) {
    const last = from + BLOCKS_PER_QUERY - 1n;
    yield { from, to: last < head ? last : head };
  }
}

export const atLeastZero = (block: bigint): bigint => (block > 0n ? block : 0n);
