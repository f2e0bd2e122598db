// What the payer itself refuses, said in the form that OpenAI clients understand. One table from code to status.
import type { TidelaneError } from "../protocol/errors.ts";

const statuses: Readonly<Record<string, number>> = {
  invalid_value: 400, invalid_json: 400, wrong_relayer: 400, model_not_found: 404, route_not_found: 404, method_not_allowed: 405, body_too_large: 413,
  budget_exhausted: 402, order_above_maximum: 402, session_expired: 402, relayer_distrusted: 403, forbidden_origin: 403, forbidden_host: 403, wrong_proxy_key: 401,
  too_many_orders: 429, relayer_unreachable: 502, relayer_answer_invalid: 502, chain_unreachable: 503,
};

export function statusOf(error: TidelaneError): number {
  return statuses[error.code] ?? (error.retryable ? 503 : 400);
}

/** OpenAI's error object, with Tidelane's details beside it. */
export function errorBody(error: TidelaneError): Record<string, unknown> {
  const status = statusOf(error);
  const type = status === 401 || status === 403 ? "permission_error" : status === 402 || status === 429 ? "insufficient_quota" : status >= 500 ? "server_error" : "invalid_request_error";
  return { error: { message: error.message, type, code: error.code, param: null, details: error.details } };
}

/** Headers of such an answer: `x-should-retry` keeps OpenAI's clients from repeating what cannot help. */
export const errorHeaders = (error: TidelaneError): Record<string, string> =>
  ({ "content-type": "application/json", "x-should-retry": String(error.retryable), "x-tidelane-refused-by": "payer" });

export const errorResponse = (error: TidelaneError): Response =>
  new Response(JSON.stringify(errorBody(error)), { status: statusOf(error), headers: errorHeaders(error) });
