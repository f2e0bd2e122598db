// How a payer's signed order travels with an unmodified OpenAI request, and what the relayer answers beside OpenAI's fields.
import { bytesToString, hashMessage, hexToBytes, stringToHex } from "viem/utils";
import { z } from "zod";
import { hexOfLength, parse, structFromJson, structToJson } from "./json.ts";
import { signatureFromJson } from "./records.ts";
import { InvalidValueError } from "./errors.ts";
import type { TaskOrder, Voucher } from "./generated/structs.ts";
import type { Domain } from "./typedData.ts";
import type { Hash, Seconds, Signature } from "./units.ts";

/** Request header in VOUCHER mode: base64url of the payment's JSON. In ALLOWANCE mode `Authorization: Bearer tl_...` is all. */
export const PAYMENT_HEADER = "x-tidelane-payment";
export const PAYMENT_HEADER_BYTES_MAX = 8_192;

/** Response headers. Amounts are decimal strings in the pay token's smallest unit. */
export const ResponseHeader = {
  task: "x-tidelane-task",
  /** Of the last attempt. */
  node: "x-tidelane-node",
  session: "x-tidelane-session",
  /** `voucher` or `allowance`. */
  mode: "x-tidelane-mode",
  /** What this session could at most still be charged, unsettled charges and reservations taken off. */
  exposure: "x-tidelane-exposure",
} as const;

export const API_KEY_PREFIX = "tl_";

/** What the session key signs (EIP-191) to be given an API key for an ALLOWANCE session; wallets show the text. */
export const apiKeyRequestDigest = (domain: Domain, relayerId: number, sessionId: Hash, issuedAt: Seconds): Hash => hashMessage([
  "Tidelane API key", `chain ${domain.chainId}`, `contract ${domain.verifyingContract}`, `relayer ${relayerId}`, `session ${sessionId}`, `at ${issuedAt}`,
].join("\n")).toLowerCase() as Hash;

/** promptCommit = keccak256(promptSalt || the request body's bytes as sent). */
export interface Payment {
  readonly order: TaskOrder;
  readonly voucher: Voucher;
  readonly voucherSignature: Signature;
  readonly promptSalt: Hash;
}

export function paymentToHeader(payment: Payment): string {
  const json = JSON.stringify({
    order: structToJson("TaskOrder", payment.order), voucher: structToJson("Voucher", payment.voucher),
    voucherSignature: payment.voucherSignature, promptSalt: payment.promptSalt,
  });
  return base64url(json);
}

/** @throws InvalidValueError */
export function paymentFromHeader(header: string): Payment {
  if (header.length > PAYMENT_HEADER_BYTES_MAX) throw new InvalidValueError(PAYMENT_HEADER, `at most ${PAYMENT_HEADER_BYTES_MAX} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(fromBase64url(header));
  } catch {
    throw new InvalidValueError(PAYMENT_HEADER, "base64url of JSON");
  }
  const from = parse(z.object({ order: z.unknown(), voucher: z.unknown(), voucherSignature: z.unknown(), promptSalt: z.unknown() }), json, PAYMENT_HEADER);
  return {
    order: structFromJson("TaskOrder", from.order, "order"), voucher: structFromJson("Voucher", from.voucher, "voucher"),
    voucherSignature: signatureFromJson(from.voucherSignature, "voucherSignature"), promptSalt: hexOfLength(from.promptSalt, 32, "promptSalt"),
  };
}

/** Stands as `tidelane` beside OpenAI's `usage` in bodies and in the last chunk of a stream. */
export interface Cost {
  readonly task: Hash;
  readonly node: number;
  /** The node's fee, the payer's whole charge. */
  readonly fee: string;
  readonly charge: string;
  readonly receipt: Hash;
}

const base64url = (text: string): string => btoa(String.fromCharCode(...hexToBytes(stringToHex(text)))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const fromBase64url = (text: string): string => bytesToString(Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0)));
