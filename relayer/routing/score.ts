// How far a node is to be relied on: a score that rises with each kept promise and falls with each broken one.
import { BPS, type Bps, type Millis } from "../../protocol/units.ts";
import { clamp } from "./parameters.ts";

/**
 * Where a node begins and whither it drifts while nothing is known: good, not perfect. A failure costs 20 s, so this is a handicap
 * of 0.2 s against a proven node: enough to prefer that one among equals, not enough to leave a newcomer idle while it fills up.
 */
export const SCORE_START_BPS: Bps = 9_900;
/** In this time half of the distance to the start is forgiven, so that a recovered node is found again. */
export const SCORE_HALF_LIFE_MS: Millis = 60_000;

/** kept: a good receipt. refused: a signed refusal. silent: nothing, garbage, or a break; it costs more, or nobody would sign refusals. */
export type Deed = "kept" | "refused" | "silent";

const STEPS: Readonly<Record<Deed, { readonly towards: Bps; readonly by: number }>> = {
  kept: { towards: BPS, by: 16 },
  refused: { towards: 0, by: 32 },
  silent: { towards: 0, by: 4 },
};

/** @returns the score after the deed, in 0 to 10,000; every step moves it unless it stands at its end. */
export function scoreAfter(scoreBps: Bps, deed: Deed): Bps {
  const { towards, by } = STEPS[deed];
  const step = Math.ceil(Math.abs(towards - scoreBps) / by);
  return clamp(towards > scoreBps ? scoreBps + step : scoreBps - step, 0, BPS);
}

/** @returns the score after so long without a deed; only bad ones fade, what was earned stays. */
export function forgiven(scoreBps: Bps, elapsedMs: Millis): Bps {
  if (scoreBps >= SCORE_START_BPS || elapsedMs <= 0) return scoreBps;
  const halvings = Math.min(Math.floor(elapsedMs / SCORE_HALF_LIFE_MS), 30);
  const restMs = elapsedMs - halvings * SCORE_HALF_LIFE_MS;
  const distance = (SCORE_START_BPS - scoreBps) / 2 ** halvings;
  const part = Math.min(restMs, SCORE_HALF_LIFE_MS) / SCORE_HALF_LIFE_MS / 2;
  return clamp(SCORE_START_BPS - Math.floor(distance * (1 - part)), scoreBps, SCORE_START_BPS);
}

/** @param part of what an earlier process knew that still counts, 0 to 1; the rest is where a node begins */
export const fadedScore = (scoreBps: Bps, part: number): Bps => clamp(SCORE_START_BPS + Math.round(part * (scoreBps - SCORE_START_BPS)), 0, BPS);
