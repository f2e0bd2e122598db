// The live tide: how much generation and how much preprocessing comes and waits, and which lane each node is in for it.
//
// Embeddings are the preprocessing that there is. A node in the prep lane keeps one slot free for it and gives the rest to generation;
// in the decode lane it gives all to whoever comes first.
import { LANES, Lanes, type Lane, type LaneLoad, type LaneNode } from "../lobby/lanes.ts";
import { iterationMs } from "../lobby/predict.ts";
import type { Standing } from "./standing.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

export interface LaneStatus {
  readonly nodes: number;
  readonly slots: number;
  readonly running: number;
  readonly waiting: number;
  /** Work that comes and waits, over what the lane can do; 100 is all. */
  readonly pressurePercent: number;
}

export interface LanesStatus {
  readonly decode: LaneStatus;
  readonly prep: LaneStatus;
  /** The nodes in the prep lane: each keeps a slot free for it. */
  readonly prepNodeIds: readonly number[];
  readonly switches: number;
}

const OBSERVE_EVERY_MS: Millis = 1_000;
/** Context that a sequence is taken to have, and output that a request is taken to want, where nothing better is known. */
const [CONTEXT_TOKENS, OUT_TOKENS] = [512, 256] as const;

export const laneOfKind = (kind: Standing["kindOfModel"]): Lane => (kind === "embed" ? "prep" : "decode");

export class LaneWatch {
  readonly #lanes = new Lanes();
  readonly #arrived: Record<Lane, number> = { decode: 0, prep: 0 };
  #sinceMs: Millis;

  constructor(nowMs: Millis) {
    this.#sinceMs = nowMs;
  }

  laneOf(nodeId: number): Lane {
    return this.#lanes.laneOf(nodeId);
  }

  /** A new request. */
  arrived(lane: Lane, inputTokens: Tokens, maxOutTokens: Tokens): void {
    this.#arrived[lane] += workOf(inputTokens, maxOutTokens);
  }

  /** To be called often; looks once a second. @param waiting requests, by lane @returns true where a node has changed over */
  observe(standings: ReadonlyMap<number, readonly Standing[]>, waiting: LaneLoad, nowMs: Millis): boolean {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < OBSERVE_EVERY_MS) return false;
    const coming = { decode: (1_000 * this.#arrived.decode) / elapsedMs, prep: (1_000 * this.#arrived.prep) / elapsedMs };
    this.#sinceMs = nowMs;
    for (const lane of LANES) this.#arrived[lane] = 0;
    const waitingWork = { decode: waiting.decode * workOf(CONTEXT_TOKENS, OUT_TOKENS), prep: waiting.prep * workOf(CONTEXT_TOKENS, 0) };
    return this.#lanes.observe([...standings].map(([id, models]) => laneNodeOf(id, models)), coming, waitingWork, nowMs).length > 0;
  }

  /** What a node in its lane offers a model: the prep lane keeps a slot free where the node preprocesses at all. */
  reserved(nodeId: number, standing: Standing, all: readonly Standing[]): Standing {
    const { model, kindOfModel } = standing;
    const keepsOne = kindOfModel === "generate" && model.slots > 1 && this.laneOf(nodeId) === "prep" && all.some((one) => one.kindOfModel === "embed");
    return keepsOne ? { ...standing, model: { ...model, slots: model.slots - 1 } } : standing;
  }

  status(standings: ReadonlyMap<number, readonly Standing[]>, running: LaneLoad, waiting: LaneLoad): LanesStatus {
    const of = (lane: Lane): LaneStatus => {
      const own = [...standings].filter(([id, models]) => models.length > 0 && this.laneOf(id) === lane);
      const slots = own.reduce((sum, [, models]) => sum + Math.max(0, ...models.map(({ model }) => model.slots)), 0);
      return { nodes: own.length, slots, running: running[lane], waiting: waiting[lane], pressurePercent: Math.min(999, Math.round(100 * this.#lanes.pressure[lane])) };
    };
    const prepNodeIds = [...standings.keys()].filter((id) => this.laneOf(id) === "prep");
    return { decode: of("decode"), prep: of("prep"), prepNodeIds, switches: this.#lanes.switches };
  }
}

/** As fairness counts it. */
const workOf = (inputTokens: Tokens, maxOutTokens: Tokens): number => inputTokens + 2 * Math.min(maxOutTokens, OUT_TOKENS);

/** Work per second that a node does of either kind, by its curves. */
function laneNodeOf(id: number, standings: readonly Standing[]): LaneNode {
  const fastest = (kind: Standing["kindOfModel"], speedOf: (standing: Standing) => number): number =>
    standings.filter((one) => one.kindOfModel === kind).reduce((most, one) => Math.max(most, speedOf(one)), 0);
  return {
    id,
    decodeSpeed: fastest("generate", ({ model: { curve, slots } }) => (2_000 * slots) / Math.max(1e-3, iterationMs(curve, slots * CONTEXT_TOKENS, slots))),
    prepSpeed: fastest("embed", ({ model: { curve, chunkTokens } }) => (1_000 * chunkTokens) / Math.max(1e-3, (curve.aNs + curve.bNs * chunkTokens) / 1e6)),
  };
}
