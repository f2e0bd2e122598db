// Runs one measurement at a time, in a thread of its own.
import { serveTasks } from "./matrix.ts";
import { readFleet, readTrace } from "./files.ts";
import { measurementsOf } from "../sim/measures/all.ts";

export interface MeasureTask {
  readonly measurement: string;
  readonly trace: string;
  readonly fleet: string | undefined;
  readonly seed: number;
}

serveTasks((task: MeasureTask, onProgress) => {
  const trace = readTrace(task.trace);
  const place = { trace, fleet: readFleet(task.fleet, trace.name), seed: task.seed };
  return { ...task, measures: measurementsOf(task.measurement)[0]!.measure(place, (what, part) => onProgress(what, part)) };
});
