// Whether what a payer signed fits a request, an authorization fits this relayer, and a session takes orders now.
import { Mode, type TierValue } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { checkCover, type CoveredOrder } from "../../protocol/records.ts";
import type { SpendingAuthorization } from "../../protocol/generated/structs.ts";
import type { Bps, Hash, Hex, Seconds, TokenAmount } from "../../protocol/units.ts";
import type { ChainSession } from "../ports/chain.ts";

/** An order that may be used for longer could be replayed for longer after the journal was lost. */
const ORDER_SECONDS_MAX = 24 * 3_600;

export interface OrderedRequest {
  readonly modelId: Hash;
  readonly tier: TierValue;
  readonly maxOutTokens: number;
  readonly promptCommit: Hash;
  readonly nowSeconds: Seconds;
}

/** The order, its voucher and the authorization against each other and against the request. @throws the codes of Sessions.cover */
export function requireOrderFits(covered: CoveredOrder, request: OrderedRequest): void {
  const { order, authorization } = covered;
  if (order.maxFee > authorization.maxPerTask) {
    throw new TidelaneError(`The order's maxFee ${order.maxFee} exceeds the session's maxPerTask ${authorization.maxPerTask}.`, {
      code: "order_above_maximum", details: { maxFee: String(order.maxFee), maxPerTask: String(authorization.maxPerTask) },
    });
  }
  if (order.deadline <= request.nowSeconds) throw new TidelaneError("The order's deadline has passed; sign a new one.", { code: "order_expired", details: { deadline: order.deadline } });
  const problems = [
    ...checkCover(covered),
    ...(order.deadline > request.nowSeconds + ORDER_SECONDS_MAX ? [`the order's deadline is more than ${ORDER_SECONDS_MAX} s ahead`] : []),
    ...(order.modelId !== request.modelId ? ["the order is for another model than the request"] : []),
    ...(order.tier !== request.tier ? ["the order is for another service tier than the request"] : []),
    ...(order.maxOutTokens < request.maxOutTokens ? [`the order allows ${order.maxOutTokens} output tokens, the request may produce ${request.maxOutTokens}`] : []),
    ...(order.promptCommit !== request.promptCommit ? ["the order's promptCommit is not that of the request's bytes with its salt"] : []),
  ];
  if (problems.length > 0) throw new TidelaneError(`The payment does not fit: ${problems.join("; ")}.`, { code: "invalid_payment", details: { problems: problems.join("; ") } });
}

/** A share bounds what a node earns, so an order of one unit would have any prompt read for one unit. @throws order_below_price */
export function requirePaysInput(maxFee: TokenAmount, leastFee: TokenAmount): void {
  if (maxFee >= leastFee) return;
  throw new TidelaneError(`The order allows ${maxFee}; reading this request alone costs ${leastFee}. Allow more for it.`, {
    code: "order_below_price", details: { maxFee: String(maxFee), needed: String(leastFee) },
  });
}

/** @throws unopened_session, session_closing, session_expired, session_not_yet_valid */
export function requireTakesOrders(reading: ChainSession | null, authorization: SpendingAuthorization, nowSeconds: Seconds): void {
  if (nowSeconds >= authorization.validUntil) throw new TidelaneError("The session has expired; open a new one.", { code: "session_expired", details: { validUntil: authorization.validUntil } });
  if (nowSeconds < authorization.validAfter) {
    throw new TidelaneError("The session is not valid yet.", { code: "session_not_yet_valid", retryable: true, details: { validAfter: authorization.validAfter } });
  }
  if (!reading) throw new TidelaneError("The session is not open on the chain; register its authorization again.", { code: "unopened_session" });
  if (reading.state !== "open") throw new TidelaneError(`The session is ${reading.state}: it takes no new orders. Open a new one.`, { code: "session_closing", details: { state: reading.state } });
}

/** @throws fee_above_maximum */
export function requireFeeAllowed(authorization: SpendingAuthorization, feeBps: Bps): void {
  if (feeBps <= authorization.maxFeeBps) return;
  throw new TidelaneError(`This relayer's fee is ${feeBps} bps; the session allows ${authorization.maxFeeBps}.`, {
    code: "fee_above_maximum", details: { feeBps, maxFeeBps: authorization.maxFeeBps },
  });
}

/** What this relayer can tell before it pays gas for an authorization; the contract checks the rest. @throws invalid_authorization, fee_above_maximum */
export function requireAuthorizationFits(authorization: SpendingAuthorization, signature: Hex, relayer: { readonly relayerId: number; readonly feeBps: Bps }, nowSeconds: Seconds): void {
  const known: readonly number[] = [Mode.VOUCHER, Mode.ALLOWANCE];
  const problems = [
    ...(authorization.relayerId !== relayer.relayerId ? [`it is for relayer ${authorization.relayerId}; this is relayer ${relayer.relayerId}`] : []),
    ...(known.includes(authorization.mode) ? [] : [`mode ${authorization.mode} is none`]),
    ...(authorization.validUntil <= nowSeconds ? ["it has expired"] : []),
    ...(authorization.maxTotal === 0n || authorization.maxPerTask === 0n || authorization.lock === 0n ? ["it allows nothing"] : []),
    ...(/^0x(?:[0-9a-f]{2}){1,4096}$/i.test(signature) ? [] : ["its signature is not hex of 1 to 4,096 bytes"]),
  ];
  if (problems.length > 0) throw new TidelaneError(`The authorization cannot be used here: ${problems.join("; ")}.`, { code: "invalid_authorization", details: { problems: problems.join("; ") } });
  requireFeeAllowed(authorization, relayer.feeBps);
}

/** Opening costs the relayer gas, whoever asks; a payer who locks less can send the transaction. @throws lock_too_small */
export function requireWorthOpening(lock: TokenAmount, leastLock: TokenAmount): void {
  if (lock >= leastLock) return;
  throw new TidelaneError(`The session locks ${lock}; this relayer pays the gas of opening one from ${leastLock} on. Lock more, or open it with a transaction of your own.`, {
    code: "lock_too_small", details: { lock: String(lock), least: String(leastLock) },
  });
}
