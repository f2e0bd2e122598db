// What a client is told when a task cannot be done: one place that turns the fleet's and the attempts' reasons into typed errors.
import { TidelaneError } from "../../protocol/errors.ts";
import type { Refusal } from "../lobby/lobby.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";
import type { AttemptFailed } from "./attempt.ts";
import type { Unavailable, UnavailableReason } from "./routingRequest.ts";

const CODES: Readonly<Record<UnavailableReason, string>> = {
  unknown_model: "model_not_found", no_node: "no_node", saturated: "saturated", unsupported: "unsupported_parameter",
  context: "context_length_exceeded", price: "price_above_maximum",
};

/** @returns `retryAfterMs` in the details where waiting helps. */
export function unavailableError(reason: Unavailable): TidelaneError {
  const canWait = reason.retryAfterMs > 0;
  return new TidelaneError(reason.detail, { code: CODES[reason.reason], retryable: canWait, details: canWait ? { retryAfterMs: reason.retryAfterMs } : {} });
}

const WHY: Readonly<Record<Refusal, string>> = {
  lobby_full: "The lobby is full.", payer_full: "Too many requests of this payer are waiting.", too_late: "No node can start it in time.",
  thinned: "More is asked for than the nodes can do, and this request is among those turned away.", wait_too_long: "The wait would be longer than the request allows.",
};

/** Turned away at the door, or when its time was over: why, how long a wait would be, and what would help. */
export function cannotWait(reason: Refusal, retryAfterMs: Millis, expectedWaitMs: Millis, waitMsMax: Millis): TidelaneError {
  const seconds = Math.max(1, Math.ceil(expectedWaitMs / 1_000));
  const help = reason === "lobby_full" || reason === "payer_full" ? "Try again later." : `Send x-tidelane-wait: ${2 * seconds} to wait in line, service_tier flex where it may take longer, or try again later.`;
  return new TidelaneError(`${WHY[reason]} About ${seconds} s of wait are expected; the request allows ${Math.floor(waitMsMax / 1_000)} s. ${help}`, {
    code: "saturated", retryable: true, details: { reason, retryAfterMs, expectedWaitMs: Math.ceil(expectedWaitMs), waitMsMax },
  });
}

/** The relayer itself has too much to do. */
export const overloaded = (isDeferrable: boolean, retryAfterMs: Millis): TidelaneError =>
  new TidelaneError(`This relayer has more to do than it can, and takes no ${isDeferrable ? "flex" : "new"} requests for the moment. Try again later, or at another relayer.`, { code: "overloaded", retryable: true, details: { retryAfterMs } });

export const goneWhileWaiting = (): TidelaneError => new TidelaneError("The client has gone before its turn came. Nothing was charged.", { code: "request_aborted" });

export const deadlineWhileWaiting = (): TidelaneError =>
  new TidelaneError("The order's deadline passed while the request waited for a node. Nothing was charged; sign an order that is good for longer.", { code: "deadline_exceeded", retryable: true });

export const modelNotFound = (name: string): TidelaneError =>
  new TidelaneError(`The model ${JSON.stringify(name.slice(0, 200))} is not served here; GET /v1/models lists those that are.`, { code: "model_not_found", details: { parameter: "model" } });

export const wrongModelKind = (name: string, kind: "generate" | "embed"): TidelaneError =>
  new TidelaneError(`${name} ${kind === "embed" ? "makes embeddings: use /v1/embeddings" : "generates text: use /v1/chat/completions or /v1/completions"}.`, { code: "wrong_model_kind" });

/** @param isExact false where the prompt's tokens are only known to be so many at least */
export const contextExceeded = (contextTokens: Tokens, inputTokens: Tokens, outTokens: Tokens, isExact: boolean): TidelaneError =>
  new TidelaneError(
    `This model's context window is ${contextTokens} tokens; the request needs ${isExact ? "" : "at least "}${inputTokens + outTokens} (${inputTokens} in the prompt, ${outTokens} for the answer). Shorten the prompt or lower max_tokens.`,
    { code: "context_length_exceeded", details: { contextTokens, inputTokens, outTokens } },
  );

export const unsupported = (names: readonly string[], model: string): TidelaneError =>
  new TidelaneError(`No node that serves ${model} supports ${names.join(", ")}. Leave ${names.length === 1 ? "it" : "them"} out.`, { code: "unsupported_parameter", details: { parameter: names[0] ?? null } });

export const shuttingDown = (): TidelaneError =>
  new TidelaneError("This relayer is shutting down and takes no new work; try again in a moment.", { code: "shutting_down", retryable: true, details: { retryAfterMs: 2_000 } });

export const noSeed = (epoch: number): TidelaneError => new TidelaneError(
  "No routing seed may be used in this epoch: none is committed yet, or the journal does not know yet that this process works in it. Try again shortly.",
  { code: "no_seed", retryable: true, details: { epoch } });

export const isNoSeed = (error: unknown): boolean => error instanceof TidelaneError && error.code === "no_seed";

/** After the last attempt, nothing having been delivered. Nothing was charged. */
export function attemptsFailed(last: AttemptFailed, attempts: number): TidelaneError {
  const details = { reason: last.code, attempts };
  if (last.code === "refused_input") return new TidelaneError("The nodes refused the request: prompt and answer exceed the context window, or a parameter is not supported.", { code: "input_refused", details, cause: last });
  if (last.code === "refused_unpaid") return new TidelaneError("The nodes do not see this order covered on chain; check the session's lock and the voucher.", { code: "payment_refused", details, cause: last });
  if (last.code === "deadline_exceeded") return new TidelaneError("The order's deadline passed before the answer began; allow more time.", { code: "deadline_exceeded", details, cause: last });
  if (last.outcome === "refused_full") return new TidelaneError("Every node that was asked is working at its limit.", { code: "saturated", retryable: true, details: { ...details, retryAfterMs: 1_000 }, cause: last });
  return new TidelaneError(`No answer came: ${attempts} ${attempts === 1 ? "attempt" : "attempts"} failed, the last with ${last.code}. Nothing was charged.`, { code: "generation_failed", retryable: true, details, cause: last });
}

/** After the first output has left. What was delivered stays with the client and is not charged. */
export const interrupted = (failure: AttemptFailed, deliveredTokens: Tokens): TidelaneError =>
  new TidelaneError(`The answer broke off after ${deliveredTokens} tokens (${failure.code}). Nothing was charged; ask again for a whole answer.`, {
    code: "stream_interrupted", retryable: true, details: { reason: failure.code, deliveredTokens }, cause: failure,
  });

/** Half a list of embeddings is no answer; a text that was cut is, and says so by its finish_reason. */
export const deadlineExceeded = (): TidelaneError =>
  new TidelaneError("The order's deadline passed before all embeddings were made; ask for fewer, or allow more time.", { code: "deadline_exceeded" });
