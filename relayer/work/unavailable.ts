// Why no node could take a request: the first reason that no waiting or retrying would change comes first.
import type { FleetNode } from "./fleetNode.ts";
import type { ChooseRequest, Unavailable, UnavailableReason } from "./routingRequest.ts";
import type { AttestedState } from "./attestedState.ts";
import type { Prices } from "../../protocol/tide.ts";
import type { Millis } from "../../protocol/units.ts";

/** A node that is gone dials in again within seconds. */
const NO_NODE_RETRY_MS: Millis = 2_000;
const RETRY_MS_MIN: Millis = 500;
const RETRY_MS_MAX: Millis = 30_000;

/**
 * @param nodes connected nodes of the model; null where no node ever declared it
 * @param serviceMs mean time of a task on them
 * @param pricesOf what a node in that state takes for the request; null where it does not offer the model
 */
export function unavailable(
  request: ChooseRequest, nodes: ReadonlySet<FleetNode> | null, serviceMs: Millis, nowMs: Millis, pricesOf: (state: AttestedState | null) => Prices | null,
): Unavailable {
  if (nodes === null) return no("unknown_model", 0, "No node of this relayer has declared the model; GET /v1/models lists those there are.");
  const connected = [...nodes].filter((node) => node.slotsMax > 0);
  if (connected.length === 0) return no("no_node", NO_NODE_RETRY_MS, "No node that serves the model is connected at the moment.");
  const ofKind = connected.filter((node) => infoOf(node, request)?.kind === request.kind);
  if (ofKind.length === 0) return no("unsupported", 0, request.kind === "embed" ? "The model makes no embeddings." : "The model generates no text.");
  const longEnough = ofKind.filter((node) => fitsContext(node, request));
  if (longEnough.length === 0) return no("context", 0, contextDetail(ofKind, request));
  const capable = longEnough.filter((node) => isCapable(node, request));
  if (capable.length === 0) return no("unsupported", 0, `No node that serves the model supports ${request.capabilities.join(", ")} together.`);
  const attested = capable.filter((node) => node.validState(nowMs) !== null);
  if (attested.length > 0 && attested.every((node) => !isAffordable(pricesOf(node.validState(nowMs)), request))) {
    return no("price", 0, "Every node that serves the model asks for more than the payer's signed maximum price.");
  }
  if (capable.every((node) => request.exclude.includes(node.nodeId))) return no("no_node", NO_NODE_RETRY_MS, "Every node that serves the model was tried.");
  if (capable.every((node) => node.state === null)) return no("no_node", NO_NODE_RETRY_MS, "No node that serves the model has attested that it is free.");
  const slots = attested.reduce((sum, node) => sum + (node.validState(nowMs)?.attested.slots ?? 0), 0);
  return no("saturated", slotFreeInMs(serviceMs, slots), "Every node that serves the model is working at its limit.");
}

export const infoOf = (node: FleetNode, request: ChooseRequest) => node.models.get(request.modelId)?.info;

export const fitsContext = (node: FleetNode, request: ChooseRequest): boolean =>
  request.inputTokens + request.maxOutTokens <= (infoOf(node, request)?.contextTokens ?? 0);

export const isCapable = (node: FleetNode, request: ChooseRequest): boolean =>
  request.capabilities.every((name) => infoOf(node, request)?.capabilities.includes(name));

export const isAffordable = (prices: Prices | null, request: ChooseRequest): boolean =>
  prices !== null && prices.priceInPerMTok <= request.maxPriceIn && prices.priceOutPerMTok <= request.maxPriceOut;

/** Busy slots come free one each service / slots on the mean; twice that finds one more likely than not. */
function slotFreeInMs(serviceMs: Millis, slots: number): Millis {
  const ms = Math.ceil((2 * serviceMs) / Math.max(1, slots));
  return Math.min(Math.max(ms, RETRY_MS_MIN), RETRY_MS_MAX);
}

function contextDetail(nodes: readonly FleetNode[], request: ChooseRequest): string {
  const most = Math.max(...nodes.map((node) => infoOf(node, request)?.contextTokens ?? 0));
  return `Prompt and max_tokens together are ${request.inputTokens + request.maxOutTokens} tokens; the model's context window holds ${most}.`;
}

const no = (reason: UnavailableReason, retryAfterMs: Millis, detail: string): Unavailable => ({ ok: false, reason, retryAfterMs, detail });
