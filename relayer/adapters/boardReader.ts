// SaturationBoard's views behind the ports of the board loop and the tide loop.
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { clientOf } from "./chain/client.ts";
import { failureOf } from "./chain/failures.ts";
import type { Address } from "../../protocol/units.ts";
import type { BoardReader, TideReader } from "../ports/readers.ts";

/** @param rpcUrls tried in order */
export function createBoardReader(rpcUrls: readonly string[], board: Address): BoardReader & TideReader {
  const client = clientOf(rpcUrls);
  const contract = { address: board, abi: SaturationBoardAbi } as const;
  return {
    async seeds(relayerId) {
      const [firstEpoch, lastRevealed, reached, nextFirstEpoch, nextAnchor] =
        await answered(client.readContract({ ...contract, functionName: "seedChainOf", args: [relayerId] }));
      return { firstEpoch: Number(firstEpoch), lastRevealed: Number(lastRevealed), reached, nextFirstEpoch: Number(nextFirstEpoch), nextAnchor };
    },
    lastEpoch: async (relayerId) => Number(await answered(client.readContract({ ...contract, functionName: "lastEpochOf", args: [relayerId] }))),
    tideMultiplier: (relayerId, modelId) => answered(client.readContract({ ...contract, functionName: "tideMultiplier", args: [relayerId, modelId] })),
  };
}

const answered = <Result>(reading: Promise<Result>): Promise<Result> => reading.catch((error: unknown) => { throw failureOf(error); });
