// Transfers by authorization to the Escrow itself, proven from what the chain's node answers and credited to their signers.
import type { Abi, PublicClient } from "viem";
import { TransferProofsAbi } from "../../protocol/generated/abi/TransferProofs.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { proofsOfTransfers } from "../../protocol/transferProof.ts";
import type { Address, Hash } from "../../protocol/units.ts";
import type { CreditedTransfer } from "../ports.ts";

interface Access {
  readonly client: PublicClient;
  readonly transferProofs: Address;
  readonly payToken: Address;
  readonly escrow: Address;
  send(to: Address, abi: Abi, functionName: string, args: readonly unknown[]): Promise<Hash>;
}

const NEXT_BLOCK_TRIES = 120;
const POLL_MS = 500;

/**
 * Credits all of them that one transaction brought; those that are credited already are told as such.
 * @throws as proofsOfTransfers; `block_forgotten`; `transaction_reverted` with the contract's reason; retryable `block_too_new`.
 */
export async function creditTransfers({ client, transferProofs, payToken, escrow, send }: Access, transaction: Hash): Promise<readonly CreditedTransfer[]> {
  const proofs = await proofsOfTransfers((method, params) => client.request({ method, params } as never), transaction, { payToken, escrow });
  const credited: CreditedTransfer[] = [];
  if (proofs[0]) await nextBlock(client, proofs[0].blockNumber);
  for (const { payer, nonce, amount, header, proof, transactionIndex, logPosition } of proofs) {
    const isCredited = await client.readContract({ address: transferProofs, abi: TransferProofsAbi, functionName: "isCredited", args: [payer, nonce] });
    const by = isCredited ? null : await send(transferProofs, TransferProofsAbi as unknown as Abi, "creditTransfer", [header, proof, transactionIndex, logPosition]).catch(notProven);
    credited.push({ payer, amount, transaction: by });
  }
  return credited;
}

/** A contract knows the hashes of the blocks before its own: one that is tried on the newest block does not know that one's. */
async function nextBlock(client: PublicClient, block: bigint): Promise<void> {
  for (let tries = 0; await client.getBlockNumber({ cacheTime: 0 }) <= block; tries++) {
    if (tries >= NEXT_BLOCK_TRIES) throw new TidelaneError(`No block has followed block ${block} for a minute; then it can be proven.`, { code: "block_too_new", retryable: true });
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

/** The refusal that whoever comes too late gets, in words. @throws `block_forgotten`, or what it was given */
export function notProven(error: unknown): never {
  const reason = error instanceof TidelaneError ? String(error.details.reason) : "";
  const block = /^HeaderNotOfThisChain\((\d+), 0x[0-9a-f]{64}, 0x0{64}\)$/.exec(reason)?.[1];
  if (block === undefined) throw error;
  throw new TidelaneError(
    `The chain does not remember block ${block} any more (8,191 blocks with EIP-2935, else 256), so nothing that came in it can be proven. Let the next payment go to what this prints: tidelane payer deposit-address`,
    { code: "block_forgotten", details: { block }, cause: error },
  );
}
