// How fast a relayer chooses: the very `decide` over node tables of 1,000 and 100,000 nodes, and with the record written and hashed.
//
//   npm run bench:decide -- --json          one JSON object on the last line: {choicesPerSecond, choicesPerSecond100k,
//                                           recordsPerSecond, bytesPerNode, bytesPerNode100k, ...}
//
// `choices`: the draw is given, no record is made. `records`: draw, choice, canonical text and its hash.
import { cpus } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { keccak256 as viemKeccak256, numberToHex } from "viem/utils";
import { parseArgs } from "node:util";
import { createNativeCrypto } from "../relayer/adapters/crypto.ts";
import { decide, OPEN, Scratch, type DecideTask } from "../relayer/routing/decide.ts";
import { decisionHashOf, decisionText } from "../relayer/routing/decision.ts";
import { wordsOf } from "../relayer/routing/draws.ts";
import { drawOf, type DrawnFor } from "../relayer/routing/seeds.ts";
import { NodeTable, type Shard, type TableEntry } from "../relayer/routing/table.ts";
import { ZERO_HASH, type Hash } from "../protocol/units.ts";

const HELP = "usage: npm run bench:decide -- [--json] [--seconds N]\n";
const WARM_MS = 500;
/** Draws are made beforehand and used in turn. */
const DRAWS = 4_096;
const CHOICES_BETWEEN_LOOKS = 512;
const MODEL: Hash = `0x${"a1".repeat(32)}`;
const PROCESS: Hash = `0x${"b2".repeat(32)}`;
const SEED: Hash = `0x${"c3".repeat(32)}`;
/** Curves of the reference fleet, in nanoseconds and picoseconds: H100, A100, A40, 4090, 3090, 3070, 3060. */
const CURVES = [
  [7_500_000, 21_800, 58, 10_000, 2_000], [12_000_000, 66_100, 95, 27_000, 4_000], [28_000_000, 133_000, 280, 100_000, 8_000], [7_600_000, 133_000, 360, 50_000, 14_000],
  [8_500_000, 238_000, 720, 100_000, 19_200], [13_600_000, 397_000, 650, 150_000, 37_500], [17_000_000, 630_000, 800, 200_000, 50_000],
] as const;

/** A busy fleet: unlike nodes, unlike loads, some of it this relayer's own. */
function entryOf(nodeId: number): TableEntry {
  const [aNs, bNs, cNs, dNs, ePs] = CURVES[nodeId % CURVES.length]!;
  const slots = 8 + (nodeId % 57);
  const own = { inFlight: nodeId % 5, prefillTokens: (nodeId * 71) % 2_000, contextTokens: (nodeId * 173) % 9_000 };
  const row = {
    nodeId, keyEpoch: 1, attestationHash: numberToHex(nodeId, { size: 32 }), slots, modelSlots: slots, computeBps: (nodeId * 2_713) % 9_000, memoryBps: (nodeId * 811) % 9_000,
    queueBps: (nodeId * 97) % 5_000, networkBps: (nodeId * 31) % 3_000, queuedTokens: (nodeId * 613) % 4_000, kvFreeTokens: 119_000, priceIn: 100_000 + (nodeId % 900), priceOut: 200_000,
    scoreBps: 10_000 - ((nodeId * 389) % 2_000), ageMs: (nodeId * 37) % 1_000, curve: { aNs, bNs, cNs, dNs, ePs }, base: { ...own, inFlight: nodeId % 3 },
  };
  return { modelId: MODEL, row, own };
}

interface Fleet {
  readonly table: NodeTable;
  readonly shard: Shard;
  /** Heap that a node takes in a table, its row and own load included. */
  readonly bytesPerNode: number;
}

function fleetOf(nodes: number): Fleet {
  const before = heapBytes();
  const entries = Array.from({ length: nodes }, (_, i) => entryOf(i + 1));
  const table = new NodeTable({ processId: PROCESS, sequence: 0, previous: ZERO_HASH, publishedAtMs: 1_790_000_000_000, events: [] }, entries);
  return { table, shard: table.shards.get(MODEL)!, bytesPerNode: Math.round((heapBytes() - before) / nodes) };
}

