// Child processes of a local network: started in a group of their own, waited for, logged to files, always ended.
//
// Ctrl-C in a terminal goes to the whole foreground group; children in groups of their own are spared, so that this
// process decides the order: those who use the database and the chain first, then these two. Should this process be
// killed outright, the janitor sees its pipe close and ends what is left.
import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream, existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { TidelaneError } from "../../protocol/errors.ts";

export interface ProcessOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly stopSignal?: NodeJS.Signals;
  readonly stopMsMax?: number;
}

const LOG_TAIL_BYTES = 4_000;

export class ManagedProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #options: ProcessOptions;
  readonly #exited: Promise<void>;
  #isStopping = false;

  /** @param onUnexpectedExit told once, when the process ends and nobody asked it to. */
  constructor(options: ProcessOptions, janitor: Janitor, onUnexpectedExit: (error: TidelaneError) => void) {
    this.name = options.name;
    this.#options = options;
    this.#child = spawn(options.command, options.args, {
      detached: true, stdio: ["ignore", "pipe", "pipe"], env: { ...withoutTidelane(process.env), ...options.env },
    });
    const log = createWriteStream(options.logFile, { flags: "a" });
    this.#child.stdout!.pipe(log, { end: false });
    this.#child.stderr!.pipe(log, { end: false });
    if (this.#child.pid) janitor.watch(this.#child.pid);
    this.#exited = new Promise((done) => {
      const ended = (): void => {
        if (this.#child.pid) janitor.forget(this.#child.pid);
        log.end();
        done();
      };
      this.#child.once("error", ended);
      this.#child.once("exit", ended);
    });
    void this.#exited.then(() => { if (!this.#isStopping) onUnexpectedExit(this.#gone()); });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined;
  }

  /** @returns the process's ready line. @throws `process_not_ready` with the end of its log where it ends or takes too long. */
  async ready(msMax: number): Promise<Record<string, unknown>> {
    const lines = createInterface({ input: this.#child.stdout! });
    let timer: NodeJS.Timeout | undefined;
    try {
      return await Promise.race([
        new Promise<Record<string, unknown>>((found) => lines.on("line", (line) => {
          const message = readyLine(line);
          if (message) found(message);
        })),
        this.#exited.then(() => { throw this.#gone(); }),
        new Promise<never>((_, fail) => { timer = setTimeout(() => fail(this.#notReady(`was not ready after ${msMax / 1000} s`)), msMax); }),
      ]);
    } finally {
      clearTimeout(timer);
      lines.close();
      this.#child.stdout!.resume();
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#isStopping = true;
    if (this.isRunning) this.#child.kill(signal);
  }

  /** Asks first, then insists; resolves when the process is gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (!this.isRunning) return;
    this.#child.kill(this.#options.stopSignal ?? "SIGTERM");
    const insist = setTimeout(() => this.#child.kill("SIGKILL"), this.#options.stopMsMax ?? 10_000);
    await this.#exited;
    clearTimeout(insist);
  }

  #gone(): TidelaneError {
    const how = this.#child.signalCode ? `was ended by ${this.#child.signalCode}` : `ended with code ${this.#child.exitCode}`;
    return this.#notReady(how);
  }

  #notReady(how: string): TidelaneError {
    const { logFile } = this.#options;
    const tail = existsSync(logFile) ? readFileSync(logFile, "utf8").slice(-LOG_TAIL_BYTES).trim() : "";
    return new TidelaneError(`${this.name} ${how}. The end of ${logFile}:\n${tail}`, { code: "process_not_ready", details: { name: this.name } });
  }
}

/** Ends every watched process when this one is gone. */
export class Janitor {
  readonly #child = spawn(process.execPath, [join(dirname(fileURLToPath(import.meta.url)), "janitor.mjs")], {
    detached: true, stdio: ["pipe", "ignore", "ignore"],
  });

  constructor() {
    this.#child.stdin!.on("error", () => { /* The janitor is gone: nothing is left to tell it. */ });
    this.#child.unref();
  }

  watch(pid: number): void {
    this.#child.stdin!.write(`+${pid}\n`);
  }

  forget(pid: number): void {
    this.#child.stdin!.write(`-${pid}\n`);
  }

  /** Everything has ended in order: the janitor has nothing to do. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.ref();
    const gone = new Promise((done) => this.#child.once("exit", done));
    this.#child.stdin!.end("done\n");
    await gone;
  }
}

function readyLine(line: string): Record<string, unknown> | null {
  if (!line.startsWith("{")) return null;
  try {
    const message = JSON.parse(line) as Record<string, unknown>;
    return message.ready === true ? message : null;
  } catch {
    return null;
  }
}

/** A stray TIDELANE_* of the caller must not bend one of the children. */
const withoutTidelane = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("TIDELANE_") && name !== "DATABASE_URL"));
