// What a watcher finds: one variant for each function of FraudProofs, with the evidence that its judge reads, the salt left out.
//
// Shapes are those of contracts/fraud/Evidence.sol and contracts/interfaces/IBoardEvidence.sol, so that a finding can be kept on
// disk and sent as it stands. `auditor/proofs` makes them from records, trees and lists, and the call from a finding.
import type { LeafStruct, PathStruct } from "../../protocol/evidence.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Assignment, BatchHeader, Refusal, SaturationAttestation, TaskOrder, TaskReceipt } from "../../protocol/generated/structs.ts";
import type { Hash, Hex, TokenAmount } from "../../protocol/units.ts";

/** `Tree` of the contracts. */
export const Tree = { SESSION: 0, TAB: 1 } as const;
export type TreeKind = (typeof Tree)[keyof typeof Tree];

/** `Entry`: a leaf, its place in one tree of a batch, and the receipt that it stands for. */
export interface EntryEvidence {
  readonly leaf: LeafStruct;
  readonly proof: PathStruct;
  readonly receipt: TaskReceipt;
}

/** `BadSum`: a place whose named sum is not that of what lies below it. */
export interface BadSumEvidence {
  readonly level: number;
  readonly index: number;
  readonly leaf: LeafStruct;
  readonly leftHash: Hash;
  readonly leftSum: bigint;
  readonly rightHash: Hash;
  readonly rightSum: bigint;
  readonly ownSums: readonly bigint[];
  readonly siblingHashes: readonly Hash[];
  readonly siblingSums: readonly bigint[];
}

/** `ItemsOpening`: consecutive groups of a header's list, whole, and the hashes of all of its groups. */
export interface OpeningEvidence {
  readonly groups: readonly Hash[];
  readonly first: number;
  readonly opened: readonly (readonly { readonly id: Hash; readonly change: TokenAmount }[])[];
}

/** `ChangeClaim`: bounds are the neighbours of the id's leaves where `isOver`, else its first and its last leaf. */
export interface ChangeEvidence {
  readonly tree: TreeKind;
  readonly id: Hash;
  readonly isOver: boolean;
  readonly hasLeft: boolean;
  readonly bounds: readonly EntryEvidence[];
}

/** `EpochCommitment`: what a relayer committed for an epoch. */
export interface CommitmentEvidence {
  readonly relayerId: number;
  readonly epoch: bigint;
  readonly root: Hash;
  readonly leafCount: number;
  readonly pools: readonly { readonly modelId: Hash; readonly slots: bigint; readonly slotBps: bigint }[];
}

/** `BoardEntry`: a leaf of an epoch's tree and its place. */
export interface BoardEntryEvidence {
  readonly modelId: Hash;
  readonly nodeId: number;
  readonly attestationHash: Hash;
  readonly slots: number;
  readonly slotBps: bigint;
  readonly proof: PathStruct;
}

/** Two messages of one signer about one thing. */
export interface TwoSigned<Message> {
  readonly one: Message;
  readonly oneSignature: Hex;
  readonly other: Message;
  readonly otherSignature: Hex;
}

/** A place in the session tree of a posted batch. */
interface OfBatch {
  readonly relayerId: number;
  readonly batchId: bigint;
}

export type Finding =
  | Offence<"F1", "proveSaturationEquivocation", TwoSigned<SaturationAttestation>>
  | Offence<"F2", "proveReceiptEquivocation", TwoSigned<TaskReceipt>>
  | Offence<"F3", "proveFalseRefusal", {
    readonly attestation: SaturationAttestation; readonly attestationSignature: Hex;
    readonly assignment: Assignment; readonly assignmentSignature: Hex;
    readonly refusal: Refusal; readonly refusalSignature: Hex;
  }>
  | Offence<"F4", "proveInvalidLeaf", OfBatch & { readonly leaf: LeafStruct; readonly sessionProof: PathStruct; readonly record: AttemptRecord }>
  | Offence<"F5", "proveWrongChange", { readonly header: BatchHeader; readonly opening: OpeningEvidence; readonly claim: ChangeEvidence }>
  | Offence<"F5", "proveTaskAboveMaxFee", OfBatch & { readonly order: TaskOrder; readonly first: EntryEvidence; readonly last: EntryEvidence }>
  | Offence<"F6", "proveBadSum", OfBatch & { readonly tree: TreeKind; readonly badSum: BadSumEvidence }>
  | Offence<"F7", "proveTaskInTwoBatches", {
    readonly relayerId: number; readonly earlierBatchId: bigint; readonly earlier: EntryEvidence; readonly laterBatchId: bigint; readonly later: EntryEvidence;
  }>
  | Offence<"F7", "proveSecondInput", OfBatch & {
    readonly one: EntryEvidence; readonly oneAssignment: Assignment; readonly other: EntryEvidence; readonly otherAssignment: Assignment;
  }>
  | Offence<"F7", "proveDisorder", OfBatch & { readonly tree: TreeKind; readonly left: EntryEvidence; readonly right: EntryEvidence }>
  | Offence<"F8", "proveHeaderEquivocation", TwoSigned<BatchHeader>>
  /** Not a proof but a demand: challenged, condemned after W without an answer, then voided by opening the header's lists. */
  | Offence<"F9", "challengeData", OfBatch & { readonly index: number }>
  | Offence<"F10", "proveDoubleAssignment", TwoSigned<Assignment>>
  | Offence<"F10", "proveSharesAboveMaxFee", { readonly order: TaskOrder; readonly assignments: readonly Assignment[]; readonly signatures: readonly Hex[] }>
  | Offence<"F11", "proveAsymmetry", OfBatch & { readonly tree: TreeKind; readonly entry: EntryEvidence; readonly others: readonly EntryEvidence[] }>
  | Offence<"F12", "proveBadBoardLeaf", { readonly commitment: CommitmentEvidence; readonly entry: BoardEntryEvidence; readonly attestation: SaturationAttestation }>
  | Offence<"F12", "proveStaleBoardLeaf", {
    readonly commitment: CommitmentEvidence; readonly entry: BoardEntryEvidence; readonly attestation: SaturationAttestation;
    readonly later: SaturationAttestation; readonly assignment: Assignment; readonly assignmentSignature: Hex;
  }>
  | Offence<"F12", "proveOmittedBoardLeaf", {
    readonly commitment: CommitmentEvidence; readonly modelId: Hash; readonly omitted: SaturationAttestation;
    /** The list behind offersHash: (modelId, slots, priceIn, priceOut) words of each. */
    readonly offers: Hex; readonly assignment: Assignment; readonly assignmentSignature: Hex; readonly others: readonly BoardEntryEvidence[];
  }>
  | Offence<"F12", "proveWrongPool", {
    readonly commitment: CommitmentEvidence; readonly pool: number; readonly bounds: readonly BoardEntryEvidence[]; readonly isOver: boolean; readonly hasLeft: boolean;
  }>
  | Offence<"F13", "provePaidAfterForce", { readonly forcedReceiptHash: Hash; readonly batchId: bigint; readonly entry: EntryEvidence; readonly assignment: Assignment }>;

export interface Offence<Id extends string, FunctionName extends string, Evidence> {
  readonly offence: Id;
  readonly functionName: FunctionName;
  readonly evidence: Evidence;
}

export type OffenceId = Finding["offence"];
/** The finding that one function of FraudProofs proves. */
export type FindingOf<FunctionName extends Finding["functionName"]> = Extract<Finding, { functionName: FunctionName }>;
