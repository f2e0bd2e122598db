// Asks the judges on chain what they say to a proof, before it is announced: they only read, so asking is free.
import { BaseError, decodeAbiParameters, decodeErrorResult, parseAbi, parseAbiParameters, type Abi, type PublicClient } from "viem";
import { FraudProofsAbi } from "../protocol/generated/abi/FraudProofs.ts";
import { TidelaneError } from "../protocol/errors.ts";
import type { Address, Hex } from "../protocol/units.ts";
import type { Finding, Judgement } from "./ports.ts";

type Judge = "nodeJudge" | "leafJudge" | "treeJudge" | "relayerJudge";

/** As FraudProofs hands its calls on. */
const JUDGES: Readonly<Record<Exclude<Finding["functionName"], "challengeData">, Judge>> = {
  proveSaturationEquivocation: "nodeJudge", proveReceiptEquivocation: "nodeJudge", proveFalseRefusal: "nodeJudge",
  proveInvalidLeaf: "leafJudge", provePaidAfterForce: "leafJudge",
  proveWrongChange: "treeJudge", proveTaskAboveMaxFee: "treeJudge", proveBadSum: "treeJudge", proveTaskInTwoBatches: "treeJudge",
  proveSecondInput: "treeJudge", proveDisorder: "treeJudge", proveAsymmetry: "treeJudge",
  proveHeaderEquivocation: "relayerJudge", proveDoubleAssignment: "relayerJudge", proveSharesAboveMaxFee: "relayerJudge",
  proveBadBoardLeaf: "relayerJudge", proveStaleBoardLeaf: "relayerJudge", proveOmittedBoardLeaf: "relayerJudge", proveWrongPool: "relayerJudge",
};

/** `Verdict` of contracts/fraud/Evidence.sol. */
const VERDICT = parseAbiParameters([
  "Verdict verdict",
  "struct Verdict { bytes32 key; uint8 party; uint32 offender; uint32 relayerId; uint64 batchId; bytes32 voidedLeaf; bytes32 sessionId; address harmed; uint32 nodeId; uint96 fromTab; uint96 refund; uint96 extra; uint96 excess; uint16 penaltyBps; uint96 penaltyLeast; bool jail; bool doubles; }",
]);
/** What a judge may also revert with: errors of the libraries that it reads with. */
const ERRORS = [
  ...FraudProofsAbi.filter((item) => item.type === "error"),
  ...parseAbi(["error RecordNotLinked(bytes32 expected, bytes32 shown)", "error OpeningMismatch(bytes32 expected, bytes32 computed)", "error ItemNotShown(bytes32 id)"]),
] as Abi;

export function judgeOf(client: PublicClient, fraudProofs: Address): (functionName: Finding["functionName"], proof: Hex) => Promise<Judgement> {
  const fraud = { address: fraudProofs, abi: FraudProofsAbi } as const;
  const judges = new Map<Judge, Promise<Address>>();
  return async (functionName, proof) => {
    if (functionName === "challengeData") throw new TidelaneError("A demand for data is no proof, and no judge reads it.", { code: "not_a_proof" });
    const name = JUDGES[functionName];
    const address = judges.get(name) ?? client.readContract({ ...fraud, functionName: name });
    judges.set(name, address);
    try {
      const { data } = await client.call({ to: await address, data: proof });
      const [verdict] = decodeAbiParameters(VERDICT, data ?? "0x");
      // Whoever showed a part of an excess keeps nobody from the rest.
      const isPunished = verdict.excess === 0n && await client.readContract({ ...fraud, functionName: "isPunished", args: [verdict.key] });
      return { holds: true, key: verdict.key, party: verdict.party === 0 ? "node" : "relayer", offender: verdict.offender, isPunished };
    } catch (error) {
      const reason = revertOf(error);
      if (reason === null) throw error;
      return { holds: false, reason };
    }
  };
}

/** The contract's error in words; null where it is none, but the chain not answering. */
export function revertOf(error: unknown): string | null {
  for (let at: unknown = error; typeof at === "object" && at !== null; at = (at as { cause?: unknown }).cause) {
    const { data } = at as { data?: unknown };
    const bytes = typeof data === "string" ? data : (data as { data?: unknown } | undefined)?.data;
    if (typeof bytes === "string" && /^0x[0-9a-fA-F]*$/.test(bytes)) return reasonOf(bytes as Hex);
  }
  return error instanceof BaseError && /revert/i.test(error.shortMessage) ? error.shortMessage : null;
}

function reasonOf(data: Hex): string {
  try {
    const { errorName, args } = decodeErrorResult({ abi: ERRORS, data });
    return `${errorName}(${(args ?? []).map(String).join(", ")})`;
  } catch {
    return data === "0x" ? "no reason given" : `unknown error ${data.slice(0, 10)}`;
  }
}
