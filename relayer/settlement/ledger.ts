// A session's books in the relayer: what may still be ordered, so that every order is covered when its batch is posted.
//
//        0 ── settled ── charged ── + reserved ──────────▶ committed
//             on chain   finished    orders in flight          │  never beyond any of
//                                                              ├─ lock, maxTotal        what is on chain
//                                                              ├─ cap                   VOUCHER: the greatest voucher
//                                                              └─ settled + level(t)    ALLOWANCE: the token bucket
import { Mode, type ModeValue } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Hash, Seconds, TokenAmount } from "../../protocol/units.ts";

/** What the payer signed, as far as the books need it. */
export interface LedgerTerms {
  readonly mode: ModeValue;
  readonly maxTotal: TokenAmount;
  /** ALLOWANCE: a bucket of twice this much, refilled by this much in 24 h. */
  readonly maxPerDay: TokenAmount;
}

/** What the chain said about the session at one time. */
export interface LockReading {
  /** What batches may charge in all. */
  readonly lock: TokenAmount;
  /** What batches have charged. */
  readonly charged: TokenAmount;
  readonly bucketLevel: TokenAmount;
  readonly readAtSeconds: Seconds;
}

/** More orders than this in flight in one session are refused: a limit on memory, far above what a lock covers. */
export const RESERVATIONS_MAX = 10_000;
const DAY_SECONDS = 86_400n;

/** What an ALLOWANCE bucket holds some time after it was read, if nothing else is charged: refilled down, never above its capacity. */
export function bucketLevelAt(reading: LockReading, maxPerDay: TokenAmount, nowSeconds: Seconds): TokenAmount {
  const passed = BigInt(Math.max(0, Math.floor(nowSeconds) - reading.readAtSeconds));
  const level = reading.bucketLevel + (maxPerDay * passed) / DAY_SECONDS;
  const capacity = 2n * maxPerDay;
  return level < capacity ? level : capacity;
}

export class SessionLedger {
  readonly #terms: LedgerTerms;
  readonly #reservations = new Map<Hash, TokenAmount>();
  #reading: LockReading | null = null;
  #charged: TokenAmount;
  #cap: TokenAmount;
  #reserved: TokenAmount = 0n;

  /** @param charged charges of all tasks that the journal holds. @param cap of the greatest voucher that it holds. */
  constructor(terms: LedgerTerms, charged: TokenAmount, cap: TokenAmount) {
    this.#terms = terms;
    this.#charged = charged;
    this.#cap = cap;
  }

  get charged(): TokenAmount {
    return this.#charged;
  }

  get reserved(): TokenAmount {
    return this.#reserved;
  }

  get cap(): TokenAmount {
    return this.#cap;
  }

  get inFlight(): number {
    return this.#reservations.size;
  }

