// Replays a relayer's routing: every published decision is made again from what is published, and whatever differs is named.
//
//   batches ─▶ decisions ─┬─ against their assignments, seeds and time
//                         ├─ each process in the order of its count: tables tell what ended, decisions what began ─▶ `decide` again
//                         └─ nonces and attempts
//
// Pure: evidence in, report out. What the relayer alone knows (curves, scores, why a node was closed) is taken from it and counted.
import { checkAttempts, checkNonces, nodesBefore, type NodesBefore } from "./tasks.ts";
import { differences, drawFor, gatesAtItsWord, impossibleGates, impossibleLoads, withClaimedLoad } from "./again.ts";
import { openBatches, type OpenedBatches } from "./batches.ts";
import { openEpoch, rowFindings } from "./attestations.ts";
import { Journal } from "./journal.ts";
import { RebuiltLoad } from "./load.ts";
import { Seeds } from "./seeds.ts";
import { TableChain, readTable, tableWith, type ReadTable } from "./tables.ts";
import { TABLE_EVERY_MS } from "../../relayer/routing/parameters.ts";
import { epochAt } from "../../relayer/routing/seeds.ts";
import type { Evidence, ReplayReport } from "./evidence.ts";
import type { NodeTable, Shard } from "../../relayer/routing/table.ts";
import type { PublishedDecision } from "./decisions.ts";
import type { SignedAttestation } from "../../protocol/link.ts";
import type { Hash, Millis } from "../../protocol/units.ts";

/** A relayer's wall clock may be stepped by so much between a table and its decisions. */
const STEP_MS_MAX: Millis = 1_000;
/** From the choice to the signed assignment, on a relayer that is very busy. */
const SIGNING_MS_MAX: Millis = 10_000;
/** A release is told this much after the receipt says that the work was done, at most. */
const RELEASE_MS_MAX: Millis = 10_000;

/** Never throws for what the relayer published, however odd: that is a finding. */
export function replay(evidence: Evidence): ReplayReport {
  return new Replay(evidence).run();
}

