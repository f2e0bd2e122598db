// One batch: its data from the relayer or the archive, its trees against the roots, its leaves against everything before them.
import { batchDataFromBytes, type BatchDataTask } from "../../protocol/batchData.ts";
import type { Seconds } from "../../protocol/units.ts";
import type { KeptBatch } from "../ports.ts";
import { batchVerdict, isDataOf, messagesOf, recordsShown, taskIdsIn, type BatchVerdict } from "../watch/batches.ts";
import { epochOf } from "../watch/boards.ts";
import { shownOfView } from "../watch/evidenceFile.ts";
import { joined, type ShownPath, type WatchedBatch } from "../watch/history.ts";
import { messageFindings } from "../watch/messages.ts";
import { isInRange, standsAt } from "../watch/trees.ts";
import { openCases } from "./cases.ts";
import { reopenKept } from "./follow.ts";
import { withoutForged } from "./signed.ts";
import type { OpenBatch } from "./state.ts";
import type { Asks, Watch } from "./watch.ts";

/** Tasks whose receipts are asked for where the records do not make the trees. */
const RECEIPTS_MAX = 2_000;
/** What takes the whole bond needs no demand for the rest of the batch. */
const WHOLE_BOND = ["F6", "F7", "F8", "F11"];
/** A relayer that is down has a part of W to come back before its data is demanded. */
const GRACE_PARTS = 4;
/** Between two looks at what is missing. */
const LOOKS_PARTS = 40;

/** @returns whether nothing more is to be learned of it */
export async function checkBatch(watch: Watch, asks: Asks, open: OpenBatch, now: Seconds): Promise<boolean> {
  const { relayerId, batchId } = open;
  const kept = await watch.archive.batch(relayerId, batchId);
  if (!kept) return true;
  const served = await servedTasks(watch, asks, kept);
  const batch: WatchedBatch = { ...kept, tasks: served ?? [], shown: [...kept.shown, ...handedIn(watch, relayerId, batchId)].filter(isInRange) };
  const verdict = await verdictWithReceipts(watch, asks, batch, kept);
  const upheld = await openCases(watch, verdict.found);
  if (served) await compareSigned(watch, batch, served);
  if (verdict.unknownIndex === null) return known(watch, verdict, relayerId, batchId);
  if (upheld.some(({ finding }) => WHOLE_BOND.includes(finding.offence))) return true;
  open.missingSince ??= now;
  return demanded(watch, kept, verdict.unknownIndex, { isServed: served !== null, age: now - open.postedAt, missing: now - open.missingSince });
}

async function known({ state, archive }: Watch, { isTabKnown, found }: BatchVerdict, relayerId: number, batchId: bigint): Promise<true> {
  state.checked.batches += 1;
  if (!isTabKnown && found.length === 0) await archive.log({ what: "unshown", relayerId, batchId, detail: "the records do not make the tab tree, and nobody has shown its leaves" });
  return true;
}

interface Missing {
  /** Whether the data is there, and lacks the record. */
  readonly isServed: boolean;
  /** Since the batch was posted. */
  readonly age: Seconds;
  /** Since the record was first found missing. */
  readonly missing: Seconds;
}

/** Data that is not served is demanded once the relayer had time to come back, and before W has passed. */
async function demanded(watch: Watch, { header }: KeptBatch, index: number, { isServed, age, missing }: Missing): Promise<boolean> {
  const { state, settings, options, archive } = watch;
  const { relayerId, batchId } = header;
  if (age > settings.windowSeconds) {
    if (state.cases.some(({ place, status }) => status === "challenged" && place?.relayerId === relayerId && place.batchId === batchId)) return false;
    await archive.log({ what: "unshown", relayerId, batchId, detail: "its data was not served whole within W, and can be demanded no more" });
    return true;
  }
  const grace = options.graceSeconds ?? settings.windowSeconds / GRACE_PARTS;
  // A watcher that has just begun, or was cut off itself, looks twice while there is time: a demand that is answered costs its bond.
  const looks = settings.windowSeconds / LOOKS_PARTS;
  if (age < grace || (missing < Math.min(grace, looks) && age < settings.windowSeconds - 2 * looks)) return false;
  const detail = isServed ? `the data of batch ${batchId} does not hold leaf ${index}` : `the data of batch ${batchId} is not served`;
  await openCases(watch, [{ detail, finding: { offence: "F9", functionName: "challengeData", evidence: { relayerId, batchId, index } } }]);
  return false;
}

