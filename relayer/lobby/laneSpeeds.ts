// What a node is worth to either lane: requests per second of the lane's present mix that it would carry if it did nothing else.
import { aloneMs, canRead, shadowPrices } from "./prices.ts";
import { readMs } from "./readClock.ts";
import { TPOT_TARGET_MS } from "./targets.ts";
import type { InputClass } from "./sizeMix.ts";
import type { LaneNode } from "./lanes.ts";
import type { NodeModel } from "./predict.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/**
 * In requests of the lane's mean size, so that a node that can only do with the short ones counts for what these are worth.
 * @param ttftTargetMs the target of a prompt of so many tokens
 */
export function laneSpeeds(id: number, model: NodeModel, decode: readonly InputClass[], prep: readonly InputClass[], ttftTargetMs: (inputTokens: Tokens) => Millis): LaneNode {
  const readable = (classes: readonly InputClass[]): InputClass[] => classes.filter((one) => canRead({ model, count: 1 }, one, ttftTargetMs));
  const targetOf = (one: InputClass): Millis => ttftTargetMs(one.inputTokens);
  const [writes, reads] = [readable(decode), readable(prep)];
  const carried = writes.length === 0 ? 0 : shadowPrices([{ model, count: 1 }], writes, TPOT_TARGET_MS, ttftTargetMs)?.carriedPerSecond ?? 0;
  const alone = meanOf(reads, (one) => aloneMs(model, one.inputTokens));
  const beside = meanOf(writes, (one) => readMs(model, half(model, one), one.inputTokens, one.inputSquared));
  return {
    id, decodeSpeed: (carried * useOf(beside, meanOf(writes, targetOf)) * sumOf(writes, workOf)) / Math.max(1, sumOf(decode, workOf)),
    prepSpeed: alone === 0 ? 0 : (useOf(alone, meanOf(reads, targetOf)) * 1_000 * meanOf(reads, inputOf)) / (alone * Math.max(1, meanOf(prep, inputOf))),
  };
}

/** Prompts come unevenly: of a node's time so much can be used as leaves each of them room to wait for one other. */
const useOf = (readsMs: Millis, targetMs: Millis): number => (targetMs > 0 ? Math.max(0, 1 - readsMs / targetMs) : 0);

/** A node with half of what it can have at once, by slots and by memory. */
function half({ slots, kvTokens }: NodeModel, one: InputClass): { running: number; contextTokens: Tokens } {
  const each = one.inputTokens + one.outTokens / 2;
  const running = Math.min(slots, kvTokens / Math.max(1, each)) / 2;
  return { running, contextTokens: running * each };
}

const sumOf = (classes: readonly InputClass[], of: (one: InputClass) => number): number => classes.reduce((sum, one) => sum + one.share * of(one), 0);
const meanOf = (classes: readonly InputClass[], of: (one: InputClass) => number): number => sumOf(classes, of) / Math.max(1e-9, sumOf(classes, () => 1));
const inputOf = (one: InputClass): number => one.inputTokens;
const workOf = (one: InputClass): number => one.inputTokens + 2 * one.outTokens;
