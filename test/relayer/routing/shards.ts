// Made-up fleets for routing tests: rows with sensible defaults, tables of one model, and arbitraries over both.
import fc from "fast-check";
import { keccak256, numberToHex } from "viem/utils";
import { NodeTable, type Shard, type TableRow } from "../../../relayer/routing/table.ts";
import { IDLE, type OwnLoad } from "../../../relayer/routing/saturation.ts";
import { wordsOf } from "../../../relayer/routing/draws.ts";
import type { DecideTask } from "../../../relayer/routing/decide.ts";
import type { Hash } from "../../../protocol/units.ts";

export const MODEL: Hash = `0x${"a1".repeat(32)}`;
export const PROCESS: Hash = `0x${"b2".repeat(32)}`;
const ZERO: Hash = `0x${"00".repeat(32)}`;

/** A 4090 that serves an 8B model, idle. */
export const row = (nodeId: number, changes: Partial<TableRow> = {}): TableRow => ({
  nodeId, keyEpoch: 1, attestationHash: numberToHex(nodeId, { size: 32 }), slots: 8, modelSlots: 8,
  computeBps: 0, memoryBps: 0, queueBps: 0, networkBps: 0, queuedTokens: 0, kvFreeTokens: 119_000, priceIn: 100_000, priceOut: 200_000, scoreBps: 9_000, ageMs: 500,
  curve: { aNs: 7_600_000, bNs: 133_000, cNs: 360, dNs: 50_000, ePs: 14_000 }, base: { ...IDLE }, ...changes,
});

export const tableOf = (rows: readonly TableRow[], own: (nodeId: number) => Readonly<OwnLoad> = () => IDLE): NodeTable =>
  new NodeTable({ processId: PROCESS, sequence: 7, previous: ZERO, publishedAtMs: 1_000, events: [] }, rows.map((one) => ({ modelId: MODEL, row: one, own: own(one.nodeId) })));

export const shardOf = (rows: readonly TableRow[], own?: (nodeId: number) => Readonly<OwnLoad>): Shard => tableOf(rows, own).shards.get(MODEL)!;

export const task = (changes: Partial<DecideTask> = {}): DecideTask =>
  ({ inputTokens: 500, expectedOutTokens: 200, affinityNodeId: -1, cachedTokens: 0, ageMs: 300, ...changes });

/** The i-th of a row of draws: hashes, as they come from seeds. */
export const drawWords = (i: number): Uint32Array => wordsOf(keccak256(numberToHex(i, { size: 32 })));

const bps = fc.integer({ min: 0, max: 10_000 });
export const anyRow = (nodeId: fc.Arbitrary<number> = fc.integer({ min: 1, max: 1_000 })): fc.Arbitrary<TableRow> => fc.record({
  nodeId, slots: fc.integer({ min: 1, max: 64 }), computeBps: bps, memoryBps: bps, queueBps: bps, networkBps: bps,
  queuedTokens: fc.integer({ min: 0, max: 100_000 }), kvFreeTokens: fc.integer({ min: 0, max: 500_000 }), priceIn: fc.integer({ min: 0, max: 10_000_000 }),
  priceOut: fc.integer({ min: 0, max: 10_000_000 }), scoreBps: bps, ageMs: fc.integer({ min: 0, max: 5_000 }), inFlight: fc.integer({ min: 0, max: 8 }),
}).map(({ inFlight, ...changes }) => row(changes.nodeId, { ...changes, modelSlots: changes.slots, base: { inFlight, prefillTokens: 0, contextTokens: 500 * inFlight } }));

export const anyRows = (most: number): fc.Arbitrary<TableRow[]> =>
  fc.uniqueArray(anyRow(), { minLength: 1, maxLength: most, selector: (one) => one.nodeId });
