// What tests of the settlement loop share: a clock whose durations pass quickly, a chain that can be bent, waiting by polling.
import { keccak256 } from "viem/utils";
import { recoverWithViem } from "../../../protocol/signing.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import type { Clock, Metrics } from "../../../relayer/ports/world.ts";
import type { Chain } from "../../../relayer/ports/chain.ts";

export const crypto = { keccak256, recover: recoverWithViem };
export const metrics: Metrics = { count: () => {}, gauge: () => {}, observe: () => {}, text: async () => "" };
export const never = new AbortController().signal;

/** The wall clock, with durations that pass a hundred times as fast: nobody waits for a fee bump. */
export const clock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now() * 100,
  sleep: (ms) => new Promise((wake) => setTimeout(wake, ms / 25)),
};

/** The chain with some of its answers replaced. */
export function bent(chain: Chain, bends: Partial<Chain>): Chain {
  return new Proxy(chain, {
    get: (target, name) => {
      const own = (bends as Record<PropertyKey, unknown>)[name] ?? (target as unknown as Record<PropertyKey, unknown>)[name];
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

/** The code of the error that it fails with, or `none`. */
export const codeOf = (promise: Promise<unknown>): Promise<string> => promise.then(() => "none", (error: unknown) => (error instanceof TidelaneError ? error.code : String(error)));

/** Polls. @throws after 20 s */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`did not hold in time: ${holds}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}
