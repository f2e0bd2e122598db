// Takes one stored batch to its end: on the chain, or given up when it can never be.
//
//   built ── sent ──▶ in a block ─▶ confirmed
//     │       │  ▲
//     │       └──┘ same bytes again; another nonce where ours is taken; more gas where it is stuck
//     ├─────────────▶ postBy is final and it is not posted ─▶ abandoned: its tasks go into a later batch
//     └─────────────▶ its id holds another batch ─▶ stop: somebody settles from another journal, and a person must look
//
// The header is never signed anew for the same batch id while the old one could still be posted: the only thing that
// changes between tries is the envelope around the same call. What the chain holds decides, never what we remember.
import { parseTransaction } from "viem";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Hash, Millis } from "../../protocol/units.ts";
import type { Clock, Identity, Log } from "../ports/world.ts";
import type { Chain, ChainTransaction } from "../ports/chain.ts";
import type { Journal, StoredBatch } from "../ports/journal.ts";

export interface PostWorld {
  readonly chain: Chain;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly identity: Identity;
  readonly log: Log;
}

export type Outcome = "confirmed" | "abandoned" | "waiting";

const POLL_MS: Millis = 250;
/** A transaction that stands in no block after so long is sent again for more. */
const STUCK_MS: Millis = 20_000;
/** How long others who post wait for a chain whose clock is behind ours. */
const ACCEPT_MS: Millis = 5_000;
/** Each costs gas even where it reverts. */
const ENVELOPES_MAX = 16;
const RECEIPT_TRIES = 8;

/**
 * One step for a batch that an earlier round, or an earlier process, left unfinished.
 * @throws `chain_unreachable`, `journal_unavailable`, `batch_refused`, `batch_reverted`, `batch_stuck`: nothing is lost, the next
 *   round goes on. `journal_forked`: nothing of this batch may go into another one, and only a person can go on.
 */
export async function recover(world: PostWorld, batch: StoredBatch, signal: AbortSignal): Promise<Outcome> {
  const settled = await settledBy(world, batch);
  if (settled) return settled;
  const { chain } = world;
  const { postBy } = batch.header;
  if ((await chain.head()).timestampSeconds > postBy) return await abandonWhenFinal(world, batch);
  // While this waited for its turn, what an earlier process sent may have been mined.
  return await chain.exclusive(async (nonce) => await settledBy(world, batch) ?? await post(world, await renewed(world, batch, nonce), signal));
}

/**
 * Sends a stored batch and stays with it until it is in a block, its time is over, or the signal aborts. Inside Chain.exclusive.
 * @returns waiting where a later round must go on.
 */
export async function post(world: PostWorld, batch: StoredBatch, signal: AbortSignal): Promise<Outcome> {
  const { chain, journal, clock } = world;
  const { batchId, postBy } = batch.header;
  if (batch.replaced.length >= ENVELOPES_MAX) throw stuck(batchId);
  if (!await isAcceptable(world, batch, signal)) return "waiting";
  const envelopes = new Set([...batch.replaced, batch.transaction.hash]);
  let transaction = await send(world, batchId, batch.transaction);
  await journal.updateBatch(batchId, "sent");
  let sentMs = clock.monotonicMs();
  while (!signal.aborted) {
    envelopes.add(transaction.hash);
    const settled = await settledBy(world, { ...batch, transaction, replaced: [...envelopes] });
    if (settled) return settled;
    const receipt = await chain.receipt(transaction.hash);
    if (receipt?.status === "reverted") throw minedInVain(batchId, transaction.hash);
    // The next block's time: a chain without traffic stands at its last one, and no block of a later time can take it.
    if (await chain.nextTimestamp() > postBy) return "waiting";
    await clock.sleep(POLL_MS, signal);
    // Mined, and the state that was asked does not know it yet: another envelope could only be mined in vain.
    if (receipt || clock.monotonicMs() - sentMs < STUCK_MS) continue;
    if (envelopes.size >= ENVELOPES_MAX) throw stuck(batchId);
    transaction = await send(world, batchId, await outbid(world, batchId, transaction, transaction.nonce));
    sentMs = clock.monotonicMs();
  }
  return "waiting";
}

/** Where something that was given up on waits under this nonce, it is outbid. @returns what was sent. */
async function send(world: PostWorld, batchId: bigint, first: ChainTransaction): Promise<ChainTransaction> {
  let transaction = first;
  for (let bids = 1; ; bids++) {
    try {
      await world.chain.broadcast(transaction.raw);
      return transaction;
    } catch (error) {
      if (!(error instanceof TidelaneError && error.code === "replacement_underpriced") || bids >= ENVELOPES_MAX) throw error;
      transaction = await outbid(world, batchId, transaction, transaction.nonce);
    }
  }
}

/**
 * What the chain says of the batch: posted (by whichever envelope), or null where its id is free.
 * @throws `journal_forked` where another batch has its id. Its tasks stay claimed: that other batch may hold them too, and a task
 *   in two batches costs the payer twice and this relayer its whole bond.
 */
