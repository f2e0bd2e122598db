// Which models there are, under which names, and who serves them.
import type { FleetNode, ServedModel } from "./fleetNode.ts";
import type { FleetModel } from "./routingRequest.ts";
import type { ModelInfo } from "../../protocol/link.ts";
import type { TideMultiplier } from "../../protocol/tide.ts";
import type { Hash, Millis, TokenAmount } from "../../protocol/units.ts";

/** Models and names that are remembered after their last node left: an absent model is not an unknown one. */
const MODELS_MAX = 10_000;
const NAMES_MAX = 100_000;

interface Known {
  readonly info: ModelInfo;
  readonly nodes: Set<FleetNode>;
}

export class ModelIndex {
  readonly #models = new Map<Hash, Known>();
  /** Every name, alias and id, with the nodes that use it for each model. */
  readonly #names = new Map<string, Map<Hash, Set<number>>>();

  add(node: FleetNode): void {
    for (const [modelId, { info }] of node.models) {
      const known = this.#models.get(modelId);
      if (!known && this.#models.size >= MODELS_MAX) continue;
      if (known) known.nodes.add(node);
      else this.#models.set(modelId, { info, nodes: new Set([node]) });
      for (const name of [modelId, info.name, ...info.aliases]) this.#nameFor(name, modelId)?.add(node.nodeId);
    }
  }

  /** The names stay, so that a client is told "no node" and not "no such model". */
  remove(node: FleetNode): void {
    for (const modelId of node.models.keys()) this.#models.get(modelId)?.nodes.delete(node);
  }

  nodesOf(modelId: Hash): ReadonlySet<FleetNode> | null {
    return this.#models.get(modelId)?.nodes ?? null;
  }

  /** A canonical name or id means itself, whoever uses it as an alias; an alias means what most nodes mean by it. */
  modelIdOf(name: string): Hash | null {
    const meanings = this.#names.get(name);
    if (!meanings) return null;
    const ranked = [...meanings].map(([modelId, nodes]) => ({ modelId, users: nodes.size, isOwn: this.#models.get(modelId)?.info.name === name || modelId === name }));
    ranked.sort((one, other) => Number(other.isOwn) - Number(one.isOwn) || other.users - one.users || (one.modelId < other.modelId ? -1 : 1));
    return ranked[0]?.modelId ?? null;
  }

  /** All known models, by name. */
  list(nowMs: Millis, tide: { multiplierOf(modelId: Hash): TideMultiplier }): FleetModel[] {
    return [...this.#models.values()].map((known) => modelOf(known, nowMs, tide.multiplierOf(known.info.modelId))).sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  #nameFor(name: string, modelId: Hash): Set<number> | null {
    const known = this.#names.get(name);
    if (!known && this.#names.size >= NAMES_MAX) return null;
    const meanings = known ?? new Map<Hash, Set<number>>();
    const users = meanings.get(modelId) ?? new Set<number>();
    this.#names.set(name, meanings.set(modelId, users));
    return users;
  }
}

function modelOf(known: Known, nowMs: Millis, tideMultiplier: TideMultiplier): FleetModel {
  const { info } = known;
  const served = [...known.nodes].map((node) => node.models.get(info.modelId)).filter((model): model is ServedModel => model !== undefined);
  const offers = [...known.nodes].flatMap((node) => node.validState(nowMs)?.offerOf(info.modelId) ?? []);
  const all = served.length > 0 ? served.map((model) => model.info) : [info];
  return {
    name: info.name, modelId: info.modelId, kind: info.kind, dimensions: info.dimensions, tokenizer: info.tokenizer,
    aliases: [...new Set(all.flatMap((one) => one.aliases))].sort(), capabilities: [...new Set(all.flatMap((one) => one.capabilities))].sort(),
    contextTokens: Math.max(...all.map((one) => one.contextTokens)), nodes: offers.length, tideMultiplier,
    base: offers.length === 0 ? null : { priceInPerMTok: least(offers.map((offer) => offer.priceInPerMTok)), priceOutPerMTok: least(offers.map((offer) => offer.priceOutPerMTok)) },
  };
}

const least = (prices: readonly TokenAmount[]): TokenAmount => prices.reduce((found, price) => (price < found ? price : found));
