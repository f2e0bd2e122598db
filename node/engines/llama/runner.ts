// llama.cpp in this process: one model, one context of several sequences that are decoded together, one request on each.
import { randomInt } from "node:crypto";
import { getLlama, LlamaLogLevel, type LlamaContext, type LlamaContextSequence, type LlamaModel, type Token } from "node-llama-cpp";
import { numberOf, outTokensOf, stopsOf } from "../body.ts";
import { TextGate } from "../textGate.ts";
import { PromptReader } from "./prompt.ts";
import { EngineError, type EngineEvent, type EngineModel, type EngineRequest } from "../../ports.ts";
import type { ServiceCurve } from "../../../protocol/link.ts";
import type { Tokens } from "../../../protocol/units.ts";

export interface LlamaSettings {
  /** Absolute path of a GGUF file. */
  readonly file: string;
  /** Requests decoded together. */
  readonly sequences: number;
  /** Per request; 0 for what the model was trained on. */
  readonly contextTokens: Tokens;
  /** All cores would make it many times slower: llama.cpp's spin barriers fight the event loop. */
  readonly threads: number;
  readonly curve: ServiceCurve;
  /** `""` where it is not known. */
  readonly tokenizer: string;
}

/** What llama.cpp's own server takes where the request says nothing. */
const SAMPLING = { temperature: 0.8, topP: 0.95, topK: 40, minP: 0.05 };
/** The seed above these means "any" to llama.cpp. */
const SEEDS = 2 ** 32 - 1;
/** A character is at most four bytes, and a byte may be a token of its own. */
const CHARACTER_TOKENS_MAX = 4;
const CONTEXT_TOKENS_MAX = 131_072;
/** Enough for the tokenizer to know whether a token stands at the beginning of the text. */
const TAIL_TOKENS = 4;

export class LlamaRunner {
  readonly model: EngineModel;
  readonly #llama: LlamaModel;
  readonly #prompts: PromptReader;
  readonly #free: LlamaContextSequence[];
  readonly #waiting: ((sequence: LlamaContextSequence) => void)[] = [];

  private constructor(llama: LlamaModel, context: LlamaContext, settings: LlamaSettings) {
    this.#llama = llama;
    this.#prompts = new PromptReader(llama, context.contextSize);
    this.#free = Array.from({ length: settings.sequences }, () => context.getSequence());
    this.model = { contextTokens: context.contextSize, tokenizer: settings.tokenizer, capabilities: [], dimensions: 0, curve: settings.curve };
  }

  static async load(settings: LlamaSettings): Promise<LlamaRunner> {
    const llama = await getLlama({ build: "never", gpu: false, maxThreads: settings.threads, logLevel: LlamaLogLevel.error, progressLogs: false });
    const model = await llama.loadModel({ modelPath: settings.file });
    const trained = Math.min(model.trainContextSize, CONTEXT_TOKENS_MAX);
    const contextSize = settings.contextTokens === 0 ? trained : Math.min(settings.contextTokens, trained);
    const context = await model.createContext({ sequences: settings.sequences, contextSize, threads: settings.threads });
    return new LlamaRunner(model, context, settings);
  }

  async *run(request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const prompt = this.#prompts.read(request);
    const room = this.model.contextTokens - prompt.length;
    if (room < 1) {
      throw new EngineError("input_rejected", `The prompt has ${prompt.length} tokens; the context holds ${this.model.contextTokens}, output included.`,
        { details: { promptTokens: prompt.length, contextTokens: this.model.contextTokens } });
    }
    const sequence = await this.#acquire(prompt, signal);
    if (!sequence) return;
    try {
      yield { type: "start", inputTokens: prompt.length };
      yield* this.#generate(sequence, prompt, request, outTokensOf(request, room), signal);
    } finally {
      this.#release(sequence);
    }
  }

