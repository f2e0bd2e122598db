// One epoch of a relayer's board: its data, its leaves and pool figures, and what the relayer relied on in it.
import type { Hash, Seconds } from "../../protocol/units.ts";
import { isDataOf } from "../watch/batches.ts";
import { attestationsByHash, boardDataFromBytes, boardFindings, reliedOnIn, type BoardContext, type BoardData } from "../watch/boards.ts";
import { NO_MESSAGES } from "../watch/history.ts";
import { messageFindings } from "../watch/messages.ts";
import { openCases } from "./cases.ts";
import { signedAssignments } from "./signed.ts";
import type { OpenBoard } from "./state.ts";
import type { Asks, Watch } from "./watch.ts";

/** It is not punishable to withhold an epoch's data; it is asked for so long. */
const ASKED_WINDOWS = 2;

/** @returns whether nothing more is to be learned of it for now; a later batch opens it again */
export async function checkBoard(watch: Watch, asks: Asks, { commitment, dataHash }: OpenBoard, now: Seconds): Promise<boolean> {
  const { archive, related, settings, state } = watch;
  const archived = await archive.object(dataHash);
  const bytes = archived ?? await asks.published((source) => source.record(dataHash));
  const isTooLate = now > Number(commitment.epoch + 1n) * settings.epochSeconds + ASKED_WINDOWS * settings.windowSeconds;
  if (bytes === null || !isDataOf(dataHash, bytes)) return isTooLate;
  const data = boardDataOf(bytes);
  if (data === null) return unreadable(watch, commitment.relayerId, commitment.epoch);
  if (!archived) await archive.keepObject(dataHash, bytes);
  if (await related.noteBoard({ commitment, dataHash }, data.attestations)) state.checked.boards += 1;
  const found = boardFindings(commitment, data, await contextOf(watch, commitment.relayerId, commitment.epoch, data));
  if (found === null) await archive.log({ what: "unshown", relayerId: commitment.relayerId, epoch: commitment.epoch, detail: "the leaves of the epoch's data are not those under its root" });
  else await openCases(watch, found);
  const attestations = [...data.attestations, ...watch.evidence.flatMap((one) => one.messages.attestations)];
  await openCases(watch, messageFindings(await related.around({ ...NO_MESSAGES, attestations })));
  return true;
}

/** Attestations of the epoch, of others where an assignment names them, and of files. */
async function contextOf(watch: Watch, relayerId: number, epoch: bigint, data: BoardData): Promise<BoardContext> {
  const { related, settings, evidence } = watch;
  const messages = evidence.map((one) => one.messages);
  const given = [...await related.assignmentsIn(relayerId, epoch), ...messages.flatMap((one) => one.assignments)].filter(({ message }) => message.relayerId === relayerId);
  const assignments = reliedOnIn(epoch, await signedAssignments(watch, given), settings.epochSeconds);
  const known = attestationsByHash([...messages.flatMap((one) => one.attestations), ...data.attestations]);
  for (const { message } of assignments) {
    const found = known.has(message.attestationHash) ? null : await related.attestation(message.attestationHash);
    if (found) known.set(message.attestationHash, found);
  }
  return { assignments, epochSeconds: settings.epochSeconds, attestation: (hash: Hash) => known.get(hash) };
}

async function unreadable({ archive }: Watch, relayerId: number, epoch: bigint): Promise<true> {
  await archive.log({ what: "unshown", relayerId, epoch, detail: "what is served as the epoch's data, and has its hash, is no such data or more than is read" });
  return true;
}

function boardDataOf(bytes: Uint8Array): BoardData | null {
  try {
    return boardDataFromBytes(bytes);
  } catch {
    // Bytes that are no epoch's data show nothing.
    return null;
  }
}
