// A journal's small facts in memory.
import type { Journal } from "../../../relayer/ports/journal.ts";

export const factsIn = (facts: Map<string, string>): Pick<Journal, "getFact" | "replaceFact"> => ({
  getFact: async (name) => facts.get(name) ?? null,
  replaceFact: async (name, expected, value) => {
    if ((facts.get(name) ?? null) !== expected) return false;
    facts.set(name, value);
    return true;
  },
});
