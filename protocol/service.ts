// What a relayer tells about itself: GET /tidelane/v1/info, and what stands as `tidelane` beside OpenAI's members of a model.
// For showing and for choosing; a payer checks each number against what it signs.
import { z } from "zod";
import { hexOfLength, parse } from "./json.ts";
import { modelIdOf } from "./ids.ts";
import { Tier, type TierValue } from "./constants.ts";
import { pricesAtTide, TIDE_LEAST, TIDE_MOST, type Prices, type TideMultiplier } from "./tide.ts";
import { InvalidValueError } from "./errors.ts";
import type { Domain } from "./typedData.ts";
import type { Address, Bps, Hash, Seconds, Tokens } from "./units.ts";

export interface RelayerInfo {
  readonly domain: Domain;
  /** By name: BatchSettlement, Escrow, NodeRegistry, ... */
  readonly addresses: Readonly<Record<string, Address>>;
  readonly relayerId: number;
  /** Of its signing key. */
  readonly epoch: number;
  readonly feeBps: Bps;
  readonly windowSeconds: Seconds;
  readonly payToken: Address;
}

/** A model as the fleet serves it now. What it costs is base x tide x tier: `pricesAtTide`. */
export interface ListedModel {
  /** Canonical, `org/model@quantisation`; stands as OpenAI's `id`. */
  readonly name: string;
  readonly modelId: Hash;
  readonly aliases: readonly string[];
  readonly kind: "generate" | "embed";
  readonly contextTokens: Tokens;
  readonly dimensions: number;
  /** Cheapest attested, smallest units per million tokens; null while no node has a valid attestation. Decimal strings in JSON. */
  readonly base: Prices | null;
  readonly tideMultiplier: TideMultiplier;
  readonly nodes: number;
  readonly tokenizer: string;
  readonly capabilities: readonly string[];
}

export const infoToJson = (info: RelayerInfo): Record<string, unknown> => ({
  chainId: info.domain.chainId, verifyingContract: info.domain.verifyingContract, addresses: info.addresses, relayerId: info.relayerId, epoch: info.epoch,
  feeBps: info.feeBps, windowSeconds: info.windowSeconds, payToken: info.payToken,
});

/** @throws InvalidValueError */
export function infoFromJson(json: unknown): RelayerInfo {
  const from = parse(infoSchema, json, "info");
  return {
    domain: { chainId: from.chainId, verifyingContract: hexOfLength(from.verifyingContract, 20, "info.verifyingContract") },
    addresses: Object.fromEntries(Object.entries(from.addresses).map(([name, address]) => [name, hexOfLength(address, 20, `info.addresses.${name}`)])),
    relayerId: from.relayerId, epoch: from.epoch, feeBps: from.feeBps, windowSeconds: from.windowSeconds, payToken: hexOfLength(from.payToken, 20, "info.payToken"),
  };
}

/** One entry of /v1/models, OpenAI's members included. @param createdSeconds since when it is listed. */
export const modelToJson = (model: ListedModel, createdSeconds: Seconds): Record<string, unknown> => ({
  id: model.name, object: "model", created: createdSeconds, owned_by: "tidelane",
  tidelane: {
    modelId: model.modelId, aliases: model.aliases, kind: model.kind, contextTokens: model.contextTokens, dimensions: model.dimensions,
    ...pricesToJson(model), nodes: model.nodes, tokenizer: model.tokenizer, capabilities: model.capabilities,
  },
});

/** The prices of now, worked out, for whoever reads them without this library: of the default tier, and of each other one. */
function pricesToJson({ base, tideMultiplier }: ListedModel): Record<string, unknown> {
  const at = (tier: TierValue): Record<keyof Prices, string | null> => {
    const prices = base && pricesAtTide(base, tideMultiplier, tier);
    return { priceInPerMTok: prices?.priceInPerMTok.toString() ?? null, priceOutPerMTok: prices?.priceOutPerMTok.toString() ?? null };
  };
  return {
    ...at(Tier.DEFAULT), tiers: { priority: at(Tier.PRIORITY), flex: at(Tier.FLEX) }, tideMultiplier,
    base: base && { priceInPerMTok: String(base.priceInPerMTok), priceOutPerMTok: String(base.priceOutPerMTok) },
  };
}

/** The answer of /v1/models. @throws InvalidValueError, also where a modelId is not the hash of its name. */
export function modelsFromJson(json: unknown): readonly ListedModel[] {
  return parse(z.object({ data: z.array(modelSchema).max(10_000) }), json, "models").data.map(({ id, tidelane }) => {
    if (modelIdOf(id) !== tidelane.modelId) throw new InvalidValueError(`models.${id}`, "the modelId that is the hash of the name");
    return { name: id, ...tidelane, modelId: modelIdOf(id) };
  });
}

const count = z.number().int().min(0).max(2 ** 32 - 1);
const amount = z.string().regex(/^(0|[1-9]\d{0,28})$/).transform((value) => BigInt(value));
const infoSchema = z.object({
  chainId: z.number().int().min(1), verifyingContract: z.string(), addresses: z.record(z.string().max(64), z.string()), relayerId: count.min(1), epoch: count,
  feeBps: z.number().int().min(0).max(10_000), windowSeconds: count.min(1), payToken: z.string(),
});
const modelSchema = z.object({
  id: z.string().min(1).max(200),
  tidelane: z.object({
    modelId: z.string(), aliases: z.array(z.string().max(200)).max(64), kind: z.enum(["generate", "embed"]), contextTokens: count.min(1), dimensions: count,
    base: z.object({ priceInPerMTok: amount, priceOutPerMTok: amount }).nullable(), tideMultiplier: z.number().int().min(TIDE_LEAST).max(TIDE_MOST), nodes: count, tokenizer: z.string().max(200), capabilities: z.array(z.string().max(64)).max(256),
  }),
});
