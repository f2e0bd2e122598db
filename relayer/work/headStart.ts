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

/** Rows of one process on their way to disk, with what was in vain lately: more, and further orders wait for theirs. */
const AHEAD_MAX = 128;
/** As long as a node keeps a receipt among those that wait for an ack; with too many of these it refuses this relayer. */
const IN_VAIN_MS: Millis = 3_600_000;

/** Of all sessions of a process: a slow database, or a payer who sees to it that rows are refused, costs its nodes so much and no more. */
export class HeadStarts {
  #rowsWaiting = 0;
  readonly #inVainAtMs: Millis[] = [];

  hasRoom(nowMs: Millis): boolean {
    while (this.#inVainAtMs.length > 0 && nowMs - this.#inVainAtMs[0]! >= IN_VAIN_MS) this.#inVainAtMs.shift();
    return this.#rowsWaiting + this.#inVainAtMs.length < AHEAD_MAX;
  }

  /** A row is being written. */
  writing(): void {
    this.#rowsWaiting += 1;
  }

  /** It is written, or refused. */
  ended(): void {
    this.#rowsWaiting -= 1;
  }

  /** The row of an order was refused that had been sent: it keeps its place for a while. */
  inVain(nowMs: Millis): void {
    this.#inVainAtMs.push(nowMs);
  }
}
