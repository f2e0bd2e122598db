// The node tables of one process in their order: what each tells of the time since the one before, and where they contradict.
import { keccak256, stringToHex } from "viem/utils";
import { tableFromText, type LoadEvent, type NodeTable, type TableHead } from "../../relayer/routing/table.ts";
import { IDLE, type OwnLoad } from "../../relayer/routing/saturation.ts";
import { ZERO_HASH, type Hash } from "../../protocol/units.ts";

export interface ReadTable {
  readonly root: Hash;
  readonly head: TableHead;
  readonly text: string;
}

/** @returns the table, or null where the text is none. A caller that asked for a root compares it with the one here. */
export function readTable(text: string): ReadTable | null {
  try {
    const { head } = tableFromText(text, () => IDLE);
    const isWhole = [head.sequence, head.publishedAtMs, ...head.events.flatMap((event) => [event.sequence, event.booking])].every(Number.isSafeInteger);
    const isKnown = head.events.every((event) => event.kind === "first" || event.kind === "release");
    return isWhole && isKnown ? { root: keccak256(stringToHex(text)), head, text } : null;
  } catch {
    return null;
  }
}

export class TableChain {
  /** By place in the chain, oldest first. */
  readonly tables: readonly ReadTable[];
  /** In order; what two tables tell of one number stands once. */
  readonly events: readonly LoadEvent[];
  /** Sentences about tables that contradict each other. */
  readonly faults: readonly string[];
  readonly #byRoot: ReadonlyMap<Hash, ReadTable>;
  readonly #next = new Map<Hash, ReadTable>();
  /** Stretches (from, to] of the process's count in which every first token and release is told. */
  readonly #told: { readonly from: number; readonly to: number }[] = [];

  /** @param tables all of one process, in any order */
  constructor(tables: readonly ReadTable[]) {
    this.#byRoot = new Map(tables.map((table) => [table.root, table]));
    const faults: string[] = [];
    for (const table of this.#byRoot.values()) {
      const rival = this.#next.get(table.head.previous);
      if (rival) faults.push(`tables ${rival.root} and ${table.root} both follow ${table.head.previous}`);
      else this.#next.set(table.head.previous, table);
      faults.push(...this.#stretch(table));
    }
    this.tables = [...this.#byRoot.values()].sort((a, b) => a.head.sequence - b.head.sequence || a.head.publishedAtMs - b.head.publishedAtMs);
    this.#told.sort((a, b) => a.from - b.from);
    const events = new Map(this.tables.flatMap((table) => table.head.events.map((event): [number, LoadEvent] => [event.sequence, event])));
    this.events = [...events.values()].sort((a, b) => a.sequence - b.sequence);
    this.faults = [...faults, ...impossibleEvents(this.events)];
  }

  of(root: Hash): ReadTable | undefined {
    return this.#byRoot.get(root);
  }

  /** The table published after this one, where it is known. */
  after(root: Hash): ReadTable | undefined {
    return this.#next.get(root);
  }

  /** From this number on tables tell; what ended before is not known here. */
  get from(): number {
    return this.#told[0]?.from ?? 0;
  }

  /** Numbers between two (both excluded) that tables tell about, and those that they do not (yet). */
  between(low: number, high: number): { readonly told: readonly (readonly [number, number])[]; readonly untold: number } {
    const told: [number, number][] = [];
    let covered = 0;
    let at = low + 1;
    for (const { from, to } of this.#told) {
      const [first, last] = [Math.max(from + 1, at), Math.min(to, high - 1)];
      if (first > last) continue;
      told.push([first, last]);
      covered += last - first + 1;
      at = last + 1;
    }
    return { told, untold: Math.max(0, high - low - 1) - covered };
  }

  /** Takes in what a table tells. @returns what is wrong with it */
  #stretch(table: ReadTable): string[] {
    const { sequence, previous, events } = table.head;
    const before = this.#byRoot.get(previous);
    const from = previous === ZERO_HASH ? 0 : before?.head.sequence ?? Math.min(sequence, ...events.map((event) => event.sequence - 1));
    if (sequence > from) this.#told.push({ from, to: sequence });
    const isOrdered = events.every((event, i) => event.sequence > (events[i - 1]?.sequence ?? from) && event.sequence <= sequence);
    return sequence >= from && isOrdered ? [] : [`table ${table.root} tells of another time than that since the table before it`];
  }
}

/** A table to decide by, with the loads that stand in `own` at the moment it is read. */
export const tableWith = (table: ReadTable, own: (nodeId: number) => Readonly<OwnLoad>): NodeTable => tableFromText(table.text, own);

/** A booking gets its first token at most once, ends once, and neither before it began. */
function impossibleEvents(events: readonly LoadEvent[]): string[] {
  const released = new Set<number>();
  const first = new Set<number>();
  return events.flatMap(({ sequence, kind, booking }) => {
    const isPossible = booking >= 1 && booking < sequence && !released.has(booking) && !(kind === "first" && first.has(booking));
    (kind === "first" ? first : released).add(booking);
    return isPossible ? [] : [`event ${sequence} (${kind} of booking ${booking}) cannot be`];
  });
}
