// Learns a node's service curve from what was seen: recursive least squares with forgetting, outliers clipped.
//
// Inside it computes in floating point; what leaves it is a clamped curve of whole numbers, which is published in the node table,
// so no decision depends on a float.
import { clampCurve } from "./curve.ts";
import { TOKENS_MAX, clamp } from "./parameters.ts";
import type { ServiceCurve } from "../../protocol/link.ts";

/** Coefficients in the order a, b, c, d, e, each scaled by the unit of its feature so that all are nanoseconds of like size. */
type Vector = number[];
const SIZE = 5;
/** Numbers that a fit is made of: its weights, and its covariance from the diagonal on. */
export const FIT_NUMBERS = SIZE + (SIZE * (SIZE + 1)) / 2;
const UNITS = { prefill: 512, context: 4_096, batch: 8, attention: 512 * 512 } as const;
/** What a coefficient may be at first sight though the node states nothing of it. */
const LEAST_NS: Vector = [1e6, 5e6, 5e5, 1e5, 1e6];
/** About this many observations are remembered. */
const FORGETTING = 1 - 1 / 100;
/** An observation further off than this part of the prediction counts as if it were that far off. */
const CLIP = 0.5;
/** Trust in one observation: its standard deviation as a part of the prediction. */
const NOISE = 0.2;

export class CurveFit {
  readonly #stated: ServiceCurve;
  #weights: Vector = [];
  #covariance: Vector[] = [];
  #ceiling: Vector = [];
  #curve: ServiceCurve;

  /** @param stated the curve that the node states for itself: where learning starts */
  constructor(stated: ServiceCurve) {
    this.#stated = clampCurve(stated);
    this.#curve = this.#stated;
    this.#reset();
  }

  /** Whole numbers, clamped. */
  get curve(): ServiceCurve {
    return this.#curve;
  }

  /** Everything that was learnt, for a fit of the same stated curve to go on from. */
  get numbers(): readonly number[] {
    return [...this.#weights, ...this.#covariance.flatMap((row, i) => row.slice(i))];
  }

  /** @param numbers of another fit; such as cannot be are left out @param part of it that still counts, 0 to 1: the rest is as stated */
  recall(numbers: readonly number[], part: number): void {
    if (numbers.length !== FIT_NUMBERS || !numbers.every(Number.isFinite)) return;
    const kept = [...numbers];
    const blend = (learnt: number, stated: number): number => (part === 1 ? learnt : part * learnt + (1 - part) * stated);
    this.#weights = this.#weights.map((stated) => Math.max(0, blend(kept.shift()!, stated)));
    for (let i = 0; i < SIZE; i++) {
      for (let j = i; j < SIZE; j++) this.#covariance[i]![j] = this.#covariance[j]![i] = blend(kept.shift()!, this.#covariance[i]![j]!);
    }
    if (this.#covariance.some((row, i) => !(row[i]! > 0))) this.#reset();
    this.#bound();
    this.#curve = this.#toCurve();
  }

  /** @param backlogTokens prompt tokens that were ahead @param elapsedMs from dispatch to the first token */
  observePrefill(inputTokens: number, backlogTokens: number, elapsedMs: number): void {
    const tokens = clamp(inputTokens, 0, TOKENS_MAX);
    this.#learn([1, (tokens + clamp(backlogTokens, 0, TOKENS_MAX)) / UNITS.prefill, 0, 0, (tokens * tokens) / UNITS.attention], elapsedMs * 1e6);
  }

  /** @param batch sequences decoding together, this one included @param perTokenMs mean time between output tokens */
  observeDecode(contextTokens: number, batch: number, perTokenMs: number): void {
    this.#learn([1, 0, clamp(contextTokens, 0, 2 ** 31) / UNITS.context, clamp(batch, 1, 2 ** 16) / UNITS.batch, 0], perTokenMs * 1e6);
  }

  #learn(x: Vector, observedNs: number): void {
    if (!Number.isFinite(observedNs) || observedNs <= 0) return;
    const px = this.#covariance.map((row) => dot(row, x));
    const predicted = dot(this.#weights, x);
    // A node that states nothing predicts nothing; a part of nothing would never let it learn.
    const scale = Math.max(predicted, dot(LEAST_NS, x));
    const noise = (NOISE * scale) ** 2;
    const spread = FORGETTING * noise + dot(x, px);
    const error = clamp(observedNs - predicted, -CLIP * scale, CLIP * scale);
    this.#weights = this.#weights.map((weight, i) => Math.max(0, weight + (px[i]! * error) / spread));
    this.#covariance = this.#covariance.map((row, i) => row.map((value, j) => (value - (px[i]! * px[j]!) / spread) / FORGETTING));
    this.#bound();
    if (![...this.#weights, ...this.#covariance.flat()].every(Number.isFinite)) this.#reset();
    this.#curve = this.#toCurve();
  }

  /** Forgetting inflates what is never excited; beyond its beginning no variance means anything. */
  #bound(): void {
    for (let i = 0; i < SIZE; i++) {
      const excess = this.#covariance[i]![i]! / this.#ceiling[i]!;
      if (excess <= 1) continue;
      const scale = 1 / Math.sqrt(excess);
      for (let j = 0; j < SIZE; j++) {
        this.#covariance[i]![j]! *= scale;
        this.#covariance[j]![i]! *= scale;
      }
    }
  }

  #reset(): void {
    const { aNs, bNs, cNs, dNs, ePs } = this.#stated;
    this.#weights = [aNs, bNs * UNITS.prefill, cNs * UNITS.context, dNs * UNITS.batch, (ePs / 1_000) * UNITS.attention];
    this.#ceiling = this.#weights.map((weight, i) => (0.5 * Math.max(weight, LEAST_NS[i]!)) ** 2);
    this.#covariance = this.#ceiling.map((variance, i) => Array.from({ length: SIZE }, (_, j) => (i === j ? variance : 0)));
  }

  #toCurve(): ServiceCurve {
    const [a, b, c, d, e] = this.#weights as [number, number, number, number, number];
    return clampCurve({
      aNs: Math.round(a), bNs: Math.round(b / UNITS.prefill), cNs: Math.round(c / UNITS.context), dNs: Math.round(d / UNITS.batch),
      ePs: Math.round((e * 1_000) / UNITS.attention),
    });
  }
}

const dot = (left: Vector, right: Vector): number => left.reduce((sum, value, i) => sum + value * right[i]!, 0);
