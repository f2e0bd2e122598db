// The settlement loop: finishes what was begun, then posts what is due; one process of a relayer at a time.
//
//   journal ─▶ plan ─▶ batch ─▶ data on disk ─▶ header, records and raw transaction in the journal ─▶ chain ─▶ confirmed
//
// Killed at any arrow, the next process goes on from the journal: before the last one nothing was sent, after it the same
// bytes are sent again, and the chain takes a batch id once.
import { encodePostBatch, type BuiltBatch } from "../settlement/batch.ts";
import { digestOfHash } from "../../protocol/typedData.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { assemble, type AssembleLimits, type Assembled } from "./assemble.ts";
import { post, recover, type Outcome, type PostWorld } from "./post.ts";
import type { Sessions } from "../work/sessions.ts";
import type { Millis, Seconds, TokenAmount } from "../../protocol/units.ts";
import type { Crypto, Metrics } from "../ports/world.ts";
import type { Lead, RecordStore, StoredBatch } from "../ports/journal.ts";

export interface SettlementOptions extends PostWorld {
  readonly crypto: Crypto;
  readonly records: RecordStore;
  readonly metrics: Metrics;
  readonly sessions: Pick<Sessions, "isEnding" | "refreshNow">;
  /** What one session's entry costs in gas, in the pay token's smallest unit: a session settles early once it is worth 50 times that. */
  readonly entryCost: TokenAmount;
}

/** Sessions and tabs of one batch: with cold storage their gas stays below EIP-7825's limit for one transaction. */
const ITEMS_MAX = 300;
/** Hashing more at once would hold up the streams that this process serves. */
const TASKS_MAX = 2_000;
/** Upper bounds with cold storage; what is not used is not paid. */
const GAS = { base: 400_000n, session: 45_000n, tab: 110_000n, most: 16_777_216n } as const;
const PENDING_MAX = 16;
const ROUND_MS: { readonly least: Millis; readonly most: Millis } = { least: 250, most: 15_000 };
/** A task that began so long ago, or whose order ended so long ago, is served by nobody: its process died. */
const EXPIRY_MS: Millis = 26 * 3_600_000;
const AFTER_DEADLINE_SECONDS: Seconds = 600;

export class Settlement {
  readonly #world: SettlementOptions;
  readonly #limits: AssembleLimits;
  #lead: Lead | null = null;
  #problem: TidelaneError | null = null;
  #held: Assembled["held"] = [];

  constructor(world: SettlementOptions) {
    this.#world = world;
    this.#limits = { entryCost: world.entryCost, itemsMax: ITEMS_MAX, tasksMax: TASKS_MAX };
  }

  /** Whether this process is the one that posts: the poster's nonces are its alone. */
  get isLeading(): boolean {
    return this.#lead?.isHeld() ?? false;
  }

  /** Why settlement waits, or null. */
  get problem(): TidelaneError | null {
    return this.#problem;
  }

