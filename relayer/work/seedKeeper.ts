// Keeps the relayer's seed chains over restarts and hands out the seed of each epoch.
import { SeedChain, SEED_CHAIN_LENGTH_MAX } from "../routing/seeds.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { EpochSeeds } from "./fleet.ts";
import type { Hash } from "../../protocol/units.ts";
import type { Crypto, Dice } from "../ports/world.ts";
import type { Journal } from "../ports/journal.ts";

/** A new chain begins this many epochs ahead, so that its anchor is on chain before its first epoch. */
const LEAD_EPOCHS = 2;
/** The following chain is made when so few epochs remain. */
const REMAINING_EPOCHS_MIN = 1_024;
const FACT = "routing_seed_chains";
/** The greatest epoch that any process of this relayer drew from: what the one that reveals has to reveal. */
const USED_FACT = "routing_seed_last_used";
const WRITE_TRIES = 5;

interface StoredChain {
  /** The last seed; whoever knows it knows all draws to come. */
  readonly secret: Hash;
  readonly firstEpoch: number;
  readonly length: number;
}

export interface SeedKeeperOptions {
  readonly journal: Pick<Journal, "getFact" | "replaceFact">;
  readonly dice: Dice;
  readonly crypto: Crypto;
  /** Shorter in tests. */
  readonly length?: number;
}

export class SeedKeeper implements EpochSeeds {
  readonly #options: SeedKeeperOptions;
  /** By first epoch: the one in use and, near its end, the one that follows. */
  #stored: readonly StoredChain[] = [];
  #chains: readonly SeedChain[] = [];
  #lastUsed = 0;
  #text: string | null = null;

  constructor(options: SeedKeeperOptions) {
    this.#options = options;
  }

  /**
   * Reads the chains, or makes the first one, and tells the relayer's other processes what this one drew from. Call before the
   * first choice, and again each epoch. @throws retryable `journal_unavailable`
   */
  async load(epoch: number): Promise<void> {
    await this.#read();
    for (let tries = 0; tries < WRITE_TRIES; tries++) {
      const last = this.#stored.at(-1);
      const firstEpoch = last === undefined || epoch > lastEpochOf(last) ? epoch + LEAD_EPOCHS
        : lastEpochOf(last) - epoch < Math.min(REMAINING_EPOCHS_MIN, last.length / 2) ? lastEpochOf(last) + 1 : null;
      // Another process may have made it a moment before: then its chain is everybody's.
      if (firstEpoch === null || await this.#add(firstEpoch)) break;
      await this.#read();
    }
    await this.#shareUsed();
  }

  get chains(): readonly SeedChain[] {
    return this.#chains;
  }

  /** The greatest epoch whose seed was given out, by this process or, as of the last `load`, by another or an earlier one. */
  get lastUsed(): number {
    return this.#lastUsed;
  }

  /**
   * The epochs before a relayer's first chain, or after one that ended while the relayer was away, have no secret seed; there the
   * coming chain's anchor stands in, in the open, so that no question has to wait for an epoch to pass. Decision records name the
   * epoch, so an auditor sees it. Null before `load`.
   */
  seedOf(epoch: number): Hash | null {
    const chain = this.#chains.find((one) => epoch >= one.firstEpoch && epoch <= one.lastEpoch);
    const seed = chain ? chain.seedOf(epoch) : this.#chains.find((one) => one.firstEpoch > epoch)?.anchor ?? null;
    if (seed !== null) this.#lastUsed = Math.max(this.#lastUsed, epoch);
    return seed;
  }

  /** A chain that could not be committed in time begins later: nothing was ever promised of it. */
  async postpone(chain: SeedChain, epoch: number): Promise<void> {
    const moved = this.#stored.map((stored) => (stored.firstEpoch === chain.firstEpoch ? { ...stored, firstEpoch: epoch + LEAD_EPOCHS } : stored));
    if (!await this.#store(moved)) await this.#read();
  }

  async #read(): Promise<void> {
    this.#text = await this.#options.journal.getFact(FACT);
    this.#take(this.#text === null ? [] : chainsFromFact(this.#text));
  }

  #add(firstEpoch: number): Promise<boolean> {
    const length = this.#options.length ?? SEED_CHAIN_LENGTH_MAX;
    return this.#store([...this.#stored.slice(-1), { secret: this.#options.dice.bytes32(), firstEpoch, length }]);
  }

  /** @returns false where another process wrote first: two must not draw from two chains. */
  async #store(chains: readonly StoredChain[]): Promise<boolean> {
    const text = JSON.stringify(chains);
    if (!await this.#options.journal.replaceFact(FACT, this.#text, text)) return false;
    this.#text = text;
    this.#take(chains);
    return true;
  }

  async #shareUsed(): Promise<void> {
    const { journal } = this.#options;
    for (let tries = 0; tries < WRITE_TRIES; tries++) {
      const told = await journal.getFact(USED_FACT);
      const others = Number(told ?? 0);
      if (others >= this.#lastUsed) {
        this.#lastUsed = others;
        return;
      }
      if (await journal.replaceFact(USED_FACT, told, String(this.#lastUsed))) return;
    }
  }

  /** Hashing a chain takes a while; it is done once for each. */
  #take(stored: readonly StoredChain[]): void {
    if (JSON.stringify(stored) === JSON.stringify(this.#stored)) return;
    this.#stored = stored;
    this.#chains = stored.map((one) => new SeedChain(one.secret, one.firstEpoch, one.length, this.#options.crypto.keccak256));
  }
}

const lastEpochOf = (chain: StoredChain): number => chain.firstEpoch + chain.length - 1;

function chainsFromFact(text: string): StoredChain[] {
  try {
    return JSON.parse(text) as StoredChain[];
  } catch (cause) {
    throw new TidelaneError(`The journal's fact ${FACT} is no JSON; restore the database from its backup.`, { code: "journal_corrupt", cause });
  }
}
