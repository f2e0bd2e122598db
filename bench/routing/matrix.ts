// Many experiments: each trace at each load with each seed, spread over threads.
import { Worker } from "node:worker_threads";
import { Progress } from "./progress.ts";
import type { ExperimentReport } from "../sim/experiment.ts";

export interface Task {
  readonly trace: string;
  readonly fleet: string | undefined;
  readonly load: number;
  readonly seed: number;
  readonly ageMs: number;
  readonly policies: string;
}

/** @returns reports in the order of the tasks */
export async function runAll(tasks: readonly Task[], threads: number): Promise<ExperimentReport[]> {
  const progress = new Progress(tasks.length);
  const reports: ExperimentReport[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url));
    try {
      while (next < tasks.length) {
        const place = next++;
        const task = tasks[place]!;
        reports[place] = await runOne(worker, task);
        progress.finished(`${task.trace} at ${task.load} x capacity, seed ${task.seed}`);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(threads, tasks.length) }, work));
  return reports;
}

function runOne(worker: Worker, task: Task): Promise<ExperimentReport> {
  return new Promise((done, failed) => {
    const off = (): void => {
      worker.off("message", onReport);
      worker.off("error", onError);
    };
    const onReport = (report: ExperimentReport): void => {
      off();
      done(report);
    };
    const onError = (error: Error): void => {
      off();
      failed(error);
    };
    worker.on("message", onReport);
    worker.on("error", onError);
    worker.postMessage(task);
  });
}
