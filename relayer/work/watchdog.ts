// Barks when what is expected does not come in time. Cheap to start over, for it is started over with every token.
import type { Millis } from "../../protocol/units.ts";
import type { Clock } from "../ports/world.ts";

/** A time that is set shorter while the dog sleeps is noticed within this. */
const SLEEP_MS_MAX = 500;

export class Watchdog {
  readonly #clock: Clock;
  readonly #bark: (reason: string) => void;
  readonly #stopped = new AbortController();
  #dueMs: Millis = Infinity;
  #reason = "";
  #isAwake = false;

  constructor(clock: Clock, bark: (reason: string) => void) {
    this.#clock = clock;
    this.#bark = bark;
  }

  get isWaiting(): boolean {
    return this.#dueMs !== Infinity;
  }

  /** From now on, `reason` is barked after the time unless `rest`, `stop` or another `expect` comes first. */
  expect(withinMs: Millis, reason: string): void {
    this.#dueMs = this.#clock.monotonicMs() + withinMs;
    this.#reason = reason;
    if (!this.#isAwake) void this.#watch();
  }

  rest(): void {
    this.#dueMs = Infinity;
  }

  /** For good. */
  stop(): void {
    this.rest();
    this.#stopped.abort();
  }

  async #watch(): Promise<void> {
    this.#isAwake = true;
    while (!this.#stopped.signal.aborted) {
      const leftMs = this.#dueMs - this.#clock.monotonicMs();
      if (leftMs <= 0) {
        this.rest();
        this.#bark(this.#reason);
      } else {
        await this.#clock.sleep(Math.min(leftMs, SLEEP_MS_MAX), this.#stopped.signal);
      }
    }
  }
}
