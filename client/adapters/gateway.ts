// InferenceGateway for those who have money in it: what lies there for whom, and the calls that pay it out.
import type { Abi } from "viem";
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { ContractRequest } from "../../protocol/requests.ts";
import type { Address, Hash, Hex, TokenAmount } from "../../protocol/units.ts";
import { contract, reached, reader, senderOf, tokenAbi, type ChainAccess } from "./chain.ts";

/** Blocks asked for at once when a request is looked for: what public nodes allow. */
const SEARCH_BLOCKS = 10_000n;
/** A request lives for 30 days at most: two-second blocks, and some. */
const SEARCHES_MAX = 150;
/** As RequestState in Solidity. */
const STATES = ["none", "pending", "fulfilled", "refunded"] as const;

export interface GatewayRequest {
  readonly request: ContractRequest;
  readonly state: Exclude<(typeof STATES)[number], "none">;
}

/** From the newest block back, in ranges that public nodes search at once. */
export function* rangesBack(newest: bigint): Generator<{ readonly fromBlock: bigint; readonly toBlock: bigint }> {
  let toBlock = newest;
  for (let searches = 0; searches < SEARCHES_MAX && toBlock >= 0n; searches++) {
    const fromBlock = toBlock >= SEARCH_BLOCKS ? toBlock - SEARCH_BLOCKS + 1n : 0n;
    yield { fromBlock, toBlock };
    toBlock = fromBlock - 1n;
  }
}

/** Reads that need no key. @throws retryable `chain_unreachable`, as all here */
export function gatewayBooks(access: ChainAccess) {
  const client = reader(access);
  const gateway = { address: contract(access, "InferenceGateway"), abi: InferenceGatewayAbi } as const;
  /** @throws `request_unknown` */
  const state = async (requestId: Hash): Promise<GatewayRequest["state"]> => {
    const found = STATES[await reached(async () => client.readContract({ ...gateway, functionName: "stateOf", args: [requestId] }))] ?? "none";
    if (found === "none") throw unknown(requestId);
    return found;
  };
  return {
    /** What `withdraw` and `withdrawGas` would pay an account. */
    async account(account: Address): Promise<{ readonly balance: TokenAmount; readonly gasWei: bigint }> {
      const [balance, gasWei] = await reached(async () => Promise.all([
        client.readContract({ ...gateway, functionName: "balanceOf", args: [account] }), client.readContract({ ...gateway, functionName: "gasBalanceOf", args: [account] }),
      ]));
      return { balance, gasWei };
    },
    async node(nodeId: number): Promise<{ readonly earned: TokenAmount; readonly claimed: TokenAmount; readonly claimable: TokenAmount }> {
      const [{ earned, claimed }, claimable] = await reached(async () => Promise.all([
        client.readContract({ ...gateway, functionName: "nodeAccountOf", args: [nodeId] }), client.readContract({ ...gateway, functionName: "claimableNode", args: [nodeId] }),
      ]));
      return { earned, claimed, claimable };
    },
    async relayer(relayerId: number): Promise<{ readonly fees: TokenAmount; readonly feesClaimed: TokenAmount; readonly claimable: TokenAmount; readonly commitBond: TokenAmount }> {
      const [{ fees, feesClaimed, commitBond }, claimable] = await reached(async () => Promise.all([
        client.readContract({ ...gateway, functionName: "relayerAccountOf", args: [relayerId] }), client.readContract({ ...gateway, functionName: "claimableRelayerFee", args: [relayerId] }),
      ]));
      return { fees, feesClaimed, claimable, commitBond };
    },
    state,
    /** A request by its id, from the event that it left. @throws `request_unknown` */
    async request(requestId: Hash): Promise<GatewayRequest> {
      const now = await state(requestId);
      for (const range of rangesBack(await reached(async () => client.getBlockNumber()))) {
        const [found] = await reached(async () => client.getContractEvents({ ...gateway, eventName: "Requested", args: { requestId }, ...range, strict: true }));
        if (found) return { request: { ...found.args.request, requester: found.args.request.requester.toLowerCase() as Address }, state: now };
      }
      throw unknown(requestId);
    },
    /** How a request was answered. @throws `request_unknown`, retryable `not_answered` */
    async answer(requestId: Hash): Promise<{ readonly assignmentHash: Hash; readonly output: Hex; readonly uri: string }> {
      if (await state(requestId) === "fulfilled") {
        for (const range of rangesBack(await reached(async () => client.getBlockNumber()))) {
          const [found] = await reached(async () => client.getContractEvents({ ...gateway, eventName: "Fulfilled", args: { requestId }, ...range, strict: true }));
          if (found) return { assignmentHash: found.args.outcome.assignmentHash, output: found.args.output, uri: found.args.uri };
        }
      }
      throw new TidelaneError(`Request ${requestId} is not answered.`, { code: "not_answered", retryable: true, details: { requestId } });
    },
  };
}

/** The calls, each resolving when it is mined. Who may send which is the contract's to say. @throws `transaction_reverted` with its reason */
export function gatewayCalls(access: ChainAccess, privateKey: Hex) {
  const { address, send } = senderOf(access, privateKey);
  const call = (functionName: string, ...args: readonly unknown[]): Promise<Hash> => send(contract(access, "InferenceGateway"), InferenceGatewayAbi as unknown as Abi, functionName, args);
  return {
    address,
    /** Anyone, once the deadline has passed: the money becomes the requester's balance. */
    refund: (request: ContractRequest) => call("refund", request),
    /** To the account itself by anyone, elsewhere by the account only. */
    withdraw: (account: Address, to: Address) => call("withdraw", account, to),
    withdrawGas: (account: Address, to: Address) => call("withdrawGas", account, to),
    /** Anyone: it goes to the payout address. */
    claimNode: (nodeId: number) => call("claimNode", nodeId),
    /** The relayer's owner. */
    claimRelayerFee: (relayerId: number, to: Address) => call("claimRelayerFee", relayerId, to),
    /** Anyone, out of the caller's own tokens. */
    async bondCommits(relayerId: number, amount: TokenAmount): Promise<Hash> {
      await send(contract(access, "payToken"), tokenAbi as unknown as Abi, "approve", [contract(access, "InferenceGateway"), amount]);
      return call("bondCommits", relayerId, amount);
    },
    withdrawCommitBond: (relayerId: number, amount: TokenAmount, to: Address) => call("withdrawCommitBond", relayerId, amount, to),
  };
}

const unknown = (requestId: Hash): TidelaneError => new TidelaneError(`The gateway knows no request ${requestId}, or it is too old for this RPC's events.`, { code: "request_unknown", details: { requestId } });
