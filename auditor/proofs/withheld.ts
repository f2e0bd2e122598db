// F9: the calls that demand a record, condemn a batch whose data is kept back, and void what it moved.
//
//   challengeData ── W ──▶ condemn ──▶ voidEntries of all credits ──▶ voidEntries of all debits
import { encodeFunctionData, type Hex } from "viem";
import { FraudProofsAbi } from "../../protocol/generated/abi/FraudProofs.ts";
import type { Item } from "../../protocol/merkleSum.ts";
import { openingsOf } from "./changes.ts";
import type { BatchHeader } from "../../protocol/generated/structs.ts";

/** 128 items in a call: about half of what a transaction may use. */
const GROUPS_EACH = 8;

/** Demands the record at that index of the session tree; the sender's challenge bond must be approved. */
export const encodeChallenge = (relayerId: number, batchId: bigint, index: number): Hex =>
  encodeFunctionData({ abi: FraudProofsAbi, functionName: "challengeData", args: [relayerId, batchId, index] });

/** Once W has passed without an answer. */
export const encodeCondemn = (relayerId: number, batchId: bigint, index: number): Hex =>
  encodeFunctionData({ abi: FraudProofsAbi, functionName: "condemn", args: [relayerId, batchId, index] });

/** Every call that voids a condemned batch, in the order in which they must be sent: debits get back what credits gave up. */
export function encodeVoids(header: BatchHeader, debits: readonly Item[], credits: readonly Item[]): Hex[] {
  const voids = (isDebit: boolean, items: readonly Item[]): Hex[] => openingsOf(items, GROUPS_EACH).map((opening) =>
    encodeFunctionData({ abi: FraudProofsAbi, functionName: "voidEntries", args: [header, isDebit, opening] }));
  return [...voids(false, credits), ...voids(true, debits)];
}
