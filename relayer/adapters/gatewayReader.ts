// InferenceGateway's events and views behind the GatewayReader port.
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
import { clientOf } from "./chain/client.ts";
import { failureOf } from "./chain/failures.ts";
import type { Address, Hex } from "../../protocol/units.ts";
import type { GatewayReader, RequestState, SeenRequest } from "../ports/readers.ts";

/** As RequestState in Solidity. */
const STATES: readonly RequestState[] = ["none", "pending", "fulfilled", "refunded"];

/** @param rpcUrls tried in order */
export function createGatewayReader(rpcUrls: readonly string[], gateway: Address): GatewayReader {
  const client = clientOf(rpcUrls);
  const contract = { address: gateway, abi: InferenceGatewayAbi } as const;
  return {
    async requests(relayerId, fromBlock, toBlock) {
      const logs = await answered(client.getContractEvents({ ...contract, eventName: "Requested", args: { relayerId: [0, relayerId] }, fromBlock, toBlock, strict: true }));
      return logs.map(({ args, blockNumber }): SeenRequest => ({
        requestId: args.requestId, request: { ...args.request, requester: args.request.requester.toLowerCase() as Address },
        prompt: args.prompt as Hex, uri: args.uri, blockNumber,
      }));
    },
    state: async (requestId) => STATES[await answered(client.readContract({ ...contract, functionName: "stateOf", args: [requestId] }))] ?? "none",
    async commit(requestId, relayerId) {
      const { digest, madeAt } = await answered(client.readContract({ ...contract, functionName: "commitOf", args: [requestId, relayerId] }));
      return madeAt === 0 ? null : digest;
    },
  };
}

const answered = <Result>(reading: Promise<Result>): Promise<Result> => reading.catch((error: unknown) => { throw failureOf(error); });
