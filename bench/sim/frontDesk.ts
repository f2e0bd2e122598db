// The relayer's fleet as the simulator needs it: attestations become the node table, the table and own work go to `decide`.
import { decide, Scratch } from "../../relayer/routing/decide.ts";
import { clampCurve } from "../../relayer/routing/curve.ts";
import { forgiven, scoreAfter, SCORE_START_BPS, type Deed } from "../../relayer/routing/score.ts";
import { NodeTable, type Shard, type TableEntry } from "../../relayer/routing/table.ts";
import { TABLE_EVERY_MS } from "../../relayer/routing/parameters.ts";
import { BPS, ZERO_HASH, type Hash } from "../../protocol/units.ts";
import { BLOCK_TOKENS } from "./trace.ts";
import { idleTtftMs } from "./targets.ts";
import type { ServiceCurve } from "../../protocol/link.ts";
import { keptTokens, turnedOver, type Attested, type OwnLoad } from "../../relayer/routing/saturation.ts";
import type { Job } from "./job.ts";
import type { NodeProfile } from "./profiles.ts";
import type { Floor } from "../../relayer/lobby/floor.ts";
import type { Holder } from "../../relayer/lobby/errand.ts";
import { idleSnapshot } from "./idleSnapshot.ts";
import type { Snapshot } from "./node.ts";
import type { World } from "./policy.ts";

const MODEL: Hash = ZERO_HASH;
/** A conversation's last place and prompt. */
interface Left {
  readonly node: number;
  readonly blocks: Int32Array;
  /** What had come and gone on the node when it was there last. */
  turnedOver: number;
}

/** A request in flight, as it was foreseen. */
interface Foreseen {
  readonly outTokens: number;
  readonly cachedTokens: number;
}

export class FrontDesk {
  readonly #world: World;
  readonly #floor: Pick<Floor<unknown>, "models" | "pace">;
  readonly #own: OwnLoad[];
  readonly #attested: (Attested & { atMs: number })[];
  readonly #kinds: readonly NodeProfile[];
  #openKinds: readonly NodeProfile[];
  readonly #left = new Map<number, Left>();
  readonly #foreseen = new Map<number, Foreseen>();
  /** Tokens that have come and gone on each node. */
  readonly #turnedOver: number[];
  readonly #scores: { bps: number; atMs: number }[];
  readonly #scratch = new Scratch();
  readonly #words = new Uint32Array(8);
  #shard: Shard | null = null;
  #tableAtMs = -Infinity;

  constructor(world: World, floor: Pick<Floor<unknown>, "models" | "pace">) {
    this.#world = world;
    this.#floor = floor;
    this.#own = world.profiles.map(() => ({ inFlight: 0, prefillTokens: 0, contextTokens: 0 }));
    this.#attested = world.profiles.map((profile, node) => ({ ...attestedOf(profile, idleSnapshot(0), this.#own[node]!), atMs: 0 }));
    this.#kinds = this.#openKinds = [...new Set(world.profiles)];
    this.#turnedOver = world.profiles.map(() => 0);
    this.#scores = world.profiles.map(() => ({ bps: SCORE_START_BPS, atMs: 0 }));
  }

  attested(node: number, snapshot: Snapshot, _nowMs: number): void {
    this.#attested[node] = { ...attestedOf(this.#world.profiles[node]!, snapshot, this.#own[node]!), atMs: snapshot.atMs };
  }

