// The chain as the agent's checks see it: read a few seconds ago at most, and while no node of the chain answers, read lately
// enough that a lock seen then cannot have been released since.
import { Cached } from "./cached.ts";
import type { ChainKey, ChainSelf, ChainSession, Clock, NodeChain } from "../ports.ts";
import type { TideMultiplier } from "../../protocol/tide.ts";
import type { Hash } from "../../protocol/units.ts";

const SESSION_FRESH_MS = 3_000;
/** A session that is not there may be opened any moment. */
const ABSENT_FRESH_MS = 250;
const KEY_FRESH_MS = 60_000;
const SELF_FRESH_MS = 10_000;
/** An epoch is longer than this many times over. */
const TIDE_FRESH_MS = 2_000;
/** Of the time that an answer counts while the chain is silent, what it may be old before that: the rest is left for every outage. */
const FRESH_PART = 0.25;
const SESSIONS_MAX = 20_000;
const KEYS_MAX = 1_000;
const TIDES_MAX = 1_000;

export class ChainView {
  readonly #sessions: Cached<Hash, ChainSession | null>;
  readonly #keys: Cached<string, ChainKey | null>;
  readonly #self: Cached<number, ChainSelf | null>;
  readonly #tides: Cached<string, TideMultiplier>;

  constructor(chain: NodeChain, clock: Clock) {
    // A lock is released 3 W after closing at the earliest: one W leaves time to finish and to settle.
    const staleMs = chain.windowSeconds * 1_000;
    const absentOr = (freshMs: number) => (value: unknown): number => (value === null ? ABSENT_FRESH_MS : Math.min(freshMs, FRESH_PART * staleMs));
    this.#sessions = new Cached<Hash, ChainSession | null>((id) => chain.session(id), { freshMs: absentOr(SESSION_FRESH_MS), staleMs, keysMax: SESSIONS_MAX }, clock);
    this.#keys = new Cached<string, ChainKey | null>((key) => chain.relayerKey(...pairOf(key)), { freshMs: absentOr(KEY_FRESH_MS), staleMs, keysMax: KEYS_MAX }, clock);
    this.#self = new Cached<number, ChainSelf | null>((nodeId) => chain.self(nodeId), { freshMs: absentOr(SELF_FRESH_MS), staleMs, keysMax: 1 }, clock);
    this.#tides = new Cached<string, TideMultiplier>((key) => chain.tideMultiplier(...modelOf(key)), { freshMs: absentOr(TIDE_FRESH_MS), staleMs, keysMax: TIDES_MAX }, clock);
  }

  /** @throws retryable TidelaneError `chain_unreachable`, as all of these. */
  session = (sessionId: Hash): Promise<ChainSession | null> => this.#sessions.get(sessionId);
  relayerKey = (relayerId: number, relayerEpoch: number): Promise<ChainKey | null> => this.#keys.get(`${relayerId}:${relayerEpoch}`);
  self = (nodeId: number): Promise<ChainSelf | null> => this.#self.get(nodeId);
  tideMultiplier = (relayerId: number, modelId: Hash): Promise<TideMultiplier> => this.#tides.get(`${relayerId}:${modelId}`);
}

function modelOf(key: string): [number, Hash] {
  const [relayerId, modelId] = key.split(":");
  return [Number(relayerId), modelId as Hash];
}

function pairOf(key: string): [number, number] {
  const [relayerId, relayerEpoch] = key.split(":").map(Number);
  return [relayerId!, relayerEpoch!];
}
