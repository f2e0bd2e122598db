// The node table: the picture of the fleet that all decisions of about a second share, published under one root.
//
// A row holds everything a decision reads about a node and its model, curve and score included, so that whoever has the table,
// the decision and the relayer's earlier assignments can make the decision again. Own dispatches are not in it: replay rebuilds
// them from the decisions, and from the events by which each table tells what ended since the table before.
import { keccak256 as viemKeccak256 } from "viem/utils";
import { canonicalJson } from "./canonical.ts";
import { costUs, type NodeTerms, type RoutingTask } from "./cost.ts";
import { decodeUs, prefillUs } from "./curve.ts";
import { hexOfText } from "./hexOfText.ts";
import { PARAMETERS, SLOTS_MAX, clamp, type RoutingParameters } from "./parameters.ts";
import { correctLoad, type Attested, type OwnLoad } from "./saturation.ts";
import { BPS, type Hash, type Millis } from "../../protocol/units.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import type { Keccak256 } from "../../protocol/typedData.ts";
import type { ShardPressure } from "./temperature.ts";

/** One model on one node. */
export interface TableRow extends Attested, NodeTerms {
  readonly nodeId: number;
  readonly keyEpoch: number;
  readonly attestationHash: Hash;
  /** Slots that the node offers for this model, at most `slots`. */
  readonly modelSlots: number;
  /** Age of the attestation when the table was made, on the relayer's receive clock. */
  readonly ageMs: Millis;
}

/** first: the booking of that sequence number got its first token; release: it ended. Dispatches are told by decisions. */
export interface LoadEvent {
  readonly sequence: number;
  readonly kind: "first" | "release";
  readonly booking: number;
}

export interface TableHead {
  /** The process that made it and the place in that process's count of dispatches, first tokens and releases. */
  readonly processId: Hash;
  readonly sequence: number;
  /** Root of the process's table before this one, zero for its first: tables form a chain without gaps. */
  readonly previous: Hash;
  readonly publishedAtMs: Millis;
  /** Since the table before, in order. */
  readonly events: readonly LoadEvent[];
}

/** The rows of one model, ordered by node id, with what candidates are drawn by. */
export interface Shard {
  readonly modelId: Hash;
  readonly rows: readonly TableRow[];
  /** This relayer's load on each row's node: the only part that moves. */
  readonly own: readonly Readonly<OwnLoad>[];
  /** Running sums of the rows' free capacity: a draw finds its row by halving. */
  readonly freeUpTo: Float64Array;
  readonly leastBacklogTokens: number;
  readonly pressure: ShardPressure;
}

export interface TableEntry {
  readonly modelId: Hash;
  readonly row: TableRow;
  readonly own: Readonly<OwnLoad>;
}

const COLUMNS = [
  "nodeId", "keyEpoch", "attestationHash", "slots", "modelSlots", "computeBps", "memoryBps", "queueBps", "networkBps", "queuedTokens",
  "kvFreeTokens", "priceIn", "priceOut", "scoreBps", "ageMs", "aNs", "bNs", "cNs", "dNs", "ePs", "baseInFlight", "basePrefillTokens", "baseContextTokens",
] as const;

/** Of larger shards so many rows stand for all when means are taken. */
const SAMPLED_ROWS_MAX = 256;
const WEIGHT_PER_SLOT = 16;

export class NodeTable {
  readonly head: TableHead;
  readonly shards: ReadonlyMap<Hash, Shard>;
  readonly #keccak256: Keccak256;
  #text: string | null = null;
  #root: Hash | null = null;

  constructor(head: TableHead, entries: readonly TableEntry[], parameters: RoutingParameters = PARAMETERS, keccak256: Keccak256 = viemKeccak256) {
    const byModel = new Map<Hash, TableEntry[]>();
    for (const entry of entries) {
      const shard = byModel.get(entry.modelId);
      if (shard) shard.push(entry);
      else byModel.set(entry.modelId, [entry]);
    }
    this.head = head;
    this.shards = new Map([...byModel].map(([modelId, members]) => [modelId, makeShard(modelId, members, parameters)]));
    this.#keccak256 = keccak256;
  }

  /** Canonical JSON; made when first asked for. */
  get text(): string {
    return (this.#text ??= canonicalJson({
      version: 1, processId: this.head.processId, sequence: this.head.sequence, previous: this.head.previous, publishedAtMs: this.head.publishedAtMs,
      events: this.head.events.map((event) => [event.sequence, event.kind, event.booking]), columns: COLUMNS,
      models: Object.fromEntries([...this.shards].map(([modelId, shard]) => [modelId, shard.rows.map(cellsOf)])),
    }));
  }

  /** keccak256 of the text's UTF-8 bytes: what decision records name. */
  get root(): Hash {
    return (this.#root ??= this.#keccak256(hexOfText(this.text)));
  }
}

/**
 * Reads a published table. `ownOf` gives the load of the relayer on a node at the decision's place in its sequence.
 * @throws InvalidValueError where the text is no table of this version.
 */
