// The tide a little ahead: level and trend of a load, and the burst of the last minute, so that lanes change before the wave breaks.
//
// Level and trend are Holt's (1957), with weights that follow the time between observations, so that irregular ones need no filling
// in. What a minute's mean lies above the level is a burst: it is believed at once, and forgotten as it passes.
import type { Millis } from "../../protocol/units.ts";

export interface ForecastParameters {
  /** Times over which level and trend are averaged. */
  readonly levelMs: Millis;
  readonly trendMs: Millis;
  readonly burstMs: Millis;
  /** Nothing is foretold further ahead. */
  readonly horizonMsMax: Millis;
}

export const FORECAST: ForecastParameters = Object.freeze({ levelMs: 120_000, trendMs: 180_000, burstMs: 60_000, horizonMsMax: 600_000 });

export class Forecast {
  readonly #parameters: ForecastParameters;
  #level = 0;
  /** Per millisecond. */
  #trend = 0;
  #minute = 0;
  #atMs: Millis | null = null;

  constructor(parameters: ForecastParameters = FORECAST) {
    this.#parameters = parameters;
  }

  /** Takes a load from 0 on, in whatever unit; what is no such number, or comes from the past, changes nothing. */
  observe(load: number, nowMs: Millis): void {
    if (!(load >= 0) || !Number.isFinite(load) || !Number.isFinite(nowMs)) return;
    if (this.#atMs === null) {
      this.#level = this.#minute = load;
      this.#atMs = nowMs;
      return;
    }
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs <= 0) return;
    const { levelMs, trendMs, burstMs, horizonMsMax } = this.#parameters;
    const expected = this.#level + this.#trend * Math.min(elapsedMs, horizonMsMax);
    const level = expected + partOf(elapsedMs, levelMs) * (load - expected);
    this.#trend += partOf(elapsedMs, trendMs) * ((level - this.#level) / elapsedMs - this.#trend);
    this.#level = Math.max(0, level);
    this.#minute += partOf(elapsedMs, burstMs) * (load - this.#minute);
    this.#atMs = nowMs;
  }

  /** @returns the load to be expected so far ahead, never below 0; 0 before anything was seen */
  expect(aheadMs: Millis): number {
    const horizonMs = Math.min(Math.max(0, aheadMs), this.#parameters.horizonMsMax);
    const tide = this.#level + this.#trend * horizonMs;
    const burst = (this.#minute - this.#level) * Math.exp(-horizonMs / this.#parameters.burstMs);
    return Math.max(0, tide + Math.max(0, burst));
  }

  /** Change of the level per minute. */
  get trendPerMinute(): number {
    return 60_000 * this.#trend;
  }
}

const partOf = (elapsedMs: Millis, overMs: Millis): number => 1 - Math.exp(-elapsedMs / overMs);
