// What a call to the chain can fail with, told apart: the contract said no (and why), or nobody answered.
import { BaseError, decodeErrorResult, type Abi } from "viem";
import { BatchSettlementAbi } from "../../../protocol/generated/abi/BatchSettlement.ts";
import { BondVaultAbi } from "../../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../../protocol/generated/abi/Escrow.ts";
import { InferenceGatewayAbi } from "../../../protocol/generated/abi/InferenceGateway.ts";
import { NodeRegistryAbi } from "../../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../../protocol/generated/abi/RelayerRegistry.ts";
import { SaturationBoardAbi } from "../../../protocol/generated/abi/SaturationBoard.ts";
import { TideTokenAbi } from "../../../protocol/generated/abi/TideToken.ts";
import { TransferProofsAbi } from "../../../protocol/generated/abi/TransferProofs.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import type { Hash, Hex } from "../../../protocol/units.ts";

/** Errors travel through calls between contracts, so any contract's may come back from any call. */
const errors: Abi = [BatchSettlementAbi, EscrowAbi, BondVaultAbi, NodeRegistryAbi, RelayerRegistryAbi, SaturationBoardAbi, InferenceGatewayAbi, TransferProofsAbi, TideTokenAbi]
  .flatMap((abi) => (abi as Abi).filter((item) => item.type === "error"));

/** A revert becomes `call_reverted` with the contract's error in words; everything else is the chain not answering. */
export function failureOf(error: unknown): TidelaneError {
  if (error instanceof TidelaneError) return error;
  const data = revertData(error);
  if (data !== null) return reverted(reasonOf(data), error);
  const message = error instanceof BaseError ? error.shortMessage : String(error);
  if (/revert/i.test(message) && !/timed? ?out|fetch/i.test(message)) return reverted(message, error);
  return new TidelaneError("The chain cannot be reached; settlement waits, and new sessions cannot be opened.", {
    code: "chain_unreachable", retryable: true, cause: error, details: { reason: message.split("\n")[0]! },
  });
}

/** @param mined true where the transaction stands in a block: its calldata is public and its gas is spent. */
export const reverted = (reason: string, cause: unknown, mined?: { hash: Hash }): TidelaneError =>
  new TidelaneError(`The contract refused the call: ${reason}.`, { code: "call_reverted", cause, details: { reason, mined: mined !== undefined, ...(mined && { transaction: mined.hash }) } });

/** `InsufficientBalance(0xab.., 5, 10)`; the selector where the error is nobody's of ours. */
export function reasonOf(data: Hex): string {
  if (data === "0x") return "no reason given";
  try {
    const { errorName, args } = decodeErrorResult({ abi: errors, data });
    return `${errorName}(${(args ?? []).map(String).join(", ")})`;
  } catch {
    return `unknown error ${data.slice(0, 10)}`;
  }
}

/** The bytes that a revert carried, wherever viem or the provider put them. */
function revertData(error: unknown): Hex | null {
  for (let at: unknown = error; typeof at === "object" && at !== null; at = (at as { cause?: unknown }).cause) {
    const { data } = at as { data?: unknown };
    if (typeof data === "string" && /^0x[0-9a-fA-F]*$/.test(data)) return data as Hex;
    const nested = (data as { data?: unknown } | undefined)?.data;
    if (typeof nested === "string" && /^0x[0-9a-fA-F]*$/.test(nested)) return nested as Hex;
  }
  return null;
}
