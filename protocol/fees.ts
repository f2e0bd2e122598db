// What an attempt costs: the TypeScript twin of contracts/libraries/Fees.sol. Every rounding is down, so none favours the taker.
import { BPS, TOKENS_PER_PRICE, type Bps, type TokenAmount } from "./units.ts";

export interface FeeTerms {
  /** Smallest units per million tokens. */
  readonly priceInPerMTok: TokenAmount;
  readonly priceOutPerMTok: TokenAmount;
  /** The relayer's fee on top of the node's, in basis points. */
  readonly feeBps: Bps;
  /** The greatest charge (fee and relayer fee together) of this attempt. */
  readonly shareCap: TokenAmount;
}

/** @returns the node's fee and the payer's charge, with charge <= shareCap. */
export function feeOf(inputTokens: number, outputTokens: number, terms: FeeTerms): { fee: TokenAmount; charge: TokenAmount } {
  const priced = pricedDown(inputTokens, outputTokens, terms);
  const most = feeWithinDown(terms.shareCap, terms.feeBps);
  const fee = priced < most ? priced : most;
  return { fee, charge: chargeDown(fee, terms.feeBps) };
}

/** floor((in * priceIn + out * priceOut) / 1e6), uncapped. */
export const pricedDown = (inputTokens: number, outputTokens: number, prices: Pick<FeeTerms, "priceInPerMTok" | "priceOutPerMTok">): TokenAmount =>
  (BigInt(inputTokens) * prices.priceInPerMTok + BigInt(outputTokens) * prices.priceOutPerMTok) / BigInt(TOKENS_PER_PRICE);

/** fee + floor(fee * feeBps / 1e4). */
export const chargeDown = (fee: TokenAmount, feeBps: Bps): TokenAmount => fee + (fee * BigInt(feeBps)) / BigInt(BPS);

/**
 * The greatest fee whose charge stays within the cap.
 * floor((cap * 1e4 + 9,999) / (1e4 + bps)): charge(f) <= cap iff f * (1e4 + bps) < (cap + 1) * 1e4.
 */
export const feeWithinDown = (cap: TokenAmount, feeBps: Bps): TokenAmount =>
  (cap * BigInt(BPS) + BigInt(BPS - 1)) / BigInt(BPS + feeBps);
