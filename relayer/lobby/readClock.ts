// When a node will have read the prompts it was given: engines read them in order, so the line at a node is a time.
import { CHUNK_TOKENS_MIN, iterationMs, type NodeLoad, type NodeModel } from "./predict.ts";
import type { ServiceCurve } from "../../protocol/link.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

const NS_PER_MS = 1e6;
const PS_PER_MS = 1e9;

/** Milliseconds to read so many prompt tokens in chunks beside the running sequences. @param squares sum over prompts of length^2, less what is cached squared */
export function readMs(model: NodeModel, load: Pick<NodeLoad, "running" | "contextTokens">, tokens: Tokens, squares: number): Millis {
  const { curve, chunkTokens } = model;
  const chunkMs = (curve.bNs * Math.max(CHUNK_TOKENS_MIN, chunkTokens - load.running)) / NS_PER_MS;
  const aloneMs = workMs(curve, tokens, squares);
  // An iteration reads for a chunk's time; what is left of the last one goes to the next prompt.
  return aloneMs + (chunkMs > 0 ? (aloneMs / chunkMs) * iterationMs(curve, load.contextTokens, load.running) : 0);
}

/** Of that, what grows with the prompts. @param squares as there */
export const workMs = (curve: Pick<ServiceCurve, "bNs" | "ePs">, tokens: Tokens, squares: number): Millis => (curve.bNs * tokens) / NS_PER_MS + (curve.ePs * squares) / PS_PER_MS;

/** One node's line of unread prompts. */
export class ReadClock {
  #freeAtMs: Millis = 0;
  #tokens: Tokens = 0;
  #squares = 0;
  #prompts = 0;

  /** Time until all prompts so far are read. */
  aheadMs(nowMs: Millis): Millis {
    return Math.max(0, this.#freeAtMs - nowMs);
  }

  /** @param pace factor on the node's times */
  sent(model: NodeModel, load: NodeLoad, pace: number, tokens: Tokens, squares: number, nowMs: Millis): void {
    this.#prompts++;
    this.#tokens += tokens;
    this.#squares += squares;
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + pace * readMs(model, load, tokens, squares);
  }

  /** A prompt was read (its first token came) or is gone: what is left begins now. */
  done(model: NodeModel, load: NodeLoad, pace: number, tokens: Tokens, squares: number, nowMs: Millis): void {
    this.#prompts--;
    this.#tokens = this.#prompts === 0 ? 0 : this.#tokens - tokens;
    this.#squares = this.#prompts === 0 ? 0 : this.#squares - squares;
    this.#freeAtMs = nowMs + (this.#prompts === 0 ? 0 : pace * readMs(model, load, this.#tokens, this.#squares));
  }
}
