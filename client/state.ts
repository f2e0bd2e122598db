// What a payer keeps of one session between runs: the authorization, the session key, and its own count.
import { z } from "zod";
import { hexOfLength, parse, structFromJson, structToJson } from "../protocol/json.ts";
import { InvalidValueError, TidelaneError } from "../protocol/errors.ts";
import type { SpendingAuthorization } from "../protocol/generated/structs.ts";
import type { Domain } from "../protocol/typedData.ts";
import type { Hex, TokenAmount } from "../protocol/units.ts";
import type { OpenOrder } from "./tally.ts";

export interface PayerState {
  /** Origin of the relayer, without a trailing slash. */
  readonly relayerUrl: string;
  readonly domain: Domain;
  readonly authorization: SpendingAuthorization;
  /** The owner's, over the authorization; opens the session. */
  readonly authorizationSignature: Hex;
  /** Signs orders inside the session's limits, nothing else. */
  readonly sessionPrivateKey: Hex;
  readonly nextNonce: bigint;
  readonly charged: TokenAmount;
  readonly orders: readonly OpenOrder[];
  /** Why nothing more is signed for this relayer; null while all is well. */
  readonly distrust: string | null;
}

const FORMAT = "tidelane-payer/1";
const whole = z.string().regex(/^(0|[1-9]\d{0,77})$/).transform((value) => BigInt(value));
const schema = z.object({
  format: z.string(), relayerUrl: z.string().url(), chainId: z.number().int().min(1), verifyingContract: z.string(), authorization: z.unknown(),
  authorizationSignature: z.string().regex(/^0x([0-9a-f]{2})*$/), sessionPrivateKey: z.string(), nextNonce: whole, charged: whole,
  orders: z.array(z.object({ taskId: z.string(), maxFee: whole, deadline: z.number().int() })), distrust: z.string().nullable(),
});

export function stateToText(state: PayerState): string {
  return `${JSON.stringify({
    format: FORMAT, relayerUrl: state.relayerUrl, chainId: state.domain.chainId, verifyingContract: state.domain.verifyingContract,
    authorization: structToJson("SpendingAuthorization", state.authorization), authorizationSignature: state.authorizationSignature,
    sessionPrivateKey: state.sessionPrivateKey, nextNonce: String(state.nextNonce), charged: String(state.charged),
    orders: state.orders.map((order) => ({ ...order, maxFee: String(order.maxFee) })), distrust: state.distrust,
  }, null, 1)}\n`;
}

/** @throws `invalid_state` (the text is no state), or `state_of_other_version`. */
export function stateFromText(text: string): PayerState {
  try {
    const json: unknown = JSON.parse(text);
    const from = parse(schema, json, "state");
    if (from.format !== FORMAT) {
      throw new TidelaneError(`The session's file is of the form ${from.format}; this version reads ${FORMAT}. Use the version that wrote it, or open a new session.`, { code: "state_of_other_version" });
    }
    return {
      relayerUrl: from.relayerUrl, domain: { chainId: from.chainId, verifyingContract: hexOfLength(from.verifyingContract, 20, "state.verifyingContract") },
      authorization: structFromJson("SpendingAuthorization", from.authorization, "state.authorization"), authorizationSignature: from.authorizationSignature as Hex,
      sessionPrivateKey: hexOfLength(from.sessionPrivateKey, 32, "state.sessionPrivateKey"), nextNonce: from.nextNonce, charged: from.charged,
      orders: from.orders.map((order, i) => ({ ...order, taskId: hexOfLength(order.taskId, 32, `state.orders[${i}].taskId`) })), distrust: from.distrust,
    };
  } catch (error) {
    if (error instanceof TidelaneError && !(error instanceof InvalidValueError)) throw error;
    throw new TidelaneError("The session's file cannot be read; restore it from a copy, or open a new session.", { code: "invalid_state", cause: error });
  }
}
