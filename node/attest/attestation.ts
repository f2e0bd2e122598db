// What a node attests to one relayer: builds the struct, chains it to the one before, and says when the next is due.
import { ATTESTATION_VALID_MS, offersHash, type Offer } from "../../protocol/link.ts";
import { nextSeq } from "../../protocol/ids.ts";
import { ZERO_HASH, type Hash, type Millis } from "../../protocol/units.ts";
import type { Saturation } from "../gauge/saturation.ts";
import type { SaturationAttestation } from "../../protocol/generated/structs.ts";

export interface Attester {
  readonly nodeId: number;
  readonly relayerId: number;
  readonly keyEpoch: number;
}

export interface Observation {
  readonly slots: number;
  /** Of the slots, those that are for preprocessing at the moment. */
  readonly prepSlots: number;
  readonly saturation: Saturation;
  readonly offers: readonly Offer[];
}

/** The attestation before: seq 0 and the zero hash where there was none. */
export interface Previous {
  readonly seq: bigint;
  readonly hash: Hash;
}

export const NO_ATTESTATION: Previous = { seq: 0n, hash: ZERO_HASH };

/** @returns an attestation with a greater seq than the previous one, valid for 5 s. */
export function attestationOf(attester: Attester, previous: Previous, observed: Observation, nowMs: Millis): SaturationAttestation {
  return {
    ...attester, seq: nextSeq(previous.seq, nowMs), prevHash: previous.hash,
    slots: observed.slots, prepSlots: Math.min(observed.prepSlots, observed.slots), ...observed.saturation,
    offersHash: offersHash(observed.offers), observedAtMs: nowMs, validUntilMs: nowMs + ATTESTATION_VALID_MS,
  };
}

/** Attested anew at least this often. */
export const EVERY_MS = 1_000;
/** Never more often than this, however much changes. */
export const AT_MOST_EVERY_MS = 200;
/** A smaller move of a figure waits for the next regular attestation. */
const CHANGE_BPS = 500;

/** @returns how long to wait before the next attestation; 0 where it is due. */
export function dueInMs(sentAtMs: Millis | null, changed: boolean, nowMs: Millis): Millis {
  if (sentAtMs === null) return 0;
  return Math.max(0, sentAtMs + (changed ? AT_MOST_EVERY_MS : EVERY_MS) - nowMs);
}

/** Whether a router would choose differently on the new picture: places, prices, or a figure that moved by 5 points. */
export function differs(before: Observation, now: Observation): boolean {
  if (before.slots !== now.slots || before.prepSlots !== now.prepSlots) return true;
  if (offersHash(before.offers) !== offersHash(now.offers)) return true;
  const [a, b] = [before.saturation, now.saturation];
  return (["computeBps", "memoryBps", "queueBps", "networkBps"] as const).some((name) => Math.abs(a[name] - b[name]) >= CHANGE_BPS);
}
