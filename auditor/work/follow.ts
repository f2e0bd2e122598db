// Follows the chain: reads what happened since the last time, keeps it, and notices when the chain took something back.
import { isSignedBy } from "../../protocol/signing.ts";
import { structFromJson, structToJson } from "../../protocol/json.ts";
import type { BatchHeader } from "../../protocol/generated/structs.ts";
import type { Hex } from "../../protocol/units.ts";
import { keyName, type WatchEvent } from "../ports.ts";
import { isRecordOf } from "../watch/faults.ts";
import { NO_MESSAGES, type Signed } from "../watch/history.ts";
import { messageFindings } from "../watch/messages.ts";
import { isInRange, standsAt } from "../watch/trees.ts";
import { openCases } from "./cases.ts";
import { isWatched, type Watch } from "./watch.ts";

/** Blocks read at once: what public nodes allow for logs, fewer where every transaction is read. */
const RANGE_BLOCKS = 2_000n;
const RANGE_BLOCKS_WITH_HEADERS = 100n;
/** So many ranges in one round, so that what they hold is checked in between. */
const RANGES_MAX = 50;
const MARKS_MAX = 64;

/** @returns whether everything up to the confirmed head was read */
export async function follow(watch: Watch): Promise<boolean> {
  const { chain, archive, state, options } = watch;
  const confirmed = (await chain.head()).number - BigInt(options.confirmations);
  await stepBack(watch);
  const step = options.readHeaders ? RANGE_BLOCKS_WITH_HEADERS : RANGE_BLOCKS;
  for (let range = 0; range < RANGES_MAX; range++) {
    const from = (state.marks.at(-1)?.number ?? options.fromBlock - 1n) + 1n;
    if (from > confirmed) return true;
    const to = from + step - 1n < confirmed ? from + step - 1n : confirmed;
    const mark = await chain.blockAt(to);
    const events = await chain.events(from, to, options.readHeaders);
    // The chain changed while it was read: the next round reads it again.
    if (!mark || (await chain.blockAt(to))?.hash !== mark.hash) return false;
    for (const event of events) await take(watch, event);
    state.marks = [...state.marks, mark].slice(-MARKS_MAX);
    await archive.saveState(state);
  }
  return false;
}

/** Forgets blocks that the chain no longer has; what they held is read again where it stands now. */
async function stepBack({ chain, archive, state }: Watch): Promise<void> {
  const before = state.marks.at(-1)?.number;
  for (let last = state.marks.at(-1); last && (await chain.blockAt(last.number))?.hash !== last.hash; last = state.marks.at(-1)) state.marks.pop();
  const after = state.marks.at(-1)?.number ?? null;
  if (before !== undefined && after !== before) await archive.log({ what: "reorganised", from: before, to: after });
}

async function take(watch: Watch, event: WatchEvent): Promise<void> {
  const { archive, state, related } = watch;
  if (event.kind === "endpoint") {
    state.endpoints[event.relayerId] = event.endpoint;
  } else if (event.kind === "header") {
    await takeHeader(watch, event.signed);
  } else if (event.kind === "unread") {
    const { relayerId, batchId, detail } = event;
    if (relayerId === null || isWatched(watch, relayerId)) await archive.log({ what: "unread", relayerId, batchId, detail });
  } else if (event.kind === "batch") {
    const { header, postedAt, batchHash, debits } = event.batch;
    const { relayerId, batchId } = header;
    if (!isWatched(watch, relayerId)) return;
    if (debits === null) await archive.log({ what: "unread", relayerId, batchId, detail: "what it moved stands neither in readable calldata nor in the states and events that this chain node keeps; give --rpc one that keeps them" });
    const kept = await archive.batch(header.relayerId, header.batchId);
    await archive.keepBatch({ ...event.batch, shown: kept?.batchHash === batchHash ? kept.shown : [] });
    reopen(watch, header.relayerId, header.batchId, postedAt);
  } else if (event.kind === "epoch") {
    const { commitment, dataHash } = event;
    const others = state.boards.filter((one) => one.commitment.relayerId !== commitment.relayerId || one.commitment.epoch !== commitment.epoch);
    if (isWatched(watch, commitment.relayerId)) state.boards = [...others, { commitment, dataHash, nextAt: 0 }];
  } else if (event.kind === "force") {
    for (const batchId of isWatched(watch, event.relayerId) ? await related.noteForce(event.relayerId, event.force) : []) await reopenKept(watch, event.relayerId, batchId);
  } else if (event.kind === "shown") {
    await takeShown(watch, event);
  } else if (isWatched(watch, event.relayerId)) {
    const { relayerId, batchId } = event;
    // What this watcher had condemned it has voided.
    const isOurs = state.cases.some(({ status, place }) => status === "condemned" && place?.relayerId === relayerId && place.batchId === batchId);
    if (!isOurs) state.voids.push({ relayerId, batchId });
  }
}

