// A payer's own count of one session: what was charged, and what the orders in flight may still cost.
//
//   reserve(task, maxFee) ─▶ in flight ─▶ settle(task, charge)   its receipt was checked
//                                     └─▶ settle(task, 0)        it came to nothing
//
// The cap that is signed for an order is charged + everything in flight, that order included. Nothing beyond this count is
// ever signed, so whatever a relayer claims, it cannot take more than this class has seen ordered.
import { TidelaneError } from "../protocol/errors.ts";
import type { Hash, Seconds, TokenAmount } from "../protocol/units.ts";

export interface OpenOrder {
  readonly taskId: Hash;
  /** The most that it can be charged. */
  readonly maxFee: TokenAmount;
  /** The order's deadline: nothing new can be assigned under it afterwards. */
  readonly deadline: Seconds;
}

export const ORDERS_IN_FLIGHT_MAX = 10_000;

export class Tally {
  #charged: TokenAmount;
  #inFlight: TokenAmount = 0n;
  readonly #limit: TokenAmount;
  readonly #orders = new Map<Hash, OpenOrder>();

  /** @param limit the most this session may be charged in all: the lesser of lock and maxTotal. */
  constructor(limit: TokenAmount, charged: TokenAmount = 0n, orders: readonly OpenOrder[] = []) {
    this.#limit = limit;
    this.#charged = charged;
    for (const order of orders) this.#add(order);
  }

  get charged(): TokenAmount {
    return this.#charged;
  }

  /** The sum of what all orders in flight may cost. */
  get inFlight(): TokenAmount {
    return this.#inFlight;
  }

  /** What may still be ordered. */
  get free(): TokenAmount {
    const free = this.#limit - this.#charged - this.#inFlight;
    return free > 0n ? free : 0n;
  }

  get orders(): readonly OpenOrder[] {
    return [...this.#orders.values()];
  }

  /** The order, while it is in flight. */
  order(taskId: Hash): OpenOrder | null {
    return this.#orders.get(taskId) ?? null;
  }

  /**
   * Counts an order as in flight.
   * @returns the cumulativeCap to sign for it.
   * @throws `budget_exhausted`, or `too_many_orders` (both retryable: orders in flight may end below their maximum).
   */
  reserve(order: OpenOrder): TokenAmount {
    if (this.#orders.has(order.taskId)) throw new TidelaneError("The order was reserved already.", { code: "order_replayed", details: { task: order.taskId } });
    if (this.#orders.size >= ORDERS_IN_FLIGHT_MAX) {
      throw new TidelaneError(`${ORDERS_IN_FLIGHT_MAX} orders are in flight; wait for some to end.`, { code: "too_many_orders", retryable: true });
    }
    if (order.maxFee > this.free) {
      throw new TidelaneError(
        `This request may cost ${order.maxFee}, and ${this.free} of the session's ${this.#limit} is left. Lower max_tokens, or open a new session.`,
        { code: "budget_exhausted", retryable: this.#inFlight > 0n, details: { needed: String(order.maxFee), free: String(this.free), limit: String(this.#limit) } },
      );
    }
    this.#add(order);
    return this.#charged + this.#inFlight;
  }

  /**
   * Ends an order. Only the first call for a task counts.
   * @throws RangeError for a charge outside 0 to the order's maxFee: the caller has checked the receipt before.
   */
  settle(taskId: Hash, charge: TokenAmount): void {
    const order = this.#orders.get(taskId);
    if (!order) return;
    if (charge < 0n || charge > order.maxFee) throw new RangeError(`a charge of ${charge} for an order of at most ${order.maxFee}`);
    this.#orders.delete(taskId);
    this.#inFlight -= order.maxFee;
    this.#charged += charge;
  }

  #add(order: OpenOrder): void {
    this.#orders.set(order.taskId, order);
    this.#inFlight += order.maxFee;
  }
}
