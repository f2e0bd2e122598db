// What a request could cost at most, read from its body alone: the number that goes into the signed order.
import { BPS, TOKENS_PER_PRICE, type Bps, type Hash, type TokenAmount, type Tokens } from "../protocol/units.ts";
import { chargeDown, feeWithinDown, pricedDown } from "../protocol/fees.ts";
import { inputTokensMax } from "../protocol/bounds.ts";
import { InvalidValueError, TidelaneError } from "../protocol/errors.ts";
import { Tier, type TierValue } from "../protocol/constants.ts";
import { pricesAtTide, type Prices, type TideMultiplier } from "../protocol/tide.ts";

export type RequestKind = "chat" | "completion" | "embeddings";

/** What the price of a request depends on; never its text. */
export interface PricedRequest {
  readonly kind: RequestKind;
  readonly model: string;
  readonly isStream: boolean;
  /** Bytes of the whole body: at least those of the prompt, for JSON only lengthens a text. */
  readonly bodyBytes: number;
  /** False where images or audio stand for tokens that bytes do not bound. */
  readonly isPlainText: boolean;
  /** Parts that a chat template may wrap in control tokens. */
  readonly parts: number;
  /** What the client asked for; null where it left it to the server. */
  readonly maxOutTokens: Tokens | null;
  /** Answers asked for (`n`). */
  readonly choices: number;
  readonly tier: TierValue;
  /** Bytes of the longest stop string: generated, but not delivered. */
  readonly stopBytesMax: number;
}

export interface ModelPrice {
  readonly modelId: Hash;
  readonly contextTokens: Tokens;
  /** The cheapest node's, before tide and tier. */
  readonly base: Prices;
  readonly tideMultiplier: TideMultiplier;
}

export interface PriceLimits {
  readonly maxPriceInPerMTok: TokenAmount;
  readonly maxPriceOutPerMTok: TokenAmount;
  readonly maxPerTask: TokenAmount;
  readonly feeBps: Bps;
  /** Assumed where the client names no maximum. */
  readonly defaultMaxOutTokens: Tokens;
}

export const BODY_BYTES_MAX = 1_048_576;
/** Nodes differ in price, and prices move while a request waits: room above the cheapest, within the signed maxima. */
const PRICE_HEADROOM_BPS = 20_000n;

const kinds: Readonly<Record<string, RequestKind>> = { "/chat/completions": "chat", "/completions": "completion", "/embeddings": "embeddings" };

/** @param path of the URL. @returns what kind of paid request it is, or null where nothing is to be paid for it. */
export function kindOf(path: string): RequestKind | null {
  const tail = /\/v1(\/.*)$/.exec(path)?.[1]?.replace(/\/+$/, "");
  return tail !== undefined && Object.hasOwn(kinds, tail) ? kinds[tail]! : null;
}

