// Every measure by the name under which it is asked for.
import { attackers } from "./attackers.ts";
import { ebb } from "./ebb.ts";
import { fairness } from "./fairness.ts";
import { gap } from "./gap.ts";
import { herd } from "./herd.ts";
import { lanes } from "./lanes.ts";
import { flat, peers } from "./surge.ts";
import { waiters } from "./waiters.ts";
import { InvalidValueError } from "../../../protocol/errors.ts";
import type { Measurement } from "./measure.ts";

export const MEASUREMENTS: readonly Measurement[] = [flat, peers, gap, ebb, waiters, fairness, herd, attackers, lanes];

/** @param names separated by commas, or `all` @throws InvalidValueError for a name that is none */
export function measurementsOf(names: string): readonly Measurement[] {
  if (names === "all") return MEASUREMENTS;
  return names.split(",").map((name) => {
    const found = MEASUREMENTS.find((one) => one.name === name.trim());
    if (!found) throw new InvalidValueError("measures", `all or some of ${MEASUREMENTS.map((one) => one.name).join(",")}, not ${name}`);
    return found;
  });
}
