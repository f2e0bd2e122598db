// A contract's request as the session, the order and the body that it stands for: the TypeScript twin of
// contracts/libraries/Requests.sol. With it, a request is worked on, signed and checked like any other order.
import { concatHex, encodeAbiParameters, keccak256, stringToHex } from "viem/utils";
import { Mode, Tier } from "./constants.ts";
import { hashStruct } from "./typedData.ts";
import type { CoveredOrder } from "./records.ts";
import { UINT96_MAX, type Address, type Hash, type Hex, type Seconds, type TokenAmount, type Tokens } from "./units.ts";

/** As the gateway's event tells it. Times in unix seconds; `relayerId` 0: any relayer; `gasPayment` in wei. */
export interface ContractRequest {
  readonly requester: Address;
  readonly relayerId: number;
  readonly modelId: Hash;
  readonly promptHash: Hash;
  readonly maxOutTokens: Tokens;
  readonly maxFee: TokenAmount;
  readonly callbackGas: number;
  readonly gasPayment: bigint;
  readonly requestedAt: Seconds;
  readonly deadline: Seconds;
  readonly serial: bigint;
}

/** As Fees.FEE_BPS_MAX: an authorization by the gateway bounds prices by the fee alone. */
const FEE_BPS_MAX = 1_000;
const saltTypes = ["bytes32", "bytes32", "uint32", "uint32", "uint96", "uint64"].map((type) => ({ type }));

/** The order under a request, with the gateway's word in place of a payer's signatures. Its sessionId is the request's id. */
export function coveredByGateway(request: ContractRequest, gateway: Address): CoveredOrder {
  const { requester, relayerId, modelId, promptHash, maxOutTokens, maxFee, callbackGas, gasPayment, requestedAt, deadline, serial } = request;
  const authorization = {
    payer: requester, sessionKey: gateway, relayerId, lock: maxFee, maxTotal: maxFee, maxPerTask: maxFee, maxPerDay: 0n,
    maxPriceInPerMTok: UINT96_MAX, maxPriceOutPerMTok: UINT96_MAX, maxFeeBps: FEE_BPS_MAX, mode: Mode.REQUEST, validAfter: requestedAt, validUntil: deadline,
    salt: BigInt(keccak256(encodeAbiParameters(saltTypes, [modelId, promptHash, maxOutTokens, callbackGas, gasPayment, serial]))),
  };
  const sessionId = hashStruct("SpendingAuthorization", authorization);
  const order = {
    sessionId, nonce: 0n, promptCommit: keccak256(concatHex([sessionId, promptHash])), modelId, tier: Tier.DEFAULT, maxOutTokens, maxFee, deadline,
  };
  return { authorization, order, voucher: null, voucherSignature: "0x" };
}

/** keccak256 of the prompt's UTF-8 bytes. */
export const promptHashOf = (prompt: string): Hash => keccak256(stringToHex(prompt));

/** Opens or stands in a commit: keccak256(abi.encode(receiptHash, relayerId, salt)). */
export const commitmentOf = (receiptHash: Hash, relayerId: number, salt: Hash): Hash =>
  keccak256(encodeAbiParameters([{ type: "bytes32" }, { type: "uint32" }, { type: "bytes32" }], [receiptHash, relayerId, salt]));

/**
 * The OpenAI request that a prompt becomes: byte for byte the same for everybody, because the assignment's inputCommit is
 * keccak256(requestId || these bytes), so that anyone can check what the node was given.
 */
export const bodyOfRequest = (model: string, prompt: string, maxOutTokens: Tokens): string =>
  JSON.stringify({ model, messages: [{ role: "user", content: prompt }], max_tokens: maxOutTokens });

/** @returns the text, or null where the bytes are not UTF-8. */
export function promptOfHex(bytes: Hex): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes.slice(2), "hex"));
  } catch {
    return null;
  }
}
