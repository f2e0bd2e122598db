// SaturationBoard's views behind the BoardReader port.
import { createPublicClient, fallback, http } from "viem";
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Address } from "../../protocol/units.ts";
import type { BoardReader } from "../ports.ts";

/** @param rpcUrls tried in order */
export function createBoardReader(rpcUrls: readonly string[], board: Address): BoardReader {
  const client = createPublicClient({ transport: fallback(rpcUrls.map((url) => http(url))) });
  const contract = { address: board, abi: SaturationBoardAbi } as const;
  return {
    async seeds(relayerId) {
      const [firstEpoch, lastRevealed, reached, nextFirstEpoch, nextAnchor] =
        await reachable(client.readContract({ ...contract, functionName: "seedChainOf", args: [relayerId] }));
      return { firstEpoch: Number(firstEpoch), lastRevealed: Number(lastRevealed), reached, nextFirstEpoch: Number(nextFirstEpoch), nextAnchor };
    },
    lastEpoch: async (relayerId) => Number(await reachable(client.readContract({ ...contract, functionName: "lastEpochOf", args: [relayerId] }))),
  };
}

async function reachable<Result>(reading: Promise<Result>): Promise<Result> {
  try {
    return await reading;
  } catch (cause) {
    throw new TidelaneError("The chain did not answer for the saturation board; it is asked again within the epoch.", { code: "chain_unreachable", retryable: true, cause });
  }
}