class Replay {
  readonly #evidence: Evidence;
  readonly #journal = new Journal();
  readonly #seeds: Seeds;
  readonly #attestations = new Map<Hash, SignedAttestation>();
  readonly #atItsWord = new Map<string, number>();
  #recomputed = 0;
  #openDraws = 0;

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
    this.#seeds = new Seeds(evidence.seedChains);
  }

  run(): ReplayReport {
    const { epochs, relayerId } = this.#evidence;
    const opened = openBatches(this.#evidence, this.#journal);
    for (const epoch of epochs) for (const [hash, signed] of openEpoch(epoch, relayerId, this.#journal)?.attestations ?? []) this.#attestations.set(hash, signed);
    const judged = opened.decisions.filter((one) => one.isJudged);
    for (const sentence of this.#evidence.cut) this.#journal.leave("data", sentence);
    for (const one of judged) this.#checkDraw(one, opened);
    const tables = this.#readTables();
    if (judged.length === 0 && !this.#isAllPublished(opened)) this.#journal.leave("data", "no decision of it is published (yet)");
    for (const processId of new Set(judged.map((one) => one.decision.processId))) this.#replayProcess(processId, opened.decisions, tables);
    checkAttempts(opened.decisions, this.#journal);
    const nonces = checkNonces(opened, this.#evidence, this.#journal);
    return this.#report(judged.length, nonces, tables.length);
  }

  #report(decisions: number, nonces: number, tables: number): ReplayReport {
    const { findings, unchecked } = this.#journal;
    return {
      verdict: findings.length > 0 ? "wrong" : unchecked.length > 0 ? "unchecked" : "verified", decisions, recomputed: this.#recomputed, openDraws: this.#openDraws,
      nonces, tables, atItsWord: Object.fromEntries(this.#atItsWord), findings, unchecked,
    };
  }

  /** Batches reach so far beyond the epoch that what was decided in it would stand in one. */
  #isAllPublished({ publishedUntil }: OpenedBatches): boolean {
    const { scope, epochSeconds, windowSeconds } = this.#evidence;
    return scope.kind === "epoch" && publishedUntil >= (scope.epoch + 1) * epochSeconds + 2 * windowSeconds;
  }

  #checkDraw(one: PublishedDecision, { modes }: OpenedBatches): void {
    const { decision, task } = one;
    const mode = modes.get(task.order.sessionId);
    if (decision.mode !== mode) this.#find("draw", one, `the decision is drawn for mode ${decision.mode}; the session's is ${mode}`);
    const seed = this.#seeds.of(decision.epoch);
    if (seed.state === "unrevealed") return void this.#journal.leave("seed", `the seed of epoch ${decision.epoch} is not revealed yet`);
    const isDrawn = drawFor(seed.seed, one) === decision.draw;
    if (isDrawn && seed.state !== "revealed") this.#openDraws += 1;
    if (isDrawn) return;
    if (seed.state === "forfeited") return void this.#journal.leave("seed", `the relayer gave up its seeds of epoch ${decision.epoch}: they will never be known`);
    this.#find("draw", one, `the draw does not come from epoch ${decision.epoch}'s ${seed.state === "open" ? "open " : ""}seed and this task`);
  }

  #readTables(): ReadTable[] {
    return [...this.#evidence.tables].flatMap(([root, text]) => {
      const table = readTable(text);
      if (table?.root === root) return [table];
      this.#journal.find("table", `table ${root} is no node table of that root`);
      return [];
    });
  }

  /** All known decisions and events of one process in the order of its count; the judged ones are made again on the way. */
  #replayProcess(processId: Hash, all: readonly PublishedDecision[], tables: readonly ReadTable[]): void {
    const chain = new TableChain(tables.filter((table) => table.head.processId === processId));
    for (const fault of chain.faults) this.#journal.find("table", fault);
    const known = all.filter((one) => one.decision.processId === processId).sort((a, b) => a.decision.sequence - b.decision.sequence);
    this.#checkNumbers(known, chain);
    this.#countUnpublished(known, chain);
    const load = new RebuiltLoad(chain, known, (one) => this.#wasOver(one, chain));
    // Decisions in the order of the count go from table to table: one is enough to keep.
    let kept: { readonly root: Hash; readonly table: NodeTable } | null = null;
    const live = (table: ReadTable): NodeTable => {
      if (kept?.root !== table.root) kept = { root: table.root, table: tableWith(table, (nodeId) => load.on(nodeId)) };
      return kept.table;
    };
    const byTask = Map.groupBy(known, (one) => `${one.task.taskId}/${one.assignment.subtask}`);
    let next = 0;
    const goTo = (sequence: number): void => {
      for (; next < chain.events.length && chain.events[next]!.sequence < sequence; next++) {
        load.advanceTo(chain.events[next]!.sequence);
        load.take(chain.events[next]!);
      }
      load.advanceTo(sequence);
    };
    for (const one of known) {
      goTo(one.decision.sequence);
      if (one.isJudged) this.#judge(one, chain, load, live, nodesBefore(one, byTask.get(`${one.task.taskId}/${one.assignment.subtask}`)!));
      load.dispatch(one);
    }
  }

  /** Each number of the count is used once. */
  #checkNumbers(known: readonly PublishedDecision[], chain: TableChain): void {
    const events = new Set(chain.events.map((event) => event.sequence));
    for (const [i, one] of known.entries()) {
      const { sequence } = one.decision;
      if (known[i - 1]?.decision.sequence === sequence) this.#find("table", one, `number ${sequence} of the process is used by two decisions`);
      if (events.has(sequence)) this.#find("table", one, `number ${sequence} of the process is told as an event, too`);
    }
  }

  /** Numbers of the epoch that are neither told as events nor decisions: dispatches that were kept back, or are published later. */
  #countUnpublished(known: readonly PublishedDecision[], chain: TableChain): void {
    const { scope, epochSeconds } = this.#evidence;
    if (scope.kind !== "epoch") return;
    const [startMs, endMs] = [scope.epoch * epochSeconds * 1_000, (scope.epoch + 1) * epochSeconds * 1_000];
    const low = chain.tables.findLast((table) => table.head.publishedAtMs < startMs)?.head.sequence ?? chain.from;
    const high = (chain.tables.find((table) => table.head.publishedAtMs >= endMs) ?? chain.tables.at(-1))?.head.sequence ?? low;
    const isWithin = (sequence: number): boolean => sequence > low && sequence <= high;
    const numbers = new Set([...chain.events, ...known.map((one) => one.decision)].map((one) => one.sequence).filter(isWithin));
    const told = chain.between(low, high + 1).told.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    const untoldDecisions = known.filter(({ decision: { sequence } }) => isWithin(sequence) && chain.between(sequence - 1, sequence + 1).untold > 0).length;
    const missing = told - (numbers.size - untoldDecisions);
    if (missing > 0) this.#journal.leave("data", `${missing} dispatches of process ${known[0]!.decision.processId} in or about this epoch are not published (yet)`);
  }

  /** Whether a dispatch from before the first known table had ended by then, by its node-signed receipt or its deadline. */
  #wasOver({ published, assignment }: PublishedDecision, chain: TableChain): boolean | null {
    const first = chain.tables[0];
    if (!first) return null;
    const endedAtMs = (published.signed?.record.receipt.body.finishedAt ?? assignment.deadline) * 1_000;
    return endedAtMs + RELEASE_MS_MAX < first.head.publishedAtMs ? true : null;
  }

  #judge(one: PublishedDecision, chain: TableChain, load: RebuiltLoad, live: (table: ReadTable) => NodeTable, before: NodesBefore): void {
    const { decision, task, assignment } = one;
    const table = chain.of(decision.table);
    if (!table) return void this.#journal.leave("table", `node table ${decision.table} is not served, or is another process's`);
    this.#checkTime(one, table, chain);
    const shard = live(table).shards.get(task.order.modelId);
    const row = shard?.rows.find((each) => each.nodeId === decision.chosen);
    if (!shard || !row) return this.#find("decision", one, `node ${decision.chosen} does not offer this model in the table that the decision names`);
    if (row.attestationHash !== assignment.attestationHash || row.keyEpoch !== assignment.keyEpoch) this.#find("attestation", one, "the assignment names another attestation or key than the table");
    try {
      this.#checkRows(one, shard);
      this.#makeAgain(one, shard, load, before);
    } catch (error) {
      this.#find("decision", one, `it cannot be made again from this table: ${(error as Error).message}`);
    }
  }

  #makeAgain(one: PublishedDecision, shard: Shard, load: RebuiltLoad, before: NodesBefore): void {
    const { doubt } = load;
    const isSure = doubt.unpublished + doubt.untold === 0;
    for (const detail of impossibleLoads(one, (nodeId) => load.on(nodeId), doubt)) this.#find("load", one, detail);
    if (!isSure) this.#journal.leave("load", `earlier dispatches of process ${one.decision.processId} are not published or told yet: its load is taken at its word`);
    // With the claimed load a wrong load is named once, and not as a wrong choice again.
    const found = [...differences(one, withClaimedLoad(shard, one)), ...impossibleGates(one, shard, before)];
    for (const detail of found) this.#find("decision", one, detail);
    for (const reason of gatesAtItsWord(one, shard)) this.#atItsWord.set(reason, (this.#atItsWord.get(reason) ?? 0) + 1);
    this.#recomputed += 1;
  }

  /** The epoch follows from when the choice was made; the table was the newest one then. */
  #checkTime(one: PublishedDecision, table: ReadTable, chain: TableChain): void {
    const { decision, assignment } = one;
    const { epochSeconds } = this.#evidence;
    const decidedAtMs = table.head.publishedAtMs + decision.ageMs;
    const [earliest, latest] = [epochAt(decidedAtMs - STEP_MS_MAX, epochSeconds), epochAt(decidedAtMs + STEP_MS_MAX, epochSeconds)];
    if (decision.epoch < earliest || decision.epoch > latest) this.#find("time", one, `the choice was made in epoch ${epochAt(decidedAtMs, epochSeconds)} by its table, and drawn with the seed of ${decision.epoch}`);
    const signedAfterMs = assignment.issuedAt * 1_000 - decidedAtMs;
    if (signedAfterMs < -1_000 - STEP_MS_MAX || signedAfterMs > SIGNING_MS_MAX) this.#find("time", one, `the assignment was issued ${Math.round(signedAfterMs / 1_000)} s after the choice`);
    if (decision.ageMs > 2 * TABLE_EVERY_MS) this.#find("time", one, `the table was ${decision.ageMs} ms old; a new one is due after ${TABLE_EVERY_MS} ms`);
    if (table.head.sequence >= decision.sequence) this.#find("table", one, "the table was published after the decision");
    const newer = chain.after(table.root);
    if (newer && newer.head.sequence < decision.sequence) this.#find("table", one, `table ${newer.root} was newer when the choice was made`);
  }

  /** Candidates' rows against the attestations that the board's data holds; most rows rest on older ones, which it does not. */
  #checkRows(one: PublishedDecision, shard: Shard): void {
    for (const { node } of one.decision.candidates) {
      const row = shard.rows.find((each) => each.nodeId === node);
      const signed = row && this.#attestations.get(row.attestationHash);
      if (!row || !signed) continue;
      for (const detail of rowFindings(row, shard.modelId, signed, one.decision.epoch, this.#evidence.epochSeconds)) this.#find("attestation", one, detail);
    }
  }

  #find(kind: "draw" | "decision" | "load" | "table" | "time" | "attestation", { batchId, task, assignment }: PublishedDecision, detail: string): void {
    this.#journal.find(kind, detail, { batchId, taskId: task.taskId, attempt: assignment.attempt });
  }
}
