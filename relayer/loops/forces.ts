// Answers nodes' claims: a receipt that stands in a batch is shown to be paid, so that it is not paid twice.
//
//   seen ─▶ open ─┬─ its task stands in a batch ──────▶ answered ─┐
//                 ├─ its task waits for one ─▶ (settlement) ──────┤
//                 └─ W over, nothing to show ─────────▶ resolved ─┴─▶ final: the task is kept out of batches; forgotten
//
// A claim that this relayer owes nothing against is left alone: for receipts that were never acked none can be opened, and
// one whose task cannot be settled any more is the node's right. What the chain says counts in every round, and blocks are
// read again until they are old. What must outlive a restart is the block to read on from; everything else is asked anew.
import { proofsOfTask } from "../settlement/batch.ts";
import { answerForceCall } from "../../protocol/forces.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Hash, Millis, Seconds } from "../../protocol/units.ts";
import type { Clock, Crypto, Identity, Log, Metrics } from "../ports/world.ts";
import type { Chain, ChainForce } from "../ports/chain.ts";
import type { ForceReader, SeenForce } from "../ports/readers.ts";
import type { Journal, RecordStore, StoredBatch, StoredTask } from "../ports/journal.ts";
import { SettledTrees } from "./batchTrees.ts";
import { REORG_BLOCKS } from "./blocks.ts";
import { forEach } from "./each.ts";
import { EventFollower } from "./follow.ts";
import { pauseWithin, runRounds } from "./rounds.ts";

export interface ForcesOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly journal: Pick<Journal, "task" | "markForced" | "getFact" | "setFact">;
  readonly records: Pick<RecordStore, "get">;
  readonly chain: Pick<Chain, "head" | "submit" | "force" | "finalBatch" | "deployment">;
  readonly reader: ForceReader;
  /** Only the process that sends the relayer's transactions answers. */
  readonly isLeading: () => boolean;
}

const FACT = "forces_block";
const HELD_MAX = 4_096;
const ROUND_MS: { readonly least: Millis; readonly most: Millis } = { least: 250, most: 5_000 };
/** An answer that the contract refuses now may stand once a batch that was taken back is posted again. */
const RETRY_MS: { readonly least: Millis; readonly most: Millis } = { least: 2_000, most: 300_000 };

interface Held {
  readonly seen: SeenForce;
  refusals: number;
  retryAtMs: Millis;
  /** The block in which it was first seen to have ended, or not to be. */
  endedIn: bigint | null;
  /** Its time for an answer has passed; whenever somebody resolves it, its task is marked. Settlement asks the chain in any case. */
  isOver: boolean;
  isOddSaid: boolean;
}

/** What this relayer can show against a claim. */
interface Answer {
  readonly batch: StoredBatch;
  readonly taskId: Hash;
}

export class Forces {
  readonly #world: ForcesOptions;
  readonly #held = new Map<Hash, Held>();
  readonly #follower: EventFollower;
  readonly #trees: SettledTrees;

  constructor(world: ForcesOptions) {
    this.#world = world;
    this.#follower = new EventFollower(world.journal, FACT);
    this.#trees = new SettledTrees(world);
  }

  /** Claims that are looked after now. */
  get held(): number {
    return this.#held.size;
  }

