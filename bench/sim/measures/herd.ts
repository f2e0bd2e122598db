// Many relayers on old pictures of one fleet: does any node get much more than it would if the pictures were fresh?
import { Experiment, WARM_UP_MS, WINDOW_END_MS } from "../experiment.ts";
import { workOfJob } from "../score.ts";
import { tidelane } from "../tidelane.ts";
import { atMost, progressOf, told, type Measure, type Measurement, type OnProgress, type Place } from "./measure.ts";
import type { Job } from "../job.ts";

const LOADS = [0.5, 0.8, 1.5] as const;
const RELAYERS = 16;
const AGE_MS = 2_000;
/** A node with fewer says more about chance than about the policy. */
const DISPATCHES_MIN = 200;
const SHARE_TIMES = 1.5;
const WHAT = "greatest share of work / share under fresh information";

export const herd: Measurement = {
  name: "herd",
  about: "Sixteen relayers with attestations two seconds old: each node's share of the work (input + 2 x output tokens, as they turned out) over its share under fresh information.",
  measure: (place, onProgress) => LOADS.flatMap((load) => herdAt(place, load, onProgress)),
};

function herdAt(place: Place, load: number, onProgress: OnProgress): Measure[] {
  const experiment = new Experiment({ ...place, load, attestationAgeMs: AGE_MS });
  const run = (attestationAgeMs: number) => experiment.simulate(tidelane, { ...progressOf(onProgress, tidelane, load), relayers: RELAYERS, attestationAgeMs });
  const [stale, fresh] = [run(AGE_MS), run(0)];
  const nodes = place.fleet.nodes.length;
  const [staleWork, freshWork] = [stale, fresh].map(({ jobs }) => perNode(jobs, nodes, workOfJob)) as [Float64Array, Float64Array];
  const dispatches = perNode(fresh.jobs, nodes, () => 1);
  const telling = [...dispatches.keys()].filter((node) => dispatches[node]! >= DISPATCHES_MIN);
  const shares = telling.map((node) => staleWork[node]! / total(staleWork) / (freshWork[node]! / total(freshWork)));
  const at = `${load} x capacity, ${RELAYERS} relayers, ${AGE_MS / 1_000} s old`;
  const most = Math.max(...shares);
  // A fleet that is half asleep has nodes of which chance says more than the policy: there the figure is only told.
  const judged = shares.length === nodes ? atMost(WHAT, at, most, SHARE_TIMES) : told(WHAT, at, most);
  return [
    judged,
    told("nodes with 200 dispatches and more", at, shares.length), told("goodput", at, experiment.scoreOf(stale).goodput), told("goodput under fresh information", at, experiment.scoreOf(fresh).goodput),
  ];
}

function perNode(jobs: readonly Job[], nodes: number, of: (job: Job) => number): Float64Array {
  const sums = new Float64Array(nodes);
  for (const job of jobs) if (job.node >= 0 && job.sentMs >= WARM_UP_MS && job.sentMs < WINDOW_END_MS) sums[job.node]! += of(job);
  return sums;
}

const total = (sums: Float64Array): number => sums.reduce((sum, one) => sum + one, 0);
