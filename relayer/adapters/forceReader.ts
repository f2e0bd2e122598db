// BatchSettlement's events of nodes' claims behind the ForceReader port.
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { clientOf } from "./chain/client.ts";
import { failureOf } from "./chain/failures.ts";
import type { Address } from "../../protocol/units.ts";
import type { ForceReader, SeenForce } from "../ports/readers.ts";

/** @param rpcUrls tried in order */
export function createForceReader(rpcUrls: readonly string[], settlement: Address): ForceReader {
  const client = clientOf(rpcUrls);
  return {
    async opened(relayerId, fromBlock, toBlock) {
      const logs = await client.getContractEvents({
        address: settlement, abi: BatchSettlementAbi, eventName: "ForceOpened", args: { relayerId }, fromBlock, toBlock, strict: true,
      }).catch((error: unknown) => { throw failureOf(error); });
      return logs.map(({ args, blockNumber }): SeenForce => ({ receiptHash: args.receiptHash, blockNumber }));
    },
  };
}
