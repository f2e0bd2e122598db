// The kinds of nodes in a hall: nodes that state the same of themselves are alike, and the last of them stands for all that are there.
import { fullTpotMs, type NodeModel } from "../lobby/predict.ts";
import { aloneMs } from "../lobby/prices.ts";
import { tpotTargetMs, ttftTargetMs } from "../lobby/targets.ts";
import type { Standing } from "./standing.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/** Kinds of nodes that are told apart; further ones count as the last. */
const KINDS_MAX = 8;

/** Nodes of a kind: as the last of them put it, and which are there. */
interface Present {
  model: NodeModel | null;
  readonly nodeIds: Set<number>;
}

const nobody = (): readonly Present[] => Array.from({ length: KINDS_MAX }, () => ({ model: null, nodeIds: new Set<number>() }));

export class Kinds {
  readonly #numbers = new Map<string, number>();
  /** By kind. Those that could be asked set what is promised: a boast that is never put to the test must not have honest nodes called slow. */
  readonly #askable = nobody();
  readonly #others = nobody();

  /** How often nodes have told of themselves. */
  #statements = 0;

  /** @returns the kind's number, from 0 without a gap; a new one where it was not met before */
  numberOf(kind: string): number {
    if (!this.#numbers.has(kind) && this.#numbers.size < KINDS_MAX) this.#numbers.set(kind, this.#numbers.size);
    return this.#numbers.get(kind) ?? KINDS_MAX - 1;
  }

  /**
   * A node that dials in anew may state another engine or curve: it is of one kind at a time.
   * @param isTrusted false where it met others with silence, and has not answered since
   */
  isPresent(nodeId: number, { kind, model }: Standing, isTrusted: boolean): void {
    this.isAbsent(nodeId);
    const present = (isTrusted && model.slots > 0 ? this.#askable : this.#others)[this.#numbers.get(kind) ?? KINDS_MAX - 1]!;
    present.model = model;
    present.nodeIds.add(nodeId);
  }

  isAbsent(nodeId: number): void {
    this.#statements++;
    for (const { nodeIds } of [...this.#askable, ...this.#others]) nodeIds.delete(nodeId);
  }

  /** First token of such a prompt on the node that is quickest when idle; Infinity where there is none. */
  bestTtftMs(inputTokens: Tokens): Millis {
    return this.#leastOf((model) => aloneMs(model, inputTokens));
  }

  /** Time per token on the quickest node while it reads other prompts too. */
  bestTpotMs(inputTokens: Tokens): Millis {
    return this.#leastOf((model) => fullTpotMs(model, { running: 1, contextTokens: inputTokens }));
  }

  /**
   * What is promised for a prompt. For who waits it follows what nodes are learnt to be: by what was known when it came, an idle fleet that
   * has proved slower would stay closed to it for as long as it can wait. Who will not wait is held to, and told by, the first.
   */
  targetsOf(inputTokens: Tokens, isPatient: boolean): () => { readonly ttftMs: Millis; readonly tpotMs: Millis } {
    let asOf = -1;
    let targets = { ttftMs: 0, tpotMs: 0 };
    return () => {
      if (asOf < 0 || (isPatient && asOf !== this.#statements)) targets = { ttftMs: ttftTargetMs(this.bestTtftMs(inputTokens)), tpotMs: tpotTargetMs(this.bestTpotMs(inputTokens)) };
      asOf = this.#statements;
      return targets;
    };
  }

  #leastOf(timeMs: (model: NodeModel) => Millis): Millis {
    const leastMs = leastOf(this.#askable, timeMs);
    return leastMs === Infinity ? leastOf(this.#others, timeMs) : leastMs;
  }
}

const leastOf = (present: readonly Present[], timeMs: (model: NodeModel) => Millis): Millis =>
  present.reduce((least, { model, nodeIds }) => (model !== null && nodeIds.size > 0 ? Math.min(least, timeMs(model)) : least), Infinity);
