// `tidelane node force`: what a relayer left out of its batches, claimed with the agent's own evidence, whoever answers or does not.
import type { Command } from "commander";
import { auditTask } from "../auditor/main.ts";
import { relayerReceipts } from "../auditor/sources.ts";
import { evidenceOf, readEvidence } from "../node/adapters/evidence.ts";
import { ForceChainReader, ForceSender } from "../node/adapters/forceChain.ts";
import { claimsOf, type Claim, type ClaimBook } from "../node/serve/claims.ts";
import { hashStruct } from "../protocol/typedData.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { idOf, nodeIdOf, nodeOwnerKeyOf, type NodeOptions } from "./nodeOptions.ts";
import { amountToText, run, step, table, type Report } from "./output.ts";
import { placeOf, type Place } from "./place.ts";
import type { SignedReceiptRow } from "../node/ports.ts";
import type { Hash } from "../protocol/units.ts";

interface ForceOptions extends NodeOptions {
  readonly relayerId: string;
  readonly evidence?: string;
  readonly receipt?: readonly string[];
  readonly condemnedBatch: string;
  readonly open?: boolean;
  readonly resolve?: boolean;
}

interface Done {
  readonly receiptHash: Hash;
  readonly transaction: Hash;
}

/** Claims that one run looks at: the newest. */
const CLAIMS_MAX = 5_000;
const SHOWN_MAX = 40;

export const addForce = (command: Command): Command => command
  .requiredOption("--relayer-id <id>", "whose batches")
  .option("--evidence <folder>", "the agent's data folder (TIDELANE_DATA_DIR); it may be running")
  .option("--list", "show what can be claimed, and change nothing (this is the default)")
  .option("--open", "claim all that can be claimed now")
  .option("--resolve", "have claims paid that nobody answered within a window")
  .option("--receipt <hash...>", "these receipts only, whatever the tab's total says")
  .option("--condemned-batch <id>", "the condemned batch in which they stood, for the longer time", "0")
  .addHelpText("after", "\nAsks the relayer (--relayer) which receipts stand in its batches, and believes only proofs. Where it is gone, the tab's total decides.\n")
  .action((options: ForceOptions) => run(options, () => force(options)));

async function force(options: ForceOptions): Promise<Report> {
  const place = placeOf(options);
  const [nodeId, relayerId, folder] = [nodeIdOf(options), idOf(options.relayerId, "--relayer-id"), folderOf(options)];
  const reader = new ForceChainReader(place);
  const rows = (await step("reading the evidence", readEvidence(folder, nodeId))).filter((row) => row.relayerId === relayerId);
  const before = await step("reading the chain", bookOf(place, reader, rows, relayerId, nodeId));
  const opened = options.open ? await open(options, folder, chosen(options, before.book.claims, "claimable")) : [];
  const resolved = options.resolve ? await resolve(options, chosen(options, before.book.claims, "payable")) : [];
  const changed = opened.length + resolved.length > 0;
  const { book, isProven } = changed ? await bookOf(place, reader, rows, relayerId, nodeId) : before;
  return report(book, { nodeId, relayerId, isProven, opened, resolved }, await reader.token("payToken"));
}

/** @returns the claims, and whether the relayer was there to show which receipts are settled. */
async function bookOf(place: Place, reader: ForceChainReader, rows: readonly SignedReceiptRow[], relayerId: number, nodeId: number): Promise<{ book: ClaimBook; isProven: boolean }> {
  const newest = rows.toSorted((a, b) => (a.nodeSeq > b.nodeSeq ? -1 : 1)).slice(0, CLAIMS_MAX);
  const facts = { ...await reader.facts(relayerId, nodeId), forces: await reader.forces(newest.map((row) => row.receiptHash)) };
  const proven = new Set<Hash>();
  const asked = new Set<Hash>();
  // What is proven to be settled makes room in the tab's total for others, which are asked about in turn.
  for (;;) {
    const book = claimsOf(newest, { ...facts, proven });
    const next = book.claims.filter(({ state, taskId }) => ["early", "claimable", "late"].includes(state) && !asked.has(taskId));
    if (next.length === 0 || place.relayerUrl === null) return { book, isProven: place.relayerUrl !== null };
    for (const { taskId } of next) {
      asked.add(taskId);
      const settled = await settledIn(place, place.relayerUrl, taskId);
      if (settled === null) return { book: claimsOf(newest, { ...facts, proven }), isProven: false };
      for (const receiptHash of settled) proven.add(receiptHash);
    }
  }
}

/** A task's receipts that the chain confirms in a batch; null where the relayer does not answer. */
async function settledIn(place: Place, relayerUrl: string, taskId: Hash): Promise<readonly Hash[] | null> {
  try {
    const { verdict, view } = await auditTask(taskId, await relayerReceipts(relayerUrl).receipt(taskId), place);
    return verdict === "verified" ? view.attempts.flatMap(({ record, proofs }) => (proofs ? [hashStruct("TaskReceipt", record.receipt)] : [])) : [];
  } catch (error) {
    if (!(error instanceof TidelaneError)) throw error;
    if (error.code === "relayer_unreachable") return null;
    if (error.retryable) throw error;
    // It knows no such task, or answers with something that is no receipt: nothing is proven.
    return [];
  }
}

