// The journal's twin in memory, for tests and for trying things out: the same promises but durability, the same suite.
import { Mode } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Hash, Millis, Seconds, TokenAmount } from "../../protocol/units.ts";
import type { BatchState, EndedAttempt, EndedTask, Journal, Lead, OpenedTask, SignedAttempt, SignedVoucher, StoredBatch, StoredSession, StoredTask, TaskPlace, TaskState, ToldTally, UnsettledSession } from "../ports/journal.ts";
import { CLAIM_MS_MAX, IDEMPOTENCY_MS_MAX, TALLIES_MAX, TALLY_MS_MAX } from "./journal/limits.ts";
import { journalErrors } from "./journal/errors.ts";

interface TaskRow {
  readonly opened: OpenedTask;
  state: TaskState;
  attempts: readonly EndedAttempt[];
  batchHash: Hash | null;
  isExpired: boolean;
  isForced: boolean;
}

export class MemoryJournal implements Journal {
  readonly #sessions = new Map<Hash, StoredSession>();
  readonly #keys = new Map<Hash, { sessionId: Hash; expiresAtMs: Millis }>();
  readonly #tasks = new Map<Hash, TaskRow>();
  readonly #tabs = new Map<number, AttemptRecord>();
  readonly #batches: StoredBatch[] = [];
  readonly #idempotency = new Map<string, { requestHash: Hash; response: string | null; claimedAtMs: Millis }>();
  readonly #facts = new Map<string, string>();
  readonly #tallies = new Map<string, { readonly told: ToldTally; readonly atMs: Millis }>();
  #fence = 0n;
  #isLed = false;
  #isUp = true;

  /** Plays a database that cannot be reached; finished tasks are still taken, as by the spool. */
  setUp(isUp: boolean): void {
    this.#isUp = isUp;
  }

