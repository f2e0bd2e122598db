// UTF-8 as hex, for hashing a text on the path of every dispatch: one flat string, where a loop over bytes would join thousands.
import type { Hex } from "../../protocol/units.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const DIGITS = encoder.encode("0123456789abcdef");
const PREFIX = encoder.encode("0x");

/** @returns 0x and two digits for each byte */
export function hexOfText(text: string): Hex {
  const bytes = encoder.encode(text);
  const digits = new Uint8Array(PREFIX.length + 2 * bytes.length);
  digits.set(PREFIX);
  for (let i = 0, at = PREFIX.length; i < bytes.length; i++) {
    digits[at++] = DIGITS[bytes[i]! >> 4]!;
    digits[at++] = DIGITS[bytes[i]! & 15]!;
  }
  return decoder.decode(digits) as Hex;
}
