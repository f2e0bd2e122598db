// What payers may come to owe this node, against what they have signed and locked: work is taken only inside it.
import type { ChainSession, NodeStore } from "../ports.ts";
import { Mode } from "../../protocol/constants.ts";
import type { Hash, TokenAmount } from "../../protocol/units.ts";

const SESSIONS_MAX = 20_000;

export class Exposure {
  readonly #store: Pick<NodeStore, "sessionCharges">;
  /** Shares of attempts that run; gone when the last one ends. */
  readonly #reserved = new Map<Hash, TokenAmount>();
  /** The greatest voucher cap that was seen for a session: it is the one that counts. */
  readonly #caps = new Map<Hash, TokenAmount>();

  constructor(store: Pick<NodeStore, "sessionCharges">) {
    this.#store = store;
  }

  /**
   * Reserves a share where the payer's evidence covers it.
   * @param cap the voucher's, its signature checked; null in ALLOWANCE mode.
   * @returns why not, or the idempotent release.
   */
  reserve(sessionId: Hash, session: ChainSession, cap: TokenAmount | null, share: TokenAmount): string | (() => void) {
    const acked = this.#store.sessionCharges(sessionId);
    const running = this.#reserved.get(sessionId) ?? 0n;
    const signed = cap === null ? session.maxTotal : this.#greatestCap(sessionId, cap);
    // Others charge this session too: the chain knows of theirs, this node of its own; the greater is owed for certain.
    const owed = acked > session.charged ? acked : session.charged;
    if (owed + running + share > signed) return `${owed} is owed and ${running} runs; a share of ${share} exceeds the signed ${signed}`;
    const unsettled = acked > session.charged ? acked - session.charged : 0n;
    const free = session.lock - session.reserved;
    if (unsettled + running + share > free) return `${unsettled} waits for settlement and ${running} runs; a share of ${share} exceeds the lock's ${free}`;
    if (session.mode === Mode.ALLOWANCE && unsettled + running + share > session.bucketLevel) return `a share of ${share} exceeds the allowance's level of ${session.bucketLevel}`;
    this.#reserved.set(sessionId, running + share);
    return this.#releaseOnce(sessionId, share);
  }

  #releaseOnce(sessionId: Hash, share: TokenAmount): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const left = (this.#reserved.get(sessionId) ?? 0n) - share;
      if (left > 0n) this.#reserved.set(sessionId, left);
      else this.#reserved.delete(sessionId);
    };
  }

  #greatestCap(sessionId: Hash, cap: TokenAmount): TokenAmount {
    const known = this.#caps.get(sessionId) ?? 0n;
    const greatest = cap > known ? cap : known;
    this.#caps.delete(sessionId);
    this.#caps.set(sessionId, greatest);
    if (this.#caps.size > SESSIONS_MAX) this.#caps.delete(this.#caps.keys().next().value!);
    return greatest;
  }
}
