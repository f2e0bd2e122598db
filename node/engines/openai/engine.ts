// Any engine that speaks OpenAI's API over HTTP (vLLM, llama.cpp's server, Ollama, ...): the client's body goes through, the
// answer comes back as deltas, and whatever else comes back is a typed failure.
import { InFlight, estimateTokens, inputBound } from "../inFlight.ts";
import { inputsOf, outTokensOf } from "../body.ts";
import { contextOf, isReachable, metricsOf, type EngineMetrics } from "./probe.ts";
import { eventData, READ_LIMITS, wholeText, within, type ReadLimits } from "./lines.ts";
import { readChunk, readEmbeddings, type Usage } from "./chunks.ts";
import { EngineError, type Clock, type Engine, type EngineEvent, type EngineLoad, type EngineModel, type EngineRequest, type Log } from "../../ports.ts";
import type { FinishReason, ServiceCurve } from "../../../protocol/link.ts";
import type { Millis, Tokens } from "../../../protocol/units.ts";

export interface OpenAiOptions {
  /** Such as `http://127.0.0.1:11434/v1`. */
  readonly baseUrl: string;
  /** The name that the engine serves the model by. */
  readonly model: string;
  readonly apiKey?: string;
  /** Prometheus text, read each second. */
  readonly metricsUrl?: string;
  /** Requests at once that the engine is meant to take. */
  readonly places: number;
  /** 0: ask the engine. */
  readonly contextTokens: Tokens;
  readonly capabilities: readonly string[];
  readonly tokenizer: string;
  readonly dimensions: number;
  /** Tokens of KV cache in all; 0: places times the context. */
  readonly kvTokens: Tokens;
  readonly curve: ServiceCurve;
  readonly limits?: Partial<ReadLimits>;
}

const INPUTS_MAX = 2_048;
const METRICS_EVERY_MS: Millis = 1_000;
/** After a connection that could not be made the engine counts as down for this long. */
const DOWN_FOR_MS: Millis = 5_000;
/** Of a character that takes two UTF-16 units: some engines cut there, and each half alone would be lost. */
const HALF_CHARACTER = /[\uD800-\uDBFF]$/;
/** Engines that count send their usage right behind the finish; some keep the connection open for ever. */
const AFTER_FINISH_MS: Millis = 2_000;
/** Where neither engine nor owner tells: few models hold less. */
const CONTEXT_TOKENS_ASSUMED = 4_096;

export class OpenAiEngine implements Engine {
  readonly name = "openai-compatible";
  readonly #options: OpenAiOptions;
  readonly #limits: ReadLimits;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #flight: InFlight;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #stopping = new AbortController();
  #contextTokens = 0;
  #truncates = false;
  #metrics: EngineMetrics | null = null;
  #downUntilMs = 0;

  constructor(options: OpenAiOptions, world: { clock: Clock; log: Log }) {
    this.#options = { ...options, baseUrl: options.baseUrl.replace(/\/+$/, "") };
    this.#limits = { ...READ_LIMITS, ...options.limits };
    this.#contextTokens = options.contextTokens;
    this.#clock = world.clock;
    this.#log = world.log;
    this.#flight = new InFlight(options.places);
    this.#headers = options.apiKey ? { authorization: `Bearer ${options.apiKey}` } : {};
  }

