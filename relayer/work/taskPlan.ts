// What a request needs before anybody pays or works: a model that is served, tokens counted, room in the context, a price bound.
import { chargeDown, pricedDown } from "../../protocol/fees.ts";
import { pricesAtTide, type Prices } from "../../protocol/tide.ts";
import type { TierValue } from "../../protocol/constants.ts";
import type { Payment } from "../../protocol/payment.ts";
import type { Bps, Millis, TokenAmount, Tokens } from "../../protocol/units.ts";
import type { TokenCounter } from "../ports/world.ts";
import type { OpenedTask } from "../ports/journal.ts";
import type { Fleet, FleetModel } from "./fleet.ts";
import { countInput, type InputCount, type Prompt } from "./recount.ts";
import { contextExceeded, modelNotFound, unsupported, wrongModelKind } from "./taskErrors.ts";

/** Where neither request nor order says how long the answer may be. */
const OUT_TOKENS_DEFAULT: Tokens = 4_096;
/** In ALLOWANCE mode a node may cost this many times the cheapest one: what is reserved covers any that can be chosen. */
const PRICE_HEADROOM = 2n;

export interface TaskRequest {
  readonly kind: OpenedTask["kind"];
  /** As the client names it. */
  readonly model: string;
  /** The body's bytes as they came, and the same as text: UTF-8 without loss. */
  readonly body: Uint8Array;
  readonly text: string;
  readonly prompt: Prompt;
  /** Null where the request does not say. */
  readonly maxOutTokens: Tokens | null;
  /** Parameters that a node must declare (protocol/capabilities.ts). */
  readonly capabilities: readonly string[];
  readonly tier: TierValue;
  readonly payment: Payment | null;
  readonly apiKey: string | null;
  /** True where output is passed on as it comes; otherwise it is held back until the receipt is good, and may be tried again whole. */
  readonly isStreamed: boolean;
  /** The same for turns of one conversation; `""` where there is none. */
  readonly conversation: string;
  /** How long the client will wait for a start, where it says; 0 for not at all. Default: what its tier suggests. */
  readonly waitMsMax?: Millis | null;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
  /** Number of the first attempt where the task was tried before; no number is used twice. Default 0. */
  readonly firstAttempt?: number;
}

export interface Plan {
  readonly request: TaskRequest;
  readonly model: FleetModel;
  readonly input: InputCount;
  /** What the order allows or reserves; 0 for embeddings. */
  readonly maxOutTokens: Tokens;
  /** As routing counts them: together they fit into the context of a node that can serve the request. */
  readonly routed: { readonly inputTokens: Tokens; readonly maxOutTokens: Tokens };
  /** Null where the payer's signed maxima alone bound the price. */
  readonly priceMax: { readonly in: TokenAmount; readonly out: TokenAmount } | null;
}

/** @throws model_not_found, wrong_model_kind, unsupported_parameter, context_length_exceeded */
export function planOf(request: TaskRequest, fleet: Pick<Fleet, "modelIdOf" | "models">, counter: TokenCounter): Plan {
  const modelId = fleet.modelIdOf(request.model);
  const model = modelId && fleet.models().find((one) => one.modelId === modelId);
  if (!model) throw modelNotFound(request.model);
  const isEmbedding = request.kind === "embeddings";
  if (isEmbedding !== (model.kind === "embed")) throw wrongModelKind(model.name, model.kind);
  const missing = request.capabilities.filter((name) => !model.capabilities.includes(name));
  if (missing.length > 0) throw unsupported(missing, model.name);
  const input = countInput(request.prompt, model.tokenizer, counter);
  const maxOutTokens = isEmbedding ? 0 : outTokensOf(request, model, input);
  if (isEmbedding && input.longestLeast > model.contextTokens) throw contextExceeded(model.contextTokens, input.longestLeast, 0, input.isExact);
  return { request, model, input, maxOutTokens, routed: routedTokens(request, model, input, maxOutTokens), priceMax: request.payment ? null : priceMaxOf(priceOf(model, request.tier)) };
}

/** The greatest input claim that is accepted: a model reads no more than its context, but embeddings are read text by text. */
export const inputTokensMaxOf = ({ request, input }: Plan, contextTokens: Tokens): Tokens =>
  request.kind === "embeddings" ? Math.min(input.max, contextTokens * request.prompt.texts.length) : Math.min(input.max, contextTokens);

/** The greatest charge that can be expected, rounded up; 0 where the payer has signed one. */
export function estimatedMaxFee(plan: Plan, feeBps: Bps): TokenAmount {
  if (!plan.priceMax) return 0n;
  const priced = pricedDown(inputTokensMaxOf(plan, plan.model.contextTokens), plan.maxOutTokens, { priceInPerMTok: plan.priceMax.in, priceOutPerMTok: plan.priceMax.out });
  return chargeDown(priced + 1n, feeBps) + 1n;
}

/** What the input alone costs at the cheapest listed price, as far as it is certain: an order below it would be worked for nothing. */
export function leastFee({ model, input, request }: Plan, feeBps: Bps): TokenAmount {
  return chargeDown(pricedDown(input.least, 0, priceOf(model, request.tier)), feeBps);
}

/** @throws context_length_exceeded where it is certain that prompt and answer do not fit. */
function outTokensOf(request: TaskRequest, model: FleetModel, input: InputCount): Tokens {
  const asked = request.maxOutTokens;
  if (input.least + (asked ?? 1) > model.contextTokens) throw contextExceeded(model.contextTokens, input.least, asked ?? 1, input.isExact);
  if (asked !== null) return asked;
  if (request.payment) return request.payment.order.maxOutTokens;
  return Math.max(1, Math.min(OUT_TOKENS_DEFAULT, model.contextTokens - input.expected));
}

/** A mere guess must not make a node seem too small for what it may well be able to read. */
function routedTokens(request: TaskRequest, model: FleetModel, input: InputCount, maxOutTokens: Tokens): Plan["routed"] {
  if (request.kind === "embeddings") return { inputTokens: Math.max(input.isExact ? Math.min(input.longest, input.expected) : 1, Math.min(input.expected, model.contextTokens)), maxOutTokens: 0 };
  const out = request.maxOutTokens ?? Math.min(maxOutTokens, Math.max(1, model.contextTokens - (input.isExact ? input.expected : 1)));
  return { inputTokens: input.isExact ? input.expected : Math.max(1, Math.min(input.expected, model.contextTokens - out)), maxOutTokens: out };
}

/** What the cheapest node takes for the tier now; nothing is known while none has attested. */
const priceOf = (model: FleetModel, tier: TierValue): Prices => pricesAtTide(model.base ?? { priceInPerMTok: 0n, priceOutPerMTok: 0n }, model.tideMultiplier, tier);

const priceMaxOf = (prices: Prices): Plan["priceMax"] => ({ in: prices.priceInPerMTok * PRICE_HEADROOM, out: prices.priceOutPerMTok * PRICE_HEADROOM });
