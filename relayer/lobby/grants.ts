// Grants: which part of each node is whose, where several relayers send to the same nodes on pictures that are seconds old.
//
//   class HIGH  |------ node 3 ------|------ node 8 ------|        Nodes of a class lie on a line, in the order of their ids, each as
//   parties     |-- a --|------ b -------|------ c -------|        long as it is fast; parties are cut off it one after the other, each
//                                                                  as long as its part of what runs on all nodes.
//
// Two prompts that meet on a slow node are both late, and neither sender sees the other's in time. So a party prefers to be nearly alone
// on few nodes to being one of many on all. Every node tells who has how many requests there (protocol/link.ts), everybody makes the
// same cut of it, and nobody has to be asked. What nobody else uses is not kept from anybody: each party may have a part of it.
import type { Floor } from "./floor.ts";
import { relayerOfParty, type Presence } from "../../protocol/link.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/** A node's place on the line. */
export interface Standing {
  readonly nodeId: number;
  /** Nodes of one class lie on one line: everybody gets some of each. */
  readonly hardwareClass: number;
  /** What it states that reading a prompt of COMMON_PROMPT_TOKENS takes. */
  readonly readMs: Millis;
}

/** By the reading of such a prompt nodes are compared. */
export const COMMON_PROMPT_TOKENS: Tokens = 1_024;
/** What is told changes the parts over about this time: in-flight counts are small and restless, and a cut that moves lets prompts meet. */
const MEMORY_MS: Millis = 10_000;
const RECUT_EVERY_MS: Millis = 1_000;
/** Of the fleet, what is cut alike for all relayers whatever they have running: who comes to a full fleet must be able to begin. */
const ALIKE_PART = 0.1;
/** Of less than this in the mean no party is made up. */
const RUNNING_MIN = 0.1;
/** A smaller part of a node is none: it would hold a prompt up for long, and rounding leaves such at the cuts. */
const PART_MIN = 0.02;
/** However small the part, a prompt uses it up for no longer than this. */
const USED_MS_MAX: Millis = 10_000;
/** A node of which others use no more than this is no party's own. */
const OTHERS_USE_MAX = 0.4;
/** A fleet has few relayers: of more than so many parties those with most running count. */
const PARTIES_MAX = 256;

export class Grants {
  readonly #floor: Floor<unknown>;
  readonly #me: string;
  readonly #standings: (Standing | null)[] = [];
  readonly #told: (ReadonlyMap<string, number> | null)[] = [];
  readonly #othersRunning: number[] = [];
  readonly #running = new Map<string, number>();
  #parts: Float64Array = new Float64Array(0);
  #parties = 1;
  #cutAtMs: Millis = -Infinity;
  /** Until when the prompts sent to a node use up the own part of its time. */
  readonly #usedUntilMs: number[] = [];

  /** @param floor with the same nodes in the same places @param me the name by which nodes tell of this party */
  constructor(floor: Floor<unknown>, me: string) {
    this.#floor = floor;
    this.#me = me;
  }

  /** Where a node lies; null where it is gone. */
  stand(node: number, standing: Standing | null): void {
    this.#standings[node] = standing;
    if (standing === null) this.#told[node] = null;
  }