/** A record that was shown may be what the batch lacked. Beside the one that the chain took, a transaction may hold any others. */
async function takeShown(watch: Watch, { relayerId, batchId, shown }: Extract<WatchEvent, { kind: "shown" }>): Promise<void> {
  const kept = isWatched(watch, relayerId) ? await watch.archive.batch(relayerId, batchId) : null;
  if (!kept || !isInRange(shown) || !standsAt(kept.header, shown.tree, shown, shown.path) || !isRecordOf(shown.leaf, shown.record)) return;
  const others = kept.shown.filter((one) => one.tree !== shown.tree || one.path.index !== shown.path.index);
  await watch.archive.keepBatch({ ...kept, shown: [...others, shown] });
  reopen(watch, relayerId, batchId, kept.postedAt);
}

/** Has a batch looked at again, where the archive holds it. */
export async function reopenKept(watch: Watch, relayerId: number, batchId: bigint): Promise<void> {
  const kept = await watch.archive.batch(relayerId, batchId);
  if (kept) reopen(watch, relayerId, batchId, kept.postedAt);
}

function reopen({ state }: Watch, relayerId: number, batchId: bigint, postedAt: number): void {
  const open = state.batches.find((one) => one.relayerId === relayerId && one.batchId === batchId);
  if (open) open.nextAt = 0;
  else state.batches.push({ relayerId, batchId, postedAt, nextAt: 0 });
}

/** Anyone can put bytes into calldata, so only what the relayer's key signed is kept, and compared with what it signed before. */
async function takeHeader(watch: Watch, signed: Signed<BatchHeader>): Promise<void> {
  const { relayerId, relayerEpoch, batchId } = signed.message;
  if (!isWatched(watch, relayerId)) return;
  const { relayerKeys } = await watch.chain.keys({ nodes: [], relayers: [[relayerId, relayerEpoch]] });
  const fact = relayerKeys.get(keyName(relayerId, relayerEpoch));
  if (!fact || !await isSignedBy(fact.key, watch.settings.domain, "BatchHeader", signed.message, signed.signature, watch.recover)) return;
  const key = `${relayerId}:${batchId}`;
  await watch.archive.note([{ kind: "header", key, value: JSON.stringify({ header: structToJson("BatchHeader", signed.message), signature: signed.signature }) }]);
  const headers = (await watch.archive.noted("header", key)).map(headerFromText);
  await openCases(watch, messageFindings({ ...NO_MESSAGES, headers: [...headers, ...watch.evidence.flatMap((one) => one.messages.headers)] }));
}

/** Headers that were seen, to be compared with those of a file. */
export const seenHeaders = async (watch: Watch, relayerId: number, batchId: bigint): Promise<Signed<BatchHeader>[]> =>
  (await watch.archive.noted("header", `${relayerId}:${batchId}`)).map(headerFromText);

function headerFromText(text: string): Signed<BatchHeader> {
  const { header, signature } = JSON.parse(text) as { header: unknown; signature: Hex };
  return { message: structFromJson("BatchHeader", header), signature };
}