  async putSession(session: StoredSession): Promise<void> {
    this.#requireUp();
    if (!this.#sessions.has(session.sessionId)) this.#sessions.set(session.sessionId, session);
  }

  async session(sessionId: Hash): Promise<StoredSession | null> {
    this.#requireUp();
    return this.#sessions.get(sessionId) ?? null;
  }

  async sessions(): Promise<readonly StoredSession[]> {
    this.#requireUp();
    return [...this.#sessions.values()].filter((session) => session.authorization.mode !== Mode.REQUEST);
  }

  async putApiKey(keyHash: Hash, sessionId: Hash, expiresAtMs: Millis): Promise<void> {
    this.#requireUp();
    this.#keys.set(keyHash, { sessionId, expiresAtMs });
  }

  async sessionOfApiKey(keyHash: Hash, nowMs: Millis): Promise<Hash | null> {
    this.#requireUp();
    const key = this.#keys.get(keyHash);
    return key && key.expiresAtMs > nowMs ? key.sessionId : null;
  }

  async openTask(task: OpenedTask, voucher: SignedVoucher | null, most?: TokenAmount): Promise<void> {
    this.#requireUp();
    const session = this.#sessions.get(task.sessionId);
    if (!session) throw journalErrors.unknownSession(task.sessionId);
    if (this.#tasks.has(task.taskId)) throw journalErrors.replayed(task.taskId);
    if (voucher === null && task.order.nonce !== session.nextNonce) throw journalErrors.nonceTaken(task.sessionId, task.order.nonce, session.nextNonce);
    const open = [...this.#tasks.values()].filter((one) => one.state === "open" && one.opened.sessionId === task.sessionId);
    const owed = open.reduce((sum, { opened }) => sum + opened.order.maxFee, session.charged + task.order.maxFee);
    if (most !== undefined && owed > most) throw journalErrors.ordersElsewhere(task.sessionId, owed, most);
    const isGreatest = voucher !== null && voucher.voucher.cumulativeCap > (session.voucher?.voucher.cumulativeCap ?? -1n);
    this.#sessions.set(task.sessionId, {
      ...session, nextNonce: voucher === null ? session.nextNonce + 1n : session.nextNonce, voucher: isGreatest ? voucher : session.voucher,
    });
    this.#tasks.set(task.taskId, { opened: task, state: "open", attempts: [], batchHash: null, isExpired: false, isForced: false });
  }

  async finishTask(taskId: Hash, state: "finished" | "failed", attempts: readonly EndedAttempt[]): Promise<void> {
    const task = this.#tasks.get(taskId);
    if (!task) throw journalErrors.unknownTask(taskId);
    if (task.state !== "open" && !(task.isExpired && task.batchHash === null)) {
      if (state === "finished" && task.state === "failed") throw journalErrors.taskEnded(taskId);
      return;
    }
    this.#refuseReused(attempts);
    Object.assign(task, { state, isExpired: false });
    task.attempts = [...attempts];
    const session = this.#sessions.get(task.opened.sessionId)!;
    this.#sessions.set(session.sessionId, { ...session, charged: session.charged + chargeOf(attempts) });
    for (const { signed } of attempts) {
      if (!signed) continue;
      const last = this.#tabs.get(signed.record.receipt.nodeId);
      if (!last || signed.record.receipt.nodeSeq > last.receipt.nodeSeq) this.#tabs.set(signed.record.receipt.nodeId, signed.record);
    }
  }

  async task(taskId: Hash): Promise<StoredTask | null> {
    this.#requireUp();
    const task = this.#tasks.get(taskId);
    if (!task) return null;
    const batch = this.#batches.find((one) => one.headerHash === task.batchHash) ?? null;
    return { opened: task.opened, state: task.state, attempts: task.attempts, batch };
  }

  async expireTasks(openedBeforeMs: Millis, deadlineBeforeSeconds: Seconds): Promise<number> {
    this.#requireUp();
    const isLost = ({ opened }: TaskRow): boolean => opened.openedAtMs < openedBeforeMs || opened.order.deadline < deadlineBeforeSeconds;
    const stale = [...this.#tasks.values()].filter((task) => task.state === "open" && isLost(task));
    for (const task of stale) Object.assign(task, { state: "failed", isExpired: true });
    return stale.length;
  }

  async unsettledSessions(): Promise<readonly UnsettledSession[]> {
    this.#requireUp();
    const sums = new Map<Hash, UnsettledSession>();
    for (const task of this.#waiting()) {
      const ackedAt = oldestAck(task);
      if (ackedAt === null) continue;
      const { sessionId } = task.opened;
      const sum = sums.get(sessionId);
      sums.set(sessionId, { sessionId, charge: (sum?.charge ?? 0n) + chargeOf(task.attempts), oldestAckSeconds: Math.min(sum?.oldestAckSeconds ?? Infinity, ackedAt) });
    }
    return [...sums.values()];
  }

  async unsettledTasks(sessionIds: readonly Hash[], limit: number, after?: TaskPlace): Promise<readonly EndedTask[]> {
    this.#requireUp();
    const tasks = this.#waiting().filter((task) => sessionIds.includes(task.opened.sessionId) && oldestAck(task) !== null);
    const later = tasks.sort((a, b) => comparePlaces(placeOf(a), placeOf(b))).filter((task) => !after || comparePlaces(placeOf(task), after) > 0);
    return later.slice(0, limit).map(endedTask);
  }

  async unsettledFailures(limit: number): Promise<readonly EndedTask[]> {
    this.#requireUp();
    return this.#waiting().filter((task) => oldestAck(task) === null).sort((a, b) => a.opened.openedAtMs - b.opened.openedAtMs).slice(0, limit).map(endedTask);
  }

  async markForced(taskId: Hash): Promise<boolean> {
    this.#requireUp();
    const task = this.#tasks.get(taskId);
    if (!task || task.batchHash !== null) return false;
    task.isForced = true;
    return true;
  }

  async lastReceipts(): Promise<ReadonlyMap<number, AttemptRecord>> {
    this.#requireUp();
    return new Map(this.#tabs);
  }

  async lead(): Promise<Lead | null> {
    this.#requireUp();
    if (this.#isLed) return null;
    this.#isLed = true;
    const fence = ++this.#fence;
    let isHeld = true;
    return {
      fence,
      isHeld: () => isHeld,
      release: async () => {
        if (isHeld) this.#isLed = false;
        isHeld = false;
      },
    };
  }

  async putBatch(batch: StoredBatch, taskIds: readonly Hash[], lead: Lead): Promise<void> {
    this.#requireUp();
    if (lead.fence !== this.#fence || !lead.isHeld()) throw journalErrors.leadLost(lead.fence);
    if (this.#live(batch.header.batchId)) throw journalErrors.alreadyBatched(`batch ${batch.header.batchId} exists`);
    const tasks = taskIds.map((taskId) => this.#tasks.get(taskId));
    const taken = tasks.findIndex((task) => !task || task.state === "open" || task.isForced || task.batchHash !== null);
    if (taken >= 0) throw journalErrors.alreadyBatched(`task ${taskIds[taken]} cannot be claimed`);
    this.#batches.push(batch);
    for (const task of tasks) task!.batchHash = batch.headerHash;
  }

  async updateBatch(...[batchId, state, mined, transaction]: Parameters<Journal["updateBatch"]>): Promise<void> {
    this.#requireUp();
    const old = this.#live(batchId);
    if (!old) throw journalErrors.unknownBatch(batchId);
    const replaced = transaction && transaction.hash !== old.transaction.hash ? [...old.replaced, old.transaction.hash] : old.replaced;
    this.#batches[this.#batches.indexOf(old)] = { ...old, state, ...mined, transaction: transaction ?? old.transaction, replaced };
    if (state !== "abandoned") return;
    for (const task of this.#tasks.values()) if (task.batchHash === old.headerHash) task.batchHash = null;
  }

  async batch(batchId: bigint): Promise<StoredBatch | null> {
    this.#requireUp();
    return this.#live(batchId) ?? null;
  }

  async batches(state: BatchState, limit: number): Promise<readonly StoredBatch[]> {
    this.#requireUp();
    return this.#batches.filter((batch) => batch.state === state).sort((a, b) => Number(b.header.batchId - a.header.batchId)).slice(0, limit);
  }

  async claimIdempotency(...[scope, key, requestHash, nowMs]: Parameters<Journal["claimIdempotency"]>): ReturnType<Journal["claimIdempotency"]> {
    this.#requireUp();
    const known = this.#idempotency.get(`${scope}:${key}`);
    if (known && known.claimedAtMs >= nowMs - (known.response === null ? CLAIM_MS_MAX : IDEMPOTENCY_MS_MAX)) {
      return { requestHash: known.requestHash, response: known.response };
    }
    this.#idempotency.set(`${scope}:${key}`, { requestHash, response: null, claimedAtMs: nowMs });
    return null;
  }

  async keptResponse(scope: Hash, key: string): Promise<{ response: string | null; claimedAtMs: Millis } | null> {
    this.#requireUp();
    const known = this.#idempotency.get(`${scope}:${key}`);
    return known ? { response: known.response, claimedAtMs: known.claimedAtMs } : null;
  }

  async renewClaims(claims: readonly { readonly scope: Hash; readonly key: string }[], nowMs: Millis): Promise<void> {
    this.#requireUp();
    for (const { scope, key } of claims) {
      const known = this.#idempotency.get(`${scope}:${key}`);
      if (known?.response === null) this.#idempotency.set(`${scope}:${key}`, { ...known, claimedAtMs: nowMs });
    }
  }

  async forgetResponses(nowMs: Millis): Promise<number> {
    this.#requireUp();
    const old = [...this.#idempotency].filter(([, { claimedAtMs }]) => claimedAtMs < nowMs - IDEMPOTENCY_MS_MAX);
    for (const [key] of old) this.#idempotency.delete(key);
    return old.length;
  }

  async completeIdempotency(scope: Hash, key: string, response: string | null): Promise<void> {
    this.#requireUp();
    const known = this.#idempotency.get(`${scope}:${key}`);
    if (!known) return;
    if (response === null) this.#idempotency.delete(`${scope}:${key}`);
    else this.#idempotency.set(`${scope}:${key}`, { ...known, response });
  }

  async getFact(name: string): Promise<string | null> {
    this.#requireUp();
    return this.#facts.get(name) ?? null;
  }

  async setFact(name: string, value: string): Promise<void> {
    this.#requireUp();
    this.#facts.set(name, value);
  }

  async replaceFact(name: string, expected: string | null, value: string): Promise<boolean> {
    this.#requireUp();
    if ((this.#facts.get(name) ?? null) !== expected) return false;
    this.#facts.set(name, value);
    return true;
  }

  async shareTallies(own: ToldTally, nowMs: Millis): Promise<readonly ToldTally[]> {
    this.#requireUp();
    for (const [process, { atMs }] of this.#tallies) if (atMs < nowMs - TALLY_MS_MAX) this.#tallies.delete(process);
    this.#tallies.set(own.process, { told: own, atMs: nowMs });
    const others = [...this.#tallies.values()].filter(({ told }) => told.process !== own.process);
    return others.sort((one, other) => other.atMs - one.atMs).slice(0, TALLIES_MAX).map(({ told }) => told);
  }

  isUp(): boolean {
    return this.#isUp;
  }

  #refuseReused(attempts: readonly EndedAttempt[]): void {
    const known = [...this.#tasks.values()].flatMap((task) => task.attempts).flatMap(({ signed }) => signed ?? []);
    for (const { signed } of attempts) {
      if (!signed) continue;
      const { receiptHash, record: { receipt } } = signed;
      const isSame = (other: SignedAttempt): boolean => other.receiptHash === receiptHash
        || (other.record.receipt.nodeId === receipt.nodeId && other.record.receipt.nodeSeq === receipt.nodeSeq);
      if (known.some(isSame)) throw journalErrors.receiptReused(receiptHash, receipt.nodeId);
      known.push(signed);
    }
  }

  #waiting(): TaskRow[] {
    return [...this.#tasks.values()].filter((task) => task.state !== "open" && task.batchHash === null && !task.isForced && this.#sessions.get(task.opened.sessionId)?.authorization.mode !== Mode.REQUEST);
  }

  #live(batchId: bigint): StoredBatch | undefined {
    return this.#batches.find((batch) => batch.header.batchId === batchId && batch.state !== "abandoned");
  }

  #requireUp(): void {
    if (!this.#isUp) throw journalErrors.unavailable(new TidelaneError("The journal was switched off.", { code: "switched_off" }));
  }
}

const chargeOf = (attempts: readonly EndedAttempt[]): TokenAmount => attempts.reduce((sum, attempt) => sum + (attempt.signed?.charge ?? 0n), 0n);
const endedTask = (task: TaskRow): EndedTask => ({ opened: task.opened, state: task.state as "finished" | "failed", attempts: task.attempts });

const placeOf = (task: TaskRow): TaskPlace => ({ oldestAckSeconds: oldestAck(task)!, taskId: task.opened.taskId });
const comparePlaces = (a: TaskPlace, b: TaskPlace): number => a.oldestAckSeconds - b.oldestAckSeconds || (a.taskId < b.taskId ? -1 : a.taskId > b.taskId ? 1 : 0);

const oldestAck = (task: TaskRow): number | null => {
  const acks = task.attempts.flatMap((attempt) => (attempt.signed ? [attempt.signed.ack.ack.ackedAt] : []));
  return acks.length === 0 ? null : Math.min(...acks);
};