export function tableFromText(text: string, ownOf: (nodeId: number) => Readonly<OwnLoad>, parameters: RoutingParameters = PARAMETERS): NodeTable {
  const json = JSON.parse(text) as Omit<TableHead, "events"> & PublishedTable;
  if (json.version !== 1 || json.columns.join() !== COLUMNS.join()) throw new InvalidValueError("table", "a node table of version 1");
  const entries = Object.entries(json.models).flatMap(([modelId, rows]) => rows.map((cells) => {
    const row = rowOf(cells);
    return { modelId: modelId as Hash, row, own: ownOf(row.nodeId) };
  }));
  const { processId, sequence, previous, publishedAtMs } = json;
  const events = json.events.map(([at, kind, booking]) => ({ sequence: at, kind, booking }));
  return new NodeTable({ processId, sequence, previous, publishedAtMs, events }, entries, parameters);
}

interface PublishedTable {
  readonly version: number;
  readonly columns: readonly string[];
  readonly events: readonly (readonly [number, LoadEvent["kind"], number])[];
  readonly models: Readonly<Record<Hash, readonly (readonly (string | number)[])[]>>;
}

function makeShard(modelId: Hash, members: readonly TableEntry[], parameters: RoutingParameters): Shard {
  const sorted = [...members].sort((one, other) => one.row.nodeId - other.row.nodeId);
  const rows = sorted.map((entry) => entry.row);
  return {
    modelId, rows, own: sorted.map((entry) => entry.own), freeUpTo: freeCapacityUpTo(rows),
    leastBacklogTokens: rows.reduce((least, row) => Math.min(least, row.queuedTokens), Infinity), pressure: pressureOf(rows, parameters),
  };
}

/** The last sum stays below 2^32, so that one word of a draw reaches every row. */
function freeCapacityUpTo(rows: readonly TableRow[]): Float64Array {
  const most = Math.floor((2 ** 32 - 1) / Math.max(1, rows.length));
  const upTo = new Float64Array(rows.length);
  let sum = 0;
  for (const [i, row] of rows.entries()) {
    const free = Math.floor((WEIGHT_PER_SLOT * clamp(row.modelSlots, 0, SLOTS_MAX) * (BPS - clamp(row.computeBps, 0, BPS))) / BPS);
    upTo[i] = sum += Math.min(free, most);
  }
  return upTo;
}

function pressureOf(rows: readonly TableRow[], parameters: RoutingParameters): ShardPressure {
  const task: RoutingTask = { inputTokens: parameters.typicalInputTokens, expectedOutTokens: parameters.typicalOutTokens };
  const step = Math.max(1, Math.ceil(rows.length / SAMPLED_ROWS_MAX));
  let [count, ageMs, serviceUs, slopeUs, others] = [0, 0, 0, 0, 0];
  for (const row of rows) others += Math.max(0, Math.ceil((row.computeBps * row.slots) / BPS) - row.base.inFlight);
  for (let i = 0; i < rows.length; i += step, count++) {
    const row = rows[i]!;
    ageMs += row.ageMs;
    const now = correctLoad(row, row.base, parameters.unknownContextTokens);
    const more = correctLoad(row, oneMore(row.base, task), parameters.unknownContextTokens);
    serviceUs += prefillUs(row.curve, task.inputTokens) + decodeUs(row.curve, task.expectedOutTokens, now.contextTokens + task.inputTokens, now.running + 1);
    // A node about to be full has a wall for a slope; it must not make all the others seem uncertain.
    slopeUs += clamp(costUs(row, more, task, 0, 0, parameters) - costUs(row, now, task, 0, 0, parameters), 0, parameters.temperatureUsMax);
  }
  const mean = (sum: number): number => Math.floor(sum / Math.max(1, count));
  return { nodes: rows.length, othersInFlight: others, serviceMs: Math.max(1, mean(Math.floor(serviceUs / 1_000))), slopeUs: mean(slopeUs), attestedAgeMs: mean(ageMs) };
}

const oneMore = (own: Readonly<OwnLoad>, task: RoutingTask): OwnLoad => ({
  inFlight: own.inFlight + 1, prefillTokens: own.prefillTokens + task.inputTokens, contextTokens: own.contextTokens + task.inputTokens,
});

function cellsOf(row: TableRow): (string | number)[] {
  const { curve, base } = row;
  return [
    row.nodeId, row.keyEpoch, row.attestationHash, row.slots, row.modelSlots, row.computeBps, row.memoryBps, row.queueBps, row.networkBps, row.queuedTokens,
    row.kvFreeTokens, row.priceIn, row.priceOut, row.scoreBps, row.ageMs, curve.aNs, curve.bNs, curve.cNs, curve.dNs, curve.ePs,
    base.inFlight, base.prefillTokens, base.contextTokens,
  ];
}

function rowOf(cells: readonly (string | number)[]): TableRow {
  const value = (name: (typeof COLUMNS)[number]): number => cells[COLUMNS.indexOf(name)] as number;
  return {
    nodeId: value("nodeId"), keyEpoch: value("keyEpoch"), attestationHash: cells[2] as Hash, slots: value("slots"), modelSlots: value("modelSlots"),
    computeBps: value("computeBps"), memoryBps: value("memoryBps"), queueBps: value("queueBps"), networkBps: value("networkBps"),
    queuedTokens: value("queuedTokens"), kvFreeTokens: value("kvFreeTokens"), priceIn: value("priceIn"), priceOut: value("priceOut"),
    scoreBps: value("scoreBps"), ageMs: value("ageMs"),
    curve: { aNs: value("aNs"), bNs: value("bNs"), cNs: value("cNs"), dNs: value("dNs"), ePs: value("ePs") },
    base: { inFlight: value("baseInFlight"), prefillTokens: value("basePrefillTokens"), contextTokens: value("baseContextTokens") },
  };
}
