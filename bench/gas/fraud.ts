// What exits and fraud proofs cost, at 10,000 leaves and 120 items in the batch.
import { commitmentOf, encodeProof, proofCall, type ProvableFinding } from "../../auditor/proofs/call.ts";
import { Mode } from "../../protocol/constants.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { FraudProofsAbi } from "../../protocol/generated/abi/FraudProofs.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { post, rowsOf } from "./evidence.ts";
import { ABIS, forceCosts, withheldDataCosts } from "./exits.ts";
import { offences, twoAssignments } from "./offences.ts";
import { addNode, addSession, createWorld, hashOf, LARGE, RELAYER_ID, type World } from "./world.ts";

const SALT = hashOf(4_242);
const NODES = 20;
const SESSIONS = 100;

export async function fraudCosts(): Promise<Record<string, number>> {
  const world = await createWorld();
  for (let i = 0; i < NODES; i++) await addNode(world);
  for (let i = 0; i < SESSIONS; i++) await addSession(world, Mode.VOUCHER);
  await world.chain.call(world.owner, world.contracts["token"]!, TideTokenAbi, "approve", [world.contracts["FraudProofs"], LARGE]);
  // So that the storage of fees, tabs and sessions is warm, and of a challenger's rewards.
  await post(world, await rowsOf(world));
  await prove(world, await twoAssignments(world, 99));
  const gas: Record<string, number> = {};
  for await (const { name, finding } of offences(world)) gas[name] = await prove(world, finding);
  return { ...gas, ...await forceCosts(world), ...await withheldDataCosts(world) };
}

/** Announces, waits and proves, as a challenger does; then the relayer bonds anew. @returns gas of the proof */
async function prove({ chain, contracts, owner }: World, finding: ProvableFinding): Promise<number> {
  const call = proofCall(finding);
  await chain.call(owner, contracts["FraudProofs"]!, FraudProofsAbi, "announce", [commitmentOf(owner, encodeProof(call, SALT))]);
  await chain.request("evm_mine");
  const gas = await chain.call(owner, contracts["FraudProofs"]!, ABIS, call.functionName, [...call.args, SALT]);
  await chain.call(owner, contracts["BondVault"]!, BondVaultAbi, "bond", [1, RELAYER_ID, LARGE]);
  return gas;
}