/** After a full collection, which Node offers to whoever asks for it. */
function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
}

const taskOf = (i: number): DecideTask =>
  ({ inputTokens: 100 + ((i * 131) % 8_000), expectedOutTokens: (i * 17) % 900, affinityNodeId: i % 3 === 0 ? 1 + (i % 997) : -1, cachedTokens: i % 3 === 0 ? 90 : 0, ageMs: i % 1_000 });

/** A node in sixteen is full, as in a busy fleet. */
const gate = (row: number): number => (row % 16 === 15 ? 3 : OPEN);

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const scratch = new Scratch();
const words = Array.from({ length: DRAWS }, (_, i) => wordsOf(viemKeccak256(numberToHex(i, { size: 32 }))));
const tasks = Array.from({ length: DRAWS }, (_, i) => taskOf(i));

const chooser = ({ shard }: Fleet) => (i: number): number => decide(shard, tasks[i % DRAWS]!, words[i % DRAWS]!, gate, scratch);

function recorder({ shard, table }: Fleet, keccak256: typeof viemKeccak256 | ((data: Hash) => Hash)): (i: number) => number {
  const hash = keccak256 as (data: `0x${string}`) => Hash;
  const tableRoot = table.root;
  return (i) => {
    const drawnFor: DrawnFor = { mode: 1, taskId: PROCESS, sessionId: MODEL, nonce: BigInt(i), subtask: 0, attempt: 0 };
    const draw = drawOf(SEED, drawnFor, hash);
    const task = tasks[i % DRAWS]!;
    const row = decide(shard, task, wordsOf(draw), gate, scratch);
    return decisionHashOf(decisionText({ processId: PROCESS, sequence: i + 1, tableRoot, epoch: 7, draw, drawnFor, cause: null, task }, shard, scratch, row), hash).length + row;
  };
}

/**
 * After a warm-up. Counted in this thread's own time, so that what else runs on the machine does not change the figure.
 * @returns calls per second of one core; a sum of the results is kept so that no call can be left out
 */
function rate(call: (i: number) => number, forMs: number): number {
  let sum = 0;
  const turn = (ms: number): number => {
    const startMs = coreMs();
    let calls = 0;
    for (; coreMs() - startMs < ms; calls += CHOICES_BETWEEN_LOOKS) {
      for (let i = 0; i < CHOICES_BETWEEN_LOOKS; i++) sum += call(calls + i);
    }
    return (calls * 1_000) / (coreMs() - startMs);
  };
  turn(WARM_MS);
  const perSecond = Math.round(turn(forMs));
  if (!Number.isFinite(sum)) throw new Error("a choice is no number");
  return perSecond;
}

function coreMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean", default: false }, seconds: { type: "string", default: "2" }, help: { type: "boolean", default: false } } });
  const forMs = Number(values.seconds) * 1_000;
  if (values.help || !(forMs > 0)) {
    process.stdout.write(HELP);
    process.exitCode = values.help ? 0 : 64;
    return;
  }
  const { keccak256 } = await createNativeCrypto();
  const small = fleetOf(1_000);
  const recordsPerSecond = rate(recorder(small, keccak256), forMs);
  const choicesPerSecond = rate(chooser(small), forMs);
  const large = fleetOf(100_000);
  const choicesPerSecond100k = rate(chooser(large), forMs);
  const result = {
    choicesPerSecond, choicesPerSecond100k, recordsPerSecond, bytesPerNode: small.bytesPerNode, bytesPerNode100k: large.bytesPerNode, unit: "per second of one core", node: process.version, cpu: cpus()[0]?.model ?? "unknown",
  };
  if (!values.json) {
    process.stderr.write(`${choicesPerSecond} choices/s over 1,000 nodes, ${choicesPerSecond100k} over 100,000; with draw, record and hash ${recordsPerSecond}/s; `
      + `${large.bytesPerNode} bytes a node\n`);
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

await main();