  /** Runs until aborted; nothing that goes wrong in a round ends it. */
  async run(signal: AbortSignal): Promise<void> {
    const pauseMs = pauseWithin(this.#world.chain.deployment.windowSeconds, ROUND_MS.least, ROUND_MS.most);
    await runRounds(this.#world, { metric: "force_rounds_failed_total", failure: "nodes' claims are looked at again in the next round", pauseMs }, signal, () => this.round());
  }

  /** Reads on, and moves every claim that is at hand by one step. */
  async round(): Promise<void> {
    const { chain, reader, identity, metrics, isLeading } = this.#world;
    if (!isLeading()) return;
    const head = await chain.head();
    await this.#follower.readOn(head.number, (from, to) => reader.opened(identity.relayerId, from, to), (seen) => this.#take(seen));
    await forEach([...this.#held.values()], (held) => this.#step(held, head));
    this.#trees.forget();
    await this.#follower.keep(head.number, [...this.#held.values()].filter(({ isOver }) => !isOver).map(({ seen }) => seen));
    metrics.gauge("forces_held", this.#held.size);
  }

  /** @returns false where there is no room for it */
  #take(seen: SeenForce): boolean {
    if (this.#held.has(seen.receiptHash)) return true;
    if (this.#held.size >= HELD_MAX && !this.#forgetOneThatIsOver()) {
      this.#world.log.error({ receiptHash: seen.receiptHash }, "too many claims of nodes at once: this one waits");
      return false;
    }
    this.#held.set(seen.receiptHash, { seen, refusals: 0, retryAtMs: 0, endedIn: null, isOver: false, isOddSaid: false });
    return true;
  }

  async #step(held: Held, head: { readonly number: bigint; readonly timestampSeconds: Seconds }): Promise<void> {
    const { chain, clock } = this.#world;
    const force = await chain.force(held.seen.receiptHash);
    if (force.state === "resolved") held.isOver = false;
    if (force.state === "resolved" && !await this.#isKeptOut(force)) return;
    if (force.state !== "open") return this.#forgetOnce(held, head.number);
    held.endedIn = null;
    held.isOver = head.timestampSeconds > force.openedAtSeconds + chain.deployment.windowSeconds;
    if (held.isOver || clock.monotonicMs() < held.retryAtMs) return;
    const answer = await this.#answerTo(held, force);
    if (answer) await this.#give(held, answer);
  }

  /** Paid by the claim: no batch may hold the task any more. Marked once no reorganisation can undo it. @returns whether nothing is left to do */
  async #isKeptOut({ taskId, resolvedAtSeconds }: ChainForce): Promise<boolean> {
    const { chain, journal, identity, log, metrics } = this.#world;
    const final = await chain.finalBatch(identity.relayerId);
    if (final.timestampSeconds < resolvedAtSeconds) return false;
    if (await journal.markForced(taskId)) {
      metrics.count("forces_total", { outcome: "paid_by_force" });
      log.warn({ taskId }, "a node was paid by its claim; the task stays out of batches");
      return true;
    }
    // One that is on its way may yet be given up, and would free the task for another.
    const state = (await journal.task(taskId))?.batch?.state ?? "confirmed";
    return state === "confirmed" || state === "abandoned";
  }

  /** Kept until no reorganisation is likely to bring it back. */
  #forgetOnce(held: Held, head: bigint): void {
    held.endedIn ??= head;
    if (head >= held.endedIn + REORG_BLOCKS) this.#held.delete(held.seen.receiptHash);
  }

  #forgetOneThatIsOver(): boolean {
    const over = [...this.#held.values()].find(({ isOver }) => isOver);
    return over !== undefined && this.#held.delete(over.seen.receiptHash);
  }

  /** @returns null where nothing can be shown: the task waits for its batch, cannot be in one, or is not this journal's. */
  async #answerTo(held: Held, { taskId }: ChainForce): Promise<Answer | null> {
    const { receiptHash } = held.seen;
    const task = await this.#world.journal.task(taskId);
    if (!task || !holds(task, receiptHash)) return this.#sayOdd(held, taskId);
    return task.batch?.state === "confirmed" ? { batch: task.batch, taskId } : null;
  }

  /** An ack of this relayer's key, for something that it never journaled: somebody else signs with the key, or the database is another one. */
  #sayOdd(held: Held, taskId: Hash): null {
    if (!held.isOddSaid) this.#world.log.error({ receiptHash: held.seen.receiptHash, taskId }, "a node claims an acked receipt that this journal does not hold; nothing is answered");
    held.isOddSaid = true;
    return null;
  }

  async #give(held: Held, { batch, taskId }: Answer): Promise<void> {
    const { chain, log, metrics, clock } = this.#world;
    const { receiptHash } = held.seen;
    try {
      const data = await this.#callFor(batch, taskId, receiptHash);
      const { hash, gasUsed } = await chain.submit({ to: chain.deployment.domain.verifyingContract, data });
      metrics.count("forces_total", { outcome: "answered" });
      log.info({ receiptHash, taskId, batchId: String(batch.header.batchId), transaction: hash, gasUsed: String(gasUsed) }, "a node's claim is answered: it stands in a batch");
    } catch (error) {
      if (!(error instanceof TidelaneError) || error.retryable) throw error;
      held.retryAtMs = clock.monotonicMs() + Math.min(RETRY_MS.most, RETRY_MS.least * 2 ** held.refusals++);
      metrics.count("forces_total", { outcome: "refused" });
      log.warn({ receiptHash, taskId, batchId: String(batch.header.batchId), error: error.message }, "a claim could not be answered now; it is tried again while its time lasts");
    }
  }

  /** @throws `batch_data_missing` where this relayer lost what it has to publish */
  async #callFor(batch: StoredBatch, taskId: Hash, receiptHash: Hash): Promise<`0x${string}`> {
    const { keccak256 } = this.#world.crypto;
    const trees = await this.#trees.of(batch.header.batchId, batch.header.dataHash);
    const proof = proofsOfTask(trees, taskId, keccak256).get(receiptHash);
    const entry = proof && trees.byTab[proof.tab.index];
    if (!entry) throw new TidelaneError(`Batch ${batch.header.batchId} does not hold the receipt that the journal says it holds.`, { code: "batch_data_wrong", details: { receiptHash } });
    return answerForceCall(batch.header.batchId, entry.record, proof.tab);
  }
}

const holds = ({ attempts }: StoredTask, receiptHash: Hash): boolean => attempts.some(({ signed }) => signed?.receiptHash === receiptHash);
