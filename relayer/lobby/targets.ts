// What is promised to a request: when its first token comes, how fast the others follow, and how long it may have to wait for a start.
import { Tier, type TierValue } from "../../protocol/constants.ts";
import type { Millis } from "../../protocol/units.ts";

/** A first token's least target, and how many idle readings of the prompt it is at least. */
const [TTFT_TARGET_MS_MIN, TTFT_TARGET_TIMES] = [2_000, 3] as const;
export const TPOT_TARGET_MS: Millis = 100;
/** Where even the quickest node decodes slower than the target, so many times its idle time per token is promised. */
const TPOT_TARGET_TIMES = 1.5;

/** The promise for a prompt that the quickest idle node would answer after so long. */
export const ttftTargetMs = (bestTtftMs: Millis): Millis => Math.max(TTFT_TARGET_MS_MIN, TTFT_TARGET_TIMES * bestTtftMs);

/** @param bestTpotMs of the quickest node while it reads prompts beside one answer */
export const tpotTargetMs = (bestTpotMs: Millis): Millis => Math.max(TPOT_TARGET_MS, TPOT_TARGET_TIMES * bestTpotMs);

/**
 * How long a client of a class waits that does not say: who pays for priority wants to be told soon, who takes what is left over has
 * time. A proxy between client and relayer gives up silent requests after about a minute.
 */
const WAIT_MS: Readonly<Record<TierValue, Millis>> = { [Tier.DEFAULT]: 60_000, [Tier.PRIORITY]: 20_000, [Tier.FLEX]: 600_000 };
/** As long as the longest order is good for. */
export const WAIT_MS_MAX: Millis = 3_600_000;
/** Nobody waits longer than this part of what the order is good for: the answer takes time too. */
const ORDER_PART = 0.8;

/** @param asked by the client; null where it did not say @param orderMs how long its order is good for */
export const waitMsMaxOf = (tier: TierValue, asked: Millis | null, orderMs: Millis): Millis => Math.max(0, Math.min(asked ?? WAIT_MS[tier], ORDER_PART * orderMs, WAIT_MS_MAX));
