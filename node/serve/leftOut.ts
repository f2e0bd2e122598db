// Tells the runner, in time, of acked work that a relayer leaves out of its batches: from W to 8 W after the ack it can be claimed.
import { claimsOf } from "./claims.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Millis } from "../../protocol/units.ts";
import type { ClaimChain, Clock, Log, SignedReceiptRow } from "../ports.ts";

export interface LeftOutWorld {
  readonly nodeId: number;
  readonly chain: ClaimChain;
  /** What the evidence holds. */
  readonly rows: () => Promise<readonly SignedReceiptRow[]>;
  readonly log: Log;
}

/** Looks again and again until aborted; nothing that goes wrong ends it, and nothing is claimed: that costs gas, which the hot key has none of. */
export async function watchLeftOut(world: LeftOutWorld & { readonly clock: Clock }, everyMs: Millis, signal: AbortSignal): Promise<void> {
  for (;;) {
    await world.clock.sleep(everyMs, signal);
    if (signal.aborted) return;
    await tellLeftOut(world).catch((error: unknown) =>
      world.log.warn({ code: error instanceof TidelaneError ? error.code : "unknown", error: String(error) }, "whether relayers settled all acked work could not be told now"));
  }
}

/** One line for each relayer that left something out. @throws `store_damaged`, retryable `chain_unreachable` */
export async function tellLeftOut({ nodeId, chain, rows, log }: LeftOutWorld): Promise<void> {
  const byRelayer = Map.groupBy(await rows(), ({ relayerId }) => relayerId);
  for (const [relayerId, own] of byRelayer) {
    const facts = { ...await chain.facts(relayerId, nodeId), proven: new Set<never>() };
    const first = claimsOf(own, { ...facts, forces: new Map() }).claims.filter(({ state }) => state === "claimable");
    if (first.length === 0) continue;
    // Only what looks left out is asked about: it may have been claimed already.
    const forces = await chain.forces(first.map(({ receiptHash }) => receiptHash));
    const left = claimsOf(own, { ...facts, forces }).claims.filter(({ state }) => state === "claimable");
    if (left.length === 0) continue;
    const fees = left.reduce((sum, { fee }) => sum + fee, 0n);
    const until = new Date(1_000 * Math.min(...left.map((claim) => claim.until ?? Infinity))).toISOString();
    log.warn({ relayerId, receipts: left.length, fees: String(fees), until }, "acked work is in no batch of this relayer; claim it in time: tidelane node force");
  }
}
