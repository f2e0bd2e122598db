// FraudProofs' demands for data behind the DemandReader port.
import { FraudProofsAbi } from "../../protocol/generated/abi/FraudProofs.ts";
import { clientOf } from "./chain/client.ts";
import { failureOf } from "./chain/failures.ts";
import type { Address } from "../../protocol/units.ts";
import type { Demand, DemandReader } from "../ports/readers.ts";

const NOBODY = `0x${"0".repeat(40)}`;

/** @param rpcUrls tried in order */
export function createDemandReader(rpcUrls: readonly string[], fraudProofs: Address): DemandReader {
  const client = clientOf(rpcUrls);
  const contract = { address: fraudProofs, abi: FraudProofsAbi } as const;
  return {
    async demanded(relayerId, fromBlock, toBlock) {
      const logs = await client.getContractEvents({ ...contract, eventName: "DataChallenged", args: { relayerId }, fromBlock, toBlock, strict: true })
        .catch((error: unknown) => { throw failureOf(error); });
      return logs.map(({ args: { batchId, index, until }, blockNumber }): Demand => ({ batchId, index, untilSeconds: Number(until), blockNumber }));
    },
    async isOpen(relayerId, { batchId, index }) {
      const { challenger, isSettled } = await client.readContract({ ...contract, functionName: "challengeOf", args: [relayerId, batchId, index] })
        .catch((error: unknown) => { throw failureOf(error); });
      return challenger !== NOBODY && !isSettled;
    },
  };
}
