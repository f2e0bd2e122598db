// The sessions that this process holds: found in memory, else in the journal, and forgotten when they are over.
import { SessionBook } from "./sessionBook.ts";
import type { Hash } from "../../protocol/units.ts";
import type { Clock } from "../ports/world.ts";
import type { Chain } from "../ports/chain.ts";
import type { Journal } from "../ports/journal.ts";

/** A lock is released so many W after its session ended. */
const LOCK_WINDOWS = 3;

export class SessionBooks {
  readonly #chain: Chain;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #books = new Map<Hash, SessionBook>();

  constructor(world: { readonly chain: Chain; readonly journal: Journal; readonly clock: Clock }) {
    this.#chain = world.chain;
    this.#journal = world.journal;
    this.#clock = world.clock;
  }

  /** @throws `journal_unavailable` */
  async load(): Promise<void> {
    const books = (await this.#journal.sessions()).map((stored) => new SessionBook(stored));
    for (const book of books) if (!this.#isOver(book)) this.#books.set(book.sessionId, book);
  }

  /** Null where it is not in memory. */
  held(sessionId: Hash): SessionBook | null {
    return this.#books.get(sessionId) ?? null;
  }

  /** From memory, else from the journal: another process of this relayer may have registered it. @throws `journal_unavailable` */
  async find(sessionId: Hash): Promise<SessionBook | null> {
    const known = this.#books.get(sessionId);
    if (known) return known;
    const stored = await this.#journal.session(sessionId);
    if (!stored) return null;
    // Two requests may have asked at once; there must be one ledger.
    const book = this.#books.get(sessionId) ?? new SessionBook(stored);
    this.#books.set(sessionId, book);
    return book;
  }

  /** Reads the chain again for the next sessions in turn, and forgets those that are over. @throws `chain_unreachable` */
  async refreshInTurn(limit: number): Promise<void> {
    const turn = [...take(this.#books.values(), limit)];
    for (const book of turn) {
      this.#books.delete(book.sessionId);
      // The journal still has it, should anybody ask.
      if (!this.#isOver(book)) this.#books.set(book.sessionId, book);
    }
    await Promise.all(turn.map((book) => book.refresh(this.#chain, this.#clock)));
  }

  /** Its lock is released and nothing is in flight: no order, no charge will come. */
  #isOver(book: SessionBook): boolean {
    const releasedAt = book.authorization.validUntil + LOCK_WINDOWS * this.#chain.deployment.windowSeconds;
    return book.ledger.inFlight === 0 && (book.reading?.state === "closed" || this.#clock.nowMs() / 1_000 > releasedAt);
  }
}

function* take<Value>(values: Iterable<Value>, limit: number): Generator<Value> {
  let taken = 0;
  for (const value of values) {
    if (taken++ >= limit) return;
    yield value;
  }
}
