// A loop's rounds, one after another until it is told to stop: what goes wrong in one is said and counted, and ends nothing.
import { TidelaneError } from "../../protocol/errors.ts";
import type { Millis } from "../../protocol/units.ts";
import type { Clock, Log, Metrics } from "../ports/world.ts";

export interface Rounds {
  /** Counts rounds that failed. */
  readonly metric: string;
  /** What a failed round means, for the log. */
  readonly failure: string;
  readonly pauseMs: Millis;
}

export async function runRounds({ clock, log, metrics }: { readonly clock: Clock; readonly log: Log; readonly metrics: Metrics }, { metric, failure, pauseMs }: Rounds, signal: AbortSignal, round: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    try {
      await round();
    } catch (error) {
      metrics.count(metric);
      log.warn({ code: error instanceof TidelaneError ? error.code : "unknown", error: String(error) }, failure);
    }
    await clock.sleep(pauseMs, signal);
  }
}

/** For a loop that answers within W: a fortieth of it, within bounds. */
export const pauseWithin = (windowSeconds: number, leastMs: Millis, mostMs: Millis): Millis => Math.min(mostMs, Math.max(leastMs, windowSeconds * 25));
