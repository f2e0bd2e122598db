// What holds between orders and between attempts: nonces without gaps where the payer signs no orders, and a cause for every retry.
import { Mode } from "../../protocol/constants.ts";
import { orderName, type Evidence } from "./evidence.ts";
import type { OpenedBatches, OpenedTask } from "./batches.ts";
import type { PublishedDecision } from "./decisions.ts";
import type { Journal } from "./journal.ts";
import type { Hash, Seconds } from "../../protocol/units.ts";

/** A process that takes over a task after a crash does not know how many attempts there were: it counts on from here. */
const RECOVERY_ATTEMPT = 128;
/**
 * A task whose process died stays open until its order's deadline (at most an hour after it was opened) and a while after it; then
 * it is published as failed, with the next batch.
 */
const ORDER_SECONDS_MAX: Seconds = 3_600;
const LOST_SECONDS_MAX: Seconds = 900;
/** So many missing nonces are named one by one. */
const NAMED_MAX = 20;

/** Two tasks of an ALLOWANCE session between which no other is published; at least one of them is judged. */
interface Step {
  readonly sessionId: Hash;
  readonly before: OpenedTask;
  readonly next: OpenedTask;
}

/** Each ALLOWANCE session's nonces among and beside the judged tasks. @returns how many were looked at */
export function checkNonces(opened: OpenedBatches, { windowSeconds, paidByForce }: Pick<Evidence, "windowSeconds" | "paidByForce">, journal: Journal): number {
  for (const step of stepsOf(opened)) checkStep(step, opened.publishedUntil >= dueSeconds(step, windowSeconds), paidByForce, journal);
  return opened.tasks.filter((one) => one.isJudged && opened.modes.get(one.task.order.sessionId) === Mode.ALLOWANCE).length;
}

/** Until when later batches may still publish a task that is missing here; 0 where none is missing. */
export const missingUntil = (opened: OpenedBatches, windowSeconds: Seconds): Seconds =>
  Math.max(0, ...stepsOf(opened).filter(({ before, next }) => next.task.order.nonce - before.task.order.nonce > 1n).map((step) => dueSeconds(step, windowSeconds)));

function stepsOf({ tasks, modes }: OpenedBatches): Step[] {
  const bySession = Map.groupBy(tasks.filter((one) => modes.get(one.task.order.sessionId) === Mode.ALLOWANCE), (one) => one.task.order.sessionId);
  return [...bySession].flatMap(([sessionId, session]) => {
    const sorted = session.toSorted((a, b) => (a.task.order.nonce < b.task.order.nonce ? -1 : a.task.order.nonce > b.task.order.nonce ? 1 : 0));
    return sorted.slice(1).map((next, i): Step => ({ sessionId, before: sorted[i]!, next })).filter(({ before, next }) => before.isJudged || next.isJudged);
  });
}

/** When all orders before this step's later one must have been published. */
function dueSeconds({ next: { task } }: Step, windowSeconds: Seconds): Seconds {
  const openedSeconds = Math.floor(task.openedAtMs / 1_000);
  return Math.min(task.order.deadline, openedSeconds + ORDER_SECONDS_MAX) + LOST_SECONDS_MAX + 2 * windowSeconds;
}

function checkStep({ sessionId, before, next }: Step, isDue: boolean, paidByForce: ReadonlySet<string>, journal: Journal): void {
  const [low, high] = [before.task.order.nonce, next.task.order.nonce];
  const place = { batchId: next.batchId, taskId: next.task.taskId };
  if (low === high) return void journal.find("nonce", `session ${sessionId}: nonce ${low} stands in two tasks, the other is ${before.task.taskId}`, place);
  for (let missing = low + 1n; missing < high && missing <= low + BigInt(NAMED_MAX); missing++) {
    const rest = missing === low + BigInt(NAMED_MAX) && high - missing > 1n ? ` and the ${high - missing - 1n} after it` : "";
    if (paidByForce.has(orderName({ sessionId, nonce: missing }))) journal.leave("nonce", `session ${sessionId}: the node of nonce ${missing} was paid by its claim: the chain has the order, and no batch the decision`);
    else if (isDue) journal.find("nonce", `session ${sessionId}: nonce ${missing}${rest} is missing before ${high}`, place);
    else journal.leave("nonce", `session ${sessionId}: nonce ${missing}${rest} is missing before ${high}; a task that was lost in a crash is published after its deadline`);
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
export interface NodesBefore {
  readonly tried: ReadonlySet<number>;
  /** Of these, those that did more than sign that they were full: they may not be asked again. */
  readonly failed: ReadonlySet<number>;
}

export function nodesBefore(one: PublishedDecision, all: readonly PublishedDecision[]): NodesBefore {
  const earlier = all.filter((other) => other !== one && other.assignment.attempt < one.assignment.attempt);
  const nodesOf = (some: readonly PublishedDecision[]): ReadonlySet<number> => new Set(some.map((other) => other.assignment.nodeId));
  return { tried: nodesOf(earlier), failed: nodesOf(earlier.filter(({ published }) => published.cause !== "refused_full")) };
}

const nameOf = ({ task, assignment }: PublishedDecision, attempt: number): string => `${task.taskId}/${assignment.subtask}/${attempt}`;
