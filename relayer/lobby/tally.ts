// What one process of a relayer has given its payers at one lobby, in running sums, as its other processes are told of it.
//
// Sums and not changes: a telling that is read twice, late or never does no harm, since the next one says all of it again.
import type { Tokens } from "../../protocol/units.ts";

/** Tokens of a payer since its entry began; what it was charged too much is taken off again. */
export interface Given {
  /** As the line of those who wait counts it, and the line of those who wait for the ebb. */
  readonly served: Tokens;
  readonly deferred: Tokens;
  /** By those who will not wait: what admission is measured by. */
  readonly asked: Tokens;
}

export interface TallyEntry extends Given {
  readonly payer: string;
  /** Number of the first telling that could hold the entry: one that was forgotten and began anew is told from what it was. */
  readonly born: number;
}

type Mutable<Type> = { -readonly [Member in keyof Type]: Type[Member] };

interface Kept {
  readonly entry: Mutable<TallyEntry>;
  /** Number of the telling that told the last change first. */
  changedIn: number;
}

/** Payers whose sums are kept; the one that was longest given nothing begins anew. */
export const TALLIED_MAX = 4_096;
/** Of those to whom something was given lately so many are told of, the last ones. */
export const TOLD_MAX = 256;
/** An entry is told so often after its last change: who missed one telling hears the next. */
const TELLINGS = 8;
/** Not told yet. */
const UNTOLD = 0;

export class Tally {
  /** The one longest given nothing first. */
  readonly #kept = new Map<string, Kept>();
  #hasNews = false;

  /** Whether anything was given since it was told last. */
  get hasNews(): boolean {
    return this.#hasNews;
  }

  add(payer: string, what: keyof Given, tokens: Tokens): void {
    if (tokens === 0) return;
    const kept = this.#kept.get(payer) ?? { entry: { payer, born: UNTOLD, served: 0, deferred: 0, asked: 0 }, changedIn: UNTOLD };
    kept.entry[what] += tokens;
    kept.changedIn = UNTOLD;
    this.#kept.delete(payer);
    this.#kept.set(payer, kept);
    if (this.#kept.size > TALLIED_MAX) this.#kept.delete(this.#kept.keys().next().value!);
    this.#hasNews = true;
  }

  /** @param telling its number, from 1 and greater than those before */
  tell(telling: number): readonly TallyEntry[] {
    this.#hasNews = false;
    const told: TallyEntry[] = [];
    for (const [i, kept] of [...this.#kept.values()].reverse().entries()) {
      if (kept.changedIn === UNTOLD) kept.changedIn = telling;
      if (kept.entry.born === UNTOLD) kept.entry.born = telling;
      if (kept.changedIn <= telling - TELLINGS) break;
      if (i < TOLD_MAX) told.push({ ...kept.entry });
    }
    return told;
  }
}
