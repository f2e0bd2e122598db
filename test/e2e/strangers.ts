// Payments that a dishonest or broken client would send: real orders, signed with whatever key and for whatever domain a test wants.
import { readFileSync } from "node:fs";
import { stringToHex } from "viem/utils";
import { stateFromText } from "../../client/state.ts";
import { saltedCommit, modelIdOf } from "../../protocol/ids.ts";
import { PAYMENT_HEADER, paymentToHeader } from "../../protocol/payment.ts";
import { hashStruct, type Domain } from "../../protocol/typedData.ts";
import { signerOfKey, signStruct } from "../../protocol/signing.ts";
import type { TaskOrder } from "../../protocol/generated/structs.ts";
import type { Hex } from "../../protocol/units.ts";
import { chat } from "./network.ts";

export interface Bent {
  readonly key?: Hex;
  readonly domain?: Partial<Domain>;
  readonly cap?: bigint;
  readonly order?: Partial<TaskOrder>;
  /** Sent instead of the body that the order commits to. */
  readonly body?: string;
}

let nonce = 1_000_000n;

/** @returns headers and body of a paid chat request of the session in that file, bent as asked. */
export async function bentPayment(sessionFile: string, bent: Bent = {}): Promise<{ headers: Record<string, string>; body: string }> {
  const session = stateFromText(readFileSync(sessionFile, "utf8"));
  const body = JSON.stringify({ ...chat, max_tokens: 4 });
  const promptSalt: Hex = `0x${"5a".repeat(32)}`;
  const order: TaskOrder = {
    sessionId: hashStruct("SpendingAuthorization", session.authorization), nonce: nonce++, promptCommit: saltedCommit(promptSalt, stringToHex(body)),
    modelId: modelIdOf("karpathy/stories15M@q8_0"), tier: 0, maxOutTokens: 4, maxFee: 1_000n, deadline: Math.floor(Date.now() / 1000) + 60, ...bent.order,
  };
  const voucher = { sessionId: order.sessionId, cumulativeCap: bent.cap ?? 1_000n, taskId: hashStruct("TaskOrder", order) };
  const voucherSignature = await signStruct(signerOfKey(bent.key ?? session.sessionPrivateKey), { ...session.domain, ...bent.domain }, "Voucher", voucher);
  return { body: bent.body ?? body, headers: { [PAYMENT_HEADER]: paymentToHeader({ order, voucher, voucherSignature, promptSalt }) } };
}
