// The orders of one session from reservation to charge: counted, saved, followed to their receipts.
import { TidelaneError } from "../protocol/errors.ts";
import { hashStruct } from "../protocol/typedData.ts";
import { recoverWithViem } from "../protocol/signing.ts";
import { judge, type SentOrder, type TaskOutcome } from "./receipt.ts";
import { stateToText, type PayerState } from "./state.ts";
import { Tally, type OpenOrder } from "./tally.ts";
import type { RecordKeys } from "../protocol/records.ts";
import type { TaskView } from "../protocol/taskView.ts";
import type { Hash, Millis, TokenAmount } from "../protocol/units.ts";
import type { RelayerClient } from "./relayer.ts";
import type { Clock, PayerChain, PayerStore } from "./ports.ts";

/** How an exchange ended: with an answer, with a refusal (4xx), with a failure (5xx), or in a way that tells nothing. */
export type Ended = "answered" | "refused" | "failed" | "unknown";

interface BookWorld {
  readonly chain: PayerChain;
  readonly clock: Clock;
  readonly store: PayerStore;
}

/** Pauses between questions about a task that has not ended; a cancelled one takes a moment. About 40 s in all. */
const PAUSES_MS: readonly Millis[] = [20, 50, 100, 200, 400, 800, 1_500, 3_000, 5_000, 10_000, 20_000];
/** A task that the relayer does not know this long after its order's deadline never was. */
const FORGOTTEN_AFTER_SECONDS = 60;
/** How often orders whose end was never seen are asked about again, while there is business. */
const ASK_AGAIN_MS = 60_000;
/** How long a new order waits for earlier ones to be judged when the budget is short. */
const ROOM_WAIT_MS = 10_000;

export class OrderBook {
  readonly tally: Tally;
  readonly #world: BookWorld;
  readonly #relayer: RelayerClient;
  readonly #session: PayerState;
  readonly #sessionId: Hash;
  readonly #onOutcome: (outcome: TaskOutcome) => void;
  readonly #keys: RecordKeys;
  /** Orders whose answer is still on its way in this process. */
  readonly #live = new Set<Hash>();
  /** Orders whose answer has ended, and whose receipt is being fetched and judged. */
  readonly #following = new Map<Hash, Promise<void>>();
  #askedAtMs: Millis;
  #nextNonce: bigint;
  #distrust: string | null;
  #writing: Promise<void> = Promise.resolve();
  #queued: Promise<void> | null = null;

