// What the fleet's saturation does to prices: the TypeScript twin of contracts/libraries/Tide.sol, where it is explained.
import { Tier, type TierValue } from "./constants.ts";
import { BPS, UINT96_MAX, type Bps, type TokenAmount } from "./units.ts";

/** A multiplier in millionths, within [500,000, 2,000,000]. */
export type TideMultiplier = number;

export const TIDE_ONE: TideMultiplier = 1_000_000;
export const TIDE_LEAST: TideMultiplier = 500_000;
export const TIDE_MOST: TideMultiplier = 2_000_000;
const TARGET_BPS = 7_000;
const STEP_PARTS = 8;
const DECAY_EPOCHS_MAX = 128;

/** @returns the multiplier after an epoch of that pooled saturation: toward 70 %, by at most an eighth. */
export function tideStep(multiplier: TideMultiplier, saturationBps: Bps): TideMultiplier {
  const bps = Math.min(saturationBps, BPS);
  const next = bps >= TARGET_BPS
    ? multiplier + Math.floor((multiplier * (bps - TARGET_BPS)) / ((BPS - TARGET_BPS) * STEP_PARTS))
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

/** What a tier multiplies the price by: who wants to be first pays half as much again, who can wait half. */
export const TIER_BPS: Readonly<Record<TierValue, Bps>> = { [Tier.DEFAULT]: 10_000, [Tier.PRIORITY]: 15_000, [Tier.FLEX]: 5_000 };

/** Smallest units per million tokens. */
export interface Prices {
  readonly priceInPerMTok: TokenAmount;
  readonly priceOutPerMTok: TokenAmount;
}

/** @returns base x multiplier x tier, rounded down once; within 96 bits. */
export function tidePricedDown(base: TokenAmount, multiplier: TideMultiplier, tier: TierValue = Tier.DEFAULT): TokenAmount {
  const priced = (base * BigInt(multiplier) * BigInt(TIER_BPS[tier])) / BigInt(TIDE_ONE * BPS);
  return priced > UINT96_MAX ? UINT96_MAX : priced;
}

/** What a node's base prices come to for an order of that tier. */
export const pricesAtTide = (base: Prices, multiplier: TideMultiplier, tier: TierValue): Prices =>
  ({ priceInPerMTok: tidePricedDown(base.priceInPerMTok, multiplier, tier), priceOutPerMTok: tidePricedDown(base.priceOutPerMTok, multiplier, tier) });
