// What the relayer's other processes gave payers since one last heard of it: the difference between what they tell now and told before.
//
//   their tellings    7: x 100          9: x 180, z 40        9: the same      (none for a while)   31: x 900
//   what is new       nothing: begun    x 80, z 40            nothing          -                    nothing: begun again
//
// Whoever has not listened for a while begins anew, as a payer that comes back does: nobody was kept back here meanwhile, so what
// was given elsewhere is held against nobody. A process that died tells nothing more, and is forgotten.
import { TALLIED_MAX, type Given, type TallyEntry } from "./tally.ts";
import type { Hash, Millis } from "../../protocol/units.ts";

/** Everything that a process tells at once. */
export interface Telling {
  readonly process: string;
  /** Grows with each telling of the process. */
  readonly sequence: number;
  readonly models: ReadonlyMap<Hash, readonly TallyEntry[]>;
}

/** What another process gave a payer since the last time; less than nothing where it took back. */
export interface GivenElsewhere extends Given {
  readonly modelId: Hash;
  readonly payer: string;
}

/** Who has heard nothing for so long begins anew. */
export const LISTENED_MS: Millis = 2_000;
/** Of more processes the first ones count. */
export const PROCESSES_MAX = 64;
/** Payers of all models together that are remembered of one process; the one longest not told of is forgotten first. */
const REMEMBERED_MAX = 4 * TALLIED_MAX;

interface Heard {
  sequence: number;
  readonly entries: Map<string, TallyEntry>;
}

export class Others {
  #heard = new Map<string, Heard>();
  #heardAtMs: Millis = -Infinity;

  /** @param tellings the last one of each other process */
  hear(tellings: readonly Telling[], nowMs: Millis): readonly GivenElsewhere[] {
    if (nowMs - this.#heardAtMs > LISTENED_MS) this.#heard = new Map();
    this.#heardAtMs = nowMs;
    const present = new Map<string, Heard>();
    const given: GivenElsewhere[] = [];
    for (const telling of tellings.slice(0, PROCESSES_MAX)) {
      const known = this.#heard.get(telling.process);
      // Of one that was not heard before, everything lies in the past.
      const heard = known ?? { sequence: Infinity, entries: new Map<string, TallyEntry>() };
      if (!known || telling.sequence > known.sequence) given.push(...newIn(telling, heard));
      present.set(telling.process, heard);
    }
    this.#heard = present;
    return given;
  }
}

/** Takes a telling in. @returns what it says beyond those before */
function newIn({ sequence, models }: Telling, heard: Heard): GivenElsewhere[] {
  const given: GivenElsewhere[] = [];
  for (const [modelId, entries] of models) {
    for (const entry of entries) {
      const key = modelId + entry.payer;
      const since = sinceWhen(entry, heard.entries.get(key), heard.sequence);
      if (since) given.push({ modelId, payer: entry.payer, served: entry.served - since.served, deferred: entry.deferred - since.deferred, asked: entry.asked - since.asked });
      heard.entries.delete(key);
      heard.entries.set(key, entry);
      if (heard.entries.size > REMEMBERED_MAX) heard.entries.delete(heard.entries.keys().next().value!);
    }
  }
  heard.sequence = sequence;
  return given;
}

const NOTHING: Given = { served: 0, deferred: 0, asked: 0 };

/** @returns what an entry is to be compared with; null where nothing new can be told of it */
function sinceWhen(entry: TallyEntry, known: TallyEntry | undefined, heardSequence: number): Given | null {
  if (known?.born === entry.born) return known;
  // It began after the last telling: all of it is new. Else it was told of before, and how much of it is not known any more.
  return entry.born > heardSequence ? NOTHING : null;
}
