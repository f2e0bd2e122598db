// A node as the status page shows it.
import { correctLoad } from "../routing/saturation.ts";
import { PARAMETERS } from "../routing/parameters.ts";
import type { FleetNode } from "./fleetNode.ts";
import type { NodeStatus } from "./routingRequest.ts";
import type { Millis } from "../../protocol/units.ts";

export function statusOf(node: FleetNode, nowMs: Millis): NodeStatus {
  const valid = node.validState(nowMs);
  const load = node.state ? correctLoad(node.state.attested, node.own, PARAMETERS.unknownContextTokens) : null;
  const isFull = valid !== null && node.own.inFlight >= valid.attested.slots;
  return {
    nodeId: node.nodeId, hardwareClass: node.hardwareClass, engine: node.engine, models: [...node.models.values()].map((model) => model.info.name),
    state: node.state === null ? "unattested" : valid === null ? "stale" : isFull ? "full" : "serving",
    slots: node.state?.attested.slots ?? 0, prepSlots: Math.min(node.state?.signed.attestation.prepSlots ?? 0, node.state?.attested.slots ?? 0),
    inFlight: node.own.inFlight, computeBps: load?.computeBps ?? 0, memoryBps: load?.memoryBps ?? 0, queueBps: load?.queueBps ?? 0, networkBps: load?.networkBps ?? 0,
    scoreBps: node.scoreBps(nowMs), attestationAgeMs: node.state === null ? null : Math.max(0, Math.floor(nowMs - node.state.atMs)),
  };
}