/** Where the records are not what was committed, the relayer's own receipts may show what was; those that lead to a root are kept. */
async function verdictWithReceipts(watch: Watch, asks: Asks, batch: WatchedBatch, kept: KeptBatch): Promise<BatchVerdict> {
  const verdict = await verdictOf(watch, batch);
  if (batch.tasks.length === 0 || (verdict.unknownIndex === null && verdict.isTabKnown)) return verdict;
  const { relayerId, batchId } = batch.header;
  if (batch.tasks.length > RECEIPTS_MAX) await watch.archive.log({ what: "unasked", relayerId, batchId, detail: `the receipts of ${batch.tasks.length - RECEIPTS_MAX} of ${batch.tasks.length} tasks are not asked for` });
  const offered = (await shownByRelayer(asks, batch.tasks)).filter(isInRange);
  const isKnown = ({ tree, path }: ShownPath): boolean => kept.shown.some((one) => one.tree === tree && one.path.index === path.index);
  const fresh = offered.filter((one) => standsAt(batch.header, one.tree, one, one.path) && !isKnown(one));
  if (fresh.length > 0) await watch.archive.keepBatch({ ...kept, shown: [...kept.shown, ...fresh] });
  // Paths that lead nowhere may still name what lies below a bad sum.
  return offered.length === 0 ? verdict : verdictOf(watch, { ...batch, shown: [...batch.shown, ...offered] });
}

async function verdictOf({ chain, settings, related, recover, keccak256 }: Watch, batch: WatchedBatch): Promise<BatchVerdict> {
  const records = recordsShown(batch);
  const given = records.map(({ assignment }) => assignment);
  const taskIds = [...new Set(records.map(({ receipt }) => receipt.body.taskId))];
  const keys = await chain.keys({
    nodes: given.map(({ nodeId, keyEpoch }) => [nodeId, keyEpoch]), relayers: given.map(({ relayerId, relayerEpoch }) => [relayerId, relayerEpoch]),
  });
  const before = { earlier: await related.earlierOf(batch, taskIds), forces: await related.forcesOf(batch.header.relayerId, taskIds) };
  return batchVerdict(batch, { ...settings, ...keys, recover, keccak256 }, before);
}

/** Null where the relayer does not serve the data, or serves other bytes, or bytes that cannot be read. */
async function servedTasks({ archive }: Watch, asks: Asks, { header: { batchId, dataHash } }: KeptBatch): Promise<readonly BatchDataTask[] | null> {
  const archived = await archive.object(dataHash);
  const data = archived ?? await asks.published((source) => source.batchData(batchId));
  if (data === null || !isDataOf(dataHash, data)) return null;
  if (!archived) await archive.keepObject(dataHash, data);
  try {
    return batchDataFromBytes(data).tasks;
  } catch {
    // Bytes that are no batch's data are no data.
    return null;
  }
}

async function shownByRelayer(asks: Asks, tasks: readonly BatchDataTask[]): Promise<ShownPath[]> {
  const shown: ShownPath[] = [];
  for (const { taskId } of tasks.slice(0, RECEIPTS_MAX)) {
    const view = await asks.receipts((source) => source.receipt(taskId));
    if (view) shown.push(...shownOfView(view));
  }
  return shown;
}

const handedIn = ({ evidence }: Watch, relayerId: number, batchId: bigint): ShownPath[] =>
  evidence.flatMap((one) => one.shown).filter((one) => one.relayerId === relayerId && one.batchId === batchId).map((one) => one.shown);

/** What it signed against what is archived; boards of the time of its assignments, and later batches that settle its tasks, are opened again. */
async function compareSigned(watch: Watch, batch: WatchedBatch, tasks: readonly BatchDataTask[]): Promise<void> {
  const { related, settings, state, evidence } = watch;
  const own = messagesOf(tasks);
  const messages = await withoutForged(watch, await related.around(joined(own, ...evidence.map((one) => one.messages)), batch));
  await openCases(watch, messageFindings(messages));
  await related.noteBatch(batch, tasks, (assignment) => epochOf(assignment, settings.epochSeconds));
  const { relayerId } = batch.header;
  for (const batchId of await related.laterOf(batch, taskIdsIn(tasks))) await reopenKept(watch, relayerId, batchId);
  for (const epoch of new Set(own.assignments.map(({ message }) => BigInt(epochOf(message, settings.epochSeconds))))) {
    const board = await related.board(relayerId, epoch);
    const isOpen = state.boards.some((one) => one.commitment.relayerId === relayerId && one.commitment.epoch === epoch);
    if (board && !isOpen) state.boards.push(board);
  }
}
