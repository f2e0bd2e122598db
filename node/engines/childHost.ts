// Runs an engine in a child process and keeps it running: a crash of native code ends its attempts with a typed error, not
// the agent.
//
//   stopped ──start──▶ starting ──ready──▶ up ──exit──▶ down ──backoff──▶ starting
import { fork, type ChildProcess } from "node:child_process";
import { WINDOW_EVENTS, type FromChild, type ToChild } from "./childProtocol.ts";
import { EngineError, type Clock, type EngineEvent, type EngineModel, type EngineRequest, type Log } from "../ports.ts";
import type { Millis } from "../../protocol/units.ts";

export interface ChildHostOptions {
  /** The child's script: it calls serveParent. */
  readonly script: URL;
  readonly args: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  readonly readyWithinMs?: Millis;
}

const READY_WITHIN_MS = 120_000;
const BACKOFF_LEAST_MS = 250;
const BACKOFF_MOST_MS = 30_000;
/** A child that lived this long starts over with the shortest wait. */
const STEADY_MS = 60_000;
const STOP_WITHIN_MS = 2_000;
/** The child sees neither keys nor configuration of the agent: only what a process needs to run at all. */
const ENVIRONMENT = ["PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

export class ChildHost {
  readonly #options: ChildHostOptions;
  readonly #jobs = new Map<number, Inbox>();
  #child: ChildProcess | null = null;
  #model: EngineModel | null = null;
  #nextId = 1;
  #failures = 0;
  readonly #stopping = new AbortController();

  constructor(options: ChildHostOptions) {
    this.#options = options;
  }

  /** @throws EngineError where the first start fails; later ones are tried again for ever. */
  async start(): Promise<EngineModel> {
    const { model } = await this.#spawn();
    return model;
  }

  get up(): boolean {
    return this.#model !== null;
  }

  get running(): number {
    return this.#jobs.size;
  }

  async *run(request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    if (!this.#model) throw new EngineError("engine_unavailable", "The engine is starting; try again in a few seconds.");
    const id = this.#nextId++;
    const inbox = new Inbox();
    const cancel = (): void => inbox.end();
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) inbox.end();
    this.#jobs.set(id, inbox);
    try {
      this.#send({ type: "run", id, request });
      for (let taken = 1; ; taken++) {
        const event = await inbox.next();
        if (event === null) return;
        if (taken % (WINDOW_EVENTS / 2) === 0) this.#send({ type: "credit", id, events: WINDOW_EVENTS / 2 });
        yield event;
        if (event.type === "end") return;
      }
    } finally {
      signal.removeEventListener("abort", cancel);
      this.#jobs.delete(id);
      this.#send({ type: "cancel", id });
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    if (child.connected) child.disconnect();
    await Promise.race([exited, this.#options.clock.sleep(STOP_WITHIN_MS)]);
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await exited;
  }

  /** For tests of what a crash does. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  #send(message: ToChild): void {
    if (this.#child?.connected) this.#child.send(message, () => {});
  }

  async #spawn(): Promise<{ model: EngineModel }> {
    const startedMs = this.#options.clock.monotonicMs();
    const child = fork(this.#options.script, [...this.#options.args], {
      serialization: "advanced", stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [],
      env: Object.fromEntries(ENVIRONMENT.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))),
    });
    this.#child = child;
    let lastWords = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => { lastWords = (lastWords + text).slice(-500); });
    const ready = new Promise<EngineModel>((resolve, reject) => {
      child.on("message", (message: FromChild) => {
        if (message.type === "ready") resolve(message.model);
        else if (message.type === "broken") reject(new EngineError("engine_unavailable", `The engine did not start: ${message.message}`));
        else this.#jobs.get(message.id)?.push(message);
      });
      child.once("error", (error) => reject(new EngineError("engine_unavailable", "The engine's process could not be started.", { cause: error })));
      child.once("exit", (code, signal) => {
        reject(new EngineError("engine_unavailable", `The engine ended while starting (${signal ?? code}): ${lastWords.trim()}`));
        this.#ended(code, signal, lastWords, this.#options.clock.monotonicMs() - startedMs);
      });
    });
    const model = await this.#within(ready, child);
    this.#model = model;
    return { model };
  }

  async #within(ready: Promise<EngineModel>, child: ChildProcess): Promise<EngineModel> {
    const waited = new AbortController();
    const limit = this.#options.clock.sleep(this.#options.readyWithinMs ?? READY_WITHIN_MS, waited.signal).then(() => {
      if (!waited.signal.aborted) child.kill("SIGKILL");
    });
    try {
      return await ready;
    } finally {
      waited.abort();
      await limit;
    }
  }

  #ended(code: number | null, signal: string | null, lastWords: string, livedMs: Millis): void {
    const wasUp = this.#model !== null;
    this.#model = null;
    const error = new EngineError("engine_crashed", `The engine's process ended (${signal ?? code}); it is being started again.`);
    for (const inbox of this.#jobs.values()) inbox.fail(error);
    this.#jobs.clear();
    if (this.#stopping.signal.aborted) return;
    this.#options.log.error({ code, signal, lastWords }, "engine process ended");
    // The first start's failure is its caller's to handle; from then on the host brings the engine back itself.
    if (!wasUp && this.#failures === 0) return;
    this.#failures = livedMs > STEADY_MS ? 1 : this.#failures + 1;
    void this.#restart();
  }

  async #restart(): Promise<void> {
    await this.#options.clock.sleep(Math.min(BACKOFF_MOST_MS, BACKOFF_LEAST_MS * 2 ** (this.#failures - 1)), this.#stopping.signal);
    if (this.#stopping.signal.aborted) return;
    await this.#spawn().then(
      () => this.#options.log.info({}, "engine process is back"),
      (error: unknown) => this.#options.log.error({ error: String(error) }, "engine process did not come back"),
    );
  }
}

/** The events of one run, waiting for their reader; bounded by the child's window. */
class Inbox {
  #queue: EngineEvent[] = [];
  #failure: EngineError | null = null;
  #ended = false;
  #wake: (() => void) | null = null;

  push(message: Extract<FromChild, { id: number }>): void {
    if (message.type === "event") this.#queue.push(message.event);
    else this.#failure = new EngineError(message.code, message.message);
    this.#wake?.();
  }

  fail(error: EngineError): void {
    this.#failure = error;
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** @returns null once it was ended by the reader. */
  async next(): Promise<EngineEvent | null> {
    for (;;) {
      if (this.#ended) return null;
      const event = this.#queue.shift();
      if (event) return event;
      if (this.#failure) throw this.#failure;
      await new Promise<void>((resolve) => { this.#wake = resolve; });
    }
  }
}
