// Lets go of old records: node tables, boards, batches and answers that everybody had 90 days and more to ask for; and of the answers that
// clients had a day to ask for again.
//
// One of the store's folders in each round, so that a store of millions of files is never walked at once: all of them in about a day.
import { TidelaneError } from "../../protocol/errors.ts";
import type { Millis } from "../../protocol/units.ts";
import type { Chain } from "../ports/chain.ts";
import type { Journal, PrunedRecords } from "../ports/journal.ts";
import type { Clock, Log, Metrics } from "../ports/world.ts";

export interface RetentionOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly chain: Pick<Chain, "head">;
  readonly records: PrunedRecords;
  readonly journal: Pick<Journal, "forgetResponses">;
  readonly keptMs: Millis;
}

const ROUND_MS: Millis = 5 * 60_000;

export class Retention {
  readonly #world: RetentionOptions;
  #folder = 0;

  constructor(world: RetentionOptions) {
    this.#world = world;
  }

  /** Runs until aborted; nothing that goes wrong in a round ends it. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.round();
      await this.#world.clock.sleep(ROUND_MS, signal);
    }
  }

  async round(): Promise<void> {
    const { clock, log, metrics, journal } = this.#world;
    try {
      metrics.count("responses_forgotten_total", {}, await journal.forgetResponses(clock.nowMs()));
      await this.#prune();
    } catch (error) {
      log.warn({ code: error instanceof TidelaneError ? error.code : "unknown", error: String(error) }, "old records are looked at again in the next round");
    }
  }

  async #prune(): Promise<void> {
    const { chain, clock, log, metrics, records, keptMs } = this.#world;
    // The earlier of two clocks: a machine whose own has jumped ahead must not let go of what it still owes.
    const { timestampSeconds } = await chain.head();
    const removed = await records.prune(this.#folder, Math.min(clock.nowMs(), timestampSeconds * 1_000) - keptMs);
    metrics.count("records_pruned_total", {}, removed);
    if (removed > 0) log.info({ folder: this.#folder, removed }, "records older than they must be kept are gone");
    this.#folder = (this.#folder + 1) % records.folders;
  }
}
