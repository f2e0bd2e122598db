// Answers demands for data: whoever asks for a record of a posted batch is shown it on chain, or the batch would be condemned.
//
//   demanded ─▶ open ─┬─ the record is in the batch's data ─▶ answered (the asker's bond is the relayer's) ─▶ forgotten
//                     └─ W over without an answer ─▶ lost: anyone may condemn the batch
//
// The one that runs out first goes first. What the chain says counts in every round, and blocks are read again until they are
// old; what must outlive a restart is the block to read on from.
import { answerDataCall } from "../../protocol/demands.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { SettledTrees } from "./batchTrees.ts";
import { REORG_BLOCKS } from "./blocks.ts";
import { forEach } from "./each.ts";
import { EventFollower } from "./follow.ts";
import { pauseWithin, runRounds } from "./rounds.ts";
import type { Address, Hex, Millis, Seconds } from "../../protocol/units.ts";
import type { Clock, Crypto, Identity, Log, Metrics } from "../ports/world.ts";
import type { Chain } from "../ports/chain.ts";
import type { Demand, DemandReader } from "../ports/readers.ts";
import type { Journal, RecordStore } from "../ports/journal.ts";

export interface DemandsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly journal: Pick<Journal, "batch" | "getFact" | "setFact">;
  readonly records: Pick<RecordStore, "get">;
  readonly chain: Pick<Chain, "head" | "submit" | "deployment">;
  readonly reader: DemandReader;
  /** FraudProofs'. */
  readonly address: Address;
  /** Only the process that sends the relayer's transactions answers. */
  readonly isLeading: () => boolean;
}

const FACT = "demands_block";
/** Each costs its asker a bond that pays for the answer twice; more at once wait for the next round. */
const HELD_MAX = 4_096;
const ROUND_MS: { readonly least: Millis; readonly most: Millis } = { least: 250, most: 5_000 };

export class Demands {
  readonly #world: DemandsOptions;
  readonly #held = new Map<string, Demand>();
  /** Of those the ones that were told to be lost. */
  readonly #lost = new Set<Demand>();
  readonly #follower: EventFollower;
  readonly #trees: SettledTrees;

  constructor(world: DemandsOptions) {
    this.#world = world;
    this.#follower = new EventFollower(world.journal, FACT);
    this.#trees = new SettledTrees(world);
  }

  /** Runs until aborted; nothing that goes wrong in a round ends it. */
  async run(signal: AbortSignal): Promise<void> {
    const pauseMs = pauseWithin(this.#world.chain.deployment.windowSeconds, ROUND_MS.least, ROUND_MS.most);
    await runRounds(this.#world, { metric: "demand_rounds_failed_total", failure: "demands for data are looked at again in the next round", pauseMs }, signal, () => this.round());
  }

  /** Reads on, and answers what is open. */
  async round(): Promise<void> {
    const { chain, reader, identity, metrics, isLeading } = this.#world;
    if (!isLeading()) return;
    const head = await chain.head();
    await this.#follower.readOn(head.number, (from, to) => reader.demanded(identity.relayerId, from, to), (demand) => this.#take(demand));
    const byEnd = [...this.#held].sort(([, one], [, other]) => one.untilSeconds - other.untilSeconds);
    await forEach(byEnd, async ([key, demand]) => {
      if (await this.#isOver(demand, head)) this.#held.delete(key);
      if (!this.#held.has(key)) this.#lost.delete(demand);
    });
    this.#trees.forget();
    await this.#follower.keep(head.number, this.#held.values());
    metrics.gauge("demands_held", this.#held.size);
  }

  /** @returns false where there is no room for it */
  #take(demand: Demand): boolean {
    const key = `${demand.batchId}:${demand.index}`;
    if (!this.#held.has(key) && this.#held.size >= HELD_MAX) return false;
    if (!this.#held.has(key)) this.#held.set(key, demand);
    return true;
  }

  /** @returns whether it can be forgotten: answered or lost, and no reorganisation is likely to bring it back */
  async #isOver(demand: Demand, head: { readonly number: bigint; readonly timestampSeconds: Seconds }): Promise<boolean> {
    const { reader, identity, log, metrics } = this.#world;
    const isOpen = await reader.isOpen(identity.relayerId, demand);
    const isLate = head.timestampSeconds > demand.untilSeconds;
    if (isOpen && !isLate) await this.#answer(demand);
    if (isOpen && isLate && !this.#lost.has(demand)) {
      this.#lost.add(demand);
      metrics.count("demands_total", { outcome: "lost" });
      log.error({ batchId: String(demand.batchId), index: demand.index }, "a demand for data was not answered in time: the batch can be condemned");
    }
    return (!isOpen || isLate) && head.number >= demand.blockNumber + REORG_BLOCKS;
  }

  async #answer({ batchId, index }: Demand): Promise<void> {
    const { chain, address, log, metrics } = this.#world;
    const place = { batchId: String(batchId), index };
    try {
      const { hash, gasUsed } = await chain.submit({ to: address, data: await this.#callFor(batchId, index) });
      metrics.count("demands_total", { outcome: "answered" });
      log.info({ ...place, transaction: hash, gasUsed: String(gasUsed) }, "a demand for data is answered: the record stands on chain");
    } catch (error) {
      if (!(error instanceof TidelaneError) || error.retryable) throw error;
      metrics.count("demands_total", { outcome: "refused" });
      log.error({ ...place, code: error.code, error: error.message }, "a demand for data could not be answered; it is tried again while its time lasts");
    }
  }

  /** @throws `batch_data_missing` where this relayer lost what it has to publish */
  async #callFor(batchId: bigint, index: number): Promise<Hex> {
    const batch = await this.#world.journal.batch(batchId);
    const trees = await this.#trees.of(batchId, batch?.header.dataHash ?? null);
    const entry = trees.bySession[index];
    if (!entry) throw new TidelaneError(`Batch ${batchId} has no leaf ${index} in the data that is here.`, { code: "batch_data_wrong", details: { index } });
    return answerDataCall(this.#world.identity.relayerId, batchId, entry.record, trees.session.proof(index));
  }
}
