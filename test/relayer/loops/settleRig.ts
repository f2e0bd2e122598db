// What tests of the settlement loop share: a clock whose durations pass quickly, a chain that can be bent, waiting by polling.
import { keccak256 } from "viem/utils";
import { recoverWithViem } from "../../../protocol/signing.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import type { Clock, Metrics } from "../../../relayer/ports/world.ts";
import type { Seconds } from "../../../protocol/units.ts";
import type { Chain } from "../../../relayer/ports/chain.ts";
import type { LocalChain } from "../localChain.ts";

export const crypto = { keccak256, recover: recoverWithViem };
export const metrics: Metrics = { count: () => {}, gauge: () => {}, observe: () => {}, text: async () => "" };
export const never = new AbortController().signal;

/** The wall clock, with durations that pass a hundred times as fast: nobody waits for a fee bump. */
export const clock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now() * 100,
  sleep: (ms) => new Promise((wake) => setTimeout(wake, ms / 25)),
};

/**
 * A chain that was set back begins its clock there: it is set forward again.
 * @param least a second that it must have reached; default: a second ahead of ours, for its seconds begin at another moment than
 *   ours, and what is acked in a second that it has not reached belongs to a later batch.
 */
export async function catchUp(local: LocalChain, chain: Pick<Chain, "nextTimestamp">, least?: Seconds): Promise<void> {
  const found = await chain.nextTimestamp();
  const behind = (least ?? Math.floor(Date.now() / 1_000) + 1) - found;
  if (behind > 0) await local.rpc("evm_increaseTime", [behind]);
}

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
