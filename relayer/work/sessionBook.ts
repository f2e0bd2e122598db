// One session as this process holds it: its ledger, its next nonce and what the chain said about it last.
//
//   age of the reading   0 s ── used ── 10 s ── used, renewed meanwhile ── 30 s ── renewed first; used if that fails ── 2 W ── refused
//
// Past 2 W a revocation could have released the lock before the order settles: a lock is held for 3 W after closing.
import { Mode } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { SessionLedger } from "../settlement/ledger.ts";
import { HeadStart } from "./headStart.ts";
import type { ModeValue } from "../../protocol/constants.ts";
import type { SpendingAuthorization } from "../../protocol/generated/structs.ts";
import type { Hash, Millis } from "../../protocol/units.ts";
import type { Clock } from "../ports/world.ts";
import type { Chain, ChainSession } from "../ports/chain.ts";
import type { StoredSession } from "../ports/journal.ts";

const FRESH_MS: Millis = 10_000;
const STALE_MS: Millis = 30_000;
/** While the chain does not answer, requests ask it no more often than this: nobody waits for a time-out that others wait for already. */
const RETRY_MS: Millis = 2_000;
const READ_MS_MAX: Millis = 3_000;

export class SessionBook {
  readonly sessionId: Hash;
  readonly authorization: SpendingAuthorization;
  readonly ledger: SessionLedger;
  readonly headStart = new HeadStart();
  /** ALLOWANCE: the nonce of the next order. */
  nextNonce: bigint;
  #nonceCorrections = 0;
  /** Of the last request for an API key: each must be later than the one before. */
  lastKeyRequestSeconds = 0;
  #reading: ChainSession | null = null;
  #readAtMs: Millis = -Infinity;
  #failedAtMs: Millis = -Infinity;
  #pending: Promise<ChainSession | null> | null = null;

  constructor(stored: StoredSession) {
    const { authorization } = stored;
    this.sessionId = stored.sessionId;
    this.authorization = authorization;
    this.nextNonce = stored.nextNonce;
    this.ledger = new SessionLedger(
      { mode: authorization.mode as ModeValue, maxTotal: authorization.maxTotal, maxPerDay: authorization.maxPerDay }, stored.charged, stored.voucher?.voucher.cumulativeCap ?? 0n,
    );
  }

  get nonceCorrections(): number {
    return this.#nonceCorrections;
  }

  /**
   * The journal refused a nonce. Of all orders that were given theirs before this was known, the first one's word counts.
   * @param next the journal's at that moment @param corrections there had been when the refused one was given
   */
  correctNonce(refused: bigint, next: bigint, corrections: number): void {
    if (corrections !== this.#nonceCorrections) return;
    this.#nonceCorrections += 1;
    // Where others were faster, this process's later orders may still get theirs; where one of its own was lost, none after it can.
    if (refused > next || next > this.nextNonce) this.nextNonce = next;
  }

  get modeName(): "voucher" | "allowance" {
    return this.authorization.mode === Mode.ALLOWANCE ? "allowance" : "voucher";
  }

  /** What the chain said last, however long ago; null where it was never asked or does not know the session. */
  get reading(): ChainSession | null {
    return this.#reading;
  }

  get readAtMs(): Millis {
    return this.#readAtMs;
  }

  /**
   * A reading that orders may rely on.
   * @returns null where the chain does not know the session.
   * @throws retryable `chain_unreachable` where the chain does not answer and the last reading is too old.
   */
  async current(chain: Chain, clock: Clock): Promise<ChainSession | null> {
    const ageMs = clock.monotonicMs() - this.#readAtMs;
    if (this.#reading && ageMs < STALE_MS) {
      // Whoever pays often never waits for the chain; should it not answer, a later call finds out.
      if (ageMs >= FRESH_MS) this.refresh(chain, clock).catch(() => {});
      return this.#reading;
    }
    try {
      return await this.refresh(chain, clock);
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      if (this.#reading && ageMs < 2 * chain.deployment.windowSeconds * 1_000) return this.#reading;
      throw error;
    }
  }

  /** Asks the chain; callers at the same time share one question. @throws retryable `chain_unreachable` */
  async refresh(chain: Chain, clock: Clock): Promise<ChainSession | null> {
    if (clock.monotonicMs() - this.#failedAtMs < RETRY_MS) throw unreachable(null);
    this.#pending ??= this.#read(chain, clock).finally(() => { this.#pending = null; });
    return await this.#pending;
  }

  async #read(chain: Chain, clock: Clock): Promise<ChainSession | null> {
    const startedMs = clock.monotonicMs();
    const patience = new AbortController();
    try {
      const reading = await Promise.race([
        chain.session(this.sessionId),
        clock.sleep(READ_MS_MAX, patience.signal).then((): never => { throw unreachable(null); }),
      ]);
      if (reading) this.ledger.read(reading);
      this.#reading = reading;
      // Measured from before the question: the answer is at least as new as that.
      this.#readAtMs = startedMs;
      return reading;
    } catch (error) {
      if (isUnreachable(error)) this.#failedAtMs = clock.monotonicMs();
      throw error;
    } finally {
      patience.abort();
    }
  }
}

export const isUnreachable = (error: unknown): boolean => error instanceof TidelaneError && error.code === "chain_unreachable";

const unreachable = (cause: unknown): TidelaneError =>
  new TidelaneError("The chain cannot be reached, and what it last said about this session is too old. Try again shortly.", { code: "chain_unreachable", retryable: true, cause });
