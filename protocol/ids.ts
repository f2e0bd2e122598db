// Names and numbers that everybody must derive alike: model ids, sequence numbers, salted commitments.
import { concatHex, keccak256, stringToHex } from "viem/utils";
import type { Hash, Hex } from "./units.ts";

/** modelId = keccak256 of the canonical name, such as `org/model@quantisation`. */
export const modelIdOf = (canonicalName: string): Hash => keccak256(stringToHex(canonicalName));

/**
 * seq and nodeSeq: unix milliseconds << 20 | counter. Gaps are allowed, so a node that lost its database cannot
 * equivocate by accident.
 * @returns a number greater than `last`, and not before `nowMs` unless the clock went back.
 */
export function nextSeq(last: bigint, nowMs: number): bigint {
  const fresh = BigInt(nowMs) << 20n;
  return fresh > last ? fresh : last + 1n;
}

/** @returns the unix milliseconds at which a number of `nextSeq` was made, or a little more where many were. */
export const timeOfSeq = (seq: bigint): number => Number(seq >> 20n);

/** keccak256(salt32 || bytes): short prompts must not be guessable. */
export const saltedCommit = (salt: Hash, bytes: Hex): Hash => keccak256(concatHex([salt, bytes]));

/** Text is committed as its UTF-8 bytes. */
export const textCommit = (salt: Hash, text: string): Hash => saltedCommit(salt, stringToHex(text));

/** The salt of an attempt's output: known to whoever knows the input's salt, to nobody else. */
export const outputSalt = (inputSalt: Hash, assignmentHash: Hash): Hash => keccak256(concatHex([inputSalt, assignmentHash]));
