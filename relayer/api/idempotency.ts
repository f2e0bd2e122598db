// `Idempotency-Key`: the same key and body give the same answer, once paid for.
//
//   first ─▶ claimed ─▶ answered ─▶ kept: replayed for the same body, refused (422) for another one
//                   └─▶ failed   ─▶ freed: nothing was charged, the next one is a first again
//   while claimed ─▶ 409
//
// A claim is renewed while its process works on the answer, however long that takes; see claims.ts.
// A streamed answer is kept as its events and replayed at once. One that was cut short because its client left is not kept.
import type { Request, Response } from "express";
import { digest } from "../../protocol/typedData.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Payment } from "../../protocol/payment.ts";
import type { Hash, Millis } from "../../protocol/units.ts";
import type { ApiServices } from "./services.ts";
import { SSE_HEADERS } from "./sse.ts";

const HEADER = "idempotency-key";
const KEY_CHARS_MAX = 255;
/** A longer answer is not kept; then the key is freed, and asking again costs again. */
export const KEPT_BYTES_MAX = 1_048_576;
/** What is kept of a stream while the relayer itself is short of room. */
export const KEPT_BYTES_LEAN = 65_536;

/** With the journal away no claim is renewed, and one counts for a quarter of an hour: whoever waits under a key must be done before it is anybody's again, and an answer takes minutes. */
export const KEYED_WAIT_MS_MAX: Millis = 300_000;

interface Kept {
  readonly headers: Readonly<Record<string, string>>;
  readonly isStream: boolean;
  readonly body: string;
}

/** One claimed key; exactly one of `keep` and `free` is called. */
export interface Claim {
  /** @param body JSON text, or the stream's events; null where it is not to be kept */
  keep(response: Response, body: string | null, isStream: boolean): Promise<void>;
  free(): Promise<void>;
}

const UNCLAIMED: Claim = { keep: async () => {}, free: async () => {} };

/**
 * @returns the claim of a first request, or null where the kept answer was sent.
 * @throws invalid_idempotency_key, idempotency_key_reused, idempotency_in_flight, journal_unavailable
 */
export async function claimKey(services: ApiServices, request: Request, response: Response, asker: { payment: Payment | null; apiKey: string | null }): Promise<Claim | null> {
  const key = request.headers[HEADER];
  if (key === undefined) return UNCLAIMED;
  if (typeof key !== "string" || key === "" || key.length > KEY_CHARS_MAX || !/^[\x21-\x7e]+$/.test(key)) {
    throw new TidelaneError(`Idempotency-Key must be 1 to ${KEY_CHARS_MAX} visible characters.`, { code: "invalid_idempotency_key" });
  }
  const { journal, clock, crypto, log } = services;
  const scope = await scopeOf(services, asker);
  if (scope === null) return UNCLAIMED;
  const requestHash = crypto.keccak256(hexOf(Buffer.concat([Buffer.from(`${request.path}\n`), request.body as Buffer])));
  const earlier = await journal.claimIdempotency(scope, key, requestHash, clock.nowMs());
  if (earlier) {
    if (earlier.requestHash !== requestHash) throw new TidelaneError("This Idempotency-Key was used with another request; use a new key.", { code: "idempotency_key_reused" });
    if (earlier.response === null) throw new TidelaneError("The first request with this Idempotency-Key is still running.", { code: "idempotency_in_flight", retryable: true });
    replay(response, JSON.parse(earlier.response) as Kept);
    return null;
  }
  const letGo = services.claims.hold(scope, key);
  const complete = (kept: string | null): Promise<void> => journal.completeIdempotency(scope, key, kept).catch((error: Error) => {
    log.warn({ error: error.message }, "an idempotency key could not be kept; its claim expires");
  }).finally(letGo);
  return {
    keep: (answered, body, isStream) => complete(body === null || body.length > KEPT_BYTES_MAX ? null : JSON.stringify({ headers: tidelaneHeaders(answered), isStream, body } satisfies Kept)),
    free: () => complete(null),
  };
}

/**
 * Whose key it is. With a payment it is whoever signed the voucher: a session's id is public, and naming it must not be enough
 * to be handed somebody's kept answer. Null where nobody can be named; the request fails for that by itself.
 */
async function scopeOf({ crypto, deployment }: ApiServices, { payment, apiKey }: { payment: Payment | null; apiKey: string | null }): Promise<Hash | null> {
  if (!payment) return apiKey === null ? null : crypto.keccak256(hexOf(Buffer.from(`key:${apiKey}`)));
  const signer = await crypto.recover(digest(deployment.domain, "Voucher", payment.voucher, crypto.keccak256), payment.voucherSignature);
  return signer && crypto.keccak256(hexOf(Buffer.from(`voucher:${signer}:${payment.order.sessionId}`)));
}

function replay(response: Response, kept: Kept): void {
  response.status(200).set({ ...kept.headers, "idempotent-replayed": "true", ...(kept.isStream ? SSE_HEADERS : { "content-type": "application/json; charset=utf-8" }) });
  response.end(kept.body);
}

const tidelaneHeaders = (response: Response): Record<string, string> =>
  Object.fromEntries(Object.entries(response.getHeaders()).filter(([name]) => name.startsWith("x-tidelane-")).map(([name, value]) => [name, String(value)]));

const hexOf = (bytes: Buffer): Hash => `0x${bytes.toString("hex")}`;
