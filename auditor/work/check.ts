// Checks what is open: fetches and archives what relayers published, and compares it with what the chain holds.
import { batchDataFromBytes, type BatchDataTask } from "../../protocol/batchData.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Hash, Seconds } from "../../protocol/units.ts";
import type { KeptBatch } from "../ports.ts";
import { batchVerdict, isDataOf, messagesOf, type BatchVerdict } from "../watch/batches.ts";
import { attestationsByHash, boardDataFromBytes, boardFindings, epochOf, reliedOnIn, type BoardData } from "../watch/boards.ts";
import type { OffenceId } from "../watch/findings.ts";
import { shownOfView } from "../watch/evidenceFile.ts";
import { NO_MESSAGES, joined, type Messages, type ShownPath, type WatchedBatch } from "../watch/history.ts";
import { messageFindings } from "../watch/messages.ts";
import { openCases } from "./cases.ts";
import { seenHeaders } from "./follow.ts";
import type { OpenBatch, OpenBoard } from "./state.ts";
import { urlOf, type Watch } from "./watch.ts";

/** Tasks whose receipts are asked for where the records do not make the trees. */
const RECEIPTS_MAX = 2_000;
const CHECKED_MAX = 200;
const WHOLE_BOND: readonly OffenceId[] = ["F6", "F7", "F8", "F11"];
/** A relayer that is down has a part of W to come back before its data is demanded. */
const GRACE_PARTS = 4;
/** An epoch's data is not punishable to withhold; it is asked for so long. */
const BOARD_WINDOWS = 2;

/** What is not served yet stays open. */
export async function checkOpen(watch: Watch): Promise<void> {
  const { state, archive, chain } = watch;
  const now = (await chain.head()).timestamp;
  // Batches first: what they relied on is what boards are compared with.
  for (const batch of state.batches.slice(0, CHECKED_MAX)) if (await checkBatch(watch, batch, now)) state.batches = state.batches.filter((one) => one !== batch);
  for (const board of state.boards.slice(0, CHECKED_MAX)) if (await checkBoard(watch, board, now)) state.boards = state.boards.filter((one) => one !== board);
  await archive.saveState(state);
}

/** What a file holds, against all that is archived of the same things. */
export async function checkEvidence(watch: Watch): Promise<void> {
  const messages = joined(NO_MESSAGES, ...watch.evidence.map((one) => one.messages));
  const seen = await Promise.all(messages.headers.map(({ message }) => seenHeaders(watch, message.relayerId, message.batchId)));
  await openCases(watch, messageFindings(await watch.related.around({ ...messages, headers: [...messages.headers, ...seen.flat()] })));
}

/** @returns whether nothing more is to be learned of it */
async function checkBatch(watch: Watch, open: OpenBatch, now: Seconds): Promise<boolean> {
  const { archive, settings, state } = watch;
  const { relayerId, batchId } = open;
  const kept = await archive.batch(relayerId, batchId);
  if (!kept) return true;
  const served = await servedTasks(watch, kept);
  const shown = [...kept.shown, ...watch.evidence.flatMap((one) => one.shown).filter((one) => one.relayerId === relayerId && one.batchId === batchId).map((one) => one.shown)];
  const batch: WatchedBatch = { ...kept, tasks: served ?? [], shown };
  const verdict = await judged(watch, batch);
  await openCases(watch, verdict.found);
  if (served) await noteBatch(watch, batch, served);
  if (verdict.unknownIndex === null) {
    state.checked.batches += 1;
    if (!verdict.isTabKnown && verdict.found.length === 0) await archive.log({ what: "unshown", relayerId, batchId, detail: "the records do not make the tab tree, and nobody has shown its leaves" });
    return true;
  }
  const age = now - open.postedAt;
  if (age > settings.windowSeconds) return !state.cases.some((one) => one.place?.relayerId === relayerId && one.place.batchId === batchId && one.status === "challenged");
  // What takes the whole bond needs no demand beside it.
  if (verdict.found.some(({ finding }) => WHOLE_BOND.includes(finding.offence))) return true;
  if (age < (watch.options.graceSeconds ?? settings.windowSeconds / GRACE_PARTS)) return false;
  const detail = served ? `the data of batch ${batchId} does not hold leaf ${verdict.unknownIndex}` : `the data of batch ${batchId} is not served`;
  await openCases(watch, [{ detail, finding: { offence: "F9", functionName: "challengeData", evidence: { relayerId, batchId, index: verdict.unknownIndex } } }]);
  return false;
}

async function judged(watch: Watch, batch: WatchedBatch): Promise<BatchVerdict> {
  const { chain, settings, related, recover } = watch;
  const { relayerId } = batch.header;
  const verdictOf = async (of: WatchedBatch): Promise<BatchVerdict> => {
    const records = [...of.tasks.flatMap((task) => task.attempts.flatMap(({ signed }) => (signed ? [signed.record] : []))), ...of.shown.flatMap(({ record }) => (record ? [record] : []))];
    const keys = await chain.keys({
      nodes: records.map(({ assignment }) => [assignment.nodeId, assignment.keyEpoch]), relayers: records.map(({ assignment }) => [assignment.relayerId, assignment.relayerEpoch]),
    });
    const before = { earlier: await related.earlierOf(of, of.tasks), forces: await related.forcesOf(relayerId, of.tasks) };
    return batchVerdict(of, { ...settings, ...keys, recover }, before);
  };
  const verdict = await verdictOf(batch);
  if (batch.tasks.length === 0 || (verdict.unknownIndex === null && verdict.isTabKnown)) return verdict;
  // The records are not what was committed: the relayer's own receipts may show what was.
  return verdictOf({ ...batch, shown: [...batch.shown, ...await shownByRelayer(watch, relayerId, batch.tasks)] });
}