  /** For the status page: plain values. */
  status(): { readonly leading: boolean; readonly problem: { readonly code: string; readonly message: string; readonly retryable: boolean } | null; readonly heldTasks: number; readonly heldFor: string | null } {
    const problem = this.#problem && { code: this.#problem.code, message: this.#problem.message, retryable: this.#problem.retryable };
    return { leading: this.isLeading, problem, heldTasks: this.#held.length, heldFor: this.#held[0]?.reason ?? null };
  }

  /** Tries to become the process that posts. @returns whether it is. @throws `journal_unavailable` */
  async takeLead(): Promise<boolean> {
    if (this.isLeading) return true;
    this.#lead = await this.#world.journal.lead();
    if (this.#lead) this.#world.log.info({ fence: String(this.#lead.fence) }, "this process settles");
    return this.#lead !== null;
  }

  /** Runs until aborted; nothing that goes wrong in a round ends it. Gives the right to post back at the end. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, chain } = this.#world;
    const pauseMs = Math.min(ROUND_MS.most, Math.max(ROUND_MS.least, chain.deployment.windowSeconds * 50));
    while (!signal.aborted) {
      let isBusy = false;
      try {
        isBusy = await this.round(signal);
        this.#tell(null);
      } catch (error) {
        this.#tell(error);
      }
      // A batch that was full leaves more behind: no pause before the next.
      if (!isBusy) await clock.sleep(pauseMs, signal);
    }
    await this.#lead?.release();
  }

  /** One round. @returns whether a batch was settled, so that another may be due at once. */
  async round(signal: AbortSignal): Promise<boolean> {
    if (!await this.takeLead()) return false;
    const { journal, clock } = this.#world;
    await journal.expireTasks(clock.nowMs() - EXPIRY_MS, clock.nowMs() / 1_000 - AFTER_DEADLINE_SECONDS);
    for (const batch of await this.#pending()) {
      const outcome = await recover(this.#world, batch, signal);
      this.#count(outcome);
      if (outcome === "waiting") return false;
      await this.#refresh(batch);
    }
    return !signal.aborted && await this.#settleDue(signal);
  }

  /** Oldest first: a later one builds on it. */
  async #pending(): Promise<StoredBatch[]> {
    const { journal } = this.#world;
    const pending = [...await journal.batches("built", PENDING_MAX), ...await journal.batches("sent", PENDING_MAX)];
    return pending.sort((a, b) => (a.header.batchId < b.header.batchId ? -1 : 1));
  }

  async #settleDue(signal: AbortSignal): Promise<boolean> {
    const { chain, sessions, clock } = this.#world;
    const soonSeconds = clock.nowMs() / 1_000 + chain.deployment.windowSeconds / 4;
    const assembled = await assemble(this.#world, this.#limits, (sessionId) => sessions.isEnding(sessionId, soonSeconds));
    if (!assembled) return false;
    this.#report(assembled);
    const outcome = await chain.exclusive(async (nonce) => {
      const batch = await this.#store(assembled.built, nonce);
      const posted = await post(this.#world, batch, signal);
      if (posted !== "waiting") await this.#refresh(batch);
      return posted;
    });
    this.#count(outcome);
    return outcome === "confirmed";
  }

  /** Everything that is needed to go on after a crash is durable before anybody outside sees the header. */
  async #store(built: BuiltBatch, nonce: number): Promise<StoredBatch> {
    const { chain, journal, records, identity, crypto } = this.#world;
    const signature = await identity.signer.sign(digestOfHash(chain.deployment.domain, built.headerHash, crypto.keccak256));
    await records.put(built.header.dataHash, built.data);
    const transaction = await chain.sign({ to: chain.deployment.domain.verifyingContract, data: encodePostBatch(built, signature), nonce, gas: gasOf(built) });
    const batch: StoredBatch = {
      header: built.header, headerHash: built.headerHash, signature, debits: built.debitItems, credits: built.creditItems,
      transaction, replaced: [], state: "built", blockNumber: null, gasUsed: null,
    };
    if (!this.#lead) throw new TidelaneError("Another process posts batches now.", { code: "lead_lost", retryable: true });
    await journal.putBatch(batch, built.taskIds, this.#lead);
    return batch;
  }

  /** The books follow the chain at once; should it not answer, the watcher does it later. */
  async #refresh(batch: StoredBatch): Promise<void> {
    await this.#world.sessions.refreshNow(batch.debits.map((debit) => debit.id)).catch(() => { /* The watcher says so. */ });
  }

  #report({ built, held }: Assembled): void {
    const { log } = this.#world;
    const { header } = built;
    log.info({ batchId: String(header.batchId), tasks: built.taskIds.length, sessions: built.debits.length, tabs: built.credits.length, debit: String(header.totalDebit) }, "a batch is due");
    this.#held = held.filter(({ reason }) => reason !== "full");
    this.#world.metrics.gauge("settlement_held_tasks", this.#held.length);
    if (this.#held[0]) log.error({ tasks: this.#held.length, ...this.#held[0] }, "the chain would refuse some tasks now; they stay for a later batch");
  }

  #count(outcome: Outcome): void {
    if (outcome !== "waiting") this.#world.metrics.count("batches_total", { outcome });
  }

  /** Says each new problem once, not every round. */
  #tell(error: unknown): void {
    const { log, metrics } = this.#world;
    const problem = error === null ? null : error instanceof TidelaneError ? error : new TidelaneError(`Settlement failed: ${String(error)}`, { code: "settlement_failed", retryable: true, cause: error });
    if (problem && problem.code !== this.#problem?.code) log.error({ code: problem.code, err: problem.message, cause: String(problem.cause ?? "") }, "settlement waits");
    if (!problem && this.#problem) log.info({ was: this.#problem.code }, "settlement goes on");
    if (problem?.code === "lead_lost") this.#lead = null;
    metrics.gauge("settlement_ok", problem ? 0 : 1);
    metrics.gauge("settlement_leading", this.isLeading ? 1 : 0);
    this.#problem = problem;
  }
}

function gasOf({ debits, credits }: BuiltBatch): bigint {
  const needed = GAS.base + GAS.session * BigInt(debits.length) + GAS.tab * BigInt(credits.length);
  return needed < GAS.most ? needed : GAS.most;
}

