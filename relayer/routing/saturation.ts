// What a node's load is now: what it attested, corrected by what this relayer dispatched and finished since.
import { BACKLOG_TOKENS_MAX, CONTEXT_TOKENS_MAX, SLOTS_MAX, clamp } from "./parameters.ts";
import { BPS } from "../../protocol/units.ts";

/** A node's four saturations, each 0 (free) to 10,000 basis points (full). */
export interface SaturationVector {
  readonly computeBps: number;
  readonly memoryBps: number;
  readonly queueBps: number;
  readonly networkBps: number;
}

/** What this relayer has running on a node; the fleet counts it from dispatch to release. */
export interface OwnLoad {
  inFlight: number;
  /** Input tokens whose first output token has not come yet. */
  prefillTokens: number;
  /** Input and expected output tokens of everything in flight. */
  contextTokens: number;
}

/** A node's figures as attested, and the relayer's own load on it when that attestation arrived. */
export interface Attested extends SaturationVector {
  readonly slots: number;
  readonly queuedTokens: number;
  /** 0 where the engine tells nothing. */
  readonly kvFreeTokens: number;
  readonly base: Readonly<OwnLoad>;
}

/** Load as a decision sees it. */
export interface CorrectedLoad extends SaturationVector {
  /** Sequences running, everybody's. */
  readonly running: number;
  /** Prompt tokens waiting ahead. */
  readonly backlogTokens: number;
  readonly contextTokens: number;
}

/** No engine's memory holds more; of one that tells nothing it is taken to be so large. */
export const MEMORY_TOKENS_MAX = 2 ** 32;

export const IDLE: Readonly<OwnLoad> = Object.freeze({ inFlight: 0, prefillTokens: 0, contextTokens: 0 });

/**
 * The attested figures already hold what was in flight when they arrived, so only the difference since is added; own work is a
 * floor, whatever a node claims. Counted at dispatch, because prefill is load long before the first byte (smg-project/smg#1714).
 * @param unknownContextTokens context of a sequence that is not this relayer's.
 */
export function correctLoad(attested: Attested, own: Readonly<OwnLoad>, unknownContextTokens: number): CorrectedLoad {
  const slots = clamp(attested.slots, 1, SLOTS_MAX);
  const ownBps = clamp(Math.ceil((clamp(own.inFlight, 0, SLOTS_MAX) * BPS) / slots), 0, BPS);
  const sinceBps = Math.floor(((own.inFlight - attested.base.inFlight) * BPS) / slots);
  const computeBps = clamp(clamp(attested.computeBps, 0, BPS) + sinceBps, ownBps, BPS);
  const running = Math.max(own.inFlight, Math.ceil((computeBps * slots) / BPS));
  return {
    computeBps,
    memoryBps: correctedMemoryBps(attested, own),
    queueBps: clamp(attested.queueBps, 0, BPS),
    networkBps: clamp(attested.networkBps, 0, BPS),
    running,
    backlogTokens: clamp(Math.max(attested.queuedTokens + own.prefillTokens - attested.base.prefillTokens, own.prefillTokens), 0, BACKLOG_TOKENS_MAX),
    contextTokens: clamp(own.contextTokens + (running - own.inFlight) * unknownContextTokens, 0, CONTEXT_TOKENS_MAX),
  };
}

/** An engine that says how many tokens are free and which share is used has thereby told its capacity. */
function correctedMemoryBps(attested: Attested, own: Readonly<OwnLoad>): number {
  const memoryBps = clamp(attested.memoryBps, 0, BPS);
  const capacityTokens = capacityOf(attested);
  if (capacityTokens === null) return memoryBps;
  const since = clamp(own.contextTokens - attested.base.contextTokens, -CONTEXT_TOKENS_MAX, CONTEXT_TOKENS_MAX);
  return clamp(memoryBps + Math.floor((since * BPS) / capacityTokens), 0, BPS);
}

/** Tokens that fit into a node's memory; null where the engine does not tell. */
function capacityOf(attested: Attested): number | null {
  const memoryBps = clamp(attested.memoryBps, 0, BPS);
  if (attested.kvFreeTokens <= 0 || memoryBps >= BPS) return null;
  return Math.max(1, Math.floor((clamp(attested.kvFreeTokens, 0, CONTEXT_TOKENS_MAX) * BPS) / (BPS - memoryBps)));
}

/**
 * How much of a prompt that a node read earlier it is likely to hold still: engines keep what nobody uses until the memory is needed, and
 * drop first what was used longest ago, each prompt from its end.
 * @param since tokens that have come and gone there after it (`turnedOver`)
 */
export function keptTokens(attested: Attested, own: Readonly<OwnLoad>, tokens: number, since: number): number {
  const idleTokens = Math.floor(((capacityOf(attested) ?? MEMORY_TOKENS_MAX) * (BPS - correctedMemoryBps(attested, own))) / BPS);
  return clamp(idleTokens - since, 0, tokens);
}

/** Tokens that come and go on a node while this relayer leaves so many there: whoever else has requests there does as we do. While we do nothing there, nothing is counted. */
export const turnedOver = (attested: Attested, own: Readonly<OwnLoad>, tokens: number): number =>
  Math.ceil((tokens * correctLoad(attested, own, 0).running) / Math.max(1, own.inFlight));

export const greatestBps = (vector: SaturationVector): number => Math.max(vector.computeBps, vector.memoryBps, vector.queueBps, vector.networkBps);
