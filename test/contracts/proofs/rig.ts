// A small deployment on a chain in this process for the tests of evidence: two nodes, twenty sessions, a bonded relayer.
import { decodeFunctionResult, encodeFunctionData, type Abi, type Hex } from "viem";
import { encodeProof, type ProofCall, type ProofName } from "../../../auditor/proofs/call.ts";
import { BondVaultAbi } from "../../../protocol/generated/abi/BondVault.ts";
import { FraudProofsAbi } from "../../../protocol/generated/abi/FraudProofs.ts";
import { TideTokenAbi } from "../../../protocol/generated/abi/TideToken.ts";
import { Mode } from "../../../protocol/constants.ts";
import { addNode, addSession, createWorld, hashOf, LARGE, RELAYER_ID, type World } from "../../../bench/gas/world.ts";

const NODES = 2;
const SESSIONS = 20;

export async function smallWorld(): Promise<World> {
  const world = await createWorld();
  for (let i = 0; i < NODES; i++) await addNode(world);
  for (let i = 0; i < SESSIONS; i++) await addSession(world, Mode.VOUCHER);
  await world.chain.call(world.owner, world.contracts["token"]!, TideTokenAbi, "approve", [world.contracts["FraudProofs"], LARGE]);
  return world;
}

/** As much as it had at first, so that the next batch and the next proof find a bond. */
export const bondRelayer = ({ chain, contracts, owner }: World): Promise<number> =>
  chain.call(owner, contracts["BondVault"]!, BondVaultAbi, "bond", [1, RELAYER_ID, LARGE]);

export async function read({ chain, contracts }: World, contract: string, abi: unknown, functionName: string, args: readonly unknown[]): Promise<unknown> {
  const data = encodeFunctionData({ abi: abi as Abi, functionName, args });
  const answer = await chain.request("eth_call", [{ to: contracts[contract], data }, "latest"]) as Hex;
  return decodeFunctionResult({ abi: abi as Abi, functionName, data: answer });
}

/** Asks the judge itself, which FraudProofs hands the call to: what it accepts holds, whoever announced it. */
export async function judgeAccepts(world: World, call: ProofCall): Promise<boolean> {
  const to = await judgeOf(world, call.functionName);
  return world.chain.request("eth_call", [{ to, data: encodeProof(call, hashOf(4_242)) }, "latest"]).then(() => true, () => false);
}

const JUDGES: Readonly<Record<string, RegExp>> = {
  nodeJudge: /SaturationEquivocation|ReceiptEquivocation|FalseRefusal/, leafJudge: /InvalidLeaf|PaidAfterForce/,
  treeJudge: /WrongChange|TaskAboveMaxFee|BadSum|TaskInTwoBatches|SecondInput|Disorder|Asymmetry/, relayerJudge: /./,
};

function judgeOf(world: World, functionName: ProofName): Promise<Hex> {
  const [name] = Object.entries(JUDGES).find(([, proofs]) => proofs.test(functionName))!;
  return read(world, "FraudProofs", FraudProofsAbi, name, []) as Promise<Hex>;
}
