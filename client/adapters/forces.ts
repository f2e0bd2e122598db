// Nodes' claims against a payer's session, and what a payer shows against them: that the work was charged already.
import type { Abi } from "viem";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { answerForceArgs, showSettledArgs } from "../../protocol/forces.ts";
import type { SumProof } from "../../protocol/merkleSum.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Hash, Hex, Seconds, TokenAmount } from "../../protocol/units.ts";
import { contract, reached, reader, senderOf, type ChainAccess } from "./chain.ts";
import { rangesBack } from "./gateway.ts";

/** As IForces' enum. */
const OPEN = 1;

export interface OpenClaim {
  readonly receiptHash: Hash;
  readonly taskId: Hash;
  readonly nodeId: number;
  readonly fee: TokenAmount;
  /** Until then it can be answered. */
  readonly until: Seconds;
}

/** Claims against a session that can still be answered, oldest first. @throws retryable `chain_unreachable` */
export async function openClaims(access: ChainAccess, relayerId: number, sessionId: Hash): Promise<readonly OpenClaim[]> {
  const client = reader(access);
  const settlement = { address: contract(access, "BatchSettlement"), abi: BatchSettlementAbi } as const;
  const windowSeconds = await reached(async () => client.readContract({ ...settlement, functionName: "windowSeconds" }));
  const head = await reached(async () => client.getBlock({ blockTag: "latest" }));
  const claims: OpenClaim[] = [];
  for (const range of rangesBack(head.number)) {
    const found = await reached(async () => client.getContractEvents({ ...settlement, eventName: "ForceOpened", args: { relayerId }, ...range, strict: true }));
    for (const { args } of found.filter((one) => one.args.sessionId === sessionId).reverse()) {
      const force = await reached(async () => client.readContract({ ...settlement, functionName: "forceOf", args: [args.receiptHash] }));
      const until = force.openedAt + windowSeconds;
      if (force.state === OPEN && Number(head.timestamp) <= until) claims.unshift({ receiptHash: args.receiptHash, taskId: force.taskId, nodeId: args.nodeId, fee: args.fee, until });
    }
    // Whatever was claimed earlier cannot be answered any more.
    const { timestamp } = await reached(async () => client.getBlock({ blockNumber: range.fromBlock }));
    if (Number(timestamp) + windowSeconds < Number(head.timestamp)) break;
  }
  return claims;
}

/** Each resolves when it is mined; anyone may send it. @throws `transaction_reverted` with the contract's reason */
export function claimAnswers(access: ChainAccess, privateKey: Hex) {
  const { send } = senderOf(access, privateKey);
  const call = (functionName: string, args: readonly unknown[]): Promise<Hash> => send(contract(access, "BatchSettlement"), BatchSettlementAbi as unknown as Abi, functionName, args);
  return {
    /** The claimed receipt itself stands in that batch: nothing is owed. */
    answer: (batchId: bigint, record: AttemptRecord, proof: SumProof) => call("answerForce", answerForceArgs(batchId, record, proof)),
    /** Another receipt of the same task was charged: what exceeds the order with it is the relayer's to pay. */
    show: (receiptHash: Hash, batchId: bigint, record: AttemptRecord, proof: SumProof) => call("showSettled", showSettledArgs(receiptHash, batchId, record, proof)),
  };
}
