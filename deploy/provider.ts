// An EIP-1193 provider over one HTTP RPC that signs with one local key, so that any node of any chain can be deployed to.
import type { EIP1193Provider } from "@nomicfoundation/ignition-core";
import { hexToBigInt, hexToNumber } from "viem/utils";
import { privateKeyToAccount } from "viem/accounts";
import { TidelaneError } from "../protocol/errors.ts";
import type { Address, Hex } from "../protocol/units.ts";

const REQUEST_MS_MAX = 30_000;

export interface SigningProvider extends EIP1193Provider {
  readonly address: Address;
}

interface SentTransaction {
  readonly to?: Hex;
  readonly data?: Hex;
  readonly value?: Hex;
  readonly nonce: Hex;
  readonly gas: Hex;
  readonly maxFeePerGas?: Hex;
  readonly maxPriorityFeePerGas?: Hex;
  readonly gasPrice?: Hex;
}

export function signingProvider(rpcUrl: string, key: Hex): SigningProvider {
  const account = privateKeyToAccount(key);
  const address = account.address.toLowerCase() as Address;
  let chainId: number | undefined;

  async function send(transaction: SentTransaction): Promise<unknown> {
    chainId ??= hexToNumber(await rpc(rpcUrl, "eth_chainId", []) as Hex);
    const common = {
      chainId, to: transaction.to ?? null, data: transaction.data ?? "0x", value: hexToBigInt(transaction.value ?? "0x0"),
      nonce: hexToNumber(transaction.nonce), gas: hexToBigInt(transaction.gas),
    } as const;
    const raw = transaction.maxFeePerGas === undefined
      ? await account.signTransaction({ ...common, type: "legacy", gasPrice: hexToBigInt(transaction.gasPrice ?? "0x0") })
      : await account.signTransaction({
        ...common, type: "eip1559", maxFeePerGas: hexToBigInt(transaction.maxFeePerGas),
        maxPriorityFeePerGas: hexToBigInt(transaction.maxPriorityFeePerGas ?? "0x0"),
      });
    return rpc(rpcUrl, "eth_sendRawTransaction", [raw]);
  }

  return {
    address,
    async request({ method, params = [] }) {
      if (method === "eth_accounts") return [address];
      if (method === "eth_sendTransaction") return send((params as [SentTransaction])[0]);
      return rpc(rpcUrl, method, params as readonly unknown[]);
    },
  };
}

/** @throws TidelaneError `chain_unreachable` (retryable), or the node's own error with its code and data. */
export async function rpc(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  let answer: { result?: unknown; error?: { code: number; message: string; data?: unknown } };
  try {
    const response = await fetch(url, {
      method: "POST", headers: { "content-type": "application/json" }, signal: AbortSignal.timeout(REQUEST_MS_MAX),
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    answer = await response.json() as typeof answer;
  } catch (cause) {
    throw new TidelaneError("the chain's RPC does not answer; check that it runs and that its URL is right", { code: "chain_unreachable", retryable: true, cause });
  }
  if (answer.error) throw Object.assign(new Error(`${method}: ${answer.error.message}`), { code: answer.error.code, data: answer.error.data });
  return answer.result;
}
