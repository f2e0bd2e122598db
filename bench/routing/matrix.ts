// Many simulations spread over threads, each result kept as soon as it is there.
import { parentPort, Worker } from "node:worker_threads";
import { Progress } from "./progress.ts";
import type { Store } from "./kept.ts";

/** One trace at one load with one seed. */
export interface Task {
  readonly trace: string;
  readonly fleet: string | undefined;
  readonly load: number;
  readonly seed: number;
  readonly ageMs: number;
  readonly policies: string;
}

export interface Spread<T> {
  readonly threads: number;
  /** A module that calls `serveTasks`. */
  readonly worker: URL;
  labelOf(task: T): string;
  readonly store: Store;
}

type FromWorker<R> = { readonly part: number; readonly what: string } | { readonly result: R };

/** @returns results in the order of the tasks */
export async function runAll<T, R>(tasks: readonly T[], spread: Spread<T>): Promise<R[]> {
  const progress = new Progress(tasks.length);
  const results = tasks.map((task) => spread.store.read(task) as R | undefined);
  const left = [...tasks.keys()].filter((place) => results[place] === undefined);
  for (const [place, task] of tasks.entries()) if (results[place] !== undefined) progress.finished(`${spread.labelOf(task)} (kept)`);
  const work = async (): Promise<void> => {
    const worker = new Worker(spread.worker);
    try {
      for (let place = left.shift(); place !== undefined; place = left.shift()) {
        const task = tasks[place]!;
        const label = spread.labelOf(task);
        results[place] = await runOne<T, R>(worker, task, (what, part) => progress.at(`${label}: ${what}`, part));
        spread.store.write(task, results[place]);
        progress.finished(label);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(spread.threads, left.length) }, work));
  return results as R[];
}

function runOne<T, R>(worker: Worker, task: T, onProgress: (what: string, part: number) => void): Promise<R> {
  return new Promise((done, failed) => {
    const off = (): void => {
      worker.off("message", onMessage);
      worker.off("error", onError);
    };
    const onMessage = (message: FromWorker<R>): void => {
      if ("part" in message) return onProgress(message.what, message.part);
      off();
      done(message.result);
    };
    const onError = (error: Error): void => {
      off();
      failed(error);
    };
    worker.on("message", onMessage);
    worker.on("error", onError);
    worker.postMessage(task);
  });
}

/** In a worker: answers each task with its result, and tells of its progress meanwhile. */
export function serveTasks<T, R>(run: (task: T, onProgress: (what: string, part: number) => void) => R): void {
  const port = parentPort!;
  port.on("message", (task: T) => {
    const result = run(task, (what, part) => port.postMessage({ what, part }));
    port.postMessage({ result });
  });
}
