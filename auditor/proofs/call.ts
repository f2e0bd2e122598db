// From a finding to the call that proves it: name, arguments, bytes, and the commitment that announces them.
//
//   finding ─▶ proofCall ─▶ encodeProof(salt) ─▶ commitmentOf(sender) ─▶ announce ── 2 blocks ──▶ the same bytes
import { encodeAbiParameters, encodeFunctionData, keccak256, type Abi, type ContractFunctionArgs } from "viem";
import { recordStruct } from "../../protocol/evidence.ts";
import { FraudProofsAbi } from "../../protocol/generated/abi/FraudProofs.ts";
import type { Address, Hash, Hex } from "../../protocol/units.ts";
import type { Finding, FindingOf, TwoSigned } from "../watch/findings.ts";

/** A proof must be announced by its sender so many blocks before. */
export const ANNOUNCED_BLOCKS = 2;

/** All but the demand for data, which is no proof: see withheld.ts. */
export type ProofName = Exclude<Finding["functionName"], "challengeData">;
export type ProvableFinding = FindingOf<ProofName>;

type Arguments<Name extends ProofName> = ContractFunctionArgs<typeof FraudProofsAbi, "nonpayable", Name>;
/** What a judge reads: all arguments but the salt. */
export type ProofArguments<Name extends ProofName> = Arguments<Name> extends readonly [...infer Evidence, Hex] ? Readonly<Evidence> : never;

/** `args` are the function's in their order, the salt left out. */
export type ProofCall = { [Name in ProofName]: { readonly functionName: Name; readonly args: ProofArguments<Name> } }[ProofName];

/** @returns the call of FraudProofs that proves it */
export function proofCall<Name extends ProofName>(finding: Extract<ProvableFinding, { functionName: Name }>): ProofCall {
  const argumentsOf = builders[finding.functionName] as (evidence: ProvableFinding["evidence"]) => ProofCall["args"];
  return { functionName: finding.functionName, args: argumentsOf(finding.evidence) } as ProofCall;
}

/** @param salt any 32 bytes that nobody can guess: they hide the evidence until it is sent */
export const encodeProof = ({ functionName, args }: ProofCall, salt: Hash): Hex =>
  encodeFunctionData({ abi: FraudProofsAbi as Abi, functionName, args: [...args, salt] });

/** What `sender` announces of a proof, so that whoever copies it from the mempool comes too late. */
export const commitmentOf = (sender: Address, proof: Hex): Hash =>
  keccak256(encodeAbiParameters([{ type: "address" }, { type: "bytes32" }], [sender, keccak256(proof)]));

/** The announcement of a proof by its sender. */
export const encodeAnnouncement = (sender: Address, proof: Hex): Hex =>
  encodeFunctionData({ abi: FraudProofsAbi, functionName: "announce", args: [commitmentOf(sender, proof)] });

const twoSigned = <Message>({ one, oneSignature, other, otherSignature }: TwoSigned<Message>) => [one, oneSignature, other, otherSignature] as const;

const builders: { readonly [Name in ProofName]: (evidence: FindingOf<Name>["evidence"]) => ProofArguments<Name> } = {
  proveSaturationEquivocation: twoSigned,
  proveReceiptEquivocation: twoSigned,
  proveFalseRefusal: (e) => [e.attestation, e.attestationSignature, e.assignment, e.assignmentSignature, e.refusal, e.refusalSignature],
  proveInvalidLeaf: (e) => [e.relayerId, e.batchId, e.leaf, e.sessionProof, recordStruct(e.record)],
  proveWrongChange: (e) => [e.header, e.opening, e.claim],
  proveTaskAboveMaxFee: (e) => [e.relayerId, e.batchId, e.order, e.first, e.last],
  proveBadSum: (e) => [e.relayerId, e.batchId, e.tree, e.badSum],
  proveTaskInTwoBatches: (e) => [e.relayerId, e.earlierBatchId, e.earlier, e.laterBatchId, e.later],
  proveSecondInput: (e) => [e.relayerId, e.batchId, e.one, e.oneAssignment, e.other, e.otherAssignment],
  proveDisorder: (e) => [e.relayerId, e.batchId, e.tree, e.left, e.right],
  proveHeaderEquivocation: twoSigned,
  proveDoubleAssignment: twoSigned,
  proveSharesAboveMaxFee: (e) => [e.order, e.assignments, e.signatures],
  proveAsymmetry: (e) => [e.relayerId, e.batchId, e.tree, e.entry, e.others],
  proveBadBoardLeaf: (e) => [e.commitment, e.entry, e.attestation],
  proveStaleBoardLeaf: (e) => [e.commitment, e.entry, e.attestation, e.later, e.assignment, e.assignmentSignature],
  proveOmittedBoardLeaf: (e) => [e.commitment, e.modelId, e.omitted, e.offers, e.assignment, e.assignmentSignature, e.others],
  proveWrongPool: (e) => [e.commitment, BigInt(e.pool), e.bounds, e.isOver, e.hasLeft],
  provePaidAfterForce: (e) => [e.forcedReceiptHash, e.batchId, e.entry, e.assignment],
};
