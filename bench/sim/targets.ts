// What counts as a good answer: targets per request, from what the fleet could do for it if it were alone.
import type { Targets } from "./job.ts";
import type { Fleet, NodeProfile } from "./profiles.ts";
import type { Trace } from "./trace.ts";

export const TPOT_TARGET_MS = 100;
export const TTFT_FLOOR_MS = 2_000;
export const TTFT_TIMES_IDLE = 3;
export const TTFT_RULE = `max(${TTFT_FLOOR_MS / 1_000} s, ${TTFT_TIMES_IDLE} x own idle uncached prefill on the fastest node)`;

/** Time to the first token of a prompt alone on a node, nothing cached, in the chunks that the engine would make. */
export const idleTtftMs = (node: NodeProfile, inputTokens: number): number =>
  Math.ceil(inputTokens / node.chunkTokens) * node.a + node.b * inputTokens + node.e * inputTokens * inputTokens;

/** Mean time per output token of a request alone on a node. */
export const idleTpotMs = (node: NodeProfile, inputTokens: number, outputTokens: number): number => node.a + node.c * (inputTokens + outputTokens / 2) + node.d;

/** Targets and feasibility of each row of a trace on a fleet. */
export class TraceTargets {
  readonly ttftMs: Float64Array;
  /** 1 where at least one node could serve the request in time if it were alone. */
  readonly isFeasible: Uint8Array;

  constructor(trace: Trace, fleet: Fleet) {
    const kinds = [...new Set(fleet.nodes)];
    const rows = trace.inputTokens.length;
    this.ttftMs = new Float64Array(rows);
    this.isFeasible = new Uint8Array(rows);
    for (let row = 0; row < rows; row++) {
      const [input, output] = [trace.inputTokens[row]!, trace.outputTokens[row]!];
      const able = kinds.filter((kind) => input + output <= kind.kvTokens);
      const fastestMs = able.reduce((least, kind) => Math.min(least, idleTtftMs(kind, input)), Infinity);
      this.ttftMs[row] = Math.max(TTFT_FLOOR_MS, TTFT_TIMES_IDLE * fastestMs);
      this.isFeasible[row] = able.some((kind) => canServe(kind, input, output, this.ttftMs[row]!)) ? 1 : 0;
    }
  }

  of(row: number): Targets {
    return { ttftMs: this.ttftMs[row]!, tpotMs: TPOT_TARGET_MS };
  }
}

/** Whether an otherwise idle node meets the targets and holds the whole sequence. */
export const canServe = (node: NodeProfile, inputTokens: number, outputTokens: number, ttftTargetMs: number): boolean =>
  inputTokens + outputTokens <= node.kvTokens && idleTtftMs(node, inputTokens) <= ttftTargetMs && idleTpotMs(node, inputTokens, outputTokens) <= TPOT_TARGET_MS;

/** Input + 2 x output tokens: output costs about twice as much, as in VTC (OSDI'24). */
export const workOf = (inputTokens: number, outputTokens: number): number => inputTokens + 2 * outputTokens;
