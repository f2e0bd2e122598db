// How soft a choice must be: as uncertain as what others did on the same picture since it was taken.
import { clamp, type Micros, type RoutingParameters } from "./parameters.ts";
import type { Millis } from "../../protocol/units.ts";

/** What a table tells about a shard as a whole. */
export interface ShardPressure {
  readonly nodes: number;
  /** Sequences running that are not this relayer's. */
  readonly othersInFlight: number;
  /** Mean time of a typical task on these nodes. */
  readonly serviceMs: Millis;
  /** Mean cost that one more dispatch to a node adds to the next. */
  readonly slopeUs: Micros;
  /** Mean age of the attestations when the table was made. */
  readonly attestedAgeMs: Millis;
}

/**
 * T = clamp(T_min, s * u, T_max): u, dispatches by others per node since its attestation, follows from Little's law
 * (in flight / service time is a rate); s is what each of them makes the next one cost. Own dispatches are known and need no
 * softness. At zero temperature stale figures make a herd: ai-dynamo/dynamo#589 and #7836, vllm-project/router#179.
 * @param ageMs since the table was made
 */
export function temperatureUs(pressure: ShardPressure, ageMs: Millis, parameters: RoutingParameters): Micros {
  const pictureMs = clamp(ageMs + pressure.attestedAgeMs, 0, 60_000);
  const servedMs = clamp(pressure.serviceMs, 1, 2 ** 31) * Math.max(1, pressure.nodes);
  const dispatchesMilli = clamp(Math.floor((clamp(pressure.othersInFlight, 0, 2 ** 26) * pictureMs * 1_000) / servedMs), 0, 2 ** 20);
  return clamp(Math.floor((clamp(pressure.slopeUs, 0, 2 ** 32) * dispatchesMilli) / 1_000), parameters.temperatureUsMin, parameters.temperatureUsMax);
}
