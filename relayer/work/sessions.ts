// Who pays: turns a payment header or an API key into an order that is covered by a payer's signature and a lock on chain.
//
//   cover ─▶ reserved ─▶ charged(charge)   the task was journaled as finished
//                    └─▶ release()         nothing is owed; on every other path
//
// The task is journaled as open before `cover` resolves, because an order must never be assigned twice under one attempt
// number, not even across a restart (double assignment is slashable). An order that the payer did not sign has an id that nobody
// can send again, so its row may be written beside its dispatch: see headStart.ts. Whoever covers must also end the task with
// `journal.finishTask`, with no attempts where none was made, unless `opened` rejects.
import { apiKeyRequestDigest, type Payment } from "../../protocol/payment.ts";
import { digestOfHash, hashStruct } from "../../protocol/typedData.ts";
import { Mode, type ModeValue } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { ApiKeys } from "./apiKeys.ts";
import { HeadStarts } from "./headStart.ts";
import { isUnreachable, type SessionBook } from "./sessionBook.ts";
import { SessionBooks } from "./sessionBooks.ts";
import { requireAuthorizationFits, requireFeeAllowed, requireOrderFits, requirePaysInput, requireTakesOrders, requireWorthOpening } from "./sessionChecks.ts";
import type { Cover, CoverRequest } from "./cover.ts";
import type { CoveredOrder } from "../../protocol/records.ts";
import type { SpendingAuthorization, TaskOrder } from "../../protocol/generated/structs.ts";
import type { Hash, Hex, Millis, Seconds, Signature, TokenAmount } from "../../protocol/units.ts";
import type { Clock, Crypto, Dice, Identity, Log } from "../ports/world.ts";
import type { Chain } from "../ports/chain.ts";
import type { Journal, OpenedTask, SignedVoucher } from "../ports/journal.ts";

export interface Registered {
  readonly sessionId: Hash;
  readonly mode: "voucher" | "allowance";
  /** ALLOWANCE, and only where this very call opened the session: its calldata is public afterwards, see `issueKey`. */
  readonly apiKey: string | null;
}

/** Plain values for JSON; amounts as decimal strings. */
export interface SessionDescription {
  readonly sessionId: Hash;
  readonly payer: Hex;
  readonly sessionKey: Hex;
  readonly relayerId: number;
  readonly mode: "voucher" | "allowance";
  readonly state: "unopened" | "open" | "closing" | "closed";
  readonly lock: string;
  readonly maxTotal: string;
  readonly maxPerTask: string;
  /** Charges of all finished tasks, settled or not. */
  readonly charged: string;
  /** Charges that batches have settled on chain. */
  readonly settled: string;
  readonly reserved: string;
  /** Greatest voucher cap seen (VOUCHER). */
  readonly cap: string;
  readonly exposure: string;
  readonly validAfter: Seconds;
  readonly validUntil: Seconds;
  readonly readAt: Seconds;
}

/** A request for an API key: `sessionKey` signs apiKeyRequestDigest (protocol/payment.ts). */
export interface KeyRequest {
  /** Unix seconds; at most 60 s from the relayer's clock, and later than the last request's. */
  readonly issuedAt: Seconds;
  readonly signature: Signature;
}

export interface SessionsOptions {
  readonly chain: Chain;
  readonly journal: Journal;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly identity: Identity;
  readonly log: Log;
  /** A session that locks less is not opened at this relayer's gas. */
  readonly leastLock: TokenAmount;
}

/** Long enough to wait in a queue and be answered; whoever serves it has a deadline of its own. */
const ALLOWANCE_ORDER_SECONDS: Seconds = 3_600;
const NONCE_ATTEMPTS = 5;
const KEY_REQUEST_SECONDS_MAX: Seconds = 60;
/** Openings that the relayer pays gas for at one time. */
const OPENINGS_MAX = 32;

export class Sessions {
  readonly #world: SessionsOptions;
  readonly #books: SessionBooks;
  readonly #opening = new Set<Hash>();
  readonly #keys: ApiKeys;
  readonly #headStarts = new HeadStarts();

  constructor(world: SessionsOptions) {
    this.#world = world;
    this.#books = new SessionBooks(world);
    this.#keys = new ApiKeys(world);
  }

  /** Loads the journal's sessions. Call it once, after the journal is open and before the first `cover`. */
  async load(): Promise<void> {
    await this.#books.load();
  }

