// Runs one experiment at a time for the matrix, in a thread of its own.
import { readFleet, readTrace } from "./files.ts";
import { serveTasks, type Task } from "./matrix.ts";
import { Experiment } from "../sim/experiment.ts";
import { policiesOf } from "../sim/policies.ts";

serveTasks((task: Task, onProgress) => {
  const trace = readTrace(task.trace);
  const experiment = new Experiment({ trace, fleet: readFleet(task.fleet, trace.name), load: task.load, seed: task.seed, attestationAgeMs: task.ageMs });
  for (const policy of policiesOf(task.policies)) experiment.run(policy, { onProgress: (part) => onProgress(policy.name, part) });
  return experiment.report;
});
