// Reads the agent's own state into an observation: the facts that the pure gauge turns into a saturation vector.
import { saturationOf } from "../gauge/saturation.ts";
import { pacedCurve, tokensPerSecondAt } from "../gauge/curve.ts";
import { offersOf, statedModel, type ServedModel } from "./models.ts";
import type { Observation } from "../attest/attestation.ts";
import type { EngineLoad } from "../ports.ts";

export interface AgentState {
  readonly models: readonly ServedModel[];
  /** What may be attested now: 0 while draining, never more than the stake allows. */
  readonly slots: number;
  readonly prepSlots: number;
  readonly accepted: number;
  readonly paceTokensPerSecond: number | null;
  readonly backlogBytes: number;
}

export function observe(state: AgentState): Observation {
  const loads = state.models.map((model) => model.engine.load());
  const slots = loads.some((load) => load.up) ? state.slots : 0;
  const curve = pacedCurve(statedModel(state.models).curve, state.slots, state.paceTokensPerSecond);
  const total = (part: (load: EngineLoad) => number): number => loads.reduce((sum, load) => sum + part(load), 0);
  return {
    slots, prepSlots: Math.min(slots, state.prepSlots), offers: slots > 0 ? offersOf(state.models, slots) : [],
    saturation: saturationOf({
      slots, accepted: state.accepted, running: total((load) => load.running),
      tokensPerSecondMax: Math.min(state.paceTokensPerSecond ?? Infinity, tokensPerSecondAt(curve, Math.max(1, state.slots))),
      queued: total((load) => load.queued), queuedTokens: total((load) => load.queuedTokens), prefillNsPerToken: curve.bNs,
      kvTokens: total((load) => load.kvTokens), kvReservedTokens: total((load) => load.kvUsedTokens), backlogBytes: state.backlogBytes,
    }),
  };
}
