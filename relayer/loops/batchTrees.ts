// The trees of settled batches, built again from their data: what is shown to the chain when it asks for a leaf.
import { batchDataFromBytes } from "../../protocol/batchData.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { recordsOf, treesOf, type BatchTrees } from "../settlement/batch.ts";
import type { Hash } from "../../protocol/units.ts";
import type { Crypto } from "../ports/world.ts";
import type { RecordStore } from "../ports/journal.ts";

export class SettledTrees {
  readonly #world: { readonly records: Pick<RecordStore, "get">; readonly crypto: Crypto };
  /** Of the batch that was asked for last: one batch is often asked for several leaves. */
  #last: { readonly dataHash: Hash; readonly trees: BatchTrees } | null = null;

  constructor(world: { readonly records: Pick<RecordStore, "get">; readonly crypto: Crypto }) {
    this.#world = world;
  }

  /**
   * @param dataHash null where the journal does not know the batch
   * @throws `batch_data_missing` where this relayer lost what it has to publish
   */
  async of(batchId: bigint, dataHash: Hash | null): Promise<BatchTrees> {
    if (dataHash !== null && this.#last?.dataHash === dataHash) return this.#last.trees;
    const bytes = dataHash === null ? null : await this.#world.records.get(dataHash);
    if (dataHash === null || bytes === null) {
      throw new TidelaneError(
        `The data of batch ${batchId} is not here: bring back the database and the records' folder, or the batch is condemned, and claims against it are paid twice.`,
        { code: "batch_data_missing", details: { batchId: String(batchId) } },
      );
    }
    const trees = treesOf(recordsOf(batchDataFromBytes(bytes).tasks), this.#world.crypto.keccak256);
    this.#last = { dataHash, trees };
    return trees;
  }

  /** They are large: not kept between rounds. */
  forget(): void {
    this.#last = null;
  }
}