async function settledBy(world: PostWorld, batch: StoredBatch): Promise<Outcome | null> {
  const { chain, journal, identity, log } = world;
  const { batchId } = batch.header;
  if ((await chain.lastBatch(identity.relayerId)).batchId < batchId) return null;
  const posted = await chain.batchHash(identity.relayerId, batchId);
  if (posted === batch.headerHash) {
    const mined = await minedAs(world, [batch.transaction.hash, ...batch.replaced]);
    await journal.updateBatch(batchId, "confirmed", mined ?? undefined);
    log.info({ batchId: String(batchId), block: String(mined?.blockNumber ?? "unknown"), gasUsed: String(mined?.gasUsed ?? "unknown") }, "a batch is settled");
    return "confirmed";
  }
  throw journalForked(batchId, batch.headerHash, posted);
}

/** One of several RPC servers may know the state a moment before another knows the receipt. */
async function minedAs({ chain, clock }: PostWorld, hashes: readonly Hash[]): Promise<{ blockNumber: bigint; gasUsed: bigint } | null> {
  for (let tries = 0; tries < RECEIPT_TRIES; tries++) {
    if (tries > 0) await clock.sleep(POLL_MS);
    for (const hash of hashes) {
      const receipt = await chain.receipt(hash);
      if (receipt?.status === "success") return { blockNumber: receipt.blockNumber, gasUsed: receipt.gasUsed };
    }
  }
  return null;
}

/**
 * Past postBy the contract refuses it; once that time is final no reorganisation can bring it back. Time and batch are read of
 * one final block: of two RPC servers one may lag, and what it has not seen yet may well be posted.
 */
async function abandonWhenFinal({ chain, journal, identity, log }: PostWorld, batch: StoredBatch): Promise<Outcome> {
  const { batchId, postBy } = batch.header;
  const final = await chain.finalBatch(identity.relayerId);
  if (final.timestampSeconds <= postBy || final.batchId >= batchId) return "waiting";
  await journal.updateBatch(batchId, "abandoned");
  log.warn({ batchId: String(batchId), postBy }, "a batch was not posted in time; its tasks go into a later one");
  return "abandoned";
}

/** The same call under the nonce that is next: another transaction may have taken the one it was signed for. */
async function renewed(world: PostWorld, batch: StoredBatch, nonce: number): Promise<StoredBatch> {
  if (batch.transaction.nonce === nonce) return batch;
  const transaction = await outbid(world, batch.header.batchId, batch.transaction, nonce);
  return { ...batch, transaction, replaced: [...batch.replaced, batch.transaction.hash] };
}

/** Journaled before it is sent, so that whichever is mined is known. */
async function outbid({ chain, journal }: PostWorld, batchId: bigint, transaction: ChainTransaction, nonce: number): Promise<ChainTransaction> {
  const next = await chain.replace(transaction, nonce);
  await journal.updateBatch(batchId, "sent", undefined, next);
  return next;
}

/**
 * Tries the call until the contract would take it: the chain's clock may be behind ours, or a bond be raised meanwhile.
 * @returns false when the batch's time is over, the chain's clock is not there yet, or the signal aborts.
 * @throws `batch_refused` with the contract's reason when others have waited long enough.
 */
async function isAcceptable({ chain, clock }: PostWorld, batch: StoredBatch, signal: AbortSignal): Promise<boolean> {
  const { to, data } = parseTransaction(batch.transaction.raw);
  const until = clock.monotonicMs() + ACCEPT_MS;
  let refused: TidelaneError | null = null;
  while (!signal.aborted && clock.monotonicMs() < until) {
    try {
      await chain.simulate({ to: to!, data: data! });
      return true;
    } catch (error) {
      if (!(error instanceof TidelaneError && error.code === "call_reverted")) throw error;
      // The chain's clock is behind ours by a block: ordinary, and over in a moment.
      refused = String(error.details.reason).startsWith("WrongTimes") ? null : refusedBecause(batch.header.batchId, error);
    }
    if ((await chain.head()).timestampSeconds > batch.header.postBy) return false;
    await clock.sleep(POLL_MS, signal);
  }
  if (refused && !signal.aborted) throw refused;
  return false;
}

export const journalForked = (batchId: bigint, ours: Hash, posted: Hash | null): TidelaneError => new TidelaneError(
  `Batch ${batchId} on chain is not the one in this journal: another process posts with the same keys and a database of its own, or this ` +
  "database is a copy. Nothing is settled from here any more. Stop that process, and start with the one database that holds the chain's batches.",
  { code: "journal_forked", details: { batchId: String(batchId), ours, posted: String(posted) } },
);

const refusedBecause = (batchId: bigint, error: TidelaneError): TidelaneError => new TidelaneError(
  `The contract would refuse batch ${batchId} now: ${String(error.details.reason)}. It is tried again while its time lasts.`,
  { code: "batch_refused", retryable: true, cause: error, details: { batchId: String(batchId), reason: String(error.details.reason) } },
);

const minedInVain = (batchId: bigint, transaction: Hash): TidelaneError => new TidelaneError(
  `The transaction of batch ${batchId} reverted; the same batch is tried again while its time lasts.`,
  { code: "batch_reverted", retryable: true, details: { batchId: String(batchId), transaction } },
);

const stuck = (batchId: bigint): TidelaneError => new TidelaneError(
  `Batch ${batchId} was sent ${ENVELOPES_MAX} times and stands in no block; it is given up when its time is over. See what the chain asks for gas, and why it reverted.`,
  { code: "batch_stuck", retryable: true, details: { batchId: String(batchId) } },
);
