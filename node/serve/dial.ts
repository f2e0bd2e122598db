// Keeps one connection to each relayer process: dials, serves until it ends, waits a little longer each time it fails.
import { TidelaneError } from "../../protocol/errors.ts";
import type { Clock, Dice, LinkHandler, Log, RelayerLinks } from "../ports.ts";
import type { Millis } from "../../protocol/units.ts";

export interface DialWorld {
  readonly links: RelayerLinks;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
}

const BACKOFF_LEAST_MS: Millis = 200;
const BACKOFF_SOON_MS: Millis = 1_000;
const SOON_FAILURES = 40;
const BACKOFF_MOST_MS: Millis = 15_000;
/** A connection that held this long was a good one. */
const STEADY_MS: Millis = 10_000;

/** Until the signal is aborted. */
export async function keepLinked(url: string, nodeId: number, handler: LinkHandler, world: DialWorld, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    let isAway = false;
    const startedMs = world.clock.monotonicMs();
    try {
      await world.links.serve(url, nodeId, handler, signal);
      if (!signal.aborted) world.log.warn({ url }, "the link to the relayer ended; dialling again");
    } catch (error) {
      const code = error instanceof TidelaneError ? error.code : "internal_error";
      isAway = code === "link_failed";
      // Said once, then only now and then: a relayer that is away for an hour must not fill the log.
      if (Number.isInteger(Math.log2(failures + 1))) world.log.warn({ url, code, error: String(error), failures }, "the relayer cannot be reached; dialling again");
    }
    failures = world.clock.monotonicMs() - startedMs >= STEADY_MS ? 0 : failures + 1;
    await world.clock.sleep(backoffMs(failures, world.dice.unit(), isAway), signal);
  }
}

/**
 * Doubles with each failure up to 15 s. A relayer that is away is tried each second for a while: one that restarts is soon
 * back; one that answers and refuses is not to be pressed. Half of the wait is chance, so that a fleet does not come back in
 * one moment.
 */
export function backoffMs(failures: number, unit: number, isAway: boolean): Millis {
  const mostMs = isAway && failures <= SOON_FAILURES ? BACKOFF_SOON_MS : BACKOFF_MOST_MS;
  return Math.min(mostMs, BACKOFF_LEAST_MS * 2 ** Math.min(failures, 16)) * (0.5 + unit / 2);
}
