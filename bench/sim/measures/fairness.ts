// Twenty payers who ask for little beside one that asks for fifty times as much.
import { Experiment } from "../experiment.ts";
import { fairnessOf, servedParts } from "../score.ts";
import { tidelane } from "../tidelane.ts";
import { atLeast, MEAN_AGE_MS, progressOf, type Measurement } from "./measure.ts";

const LOAD = 2;
const HEAVY = 50;
const LIGHT_PAYERS = 20;
const [JAIN_MIN, LIGHT_PART_MIN] = [0.98, 0.95] as const;

export const fairness: Measurement = {
  name: "fairness",
  about: "At twice the capacity, 20 payers and one that sends 50 times as much: Jain over max-min fair shares, and the least of the light ones.",
  measure: (place, onProgress) => {
    const payers = [HEAVY, ...new Array<number>(LIGHT_PAYERS).fill(1)];
    const experiment = new Experiment({ ...place, load: LOAD, attestationAgeMs: MEAN_AGE_MS, payers });
    const jobs = experiment.counted(experiment.simulate(tidelane, progressOf(onProgress, tidelane, LOAD)).jobs);
    const light = [...servedParts(jobs)].filter(([payer]) => payer !== 0).map(([, part]) => part);
    return [
      atLeast("Jain over served / fair share", `${LOAD} x capacity`, fairnessOf(jobs), JAIN_MIN),
      atLeast("least light payer's served / fair share", `${LOAD} x capacity`, Math.min(...light), LIGHT_PART_MIN),
    ];
  },
};
