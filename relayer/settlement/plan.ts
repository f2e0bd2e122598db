// What settles now: deferral is free until the oldest acked receipt is due, so a session waits until its change is worth the gas.
import type { Hash, Seconds, TokenAmount } from "../../protocol/units.ts";

/** A finished task as the plan sees it. */
export interface PlanTask {
  readonly taskId: Hash;
  readonly sessionId: Hash;
  /** Sum over its receipts. */
  readonly charge: TokenAmount;
  /** Node's fee of each receipt; a node may stand more than once. */
  readonly fees: readonly { readonly nodeId: number; readonly fee: TokenAmount }[];
  readonly oldestAckSeconds: Seconds;
}

export interface PlanPolicy {
  readonly nowSeconds: Seconds;
  /** W of the protocol. */
  readonly windowSeconds: Seconds;
  /** What one session's entry costs in gas, in the pay token's smallest unit. */
  readonly entryCost: TokenAmount;
}

/** A session settles at once when its change is worth more than this many times what its entry costs. */
export const WORTH_FACTOR = 50n;

/** What a session owes that is in no batch yet. */
export interface Owing {
  readonly sessionId: Hash;
  readonly charge: TokenAmount;
  readonly oldestAckSeconds: Seconds;
}

/**
 * Sessions that settle now, the most urgent first: ending ones, then by their oldest ack.
 * @param isEnding closed, revoked or about to expire; null where nothing is known that could wait, which counts as ending.
 */
export function dueSessions(owing: readonly Owing[], isEnding: (sessionId: Hash) => boolean | null, policy: PlanPolicy): Hash[] {
  return owing
    .map((session) => ({ ...session, isEnding: isEnding(session.sessionId) ?? true }))
    .filter((session) => session.isEnding || session.charge > WORTH_FACTOR * policy.entryCost || policy.nowSeconds >= dueAtSeconds(session.oldestAckSeconds, policy.windowSeconds))
    .sort((a, b) => Number(b.isEnding) - Number(a.isEnding) || a.oldestAckSeconds - b.oldestAckSeconds || (a.sessionId < b.sessionId ? -1 : 1))
    .map(({ sessionId }) => sessionId);
}

/** A receipt must be settled within W/2 of its ack: posting starts at half of that, the rest is for a chain that is busy. */
export const dueAtSeconds = (ackedAtSeconds: Seconds, windowSeconds: Seconds): Seconds => ackedAtSeconds + Math.floor(windowSeconds / 4);

/** What the chain would take now, so that one bad entry cannot make a whole batch revert. */
export interface Room {
  /** Per session: how much more may be debited (proven or provable cap, lock, bucket). */
  readonly chargeable: ReadonlyMap<Hash, TokenAmount>;
  /** Per node: how much more may be credited (proven or provable running total). */
  readonly creditable: ReadonlyMap<number, TokenAmount>;
  /** Leverage x bond less unmatured debits. */
  readonly debitCapacity: TokenAmount;
  /** Sessions and tabs together. */
  readonly itemsMax: number;
  readonly tasksMax: number;
}

export type HeldReason = "session_room" | "tab_room" | "leverage" | "full" | "forced";

export interface Fitted {
  readonly taskIds: readonly Hash[];
  /** Tasks that stay for a later batch. `full` is ordinary; every other reason is worth a look. */
  readonly held: readonly { readonly taskId: Hash; readonly reason: HeldReason }[];
}

/** Takes the due sessions' tasks in order of urgency and age as far as there is room. A task goes whole or not at all. */
export function fitTasks(tasks: readonly PlanTask[], due: readonly Hash[], room: Room): Fitted {
  const rank = new Map(due.map((sessionId, i) => [sessionId, i]));
  const ordered = tasks.filter((task) => rank.has(task.sessionId)).sort((a, b) =>
    rank.get(a.sessionId)! - rank.get(b.sessionId)! || a.oldestAckSeconds - b.oldestAckSeconds || (a.taskId < b.taskId ? -1 : 1));
  const books: Books = { charged: new Map(), credited: new Map(), debit: 0n, items: new Set(), tasks: 0 };
  const taskIds: Hash[] = [];
  const held: { taskId: Hash; reason: HeldReason }[] = [];
  for (const task of ordered) {
    const reason = whyNot(task, books, room);
    if (reason) held.push({ taskId: task.taskId, reason });
    else {
      enter(task, books);
      taskIds.push(task.taskId);
    }
  }
  return { taskIds, held };
}

interface Books {
  readonly charged: Map<Hash, TokenAmount>;
  readonly credited: Map<number, TokenAmount>;
  readonly items: Set<Hash | number>;
  debit: TokenAmount;
  tasks: number;
}

function whyNot(task: PlanTask, books: Books, room: Room): HeldReason | null {
  const fees = feesByNode(task);
  const newItems = [task.sessionId, ...fees.keys()].filter((item) => !books.items.has(item)).length;
  if (books.tasks + 1 > room.tasksMax || books.items.size + newItems > room.itemsMax) return "full";
  if ((books.charged.get(task.sessionId) ?? 0n) + task.charge > (room.chargeable.get(task.sessionId) ?? 0n)) return "session_room";
  for (const [nodeId, fee] of fees) {
    if ((books.credited.get(nodeId) ?? 0n) + fee > (room.creditable.get(nodeId) ?? 0n)) return "tab_room";
  }
  return books.debit + task.charge > room.debitCapacity ? "leverage" : null;
}

function enter(task: PlanTask, books: Books): void {
  books.tasks += 1;
  books.debit += task.charge;
  books.charged.set(task.sessionId, (books.charged.get(task.sessionId) ?? 0n) + task.charge);
  books.items.add(task.sessionId);
  for (const [nodeId, fee] of feesByNode(task)) {
    books.credited.set(nodeId, (books.credited.get(nodeId) ?? 0n) + fee);
    books.items.add(nodeId);
  }
}

function feesByNode(task: PlanTask): Map<number, TokenAmount> {
  const fees = new Map<number, TokenAmount>();
  for (const { nodeId, fee } of task.fees) fees.set(nodeId, (fees.get(nodeId) ?? 0n) + fee);
  return fees;
}
