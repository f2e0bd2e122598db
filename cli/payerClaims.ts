// `tidelane payer claims`: what nodes claim from a session's lock, and the proofs that it was charged already.
import type { Command } from "commander";
import { auditTask } from "../auditor/main.ts";
import { relayerReceipts } from "../auditor/sources.ts";
import { claimAnswers, openClaims, type OpenClaim } from "../client/adapters/forces.ts";
import { hashStruct } from "../protocol/typedData.ts";
import { taskViewFromJson, type TaskView } from "../protocol/taskView.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { run, step, table, type OutputOptions, type Report } from "./output.ts";
import { jsonFile, ownerKeyOf, placeOf, type Place, type PlaceOptions } from "./place.ts";
import type { PayerState } from "../client/state.ts";
import type { Hash } from "../protocol/units.ts";

interface ClaimOptions extends PlaceOptions, OutputOptions {
  readonly answer?: boolean;
  readonly receipt?: readonly string[];
}

interface Answered {
  readonly receiptHash: Hash;
  /** answered: the claim falls. shown: its task was charged, and the relayer's bond pays what is too much. unknown: nothing can be shown. */
  readonly outcome: "answered" | "shown" | "unknown";
  readonly transactions: readonly Hash[];
}

export const addClaims = (command: Command, stateOf: (options: PlaceOptions & OutputOptions) => Promise<PayerState>): Command => command
  .option("--answer", "show on chain which of them were charged already; anyone may, and only within a window of the claim")
  .option("--receipt <file...>", "saved receipts (tidelane audit receipt), where the relayer shows none")
  .action((options: ClaimOptions) => run(options, async () => claims(options, await stateOf(options))));

async function claims(options: ClaimOptions, state: PayerState): Promise<Report> {
  const place = placeOf(options);
  const sessionId = hashStruct("SpendingAuthorization", state.authorization);
  const open = await step("looking for claims", openClaims(place, state.authorization.relayerId, sessionId));
  const answered: Answered[] = [];
  if (options.answer) for (const claim of open) answered.push(await step(`answering claim ${claim.receiptHash}`, answer(options, place, state.relayerUrl, claim)));
  const rows = open.map(({ receiptHash, nodeId, fee, until }): [string, string] =>
    [receiptHash, `${fee} by node ${nodeId}, until ${new Date(until * 1_000).toISOString()}${wordsOf(answered.find((one) => one.receiptHash === receiptHash))}`]);
  const heading = open.length === 0 ? "No node claims anything from this session." : `${open.length} claims can still be answered. One for work that no batch charged is rightly yours to pay.`;
  return { json: { sessionId, claims: open, answered }, text: [heading, ...(rows.length > 0 ? [table(rows)] : [])].join("\n") };
}

async function answer(options: ClaimOptions, place: Place, relayerUrl: string, claim: OpenClaim): Promise<Answered> {
  const { receiptHash } = claim;
  const view = await viewOf(options, relayerUrl, claim.taskId);
  const audit = view && await auditTask(claim.taskId, view, place);
  if (!view?.batch || audit?.verdict !== "verified") return { receiptHash, outcome: "unknown", transactions: [] };
  const { batchId } = view.batch.header;
  const sender = claimAnswers(place, ownerKeyOf(options, place));
  const settled = view.attempts.flatMap(({ record, proofs }) => (proofs ? [{ record, proof: proofs.tab }] : []));
  const own = settled.find(({ record }) => hashStruct("TaskReceipt", record.receipt) === receiptHash);
  if (own) return { receiptHash, outcome: "answered", transactions: [await sender.answer(batchId, own.record, own.proof)] };
  const transactions: Hash[] = [];
  for (const { record, proof } of settled) transactions.push(await sender.show(receiptHash, batchId, record, proof));
  return { receiptHash, outcome: "shown", transactions };
}

/** From a saved file or from the relayer; null where neither has it. */
async function viewOf({ receipt = [] }: ClaimOptions, relayerUrl: string, taskId: Hash): Promise<TaskView | null> {
  const saved = receipt.map((file) => taskViewFromJson(jsonFile(file), file)).find((view) => view.taskId === taskId);
  if (saved) return saved;
  try {
    return await relayerReceipts(relayerUrl).receipt(taskId);
  } catch (error) {
    if (error instanceof TidelaneError) return null;
    throw error;
  }
}

function wordsOf(one: Answered | undefined): string {
  if (!one) return "";
  return { answered: "; answered: it was charged", shown: "; shown that its task was charged", unknown: "; nothing can be shown against it" }[one.outcome];
}