  /** Takes a newer reading of the chain; an older one than the last is ignored. */
  read(reading: LockReading): void {
    if (this.#reading && reading.readAtSeconds < this.#reading.readAtSeconds) return;
    this.#reading = reading;
    // A journal restored from an old copy knows less than the chain; what was settled was charged.
    if (reading.charged > this.#charged) this.#charged = reading.charged;
  }

  /** What the session could at most still be charged by further orders, vouchers aside; 0 before the chain was read. */
  exposure(nowSeconds: Seconds): TokenAmount {
    const left = this.#ceiling(nowSeconds) - this.#charged - this.#reserved;
    return left > 0n ? left : 0n;
  }

  /**
   * Reserves an order's greatest charge, or changes nothing.
   * @param voucherCap the cap of the order's voucher, already checked; null in ALLOWANCE mode.
   * @throws TidelaneError `order_replayed`, `voucher_cap_too_low`, `insufficient_escrow`, `allowance_exhausted`, `too_many_orders`
   */
  reserve(taskId: Hash, maxFee: TokenAmount, voucherCap: TokenAmount | null, nowSeconds: Seconds): void {
    if (this.#reservations.has(taskId)) throw replayed(taskId);
    if (this.#reservations.size >= RESERVATIONS_MAX) {
      throw new TidelaneError(`This session has ${RESERVATIONS_MAX} orders in flight; wait until some have ended.`, { code: "too_many_orders", retryable: true });
    }
    const needed = this.#charged + this.#reserved + maxFee;
    const cap = voucherCap !== null && voucherCap > this.#cap ? voucherCap : this.#cap;
    this.#requireCap(needed, cap);
    this.#requireLock(needed);
    this.#requireBucket(needed, nowSeconds);
    this.#reservations.set(taskId, maxFee);
    this.#reserved += maxFee;
  }

  /** The most that the session may owe in all, charges and every reservation included, with a voucher of this cap (null in ALLOWANCE mode). */
  most(voucherCap: TokenAmount | null, nowSeconds: Seconds): TokenAmount {
    const ceiling = this.#ceiling(nowSeconds);
    return this.#terms.mode === Mode.VOUCHER ? minOf(ceiling, maxOf(this.#cap, voucherCap ?? 0n)) : ceiling;
  }

  /** A voucher with this cap is in the journal now; before that it covers its own order only, because a crash would lose it. */
  journaledCap(cap: TokenAmount): void {
    if (cap > this.#cap) this.#cap = cap;
  }

  /** Turns a reservation into a charge. Does nothing where there is none any more. @throws RangeError above what was reserved. */
  charge(taskId: Hash, charge: TokenAmount): void {
    const reserved = this.#reservations.get(taskId);
    if (reserved === undefined) return;
    if (charge < 0n || charge > reserved) throw new RangeError(`charge ${charge} of task ${taskId} is outside its reservation of ${reserved}`);
    this.release(taskId);
    this.#charged += charge;
  }

  /** Gives a reservation back. Idempotent. */
  release(taskId: Hash): void {
    const reserved = this.#reservations.get(taskId);
    if (reserved === undefined) return;
    this.#reservations.delete(taskId);
    this.#reserved -= reserved;
  }

  #requireCap(needed: TokenAmount, cap: TokenAmount): void {
    if (this.#terms.mode !== Mode.VOUCHER || needed <= cap) return;
    throw new TidelaneError(`The voucher's cap is ${cap}; charges so far, orders in flight and this order need ${needed}. Sign a voucher with at least that cap.`, {
      code: "voucher_cap_too_low", details: { needed: String(needed), cap: String(cap), charged: String(this.#charged), reserved: String(this.#reserved) },
    });
  }

  #requireLock(needed: TokenAmount): void {
    const most = this.#locked();
    if (needed <= most) return;
    throw new TidelaneError(`The session's lock covers ${most}; charges so far, orders in flight and this order need ${needed}. Top it up or open another session.`, {
      code: "insufficient_escrow", details: { needed: String(needed), free: String(maxOf(0n, most - this.#charged - this.#reserved)), locked: String(most) },
    });
  }

  #requireBucket(needed: TokenAmount, nowSeconds: Seconds): void {
    if (this.#terms.mode !== Mode.ALLOWANCE || !this.#reading) return;
    const most = this.#reading.charged + bucketLevelAt(this.#reading, this.#terms.maxPerDay, nowSeconds);
    if (needed <= most) return;
    throw new TidelaneError("The session's daily allowance is used up for now; it refills steadily over 24 hours.", {
      code: "allowance_exhausted", retryable: true, details: { needed: String(needed), free: String(maxOf(0n, most - this.#charged - this.#reserved)) },
    });
  }

  #locked(): TokenAmount {
    return this.#reading ? minOf(this.#reading.lock, this.#terms.maxTotal) : 0n;
  }

  #ceiling(nowSeconds: Seconds): TokenAmount {
    if (!this.#reading || this.#terms.mode !== Mode.ALLOWANCE) return this.#locked();
    return minOf(this.#locked(), this.#reading.charged + bucketLevelAt(this.#reading, this.#terms.maxPerDay, nowSeconds));
  }
}

export const replayed = (taskId: Hash): TidelaneError =>
  new TidelaneError("This order was already used. Sign a new order with another nonce.", { code: "order_replayed", details: { taskId } });

const minOf = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const maxOf = (a: bigint, b: bigint): bigint => (a > b ? a : b);
