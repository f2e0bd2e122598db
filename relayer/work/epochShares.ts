// What all processes of one relayer relied on in an epoch, brought together in the journal, so that one of them commits it for all.
//
//   each process:   alive in e ──▶ e is over ──▶ puts its part of e ─┐
//   who leads:      all that were alive in e have put theirs ◀───────┘──▶ commitEpoch(e)
//
// A process that dies takes its part along, and assignments that it signed may name attestations that nobody else holds. A board
// without them could be contested (F12), so that epoch is not committed at all. One that is cut off from the journal cannot say that
// it lives in the next epoch, which the others will commit without it: it makes no choices in it until it has said so.
import { attestationFromJson, attestationToJson, type SignedAttestation } from "../../protocol/link.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { EpochSeeds } from "./fleet.ts";
import type { HeldAttestation } from "./epochAttestations.ts";
import type { Hash } from "../../protocol/units.ts";
import type { Journal } from "../ports/journal.ts";

/** Parts are kept for so many epochs, while the chain cannot be reached. */
export const EPOCHS_KEPT = 8;
const ALIVE_FACT = "board_processes";
const WRITE_TRIES = 16;

/** An attestation, and what its node's stake allowed when it arrived. */
export interface HeldSigned {
  readonly signed: SignedAttestation;
  readonly slotsMax: number;
}

export interface WholeEpoch {
  readonly held: readonly HeldSigned[];
  /** Newest node table of each process. */
  readonly tables: readonly Hash[];
}

interface StoredPart {
  readonly epoch: number;
  readonly by: readonly string[];
  readonly tables: readonly Hash[];
  readonly held: readonly { readonly slotsMax: number; readonly signed: unknown }[];
}

/** First and last epoch in which a process may have signed assignments, by its id. */
type Alive = Readonly<Record<string, readonly [number, number]>>;

export class EpochShares {
  readonly #journal: Pick<Journal, "getFact" | "replaceFact">;
  readonly #processId: string;
  /** First and last epoch in which the journal holds this process to live. */
  #alive: readonly [number, number] | null = null;
  #others = 0;

  /** @param processId never used before: a restarted process is another one */
  constructor(journal: Pick<Journal, "getFact" | "replaceFact">, processId: string) {
    this.#journal = journal;
    this.#processId = processId;
  }

  /** The relayer's other processes that may live, by what the journal said when this one last told that it lives. */
  get count(): number {
    return this.#others;
  }

  /** @param now the epoch by the clock @param until the last one in which this process may live before it says so again */
  async noteAlive(now: number, until: number): Promise<void> {
    if (this.#alive && until <= this.#alive[1]) return;
    let [first, last] = [now, until];
    await this.#change(ALIVE_FACT, (text) => {
      const known = Object.entries(JSON.parse(text ?? "{}") as Alive).filter(([, [, last]]) => last >= now - EPOCHS_KEPT);
      // Nothing that was said is taken back, in whatever order two calls end.
      this.#others = known.filter(([id, [, last]]) => id !== this.#processId && last >= now).length;
      const [since, before] = known.find(([id]) => id === this.#processId)?.[1] ?? [now, until];
      [first, last] = [since, Math.max(before, until)];
      return JSON.stringify({ ...Object.fromEntries(known), [this.#processId]: [first, last] });
    });
    this.#alive = [first, last];
  }

  /** The same seeds, and none for an epoch in which the journal does not hold this process to live. */
  whileAlive(seeds: EpochSeeds): EpochSeeds {
    return {
      seedOf: (epoch) => (this.#alive && epoch >= this.#alive[0] && epoch <= this.#alive[1] ? seeds.seedOf(epoch) : null),
    };
  }

  /** This process's part of an epoch that is over, once. */
  async put(epoch: number, held: readonly HeldAttestation[], tableRoot: Hash | null): Promise<void> {
    await this.#change(partFact(epoch), (text) => {
      const stored = partOf(text);
      const before = stored?.epoch === epoch ? stored : { epoch, by: [], tables: [], held: [] };
      // Too late: its place was taken by a later epoch's.
      if ((stored && stored.epoch > epoch) || before.by.includes(this.#processId)) return null;
      const own = held.map(({ state, slotsMax }) => ({ slotsMax, signed: attestationToJson(state.signed) }));
      return JSON.stringify({
        epoch, by: [...before.by, this.#processId], tables: [...before.tables, ...(tableRoot === null ? [] : [tableRoot])], held: greatestOf([...before.held, ...own]),
      } satisfies StoredPart);
    });
  }

  /** @returns null while a process that was alive in it has not put its part */
  async whole(epoch: number): Promise<WholeEpoch | null> {
    const part = partOf(await this.#journal.getFact(partFact(epoch)));
    if (part?.epoch !== epoch) return null;
    const alive = Object.entries(JSON.parse(await this.#journal.getFact(ALIVE_FACT) ?? "{}") as Alive);
    const isWhole = alive.every(([id, [first, last]]) => epoch < first || epoch > last || part.by.includes(id));
    return isWhole ? { held: part.held.map(({ slotsMax, signed }) => ({ slotsMax, signed: attestationFromJson(signed) })), tables: part.tables } : null;
  }

  /** @throws retryable `journal_busy` where others write all the time */
  async #change(name: string, change: (text: string | null) => string | null): Promise<void> {
    for (let tries = 0; tries < WRITE_TRIES; tries++) {
      const text = await this.#journal.getFact(name);
      const changed = change(text);
      if (changed === null || await this.#journal.replaceFact(name, text, changed)) return;
    }
    throw new TidelaneError(`Other processes write the journal's fact ${name} all the time.`, { code: "journal_busy", retryable: true });
  }
}

const partFact = (epoch: number): string => `board_part_${epoch % (2 * EPOCHS_KEPT)}`;
const partOf = (text: string | null): StoredPart | null => (text === null ? null : JSON.parse(text) as StoredPart);

/** Of each node the attestation of the greatest seq. */
function greatestOf(held: StoredPart["held"]): StoredPart["held"] {
  const byNode = new Map<number, StoredPart["held"][number]>();
  for (const one of held) {
    const { nodeId, seq } = attestationFromJson(one.signed).attestation;
    const before = byNode.get(nodeId);
    if (!before || attestationFromJson(before.signed).attestation.seq < seq) byNode.set(nodeId, one);
  }
  return [...byNode.values()];
}
