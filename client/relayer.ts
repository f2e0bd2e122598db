// The relayer's Tidelane endpoints as a payer uses them. Nothing that it says about money is believed; it is checked elsewhere.
import { z } from "zod";
import { hexOfLength, parse, structToJson } from "../protocol/json.ts";
import { infoFromJson, modelsFromJson, type RelayerInfo } from "../protocol/service.ts";
import { taskViewFromJson, type TaskView } from "../protocol/taskView.ts";
import { TidelaneError } from "../protocol/errors.ts";
import type { SpendingAuthorization } from "../protocol/generated/structs.ts";
import type { Hash, Hex, Seconds, Signature } from "../protocol/units.ts";
import type { Fetch } from "./ports.ts";
import type { ModelPrice, RequestKind } from "./quote.ts";

const TIMEOUT_MS = 15_000;
/** Opening a session waits for a transaction. */
const OPEN_TIMEOUT_MS = 120_000;

/** A model that can be paid for now. */
export interface PricedModel extends ModelPrice {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: "generate" | "embed";
}

export class RelayerClient {
  readonly url: string;
  readonly #fetch: Fetch;

  /** @param url origin of the relayer, with or without a trailing slash. */
  constructor(url: string, fetch: Fetch) {
    this.url = url.replace(/\/+$/, "");
    this.#fetch = fetch;
  }

  async info(): Promise<RelayerInfo> {
    return infoFromJson(await this.#json("/tidelane/v1/info"));
  }

  /** Models with a price at the moment. */
  async models(): Promise<readonly PricedModel[]> {
    return modelsFromJson(await this.#json("/v1/models")).flatMap(({ base, ...model }) => (base === null ? [] : [{ ...model, base }]));
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
export const modelNamed = (models: readonly PricedModel[], name: string, kind: RequestKind): PricedModel | null =>
  models.find((model) => (model.name === name || model.aliases.includes(name) || model.modelId === name) && (model.kind === "embed") === (kind === "embeddings")) ?? null;
