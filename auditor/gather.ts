// Gathers what a replay needs: the batches that can hold the scope's decisions, the tables that these name, the epochs' data.
import { bytesToString } from "viem/utils";
import { batchDataFromBytes } from "../protocol/batchData.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { ZERO_HASH, type Hash, type Seconds } from "../protocol/units.ts";
import { epochDataOf } from "./replay/attestations.ts";
import { openBatches } from "./replay/batches.ts";
import { Journal } from "./replay/journal.ts";
import { readTable } from "./replay/tables.ts";
import { missingUntil } from "./replay/tasks.ts";
import type { BatchEvidence, EpochEvidence, Evidence, ReplayScope } from "./replay/evidence.ts";
import type { BatchHeader } from "../protocol/generated/structs.ts";
import type { PublishedSource, RoutingFacts, RoutingFactSource } from "./ports.ts";

/** A task ends within one window of its assignment, and is published within another half. */
const PUBLISHED_WINDOWS = 2;
const BATCHES_MAX = 2_000;
/** So many further batches are looked into first where something is missing, then twice as many, and so on. */
const MORE_BATCHES_MIN = 8;
const TABLES_MAX = 20_000;
/** Of one batch's decisions: the newest. */
const EPOCHS_MAX = 64;
/** Asked for at once. */
const PARALLEL_MAX = 8;

/**
 * @param wanted null for the newest batch
 * @throws retryable `relayer_unreachable`, `chain_unreachable`, `not_settled` where the chain holds no such batch yet
 */
export async function gather(wanted: ReplayScope | null, relayer: PublishedSource, chain: RoutingFactSource): Promise<Evidence> {
  const relayerId = await relayer.relayerId();
  const facts = await chain.routingFacts(relayerId);
  const scope = wanted ?? { kind: "batch", batchId: facts.lastBatchId };
  const batches = new Batches(relayer, (batchId) => chain.batchHash(relayerId, batchId));
  const bare: Evidence = { ...facts, relayerId, scope, batches: await batchesFor(scope, facts, batches), tables: new Map(), seedChains: [], epochs: [], paidByForce: new Set(), cut: [] };
  const published = { ...bare, batches: await withMissing(bare, facts, batches) };
  // What is wrong with the batches is told by the replay itself.
  const opened = openBatches(published, new Journal());
  const { decisions } = opened;
  const paid = missingUntil(opened, facts.windowSeconds) > 0 ? await chain.paidByForce(relayerId) : null;
  const judged = decisions.filter((one) => one.isJudged);
  const all = scope.kind === "epoch" ? [scope.epoch] : [...new Set(judged.map((one) => one.decision.epoch))].sort((a, b) => a - b);
  const named = all.slice(-EPOCHS_MAX);
  const epochs = await inParallel(named, (epoch) => epochOf(epoch, relayerId, relayer, chain));
  const seedChains = named.length === 0 ? [] : await chain.seedChains(relayerId, named[0]!);
  const leastOf = new Map<Hash, number>();
  const processes = new Set(judged.map((one) => one.decision.processId));
  const relevant = decisions.map((one) => one.decision).filter((one) => processes.has(one.processId));
  for (const { processId, sequence } of relevant) leastOf.set(processId, Math.min(sequence, leastOf.get(processId) ?? Infinity));
  const newest = epochs.flatMap(({ data }) => (data === null ? [] : epochDataOf(data)?.tables ?? []));
  const tables = await tablesBack([...relevant.map((one) => one.table), ...newest], leastOf, relayer);
  const cut = [
    ...(paid?.isWhole === false ? ["older claims of nodes are not searched for what explains missing nonces"] : []),
    ...(published.batches.length >= BATCHES_MAX ? [`no more than ${BATCHES_MAX} batches are read for one replay`] : []),
    ...(all.length > named.length ? [`the data of ${all.length - named.length} epochs before epoch ${named[0]} is not read: ${EPOCHS_MAX} are for one replay`] : []),
    ...(tables.isWhole ? [] : [`no more than ${TABLES_MAX} node tables are read for one replay`]),
  ];
  return { ...published, epochs, seedChains, tables: tables.texts, paidByForce: paid?.orders ?? new Set(), cut };
}

/** The batches in which decisions of the scope can stand, and those that were in flight beside them. */
async function batchesFor(scope: ReplayScope, facts: RoutingFacts, batches: Batches): Promise<BatchEvidence[]> {
  const { lastBatchId, epochSeconds, windowSeconds } = facts;
  if (lastBatchId === 0n) throw notSettled("This relayer has settled nothing yet.");
  if (scope.kind === "batch" && (scope.batchId > lastBatchId || scope.batchId < 1n)) throw notSettled(`The chain holds no batch ${scope.batchId} of this relayer; the newest is ${lastBatchId}.`);
  const [fromSeconds, toSeconds] = scope.kind === "epoch" ? [scope.epoch * epochSeconds, (scope.epoch + 1) * epochSeconds] : spanOf(await batches.of(scope.batchId), scope.batchId);
  const found: BatchEvidence[] = [];
  for (let batchId = await firstEndingAfter(fromSeconds, lastBatchId, batches); batchId <= lastBatchId && found.length < BATCHES_MAX; batchId++) {
    const batch = await batches.of(batchId);
    if (batch) found.push(batch);
    if (batch && batch.header.periodEnd >= toSeconds + PUBLISHED_WINDOWS * windowSeconds) break;
  }
  return found;
}

