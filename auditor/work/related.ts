// What the archive holds beside new messages: receipts before and after in a tab, attestations of the same number, the batch of a
// task. Notes say where to look, so that only what contradicts is read whole.
import { batchDataFromBytes, type BatchDataTask } from "../../protocol/batchData.ts";
import type { SignedAttestation } from "../../protocol/link.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import type { Assignment, TaskReceipt } from "../../protocol/generated/structs.ts";
import type { Hash } from "../../protocol/units.ts";
import type { KeptBatch, Note, WatchArchive } from "../ports.ts";
import { assignmentsOf, leafOfTask, messagesOf, taskIdsIn } from "../watch/batches.ts";
import { boardDataFromBytes } from "../watch/boards.ts";
import type { CommitmentEvidence } from "../watch/findings.ts";
import { NO_MESSAGES, joined, type EarlierLeaf, type ForceFact, type Messages, type Signed, type WatchedBatch } from "../watch/history.ts";
import type { OpenBoard } from "./state.ts";

/** Batches that are read whole for one set of messages. */
const BATCHES_READ_MAX = 16;

export class Related {
  readonly #archive: WatchArchive;

  constructor(archive: WatchArchive) {
    this.#archive = archive;
  }

  /** What is noted of a batch whose data is known. */
  async noteBatch({ header }: Pick<WatchedBatch, "header">, tasks: readonly BatchDataTask[], epochOf: (assignment: Assignment) => number): Promise<void> {
    const { relayerId } = header;
    const at = placeOf({ header });
    const { receipts } = messagesOf(tasks);
    const given = assignmentsOf(tasks);
    const named = [...new Map(given.map((one) => [`${epochOf(one.message)}:${one.message.attestationHash}`, one])).values()];
    await this.#archive.note([
      ...taskIdsIn(tasks).map((taskId): Note => ({ kind: "task", key: `${relayerId}:${taskId}`, value: at })),
      ...receipts.flatMap(({ message }): Note[] => {
        const hash = hashStruct("TaskReceipt", message);
        return [
          { kind: "seq", key: seqOf(message), value: `${hash} ${at}` }, { kind: "receipt", key: hash, value: `${message.nodeCumulative} ${at}` },
          { kind: "next", key: message.body.prevReceiptHash, value: `${message.nodeCumulative - message.body.fee} ${at}` },
        ];
      }),
      ...named.map(({ message }): Note => ({ kind: "named", key: `${relayerId}:${epochOf(message)}`, value: at })),
      ...given.map(({ message }): Note => ({ kind: "assignment", key: hashStruct("Assignment", message), value: at })),
    ]);
  }

  /** @returns whether it was not noted before */
  async noteBoard({ commitment, dataHash }: Pick<OpenBoard, "commitment" | "dataHash">, attestations: readonly SignedAttestation[]): Promise<boolean> {
    const { relayerId, epoch } = commitment;
    if (await this.board(relayerId, epoch)) return false;
    await this.#archive.note([{ kind: "board", key: `${relayerId}:${epoch}`, value: JSON.stringify({ commitment, dataHash }, bigintsAsText) }]);
    await this.#archive.note(attestations.flatMap(({ attestation }): Note[] => {
      const hash = hashStruct("SaturationAttestation", attestation);
      return [{ kind: "attestation", key: hash, value: dataHash }, { kind: "attested", key: attestedAs(attestation), value: `${hash} ${dataHash}` }];
    }));
    return true;
  }

  /** A board that was checked before; null where none was. */
  async board(relayerId: number, epoch: bigint): Promise<OpenBoard | null> {
    const text = (await this.#archive.noted("board", `${relayerId}:${epoch}`)).at(-1);
    return text === undefined ? null : boardFromText(text);
  }

  /** @returns the batches that hold leaves of its task already */
  async noteForce(relayerId: number, force: ForceFact): Promise<readonly bigint[]> {
    await this.#archive.note([{ kind: "force", key: `${relayerId}:${force.taskId}`, value: JSON.stringify(force, bigintsAsText) }]);
    return this.#batchesOf(relayerId, force.taskId);
  }

  /** The messages, and those in the archive that may contradict them. @param own the batch that they come from, if any */
  async around(messages: Messages, own: Pick<WatchedBatch, "header"> | null = null): Promise<Messages> {
    const batches = new Set<string>();
    for (const { message } of messages.receipts) for (const at of await this.#contradicting(message)) batches.add(at);
    for (const { message } of messages.refusals) for (const at of await this.#archive.noted("assignment", message.assignmentHash)) batches.add(at);
    for (const { message } of messages.assignments) for (const at of await this.#archive.noted("task", `${message.relayerId}:${message.taskId}`)) batches.add(at);
    if (own) batches.delete(placeOf(own));
    if (batches.size > BATCHES_READ_MAX) await this.#archive.log({ what: "unread", beside: own && placeOf(own), detail: `${batches.size - BATCHES_READ_MAX} of ${batches.size} batches that may contradict what was signed are not read`, batches: [...batches].slice(BATCHES_READ_MAX) });
    const read = await Promise.all([...batches].slice(0, BATCHES_READ_MAX).map((at) => this.#messagesAt(at)));
    const all = joined(messages, ...read);
    const attestations = await this.#attestationsBeside(all);
    return joined(all, { ...NO_MESSAGES, attestations });
  }

  /** Where the batches stand whose receipts contradict this one. */
  async #contradicting(receipt: TaskReceipt): Promise<string[]> {
    const hash = hashStruct("TaskReceipt", receipt);
    const same = (await this.#archive.noted("seq", seqOf(receipt))).filter((value) => !value.startsWith(hash)).map(placeIn);
    const before = (await this.#archive.noted("receipt", receipt.body.prevReceiptHash)).filter((value) => numberIn(value) + receipt.body.fee !== receipt.nodeCumulative).map(placeIn);
    const after = (await this.#archive.noted("next", hash)).filter((value) => numberIn(value) !== receipt.nodeCumulative).map(placeIn);
    return [...same, ...before, ...after];
  }

  /** Attestations that assignments name where refusals speak of them, and others of the same number. */
  async #attestationsBeside({ attestations, refusals, assignments }: Messages): Promise<SignedAttestation[]> {
    const known = new Set(attestations.map(({ attestation }) => hashStruct("SaturationAttestation", attestation)));
    const refused = new Set(refusals.map(({ message }) => message.assignmentHash));
    const wanted = refused.size === 0 ? [] : assignments.filter(({ message }) => refused.has(hashStruct("Assignment", message))).map(({ message }) => message.attestationHash);
    const found: SignedAttestation[] = [];
    for (const hash of wanted.filter((one) => !known.has(one))) found.push(...await this.attestation(hash).then((one) => (one ? [one] : [])));
    for (const { attestation } of attestations) {
      for (const value of await this.#archive.noted("attested", attestedAs(attestation))) {
        const [hash, dataHash] = value.split(" ") as [Hash, Hash];
        if (!known.has(hash)) found.push(...(await this.#boardAttestations(dataHash)).filter((one) => hashStruct("SaturationAttestation", one.attestation) === hash));
      }
    }
    return found;
  }

  async attestation(hash: Hash): Promise<SignedAttestation | null> {
    for (const dataHash of await this.#archive.noted("attestation", hash)) {
      const found = (await this.#boardAttestations(dataHash as Hash)).find((one) => hashStruct("SaturationAttestation", one.attestation) === hash);
      if (found) return found;
    }
    return null;
  }

  /** Assignments of an epoch that the archived batches hold. */
  async assignmentsIn(relayerId: number, epoch: bigint): Promise<readonly Signed<Assignment>[]> {
    const batches = await this.#archive.noted("named", `${relayerId}:${epoch}`);
    const read = await Promise.all(batches.map((at) => this.#messagesAt(at)));
    return read.flatMap(({ assignments }) => assignments);
  }

  async forcesOf(relayerId: number, taskIds: readonly Hash[]): Promise<Map<Hash, readonly ForceFact[]>> {
    const forces = new Map<Hash, readonly ForceFact[]>();
    for (const taskId of taskIds) {
      const found = (await this.#archive.noted("force", `${relayerId}:${taskId}`)).map(forceFromText);
      if (found.length > 0) forces.set(taskId, found);
    }
    return forces;
  }

  /** A leaf of each task that an earlier batch of this relayer has settled. */
  async earlierOf({ header: { relayerId, batchId } }: Pick<WatchedBatch, "header">, taskIds: readonly Hash[]): Promise<Map<Hash, EarlierLeaf>> {
    const earlier = new Map<Hash, EarlierLeaf>();
    for (const taskId of taskIds) {
      for (const before of (await this.#batchesOf(relayerId, taskId)).filter((one) => one < batchId)) {
        const batch = await this.watched(relayerId, before);
        const leaf = batch && leafOfTask(batch, taskId);
        if (!leaf) continue;
        earlier.set(taskId, leaf);
        break;
      }
    }
    return earlier;
  }

  /** Batches after this one that hold tasks of it: they were compared with what came before them without it. */
  async laterOf({ header: { relayerId, batchId } }: Pick<WatchedBatch, "header">, taskIds: readonly Hash[]): Promise<readonly bigint[]> {
    const later = new Set<bigint>();
    for (const taskId of taskIds) for (const one of await this.#batchesOf(relayerId, taskId)) if (one > batchId) later.add(one);
    return [...later];
  }

  /** A batch as the archive holds it; null where it does not. */
  async watched(relayerId: number, batchId: bigint): Promise<WatchedBatch | null> {
    const kept = await this.#archive.batch(relayerId, batchId);
    return kept && { ...kept, tasks: await this.tasksOf(kept) ?? [] };
  }

  /** Null where the data is not archived or cannot be read. */
  async tasksOf({ header }: Pick<KeptBatch, "header">): Promise<readonly BatchDataTask[] | null> {
    const bytes = await this.#archive.object(header.dataHash);
    try {
      return bytes && batchDataFromBytes(bytes).tasks;
    } catch {
      // Bytes that are no batch's data say as little as none.
      return null;
    }
  }

  async #batchesOf(relayerId: number, taskId: Hash): Promise<readonly bigint[]> {
    return (await this.#archive.noted("task", `${relayerId}:${taskId}`)).map((at) => BigInt(at.split(":")[1]!));
  }

  async #messagesAt(at: string): Promise<Messages> {
    const [relayerId, batchId] = at.split(":");
    const batch = await this.watched(Number(relayerId), BigInt(batchId!));
    return batch ? messagesOf(batch.tasks) : NO_MESSAGES;
  }

  async #boardAttestations(dataHash: Hash): Promise<readonly SignedAttestation[]> {
    const bytes = await this.#archive.object(dataHash);
    return bytes ? boardDataFromBytes(bytes).attestations : [];
  }
}

const seqOf = ({ nodeId, relayerId, nodeSeq }: TaskReceipt): string => `${nodeId}:${relayerId}:${nodeSeq}`;
const attestedAs = ({ nodeId, relayerId, keyEpoch, seq }: SignedAttestation["attestation"]): string => `${nodeId}:${relayerId}:${keyEpoch}:${seq}`;
const placeIn = (value: string): string => value.split(" ")[1]!;
const numberIn = (value: string): bigint => BigInt(value.split(" ")[0]!);
const placeOf = ({ header }: Pick<WatchedBatch, "header">): string => `${header.relayerId}:${header.batchId}`;

const bigintsAsText = (_key: string, member: unknown): unknown => (typeof member === "bigint" ? String(member) : member);

function boardFromText(text: string): OpenBoard {
  const { commitment, dataHash } = JSON.parse(text) as { commitment: CommitmentEvidence; dataHash: Hash };
  const pools = commitment.pools.map(({ modelId, slots, slotBps }) => ({ modelId, slots: BigInt(slots), slotBps: BigInt(slotBps) }));
  return { dataHash, nextAt: 0, commitment: { ...commitment, epoch: BigInt(commitment.epoch), pools } };
}

function forceFromText(text: string): ForceFact {
  const force = JSON.parse(text) as Omit<ForceFact, "fee" | "maxFee"> & { readonly fee: string; readonly maxFee: string };
  return { ...force, fee: BigInt(force.fee), maxFee: BigInt(force.maxFee) };
}
