// How full a node is: four figures in basis points from what its engines, queue and connection tell. Pure arithmetic, so
// that a stranger's odd figures can be tried by the thousand.
import { BPS, type Bps, type Tokens } from "../../protocol/units.ts";

export interface SaturationFacts {
  /** Attempts that this node takes at once; 0 while it takes none. */
  readonly slots: number;
  /** Attempts accepted and not ended. */
  readonly accepted: number;
  /** Requests that engines work on, other clients' included where an engine tells of them. */
  readonly running: number;
  /** What the stated curve (pacing included) allows at a full batch. */
  readonly tokensPerSecondMax: number;
  /** Requests that engines hold but do not work on. */
  readonly queued: number;
  /** Input tokens that wait for their prefill. */
  readonly queuedTokens: Tokens;
  /** Time that the stated curve gives one prefill token. */
  readonly prefillNsPerToken: number;
  /** KV cache in all, and what running work may come to use of it. */
  readonly kvTokens: Tokens;
  readonly kvReservedTokens: Tokens;
  /** Bytes written to the relayer's connection that the network has not taken. */
  readonly backlogBytes: number;
}

export interface Saturation {
  readonly computeBps: Bps;
  readonly memoryBps: Bps;
  readonly queueBps: Bps;
  readonly networkBps: Bps;
  readonly queuedTokens: Tokens;
  readonly kvFreeTokens: Tokens;
}

/** A stream slower than 100 ms for each token is slower than people read: more of them at once are no capacity. */
const STREAM_TOKENS_PER_SECOND = 10;
/** A queue that takes this long to work off counts as full. */
export const QUEUE_FULL_MS = 2_000;
/** A connection this far behind counts as full. */
export const BACKLOG_FULL_BYTES = 1_048_576;
const TOKENS_MAX = 2 ** 32 - 1;

/** @returns figures within [0, 10,000], whatever the facts are; a node without slots counts as full. */
export function saturationOf(facts: SaturationFacts): Saturation {
  const busy = Math.max(facts.accepted, facts.running);
  const places = facts.slots <= 0 ? BPS : shareBps(busy, facts.slots);
  const rate = shareBps(busy * STREAM_TOKENS_PER_SECOND, facts.tokensPerSecondMax);
  const queueMs = facts.queuedTokens * facts.prefillNsPerToken / 1e6;
  const waiting = facts.slots <= 0 ? 0 : shareBps(facts.queued, facts.slots);
  return {
    // One stream alone may well use the whole rate and leave room for more: only where the rate divided by the places would
    // leave each stream too little does the rate say how many there can be.
    computeBps: Math.max(places, rate),
    memoryBps: facts.kvTokens > 0 ? shareBps(facts.kvReservedTokens, facts.kvTokens) : 0,
    queueBps: Math.max(shareBps(queueMs, QUEUE_FULL_MS), waiting),
    networkBps: shareBps(facts.backlogBytes, BACKLOG_FULL_BYTES),
    queuedTokens: whole(facts.queuedTokens),
    kvFreeTokens: whole(facts.kvTokens - facts.kvReservedTokens),
  };
}

/** part / most as basis points, down, within [0, 10,000]; 0 where there is nothing to be a part of. */
function shareBps(part: number, most: number): Bps {
  if (!(part > 0) || !(most > 0)) return 0;
  return part >= most ? BPS : Math.floor(part / most * BPS);
}

const whole = (tokens: number): Tokens => (tokens > 0 ? Math.min(TOKENS_MAX, Math.floor(tokens)) : 0);
