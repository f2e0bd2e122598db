// Follows the chain: whether it answers, whether it is the one the journal knows, and what became of the sessions' locks.
//
// What may happen to a chain, and what follows:
//   it does not answer        readiness says so; orders go on inside what was locked when it was read last; settlement waits
//   it took a batch back      (a reorganisation) the batch counts as sent again, and the settlement loop posts the same bytes
//   it is older than we are   (restored, reset, another one) readiness says so, and nothing is settled on it
//   it is newer than we are   (the database is a copy, or not the only one) the same, before anything is due
import { TidelaneError } from "../../protocol/errors.ts";
import { chainIsOlder, FIRST_BATCH_FACT, firstBatchFact, knownBatch } from "./assemble.ts";
import type { Sessions } from "../work/sessions.ts";
import type { Millis } from "../../protocol/units.ts";
import type { Clock, Identity, Log, Metrics } from "../ports/world.ts";
import type { Chain } from "../ports/chain.ts";
import type { Journal, StoredBatch } from "../ports/journal.ts";

export interface WatchOptions {
  readonly chain: Chain;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly identity: Identity;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly sessions: Pick<Sessions, "refreshInTurn">;
}

const ROUND_MS: Millis = 2_000;
/** Sessions whose reading is renewed in one round. */
const SESSIONS_PER_ROUND = 50;
/** More batches than this are not taken back by a reorganisation. */
const REORGANISED_MAX = 8;
const DEPLOYMENT_FACT = "deployment";

export class Watch {
  readonly #world: WatchOptions;
  #problem: TidelaneError | null = null;
  #head: { readonly number: bigint; readonly seenAtMs: Millis } | null = null;

  constructor(world: WatchOptions) {
    this.#world = world;
  }

  /** What keeps this relayer from being ready as far as the chain goes, or null. */
  get problem(): TidelaneError | null {
    return this.#problem;
  }

  get headNumber(): bigint | null {
    return this.#head?.number ?? null;
  }

  /**
   * Before anything is served: the journal must belong to this deployment and this relayer.
   * @throws `journal_of_other_deployment`, `journal_unavailable`, `chain_unreachable`
   */
  async begin(): Promise<void> {
    const { chain, journal, identity } = this.#world;
    const { chainId, verifyingContract } = chain.deployment.domain;
    const ours = `${chainId} ${verifyingContract} relayer ${identity.relayerId}`;
    const known = await journal.getFact(DEPLOYMENT_FACT);
    if (known !== null && known !== ours) {
      throw new TidelaneError(`The database belongs to another deployment or relayer (${known}); this is ${ours}. Use its own database for each.`, { code: "journal_of_other_deployment", details: { found: known, expected: ours } });
    }
    if (known === null) {
      await journal.setFact(FIRST_BATCH_FACT, firstBatchFact(await chain.lastBatch(identity.relayerId)));
      await journal.setFact(DEPLOYMENT_FACT, ours);
    }
    await this.round();
  }

  /** Runs until aborted; nothing that goes wrong in a round ends it. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#world.clock.sleep(ROUND_MS, signal);
      if (!signal.aborted) await this.round();
    }
  }

  async round(): Promise<void> {
    try {
      await this.#follow();
      this.#tell(null);
    } catch (error) {
      this.#tell(error);
    }
  }

  async #follow(): Promise<void> {
    const { chain, clock, metrics, sessions, journal, identity } = this.#world;
    const head = await chain.head();
    this.#head = { number: head.number, seenAtMs: clock.monotonicMs() };
    metrics.gauge("chain_head_block", Number(head.number));
    metrics.gauge("chain_head_age_seconds", Math.max(0, clock.nowMs() / 1_000 - head.timestampSeconds));
    await sessions.refreshInTurn(SESSIONS_PER_ROUND);
    if (!journal.isUp()) return;
    const confirmed = await journal.batches("confirmed", REORGANISED_MAX + 1);
    const last = await chain.lastBatch(identity.relayerId);
    await knownBatch(journal, last);
    await this.#compare(confirmed.filter((batch) => batch.header.batchId > last.batchId), last.batchId, head.number);
  }

  /** @param missing batches that were confirmed and are not on the chain, newest first. */
  async #compare(missing: readonly StoredBatch[], onChain: bigint, headNumber: bigint): Promise<void> {
    const newest = missing[0];
    if (!newest) return;
    const isBehind = newest.blockNumber === null || headNumber < newest.blockNumber;
    if (isBehind || missing.length > REORGANISED_MAX) throw chainIsOlder(newest.header.batchId, onChain);
    for (const batch of missing) {
      this.#world.log.warn({ batchId: String(batch.header.batchId), block: String(batch.blockNumber) }, "the chain took a batch back; it is posted again");
      await this.#world.journal.updateBatch(batch.header.batchId, "sent");
    }
  }

  /** Says each new problem once, not every round. */
  #tell(error: unknown): void {
    const { log, metrics } = this.#world;
    const problem = error === null ? null : error instanceof TidelaneError ? error : new TidelaneError(`The chain could not be followed: ${String(error)}`, { code: "watch_failed", retryable: true, cause: error });
    if (problem && problem.code !== this.#problem?.code) log.error({ code: problem.code, err: problem.message }, "the chain is not as it should be");
    if (!problem && this.#problem) log.info({ was: this.#problem.code }, "the chain is as it should be again");
    metrics.gauge("chain_ok", problem ? 0 : 1);
    this.#problem = problem;
  }
}
