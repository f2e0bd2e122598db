// Many decisions over a made-up fleet, as one line: run as a program to see whether another process decides the same.
import { decide, OPEN, Scratch } from "../../../relayer/routing/decide.ts";
import { drawWords, row, shardOf, task } from "./shards.ts";

export const MANY = 2_000;

/** Chosen rows and their costs. */
export function manyDecisions(): string {
  const rows = Array.from({ length: 300 }, (_, i) => row(i + 1, {
    computeBps: (i * 2_713) % 10_001, memoryBps: (i * 811) % 10_001, queueBps: (i * 97) % 5_000, networkBps: (i * 31) % 3_000, queuedTokens: (i * 613) % 4_000,
    scoreBps: 10_000 - ((i * 389) % 3_000), slots: 1 + (i % 16), modelSlots: 1 + (i % 16), ageMs: (i * 37) % 5_000,
  }));
  const shard = shardOf(rows, (nodeId) => ({ inFlight: nodeId % 3, prefillTokens: (nodeId * 71) % 2_000, contextTokens: (nodeId * 173) % 9_000 }));
  const scratch = new Scratch();
  return Array.from({ length: MANY }, (_, i) => {
    const chosen = decide(shard, task({ inputTokens: (i * 131) % 8_000, expectedOutTokens: (i * 17) % 900, ageMs: i % 1_000 }), drawWords(i), (at) => ((at + i) % 7 === 0 ? 3 : OPEN), scratch);
    return `${chosen}:${scratch.temperatureUs}:${scratch.costs.subarray(0, scratch.count).join("/")}`;
  }).join(",");
}

if (import.meta.main) console.log(manyDecisions());
