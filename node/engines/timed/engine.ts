// An engine that only takes its time: no model, but the waiting of a real one, iteration by iteration, by a service curve.
// For load tests. Its name says so in every NodeInfo, and no configuration chooses it by default.
import { createHash, type Hash as Hasher } from "node:crypto";
import { messagesOf, outTokensOf, promptOf, rejected, stopsOf } from "../body.ts";
import { TextGate } from "../textGate.ts";
import { EngineError, type Clock, type Engine, type EngineEvent, type EngineLoad, type EngineModel, type EngineRequest } from "../../ports.ts";
import type { ServiceCurve } from "../../../protocol/link.ts";
import type { Tokens } from "../../../protocol/units.ts";

export interface TimedOptions {
  readonly curve: ServiceCurve;
  /** Makes the texts of two nodes differ, as two models' would. */
  readonly salt: string;
  readonly contextTokens: Tokens;
  readonly kvTokens: Tokens;
  /** Requests decoded together; further ones wait inside. */
  readonly places: number;
}

/** Prefill tokens that one iteration takes at most, as in chunked prefill. */
const CHUNK_TOKENS = 512;
const WORDS = "the tide turns and every lane follows where water finds room while boats wait for none of it".split(" ");
const BYTES_PER_TOKEN = 4;

export class TimedEngine implements Engine {
  readonly name = "timed";
  readonly #options: TimedOptions;
  readonly #clock: Clock;
  #waiting: Job[] = [];
  #batch: Job[] = [];
  #looping = false;
  #stopped = false;

  constructor(options: TimedOptions, world: { clock: Clock }) {
    this.#options = options;
    this.#clock = world.clock;
  }

  async start(): Promise<EngineModel> {
    return { contextTokens: this.#options.contextTokens, tokenizer: "", capabilities: [], dimensions: 0, curve: this.#options.curve };
  }

  load(): EngineLoad {
    const batch = this.#batch.filter((job) => !job.done);
    const waiting = this.#waiting.filter((job) => !job.done);
    return {
      up: !this.#stopped, running: batch.length, queued: waiting.length, kvTokens: this.#options.kvTokens,
      queuedTokens: [...waiting, ...batch].reduce((sum, job) => sum + job.inputTokens - job.prefilled, 0),
      kvUsedTokens: batch.reduce((sum, job) => sum + job.prefilled + job.outputTokens, 0),
    };
  }

  async *run(request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const job = this.#jobOf(request);
    this.#waiting.push(job);
    const leave = (): void => job.leave();
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
    void this.#loop();
    try {
      yield* job.events();
    } finally {
      signal.removeEventListener("abort", leave);
      job.leave();
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const job of [...this.#waiting, ...this.#batch]) job.fail(new EngineError("engine_unavailable", "The engine was stopped."));
  }

  #jobOf(request: EngineRequest): Job {
    if (request.kind === "embeddings") throw rejected("input", "a request for text: the timed engine makes no embeddings");
    const text = request.kind === "chat" ? messagesOf(request.body).map((message) => message.content).join("\n") : promptOf(request.body);
    const inputTokens = Math.max(1, Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN));
    const room = this.#options.contextTokens - inputTokens;
    if (room < 1) throw new EngineError("input_rejected", `The prompt has ${inputTokens} tokens; the context holds ${this.#options.contextTokens}, output included.`);
    return new Job(createHash("sha256").update(this.#options.salt).update("\0").update(text).update("\0"), inputTokens, outTokensOf(request, room), stopsOf(request.body));
  }

  /** One iteration after the other while there is work; a late timer is made up for by the next one. */
  async #loop(): Promise<void> {
    if (this.#looping) return;
    this.#looping = true;
    let dueMs = this.#clock.monotonicMs();
    while (this.#admit()) {
      dueMs = Math.max(dueMs, this.#clock.monotonicMs() - 50) + this.#iterate();
      await this.#clock.sleep(dueMs - this.#clock.monotonicMs());
      for (const job of this.#batch) job.advance();
    }
    this.#looping = false;
  }

  #admit(): boolean {
    this.#batch = this.#batch.filter((job) => !job.done);
    this.#waiting = this.#waiting.filter((job) => !job.done);
    while (this.#batch.length < this.#options.places && this.#waiting.length > 0) this.#batch.push(this.#waiting.shift()!);
    return this.#batch.length > 0;
  }

  /** @returns the iteration's time in ms, prefill chunks taken oldest first. */
  #iterate(): number {
    const { aNs, bNs, cNs, dNs, ePs } = this.#options.curve;
    let left = CHUNK_TOKENS;
    let ns = aNs;
    for (const job of this.#batch) {
      const chunk = Math.min(left, job.inputTokens - job.prefilled);
      const from = job.prefilled;
      job.prefilled += chunk;
      left -= chunk;
      ns += bNs * chunk + ePs * (job.prefilled ** 2 - from ** 2) / 1_000;
      if (job.prefilled === job.inputTokens) ns += dNs + cNs * (job.inputTokens + job.outputTokens);
    }
    return ns / 1e6;
  }
}

class Job {
  readonly inputTokens: Tokens;
  prefilled = 0;
  outputTokens = 0;
  done = false;
  readonly #hash: Hasher;
  readonly #outTokensMax: Tokens;
  readonly #gate: TextGate;
  #delivered = 0;
  #queue: EngineEvent[] = [];
  #failure: EngineError | null = null;
  #wake: (() => void) | null = null;

  constructor(hash: Hasher, inputTokens: Tokens, outTokensMax: Tokens, stops: readonly string[]) {
    this.#hash = hash;
    this.inputTokens = inputTokens;
    this.#outTokensMax = outTokensMax;
    this.#gate = new TextGate(stops);
  }

  /** Next token = H(salt, prompt, all text before): the same wherever the same engine continues the same text. */
  advance(): void {
    if (this.done || this.prefilled < this.inputTokens) return;
    if (this.outputTokens === 0) this.#queue.push({ type: "start", inputTokens: this.inputTokens });
    if (this.outputTokens < this.#outTokensMax) {
      const word = ` ${WORDS[this.#hash.copy().digest()[0]! % WORDS.length]}`;
      this.#hash.update(word);
      this.outputTokens++;
      const gated = this.#gate.push(word, 1);
      this.#emit(gated);
      if (gated.stopped) return this.#end("stop");
    }
    if (this.outputTokens >= this.#outTokensMax) {
      this.#emit(this.#gate.flush());
      return this.#end("length");
    }
    this.#wake?.();
  }

  async *events(): AsyncGenerator<EngineEvent> {
    for (;;) {
      const event = this.#queue.shift();
      if (event) yield event;
      else if (this.#failure) throw this.#failure;
      else if (this.done) return;
      else await new Promise<void>((resolve) => { this.#wake = resolve; });
    }
  }

  leave(): void {
    this.done = true;
    this.#wake?.();
  }

  fail(error: EngineError): void {
    this.#failure = error;
    this.leave();
  }

  #emit({ text, tokens }: { text: string; tokens: Tokens }): void {
    this.#delivered += tokens;
    if (text !== "" || tokens > 0) this.#queue.push({ type: "delta", text, tokens });
  }

  #end(finishReason: "stop" | "length"): void {
    this.#queue.push({ type: "end", finishReason, inputTokens: this.inputTokens, outputTokens: this.#delivered });
    this.leave();
  }
}
