// What a node's way out costs: forces that are opened, answered, resolved; and data that is demanded, shown, or condemned.
import type { Abi } from "viem";
import { openingOf } from "../../auditor/proofs/changes.ts";
import { entryAt } from "../../auditor/proofs/treeView.ts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { FraudProofsAbi } from "../../protocol/generated/abi/FraudProofs.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import { signStruct } from "../../protocol/signing.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { post, rowsOf } from "./evidence.ts";
import { RELAYER_ID, WINDOW_SECONDS, type World } from "./world.ts";

/** Of every contract that a call may fail in, so that its error is told by name. */
export const ABIS = [...FraudProofsAbi, ...BatchSettlementAbi, ...EscrowAbi] as Abi;

export async function forceCosts(world: World): Promise<Record<string, number>> {
  const [one, other] = (await rowsOf(world)) as [AttemptRecord, AttemptRecord];
  const first = await force(world, one);
  const second = await force(world, other);
  const rows = await rowsOf(world);
  const posted = await post(world, rows);
  const opened = await openForce(world, rows[0]!);
  const { leaf, proof } = entryAt(posted.tab, 0);
  const answered = await world.chain.call(world.owner, world.contracts["BatchSettlement"]!, ABIS, "answerForce", [hashStruct("TaskReceipt", rows[0]!.receipt), posted.header.batchId, leaf, proof]);
  return { openForce_first: first.opened, openForce: Math.max(second.opened, opened), resolveForce_first: first.resolved, resolveForce: second.resolved, answerForce: answered };
}

export async function withheldDataCosts(world: World): Promise<Record<string, number>> {
  const { chain, contracts, owner } = world;
  const rows = await rowsOf(world);
  const posted = await post(world, rows);
  const { batchId } = posted.header;
  const call = (name: string, args: readonly unknown[]): Promise<number> => chain.call(owner, contracts["FraudProofs"]!, ABIS, name, args);
  const challengeData = await call("challengeData", [RELAYER_ID, batchId, 0]);
  await call("challengeData", [RELAYER_ID, batchId, 1]);
  const { leaf, proof } = entryAt(posted.session, 0);
  const answerData = await call("answerData", [RELAYER_ID, batchId, leaf, proof, rows[0]!]);
  await chain.setTime(await chain.time() + WINDOW_SECONDS + 1);
  const condemn = await call("condemn", [RELAYER_ID, batchId, 1]);
  const voidEntries_16credits = await call("voidEntries", [posted.header, false, openingOf(posted.credits, posted.credits[0]!.id)]);
  const voidEntries_16debits = await call("voidEntries", [posted.header, true, openingOf(posted.debits, posted.debits[0]!.id)]);
  return { challengeData, answerData, condemn, voidEntries_16credits, voidEntries_16debits };
}

/** Opens a force and lets it run out unanswered. @returns gas of both calls */
export async function force(world: World, record: AttemptRecord): Promise<{ opened: number; resolved: number }> {
  const { chain, contracts, owner } = world;
  const opened = await openForce(world, record);
  await chain.setTime(await chain.time() + WINDOW_SECONDS + 1);
  const resolved = await chain.call(owner, contracts["BatchSettlement"]!, ABIS, "resolveForce", [hashStruct("TaskReceipt", record.receipt)]);
  return { opened, resolved };
}

async function openForce(world: World, record: AttemptRecord): Promise<number> {
  const { chain, contracts, owner, signer, domain } = world;
  const ack = { receiptHash: hashStruct("TaskReceipt", record.receipt), relayerId: RELAYER_ID, relayerEpoch: 1, ackedAt: await chain.time() - WINDOW_SECONDS };
  return chain.call(owner, contracts["BatchSettlement"]!, ABIS, "openForce", [record, ack, await signStruct(signer, domain, "Ack", ack), 0n]);
}