  async start(): Promise<EngineModel> {
    const options = this.#options;
    const target = { baseUrl: options.baseUrl, model: options.model, headers: this.#headers };
    if (!await isReachable(target, this.#clock)) throw new EngineError("engine_unavailable", `No engine answers at ${options.baseUrl}; is it running?`);
    const told = options.dimensions > 0 ? null : await contextOf(target, this.#clock);
    this.#truncates = told?.truncates ?? false;
    this.#contextTokens = least(options.contextTokens, told?.contextTokens ?? null);
    if (this.#contextTokens === 0) {
      this.#log.warn({ model: options.model, contextTokens: CONTEXT_TOKENS_ASSUMED }, "the engine does not tell its context size; set contextTokens for this model");
      this.#contextTokens = CONTEXT_TOKENS_ASSUMED;
    }
    if (options.metricsUrl) void this.#watchMetrics(options.metricsUrl);
    return { contextTokens: this.#contextTokens, tokenizer: options.tokenizer, capabilities: options.capabilities, dimensions: options.dimensions, curve: options.curve };
  }

  load(): EngineLoad {
    const kvTokens = this.#options.kvTokens || this.#contextTokens * this.#options.places;
    const own = this.#flight.load(this.#clock.monotonicMs() >= this.#downUntilMs && !this.#stopping.signal.aborted, kvTokens);
    const told = this.#metrics;
    if (!told) return own;
    // The engine may have other clients: what it tells counts where it is more than this agent's own share.
    return {
      ...own, running: Math.max(own.running, told.running ?? 0), queued: Math.max(own.queued, told.waiting ?? 0),
      kvUsedTokens: told.kvShare === null ? own.kvUsedTokens : Math.max(own.kvUsedTokens, Math.floor(told.kvShare * kvTokens)),
    };
  }

  run(request: EngineRequest, signal: AbortSignal): AsyncIterable<EngineEvent> {
    return this.#flight.watch(request, request.kind === "embeddings" ? this.#embed(request, signal) : this.#generate(request, signal));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
  }

  async *#generate(request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const estimated = estimateTokens(request.body);
    if (this.#truncates && estimated >= this.#contextTokens) {
      throw new EngineError("input_rejected", `The prompt has about ${estimated} tokens; the engine has loaded a context of ${this.#contextTokens}.`);
    }
    const outTokensMax = outTokensOf(request, this.#contextTokens);
    const answer = await this.#post(request.kind === "chat" ? "/chat/completions" : "/completions", this.#generateBody(request, outTokensMax), signal);
    if (!answer) return;
    // The engine has taken the prompt; its exact count comes with the end.
    const inputTokensMax = Math.min(this.#contextTokens, inputBound(request.body));
    yield { type: "start", inputTokens: Math.min(estimated, inputTokensMax), inputTokensMax };
    let counted = 0;
    let half = "";
    let finishReason: FinishReason | null = null;
    let usage: Usage | null = null;
    try {
      for await (const data of eventData(answer, { ...this.#limits, idleMs: () => (finishReason === null ? this.#limits.idleMs : AFTER_FINISH_MS) }, this.#clock)) {
        if (data.trim() === "[DONE]") break;
        const chunk = readChunk(data);
        finishReason = chunk.finishReason ?? finishReason;
        usage = chunk.usage ?? usage;
        if (chunk.text === "" && chunk.extra === null) continue;
        if (counted >= outTokensMax) {
          // An engine that ignores the limit is cut off: nobody pays for more.
          finishReason = "length";
          break;
        }
        counted++;
        const text = half + chunk.text;
        half = HALF_CHARACTER.exec(text)?.[0] ?? "";
        yield { type: "delta", text: text.slice(0, text.length - half.length), tokens: 1, ...(chunk.extra === null ? {} : { extra: chunk.extra }) };
      }
    } catch (error) {
      if (signal.aborted) return;
      // After the finish only counts can follow: without them the answer is whole all the same.
      if (finishReason === null) throw engineErrorOf(error);
    }
    if (finishReason === null) throw new EngineError("engine_cut", "The engine's answer broke off before its end.");
    const outputTokens = Math.min(usage?.outputTokens || counted, outTokensMax);
    // Chunks may hold several tokens: the difference is announced before it is claimed.
    if (outputTokens > counted) yield { type: "delta", text: "", tokens: outputTokens - counted };
    yield { type: "end", finishReason, inputTokens: Math.min(usage?.inputTokens ?? estimated, inputTokensMax), outputTokens };
  }

  async *#embed(request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const inputs = inputsOf(request.body, INPUTS_MAX);
    const answer = await this.#post("/embeddings", { ...request.body, model: this.#options.model, encoding_format: "float" }, signal);
    if (!answer) return;
    const { vectors, inputTokens } = readEmbeddings(await wholeText(answer, this.#limits, this.#clock), inputs.length);
    const wrong = vectors.find((vector) => vector.length !== this.#options.dimensions);
    if (wrong) throw new EngineError("engine_bad_answer", `The engine answered ${wrong.length} dimensions; ${this.#options.dimensions} are declared.`);
    const tokens = inputTokens ?? estimateTokens(request.body);
    yield { type: "start", inputTokens: tokens };
    for (const [index, vector] of vectors.entries()) yield { type: "embedding", index, vector };
    yield { type: "end", finishReason: "stop", inputTokens: tokens, outputTokens: 0 };
  }

  #generateBody(request: EngineRequest, outTokensMax: Tokens): Record<string, unknown> {
    const { tidelane: _own, service_tier: _tier, ...body } = request.body as Record<string, unknown>;
    const { max_completion_tokens: asked, ...others } = body;
    const limit = typeof asked === "number" ? "max_completion_tokens" : "max_tokens";
    const limits = isLimitSafe(request, outTokensMax, this.#contextTokens) ? { [limit]: outTokensMax } : {};
    return { ...others, model: this.#options.model, stream: true, stream_options: { include_usage: true }, ...limits };
  }

  /** @returns the answer's body, or null where the request was aborted. @throws EngineError */
  async #post(path: string, body: object, signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | null> {
    try {
      const answer = await within(fetch(this.#options.baseUrl + path, {
        method: "POST", headers: { ...this.#headers, "content-type": "application/json" }, body: JSON.stringify(body),
        redirect: "error", signal: AbortSignal.any([signal, this.#stopping.signal]),
      }), this.#limits.firstByteMs, this.#clock);
      if (!answer.ok) {
        await answer.body?.cancel();
        throw this.#refused(answer.status);
      }
      if (!answer.body) throw new EngineError("engine_bad_answer", "The engine answered without a body.");
      return answer.body;
    } catch (error) {
      if (signal.aborted) return null;
      if (error instanceof EngineError) throw error;
      // A connection that breaks is one request's trouble: only an engine that nobody reaches is down for all.
      if (isUnreachable(error)) this.#downUntilMs = this.#clock.monotonicMs() + DOWN_FOR_MS;
      throw new EngineError("engine_unavailable", "The engine cannot be reached; is it running?", { cause: error });
    }
  }

  #refused(status: number): EngineError {
    if (status === 400 || status === 413 || status === 422) return new EngineError("input_rejected", `The engine refused the request (HTTP ${status}).`, { details: { status } });
    return new EngineError("engine_unavailable", `The engine answered HTTP ${status}.`, { details: { status } });
  }

  async #watchMetrics(url: string): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const read = await metricsOf(url, this.#headers, this.#clock);
      if (read === null && this.#metrics !== null) this.#log.warn({}, "the engine's metrics cannot be read; its own work is counted instead");
      this.#metrics = read;
      await this.#clock.sleep(METRICS_EVERY_MS, this.#stopping.signal);
    }
  }
}

/**
 * A chat without a limit of its own gets one only where prompt and limit are certain to fit the context: engines refuse a sum
 * that does not, and what comes beyond the limit is cut off here anyway. Plain completions have a default of 16 tokens, so
 * there the limit always goes along.
 */
function isLimitSafe({ kind, body }: EngineRequest, outTokensMax: Tokens, contextTokens: Tokens): boolean {
  return kind === "completion" || typeof (body.max_completion_tokens ?? body.max_tokens) === "number" || inputBound(body) + outTokensMax <= contextTokens;
}

/** What the owner set bounds what the engine tells, and the other way round. */
const least = (set: Tokens, told: Tokens | null): Tokens => (set === 0 ? told ?? 0 : Math.min(set, told ?? set));

const UNREACHABLE = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT", "ETIMEDOUT"]);

/** fetch hides the operating system's code in the cause, and where a name has several addresses in the first of its errors. */
function isUnreachable(error: unknown): boolean {
  const cause = (error as { cause?: { code?: string; errors?: readonly { code?: string }[] } }).cause;
  return UNREACHABLE.has(cause?.code ?? cause?.errors?.[0]?.code ?? "");
}

const engineErrorOf = (error: unknown): EngineError =>
  error instanceof EngineError ? error : new EngineError("engine_cut", "The connection to the engine broke off.", { cause: error });
