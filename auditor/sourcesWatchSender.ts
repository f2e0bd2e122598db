// Sends a watcher's calls: one at a time, each mined before the next, refused calls told with the contract's own reason.
import { setTimeout as sleep } from "node:timers/promises";
import { createPublicClient, createWalletClient, encodeFunctionData, fallback, http, parseAbi, type PublicClient, type TransactionReceipt } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { FraudProofsAbi } from "../protocol/generated/abi/FraudProofs.ts";
import { TidelaneError } from "../protocol/errors.ts";
import type { Address, Hash, Hex } from "../protocol/units.ts";
import { TIMEOUT_MS, contract, reached, type ChainAccess } from "./sources.ts";
import { revertOf } from "./sourcesJudge.ts";
import type { WatchSender } from "./ports.ts";

const MINED_MS_MAX = 180_000;
/** A receipt is asked for again after so long, and then after twice that, up to a second. */
const POLL_MS = 20;
const POLL_MS_MAX = 1_000;
const tokenAbi = parseAbi(["function allowance(address,address) view returns (uint256)", "function approve(address,uint256) returns (bool)"]);

/** @param key private key of any account that holds gas, and the pay token where data is to be demanded */
export function watchSender(access: ChainAccess, key: Hex): WatchSender {
  const transport = fallback(access.rpcUrls.map((url) => http(url, { timeout: TIMEOUT_MS, retryCount: 1 })));
  const reader: PublicClient = createPublicClient({ transport, cacheTime: 0 });
  const account = privateKeyToAccount(key);
  const wallet = createWalletClient({ account, transport });
  const fraudProofs = contract(access, "FraudProofs");
  const address = account.address.toLowerCase() as Address;
  const send = async (to: Address, data: Hex): ReturnType<WatchSender["send"]> => {
    try {
      const hash = await wallet.sendTransaction({ account, to, data, chain: null });
      const { status, blockNumber } = await mined(reader, hash);
      if (status === "success") return { transactionHash: hash, blockNumber };
      throw refused("it was mined and reverted", null);
    } catch (error) {
      const reason = error instanceof TidelaneError ? null : revertOf(error);
      if (reason !== null) throw refused(reason, error);
      throw error;
    }
  };
  return {
    address,
    send: (data) => reached(() => send(fraudProofs, data)),
    approveBond: (amount) => reached(async () => {
      const token = await reader.readContract({ address: fraudProofs, abi: FraudProofsAbi, functionName: "payToken" });
      const allowed = await reader.readContract({ address: token, abi: tokenAbi, functionName: "allowance", args: [address, fraudProofs] });
      if (allowed < amount) await send(token, encodeFunctionData({ abi: tokenAbi, functionName: "approve", args: [fraudProofs, amount] }));
    }),
  };
}

/** @throws retryable `not_mined` */
async function mined(reader: PublicClient, hash: Hash): Promise<TransactionReceipt> {
  for (let [waitMs, waitedMs] = [POLL_MS, 0]; waitedMs < MINED_MS_MAX; waitedMs += waitMs, waitMs = Math.min(2 * waitMs, POLL_MS_MAX)) {
    const receipt = await reader.getTransactionReceipt({ hash }).catch((error: unknown) => {
      if ((error as Error).name === "TransactionReceiptNotFoundError") return null;
      throw error;
    });
    if (receipt) return receipt;
    await sleep(waitMs);
  }
  throw new TidelaneError(`Transaction ${hash} was not mined in ${MINED_MS_MAX / 1_000} s; the case is tried again.`, { code: "not_mined", retryable: true, details: { transaction: hash } });
}

const refused = (reason: string, cause: unknown): TidelaneError =>
  new TidelaneError(`The contract refused the call: ${reason}.`, { code: "call_reverted", details: { reason }, cause });