  constructor(world: BookWorld, relayer: RelayerClient, session: PayerState, onOutcome: (outcome: TaskOutcome) => void) {
    const { lock, maxTotal } = session.authorization;
    this.tally = new Tally(lock < maxTotal ? lock : maxTotal, session.charged, session.orders);
    this.#world = world;
    this.#relayer = relayer;
    this.#session = session;
    this.#sessionId = hashStruct("SpendingAuthorization", session.authorization);
    this.#onOutcome = onOutcome;
    this.#keys = {
      domain: session.domain, recover: recoverWithViem,
      nodeKey: (nodeId, epoch) => world.chain.nodeKey(nodeId, epoch), relayerKey: (relayerId, epoch) => world.chain.relayerKey(relayerId, epoch),
    };
    this.#askedAtMs = world.clock.nowMs();
    this.#nextNonce = session.nextNonce;
    this.#distrust = session.distrust;
  }

  /** Why nothing more may be signed; null while all is well. */
  get distrust(): string | null {
    return this.#distrust;
  }

  takeNonce(): bigint {
    return this.#nextNonce++;
  }

  /**
   * Counts an order and saves that, waiting a little where ended orders are still being judged.
   * @returns the cumulativeCap to sign.
   * @throws `budget_exhausted`, `too_many_orders`
   */
  async reserve(order: OpenOrder): Promise<TokenAmount> {
    this.#askAgain();
    const cap = await this.#reserveWhenRoom(order);
    this.#live.add(order.taskId);
    await this.#save();
    return cap;
  }

  async #reserveWhenRoom(order: OpenOrder): Promise<TokenAmount> {
    const until = this.#world.clock.nowMs() + ROOM_WAIT_MS;
    for (;;) {
      try {
        return this.tally.reserve(order);
      } catch (error) {
        const isHopeless = !(error instanceof TidelaneError) || !error.retryable || this.#following.size === 0;
        if (isHopeless || this.#world.clock.nowMs() >= until) throw error;
        await Promise.race([...this.#following.values(), this.#world.clock.sleep(until - this.#world.clock.nowMs())]);
      }
    }
  }

  /** A process that runs for weeks must not keep the orders of every cut connection counted. */
  #askAgain(): void {
    if (this.#world.clock.nowMs() - this.#askedAtMs < ASK_AGAIN_MS) return;
    this.#askedAtMs = this.#world.clock.nowMs();
    for (const { taskId } of this.tally.orders) {
      if (this.#isAbandoned(taskId)) this.#inBackground(taskId, this.#ask(taskId, null, "unknown"));
    }
  }

  #inBackground(taskId: Hash, work: Promise<unknown>): void {
    this.#following.set(taskId, work.then(() => undefined, () => undefined).finally(() => this.#following.delete(taskId)));
  }

  /** Nobody waits for its end any more: it was cut off in an earlier run, or its answer was never read. */
  #isAbandoned(taskId: Hash): boolean {
    return !this.#following.has(taskId) && (!this.#live.has(taskId) || this.#isOver(taskId));
  }

  #isOver(taskId: Hash): boolean {
    const order = this.tally.order(taskId);
    return !order || (order.deadline + FORGOTTEN_AFTER_SECONDS) * 1000 < this.#world.clock.nowMs();
  }

  /** The order never left, so nothing can be charged for it. */
  async release(taskId: Hash): Promise<void> {
    this.#live.delete(taskId);
    this.tally.settle(taskId, 0n);
    await this.#save();
  }

  /** Learns in the background what an ended exchange came to. */
  follow(taskId: Hash, sent: SentOrder | null, ended: Ended): void {
    if (this.#following.has(taskId)) return;
    this.#live.delete(taskId);
    this.#inBackground(taskId, this.#untilEnded(taskId, sent, ended));
  }

  /** Resolves when no receipt is being judged. */
  async settled(): Promise<void> {
    while (this.#following.size > 0) await Promise.all(this.#following.values());
    await this.#writing;
  }

  /** Asks about every order that nobody waits for, and whether the chain was charged more than was ordered. */
  async reconcile(): Promise<void> {
    await this.settled();
    for (const { taskId } of this.tally.orders) if (this.#isAbandoned(taskId)) await this.#ask(taskId, null, "unknown");
    const fact = await this.#world.chain.session(this.#sessionId);
    const most = this.tally.charged + this.tally.inFlight;
    if (fact && fact.charged > most) await this.#distrustFor(`the chain shows ${fact.charged} charged, and only ${most} was ordered`);
  }

  async #untilEnded(taskId: Hash, sent: SentOrder | null, ended: Ended): Promise<void> {
    // A refusal comes before any work: there is nothing to ask about.
    if (ended === "refused") return this.release(taskId);
    for (const pause of PAUSES_MS) {
      try {
        if (await this.#ask(taskId, sent, ended)) return;
      } catch (error) {
        if (!(error instanceof TidelaneError) || !error.retryable) throw error;
      }
      await this.#world.clock.sleep(pause);
    }
  }

  /** @returns true where the order has come to its end. */
  async #ask(taskId: Hash, sent: SentOrder | null, ended: Ended): Promise<boolean> {
    const view = await this.#relayer.receipt(taskId);
    if (view === null) {
      const isNone = this.#isOver(taskId) || ended === "failed";
      if (isNone) await this.release(taskId);
      return isNone;
    }
    if (view.state === "open") return false;
    await this.#settle(taskId, view, sent);
    return true;
  }

  async #settle(taskId: Hash, view: TaskView, sent: SentOrder | null): Promise<void> {
    const order = this.tally.order(taskId);
    if (!order) return;
    const outcome = await judge(taskId, order.maxFee, view, this.#keys, sent);
    if (outcome.findings.length > 0) await this.#distrustFor(`the receipt of task ${taskId} does not hold: ${outcome.findings[0]!}`);
    // What does not hold may still be charged up to the signed maximum, so that much stays counted.
    this.tally.settle(taskId, outcome.findings.length > 0 ? order.maxFee : outcome.charge);
    await this.#save();
    this.#onOutcome(outcome);
  }

  async #distrustFor(reason: string): Promise<void> {
    this.#distrust ??= reason;
    await this.#save();
  }

  /** Joins the next write, so that parallel requests share one. */
  #save(): Promise<void> {
    this.#queued ??= this.#writing.catch(() => undefined).then(() => {
      this.#queued = null;
      const { charged, orders } = this.tally;
      this.#writing = this.#world.store.write(stateToText({ ...this.#session, nextNonce: this.#nextNonce, charged, orders, distrust: this.#distrust }));
      return this.#writing;
    });
    return this.#queued;
  }
}
