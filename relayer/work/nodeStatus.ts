// The nodes that are connected, as the status page shows them.
import { correctLoad } from "../routing/saturation.ts";
import { PARAMETERS } from "../routing/parameters.ts";
import type { FleetNode } from "./fleetNode.ts";
import type { FleetStatus, NodeStatus } from "./routingRequest.ts";
import type { Millis } from "../../protocol/units.ts";

/** @returns them in the order of their ids */
export function statusOf(nodes: readonly FleetNode[], nowMs: Millis): Omit<FleetStatus, "tableRoot"> {
  const connected = nodes.filter((node) => node.isConnected).sort((one, other) => one.nodeId - other.nodeId);
  return { nodes: connected.map((node) => statusOfNode(node, nowMs)), attested: connected.filter((node) => node.validState(nowMs) !== null).length };
}

function statusOfNode(node: FleetNode, nowMs: Millis): NodeStatus {
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
