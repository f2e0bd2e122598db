// Looks at the relayer's own signs of overload twice a second, and tells whoever can give something up on which step it is.
import { OverloadLadder, type OverloadStep } from "../lobby/overload.ts";
import type { Clock, Log, Metrics, VitalSigns } from "../ports/world.ts";
import type { Millis } from "../../protocol/units.ts";

export interface OverloadOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly vitals: VitalSigns;
  /** How long bookings are overdue everywhere. */
  readonly queueAgeMs: () => Millis;
  readonly onStep: (step: OverloadStep) => void;
}

const ROUND_MS: Millis = 500;

export class Overload {
  readonly #options: OverloadOptions;
  readonly #ladder = new OverloadLadder();

  constructor(options: OverloadOptions) {
    this.#options = options;
  }

  get step(): OverloadStep {
    return this.#ladder.step;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, vitals } = this.#options;
    while (!signal.aborted) {
      this.round();
      await clock.sleep(ROUND_MS, signal);
    }
    vitals.stop();
  }

  round(): void {
    const { clock, log, metrics, vitals, queueAgeMs, onStep } = this.#options;
    const before = this.#ladder.step;
    const signs = { ...vitals.read(), queueAgeMs: queueAgeMs() };
    const step = this.#ladder.observe(signs, clock.monotonicMs());
    metrics.gauge("overload_level", this.#ladder.level);
    metrics.gauge("event_loop_lag_ms", signs.loopLagMs);
    if (step === before) return;
    log.warn({ before, step, ...signs }, "the relayer's own load has changed");
    onStep(step);
  }
}
