// What an engine's child process and its parent say to each other over Node's IPC channel, and the child's half of it.
import { EngineError, type EngineErrorCode, type EngineEvent, type EngineModel, type EngineRequest } from "../ports.ts";

/** A child runs at most this many events ahead of the reader, so that nobody's slowness fills memory. */
export const WINDOW_EVENTS = 32;

export type ToChild =
  | { readonly type: "run"; readonly id: number; readonly request: EngineRequest }
  | { readonly type: "credit"; readonly id: number; readonly events: number }
  | { readonly type: "cancel"; readonly id: number };

export type FromChild =
  | { readonly type: "ready"; readonly model: EngineModel }
  | { readonly type: "broken"; readonly message: string }
  | { readonly type: "event"; readonly id: number; readonly event: EngineEvent }
  | { readonly type: "error"; readonly id: number; readonly code: EngineErrorCode; readonly message: string };

/** Work inside the child: an iteration that stops when the signal is aborted. */
export type ChildRun = (request: EngineRequest, signal: AbortSignal) => AsyncIterable<EngineEvent>;

/** Serves the parent until it is gone. Never returns control of the process: it exits with the channel. */
export function serveParent(load: () => Promise<{ model: EngineModel; run: ChildRun }>): void {
  const jobs = new Map<number, Job>();
  const send = (message: FromChild): void => void (process.connected && process.send!(message));
  // The terminal's Ctrl-C reaches the whole group, but the parent decides: it drains first, then closes the channel.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
  process.on("disconnect", () => process.exit(0));
  load().then(({ model, run }) => {
    process.on("message", (message: ToChild) => {
      if (message.type === "credit") jobs.get(message.id)?.credit(message.events);
      else if (message.type === "cancel") jobs.get(message.id)?.cancel();
      else {
        const job = new Job();
        jobs.set(message.id, job);
        void job.work(message.id, run, message.request, send).finally(() => jobs.delete(message.id));
      }
    });
    send({ type: "ready", model });
  }, (error: unknown) => {
    const broken: FromChild = { type: "broken", message: String(error) };
    if (process.connected) process.send!(broken, () => process.exit(1));
  });
}

class Job {
  readonly #abort = new AbortController();
  #credits = WINDOW_EVENTS;
  #wake: (() => void) | null = null;

  credit(events: number): void {
    this.#credits += events;
    this.#wake?.();
  }

  cancel(): void {
    this.#abort.abort();
    this.#wake?.();
  }

  async work(id: number, run: ChildRun, request: EngineRequest, send: (message: FromChild) => void): Promise<void> {
    try {
      for await (const event of run(request, this.#abort.signal)) {
        while (this.#credits <= 0 && !this.#abort.signal.aborted) await new Promise<void>((resolve) => { this.#wake = resolve; });
        if (this.#abort.signal.aborted) return;
        this.#credits--;
        send({ type: "event", id, event });
      }
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      send(error instanceof EngineError
        ? { type: "error", id, code: error.code, message: error.message }
        : { type: "error", id, code: "engine_crashed", message: String(error) });
    }
  }
}
