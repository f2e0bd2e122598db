// What the fleet's saturation does to prices: the TypeScript twin of contracts/libraries/Tide.sol, where it is explained.
import { UINT96_MAX, type Bps, type TokenAmount } from "./units.ts";

/** A multiplier in millionths, within [500,000, 2,000,000]. */
export type TideMultiplier = number;

export const TIDE_ONE: TideMultiplier = 1_000_000;
export const TIDE_LEAST: TideMultiplier = 500_000;
export const TIDE_MOST: TideMultiplier = 2_000_000;
const TARGET_BPS = 7_000;
const BPS_MOST = 10_000;
const STEP_PARTS = 8;
const DECAY_EPOCHS_MAX = 128;

/** @returns the multiplier after an epoch of that pooled saturation: toward 70 %, by at most an eighth. */
export function tideStep(multiplier: TideMultiplier, saturationBps: Bps): TideMultiplier {
  const bps = Math.min(saturationBps, BPS_MOST);
  const next = bps >= TARGET_BPS
    ? multiplier + Math.floor((multiplier * (bps - TARGET_BPS)) / ((BPS_MOST - TARGET_BPS) * STEP_PARTS))
    : multiplier - Math.floor((multiplier * (TARGET_BPS - bps)) / (TARGET_BPS * STEP_PARTS));
  return Math.min(TIDE_MOST, Math.max(TIDE_LEAST, next));
}

/** @returns the multiplier after so many epochs without a figure: back towards 1, by an eighth of the distance in each. */
export function tideDecayed(multiplier: TideMultiplier, epochs: number): TideMultiplier {
  if (epochs >= DECAY_EPOCHS_MAX) return TIDE_ONE;
  let decayed = multiplier;
  for (let left = epochs; left > 0 && decayed !== TIDE_ONE; left--) {
    decayed += decayed > TIDE_ONE ? -Math.ceil((decayed - TIDE_ONE) / STEP_PARTS) : Math.ceil((TIDE_ONE - decayed) / STEP_PARTS);
  }
  return decayed;
}

/** @returns base x multiplier, rounded down; within 96 bits. */
export function tidePricedDown(base: TokenAmount, multiplier: TideMultiplier): TokenAmount {
  const priced = (base * BigInt(multiplier)) / BigInt(TIDE_ONE);
  return priced > UINT96_MAX ? UINT96_MAX : priced;
}