  async *#generate(sequence: LlamaContextSequence, prompt: Token[], request: EngineRequest, outTokensMax: Tokens, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const gate = new TextGate(stopsOf(request.body));
    const text = new TokenText(this.#llama, prompt);
    let outputTokens = 0;
    let finishReason: "stop" | "length" = "stop";
    const emit = ({ text: ready, tokens }: { text: string; tokens: Tokens }): EngineEvent[] => {
      outputTokens += tokens;
      return ready === "" && tokens === 0 ? [] : [{ type: "delta", text: ready, tokens }];
    };
    let generated = 0;
    if (outTokensMax === 0) finishReason = "length";
    else for await (const token of await this.#tokens(sequence, prompt, request)) {
      if (signal.aborted) return;
      const piece = text.push(token);
      if (piece) {
        const gated = gate.push(piece.text, piece.tokens);
        yield* emit(gated);
        if (gated.stopped) return yield { type: "end", finishReason, inputTokens: prompt.length, outputTokens };
      }
      if (++generated >= outTokensMax) {
        finishReason = "length";
        break;
      }
    }
    // Bytes of a character that never became whole are neither delivered nor counted.
    yield* emit(gate.flush());
    yield { type: "end", finishReason, inputTokens: prompt.length, outputTokens };
  }

  /** Evaluates what the sequence does not hold already, and samples from there. */
  async #tokens(sequence: LlamaContextSequence, prompt: Token[], request: EngineRequest): Promise<AsyncIterable<Token>> {
    // The last token is evaluated anew in any case: sampling needs its logits.
    const kept = Math.min(sequence.compareContextTokens(prompt).firstDifferentIndex, prompt.length - 1);
    if (kept === 0) await sequence.clearHistory();
    else await sequence.adaptStateToTokens(prompt.slice(0, kept), false);
    return sequence.evaluate(prompt.slice(sequence.nextTokenIndex), {
      temperature: numberOf(request.body, "temperature", 0, 2, SAMPLING.temperature),
      topP: numberOf(request.body, "top_p", 0, 1, SAMPLING.topP), topK: SAMPLING.topK, minP: SAMPLING.minP,
      seed: seedOf(request),
    });
  }

  /** @returns the free sequence that holds the longest beginning of the prompt, or null where the request was aborted waiting. */
  #acquire(prompt: Token[], signal: AbortSignal): Promise<LlamaContextSequence | null> | LlamaContextSequence | null {
    if (signal.aborted) return null;
    if (this.#free.length > 0) {
      const held = this.#free.map((sequence) => sequence.compareContextTokens(prompt).firstDifferentIndex);
      return this.#free.splice(held.indexOf(Math.max(...held)), 1)[0]!;
    }
    return new Promise((resolve) => {
      const take = (sequence: LlamaContextSequence): void => {
        signal.removeEventListener("abort", leave);
        resolve(sequence);
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1);
        resolve(null);
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.push(take);
    });
  }

  #release(sequence: LlamaContextSequence): void {
    const next = this.#waiting.shift();
    if (next) next(sequence);
    else this.#free.push(sequence);
  }
}

/** Left alone, llama.cpp's binding takes the second of the clock: requests of one second would get one answer. */
function seedOf({ body }: EngineRequest): number {
  const seed = numberOf(body, "seed", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, NaN);
  return Number.isNaN(seed) ? randomInt(SEEDS) : ((Math.trunc(seed) % SEEDS) + SEEDS) % SEEDS;
}

/** Turns tokens into text, holding back the bytes of a character that is not whole yet. */
class TokenText {
  readonly #llama: LlamaModel;
  #before: Token[];
  #pending: Token[] = [];

  constructor(llama: LlamaModel, prompt: readonly Token[]) {
    this.#llama = llama;
    this.#before = prompt.slice(-TAIL_TOKENS);
  }

  push(token: Token): { text: string; tokens: Tokens } | null {
    this.#pending.push(token);
    const text = this.#llama.detokenize(this.#pending, false, this.#before);
    if (text.endsWith("\uFFFD") && this.#pending.length < CHARACTER_TOKENS_MAX) return null;
    const tokens = this.#pending.length;
    this.#before = [...this.#before, ...this.#pending].slice(-TAIL_TOKENS);
    this.#pending = [];
    return { text, tokens };
  }
}
