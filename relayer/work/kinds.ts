// The kinds of nodes in a hall: nodes that state the same of themselves are alike, and the last of them stands for all that are there.
import type { NodeModel } from "../lobby/predict.ts";
import type { Standing } from "./standing.ts";
import type { Millis } from "../../protocol/units.ts";

/** Kinds of nodes that are told apart; further ones count as the last. */
const KINDS_MAX = 8;

export class Kinds {
  readonly #numbers = new Map<string, number>();
  /** By kind: as the last of its nodes put it, and which are there. */
  readonly #present = Array.from({ length: KINDS_MAX }, () => ({ model: null as NodeModel | null, nodeIds: new Set<number>() }));

  /** @returns the kind's number, from 0 without a gap; a new one where it was not met before */
  numberOf(kind: string): number {
    if (!this.#numbers.has(kind) && this.#numbers.size < KINDS_MAX) this.#numbers.set(kind, this.#numbers.size);
    return this.#numbers.get(kind) ?? KINDS_MAX - 1;
  }

  /** A node that dials in anew may state another engine or curve: it is of one kind at a time. */
  isPresent(nodeId: number, { kind, model }: Standing): void {
    this.isAbsent(nodeId);
    const present = this.#present[this.#numbers.get(kind) ?? KINDS_MAX - 1]!;
    present.model = model;
    present.nodeIds.add(nodeId);
  }

  isAbsent(nodeId: number): void {
    for (const { nodeIds } of this.#present) nodeIds.delete(nodeId);
  }

  /** @returns the least time of all kinds that are there; Infinity where none is */
  leastOf(timeMs: (model: NodeModel) => Millis): Millis {
    return this.#present.reduce((least, { model, nodeIds }) => (model !== null && nodeIds.size > 0 ? Math.min(least, timeMs(model)) : least), Infinity);
  }
}
