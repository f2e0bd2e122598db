// A node's claims on chain, through viem: what became of them, opening one, having one paid.
import type { Abi } from "viem";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { openForceArgs } from "../../protocol/forces.ts";
import type { SignedAck } from "../../protocol/link.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Hash, Seconds, TokenAmount } from "../../protocol/units.ts";
import type { ClaimChain, ForceFact } from "../ports.ts";
import { NodeChainReader, NodeOwnerChain, reached } from "./ownerChain.ts";

/** As IForces' enum. */
const STATES = ["none", "open", "answered", "resolved"] as const;
const READS_AT_ONCE = 50;

/** Reads that need no key. */
export class ForceChainReader extends NodeChainReader implements ClaimChain {
  async facts(relayerId: number, nodeId: number): Promise<{ nowSeconds: Seconds; windowSeconds: Seconds; earned: TokenAmount; forcedEarned: TokenAmount }> {
    const [block, windowSeconds, tab] = await reached(async () => Promise.all([
      this.client.getBlock({ blockTag: "latest" }), this.client.readContract({ address: this.at("BatchSettlement"), abi: BatchSettlementAbi, functionName: "windowSeconds" }),
      this.client.readContract({ address: this.at("Escrow"), abi: EscrowAbi, functionName: "tabOf", args: [relayerId, nodeId] }),
    ]));
    return { nowSeconds: Number(block.timestamp), windowSeconds, earned: tab.earned, forcedEarned: tab.forcedEarned };
  }

  async forces(receiptHashes: readonly Hash[]): Promise<ReadonlyMap<Hash, ForceFact>> {
    const found = new Map<Hash, ForceFact>();
    for (let i = 0; i < receiptHashes.length; i += READS_AT_ONCE) {
      await Promise.all(receiptHashes.slice(i, i + READS_AT_ONCE).map(async (receiptHash) => {
        const { state, openedAt } = await reached(async () => this.client.readContract({ address: this.at("BatchSettlement"), abi: BatchSettlementAbi, functionName: "forceOf", args: [receiptHash] }));
        found.set(receiptHash, { state: STATES[state] ?? "resolved", openedAt });
      }));
    }
    return found;
  }
}

/** The key's account pays the gas; whose it is does not matter: credits go to the node's tab. @throws `transaction_reverted` with the contract's reason */
export class ForceSender extends NodeOwnerChain {
  /** @param condemnedBatchId the condemned batch in which the receipt stood, or 0. */
  open(record: AttemptRecord, ack: SignedAck, condemnedBatchId: bigint): Promise<Hash> {
    return this.send(this.at("BatchSettlement"), BatchSettlementAbi as unknown as Abi, "openForce", openForceArgs(record, ack, condemnedBatchId));
  }

  resolve(receiptHash: Hash): Promise<Hash> {
    return this.send(this.at("BatchSettlement"), BatchSettlementAbi as unknown as Abi, "resolveForce", [receiptHash]);
  }
}
