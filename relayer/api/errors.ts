// The one table from error codes to HTTP, and the two forms in which an error is told: OpenAI's object and problem+json.
import type { ErrorRequestHandler, Request, Response } from "express";
import { InvalidValueError, TidelaneError } from "../../protocol/errors.ts";
import type { Log } from "../ports/world.ts";

type ErrorType = "invalid_request_error" | "authentication_error" | "permission_error" | "insufficient_quota" | "rate_limit_error" | "server_error";

interface Said {
  readonly status: number;
  readonly type: ErrorType;
}

const invalid = (status: number): Said => ({ status, type: "invalid_request_error" });
const server = (status: number): Said => ({ status, type: "server_error" });
const unpaid = (status = 402): Said => ({ status, type: "insufficient_quota" });
const unauthenticated: Said = { status: 401, type: "authentication_error" };

const TABLE: Readonly<Record<string, Said>> = {
  // The request itself.
  invalid_value: invalid(400), invalid_json: invalid(400), invalid_utf8: invalid(400), json_too_deep: invalid(400), invalid_request: invalid(400),
  body_too_large: invalid(413), unsupported_media_type: invalid(415), request_aborted: invalid(400), request_timeout: invalid(408),
  route_not_found: invalid(404), method_not_allowed: invalid(405),
  model_not_found: invalid(404), wrong_model_kind: invalid(400), context_length_exceeded: invalid(400), unsupported_parameter: invalid(400), input_refused: invalid(400),
  invalid_idempotency_key: invalid(400), idempotency_key_reused: invalid(422), idempotency_in_flight: invalid(409),
  not_found: invalid(404), unknown_task: invalid(404), unknown_batch: invalid(404), response_lost: invalid(410),
  // Who asks and who pays.
  missing_key: unauthenticated, unknown_key: unauthenticated, wrong_key: unauthenticated,
  unknown_session: invalid(404), invalid_payment: invalid(400), invalid_authorization: invalid(400), authorization_rejected: invalid(400),
  order_expired: invalid(400), order_replayed: invalid(409), nonce_taken: invalid(409), order_above_maximum: unpaid(), order_below_price: unpaid(), fee_above_maximum: unpaid(), lock_too_small: unpaid(), price_above_maximum: unpaid(),
  unopened_session: unpaid(), session_expired: unpaid(), session_not_yet_valid: unpaid(), session_closing: unpaid(),
  voucher_cap_too_low: unpaid(), too_many_orders: unpaid(429), orders_elsewhere: unpaid(429), insufficient_escrow: unpaid(), payment_refused: unpaid(), allowance_exhausted: unpaid(429),
  // Whether it can be done now.
  saturated: { status: 429, type: "rate_limit_error" }, no_node: server(503), overloaded: server(503), shutting_down: server(503), too_many_requests: { status: 429, type: "rate_limit_error" },
  too_many_openings: { status: 429, type: "rate_limit_error" }, no_seed: server(503), journal_corrupt: server(500),
  journal_unavailable: server(503), chain_unreachable: server(503), generation_failed: server(502), deadline_exceeded: server(504), stream_interrupted: server(502), internal_error: server(500),
};

/** A code that the table does not know is the server's fault; a test reads the sources for codes that are missing here. */
export const saidOf = (error: TidelaneError): Said =>
  TABLE[error.code] ?? (error instanceof InvalidValueError ? invalid(400) : server(error.retryable ? 503 : 500));

/** What was thrown as something that may be told: what nobody foresaw is logged, and nothing of it leaves. */
export function tellable(error: unknown, log: Log, requestId: string): TidelaneError {
  if (error instanceof TidelaneError) return error;
  const foreseen = fromExpress(error);
  if (foreseen) return foreseen;
  log.error({ requestId, err: error }, "an unforeseen error");
  return new TidelaneError(`The relayer failed; its log names request ${requestId}.`, { code: "internal_error", retryable: true });
}

export interface OpenAiError {
  readonly error: { readonly message: string; readonly type: ErrorType; readonly param: string | null; readonly code: string; readonly details?: TidelaneError["details"] };
}

/** OpenAI's error object; Tidelane's values at fault stand beside it as `details`. */
export function openAiError(error: TidelaneError): OpenAiError {
  const { message, code, details } = error;
  const param = details.parameter ?? details.path;
  return {
    error: { message, type: saidOf(error).type, param: typeof param === "string" ? param.replace(/^body\./, "") : null, code, ...(Object.keys(details).length > 0 ? { details } : {}) },
  };
}

/** RFC 9457. */
export const problemOf = (error: TidelaneError): Record<string, unknown> =>
  ({ type: "about:blank", title: error.code.replaceAll("_", " "), status: saidOf(error).status, detail: error.message, code: error.code, details: error.details });

/** Status, headers and body of an error, in the form of the part of the API that was asked. */
export function sendError(request: Request, response: Response, error: TidelaneError): void {
  const { status } = saidOf(error);
  response.status(status).set("x-should-retry", String(error.retryable));
  const waitMs = error.details.retryAfterMs;
  if (typeof waitMs === "number") response.set({ "retry-after": String(Math.ceil(waitMs / 1_000)), "retry-after-ms": String(Math.ceil(waitMs)) });
  else if (error.retryable && (status === 429 || status === 503)) response.set("retry-after", "1");
  if (status === 401) response.set("www-authenticate", 'Bearer realm="tidelane"');
  if (status === 429) response.set({ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": `${typeof waitMs === "number" ? Math.ceil(waitMs) : 1_000}ms` });
  // What was not read of a refused body would be taken for the next request.
  if (!request.complete && hasBody(request)) response.set("connection", "close");
  if (request.path.startsWith("/tidelane/")) response.type("application/problem+json").send(JSON.stringify(problemOf(error)));
  else response.json(openAiError(error));
}

const hasBody = ({ headers }: Request): boolean => headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";

/** The last middleware. An error after the headers have left has been told by whoever streams; here the connection is only ended. */
export const errorHandler = (log: Log): ErrorRequestHandler => (error: unknown, request, response, _next) => {
  const told = tellable(error, log, String(response.getHeader("x-request-id") ?? ""));
  if (response.headersSent) return void response.destroy();
  sendError(request, response, told);
};

/** Errors of express and its body reader, which carry a `type` or a status of their own. */
function fromExpress(error: unknown): TidelaneError | null {
  if (typeof error !== "object" || error === null) return null;
  const { type, status } = error as { type?: unknown; status?: unknown };
  switch (type) {
    case "entity.too.large": return new TidelaneError("The body exceeds 1 MiB.", { code: "body_too_large" });
    case "encoding.unsupported": return new TidelaneError("Send the body without content-encoding: the payer's commitment covers its very bytes.", { code: "unsupported_media_type" });
    case "request.aborted": case "request.size.invalid": return new TidelaneError("The body ended early.", { code: "request_aborted" });
    default: return status === 400 ? new TidelaneError("The request's address is malformed.", { code: "invalid_request" }) : null;
  }
}
