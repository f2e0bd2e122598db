// Runs one experiment at a time for the matrix, in a thread of its own.
import { parentPort } from "node:worker_threads";
import { readFleet, readTrace } from "./files.ts";
import { Experiment } from "../sim/experiment.ts";
import { policiesOf } from "../sim/policies.ts";
import type { Task } from "./matrix.ts";

parentPort!.on("message", (task: Task) => {
  const trace = readTrace(task.trace);
  const experiment = new Experiment({ trace, fleet: readFleet(task.fleet, trace.name), load: task.load, seed: task.seed, attestationAgeMs: task.ageMs });
  for (const policy of policiesOf(task.policies)) experiment.run(policy);
  parentPort!.postMessage(experiment.report);
});
