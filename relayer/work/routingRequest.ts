// What a task asks of the fleet, and what it gets: a booked node, or the reason why there is none.
import type { TierValue } from "../../protocol/constants.ts";
import type { ModelInfo } from "../../protocol/link.ts";
import type { Prices, TideMultiplier } from "../../protocol/tide.ts";
import type { PromptMarks } from "./promptMarks.ts";
import type { Address, Hash, Millis, TokenAmount, Tokens } from "../../protocol/units.ts";

export interface ChooseRequest {
  readonly taskId: Hash;
  readonly sessionId: Hash;
  readonly nonce: bigint;
  /** protocol/constants Mode. */
  readonly mode: number;
  readonly subtask: number;
  readonly attempt: number;
  readonly modelId: Hash;
  readonly kind: "generate" | "embed";
  readonly inputTokens: Tokens;
  /** 0 for embeddings. */
  readonly maxOutTokens: Tokens;
  readonly tier: TierValue;
  readonly maxPriceIn: TokenAmount;
  readonly maxPriceOut: TokenAmount;
  /** OpenAI parameter names beyond the common ones that the request uses; the node must declare each. */
  readonly capabilities: readonly string[];
  /** Node ids that may not be chosen: those of earlier attempts. */
  readonly exclude: readonly number[];
  /** Why there is another attempt; null for attempt 0 only. */
  readonly cause: string | null;
  /** The same string for turns of one conversation: draws them to the node that holds their prefix. Never written down. */
  readonly conversationKey?: string;
  /** What of the last turn's prompt this one repeats, they tell; without them it is taken for all of it. */
  readonly promptMarks?: PromptMarks;
}

/**
 * completed: a good receipt came. cancelled: client or relayer stopped it. refused_full: a signed refusal (full, draining).
 * rejected: a signed refusal of this very request (its input, payment or assignment). refused: one for another reason.
 * failed: cut, stalled, garbage, bad or no receipt. unsent: nothing was sent.
 */
export type Outcome = "completed" | "cancelled" | "refused_full" | "refused" | "rejected" | "failed" | "unsent";

/** A place on a node, counted from the choice on; it must be released on every path. */
export interface Booking {
  /** Time from dispatch to the first output token. */
  firstToken(sinceDispatchMs: Millis): void;
  /** Output tokens so far, cumulative. */
  progress(outTokens: Tokens): void;
  /** Idempotent: only the first call counts. */
  release(outcome: Outcome): void;
  /** After a release as `rejected`: another node took the same request, so the refusal was the node's own choice. */
  contradicted(): void;
}

export interface Choice {
  readonly ok: true;
  /** By the wall clock: the assignment is issued as of then, so that its epoch is the one whose board holds what it names. */
  readonly atMs: Millis;
  readonly nodeId: number;
  readonly keyEpoch: number;
  readonly hotKey: Address;
  /** What goes into the assignment: the node's attested prices at the tide and the order's tier. */
  readonly prices: Prices;
  readonly model: ModelInfo;
  readonly attestationHash: Hash;
  readonly attestationSeq: bigint;
  /** Canonical JSON text of the decision record; decisionHash is its keccak256. */
  readonly decision: string;
  readonly decisionHash: Hash;
  readonly booking: Booking;
}

export type UnavailableReason = "unknown_model" | "no_node" | "saturated" | "unsupported" | "context" | "price";

export interface Unavailable {
  readonly ok: false;
  readonly reason: UnavailableReason;
  /** 0 where waiting does not help. */
  readonly retryAfterMs: Millis;
  /** One sentence for the client. */
  readonly detail: string;
}


/** One entry of /v1/models. */
export interface FleetModel {
  readonly name: string;
  readonly modelId: Hash;
  readonly aliases: readonly string[];
  readonly kind: "generate" | "embed";
  /** The greatest among its nodes. */
  readonly contextTokens: Tokens;
  readonly dimensions: number;
  /** Cheapest attested, before tide and tier; null while no node has a valid attestation. */
  readonly base: Prices | null;
  readonly tideMultiplier: TideMultiplier;
  /** Nodes with a valid attestation. */
  readonly nodes: number;
  readonly tokenizer: string;
  /** What at least one node honours. */
  readonly capabilities: readonly string[];
}

/** Plain JSON values for the status page. */
export interface FleetStatus {
  readonly nodes: readonly NodeStatus[];
  /** Nodes with a valid attestation. */
  readonly attested: number;
  readonly tableRoot: Hash | null;
}

export interface NodeStatus {
  readonly nodeId: number;
  readonly hardwareClass: number;
  readonly engine: string;
  readonly models: readonly string[];
  readonly state: "serving" | "full" | "stale" | "unattested";
  /** Granted: the least of attested and staked. */
  readonly slots: number;
  readonly prepSlots: number;
  readonly inFlight: number;
  /** As attested, corrected by what was dispatched since. */
  readonly computeBps: number;
  readonly memoryBps: number;
  readonly queueBps: number;
  readonly networkBps: number;
  readonly scoreBps: number;
  /** Null before the first. */
  readonly attestationAgeMs: Millis | null;
}
