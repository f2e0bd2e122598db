// How long an Idempotency-Key counts, and what a process told the others, the same in every implementation.
import type { Millis } from "../../../protocol/units.ts";

/** A claim whose request died with its process blocks its key for so long. */
export const CLAIM_MS_MAX = 15 * 60_000;
export const IDEMPOTENCY_MS_MAX = 24 * 3_600_000;

/** A process that told its others nothing for so long has ended, or has nothing to tell. */
export const TALLY_MS_MAX: Millis = 15 * 60_000;
/** Processes that are heard at once. */
export const TALLIES_MAX = 64;
