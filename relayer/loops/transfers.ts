// Credits transfers by authorization that somebody submitted to the Escrow itself: proven to TransferProofs, at the relayer's gas.
//
//   a large one seen ── some blocks deep ──▶ proven ─┬─ large enough ──────────▶ credited ─┐
//                                                    └─ too small, or a long proof ────────┴─▶ forgotten
//                                                               (so many credits an hour; the others wait)
//
// Anyone may prove them, and their payer can; this loop only spares it the trouble while the chain remembers the block. So
// nothing is kept over a restart: the blocks that a proof may still be of are read again. What the contract refuses for good, or
// what another was quicker with, is let go.
import { encodeFunctionData } from "viem/utils";
import { TransferProofsAbi } from "../../protocol/generated/abi/TransferProofs.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { TransferProof } from "../../protocol/transferProof.ts";
import type { Address, Hash, Millis, TokenAmount } from "../../protocol/units.ts";
import type { Clock, Log, Metrics } from "../ports/world.ts";
import type { Chain } from "../ports/chain.ts";
import type { TransferReader } from "../ports/readers.ts";
import { atLeastZero, blockRanges, REORG_BLOCKS } from "./blocks.ts";
import { forEach } from "./each.ts";
import { runRounds } from "./rounds.ts";

export interface TransfersOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly chain: Pick<Chain, "head" | "submit">;
  readonly reader: TransferReader;
  /** TransferProofs'. */
  readonly address: Address;
  /** Smaller ones are left to whoever wants to pay for them. */
  readonly least: TokenAmount;
  /** Only the process that sends the relayer's transactions proves. */
  readonly isLeading: () => boolean;
}

/** What EIP-2935 remembers, less some for the proof to be mined. */
const REMEMBERED_BLOCKS = 8_000n;
/** A proof of a block that is replaced fails at the poster's cost. */
const DEEP_BLOCKS = 4n;
const WAITING_MAX = 1_024;
/** At the poster's cost, and of the submitter's choice: an honest receipt has a few logs, its proof a few kilobytes. */
const LOGS_MAX = 64;
const PROOF_BYTES_MAX = 16_384;
/** Who sends itself many small ones pays less gas for each than the poster does: beyond these, they wait. */
const CREDITS_PER_HOUR_MAX = 20;
const HOUR_MS: Millis = 3_600_000;
const ROUND_MS: Millis = 5_000;

export class Transfers {
  readonly #world: TransfersOptions;
  /** Transactions in which tokens came to the Escrow, and their blocks, until they are too old to be read again. */
  readonly #seen = new Map<Hash, bigint>();
  readonly #waiting = new Map<Hash, bigint>();
  #nextBlock: bigint | null = null;
  #hour = { endsAtMs: 0, credits: 0 };

  constructor(world: TransfersOptions) {
    this.#world = world;
  }

  /** Runs until aborted; nothing that goes wrong in a round ends it. */
  async run(signal: AbortSignal): Promise<void> {
    await runRounds(this.#world, { metric: "transfer_rounds_failed_total", failure: "transfers to the Escrow are looked at again in the next round", pauseMs: ROUND_MS }, signal, () => this.round());
  }

  /** Reads on, and credits what is deep enough. */
  async round(): Promise<void> {
    const { chain, metrics, isLeading } = this.#world;
    if (!isLeading()) return;
    const { number } = await chain.head();
    await this.#readOn(number);
    const deep = [...this.#waiting].filter(([, block]) => block + DEEP_BLOCKS <= number);
    await forEach(deep, async ([transaction, block]) => {
      const isOver = block + REMEMBERED_BLOCKS <= number || await this.#creditAll(transaction);
      if (isOver) this.#waiting.delete(transaction);
    });
    for (const [transaction, block] of this.#seen) if (block + 2n * REORG_BLOCKS < this.#nextBlock!) this.#seen.delete(transaction);
    metrics.gauge("transfers_waiting", this.#waiting.size);
  }

  async #readOn(head: bigint): Promise<void> {
    const { reader, least } = this.#world;
    this.#nextBlock ??= atLeastZero(head - REMEMBERED_BLOCKS);
    for (const { from, to } of blockRanges(this.#nextBlock, head)) {
      for (const { transaction, blockNumber, amount } of await reader.arrived(from, to)) {
        // A proof takes all receipts of its block: not for dust, of which anyone may send thousands. A transaction that a
        // reorganisation moved to another block is looked at again.
        if (amount < least || this.#seen.get(transaction) === blockNumber) continue;
        if (this.#waiting.size >= WAITING_MAX) {
          this.#nextBlock = blockNumber;
          return;
        }
        this.#seen.set(transaction, blockNumber);
        this.#waiting.set(transaction, blockNumber);
      }
    }
    this.#nextBlock = head + 1n;
  }

  /** @returns whether nothing of it is left to do. @throws retryable errors only: what is refused for good is told, and let go */
  async #creditAll(transaction: Hash): Promise<boolean> {
    if (this.#isHourSpent()) return false;
    let isOver = true;
    await this.#orLetGo(transaction, async () => {
      const proofs = await this.#world.reader.proofs(transaction);
      // Asked for again while its block is remembered; where it stands in another one by now, it is seen there.
      if (!proofs) return void (isOver = false);
      for (const proof of proofs) {
        if (this.#isHourSpent()) return void (isOver = false);
        // One that another was quicker with says nothing of those behind it.
        await this.#orLetGo(transaction, () => this.#credit(transaction, proof));
      }
    });
    return isOver;
  }

  async #orLetGo(transaction: Hash, act: () => Promise<void>): Promise<void> {
    const { log, metrics } = this.#world;
    try {
      await act();
    } catch (error) {
      if (!(error instanceof TidelaneError) || error.retryable) throw error;
      metrics.count("transfers_total", { outcome: "refused" });
      log.warn({ transaction, code: error.code, error: error.message }, "a transfer to the Escrow could not be credited; its payer can try: tidelane payer prove-transfer");
    }
  }

  #isHourSpent(): boolean {
    const nowMs = this.#world.clock.monotonicMs();
    if (nowMs >= this.#hour.endsAtMs) this.#hour = { endsAtMs: nowMs + HOUR_MS, credits: 0 };
    return this.#hour.credits >= CREDITS_PER_HOUR_MAX;
  }

  async #credit(transaction: Hash, { payer, amount, header, proof, transactionIndex, logPosition, logCount }: TransferProof): Promise<void> {
    const { chain, log, metrics, address, least } = this.#world;
    const bytes = proof.reduce((sum, node) => sum + (node.length - 2) / 2, 0);
    if (amount < least || logCount > LOGS_MAX || bytes > PROOF_BYTES_MAX) return metrics.count("transfers_total", { outcome: "left" });
    const data = encodeFunctionData({ abi: TransferProofsAbi, functionName: "creditTransfer", args: [header, proof, BigInt(transactionIndex), BigInt(logPosition)] });
    this.#hour.credits++;
    const sent = await chain.submit({ to: address, data });
    metrics.count("transfers_total", { outcome: "credited" });
    log.info({ payer, amount: String(amount), transaction, creditedIn: sent.hash, gasUsed: String(sent.gasUsed) }, "a signed transfer to the Escrow is credited to its signer");
  }
}
