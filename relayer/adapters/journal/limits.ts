// How long an Idempotency-Key counts, the same in every implementation.

/** A claim whose request died with its process blocks its key for so long. */
export const CLAIM_MS_MAX = 15 * 60_000;
export const IDEMPOTENCY_MS_MAX = 24 * 3_600_000;
