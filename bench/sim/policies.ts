// All policies by the names that reports use.
import { BASELINES } from "./baselines/all.ts";
import { tidelane } from "./tidelane.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import type { PolicyKind } from "./policy.ts";

export const POLICIES: readonly PolicyKind[] = [...BASELINES, tidelane];

/** The name under which ours is reported. */
export const OURS = tidelane.name;

/** @param names separated by commas, or `all` @throws InvalidValueError for a name that is none */
export function policiesOf(names: string): readonly PolicyKind[] {
  if (names === "all") return POLICIES;
  return names.split(",").map((name) => {
    const policy = POLICIES.find((one) => one.name === name.trim());
    if (!policy) throw new InvalidValueError("policies", `all or some of ${POLICIES.map((one) => one.name).join(",")}, not ${name}`);
    return policy;
  });
}
