// What a routing policy is to the simulator: it hears what its relayer would hear, and sends, holds or refuses.
import type { Job } from "./job.ts";
import type { Snapshot } from "./node.ts";
import type { NodeProfile } from "./profiles.ts";
import type { Presence } from "../../protocol/link.ts";
import type { Random } from "./random.ts";

/** What a policy may look at and do. Everything about nodes is as old as attestations are; its own dispatches and completions are not. */
export interface World {
  readonly profiles: readonly NodeProfile[];
  readonly random: Random;
  /** The name by which nodes tell of this relayer's requests. */
  readonly party: string;
  /** True where prompt and declared output fit the node's memory: no node is asked for what it cannot hold. */
  fits(node: number, job: Job): boolean;
  /** Hands the request to the node's engine. */
  send(job: Job, node: number): void;
  /**
   * Takes a request back from a node that has shown no sign of it, so that it can be sent elsewhere.
   * @returns false where the node is at work on it after all, however slowly
   */
  abandon(job: Job): boolean;
  /** Tells the client at once that it will not be served. */
  refuse(job: Job): void;
  /** Calls `woken` then; one time is pending, a later call moves it, Infinity takes it back. */
  wakeAt(timeMs: number): void;
  /** Prefix tokens on each node, as an indexer of KV events knows them; one entry per node. */
  cachedTokens(job: Job, out: Int32Array): void;
  /** The same for one node. */
  cachedTokensOn(job: Job, node: number): number;
}

/** One relayer's policy. A request that is neither sent nor refused when `arrived` returns is held: the policy must come back to it. */
export interface Policy {
  arrived(job: Job, nowMs: number): void;
  /** A node's figures reach the relayer. @param presences whose requests it has; empty where this relayer is the only one */
  attested?(node: number, snapshot: Snapshot, nowMs: number, presences?: readonly Presence[]): void;
  firstToken?(job: Job, nowMs: number): void;
  /** isDone false: the node gave up. */
  ended?(job: Job, isDone: boolean, nowMs: number): void;
  /** A node gave the request back without a signature, within `send`: it may be sent elsewhere. Where this is missing the request is lost. */
  bounced?(job: Job, nowMs: number): void;
  woken?(nowMs: number): void;
}

export interface PolicyKind {
  readonly name: string;
  /** Whether it refuses or holds back by itself. */
  readonly hasAdmission: boolean;
  make(world: World): Policy;
}
