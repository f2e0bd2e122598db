// The pay token's transfers to the Escrow, and proofs of them, behind the TransferReader port.
import { parseAbiItem } from "viem";
import { TransferProofsAbi } from "../../protocol/generated/abi/TransferProofs.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { proofsOfTransfers } from "../../protocol/transferProof.ts";
import { clientOf } from "./chain/client.ts";
import { failureOf } from "./chain/failures.ts";
import type { Address, Hash } from "../../protocol/units.ts";
import type { SeenTransfer, TransferReader } from "../ports/readers.ts";

export interface TransferPlace {
  readonly escrow: Address;
  readonly payToken: Address;
  readonly transferProofs: Address;
}

const TRANSFER = parseAbiItem("event Transfer(address indexed from, address indexed to, uint256 value)");

/** @param rpcUrls tried in order */
export function createTransferReader(rpcUrls: readonly string[], { escrow, payToken, transferProofs }: TransferPlace): TransferReader {
  const client = clientOf(rpcUrls);
  const asked = async <Answer>(question: Promise<Answer>): Promise<Answer> => question.catch((error: unknown) => { throw failureOf(error); });
  return {
    async arrived(fromBlock, toBlock) {
      const logs = await asked(client.getLogs({ address: payToken, event: TRANSFER, args: { to: escrow }, fromBlock, toBlock, strict: true }));
      const seen = new Map<Hash, SeenTransfer>();
      for (const { transactionHash: transaction, blockNumber, args: { value } } of logs) {
        const before = seen.get(transaction)?.amount ?? 0n;
        seen.set(transaction, { transaction, blockNumber, amount: value > before ? value : before });
      }
      return [...seen.values()];
    },
    async proofs(transaction) {
      const proofs = await asked(proofsOfTransfers((method, params) => client.request({ method, params } as never), transaction, { payToken, escrow })).catch(nullIfUnknown);
      if (!proofs) return null;
      const areCredited = await asked(Promise.all(proofs.map(({ payer, nonce }) => client.readContract({ address: transferProofs, abi: TransferProofsAbi, functionName: "isCredited", args: [payer, nonce] }))));
      return proofs.filter((_, i) => !areCredited[i]);
    },
  };
}

function nullIfUnknown(error: unknown): null {
  if (error instanceof TidelaneError && error.code === "transaction_unknown") return null;
  throw error;
}
