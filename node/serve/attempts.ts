// All attempts that run or ended within a minute, by assignment hash, inside a bound of memory.
import { PRESENCES_MAX, type Presence } from "../../protocol/link.ts";
import { Attempt } from "./attempt.ts";
import type { Hash, Millis, Seconds } from "../../protocol/units.ts";

/** A finished attempt's output stays readable for this long. */
export const KEPT_MS: Millis = 60_000;
/** Work that nobody listens to goes on for this long: another process of the relayer may come for it. */
export const DETACHED_MS: Millis = 15_000;
/** Output of ended attempts beyond this is dropped, oldest first. */
const KEPT_BYTES_MAX = 67_108_864;
/** One attempt's output beyond this is stopped. */
export const ATTEMPT_BYTES_MAX = 33_554_432;

export class Attempts {
  readonly #all = new Map<Hash, Attempt>();
  /** Deadlines of assignments that were worked on: a repeated one is never worked again. */
  readonly #worked: Map<Hash, Seconds>;

  constructor(worked: ReadonlyMap<Hash, Seconds>) {
    this.#worked = new Map(worked);
  }

  get(hash: Hash): Attempt | undefined {
    return this.#all.get(hash);
  }

  open(hash: Hash, relayerId: number, nowMs: Millis): Attempt {
    const attempt = new Attempt(hash, relayerId, nowMs);
    this.#all.set(hash, attempt);
    return attempt;
  }

  /** From now on the assignment counts as worked. */
  worked(hash: Hash, deadline: Seconds): void {
    this.#worked.set(hash, deadline);
  }

  wasWorked(hash: Hash): boolean {
    return this.#worked.has(hash);
  }

  /** Nothing was worked: the same assignment may come again. Whoever reads the attempt keeps it. */
  drop(hash: Hash): void {
    this.#all.delete(hash);
  }

  running(): Attempt[] {
    return [...this.#all.values()].filter((attempt) => attempt.endedAtMs === null);
  }

  /**
   * Whose they are, of the first so many parties. What nobody listens to keeps a place but is nobody's: its process may have ended, and
   * the one that came after it must not make room for it.
   */
  presences(): Presence[] {
    const counts = new Map<string, number>();
    for (const { party } of this.running()) {
      if (party !== null && (counts.has(party) || counts.size < PRESENCES_MAX)) counts.set(party, (counts.get(party) ?? 0) + 1);
    }
    return [...counts].map(([party, running]) => ({ party, running }));
  }

  /** Stops what nobody listens to any more, and forgets what ended long ago or takes too much room. */
  sweep(nowMs: Millis): void {
    for (const attempt of this.running()) {
      if (attempt.detachedForMs(nowMs) > DETACHED_MS) attempt.stop("detached");
    }
    const ended = [...this.#all.values()].filter((attempt) => attempt.endedAtMs !== null).sort((a, b) => a.endedAtMs! - b.endedAtMs!);
    let bytes = ended.reduce((sum, attempt) => sum + attempt.bytes, 0);
    for (const attempt of ended) {
      if (nowMs - attempt.endedAtMs! <= KEPT_MS && bytes <= KEPT_BYTES_MAX) break;
      bytes -= attempt.bytes;
      this.#all.delete(attempt.hash);
    }
    const nowSeconds = Math.floor(nowMs / 1_000);
    for (const [hash, deadline] of this.#worked) if (deadline < nowSeconds && !this.#all.has(hash)) this.#worked.delete(hash);
  }
}