/** @throws InvalidValueError where the body is no JSON object with a model, or too large. */
export function readRequest(kind: RequestKind, body: Uint8Array): PricedRequest {
  if (body.length > BODY_BYTES_MAX) throw new InvalidValueError("body", `at most ${BODY_BYTES_MAX} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new InvalidValueError("body", "a JSON object in UTF-8", "invalid_json");
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new InvalidValueError("body", "a JSON object");
  const request = json as Record<string, unknown>;
  if (typeof request.model !== "string" || request.model === "") throw new InvalidValueError("body.model", "the name of a model");
  return {
    kind, model: request.model, isStream: request.stream === true, bodyBytes: body.length, isPlainText: isPlainText(request.messages), parts: partsOf(kind, request),
    maxOutTokens: kind === "embeddings" ? 0 : limitOf(request.max_completion_tokens ?? request.max_tokens),
    choices: Number.isSafeInteger(request.n) && (request.n as number) > 1 ? (request.n as number) : 1,
    tier: request.service_tier === "priority" ? Tier.PRIORITY : request.service_tier === "flex" ? Tier.FLEX : Tier.DEFAULT,
    stopBytesMax: Math.max(0, ...[request.stop].flat().filter((stop) => typeof stop === "string").map((stop) => new TextEncoder().encode(stop).length)),
  };
}

function partsOf(kind: RequestKind, request: Record<string, unknown>): number {
  const list = kind === "chat" ? request.messages : kind === "embeddings" ? request.input : request.prompt;
  return Array.isArray(list) ? list.length : 1;
}

/** Whether every part of every message is text. */
function isPlainText(messages: unknown): boolean {
  if (!Array.isArray(messages)) return true;
  const contents = (messages as unknown[]).flatMap((message) => (message as { content?: unknown } | null)?.content ?? []);
  return contents.every((part) => typeof part === "string" || (part as { type?: unknown } | null)?.type === "text");
}

/** A malformed limit counts as none: the relayer answers the request with its own error. */
const limitOf = (value: unknown): Tokens | null =>
  (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value < 2 ** 32 ? value : null);

/**
 * What to sign for: the longest output, and the greatest charge with room for dearer nodes, within maxPerTask. Where the client
 * names no longest output, it is what maxPerTask affords; a node is never asked to work for less than its listed price.
 * @throws `order_above_maximum` where the request at the listed price of its tier could cost more than maxPerTask.
 */
export function quote(request: PricedRequest, model: ModelPrice, limits: PriceLimits): { maxOutTokens: Tokens; maxFee: TokenAmount } {
  const bounded = request.isPlainText ? inputTokensMax(request.bodyBytes, request.parts) : Infinity;
  // An embeddings request is many prompts, each with a context of its own; a chat is one.
  const inTokens = request.kind === "embeddings" ? bounded : Math.min(bounded, model.contextTokens);
  const prices = pricesAtTide(model.base, model.tideMultiplier, request.tier);
  const maxOutTokens = request.kind === "embeddings" ? 0 : request.maxOutTokens ?? affordable(inTokens, request, model, prices, limits);
  const chargeAt = (each: Prices): TokenAmount =>
    chargeDown(pricedDown(inTokens * request.choices, maxOutTokens * request.choices, each) + 1n, limits.feeBps);
  const listed = chargeAt(prices);
  if (listed > limits.maxPerTask) {
    throw new TidelaneError(`This request may cost ${listed}; the session allows ${limits.maxPerTask} for one task. Lower max_tokens, or open a session that allows more.`, {
      code: "order_above_maximum", details: { needed: String(listed), maxPerTask: String(limits.maxPerTask) },
    });
  }
  const roomy = chargeAt({
    priceInPerMTok: withHeadroom(prices.priceInPerMTok, limits.maxPriceInPerMTok), priceOutPerMTok: withHeadroom(prices.priceOutPerMTok, limits.maxPriceOutPerMTok),
  });
  return { maxOutTokens, maxFee: roomy < limits.maxPerTask ? roomy : limits.maxPerTask };
}

/** The default, cut to the context and to what is left of maxPerTask beside the input. */
function affordable(inTokens: Tokens, request: PricedRequest, model: ModelPrice, prices: Prices, limits: PriceLimits): Tokens {
  const most = Math.min(limits.defaultMaxOutTokens, model.contextTokens);
  if (prices.priceOutPerMTok === 0n) return most;
  const left = feeWithinDown(limits.maxPerTask, limits.feeBps) - 1n - pricedDown(inTokens * request.choices, 0, prices);
  const tokens = (left * BigInt(TOKENS_PER_PRICE)) / prices.priceOutPerMTok / BigInt(request.choices);
  return tokens < 1n ? 1 : tokens < BigInt(most) ? Number(tokens) - 1 || 1 : most;
}

function withHeadroom(price: TokenAmount, most: TokenAmount): TokenAmount {
  const roomy = (price * PRICE_HEADROOM_BPS + BigInt(BPS - 1)) / BigInt(BPS);
  return roomy < most ? roomy : most;
}
