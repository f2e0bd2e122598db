// A watcher: follows the chain, checks what is open, advances its cases; again and again, or once until nothing can go on.
import { TidelaneError } from "../../protocol/errors.ts";
import { advanceCases } from "./cases.ts";
import { checkEvidence, checkOpen } from "./check.ts";
import { follow } from "./follow.ts";
import { isPutOff, type Case, type CaseStatus } from "./state.ts";
import type { Watch } from "./watch.ts";

export interface WatchReport {
  /** Whether all confirmed blocks were read; a very long backlog takes several runs. */
  readonly isCaughtUp: boolean;
  readonly blockNumber: bigint | null;
  readonly checked: { readonly batches: number; readonly boards: number };
  readonly cases: readonly Case[];
  /** Batches and boards whose data is not known whole. */
  readonly waiting: { readonly batches: number; readonly boards: number };
}

/** So long a single run waits for announcements to ripen. */
const ROUNDS_MAX = 600;
const ROUND_WAIT_MS = 1_000;
const UNDER_WAY: readonly CaseStatus[] = ["found", "announced", "proving"];
const PRUNE_ROUNDS = 300;
/** Between rounds that work off a backlog. */
const BACKLOG_WAIT_MS = 100;

/** One round. @returns whether all confirmed blocks were read and all that was due was looked at */
export async function round(watch: Watch): Promise<boolean> {
  const isCaughtUp = await follow(watch);
  const isChecked = await checkOpen(watch);
  await checkEvidence(watch);
  await advanceCases(watch);
  return isCaughtUp && isChecked;
}

/**
 * Until all confirmed blocks are read and no proof is under way, or aborted. What waits for a relayer's answer is left for the next run.
 * @throws retryable `chain_unreachable`
 */
export async function watchOnce(watch: Watch, sleep: (ms: number) => Promise<void>, signal: AbortSignal): Promise<WatchReport> {
  let isCaughtUp = false;
  for (let rounds = 0; rounds < ROUNDS_MAX && !signal.aborted; rounds++) {
    isCaughtUp = await round(watch);
    const isSending = watch.sender !== null && !watch.options.isDryRun;
    const { timestamp } = await watch.chain.head();
    const isUnderWay = isSending && watch.state.cases.some((one) => UNDER_WAY.includes(one.status) && !isPutOff(one, timestamp));
    if (isCaughtUp && !isUnderWay) break;
    await sleep(isUnderWay ? ROUND_WAIT_MS : BACKLOG_WAIT_MS);
  }
  await watch.archive.prune();
  return reportOf(watch, isCaughtUp);
}

/** Until aborted; a chain or relayer that does not answer is asked again. */
export async function watchOn(watch: Watch, everyMs: number, sleep: (ms: number) => Promise<void>, signal: AbortSignal): Promise<WatchReport> {
  let isCaughtUp = false;
  for (let rounds = 1; !signal.aborted; rounds++) {
    let waitMs = everyMs;
    try {
      isCaughtUp = await round(watch);
      if (rounds % PRUNE_ROUNDS === 0) await watch.archive.prune();
      if (!isCaughtUp) waitMs = Math.min(everyMs, BACKLOG_WAIT_MS);
    } catch (error) {
      if (!(error instanceof TidelaneError) || !error.retryable) throw error;
      watch.say(`tried again: ${error.message}`);
    }
    if (!signal.aborted) await sleep(waitMs);
  }
  return reportOf(watch, isCaughtUp);
}

const reportOf = ({ state }: Watch, isCaughtUp: boolean): WatchReport => ({
  isCaughtUp,
  blockNumber: state.marks.at(-1)?.number ?? null, checked: state.checked, cases: state.cases, waiting: { batches: state.batches.length, boards: state.boards.length },
});
