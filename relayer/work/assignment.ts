// What a relayer signs before a node works: which order, which node, at which price, up to which charge and until when.
import { Role } from "../../protocol/constants.ts";
import { structToJson } from "../../protocol/json.ts";
import { voucherHashOf, type CoveredOrder } from "../../protocol/records.ts";
import { digestOfHash, hashStruct } from "../../protocol/typedData.ts";
import { ZERO_HASH, type Hash, type Signature } from "../../protocol/units.ts";
import type { Assignment } from "../../protocol/generated/structs.ts";
import type { Crypto, Identity } from "../ports/world.ts";
import type { Deployment } from "../ports/chain.ts";
import type { OpenedTask } from "../ports/journal.ts";
import type { Choice } from "./routingRequest.ts";

export interface SignedAssignment {
  readonly assignment: Assignment;
  readonly hash: Hash;
  readonly signature: Signature;
}

export interface AssignmentTerms {
  readonly covered: CoveredOrder;
  readonly taskId: Hash;
  /** What the node must find in its input: salt and bytes. */
  readonly inputCommit: Hash;
  readonly kind: OpenedTask["kind"];
  readonly choice: Choice;
  /** From 0; a number is never used twice for one task. */
  readonly attempt: number;
}

/** The whole task is one subtask, and its share is the whole order's: nothing is split yet. */
export async function signAssignment(terms: AssignmentTerms, identity: Identity, deployment: Deployment, crypto: Crypto): Promise<SignedAssignment> {
  const { covered, choice } = terms;
  const issuedAt = Math.floor(choice.atMs / 1_000);
  const assignment: Assignment = {
    taskId: terms.taskId, subtask: 0, subtasks: 1, attempt: terms.attempt, relayerId: identity.relayerId, relayerEpoch: identity.epoch,
    nodeId: choice.nodeId, keyEpoch: choice.keyEpoch, role: terms.kind === "embeddings" ? Role.EMBED : Role.GENERATE,
    voucherHash: voucherHashOf(covered, crypto.keccak256), attestationHash: choice.attestationHash, decisionHash: choice.decisionHash,
    // Conversations are not chained yet.
    contextHead: ZERO_HASH,
    ...choice.prices, feeBps: identity.feeBps, shareCap: covered.order.maxFee,
    inputCommit: terms.inputCommit, issuedAt, deadline: Math.min(covered.order.deadline, issuedAt + deployment.windowSeconds),
  };
  const hash = hashStruct("Assignment", assignment, crypto.keccak256);
  return { assignment, hash, signature: await identity.signer.sign(digestOfHash(deployment.domain, hash, crypto.keccak256)) };
}

/** As the journal keeps it. */
export const assignmentToJson = (signed: SignedAssignment): Record<string, unknown> =>
  ({ assignment: structToJson("Assignment", signed.assignment), assignmentSignature: signed.signature });
