// Tidal lanes: which nodes generate (`decode`) and which preprocess (`prep`) at the moment, as the two kinds of work come and go.
//
// Pressure of a lane = seconds of work that wait or are foretold / seconds of capacity. Where the pressures differ by more than a band,
// a node changes over: the one that evens them most, so that few nodes change, and strong ones where much is asked for: a lane of weak
// nodes alone cannot read long prompts in time. Not more often than its dwell, one step at a time, and not back before the imbalance has
// turned (Mooncake's advice: switch roles "only when significant load fluctuations occur").
//
//   While nothing is to be preprocessed all generate; what comes of it, and what is foretold, takes as many nodes as it needs.
import { Forecast } from "./forecast.ts";
import type { Millis } from "../../protocol/units.ts";

export type Lane = "decode" | "prep";
export const LANES: readonly Lane[] = ["decode", "prep"];

export interface LaneParameters {
  /** A lane must be pressed so many times more than the other one before a node changes over to it. */
  readonly band: number;
  /** Below this pressure nothing waits that a change would help. */
  readonly pressureMin: number;
  /** A node that changed stays for at least so long. */
  readonly dwellMs: Millis;
  /** From step to step. */
  readonly everyMs: Millis;
  /** Pressures are taken so far ahead: a change takes effect only when what runs has ended. */
  readonly aheadMs: Millis;
  /** Of the nodes, at most this part changes in one step, and at least one. */
  readonly stepPart: number;
}

export const LANE_PARAMETERS: LaneParameters = Object.freeze({ band: 1.25, pressureMin: 0.5, dwellMs: 60_000, everyMs: 5_000, aheadMs: 20_000, stepPart: 0.1 });

/** Of however many: each change looks at all of them. */
const STEP_NODES_MAX = 32;

/** A node as lanes see it: what a second of it is worth to either kind of work. */
export interface LaneNode {
  readonly id: number;
  /** Seconds of the reference node's work that it does in a second; 0 where it cannot do that kind. */
  readonly decodeSpeed: number;
  readonly prepSpeed: number;
}

export interface LaneState {
  readonly id: number;
  readonly lane: Lane;
  readonly changedAtMs: Millis;
}

/** Seconds of the reference node's work, per second: what comes, and what waits of it. */
export interface LaneLoad {
  readonly decode: number;
  readonly prep: number;
}

export class Lanes {
  readonly #parameters: LaneParameters;
  readonly #forecasts: Readonly<Record<Lane, Forecast>> = { decode: new Forecast(), prep: new Forecast() };
  #states = new Map<number, LaneState>();
  #nextMs: Millis = -Infinity;
  #switches = 0;
  #pressure: LaneLoad = { decode: 0, prep: 0 };

  constructor(parameters: LaneParameters = LANE_PARAMETERS) {
    this.#parameters = parameters;
  }

  /** Of a node; `decode` where it was never seen. */
  laneOf(id: number): Lane {
    return this.#states.get(id)?.lane ?? "decode";
  }

  /** Since the beginning. */
  get switches(): number {
    return this.#switches;
  }

  /** As of the last step. */
  get pressure(): LaneLoad {
    return this.#pressure;
  }

  /**
   * Looks at the load, and once per step changes nodes over.
   * @param coming seconds of work that arrive per second @param waiting seconds of work that wait
   * @returns the nodes that changed
   */
  observe(nodes: readonly LaneNode[], coming: LaneLoad, waiting: LaneLoad, nowMs: Millis): readonly LaneState[] {
    for (const lane of LANES) this.#forecasts[lane].observe(coming[lane], nowMs);
    if (!(nowMs >= this.#nextMs)) return [];
    this.#nextMs = nowMs + this.#parameters.everyMs;
    this.#enrol(nodes, nowMs);
    const asked = this.#asked(waiting);
    const changed: LaneState[] = [];
    const most = Math.min(STEP_NODES_MAX, Math.max(1, Math.floor(this.#parameters.stepPart * nodes.length)));
    for (let i = 0; i < most; i++) {
      const next = this.#changeOf(nodes, asked, nowMs);
      if (next === null) break;
      this.#states.set(next.id, next);
      this.#switches++;
      changed.push(next);
    }
    this.#pressure = pressureOf(asked, this.#capacity(nodes));
    return changed;
  }

  /** Newcomers generate, if they can, and may change at once. */
  #enrol(nodes: readonly LaneNode[], nowMs: Millis): void {
    const states = new Map<number, LaneState>();
    for (const { id, decodeSpeed, prepSpeed } of nodes) {
      const lane: Lane = finite(prepSpeed) > 0 && finite(decodeSpeed) === 0 ? "prep" : "decode";
      states.set(id, this.#states.get(id) ?? { id, lane, changedAtMs: nowMs - this.#parameters.dwellMs });
    }
    this.#states = states;
  }

  /** Foretold arrivals and what waits, the latter to be worked off in the time ahead. */
  #asked(waiting: LaneLoad): LaneLoad {
    const { aheadMs } = this.#parameters;
    const of = (lane: Lane): number => this.#forecasts[lane].expect(aheadMs) + finite(waiting[lane]) / (aheadMs / 1_000);
    return { decode: of("decode"), prep: of("prep") };
  }

  #capacity(nodes: readonly LaneNode[]): LaneLoad {
    let [decode, prep] = [0, 0];
    for (const node of nodes) {
      if (this.laneOf(node.id) === "decode") decode += finite(node.decodeSpeed);
      else prep += finite(node.prepSpeed);
    }
    return { decode, prep };
  }

  /** The change that evens the pressures most, or null where none is due or none helps. */
  #changeOf(nodes: readonly LaneNode[], asked: LaneLoad, nowMs: Millis): LaneState | null {
    const { band, pressureMin, dwellMs } = this.#parameters;
    const capacity = this.#capacity(nodes);
    const pressure = pressureOf(asked, capacity);
    const to: Lane = pressure.decode > pressure.prep ? "decode" : "prep";
    const from: Lane = to === "decode" ? "prep" : "decode";
    if (pressure[to] < pressureMin || pressure[to] < band * pressure[from]) return null;
    let best: LaneState | null = null;
    // The greater of the two must fall by a change, or the wave would only be pushed to and fro.
    let least = pressure[to];
    for (const node of nodes) {
      const state = this.#states.get(node.id)!;
      if (state.lane !== from || nowMs - state.changedAtMs < dwellMs || speedOf(node, to) <= 0) continue;
      const greater = Math.max(pressed(asked[to], capacity[to] + speedOf(node, to)), pressed(asked[from], capacity[from] - speedOf(node, from)));
      if (greater >= least) continue;
      least = greater;
      best = { id: node.id, lane: to, changedAtMs: nowMs };
    }
    return best;
  }
}

const finite = (value: number): number => (Number.isFinite(value) ? Math.max(0, value) : 0);
const speedOf = (node: LaneNode, lane: Lane): number => finite(lane === "decode" ? node.decodeSpeed : node.prepSpeed);

const pressureOf = (asked: LaneLoad, capacity: LaneLoad): LaneLoad => ({ decode: pressed(asked.decode, capacity.decode), prep: pressed(asked.prep, capacity.prep) });

/** A lane without capacity is under all the pressure there is, if anything is asked of it. */
const pressed = (asked: number, capacity: number): number => (asked === 0 ? 0 : Math.min(1e9, asked / Math.max(1e-9, capacity)));