  /**
   * Checks that a payer covers this request, reserves its greatest charge and journals the task as open, or begins to: `opened` then
   * rejects with what the journal says (order_replayed, nonce_taken, orders_elsewhere, journal_unavailable).
   * @throws TidelaneError with one of the codes
   *   missing_key (neither payment nor key), unknown_key, invalid_payment (commitment, model, tier or links do not fit),
   *   wrong_key (voucher not signed by the session key), unknown_session (not registered here), unopened_session,
   *   session_expired, session_not_yet_valid, session_closing, order_expired, order_replayed, order_above_maximum (maxFee > maxPerTask),
   *   order_below_price (maxFee does not pay for the input),
   *   voucher_cap_too_low (details.needed, details.cap), insufficient_escrow (details.needed, details.free),
   *   allowance_exhausted (retryable), orders_elsewhere (retryable), too_many_orders (retryable), fee_above_maximum (relayer fee > maxFeeBps),
   *   journal_unavailable (retryable), chain_unreachable (retryable; only where no recent reading of the session exists).
   */
  async cover(request: CoverRequest): Promise<Cover> {
    if (!this.#world.journal.isUp()) throw new TidelaneError("The database cannot be reached; try again shortly.", { code: "journal_unavailable", retryable: true });
    if (request.payment) return await this.#coverByVoucher(request, request.payment);
    if (request.apiKey) return await this.#coverByAllowance(request, await this.#bookOfKey(request.apiKey, request.nowMs));
    throw new TidelaneError("Send an API key (Authorization: Bearer tl_...) or a signed order (x-tidelane-payment).", { code: "missing_key" });
  }

  /**
   * Takes a payer's signed authorization: opens the session on chain where it is not open (the relayer pays the gas) and remembers it.
   * @throws invalid_authorization, fee_above_maximum, lock_too_small, authorization_rejected (the contract's reason), chain_unreachable,
   *   journal_unavailable, too_many_openings (retryable)
   */
  async register(authorization: SpendingAuthorization, signature: Hex): Promise<Registered> {
    const { chain, journal, identity, clock } = this.#world;
    requireAuthorizationFits(authorization, signature, identity, Math.floor(clock.nowMs() / 1_000));
    const sessionId = hashStruct("SpendingAuthorization", authorization);
    const isNew = await this.#books.find(sessionId) === null;
    const remember = (): Promise<void> => journal.putSession({ sessionId, authorization, nextNonce: 0n, charged: 0n, voucher: null });
    const isOpener = await this.#open(sessionId, authorization.lock, () => chain.openSession(authorization, signature)).catch(async (error: unknown) => {
      // Mined and reverted: the authorization is public now, so this session is no longer new.
      if (error instanceof TidelaneError && error.details.mined === true) await remember();
      throw error;
    });
    if (isNew) await remember();
    const book = (await this.#books.find(sessionId))!;
    await book.refresh(chain, clock);
    // The authorization is public as soon as it is sent, so a copy of it must not be worth a key: later keys ask for the session key.
    const isKeyDue = isNew && isOpener && authorization.mode === Mode.ALLOWANCE;
    return { sessionId, mode: book.modeName, apiKey: isKeyDue ? await this.#newKey(book) : null };
  }

  /** @throws unknown_session */
  async describe(sessionId: Hash): Promise<SessionDescription> {
    const { chain, clock } = this.#world;
    const book = await this.#requireBook(sessionId);
    const reading = await book.current(chain, clock).catch((error: unknown) => {
      if (!isUnreachable(error)) throw error;
      return book.reading;
    });
    const { authorization, ledger } = book;
    const nowSeconds = Math.floor(clock.nowMs() / 1_000);
    const hasEnded = reading !== null && reading.state === "open" && nowSeconds >= authorization.validUntil;
    return {
      sessionId, payer: authorization.payer, sessionKey: authorization.sessionKey, relayerId: authorization.relayerId, mode: book.modeName,
      state: hasEnded ? "closing" : reading?.state ?? "unopened",
      lock: String(reading?.lock ?? 0n), maxTotal: String(authorization.maxTotal), maxPerTask: String(authorization.maxPerTask),
      charged: String(ledger.charged), settled: String(reading?.charged ?? 0n), reserved: String(ledger.reserved), cap: String(ledger.cap),
      exposure: String(ledger.exposure(nowSeconds)), validAfter: authorization.validAfter, validUntil: authorization.validUntil, readAt: reading?.readAtSeconds ?? 0,
    };
  }

  /**
   * A further API key for an ALLOWANCE session, asked for by its session key.
   * @throws unknown_session, wrong_key, invalid_request (not an ALLOWANCE session, or issuedAt out of range)
   */
  async issueKey(sessionId: Hash, request: KeyRequest): Promise<string> {
    const { chain, crypto, identity, clock } = this.#world;
    const book = await this.#requireBook(sessionId);
    if (book.authorization.mode !== Mode.ALLOWANCE) throw new TidelaneError("Only ALLOWANCE sessions have API keys.", { code: "invalid_request" });
    const nowSeconds = clock.nowMs() / 1_000;
    if (Math.abs(nowSeconds - request.issuedAt) > KEY_REQUEST_SECONDS_MAX || request.issuedAt <= book.lastKeyRequestSeconds) {
      throw new TidelaneError(`issuedAt must be within ${KEY_REQUEST_SECONDS_MAX} s of now and later than in the last request.`, { code: "invalid_request", details: { issuedAt: request.issuedAt } });
    }
    const signer = await crypto.recover(apiKeyRequestDigest(chain.deployment.domain, identity.relayerId, sessionId, request.issuedAt), request.signature);
    if (signer === null || signer !== book.authorization.sessionKey) throw wrongKey("The request for an API key");
    requireTakesOrders(await book.current(chain, clock), book.authorization, nowSeconds);
    book.lastKeyRequestSeconds = request.issuedAt;
    return await this.#newKey(book);
  }

  /** For the watcher: the next sessions in turn. @throws `chain_unreachable` */
  refreshInTurn(limit: number): Promise<void> {
    return this.#books.refreshInTurn(limit);
  }

  /** @throws `chain_unreachable` */
  async refreshNow(sessionIds: readonly Hash[]): Promise<void> {
    const { chain, clock } = this.#world;
    await Promise.all(sessionIds.map((sessionId) => this.#books.held(sessionId)?.refresh(chain, clock)));
  }

  /** Whether a session must settle soon whatever it is worth; null where it is not known here. */
  isEnding(sessionId: Hash, beforeSeconds: Seconds): boolean | null {
    const book = this.#books.held(sessionId);
    if (!book?.reading) return null;
    return book.reading.state !== "open" || book.authorization.validUntil <= beforeSeconds;
  }

  async #coverByVoucher(request: CoverRequest, payment: Payment): Promise<Cover> {
    const { crypto, chain } = this.#world;
    const book = await this.#requireBook(payment.order.sessionId);
    if (book.authorization.mode !== Mode.VOUCHER) throw new TidelaneError("This session pays by API key, not by vouchers.", { code: "invalid_payment" });
    const covered: CoveredOrder = { authorization: book.authorization, order: payment.order, voucher: payment.voucher, voucherSignature: payment.voucherSignature };
    requireOrderFits(covered, { ...request, promptCommit: this.#commit(payment.promptSalt, request.body), nowSeconds: request.nowMs / 1_000 });
    const voucherHash = hashStruct("Voucher", payment.voucher, crypto.keccak256);
    const signer = await crypto.recover(digestOfHash(chain.deployment.domain, voucherHash, crypto.keccak256), payment.voucherSignature);
    if (signer === null || signer !== book.authorization.sessionKey) throw wrongKey("The voucher");
    await this.#requireOpen(book, request.nowMs);
    const taskId = payment.voucher.taskId;
    return await this.#reserve(book, request, covered, taskId, payment.promptSalt, { voucher: payment.voucher, signature: payment.voucherSignature });
  }

  async #coverByAllowance(request: CoverRequest, book: SessionBook): Promise<Cover> {
    await this.#requireOpen(book, request.nowMs);
    for (let attempt = 1; ; attempt++) {
      const promptSalt = this.#world.dice.bytes32();
      const order = this.#orderFor(book, request, promptSalt);
      const covered: CoveredOrder = { authorization: book.authorization, order, voucher: null, voucherSignature: "0x" };
      const taskId = hashStruct("TaskOrder", order, this.#world.crypto.keccak256);
      try {
        return await this.#reserve(book, request, covered, taskId, promptSalt, null);
      } catch (error) {
        if (!isNonceTaken(error) || attempt >= NONCE_ATTEMPTS) throw error;
      }
    }
  }

  #orderFor(book: SessionBook, request: CoverRequest, promptSalt: Hash): TaskOrder {
    const { maxPerTask } = book.authorization;
    return {
      sessionId: book.sessionId, nonce: book.nextNonce, promptCommit: this.#commit(promptSalt, request.body), modelId: request.modelId, tier: request.tier,
      maxOutTokens: request.maxOutTokens, maxFee: request.estimatedMaxFee < maxPerTask ? request.estimatedMaxFee : maxPerTask,
      deadline: Math.floor(request.nowMs / 1_000) + ALLOWANCE_ORDER_SECONDS,
    };
  }

  async #requireOpen(book: SessionBook, nowMs: Millis): Promise<void> {
    const { chain, clock, identity } = this.#world;
    requireFeeAllowed(book.authorization, identity.feeBps);
    requireTakesOrders(await book.current(chain, clock), book.authorization, nowMs / 1_000);
  }

  async #reserve(book: SessionBook, request: CoverRequest, covered: CoveredOrder, taskId: Hash, promptSalt: Hash, voucher: SignedVoucher | null): Promise<Cover> {
    const { ledger } = book;
    const { clock } = this.#world;
    const nowSeconds = (): Seconds => Math.floor(clock.nowMs() / 1_000);
    requirePaysInput(covered.order.maxFee, request.leastFee);
    const cap = voucher?.voucher.cumulativeCap ?? null;
    const atSeconds = Math.floor(request.nowMs / 1_000);
    ledger.reserve(taskId, covered.order.maxFee, cap, atSeconds);
    if (voucher === null) book.nextNonce = covered.order.nonce + 1n;
    const nowMs = clock.monotonicMs();
    const isAhead = voucher === null && this.#headStarts.hasRoom(nowMs) && book.headStart.isGiven(nowMs);
    const task: OpenedTask = { taskId, sessionId: book.sessionId, order: covered.order, kind: request.kind, model: request.model, openedAtMs: request.nowMs };
    const opened = this.#write(book, task, voucher, ledger.most(cap, atSeconds), isAhead);
    if (!isAhead) await opened;
    // Told to whoever waits for it.
    opened.catch(() => {});
    return {
      covered, sessionId: book.sessionId, taskId, mode: book.authorization.mode as ModeValue, modeName: book.modeName, promptSalt, inputCommit: covered.order.promptCommit,
      opened,
      exposure: () => ledger.exposure(nowSeconds()),
      charged: (charge) => ledger.charge(taskId, charge),
      release: () => ledger.release(taskId),
    };
  }

  /** Resolves when the order's row is durable; an order without a row reserves nothing. */
  async #write(book: SessionBook, task: OpenedTask, voucher: SignedVoucher | null, most: TokenAmount, isAhead: boolean): Promise<void> {
    const { clock, journal } = this.#world;
    const { nonceCorrections } = book;
    this.#headStarts.writing();
    try {
      await journal.openTask(task, voucher, most);
      book.headStart.written(clock.monotonicMs());
      if (voucher) book.ledger.journaledCap(voucher.voucher.cumulativeCap);
    } catch (error) {
      book.ledger.release(task.taskId);
      book.headStart.refused(clock.monotonicMs());
      if (isAhead) this.#headStarts.inVain(clock.monotonicMs());
      if (isNonceTaken(error)) book.correctNonce(task.order.nonce, BigInt(error.details.next as string), nonceCorrections);
      throw error;
    } finally {
      this.#headStarts.ended();
    }
  }

