// Answers demands for data: whoever asks for a record of a posted batch is shown it on chain, or the batch would be condemned.
//
//   demanded ─▶ open ─┬─ the record is in the batch's data ─▶ answered (the asker's bond is the relayer's) ─▶ forgotten
//                     └─ W over without an answer ─▶ lost: anyone may condemn the batch
//
// The one that runs out first goes first. What the chain says counts in every round, and blocks are read again until they are
// old; what must outlive a restart is the block to read on from.
import { batchDataFromBytes } from "../../protocol/batchData.ts";
import { answerDataCall } from "../../protocol/demands.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { recordsOf, treesOf, type BatchTrees } from "../settlement/batch.ts";
import { atLeastZero, blockRanges, REORG_BLOCKS } from "./blocks.ts";
import { forEach } from "./each.ts";
import type { Address, Hash, Hex, Millis, Seconds } from "../../protocol/units.ts";
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
/** A demand lives for W: a day of two-second blocks, and some. */
const FIRST_LOOK_BLOCKS = 50_000n;
/** Each costs its asker a bond that pays for the answer twice; more at once wait for the next round. */
const HELD_MAX = 4_096;
const ROUND_MS: { readonly least: Millis; readonly most: Millis } = { least: 250, most: 5_000 };

export class Demands {
  readonly #world: DemandsOptions;
  readonly #held = new Map<string, Demand>();
  /** Of those the ones that were told to be lost. */
  readonly #lost = new Set<Demand>();
  #nextBlock: bigint | null = null;
  #keptBlock = -1n;
  /** Of the batch that was asked for last: one batch is often asked for several records. */
  #trees: { readonly dataHash: Hash; readonly trees: BatchTrees } | null = null;

  constructor(world: DemandsOptions) {
    this.#world = world;
  }

  /** Runs until aborted; nothing that goes wrong in a round ends it. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, metrics, chain } = this.#world;
    const pauseMs = Math.min(ROUND_MS.most, Math.max(ROUND_MS.least, chain.deployment.windowSeconds * 25));
    while (!signal.aborted) {
      try {
        await this.round();
      } catch (error) {
        metrics.count("demand_rounds_failed_total");
        log.warn({ code: error instanceof TidelaneError ? error.code : "unknown", error: String(error) }, "demands for data are looked at again in the next round");
      }
      await clock.sleep(pauseMs, signal);
    }
  }

  /** Reads on, and answers what is open. */
  async round(): Promise<void> {
    const { chain, metrics, isLeading } = this.#world;
    if (!isLeading()) return;
    const head = await chain.head();
    await this.#readOn(head.number);
    const byEnd = [...this.#held].sort(([, one], [, other]) => one.untilSeconds - other.untilSeconds);
    await forEach(byEnd, async ([key, demand]) => {
      if (await this.#isOver(demand, head)) this.#held.delete(key);
      if (!this.#held.has(key)) this.#lost.delete(demand);
    });
    this.#trees = null;
    await this.#keep(head.number);
    metrics.gauge("demands_held", this.#held.size);
  }

  async #readOn(head: bigint): Promise<void> {
    const { reader, identity } = this.#world;
    this.#nextBlock ??= await this.#load() ?? atLeastZero(head - FIRST_LOOK_BLOCKS);
    for (const { from, to } of blockRanges(this.#nextBlock, head)) {
      for (const demand of await reader.demanded(identity.relayerId, from, to)) {
        const key = `${demand.batchId}:${demand.index}`;
        if (this.#held.has(key)) continue;
        if (this.#held.size >= HELD_MAX) {
          this.#nextBlock = demand.blockNumber;
          return;
        }
        this.#held.set(key, demand);
      }
    }
    this.#nextBlock = head + 1n;
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
    const trees = await this.#treesOf(batchId);
    const entry = trees.bySession[index];
    if (!entry) throw new TidelaneError(`Batch ${batchId} has no leaf ${index} in the data that is here.`, { code: "batch_data_wrong", details: { index } });
    return answerDataCall(this.#world.identity.relayerId, batchId, entry.record, trees.session.proof(index));
  }

  async #treesOf(batchId: bigint): Promise<BatchTrees> {
    const { journal, records, crypto } = this.#world;
    const batch = await journal.batch(batchId);
    const dataHash = batch?.header.dataHash;
    if (dataHash && this.#trees?.dataHash === dataHash) return this.#trees.trees;
    const bytes = dataHash ? await records.get(dataHash) : null;
    if (!dataHash || !bytes) throw new TidelaneError(`The data of batch ${batchId} is not here: bring back the database and the records' folder, or the batch is condemned.`, { code: "batch_data_missing", details: { batchId: String(batchId) } });
    const trees = treesOf(recordsOf(batchDataFromBytes(bytes).tasks), crypto.keccak256);
    this.#trees = { dataHash, trees };
    return trees;
  }

  async #load(): Promise<bigint | null> {
    const kept = await this.#world.journal.getFact(FACT);
    if (kept !== null) this.#keptBlock = BigInt(kept);
    return kept === null ? null : this.#keptBlock;
  }

  /** The block of the oldest demand at hand, or the head; written once in a while, for re-reading some is cheap. */
  async #keep(head: bigint): Promise<void> {
    const next = this.#nextBlock !== null && this.#nextBlock <= head ? this.#nextBlock : head;
    const block = [...this.#held.values()].reduce((least, { blockNumber }) => (blockNumber < least ? blockNumber : least), next);
    if (this.#keptBlock >= 0n && block >= this.#keptBlock && block - this.#keptBlock < REORG_BLOCKS) return;
    await this.#world.journal.setFact(FACT, String(block));
    this.#keptBlock = block;
  }
}
