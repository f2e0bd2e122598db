// The relayer's own overload, in four steps: what is cheap to give up goes first, running streams last.
//
//   calm ─▶ lean: no keep-alive, smaller buffers ─▶ no_flex: deferrable work is refused ─▶ closed: new work is refused
//
// The first step is taken at once where any of the signs asks for it, the others where a second look confirms it, for one long pause of
// the whole machine is over when it is seen. Steps are left one at a time, only after the signs have stayed below a
// lower mark for a while: what was refused must not come back as a wave.
import type { Millis } from "../../protocol/units.ts";

export const STEPS = ["calm", "lean", "no_flex", "closed"] as const;
export type OverloadStep = (typeof STEPS)[number];

/** Signs of overload. */
export interface Vitals {
  /** How late timers come. */
  readonly loopLagMs: Millis;
  /** Of the memory that the process may use. */
  readonly memoryPart: number;
  /** How long bookings are overdue, at every model. */
  readonly queueAgeMs: Millis;
}

/** Marks at which the steps lean, no_flex and closed are taken. */
const MARKS: Readonly<Record<keyof Vitals, readonly [number, number, number]>> = {
  loopLagMs: [100, 250, 700], memoryPart: [0.75, 0.85, 0.93], queueAgeMs: [10_000, 30_000, 120_000],
};
/** A step is left below this part of its mark. */
const RELEASE_PART = 0.7;
const CALM_MS: Millis = 5_000;

export class OverloadLadder {
  #step = 0;
  #askedBefore = 0;
  #calmSinceMs: Millis | null = null;

  get step(): OverloadStep {
    return STEPS[this.#step]!;
  }

  /** 0 to 3. */
  get level(): number {
    return this.#step;
  }

  /** Signs that are no numbers count as none. @returns the step from now on */
  observe(vitals: Vitals, nowMs: Millis): OverloadStep {
    const found = stepFor(vitals, 1);
    const asked = Math.min(found, Math.max(1, this.#askedBefore));
    this.#askedBefore = found;
    if (asked >= this.#step) {
      this.#step = asked;
      this.#calmSinceMs = null;
    } else if (stepFor(vitals, RELEASE_PART) < this.#step) {
      this.#calmSinceMs ??= nowMs;
      if (nowMs - this.#calmSinceMs >= CALM_MS) {
        this.#step--;
        this.#calmSinceMs = nowMs;
      }
    } else {
      this.#calmSinceMs = null;
    }
    return this.step;
  }
}

const stepFor = (vitals: Vitals, part: number): number =>
  Math.max(...(Object.keys(MARKS) as (keyof Vitals)[]).map((sign) => MARKS[sign].filter((mark) => vitals[sign] >= part * mark).length));