  /** keccak256(salt || body) over megabytes: through native code and without a list of numbers in between. */
  #commit(salt: Hash, body: Uint8Array): Hash {
    return this.#world.crypto.keccak256(`${salt}${Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("hex")}`);
  }

  async #bookOfKey(apiKey: string, nowMs: Millis): Promise<SessionBook> {
    const sessionId = await this.#keys.sessionOf(apiKey, nowMs);
    const book = sessionId && await this.#books.find(sessionId);
    if (!book) throw new TidelaneError("This API key is not known here, or it has expired.", { code: "unknown_key" });
    return book;
  }

  #newKey(book: SessionBook): Promise<string> {
    return this.#keys.issue(book.sessionId, book.authorization.validUntil * 1_000);
  }

  /** @returns true where this call opened it. */
  async #open(sessionId: Hash, lock: TokenAmount, send: () => Promise<void>): Promise<boolean> {
    if (await this.#world.chain.session(sessionId)) return false;
    requireWorthOpening(lock, this.#world.leastLock);
    if (this.#opening.has(sessionId) || this.#opening.size >= OPENINGS_MAX) {
      throw new TidelaneError("This session, or too many others, are being opened right now; try again in some seconds.", { code: "too_many_openings", retryable: true });
    }
    this.#opening.add(sessionId);
    try {
      await send();
      return true;
    } finally {
      this.#opening.delete(sessionId);
    }
  }

  async #requireBook(sessionId: Hash): Promise<SessionBook> {
    const book = await this.#books.find(sessionId);
    if (book) return book;
    throw new TidelaneError("This session is not registered here: POST its authorization to /tidelane/v1/sessions first.", { code: "unknown_session", details: { sessionId } });
  }
}

const isNonceTaken = (error: unknown): error is TidelaneError => error instanceof TidelaneError && error.code === "nonce_taken";

const wrongKey = (what: string): TidelaneError => new TidelaneError(`${what} is not signed by the session key.`, { code: "wrong_key" });
