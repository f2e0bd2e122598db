// What this node serves: each model with its engine and its price, and what that makes of the node as a whole.
import type { ModelInfo, NodeInfo, Offer, ServiceCurve } from "../../protocol/link.ts";
import { pacedCurve } from "../gauge/curve.ts";
import type { Engine, EngineModel } from "../ports.ts";
import type { TokenAmount } from "../../protocol/units.ts";

export interface ServedModel {
  readonly info: ModelInfo;
  readonly engine: Engine;
  readonly curve: ServiceCurve;
  /** Requests that its engine works on at once. */
  readonly places: number;
  readonly priceInPerMTok: TokenAmount;
  readonly priceOutPerMTok: TokenAmount;
}

/** @param slots of the whole node. An offer never promises more of them than its engine works on. */
export const offersOf = (models: readonly ServedModel[], slots: number): Offer[] => models.filter(({ engine }) => engine.load().up).map((model) => ({
  modelId: model.info.modelId, slots: Math.min(slots, model.places), priceInPerMTok: model.priceInPerMTok, priceOutPerMTok: model.priceOutPerMTok,
}));

/** The curve stated for the node is that of its first model for text: the others are told apart by what relayers observe. */
export const statedModel = (models: readonly ServedModel[]): ServedModel => models.find((model) => model.info.kind === "generate") ?? models[0]!;

export function nodeInfoOf(nodeId: number, agent: string, models: readonly ServedModel[], slots: number, paceTokensPerSecond: number | null): NodeInfo {
  const stated = statedModel(models);
  return { nodeId, agent, models: models.map((model) => model.info), curve: pacedCurve(stated.curve, slots, paceTokensPerSecond), engine: stated.engine.name };
}

/** Joins what the owner configured and what the engine found out. */
export const modelInfoOf = (configured: Pick<ModelInfo, "modelId" | "name" | "aliases" | "kind">, found: EngineModel): ModelInfo => ({
  ...configured, contextTokens: found.contextTokens, tokenizer: found.tokenizer, capabilities: [...found.capabilities], dimensions: found.dimensions,
});
