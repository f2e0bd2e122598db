// Keeps claimed in the journal what this process works on: no other begins it a second time, and those who ask for it elsewhere are told
// that it is still being made.
//
//   hold ─▶ renewed every 5 s ─▶ let go
//               └─ its process ended ─▶ 30 s later it counts as lost
import type { Hash, Millis } from "../../protocol/units.ts";
import type { Clock, Log } from "../ports/world.ts";
import type { Journal } from "../ports/journal.ts";

const RENEW_MS: Millis = 5_000;
/** Longer than a renewal or two that a slow database has cost. */
const LOST_MS: Millis = 30_000;

export interface ClaimsWorld {
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: Pick<Journal, "renewClaims">;
}

export class Claims {
  readonly #world: ClaimsWorld;
  readonly #held = new Set<{ readonly scope: Hash; readonly key: string }>();

  constructor(world: ClaimsWorld) {
    this.#world = world;
  }

  /** @returns lets go of it. Idempotent. */
  hold(scope: Hash, key: string): () => void {
    const held = { scope, key };
    this.#held.add(held);
    return () => void this.#held.delete(held);
  }

  /** Whether whoever claimed it, here or elsewhere, works on it no more. */
  isLost(claimedAtMs: Millis): boolean {
    return this.#world.clock.nowMs() - claimedAtMs > LOST_MS;
  }

  /** Runs until aborted; a renewal that fails is made again with the next. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#world;
    while (!signal.aborted) {
      await this.renew().catch((error: Error) => log.debug({ error: error.message }, "claims were not renewed"));
      await clock.sleep(RENEW_MS, signal);
    }
  }

  /** @throws `journal_unavailable` */
  async renew(): Promise<void> {
    const { clock, journal } = this.#world;
    if (this.#held.size > 0) await journal.renewClaims([...this.#held], clock.nowMs());
  }
}
