// What keeps useful work below the clairvoyant bound: unknown lengths, old information, or the policy and the nature of queues.
import { Experiment } from "../experiment.ts";
import { tidelane, tidelaneClairvoyant } from "../tidelane.ts";
import { MEAN_AGE_MS, progressOf, told, type Measure, type Measurement, type OnProgress, type Place } from "./measure.ts";
import type { PolicyKind } from "../policy.ts";

const LOADS = [1.5, 2] as const;

export const gap: Measurement = {
  name: "gap",
  about: "Useful work as part of B2, as it is and with lengths known beforehand, with fresh information, and with both.",
  measure: (place, onProgress) => LOADS.flatMap((load) => gapAt(place, load, onProgress)),
};

function gapAt(place: Place, load: number, onProgress: OnProgress): Measure[] {
  const experiment = new Experiment({ ...place, load, attestationAgeMs: MEAN_AGE_MS });
  const partOf = (kind: PolicyKind, attestationAgeMs: number): number => {
    const result = experiment.simulate(kind, { ...progressOf(onProgress, kind, load), attestationAgeMs });
    return experiment.scoreOf(result).usefulWork / experiment.report.bounds.B2.usefulWork;
  };
  const plain = partOf(tidelane, MEAN_AGE_MS);
  const foretold = partOf(tidelaneClairvoyant, MEAN_AGE_MS);
  const fresh = partOf(tidelane, 0);
  const both = partOf(tidelaneClairvoyant, 0);
  const at = `${load} x capacity`;
  return [
    told("useful work / B2", at, plain), told("gap to B2 by unknown lengths", at, foretold - plain), told("gap to B2 by old information", at, fresh - plain),
    told("gap to B2 that is left with both known", at, 1 - both),
  ];
}
