// What holds between orders and between attempts: nonces without gaps where the payer signs no orders, and a cause for every retry.
import { Mode } from "../../protocol/constants.ts";
import type { OpenedBatches, OpenedTask } from "./batches.ts";
import type { PublishedDecision } from "./decisions.ts";
import type { Journal } from "./journal.ts";
import type { Hash, Seconds } from "../../protocol/units.ts";

/** A process that takes over a task after a crash does not know how many attempts there were: it counts on from here. */
const RECOVERY_ATTEMPT = 128;
/** A task ends within one window, and what it was is published within another half. */
const PUBLISHED_WINDOWS = 2;
/** So many missing nonces are named one by one. */
const NAMED_MAX = 20;

/** Each ALLOWANCE session's nonces among and beside the judged tasks. @returns how many were looked at */
export function checkNonces({ tasks, modes, publishedUntil }: OpenedBatches, windowSeconds: Seconds, journal: Journal): number {
  const bySession = new Map<Hash, OpenedTask[]>();
  for (const one of tasks) {
    const { sessionId } = one.task.order;
    if (modes.get(sessionId) === Mode.ALLOWANCE) bySession.set(sessionId, [...bySession.get(sessionId) ?? [], one]);
  }
  let looked = 0;
  for (const [sessionId, session] of bySession) {
    const sorted = session.toSorted((a, b) => (a.task.order.nonce < b.task.order.nonce ? -1 : a.task.order.nonce > b.task.order.nonce ? 1 : 0));
    looked += sorted.filter((one) => one.isJudged).length;
    for (const [i, next] of sorted.entries()) {
      const before = sorted[i - 1];
      if (before && (before.isJudged || next.isJudged)) checkStep(sessionId, before, next, publishedUntil - PUBLISHED_WINDOWS * windowSeconds, journal);
    }
  }
  return looked;
}

function checkStep(sessionId: Hash, before: OpenedTask, next: OpenedTask, ripeSeconds: Seconds, journal: Journal): void {
  const [low, high] = [before.task.order.nonce, next.task.order.nonce];
  const place = { batchId: next.batchId, taskId: next.task.taskId };
  if (low === high) return void journal.find("nonce", `session ${sessionId}: nonce ${low} stands in two tasks, the other is ${before.task.taskId}`, place);
  for (let missing = low + 1n; missing < high && missing <= low + BigInt(NAMED_MAX); missing++) {
    const rest = missing === low + BigInt(NAMED_MAX) && high - missing > 1n ? ` and the ${high - missing - 1n} after it` : "";
    if (next.task.openedAtMs / 1_000 <= ripeSeconds) journal.find("nonce", `session ${sessionId}: nonce ${missing}${rest} is missing before ${high}`, place);
    else journal.leave("nonce", `session ${sessionId}: nonce ${missing}${rest} is not published yet`);
  }
}

/** Attempts above zero name why, and follow one that ended so; numbers are used once. */
export function checkAttempts(decisions: readonly PublishedDecision[], journal: Journal): void {
  const byPlace = new Map(decisions.map((one) => [nameOf(one, one.assignment.attempt), one]));
  for (const one of decisions.filter((each) => each.isJudged)) {
    const { decision, assignment: { attempt }, batchId, task: { taskId } } = one;
    const wrong = (detail: string): null => journal.find("attempt", detail, { batchId, taskId, attempt });
    if (byPlace.get(nameOf(one, attempt)) !== one) wrong(`attempt ${attempt} stands twice in the data`);
    if (attempt === 0) {
      if (decision.cause !== null) wrong(`the first attempt names a cause: ${decision.cause}`);
      continue;
    }
    if (decision.cause === null || decision.cause === "") wrong(`attempt ${attempt} names no cause`);
    const earlier = byPlace.get(nameOf(one, attempt - 1));
    if (!earlier && attempt !== RECOVERY_ATTEMPT) wrong(`attempt ${attempt} has no attempt ${attempt - 1} before it`);
    if (earlier && decision.cause && earlier.published.cause !== decision.cause) {
      wrong(`attempt ${attempt} names the cause ${decision.cause}; attempt ${attempt - 1} ended with ${earlier.published.cause ?? "none"}`);
    }
  }
}

/** Nodes that earlier attempts of the same task went to. */
export const nodesBefore = (one: PublishedDecision, all: readonly PublishedDecision[]): ReadonlySet<number> =>
  new Set(all.filter((other) => other !== one && other.assignment.attempt < one.assignment.attempt).map((other) => other.assignment.nodeId));

const nameOf = ({ task, assignment }: PublishedDecision, attempt: number): string => `${task.taskId}/${assignment.subtask}/${attempt}`;
