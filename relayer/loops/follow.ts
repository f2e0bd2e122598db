// Follows a contract's events over rounds and restarts.
//
//   kept block ─▶ read on to the head ─▶ each new event is taken, or has no room and is read again later
//        ▲            the last blocks again in every round: a reorganisation may still change them
//        └──── the block of the oldest event at hand
import { atLeastZero, blockRanges, REORG_BLOCKS } from "./blocks.ts";
import type { Journal } from "../ports/journal.ts";

export interface Seen {
  readonly blockNumber: bigint;
}

/** Events live for W and are then remembered for a while: a day of two-second blocks, and some. */
const FIRST_LOOK_BLOCKS = 50_000n;

export class EventFollower {
  readonly #journal: Pick<Journal, "getFact" | "setFact">;
  readonly #fact: string;
  #nextBlock: bigint | null = null;
  #keptBlock = -1n;

  /** @param fact under which the journal keeps the block to read on from */
  constructor(journal: Pick<Journal, "getFact" | "setFact">, fact: string) {
    this.#journal = journal;
    this.#fact = fact;
  }

  /**
   * Reads on to the head, each event at least once.
   * @param take false where there is no room for it: reading ends there, and begins with it again
   * @throws `chain_unreachable`, `journal_unavailable`: the next call reads the same again
   */
  async readOn<Event extends Seen>(head: bigint, read: (from: bigint, to: bigint) => Promise<readonly Event[]>, take: (event: Event) => boolean): Promise<void> {
    this.#nextBlock ??= await this.#load() ?? atLeastZero(head - FIRST_LOOK_BLOCKS);
    for (const { from, to } of blockRanges(this.#nextBlock, head)) {
      const refused = (await read(from, to)).find((event) => !take(event));
      if (!refused) continue;
      this.#nextBlock = refused.blockNumber;
      return;
    }
    this.#nextBlock = head + 1n;
  }

  /**
   * Keeps the block of the oldest event at hand, or the head; written once in a while, for re-reading some is cheap.
   * @param held what must be read again after a restart
   */
  async keep(head: bigint, held: Iterable<Seen>): Promise<void> {
    let block = this.#nextBlock !== null && this.#nextBlock <= head ? this.#nextBlock : head;
    for (const { blockNumber } of held) if (blockNumber < block) block = blockNumber;
    if (this.#keptBlock >= 0n && block >= this.#keptBlock && block - this.#keptBlock < REORG_BLOCKS) return;
    await this.#journal.setFact(this.#fact, String(block));
    this.#keptBlock = block;
  }

  async #load(): Promise<bigint | null> {
    const kept = await this.#journal.getFact(this.#fact);
    if (kept === null) return null;
    this.#keptBlock = BigInt(kept);
    return this.#keptBlock;
  }
}
