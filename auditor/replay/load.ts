// A process's own load on each node, rebuilt from its published decisions and from what its node tables tell: never from a claim.
//
//   every number of the process's count is a dispatch (a decision), a first token or a release (both told by tables); a number that
//   is none of them belongs to a dispatch that is not published
import type { LoadEvent } from "../../relayer/routing/table.ts";
import type { OwnLoad } from "../../relayer/routing/saturation.ts";
import type { PublishedDecision } from "./decisions.ts";
import type { TableChain } from "./tables.ts";

/** More numbers than this are never missing between two published ones, unless somebody made them up. */
const MISSING_MAX = 100_000;

interface Booking {
  readonly nodeId: number;
  readonly inputTokens: number;
  readonly contextTokens: number;
  hasFirst: boolean;
}

/** What may be in flight beyond what is known. */
export interface Doubt {
  /** Dispatches that are not published and have not ended. */
  readonly unpublished: number;
  /** Numbers of which no table tells: a dispatch, a first token or a release each. */
  readonly untold: number;
}

export class RebuiltLoad {
  readonly #chain: TableChain;
  readonly #own = new Map<number, OwnLoad>();
  readonly #bookings = new Map<number, Booking>();
  readonly #unpublished = new Set<number>();
  #untold = 0;
  #at: number;

  /**
   * @param known dispatches that the decisions tell, all of one process
   * @param wasOver whether a dispatch from before the first table had ended by then; null where that cannot be said
   */
  constructor(chain: TableChain, known: readonly PublishedDecision[], wasOver: (one: PublishedDecision) => boolean | null) {
    this.#chain = chain;
    this.#at = chain.from;
    const numbers = new Set(known.map((one) => one.decision.sequence));
    const released = new Set(chain.events.filter((event) => event.kind === "release").map((event) => event.booking));
    // What ended later but began before the first table, and is not published, was in flight all along.
    for (const booking of released) if (booking <= chain.from && !numbers.has(booking)) this.#unpublished.add(booking);
    for (const one of known) {
      const { sequence } = one.decision;
      if (sequence > chain.from) continue;
      const isOver = released.has(sequence) ? false : wasOver(one);
      if (isOver === null) this.#untold += 1;
      else if (!isOver) this.#book(one);
    }
  }

  /** The load on a node now; the same object all the time, so that a table can hold it. */
  on(nodeId: number): OwnLoad {
    const own = this.#own.get(nodeId) ?? { inFlight: 0, prefillTokens: 0, contextTokens: 0 };
    this.#own.set(nodeId, own);
    return own;
  }

  get doubt(): Doubt {
    return { unpublished: this.#unpublished.size, untold: this.#untold };
  }

  /** Goes on to just before a number: what lies between and is not known is doubted from here on. */
  advanceTo(sequence: number): void {
    if (sequence <= this.#at) return;
    const { told, untold } = this.#chain.between(this.#at, sequence);
    this.#untold += untold;
    for (const [first, last] of told) {
      if (last - first >= MISSING_MAX) this.#untold += last - first + 1;
      else for (let missing = first; missing <= last; missing++) this.#unpublished.add(missing);
    }
    this.#at = sequence;
  }

  dispatch(one: PublishedDecision): void {
    if (one.decision.sequence > this.#chain.from) this.#book(one);
  }

  take({ kind, booking: number }: LoadEvent): void {
    const booking = this.#bookings.get(number);
    if (kind === "release") this.#unpublished.delete(number);
    if (!booking) return;
    const own = this.on(booking.nodeId);
    if (!booking.hasFirst) own.prefillTokens -= booking.inputTokens;
    booking.hasFirst = true;
    if (kind === "first") return;
    own.inFlight -= 1;
    own.contextTokens -= booking.contextTokens;
    this.#bookings.delete(number);
  }

  #book({ decision }: PublishedDecision): void {
    if (this.#bookings.has(decision.sequence)) return;
    const contextTokens = decision.inputTokens + decision.expectedOutTokens;
    this.#bookings.set(decision.sequence, { nodeId: decision.chosen, inputTokens: decision.inputTokens, contextTokens, hasFirst: false });
    const own = this.on(decision.chosen);
    own.inFlight += 1;
    own.prefillTokens += decision.inputTokens;
    own.contextTokens += contextTokens;
  }
}
