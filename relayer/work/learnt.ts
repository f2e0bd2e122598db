// What was learnt of nodes, as it outlives the process that learnt it: how good, how fast, how silent each of them has been.
//
//   a process ── a deed ──▶ LearntNode ── the newest of each node ──▶ the journal's fact ──▶ the next process, with its age
//
// Up to an hour old it counts as it is, then half as much with each hour, and after a day not at all: then a node is one of whom
// nothing is known. Bad scores are forgiven while nobody runs as they are while somebody does, so that a restart is no amnesty.
import { z } from "zod";
import { FIT_NUMBERS } from "../routing/fit.ts";
import { Breaker, Pace } from "../lobby/pace.ts";
import { BPS, type Bps, type Hash, type Millis } from "../../protocol/units.ts";

/** How a node was met in one model's hall. Times as in LearntNode. */
export interface LearntInHall {
  readonly slownessLog: number;
  readonly slownessAtMs: Millis;
  readonly silences: number;
  readonly brokenUntilMs: Millis;
}

export interface LearntModel {
  /** Of `CurveFit.numbers`. */
  readonly fit: readonly number[];
  /** Null where no hall has met it. */
  readonly hall: LearntInHall | null;
}

/** Times are a process's monotonic clock's within it, and unix time in the journal. */
export interface LearntNode {
  readonly nodeId: number;
  /** Of its last deed. */
  readonly atMs: Millis;
  readonly scoreBps: Bps;
  /** Good answers, as warming up counts them. */
  readonly kept: number;
  /** Engine and curve as it stated them: what was learnt of another engine tells nothing. */
  readonly stated: string;
  readonly models: Readonly<Record<Hash, LearntModel>>;
}

/** Of more nodes those with the last deeds are remembered. */
export const NODES_MAX = 1_000;
/** A node of one model takes some 700; nodes of many models are fewer. */
const CHARACTERS_MAX = 2_000_000;
const STATED_CHARACTERS_MAX = 1_000;
const HOUR_MS: Millis = 3_600_000;
const FORGOTTEN_MS: Millis = 24 * HOUR_MS;
/** Clocks of two machines may differ by so much; a deed of a later time would stand before all others for good. */
const AHEAD_MS_MAX: Millis = 5 * 60_000;
const VERSION = 1;

/** @returns how much of what was learnt so long ago still counts, 0 to 1 */
export function partOfAge(ageMs: Millis): number {
  if (ageMs >= FORGOTTEN_MS) return 0;
  return ageMs <= HOUR_MS ? 1 : 2 ** (1 - ageMs / HOUR_MS);
}

/** What a hall keeps of a node beside its load, begun from what an earlier process learnt. */
export class Met {
  readonly pace = new Pace();
  readonly breaker = new Breaker();

  constructor(learnt: LearntInHall | null, nowMs: Millis) {
    if (!learnt) return;
    // A clock that was set back would else keep it slow until the time is caught up with.
    this.pace.recall({ log: learnt.slownessLog, atMs: Math.min(nowMs, learnt.slownessAtMs) });
    this.breaker.recall({ silences: learnt.silences, brokenUntilMs: learnt.brokenUntilMs }, nowMs);
  }

  learnt(): LearntInHall {
    const [pace, breaker] = [this.pace.kept, this.breaker.kept];
    return { slownessLog: pace.log, slownessAtMs: pace.atMs, silences: breaker.silences, brokenUntilMs: breaker.brokenUntilMs };
  }
}

/** The same with all times later by so much. */
export function shifted(node: LearntNode, byMs: Millis): LearntNode {
  const models = Object.entries(node.models).map(([modelId, { fit, hall }]) =>
    [modelId, { fit, hall: hall && { ...hall, slownessAtMs: hall.slownessAtMs + byMs, brokenUntilMs: hall.brokenUntilMs + byMs } }]);
  return { ...node, atMs: node.atMs + byMs, models: Object.fromEntries(models) as LearntNode["models"] };
}

/** Of each node what was learnt last, of the nodes with the last deeds, without what is forgotten. */
export function merged(stored: readonly LearntNode[], own: readonly LearntNode[], nowMs: Millis): LearntNode[] {
  const newest = new Map<number, LearntNode>();
  for (const node of [...stored, ...own]) {
    const isNewer = node.atMs > (newest.get(node.nodeId)?.atMs ?? -Infinity);
    if (isNewer && nowMs - node.atMs < FORGOTTEN_MS && node.atMs - nowMs <= AHEAD_MS_MAX) newest.set(node.nodeId, node);
  }
  return lastOf([...newest.values()]);
}

/** As many as are remembered, those with the last deeds, the last first. */
export const lastOf = (nodes: readonly LearntNode[]): LearntNode[] => [...nodes].sort((one, other) => other.atMs - one.atMs).slice(0, NODES_MAX);

const finite = z.number().refine(Number.isFinite);
const hallSchema = z.object({ slownessLog: finite, slownessAtMs: finite, silences: z.number().int().min(0), brokenUntilMs: finite });
const nodeSchema = z.object({
  nodeId: z.number().int().min(0), atMs: finite, scoreBps: z.number().int().min(0).max(BPS), kept: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  stated: z.string().max(STATED_CHARACTERS_MAX),
  models: z.record(z.string().regex(/^0x[0-9a-f]{64}$/).transform((id) => id as Hash), z.object({ fit: z.array(finite).length(FIT_NUMBERS), hall: hallSchema.nullable() })),
});

/** @param nodes the most important first: what there is no room for is left out */
export function learntToText(nodes: readonly LearntNode[]): string {
  const written: string[] = [];
  let left = CHARACTERS_MAX;
  for (const node of nodes) {
    const text = JSON.stringify({ ...node, stated: node.stated.slice(0, STATED_CHARACTERS_MAX) });
    left -= text.length + 1;
    if (left < 0) break;
    written.push(text);
  }
  return `{"version":${VERSION},"nodes":[${written.join(",")}]}`;
}

/** @returns what can be read, and how many entries cannot; null where the text is of another version, or none */
export function learntFromText(text: string): { readonly nodes: readonly LearntNode[]; readonly unread: number } | null {
  try {
    const { version, nodes } = JSON.parse(text) as { version: unknown; nodes: unknown[] };
    if (version !== VERSION || !Array.isArray(nodes)) return null;
    const read = nodes.slice(0, NODES_MAX).flatMap((node) => nodeSchema.safeParse(node).data ?? []);
    return { nodes: read, unread: nodes.length - read.length };
  } catch {
    return null;
  }
}
