// What a node's time, slots and memory are worth at the moment: shadow prices of the plan that carries most of today's requests.
//
// Long answers hold a slot for long, so they belong where slots are many; long prompts where reading is fast; much context where memory
// is fast. Which of these is scarce depends on the fleet and on the day. A small linear program over kinds of nodes and classes of
// prompts tells: its solution is the largest multiple of the present mix that the fleet can carry within the time per token, its dual
// the price of each resource. A request then costs on each kind what it takes there at these prices, and the difference to its
// cheapest kind is what a wrong place wastes. (The bid prices of revenue management: Talluri and van Ryzin 1998.)
import { maximise, type LinearProgram } from "./simplex.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import type { InputClass } from "./sizeMix.ts";
import type { NodeModel } from "./predict.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/** Nodes that are alike. */
export interface Kind {
  readonly model: NodeModel;
  readonly count: number;
}

/** Of one kind, per node: worth of a millisecond, of a slot for one iteration, of a token of memory for one iteration, of a token of budget. */
export interface KindPrices {
  readonly time: number;
  readonly slot: number;
  readonly memory: number;
  readonly budget: number;
}

export interface Prices {
  /** Requests per second of the present mix that the fleet carries. */
  readonly carriedPerSecond: number;
  /** Null for a kind of which no node is there, or whose iteration alone takes too long: the plan has no use for it, and no price. */
  readonly kinds: readonly (KindPrices | null)[];
}

const NS_PER_MS = 1e6;
const PS_PER_MS = 1e9;
/** Of a target for the first token this much may go into reading alone; the rest is for waiting and company. */
const READ_PART = 0.6;

/**
 * @param ttftTargetMs the target of a prompt of so many tokens
 * @returns null where there is no class or no node, or where the plan has no end: a node that claims to need no time at all
 */
export function shadowPrices(kinds: readonly Kind[], classes: readonly InputClass[], tpotMs: Millis, ttftTargetMs: (inputTokens: Tokens) => Millis): Prices | null {
  const usable = kinds.map(({ model, count }) => ({ model, count: model.curve.aNs / NS_PER_MS < tpotMs ? count : 0 }));
  if (classes.length === 0 || usable.every(({ count }) => count === 0)) return null;
  const solved = solvedOrNull(plan(usable, classes, tpotMs, ttftTargetMs));
  if (solved === null) return null;
  const { value, prices } = solved;
  return {
    carriedPerSecond: value,
    kinds: usable.map(({ count }, kind) => (count === 0 ? null : { time: prices[4 * kind]!, slot: prices[4 * kind + 1]!, memory: prices[4 * kind + 2]!, budget: prices[4 * kind + 3]! })),
  };
}

function solvedOrNull(program: LinearProgram): ReturnType<typeof maximise> | null {
  try {
    return maximise(program);
  } catch (error) {
    if (error instanceof InvalidValueError) return null;
    throw error;
  }
}

/** What a request takes of a kind at these prices, in requests of the mix. */
export function costAt(prices: KindPrices, model: NodeModel, inputTokens: Tokens, outTokens: Tokens): number {
  const contextTokens = inputTokens * outTokens + outTokens ** 2 / 2;
  return prices.time * timeMs(model, inputTokens, inputTokens ** 2, outTokens, contextTokens) + prices.slot * outTokens + prices.memory * contextTokens
    + prices.budget * (inputTokens + outTokens);
}

/**
 * By kind: what the request costs there over what it costs on its cheapest kind, 1 for that; Infinity where the prompt cannot be read in
 * time, and 1 everywhere while nothing is scarce. A kind without a price is nobody's cheapest: beside costs of nothing whatever is small
 * would seem to fit best, and the large would wait until they are too late.
 */
