// The call that answers a demand for data: the record at one index of a batch's session tree, shown whole.
import { encodeFunctionData } from "viem/utils";
import { FraudProofsAbi } from "./generated/abi/FraudProofs.ts";
import { leafStruct, pathStruct, recordStruct } from "./evidence.ts";
import type { SumProof } from "./merkleSum.ts";
import type { AttemptRecord } from "./records.ts";
import type { Hex } from "./units.ts";

/** Anyone who holds the record may send it, within W of the demand. @param proof in the session tree */
export const answerDataCall = (relayerId: number, batchId: bigint, record: AttemptRecord, proof: SumProof): Hex =>
  encodeFunctionData({ abi: FraudProofsAbi, functionName: "answerData", args: [relayerId, batchId, leafStruct(record), pathStruct(proof), recordStruct(record)] });
