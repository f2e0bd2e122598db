// Branded numbers, so that a unit cannot be mistaken for another: a brand costs nothing at run time.

declare const unit: unique symbol;
type Unit<Base, Name extends string> = Base & { readonly [unit]?: Name };

/** `0x` and lowercase hex digits. */
export type Hex = `0x${string}`;
/** An address, lowercase: compare with ===. */
export type Address = Hex;
/** A 32-byte hash. */
export type Hash = Hex;
/** 65 bytes r || s || v, v in {27, 28}, low s. */
export type Signature = Hex;

/** The pay or stake token's smallest unit. */
export type TokenAmount = Unit<bigint, "token amount">;
/** Basis points: 10,000 is the whole. */
export type Bps = Unit<number, "bps">;
export type Seconds = Unit<number, "s">;
export type Millis = Unit<number, "ms">;
export type Tokens = Unit<number, "tokens">;

export const ZERO_HASH: Hash = `0x${"0".repeat(64)}`;
export const BPS = 10_000;
export const TOKENS_PER_PRICE = 1_000_000;
export const UINT96_MAX = 2n ** 96n - 1n;
