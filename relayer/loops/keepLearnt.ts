// Keeps in the journal what was learnt of nodes, every few seconds where there was a deed and when the process stops, and gives it to the
// next process: a node that is known need not warm up again, and one that fell silent does not begin anew.
//
// All processes of a relayer write one fact; of each node what was learnt last stands. A process that is killed takes some seconds
// of it along.
import { learntFromText, learntToText, merged, partOfAge, shifted, type LearntNode } from "../work/learnt.ts";
import type { Journal } from "../ports/journal.ts";
import type { Clock, Log } from "../ports/world.ts";
import type { Millis } from "../../protocol/units.ts";

/** Who learns, with times of its monotonic clock. */
export interface Learning {
  /** Of nodes that did anything since the process began. */
  learnt(): readonly LearntNode[];
  recall(nodes: readonly LearntNode[]): void;
}

export interface KeepLearntOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: Pick<Journal, "getFact" | "replaceFact">;
  readonly reception: Learning;
}

const FACT = "learnt_of_nodes";
const EVERY_MS: Millis = 5_000;
/** A great fleet is written more seldom. */
const CHARACTERS_PER_MS = 20;
/** By so much the clocks may drift apart before what was written is written anew. */
const DRIFT_MS_MAX: Millis = 60_000;
/** Another process may write between reading and writing. */
const WRITE_TRIES = 4;

export class KeepLearnt {
  readonly #options: KeepLearntOptions;
  /** From the monotonic clock to unix time; kept as it is, so that what did not change is written the same. */
  #offsetMs: Millis;
  /** Monotonic: what was done until then was written with its time, and is not told again as if it were of later. */
  #sinceMs: Millis = -Infinity;
  #keptAtMs: Millis = -Infinity;
  #kept = "[]";
  #written = "";
  #isSilent = false;

  constructor(options: KeepLearntOptions) {
    this.#options = options;
    this.#offsetMs = offsetOf(options.clock);
  }

  /** Hands on what an earlier process learnt; to be called before any node is there. What cannot be read is left out, and said once. */
  async load(): Promise<void> {
    const { journal, clock, log, reception } = this.#options;
    const text = await journal.getFact(FACT);
    if (text === null) return;
    const read = learntFromText(text);
    if (!read) return log.warn({}, "what was learnt of nodes is written in a form that is not known here: they begin anew");
    if (read.unread > 0) log.warn({ nodes: read.unread }, "what was learnt of some nodes cannot be read: they begin anew");
    const known = read.nodes.filter(({ atMs }) => partOfAge(clock.nowMs() - atMs) > 0);
    reception.recall(known.map((node) => shifted(node, -this.#offsetMs)));
  }

  /** Runs until aborted, and keeps what was learnt until then. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(Math.max(EVERY_MS, this.#written.length / CHARACTERS_PER_MS), signal);
      await this.#keepOrSay();
    }
  }

  async #keepOrSay(): Promise<void> {
    try {
      await this.keep();
      this.#isSilent = false;
    } catch (error) {
      if (!this.#isSilent) this.#options.log.warn({ error: String(error) }, "what was learnt of nodes cannot be kept at the moment");
      this.#isSilent = true;
    }
  }

  /** Writes what was learnt, where that is anything new. @throws `journal_unavailable` */
  async keep(): Promise<void> {
    const { journal, clock, reception } = this.#options;
    this.#adjust();
    const atMs = clock.monotonicMs();
    const own = reception.learnt().filter((node) => node.atMs > this.#sinceMs).map((node) => shifted(node, this.#offsetMs));
    const kept = JSON.stringify(own);
    if (kept === this.#kept) return void (this.#keptAtMs = atMs);
    for (let tries = 0; tries < WRITE_TRIES; tries++) {
      const before = await journal.getFact(FACT);
      const text = learntToText(merged((before && learntFromText(before)?.nodes) || [], own, clock.nowMs()));
      if (!await journal.replaceFact(FACT, before, text)) continue;
      this.#kept = kept;
      this.#keptAtMs = atMs;
      this.#written = text;
      return;
    }
  }

  /** The wall clock was set, or the machine slept: by the old offset all that is learnt from now on would seem to be of another day, and be left out. */
  #adjust(): void {
    const offsetMs = offsetOf(this.#options.clock);
    const byMs = offsetMs - this.#offsetMs;
    if (Math.abs(byMs) <= DRIFT_MS_MAX) return;
    if (byMs > 0) this.#sinceMs = this.#keptAtMs;
    this.#offsetMs = offsetMs;
  }
}

const offsetOf = (clock: Clock): Millis => Math.round(clock.nowMs() - clock.monotonicMs());