/** Null where the relayer does not serve the data, or serves other bytes, or bytes that cannot be read. */
async function servedTasks(watch: Watch, { header }: KeptBatch): Promise<readonly BatchDataTask[] | null> {
  const { archive } = watch;
  const { relayerId, batchId, dataHash } = header;
  const data = await archive.object(dataHash) ?? await fetched(watch, relayerId, (url) => watch.published(url).batchData(batchId));
  if (data === null || !isDataOf(dataHash, data)) return null;
  await archive.keepObject(dataHash, data);
  try {
    return batchDataFromBytes(data).tasks;
  } catch {
    // Bytes that are no batch's data are no data.
    return null;
  }
}

async function shownByRelayer(watch: Watch, relayerId: number, tasks: readonly BatchDataTask[]): Promise<ShownPath[]> {
  const shown: ShownPath[] = [];
  for (const { taskId } of tasks.slice(0, RECEIPTS_MAX)) {
    const view = await fetched(watch, relayerId, (url) => watch.receipts(url).receipt(taskId));
    if (view) shown.push(...shownOfView(view));
  }
  return shown;
}

/** What it signed against what is archived, and boards of its time against what it relied on. */
async function noteBatch(watch: Watch, batch: WatchedBatch, tasks: readonly BatchDataTask[]): Promise<void> {
  const { related, settings, state } = watch;
  const messages = await related.around(joined(messagesOf(tasks), ...watch.evidence.map((one) => one.messages)), batch);
  await openCases(watch, messageFindings(messages));
  await related.noteBatch(batch, tasks, (assignment) => epochOf(assignment, settings.epochSeconds));
  const { relayerId } = batch.header;
  const epochs = new Set(messages.assignments.filter(({ message }) => message.relayerId === relayerId).map(({ message }) => BigInt(epochOf(message, settings.epochSeconds))));
  for (const epoch of epochs) {
    const board = await related.board(relayerId, epoch);
    const isOpen = state.boards.some((one) => one.commitment.relayerId === relayerId && one.commitment.epoch === epoch);
    if (board && !isOpen) state.boards.push(board);
  }
}

/** @returns whether nothing more is to be learned of it for now; a later batch opens it again */
async function checkBoard(watch: Watch, { commitment, dataHash }: OpenBoard, now: Seconds): Promise<boolean> {
  const { archive, related, settings, state } = watch;
  const bytes = await archive.object(dataHash) ?? await fetched(watch, commitment.relayerId, (url) => watch.published(url).record(dataHash));
  const isTooLate = now > Number(commitment.epoch + 1n) * settings.epochSeconds + BOARD_WINDOWS * settings.windowSeconds;
  if (bytes === null || !isDataOf(dataHash, bytes)) return isTooLate;
  const data = boardDataOf(bytes);
  if (data === null) return true;
  await archive.keepObject(dataHash, bytes);
  const isNew = await related.noteBoard({ commitment, dataHash }, data.attestations);
  const found = boardFindings(commitment, data, await contextOf(watch, commitment.relayerId, commitment.epoch, data));
  if (found === null) await archive.log({ what: "unshown", relayerId: commitment.relayerId, epoch: commitment.epoch, detail: "the leaves of the epoch's data are not those under its root" });
  else await openCases(watch, found);
  const evidence = watch.evidence.flatMap((one) => one.messages.attestations);
  const beside: Messages = { ...NO_MESSAGES, attestations: [...data.attestations, ...evidence] };
  await openCases(watch, messageFindings(await related.around(beside)));
  if (isNew) state.checked.boards += 1;
  return true;
}

/** Attestations of the epoch, of others where an assignment names them, and of files. */
async function contextOf({ related, settings, evidence }: Watch, relayerId: number, epoch: bigint, data: BoardData) {
  const messages = evidence.map((one) => one.messages);
  const given = [...await related.assignmentsIn(relayerId, epoch), ...messages.flatMap((one) => one.assignments)].filter(({ message }) => message.relayerId === relayerId);
  const assignments = reliedOnIn(epoch, given, settings.epochSeconds);
  const known = attestationsByHash([...messages.flatMap((one) => one.attestations), ...data.attestations]);
  for (const { message } of assignments) {
    const found = known.has(message.attestationHash) ? null : await related.attestation(message.attestationHash);
    if (found) known.set(message.attestationHash, found);
  }
  return { assignments, epochSeconds: settings.epochSeconds, attestation: (hash: Hash) => known.get(hash) };
}

function boardDataOf(bytes: Uint8Array): BoardData | null {
  try {
    return boardDataFromBytes(bytes);
  } catch {
    // Bytes that are no epoch's data show nothing.
    return null;
  }
}

/** Null where the relayer has no address, cannot be reached, knows nothing of it, or answers nonsense. */
async function fetched<Result>(watch: Watch, relayerId: number, ask: (url: string) => Promise<Result>): Promise<Result | null> {
  const url = urlOf(watch, relayerId);
  if (url === null || !/^https?:\/\//.test(url)) return null;
  try {
    return await ask(url);
  } catch (error) {
    if (error instanceof TidelaneError) return null;
    throw error;
  }
}