export function wasteOf(prices: Prices | null, kinds: readonly Kind[], inputTokens: Tokens, outTokens: Tokens, ttftTargetMs: Millis): number[] {
  const costs = kinds.map(({ model }, kind) => {
    if (aloneMs(model, inputTokens) > ttftTargetMs) return Infinity;
    const of = prices === null ? null : prices.kinds[kind]!;
    return of && costAt(of, model, inputTokens, outTokens);
  });
  const least = Math.min(...costs.filter((cost) => cost !== null));
  return costs.map((cost) => (cost === Infinity ? Infinity : cost === null ? 1 : least <= 0 ? 1 + cost : cost / least));
}

/** Reads a prompt on an idle node: whole iterations, each of which costs its fixed time. */
export const aloneMs = ({ curve, chunkTokens }: NodeModel, inputTokens: Tokens): Millis =>
  (curve.aNs * Math.ceil(inputTokens / chunkTokens) + curve.bNs * inputTokens) / NS_PER_MS + (curve.ePs * inputTokens ** 2) / PS_PER_MS;

/** Milliseconds of a node's time: reading, attention, and its part of every iteration. */
function timeMs({ curve }: NodeModel, inputTokens: Tokens, inputSquared: number, outTokens: Tokens, contextTokens: number): Millis {
  return (curve.bNs * inputTokens + curve.cNs * contextTokens + curve.dNs * outTokens) / NS_PER_MS + (curve.ePs * inputSquared) / PS_PER_MS;
}

/** Variables: requests per second of each class on each kind, iterations of each kind above the least, and the carried mix per second. */
function plan(kinds: readonly Kind[], classes: readonly InputClass[], tpotMs: Millis, ttftTargetMs: (inputTokens: Tokens) => Millis): LinearProgram {
  const cells = kinds.length * classes.length;
  const carried = cells + kinds.length;
  const objective = new Array<number>(carried + 1).fill(0);
  objective[carried] = 1;
  const constraints = kinds.flatMap((kind, k) => limitsOf(kind, classes, k * classes.length, cells + k, tpotMs, ttftTargetMs));
  for (const [i, one] of classes.entries()) {
    const coefficients = new Map<number, number>();
    for (const [k, kind] of kinds.entries()) if (canRead(kind, one, ttftTargetMs)) coefficients.set(k * classes.length + i, -1);
    // A class that nobody can read in time is left out of the mix: it would bring the whole to nothing.
    if (coefficients.size > 0) constraints.push({ coefficients: coefficients.set(carried, one.share), atMost: 0 });
  }
  return { objective, constraints };
}

/** Four rows for each kind: time, slots, memory, budget. */
function limitsOf(
  kind: Kind, classes: readonly InputClass[], first: number, extraIterations: number, tpotMs: Millis, ttftTargetMs: (inputTokens: Tokens) => Millis,
): LinearProgram["constraints"][number][] {
  const { model: { curve, slots, kvTokens, chunkTokens }, count } = kind;
  const least = (1_000 / tpotMs) * count;
  const row = (perRequest: (one: InputClass) => number, perIteration: number, atMost: number) => {
    const coefficients = new Map([[extraIterations, perIteration]]);
    for (const [i, one] of classes.entries()) if (canRead(kind, one, ttftTargetMs)) coefficients.set(first + i, perRequest(one));
    return { coefficients, atMost };
  };
  const aMs = curve.aNs / NS_PER_MS;
  return [
    row((one) => timeMs(kind.model, one.inputTokens, one.inputSquared, one.outTokens, one.contextTokens), aMs, Math.max(0, 1_000 * count - aMs * least)),
    row((one) => one.outTokens, -slots, slots * least),
    row((one) => one.contextTokens, -kvTokens, kvTokens * least),
    row((one) => one.inputTokens + one.outTokens, -chunkTokens, chunkTokens * least),
  ];
}

/** Whether nodes of a kind read prompts of a class in time, and hold them. */
export function canRead({ model, count }: Kind, one: InputClass, ttftTargetMs: (inputTokens: Tokens) => Millis): boolean {
  return count > 0 && aloneMs(model, one.inputTokens) <= READ_PART * ttftTargetMs(one.inputTokens) && one.inputTokensMax + one.outTokens <= model.kvTokens;
}
