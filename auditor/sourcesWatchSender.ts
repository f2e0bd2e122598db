// Sends a watcher's calls: one at a time, each mined before the next, refused calls told with the contract's own reason.
import { createPublicClient, createWalletClient, encodeFunctionData, fallback, http, parseAbi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { FraudProofsAbi } from "../protocol/generated/abi/FraudProofs.ts";
import { TidelaneError } from "../protocol/errors.ts";
import type { Address, Hex } from "../protocol/units.ts";
import { TIMEOUT_MS, contract, reached, type ChainAccess } from "./sources.ts";
import { revertOf } from "./sourcesJudge.ts";
import type { WatchSender } from "./ports.ts";

const MINED_MS_MAX = 180_000;
const POLL_MS = 250;
const tokenAbi = parseAbi(["function allowance(address,address) view returns (uint256)", "function approve(address,uint256) returns (bool)"]);

/** @param key private key of any account that holds gas, and the pay token where data is to be demanded */
export function watchSender(access: ChainAccess, key: Hex): WatchSender {
  const transport = fallback(access.rpcUrls.map((url) => http(url, { timeout: TIMEOUT_MS, retryCount: 1 })));
  const reader = createPublicClient({ transport, cacheTime: 0, pollingInterval: POLL_MS });
  const account = privateKeyToAccount(key);
  const wallet = createWalletClient({ account, transport });
  const fraudProofs = contract(access, "FraudProofs");
  const address = account.address.toLowerCase() as Address;
  const send = async (to: Address, data: Hex): ReturnType<WatchSender["send"]> => {
    try {
      const hash = await wallet.sendTransaction({ account, to, data, chain: null });
      const { status, blockNumber } = await reader.waitForTransactionReceipt({ hash, timeout: MINED_MS_MAX });
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

const refused = (reason: string, cause: unknown): TidelaneError =>
  new TidelaneError(`The contract refused the call: ${reason}.`, { code: "call_reverted", details: { reason }, cause });
