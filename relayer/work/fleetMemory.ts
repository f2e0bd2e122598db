// What the fleet remembers of finished work: how long answers were, and which node holds a conversation's prefix.
import { BoundedMap } from "./boundedMap.ts";
import { repeatedPart, type PromptMarks } from "./promptMarks.ts";
import { observeOutput, QUANTILE_START, type OutputQuantile } from "../routing/quantile.ts";
import type { ChooseRequest } from "./routingRequest.ts";
import type { Hash, Millis, Tokens } from "../../protocol/units.ts";

const PAYERS_MAX = 50_000;
const MODELS_MAX = 10_000;
const CONVERSATIONS_MAX = 100_000;
/** A payer's own answers count from here on; before, the model's. */
const OBSERVATIONS_MIN = 8;
/** Engines drop prefixes that nobody asks for; after this an affinity is only a rumour. */
const PREFIX_KEPT_MS: Millis = 600_000;

interface Observed {
  readonly quantile: OutputQuantile;
  readonly count: number;
}

/** Running output lengths per (session, model) and per model. */
export class OutputLengths {
  readonly #bySession = new BoundedMap<string, Observed>(PAYERS_MAX);
  readonly #byModel = new BoundedMap<Hash, Observed>(MODELS_MAX);

  observe(sessionId: Hash, modelId: Hash, outTokens: Tokens): void {
    const key = sessionId + modelId;
    const model = observed(this.#byModel.get(modelId), outTokens);
    this.#byModel.set(modelId, model);
    // A payer begins where the model stands, so that its first answers do not have to climb from nothing.
    this.#bySession.set(key, observed(this.#bySession.get(key) ?? { quantile: model.quantile, count: 0 }, outTokens));
  }

  /** @returns 1 to `maxOutTokens`; 0 where that is 0. */
  expect(sessionId: Hash, modelId: Hash, maxOutTokens: Tokens): Tokens {
    const own = this.#bySession.get(sessionId + modelId);
    const known = own && own.count >= OBSERVATIONS_MIN ? own : this.#byModel.get(modelId);
    return Math.min((known?.quantile ?? QUANTILE_START).tokens, maxOutTokens);
  }
}

const observed = (before: Observed | undefined, outTokens: Tokens): Observed =>
  ({ quantile: observeOutput(before?.quantile ?? QUANTILE_START, outTokens), count: (before?.count ?? 0) + 1 });

/** Who was asked last, and with how much. */
export interface Affinity {
  readonly nodeId: number;
  readonly tokens: Tokens;
  /** What had come and gone on the node by then. */
  readonly turnedOver: Tokens;
}

interface LastTurn extends Affinity {
  readonly atMs: Millis;
  readonly promptMarks: PromptMarks | undefined;
}

/** Which node served a conversation last; in memory only. */
export class Conversations {
  readonly #last = new BoundedMap<string, LastTurn>(CONVERSATIONS_MAX);

  served({ conversationKey, modelId, promptMarks }: ChooseRequest, affinity: Affinity, atMs: Millis): void {
    if (conversationKey !== undefined) this.#last.set(conversationKey + modelId, { ...affinity, promptMarks, atMs });
  }

  /** @returns the last turn, with as many tokens as the prompt repeats of it */
  lastOf({ conversationKey, modelId, inputTokens, promptMarks }: ChooseRequest, atMs: Millis): Affinity | null {
    const last = conversationKey === undefined ? undefined : this.#last.get(conversationKey + modelId);
    if (!last || atMs - last.atMs > PREFIX_KEPT_MS) return null;
    const part = promptMarks && last.promptMarks ? repeatedPart(promptMarks, last.promptMarks) : 1;
    return { ...last, tokens: Math.min(last.tokens, Math.floor(part * inputTokens)) };
  }
}