  /** A node's word on who has requests there. It counts for no more than the node has slots, whatever it tells. */
  told(node: number, presences: readonly Presence[]): void {
    const total = presences.reduce((sum, { running }) => sum + running, 0);
    const by = Math.min(1, (this.#floor.models[node]?.slots ?? 0) / Math.max(1, total));
    this.#told[node] = new Map(presences.map(({ party, running }) => [party, running * by]));
  }

  /** Whether there is anybody to share with; else all of every node is this party's. */
  isDivided(nowMs: Millis): boolean {
    if (nowMs - this.#cutAtMs >= RECUT_EVERY_MS) this.#recut(nowMs);
    return this.#parties > 1;
  }

  /** Among how many the nodes are divided, this one among them. */
  parties(nowMs: Millis): number {
    return this.isDivided(nowMs) ? this.#parties : 1;
  }

  /** Of a node's time, what this party may count on. */
  partOf(node: number, nowMs: Millis): number {
    return this.isDivided(nowMs) ? (this.#parts[node] ?? 0) : 1;
  }

  /** Time until the own part of a node's time is no longer taken by what was sent there; Infinity where there is none. */
  aheadMs(node: number, nowMs: Millis): Millis {
    return this.partOf(node, nowMs) === 0 ? Infinity : Math.max(0, (this.#usedUntilMs[node] ?? 0) - nowMs);
  }

  /** @param readMs what reading the prompt takes of the node's time, as fast as it has proved to be */
  sent(node: number, readMs: Millis, nowMs: Millis): void {
    const part = Math.max(PART_MIN, this.partOf(node, nowMs));
    this.#usedUntilMs[node] = Math.max(nowMs, this.#usedUntilMs[node] ?? 0) + Math.min(USED_MS_MAX, readMs / part);
  }

  #recut(nowMs: Millis): void {
    this.#weigh(nowMs);
    this.#cutAtMs = nowMs;
    const parties = [...new Set([...this.#running.keys(), this.#me])].sort();
    this.#parties = parties.length;
    if (parties.length === 1) return;
    const total = parties.reduce((sum, party) => sum + (this.#running.get(party) ?? 0), 0);
    const sharers = sharersOf(parties);
    const weights = parties.map((party, i) => ((1 - ALIKE_PART) * (this.#running.get(party) ?? 0)) / total + ALIKE_PART / sharers[i]!);
    const cut = cutOf(this.#standings, weights, parties.indexOf(this.#me));
    // Of what is free as many take as there are parties of equal size to the same effect (Simpson's number): made-up ones count little.
    const takers = 1 / weights.reduce((sum, weight) => sum + weight ** 2, 0);
    this.#parts = cut.map((part, node) => Math.max(part < PART_MIN ? 0 : part, this.#leftOf(node) / takers));
  }

  /** Of a node's time what others leave, where that is most of it. */
  #leftOf(node: number): number {
    if (!this.#standings[node]) return 0;
    const used = this.#floor.takenBy(node, this.#othersRunning[node] ?? 0);
    return used <= OTHERS_USE_MAX ? 1 - used : 0;
  }

  #weigh(nowMs: Millis): void {
    const believed = this.#cutAtMs === -Infinity ? 1 : 1 - Math.exp((this.#cutAtMs - nowMs) / MEMORY_MS);
    const sums = new Map<string, number>();
    for (const [node, told] of this.#told.entries()) {
      let others = 0;
      for (const [party, running] of told ?? []) {
        if (party !== this.#me) others += running;
        sums.set(party, (sums.get(party) ?? 0) + running);
      }
      this.#othersRunning[node] = fadedTo(this.#othersRunning[node], others, believed);
    }
    for (const party of new Set([...sums.keys(), ...this.#running.keys()])) {
      const running = fadedTo(this.#running.get(party), sums.get(party) ?? 0, believed);
      if (running >= RUNNING_MIN) this.#running.set(party, running);
      else this.#running.delete(party);
    }
    this.#forgetLeast();
  }

  /** Who has least running is left out, never who was told of last: names that a node makes up must push nobody out who is there. */
  #forgetLeast(): void {
    if (this.#running.size <= PARTIES_MAX) return;
    const others = [...this.#running].filter(([party]) => party !== this.#me).sort((one, other) => other[1] - one[1]);
    for (const [party] of others.slice(PARTIES_MAX - 1)) this.#running.delete(party);
  }
}

/** Among how many each party shares what is cut alike: relayers, then processes of its own, for more processes are no claim to more. */
function sharersOf(parties: readonly string[]): number[] {
  const processes = new Map<string, number>();
  for (const relayer of parties.map(relayerOfParty)) processes.set(relayer, (processes.get(relayer) ?? 0) + 1);
  return parties.map((party) => processes.size * processes.get(relayerOfParty(party))!);
}

const fadedTo = (before: number | undefined, now: number, believed: number): number => (before ?? 0) + believed * (now - (before ?? 0));

/**
 * Cuts the line of each class among parties.
 * @param weights of all parties, in their order; their sum is 1
 * @returns of each node, the part of it that is the given party's, 0 to 1
 */
export function cutOf(standings: readonly (Standing | null)[], weights: readonly number[], party: number): Float64Array {
  const parts = new Float64Array(standings.length);
  const from = weights.slice(0, party).reduce((sum, weight) => sum + weight, 0);
  const to = party === weights.length - 1 ? 1 : from + weights[party]!;
  for (const line of linesOf(standings)) {
    const total = line.reduce((sum, { length }) => sum + length, 0);
    let at = 0;
    for (const { node, length } of line) {
      const [begin, end] = [at / total, (at + length) / total];
      parts[node] = Math.min(1, Math.max(0, Math.min(end, to) - Math.max(begin, from)) / (end - begin));
      at += length;
    }
  }
  return parts;
}

/** A node's part of its class's line. */
interface Stretch {
  readonly node: number;
  readonly nodeId: number;
  readonly length: number;
}

/** A node that claims to read in no time would have an endless stretch. */
const READ_MS_MIN: Millis = 1;
/**
 * However fast a node says it is, its stretch is no longer than so many of its class's lower median: who boasts would else have most of
 * the line, and whoever is cut off it alone nothing. An H100 reads three times as fast as the A100 of its class.
 */
export const STRETCH_TIMES_MAX = 4;

function linesOf(standings: readonly (Standing | null)[]): Stretch[][] {
  const lines = new Map<number, Stretch[]>();
  for (const [node, standing] of standings.entries()) {
    if (!standing) continue;
    const line = lines.get(standing.hardwareClass) ?? [];
    line.push({ node, nodeId: standing.nodeId, length: 1 / Math.max(READ_MS_MIN, standing.readMs) });
    lines.set(standing.hardwareClass, line);
  }
  return [...lines.values()].map((line) => bounded(line).sort((one, other) => one.nodeId - other.nodeId));
}

/** By what everybody is told alike, or the cuts would not fit together: what a relayer observed of a node's speed is its own. */
function bounded(line: readonly Stretch[]): Stretch[] {
  const lengths = line.map(({ length }) => length).sort((one, other) => one - other);
  const most = STRETCH_TIMES_MAX * lengths[Math.floor((lengths.length - 1) / 2)]!;
  return line.map((stretch) => ({ ...stretch, length: Math.min(most, stretch.length) }));
}
