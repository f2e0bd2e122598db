// The relayer's Tidelane endpoints as a payer uses them. Nothing that it says about money is believed; it is checked elsewhere.
import { z } from "zod";
import { hexOfLength, parse, structToJson } from "../protocol/json.ts";
import { modelIdOf } from "../protocol/ids.ts";
import { taskViewFromJson, type TaskView } from "../protocol/taskView.ts";
import { InvalidValueError, TidelaneError } from "../protocol/errors.ts";
import type { Domain } from "../protocol/typedData.ts";
import type { SpendingAuthorization } from "../protocol/generated/structs.ts";
import type { Address, Bps, Hash, Hex, Seconds, Signature } from "../protocol/units.ts";
import type { Fetch } from "./ports.ts";
import type { ModelPrice, RequestKind } from "./quote.ts";

const TIMEOUT_MS = 15_000;
/** Opening a session waits for a transaction. */
const OPEN_TIMEOUT_MS = 120_000;

export interface RelayerInfo {
  readonly domain: Domain;
  readonly relayerId: number;
  readonly feeBps: Bps;
  readonly windowSeconds: Seconds;
  readonly payToken: Address;
}

export interface ListedModel extends ModelPrice {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: "generate" | "embed";
}

const amount = z.string().regex(/^(0|[1-9]\d{0,28})$/).transform((value) => BigInt(value));
const infoSchema = z.object({
  chainId: z.number().int().min(1), verifyingContract: z.string(), relayerId: z.number().int().min(1), feeBps: z.number().int().min(0).max(10_000),
  windowSeconds: z.number().int().min(1), payToken: z.string(),
});
const modelSchema = z.object({
  id: z.string().min(1).max(200),
  tidelane: z.object({
    modelId: z.string(), aliases: z.array(z.string()).max(64), kind: z.enum(["generate", "embed"]), contextTokens: z.number().int().min(1),
    priceInPerMTok: amount.nullable(), priceOutPerMTok: amount.nullable(),
  }),
});

export class RelayerClient {
  readonly url: string;
  readonly #fetch: Fetch;

  /** @param url origin of the relayer, with or without a trailing slash. */
  constructor(url: string, fetch: Fetch) {
    this.url = url.replace(/\/+$/, "");
    this.#fetch = fetch;
  }

  async info(): Promise<RelayerInfo> {
    const from = parse(infoSchema, await this.#json("/tidelane/v1/info"), "info");
    return {
      domain: { chainId: from.chainId, verifyingContract: hexOfLength(from.verifyingContract, 20, "info.verifyingContract") },
      relayerId: from.relayerId, feeBps: from.feeBps, windowSeconds: from.windowSeconds, payToken: hexOfLength(from.payToken, 20, "info.payToken"),
    };
  }

  /** Models with a price at the moment; their ids are checked against their names. */
  async models(): Promise<readonly ListedModel[]> {
    const list = parse(z.object({ data: z.array(modelSchema).max(10_000) }), await this.#json("/v1/models"), "models");
    return list.data.flatMap(({ id, tidelane }) => {
      if (modelIdOf(id) !== tidelane.modelId) throw new InvalidValueError(`models.${id}`, "the modelId that is the hash of the name");
      if (tidelane.priceInPerMTok === null || tidelane.priceOutPerMTok === null) return [];
      return [{ ...tidelane, modelId: modelIdOf(id), name: id, priceInPerMTok: tidelane.priceInPerMTok, priceOutPerMTok: tidelane.priceOutPerMTok }];
    });
  }

  /** @returns null where the relayer does not know the task. */
  async receipt(taskId: Hash): Promise<TaskView | null> {
    const response = await this.#get(`/tidelane/v1/receipts/${taskId}`);
    if (response.status === 404) return null;
    return taskViewFromJson(await jsonOf(response));
  }

  /** Hands over a signed authorization; the relayer opens the session and pays the gas. */
  async register(authorization: SpendingAuthorization, signature: Hex): Promise<{ readonly sessionId: Hash; readonly apiKey: string | null }> {
    const body = { authorization: structToJson("SpendingAuthorization", authorization), signature };
    const from = parse(z.object({ sessionId: z.string(), apiKey: z.string().nullish() }), await this.#json("/tidelane/v1/sessions", body, OPEN_TIMEOUT_MS), "session");
    return { sessionId: hexOfLength(from.sessionId, 32, "session.sessionId"), apiKey: from.apiKey ?? null };
  }

  /** A further API key for an ALLOWANCE session; the signature is its session key's. */
  async issueKey(sessionId: Hash, issuedAt: Seconds, signature: Signature): Promise<string> {
    return parse(z.object({ apiKey: z.string() }), await this.#json(`/tidelane/v1/sessions/${sessionId}/keys`, { issuedAt, signature }), "key").apiKey;
  }

  /** What the relayer says about a session: for showing, not for trusting. */
  async session(sessionId: Hash): Promise<Record<string, unknown>> {
    return parse(z.record(z.string(), z.unknown()), await this.#json(`/tidelane/v1/sessions/${sessionId}`), "session");
  }

  async #json(path: string, body?: unknown, timeoutMs = TIMEOUT_MS): Promise<unknown> {
    return jsonOf(await this.#get(path, body, timeoutMs));
  }

  async #get(path: string, body?: unknown, timeoutMs = TIMEOUT_MS): Promise<Response> {
    try {
      return await this.#fetch(`${this.url}${path}`, {
        ...(body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (error) {
      throw unreachable(this.url, error);
    }
  }
}

export const unreachable = (url: string, cause: unknown): TidelaneError =>
  new TidelaneError(`The relayer at ${url} cannot be reached. Check the address and that it runs, then try again.`, { code: "relayer_unreachable", retryable: true, details: { url }, cause });

/** @throws the relayer's own error (problem+json or OpenAI's object) under its code, or `relayer_answer_invalid`. */
async function jsonOf(response: Response): Promise<unknown> {
  let json: unknown;
  try {
    json = await response.json();
  } catch (error) {
    throw new TidelaneError(`The relayer answered ${response.status} with something that is not JSON.`, { code: "relayer_answer_invalid", retryable: response.status >= 500, cause: error });
  }
  if (response.ok) return json;
  const { code, message } = errorOf(json);
  throw new TidelaneError(message ?? `The relayer answered ${response.status}.`, { code: code ?? "relayer_refused", retryable: response.status >= 500 || response.status === 429, details: { status: response.status } });
}

const problemSchema = z.object({ code: z.string().optional(), detail: z.string().optional(), title: z.string().optional() });
const openAiSchema = z.object({ error: z.object({ code: z.string().nullish(), message: z.string() }) });

/** @returns code and message of an error body, RFC 9457 or OpenAI's. */
export function errorOf(json: unknown): { readonly code: string | null; readonly message: string | null } {
  const openAi = openAiSchema.safeParse(json);
  if (openAi.success) return { code: openAi.data.error.code ?? null, message: openAi.data.error.message };
  const problem = problemSchema.safeParse(json);
  return problem.success ? { code: problem.data.code ?? null, message: problem.data.detail ?? problem.data.title ?? null } : { code: null, message: null };
}

/** @returns the model that a request names, by name or alias, for its kind. */
export const modelNamed = (models: readonly ListedModel[], name: string, kind: RequestKind): ListedModel | null =>
  models.find((model) => (model.name === name || model.aliases.includes(name) || model.modelId === name) && (model.kind === "embed") === (kind === "embeddings")) ?? null;