  /** @returns the chosen node, or -1 where none is open */
  decide(job: Job, expectedOutTokens: number, nowMs: number, gate: (node: number) => number): number {
    if (nowMs - this.#tableAtMs >= TABLE_EVERY_MS) this.#publish(nowMs);
    const holder = this.holderOf(job);
    const task = {
      inputTokens: job.inputTokens, expectedOutTokens, affinityNodeId: holder?.node ?? -1, cachedTokens: holder?.cachedTokens ?? 0,
      ageMs: Math.floor(nowMs - this.#tableAtMs),
    };
    // Node ids are row numbers: every node stands in the table.
    return decide(this.#shard!, task, this.#world.random.fill(this.#words), gate, this.#scratch);
  }

  deed(node: number, deed: Deed, nowMs: number): void {
    const score = this.#scores[node]!;
    this.#scores[node] = { bps: scoreAfter(forgiven(score.bps, nowMs - score.atMs), deed), atMs: nowMs };
  }

  sent(job: Job, node: number, expectedOutTokens: number): void {
    const own = this.#own[node]!;
    this.#foreseen.set(job.id, { outTokens: expectedOutTokens, cachedTokens: this.#cachedTokensOn(node, job) });
    own.inFlight++;
    own.prefillTokens += job.inputTokens;
    own.contextTokens += job.inputTokens + expectedOutTokens;
    if (job.session >= 0 && job.blocks !== null) this.#left.set(job.session, { node, blocks: job.blocks, turnedOver: this.#turnedOver[node]! });
  }

  firstToken(job: Job): void {
    this.#own[job.node]!.prefillTokens -= job.inputTokens;
  }

  ended(job: Job): void {
    const { node } = job;
    const own = this.#own[node]!;
    const { outTokens, cachedTokens } = this.#foreseen.get(job.id)!;
    this.#foreseen.delete(job.id);
    this.#turnedOver[node]! += turnedOver(this.#attested[node]!, own, job.inputTokens - cachedTokens);
    const left = this.#left.get(job.session);
    if (left?.node === node && left.blocks === job.blocks) left.turnedOver = this.#turnedOver[node]!;
    own.inFlight--;
    if (job.firstMs < 0) own.prefillTokens -= job.inputTokens;
    own.contextTokens -= job.inputTokens + outTokens;
  }

  /** Where the conversation's last turn left something, as far as the relayer knows. */
  holderOf(job: Job): Holder | null {
    const left = this.#left.get(job.session);
    if (!left) return null;
    const { node } = left;
    return { node, cachedTokens: keptTokens(this.#attested[node]!, this.#own[node]!, commonTokens(left, job), this.#turnedOver[node]! - left.turnedOver) };
  }

  #cachedTokensOn(node: number, job: Job): number {
    const holder = this.holderOf(job);
    return holder?.node === node ? holder.cachedTokens : 0;
  }

  /** Nodes were opened or closed: who can be read by none that is open is not to wait for one. */
  divided(): void {
    this.#openKinds = [...new Set(this.#world.profiles.filter((_, node) => this.#floor.models[node]!.slots > 0))];
  }

  /** First token on the open node that would be quickest if it were idle. */
  bestTtftMs(job: Job): number {
    return this.#openKinds.reduce((least, kind) => Math.min(least, job.inputTokens + job.maxOutTokens <= kind.kvTokens ? idleTtftMs(kind, job.inputTokens) : Infinity), Infinity);
  }

  bestTtftOf(inputTokens: number): number {
    return this.#kinds.reduce((least, kind) => Math.min(least, idleTtftMs(kind, inputTokens)), Infinity);
  }

  #publish(nowMs: number): void {
    const entries: TableEntry[] = this.#attested.map((attested, node) => ({
      modelId: MODEL, own: this.#own[node]!,
      row: {
        ...attested, nodeId: node, keyEpoch: 0, attestationHash: ZERO_HASH, modelSlots: attested.slots, ageMs: Math.max(0, Math.floor(nowMs - attested.atMs)),
        curve: clampCurve(paced(this.#floor.models[node]!.curve, this.#floor.pace(node, nowMs))), priceIn: 0, priceOut: 0, scoreBps: forgiven(this.#scores[node]!.bps, nowMs - this.#scores[node]!.atMs),
      },
    }));
    const head = { processId: ZERO_HASH, sequence: 0, previous: ZERO_HASH, publishedAtMs: Math.floor(nowMs), events: [] };
    this.#shard = new NodeTable(head, entries).shards.get(MODEL)!;
    this.#tableAtMs = nowMs;
  }
}

/** A curve that is so many times slower in everything. */
const paced = (curve: ServiceCurve, by: number): ServiceCurve =>
  ({ aNs: curve.aNs * by, bNs: curve.bNs * by, cNs: curve.cNs * by, dNs: curve.dNs * by, ePs: curve.ePs * by });

/** As a node's gauge would put it; `base` is the relayer's own load when it arrives. */
function attestedOf(profile: NodeProfile, snapshot: Snapshot, own: Readonly<OwnLoad>): Attested {
  const bps = (part: number): number => Math.min(BPS, Math.floor(part * BPS));
  return {
    slots: profile.batchLimit, computeBps: bps((snapshot.running + snapshot.waiting) / profile.batchLimit), memoryBps: bps(snapshot.kvUsedTokens / profile.kvTokens),
    queueBps: bps(snapshot.waiting / profile.batchLimit), networkBps: 0, queuedTokens: snapshot.queuedTokens, kvFreeTokens: profile.kvTokens - snapshot.kvUsedTokens,
    base: { ...own },
  };
}

/** Leading blocks that two prompts of a conversation share, less what must be computed anyway. */
function commonTokens(left: Left, job: Job): number {
  if (job.blocks === null) return 0;
  let depth = 0;
  while (depth < job.blocks.length && depth < left.blocks.length && job.blocks[depth] === left.blocks[depth]) depth++;
  return Math.min(depth * BLOCK_TOKENS, job.inputTokens - 1);
}
