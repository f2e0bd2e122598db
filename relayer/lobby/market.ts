// The market of a floor: how much of what the fleet can carry is asked for at the moment, and what a place on each kind of node is worth.
import { coarsened, type InputClass } from "./sizeMix.ts";
import { shadowPrices, wasteOf, type Kind, type Prices } from "./prices.ts";
import { TPOT_TARGET_MS, ttftTargetMs } from "./targets.ts";
import type { Floor } from "./floor.ts";
import type { NodeModel } from "./predict.ts";
import type { ServiceCurve } from "../../protocol/link.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

export interface MarketParameters {
  /** Prices are found for so many classes of prompts: their plan costs time that grows with the cube of them. */
  readonly priceClassesMax: number;
  readonly repriceEveryMs: Millis;
}

/** Prompts wait in the lobby, where they can still go anywhere: a node gets the next one when it has about so much left to read. */
export const AHEAD_MS: Millis = 150;
/**
 * At the ebb a strong node may have more, for a long prompt behind others there is read sooner than alone on a weak one: so much up to
 * this part of what the fleet can carry, then less and less.
 */
const [EBB_AHEAD_MS, EBB_LOAD, FLOOD_LOAD] = [800, 0.8, 0.92] as const;
/** The rate of arrivals is averaged over about this time. */
const RATE_MS: Millis = 10_000;
/** Of all requests, those whose first tokens come last. */
const SLOWEST_SHARE = 0.01;
/** Before that too little is known of the requests. */
const REPRICE_FIRST_MS: Millis = 5_000;

export class Market {
  readonly #floor: Floor<unknown>;
  readonly #parameters: MarketParameters;
  readonly #bestTtftMs: (inputTokens: Tokens) => Millis;
  readonly #kindOf: number[] = [];
  #kinds: readonly Kind[] = [];
  #areCounted = true;
  #prices: Prices | null = null;
  #repriceAtMs: Millis = REPRICE_FIRST_MS;
  /** Arrivals per millisecond, as of the last one. */
  #perMs = 0;
  #perMsAtMs: Millis = 0;
  #slowestPart = Infinity;

  /** @param bestTtftMs first token of a prompt on the node that is quickest when idle */
  constructor(floor: Floor<unknown>, parameters: MarketParameters, bestTtftMs: (inputTokens: Tokens) => Millis) {
    this.#floor = floor;
    this.#parameters = parameters;
    this.#bestTtftMs = bestTtftMs;
  }

  /** The next place on the floor has a node of this kind. */
  joined(kind: number): void {
    this.#kindOf.push(kind);
    this.#areCounted = false;
  }

  /** A request came; now and then prices are found anew. */
  arrived(nowMs: Millis): void {
    this.#perMs = this.#perMsNow(nowMs) + 1 / RATE_MS;
    this.#perMsAtMs = nowMs;
    if (nowMs < this.#repriceAtMs) return;
    const { repriceEveryMs, priceClassesMax } = this.#parameters;
    this.#repriceAtMs = nowMs + repriceEveryMs;
    this.#areCounted = false;
    const all = this.#floor.mix.classes();
    const classes = coarsened(all, priceClassesMax);
    this.#slowestPart = slowestPart(all, (input) => this.#bestTtftMs(input) / ttftTargetMs(this.#bestTtftMs(input)));
    this.#prices = shadowPrices(this.#counted(), classes, TPOT_TARGET_MS, (input) => ttftTargetMs(this.#bestTtftMs(input)));
  }

  /** What a request wastes on each kind of node. */
  wasteOf(inputTokens: Tokens, expectedOutTokens: Tokens, targetMs: Millis): readonly number[] {
    const kinds = this.#counted();
    return wasteOf(this.#prices, kinds, inputTokens, expectedOutTokens, targetMs);
  }

  /** Of the slowest prompt in a hundred, which part of its target an idle fleet takes to its first token; Infinity while that is not known. */
  get slowestPart(): number {
    return this.#slowestPart;
  }

  kindOf(node: number): number {
    return this.#kindOf[node]!;
  }

  /** Requests that come over those that the fleet carries; null while prices are not known. */
  load(nowMs: Millis): number | null {
    return this.#prices && (1_000 * this.#perMsNow(nowMs)) / this.#prices.carriedPerSecond;
  }

  /** How much a node may have left to read when it gets its next prompt, while nobody is turned away. */
  aheadMs(nowMs: Millis): Millis {
    const load = this.load(nowMs);
    if (load === null) return AHEAD_MS;
    const flood = Math.min(1, Math.max(0, (load - EBB_LOAD) / (FLOOD_LOAD - EBB_LOAD)));
    return EBB_AHEAD_MS + flood * (AHEAD_MS - EBB_AHEAD_MS);
  }

  #perMsNow(nowMs: Millis): number {
    return this.#perMs * Math.exp(-(nowMs - this.#perMsAtMs) / RATE_MS);
  }

  /** Nodes without slots are gone. */
  #counted(): readonly Kind[] {
    if (this.#areCounted) return this.#kinds;
    const models: NodeModel[][] = [];
    for (const [node, kind] of this.#kindOf.entries()) (models[kind] ??= []).push(this.#floor.models[node]!);
    const kinds = models.map((all): Kind => {
      const present = all.filter(({ slots }) => slots > 0);
      return { model: meanModel(present.length > 0 ? present : all), count: present.length };
    });
    if (kinds.length !== this.#kinds.length) this.#prices = null;
    this.#areCounted = true;
    return (this.#kinds = kinds);
  }
}

function slowestPart(classes: readonly InputClass[], partOf: (inputTokens: Tokens) => number): number {
  const parts = classes.map(({ share, inputTokens }) => ({ share, part: partOf(inputTokens) })).sort((one, other) => other.part - one.part);
  let left = SLOWEST_SHARE * parts.reduce((sum, { share }) => sum + share, 0);
  return parts.find(({ share }) => (left -= share) <= 0)?.part ?? Infinity;
}

/**
 * One node that stands for all of its kind: what they were learnt to be differs, and the first may be the slowest, or long gone. The
 * time of an iteration is linear in the curve's members, so the mean curve takes the mean time.
 */
function meanModel(models: readonly NodeModel[]): NodeModel {
  const mean = (valueOf: (model: NodeModel) => number): number => meanOf(models.map(valueOf));
  const curve: ServiceCurve = {
    aNs: mean((model) => model.curve.aNs), bNs: mean((model) => model.curve.bNs), cNs: mean((model) => model.curve.cNs), dNs: mean((model) => model.curve.dNs), ePs: mean((model) => model.curve.ePs),
  };
  return { curve, slots: mean(({ slots }) => slots), kvTokens: mean(({ kvTokens }) => kvTokens), chunkTokens: mean(({ chunkTokens }) => chunkTokens) };
}

/** Of equals it is that very number, without a sum's rounding. */
const meanOf = (values: readonly number[]): number =>
  (values.every((value) => value === values[0]) ? values[0]! : values.reduce((sum, value) => sum + value, 0) / values.length);
