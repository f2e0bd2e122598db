// The embedded engine: llama.cpp on this machine's processor, in one child process. Real inference with nothing to install.
import { availableParallelism } from "node:os";
import { ChildHost } from "../childHost.ts";
import { InFlight } from "../inFlight.ts";
import type { Clock, Engine, EngineEvent, EngineLoad, EngineModel, EngineRequest, Log } from "../../ports.ts";
import type { ServiceCurve } from "../../../protocol/link.ts";
import type { LlamaSettings } from "./runner.ts";
import type { Tokens } from "../../../protocol/units.ts";

export interface LlamaOptions {
  /** Absolute path of a GGUF file. */
  readonly file: string;
  /** Requests decoded together; further ones wait inside. */
  readonly sequences: number;
  /** 0 for what the model was trained on. */
  readonly contextTokens: Tokens;
  readonly tokenizer: string;
  readonly curve?: ServiceCurve;
}

/** stories15M in Q8_0 on one core of a common server: a guess to start with, relayers fit it to what they see. */
const CURVE: ServiceCurve = { aNs: 1_500_000, bNs: 220_000, cNs: 1_000, dNs: 1_300_000, ePs: 0 };

export class LlamaEngine implements Engine {
  readonly name = "llama.cpp (embedded)";
  readonly #host: ChildHost;
  readonly #flight: InFlight;
  #model: EngineModel | null = null;

  constructor(options: LlamaOptions, world: { clock: Clock; log: Log }) {
    const settings: LlamaSettings = {
      file: options.file, sequences: options.sequences, contextTokens: options.contextTokens, tokenizer: options.tokenizer,
      curve: options.curve ?? CURVE, threads: Math.max(1, availableParallelism() - 1),
    };
    this.#host = new ChildHost({ script: new URL("./child.ts", import.meta.url), args: [JSON.stringify(settings)], ...world });
    this.#flight = new InFlight(options.sequences);
  }

  async start(): Promise<EngineModel> {
    this.#model = await this.#host.start();
    return this.#model;
  }

  load(): EngineLoad {
    return this.#flight.load(this.#host.up, (this.#model?.contextTokens ?? 0) * this.#flight.places);
  }

  run(request: EngineRequest, signal: AbortSignal): AsyncIterable<EngineEvent> {
    return this.#flight.watch(request, this.#host.run(request, signal));
  }

  stop(): Promise<void> {
    return this.#host.stop();
  }

  /** The child's process id, for tests of what a crash does. */
  get pid(): number | undefined {
    return this.#host.pid;
  }
}
