// Calls of the contracts in the bytes of transactions, inside of other calls too: wallets and relays wrap.
import { decodeFunctionData, toFunctionSelector, type Abi } from "viem";
import { BatchSettlementAbi } from "../protocol/generated/abi/BatchSettlement.ts";
import { FraudProofsAbi } from "../protocol/generated/abi/FraudProofs.ts";
import type { Hex } from "../protocol/units.ts";

/** A call inside of another call's bytes begins at a word behind a selector; so many places are tried. */
export const PLACES_MAX = 64;
const CALLS = [...BatchSettlementAbi, ...FraudProofsAbi] as Abi;
const selectorOf = (name: string): Hex => toFunctionSelector(CALLS.find((item) => item.type === "function" && item.name === name) as never);
const SELECTORS = { postBatch: selectorOf("postBatch"), answerData: selectorOf("answerData"), openForce: selectorOf("openForce") };

export interface FoundCalls {
  /** The arguments of each. */
  readonly calls: readonly (readonly unknown[])[];
  /** False where more places look like a call than are tried. */
  readonly isWhole: boolean;
}

/** Every call of that name in the bytes of a transaction. */
export function callsIn(input: Hex, name: keyof typeof SELECTORS): FoundCalls {
  const selector = SELECTORS[name].slice(2);
  const calls: (readonly unknown[])[] = [];
  let at = input.indexOf(selector, 2);
  for (let places = 0; at >= 0 && places < PLACES_MAX; places++, at = input.indexOf(selector, at + 2)) {
    try {
      const { args } = decodeFunctionData({ abi: CALLS, data: `0x${input.slice(at)}` });
      if (args) calls.push(args);
    } catch {
      // Bytes that happen to look like the selector.
    }
  }
  return { calls, isWhole: at < 0 };
}