/** And later ones, as long as a nonce is missing that they may hold. */
async function withMissing(evidence: Evidence, { lastBatchId, windowSeconds }: RoutingFacts, batches: Batches): Promise<readonly BatchEvidence[]> {
  const found = [...evidence.batches];
  for (let more = MORE_BATCHES_MIN; found.length > 0 && found.length < BATCHES_MAX; more *= 2) {
    const until = missingUntil(openBatches({ ...evidence, batches: found }, new Journal()), windowSeconds);
    const last = found.at(-1)!;
    if (until === 0 || last.header.periodEnd >= until || last.batchId >= lastBatchId) break;
    for (let batchId = last.batchId + 1n; batchId <= lastBatchId && batchId <= last.batchId + BigInt(more); batchId++) {
      const batch = await batches.of(batchId);
      if (batch) found.push(batch);
    }
  }
  return found;
}

/** From the opening of its oldest task to its end. */
function spanOf(batch: BatchEvidence | null, batchId: bigint): [Seconds, Seconds] {
  if (!batch) throw new TidelaneError(`The relayer does not know batch ${batchId}, which the chain holds: its journal is another one's.`, { code: "batch_not_served", retryable: true });
  const { periodStart, periodEnd } = batch.header;
  try {
    const opened = batch.data === null ? [] : batchDataFromBytes(batch.data).tasks.map((task) => Math.floor(task.openedAtMs / 1_000));
    return [opened.reduce((least, one) => Math.min(least, one), periodEnd), periodEnd];
  } catch {
    return [periodStart, periodEnd];
  }
}

/** Periods follow each other, so the first batch that ends at or after a time is found by halving. */
async function firstEndingAfter(seconds: Seconds, lastBatchId: bigint, batches: Batches): Promise<bigint> {
  let [low, high] = [1n, lastBatchId];
  while (low < high) {
    const middle = (low + high) / 2n;
    // A journal that was begun anew does not know the oldest ones.
    if (((await batches.headerOf(middle))?.periodEnd ?? 0) >= seconds) high = middle;
    else low = middle + 1n;
  }
  return low;
}

async function epochOf(epoch: number, relayerId: number, relayer: PublishedSource, chain: RoutingFactSource): Promise<EpochEvidence> {
  const dataHash = await chain.epochDataHash(relayerId, epoch);
  return { epoch, dataHash, data: dataHash === null ? null : await relayer.record(dataHash) };
}

/** The named tables and those before them, back to the least number that matters in each process. */
async function tablesBack(roots: readonly Hash[], leastOf: ReadonlyMap<Hash, number>, relayer: PublishedSource): Promise<{ readonly texts: ReadonlyMap<Hash, string>; readonly isWhole: boolean }> {
  const tables = new Map<Hash, string>();
  const asked = new Set<Hash>(roots);
  let due = [...asked];
  while (due.length > 0 && asked.size <= TABLES_MAX) {
    const texts = await inParallel(due, async (root): Promise<[Hash, Uint8Array | null]> => [root, await relayer.record(root)]);
    due = [];
    for (const [root, bytes] of texts) {
      if (bytes === null) continue;
      const text = bytesToString(bytes);
      const head = readTable(text)?.head;
      const least = head && leastOf.get(head.processId);
      // A table of a process without decisions here says nothing; what is no table is for the replay to name.
      if (head && least === undefined) continue;
      tables.set(root, text);
      if (!head || head.sequence < least! || head.previous === ZERO_HASH || asked.has(head.previous)) continue;
      asked.add(head.previous);
      due.push(head.previous);
    }
  }
  return { texts: tables, isWhole: due.length === 0 };
}

/** Batches as relayer and chain tell them; headers are asked for once. */
class Batches {
  readonly #relayer: PublishedSource;
  readonly #storedHash: (batchId: bigint) => Promise<Hash | null>;
  readonly #headers = new Map<bigint, Promise<BatchHeader | null>>();

  constructor(relayer: PublishedSource, storedHash: (batchId: bigint) => Promise<Hash | null>) {
    this.#relayer = relayer;
    this.#storedHash = storedHash;
  }

  headerOf(batchId: bigint): Promise<BatchHeader | null> {
    const known = this.#headers.get(batchId) ?? this.#relayer.batchHeader(batchId);
    this.#headers.set(batchId, known);
    return known;
  }

  /** Null where the relayer does not know it. */
  async of(batchId: bigint): Promise<BatchEvidence | null> {
    const header = await this.headerOf(batchId);
    return header && { batchId, header, data: await this.#relayer.batchData(batchId), storedHash: await this.#storedHash(batchId) };
  }
}

async function inParallel<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let i = 0; i < items.length; i += PARALLEL_MAX) results.push(...await Promise.all(items.slice(i, i + PARALLEL_MAX).map(work)));
  return results;
}

const notSettled = (message: string): TidelaneError => new TidelaneError(`${message} Try again after the next settlement.`, { code: "not_settled", retryable: true });
