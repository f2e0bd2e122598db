// What comes to the lobby, and what the lobby asks of whoever holds the nodes.
import type { LobbyRequest, Refusal } from "./lobby.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/** A request as it comes. */
export interface Errand<Key> {
  readonly key: Key;
  readonly payer: string;
  /** Of the payer's, whose conversations share its part; empty for none. */
  readonly conversation: string;
  readonly arrivalMs: Millis;
  readonly inputTokens: Tokens;
  readonly maxOutTokens: Tokens;
  /** From arrival to the first token, and from token to token. */
  readonly ttftTargetMs: Millis;
  readonly tpotTargetMs: Millis;
  /** First token on the node that would be quickest if it were idle; Infinity where none could take it. */
  readonly bestTtftMs: Millis;
  /** Waits as long as it takes, once it was told how long: it is never refused for being late. */
  readonly isPatient: boolean;
  /** Told at once where its wait would be longer than this. */
  readonly waitMsMax: Millis;
  /** Deferrable until then; null where it is not. */
  readonly dueMs: Millis | null;
  /** What a token of it counts for its payer's share: less than 1 for who pays more. */
  readonly weight: number;
  /** Where somebody knows how long the answer will be; by default as those to prompts of like length are. */
  readonly foretoldOutTokens?: Tokens;
}

/** An errand in the lobby. */
export interface Admitted<Key> extends LobbyRequest {
  readonly errand: Errand<Key>;
  /** How well it suits each kind of node. */
  readonly fits: readonly number[];
  /** No node of which a part is granted to this relayer could ever take it. */
  readonly isShutOut: boolean;
}

export interface Holder {
  readonly node: number;
  readonly cachedTokens: Tokens;
}

/** What the guide asks of whoever holds the nodes. Gates are numbers of GATES. */
export interface Premises<Key> {
  /** What is known of the node beyond its load: gone, full, of another model, too dear. */
  gate(node: number, errand: Errand<Key>): number;
  /** The node that holds some of the prompt already; null for none. */
  holderOf(errand: Errand<Key>): Holder | null;
  /** The soft choice among the nodes that are open. @returns -1 where none is */
  choose(errand: Errand<Key>, expectedOutTokens: Tokens, nowMs: Millis, gate: (node: number) => number): number;
  /** Sends it; the floor has counted it. */
  start(errand: Errand<Key>, node: number, expectedOutTokens: Tokens): void;
  refuse(errand: Errand<Key>, reason: Refusal, retryAfterMs: Millis): void;
  /** First token of a prompt of so many tokens on the node that is quickest when idle. */
  bestTtftMs(inputTokens: Tokens): Millis;
}

/** When an errand is expected to start, and how many it was told stand before it. */
export interface Announced {
  readonly expectedStartMs: Millis;
  readonly position: number;
}
