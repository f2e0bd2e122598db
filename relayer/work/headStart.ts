// Whether a session's orders may be sent to a node while their rows are still on the way to disk: a head start.
//
//   reserved ─┬─▶ row written ─────────────┬─▶ output leaves, the receipt counts
//             └─▶ node chosen, asked, works ┘      row refused: the node is told to stop, and nothing of it counts
//
// What can refuse a row is another process of the relayer that serves the same session, or the database itself. Both last, so a
// session whose row was refused waits for its rows for a while; and one that this process has not served yet waits for its first.
// Why an order's row may come late at all: docs/decisions/a-head-start-for-allowance.md.
import type { Millis } from "../../protocol/units.ts";

/** What a refused row costs nodes in vain, once in so long for each session. */
const PAUSE_MS: Millis = 60_000;

export class HeadStart {
  #isProven = false;
  #pausedUntilMs: Millis = -Infinity;

  isGiven(nowMs: Millis): boolean {
    return this.#isProven && nowMs >= this.#pausedUntilMs;
  }

  /** A row of the session was written: the nonces and charges that this process knows are the journal's. */
  written(nowMs: Millis): void {
    if (nowMs >= this.#pausedUntilMs) this.#isProven = true;
  }

  refused(nowMs: Millis): void {
    this.#isProven = false;
    this.#pausedUntilMs = nowMs + PAUSE_MS;
  }
}