/** @throws `receipt_unknown` where a named receipt is not among the acked ones */
function chosen({ receipt }: ForceOptions, claims: readonly Claim[], state: Claim["state"]): readonly Claim[] {
  if (receipt === undefined) return claims.filter((claim) => claim.state === state);
  return receipt.map((text) => {
    const claim = claims.find(({ receiptHash }) => receiptHash === text.toLowerCase());
    if (!claim) throw new TidelaneError(`The evidence holds no acked receipt ${text} for this relayer.`, { code: "receipt_unknown", details: { receipt: text } });
    return claim;
  });
}

async function open(options: ForceOptions, folder: string, claims: readonly Claim[]): Promise<Done[]> {
  if (!/^\d{1,18}$/.test(options.condemnedBatch)) throw new TidelaneError("--condemned-batch takes a batch's number.", { code: "invalid_id" });
  const sender = senderOf(options);
  const evidence = await evidenceOf(folder, new Set(claims.map((claim) => claim.receiptHash)));
  const done: Done[] = [];
  for (const { receiptHash } of claims) {
    const { record, ack } = evidence.get(receiptHash)!;
    done.push({ receiptHash, transaction: await step(`claiming receipt ${receiptHash}`, sender.open(record, ack, BigInt(options.condemnedBatch))) });
  }
  return done;
}

async function resolve(options: ForceOptions, claims: readonly Claim[]): Promise<Done[]> {
  const sender = senderOf(options);
  const done: Done[] = [];
  for (const { receiptHash } of claims) done.push({ receiptHash, transaction: await step(`having receipt ${receiptHash} paid`, sender.resolve(receiptHash)) });
  return done;
}

const senderOf = (options: ForceOptions): ForceSender => new ForceSender(placeOf(options), nodeOwnerKeyOf(options));

function folderOf(options: ForceOptions): string {
  const folder = options.evidence ?? process.env.TIDELANE_DATA_DIR;
  if (folder === undefined) throw new TidelaneError("Name the agent's data folder: --evidence <folder>, or set TIDELANE_DATA_DIR.", { code: "no_evidence" });
  return folder;
}

interface Outcome {
  readonly nodeId: number;
  readonly relayerId: number;
  readonly isProven: boolean;
  readonly opened: readonly Done[];
  readonly resolved: readonly Done[];
}

function report({ unpaid, claims }: ClaimBook, outcome: Outcome, token: { readonly decimals: number; readonly symbol: string }): Report {
  const show = (amount: bigint): string => `${amountToText(amount, token.decimals)} ${token.symbol}`;
  const shown = claims.filter(({ state }) => state !== "settled");
  const lines = shown.slice(0, SHOWN_MAX).map(({ receiptHash, fee, state, from, until }): [string, string] => [receiptHash, `${show(fee)}, ${wordsOf(state, from, until)}`]);
  if (shown.length > SHOWN_MAX) lines.push(["...", `${shown.length - SHOWN_MAX} more (--json shows all)`]);
  const heading = `${show(unpaid)} acked and unpaid, ${claims.length - shown.length} receipts settled${outcome.isProven ? "" : " (by the tab's total: no relayer shows proofs)"}`;
  return {
    json: { ...outcome, unpaid, claims: shown.map(({ nodeSeq, cumulative: _, ...claim }) => ({ ...claim, nodeSeq })), settled: claims.length - shown.length },
    text: [heading, ...(lines.length > 0 ? [table(lines)] : []), ...nextSteps(claims, outcome)].join("\n"),
  };
}

function nextSteps(claims: readonly Claim[], { opened, resolved, relayerId, nodeId }: Outcome): string[] {
  const next: string[] = [];
  if (opened.length > 0) next.push(`${opened.length} claims opened. One window later, have paid what nobody answered: --resolve`);
  if (resolved.length > 0) next.push(`${resolved.length} claims paid into the tab: tidelane node claim --node ${nodeId} --relayer-id ${relayerId}`);
  if (opened.length === 0 && claims.some(({ state }) => state === "claimable")) next.push("Claim what is claimable: --open");
  if (resolved.length === 0 && claims.some(({ state }) => state === "payable")) next.push("Have paid what is payable: --resolve");
  return next;
}

function wordsOf(state: Claim["state"], from: number, until: number | null): string {
  const [start, end] = [from, until ?? 0].map((seconds) => new Date(seconds * 1_000).toISOString());
  const words: Partial<Record<Claim["state"], string>> = { early: `claimable from ${start}`, claimable: `claimable until ${end}`, late: `not claimed by ${end}: lost`, open: `open, payable from ${start}` };
  return words[state] ?? state;
}
