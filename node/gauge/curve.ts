// The service curve that a node states: its engine's, slowed by the pace that its owner set.
import type { ServiceCurve } from "../../protocol/link.ts";

/** 10^12: the most that a member of a stated curve may be. */
const NS_MAX = 10 ** 12;

/**
 * A pace of R tokens per second lets a batch of B through every B/R seconds. The truth is then max(a + d*B, B/R); what is
 * stated is the chord of that convex function from an empty to a full batch, which never promises more.
 * @param tokensPerSecond of all attempts together; null where nothing is paced.
 */
export function pacedCurve(curve: ServiceCurve, slots: number, tokensPerSecond: number | null): ServiceCurve {
  if (tokensPerSecond === null || slots < 1) return curve;
  const nsPerToken = 1e9 / tokensPerSecond;
  if (nsPerToken >= curve.aNs + curve.dNs) return { ...curve, aNs: 0, dNs: Math.min(NS_MAX, Math.ceil(nsPerToken)) };
  return { ...curve, dNs: Math.min(NS_MAX, Math.max(curve.dNs, Math.ceil(nsPerToken - curve.aNs / slots))) };
}

/** Output tokens per second of a full batch with an empty context. */
export function tokensPerSecondAt(curve: ServiceCurve, batch: number): number {
  const iterationNs = curve.aNs + curve.dNs * batch;
  return iterationNs > 0 ? batch * 1e9 / iterationNs : Infinity;
}
