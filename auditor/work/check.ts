// Looks at what is open, each relayer's batches and boards in turn and several relayers at once: one that does not answer keeps
// nobody else's from being looked at.
import { TidelaneError } from "../../protocol/errors.ts";
import type { Seconds } from "../../protocol/units.ts";
import { NO_MESSAGES, joined } from "../watch/history.ts";
import { messageFindings } from "../watch/messages.ts";
import { openCases } from "./cases.ts";
import { checkBatch } from "./checkBatch.ts";
import { checkBoard } from "./checkBoard.ts";
import { seenHeaders } from "./follow.ts";
import { withoutForged } from "./signed.ts";
import { asksOf, type Watch } from "./watch.ts";

const RELAYERS_AT_ONCE = 8;
/** Of one relayer in one round. */
const CHECKED_MAX = 50;
/** What is not known whole is looked at again after such a part of W. */
const AGAIN_PARTS = 40;
/** What cannot be checked is tried for so long, counted from the posting or the epoch's end. */
const TRIED_WINDOWS = 2;

/** What is not known whole stays open. @returns whether all that was due was looked at */
export async function checkOpen(watch: Watch): Promise<boolean> {
  const { state, archive, chain } = watch;
  const now = (await chain.head()).timestamp;
  const due = new Set([...state.batches.filter((one) => one.nextAt <= now).map((one) => one.relayerId), ...state.boards.filter((one) => one.nextAt <= now).map((one) => one.commitment.relayerId)]);
  const waiting = [...due];
  const next = async (): Promise<void> => {
    for (let relayerId = waiting.shift(); relayerId !== undefined; relayerId = waiting.shift()) await checkRelayer(watch, relayerId, now);
  };
  await Promise.all(Array.from({ length: RELAYERS_AT_ONCE }, next));
  await archive.saveState(state);
  return ![...state.batches, ...state.boards].some(({ nextAt }) => nextAt <= now);
}

/** Batches first: what they relied on is what boards are compared with. */
async function checkRelayer(watch: Watch, relayerId: number, now: Seconds): Promise<void> {
  const { state, settings: { windowSeconds, epochSeconds } } = watch;
  const asks = asksOf(watch, relayerId);
  const againAt = now + Math.ceil(windowSeconds / AGAIN_PARTS);
  const tooLateAfter = (seconds: Seconds): boolean => now > seconds + TRIED_WINDOWS * windowSeconds;
  for (const one of state.batches.filter((each) => each.relayerId === relayerId && each.nextAt <= now).slice(0, CHECKED_MAX)) {
    if (asks.isOver()) return;
    one.nextAt = againAt;
    const isDone = await unpoisoned(watch, { relayerId, batchId: one.batchId }, tooLateAfter(one.postedAt), () => checkBatch(watch, asks, one, now));
    if (isDone) state.batches = state.batches.filter((each) => each !== one);
  }
  for (const one of state.boards.filter((each) => each.commitment.relayerId === relayerId && each.nextAt <= now).slice(0, CHECKED_MAX)) {
    if (asks.isOver()) return;
    one.nextAt = againAt;
    const endedAt = Number(one.commitment.epoch + 1n) * epochSeconds;
    const isDone = await unpoisoned(watch, { relayerId, epoch: one.commitment.epoch }, tooLateAfter(endedAt), () => checkBoard(watch, asks, one, now));
    if (isDone) state.boards = state.boards.filter((each) => each !== one);
  }
}

/**
 * What one relayer publishes must not keep a watcher from the others, whatever it makes of it.
 * @param isTooLate whether a check that fails is given up: nothing can be demanded or proven any more that looking again would show
 * @returns whether it need not be looked at again
 * @throws what is worth another try
 */
async function unpoisoned({ archive, say }: Watch, place: Readonly<Record<string, number | bigint>>, isTooLate: boolean, check: () => Promise<boolean>): Promise<boolean> {
  try {
    return await check();
  } catch (error) {
    if (error instanceof TidelaneError && error.retryable) throw error;
    say(`a check failed${isTooLate ? ", and is given up" : ""}: ${String(error)}`);
    await archive.log({ what: isTooLate ? "given up" : "failed", ...place, error: String(error) });
    return isTooLate;
  }
}

/** What a file holds, against all that is archived of the same things. */
export async function checkEvidence(watch: Watch): Promise<void> {
  if (watch.evidence.length === 0) return;
  const messages = joined(NO_MESSAGES, ...watch.evidence.map((one) => one.messages));
  const seen = await Promise.all(messages.headers.map(({ message }) => seenHeaders(watch, message.relayerId, message.batchId)));
  const all = await watch.related.around({ ...messages, headers: [...messages.headers, ...seen.flat()] });
  await openCases(watch, messageFindings(await withoutForged(watch, all)));
}
