// `tidelane audit`: checks receipts against the chain, and saves them so that they can be checked without anybody's help later.
import { renameSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import { auditTask, type Audit } from "../auditor/main.ts";
import { relayerReceipts } from "../auditor/sources.ts";
import { addReplay } from "./auditReplay.ts";
import { addWatch } from "./auditWatch.ts";
import { leafOf } from "../protocol/records.ts";
import { taskViewFromJson, taskViewToJson, type TaskView } from "../protocol/taskView.ts";
import { InvalidValueError, TidelaneError } from "../protocol/errors.ts";
import { ExitCode, EXIT_CODES_HELP, run, step, table, type ExitCodeValue, type OutputOptions, type Report } from "./output.ts";
import { jsonFile, placeOf, relayerOf, withPlace, type PlaceOptions } from "./place.ts";
import type { Address, Hash } from "../protocol/units.ts";

type Options = PlaceOptions & OutputOptions;

export function auditCommand(): Command {
  const audit = new Command("audit").description("verify receipts and routing decisions against the chain, trusting no word of the relayer").addHelpText("after", EXIT_CODES_HELP);
  withPlace(audit.command("verify <task|file>").description("check a task's receipt, or a saved receipt file, and name each check"))
    .action((what: string, options: Options) => run(options, () => verify(what, options), exitCodeOf));
  withPlace(audit.command("receipt <task>").description("save a task's receipt as a file that verifies from the chain alone"))
    .option("--out <file>", "where to write it (default <task>.receipt.json)")
    .action((task: string, options: Options & { out?: string }) => run(options, () => save(task, options), exitCodeOf));
  addReplay(audit, exitCodeOf);
  addWatch(audit, exitCodeOf);
  return audit;
}

/** A receipt that has no receipt's form is wrong; whatever else goes wrong, nothing could be checked. */
const exitCodeOf = (error: unknown): ExitCodeValue =>
  (error instanceof InvalidValueError || (error instanceof TidelaneError && ["relayer_answer_invalid", "invalid_file"].includes(error.code)) ? ExitCode.FAILED : ExitCode.TRY_AGAIN);

export interface VerifyRequest {
  readonly taskId: Hash;
  readonly relayerUrl: string;
  readonly rpcUrls: readonly string[];
  readonly contracts: Readonly<Record<string, Address>>;
  /** Where given, an RPC address of another chain is refused. */
  readonly chainId?: number;
}

/** Fetches a task's receipt from a relayer and verifies it against the chain. @throws `task_unknown`, retryable `relayer_unreachable`, `chain_unreachable` */
export async function verifyReceipt(request: VerifyRequest): Promise<Audit> {
  return auditTask(request.taskId, await relayerReceipts(request.relayerUrl).receipt(request.taskId), request);
}

async function verify(what: string, options: Options): Promise<Report> {
  const place = placeOf(options);
  const task = taskOf(what);
  const view = task === null ? savedView(what) : await step("fetching the receipt", relayerReceipts(relayerOf(place)).receipt(task));
  const audit = await step("reading the chain", auditTask(task ?? view.taskId, view, place));
  return { json: jsonOf(audit), text: textOf(audit), exitCode: { verified: ExitCode.OK, wrong: ExitCode.FAILED, unsettled: ExitCode.TRY_AGAIN }[audit.verdict] };
}

async function save(what: string, options: Options & { out?: string }): Promise<Report> {
  const place = placeOf(options);
  const task = taskOf(what);
  if (task === null) throw new TidelaneError(`"${what}" is no task: 0x and 64 hex digits.`, { code: "invalid_task" });
  const view = await step("fetching the receipt", relayerReceipts(relayerOf(place)).receipt(task));
  const audit = await step("reading the chain", auditTask(task, view, place));
  // A file that would not verify later is not worth keeping, and better known now.
  if (audit.verdict !== "verified") return { json: jsonOf(audit), text: `${textOf(audit)}\n\nNothing was saved.`, exitCode: audit.verdict === "wrong" ? ExitCode.FAILED : ExitCode.TRY_AGAIN };
  const file = options.out ?? `${task}.receipt.json`;
  writeFileSync(`${file}.new`, `${JSON.stringify(taskViewToJson(view), null, 1)}\n`);
  renameSync(`${file}.new`, file);
  return { json: { file, taskId: task }, text: `Saved ${file}. Check it at any time: tidelane audit verify ${file}` };
}

const taskOf = (text: string): Hash | null => (/^0x[0-9a-fA-F]{64}$/.test(text) ? text.toLowerCase() as Hash : null);

function savedView(file: string): TaskView {
  try {
    return taskViewFromJson(jsonFile(file), file);
  } catch (error) {
    if (error instanceof TidelaneError && error.code === "file_not_found") {
      throw new TidelaneError(`"${file}" is neither a task (0x and 64 hex digits) nor a file.`, { code: "invalid_task" });
    }
    throw error;
  }
}

function jsonOf({ verdict, checks, view, facts }: Audit): Record<string, unknown> {
  return {
    verdict, verified: verdict === "verified", taskId: view.taskId, ...totals(view),
    batchId: view.batch?.header.batchId ?? null, block: facts.batch?.posting?.blockNumber ?? null, transaction: facts.batch?.posting?.transactionHash ?? null, checks,
  };
}

function totals(view: TaskView) {
  const leaves = view.attempts.map(({ record }) => leafOf(record));
  const bodies = view.attempts.map(({ record }) => record.receipt.body);
  const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);
  return {
    nodes: view.attempts.map(({ record }) => record.receipt.nodeId), relayerId: view.attempts[0]?.record.assignment.relayerId ?? null,
    inputTokens: sum(bodies.map((body) => body.inputTokens)), outputTokens: sum(bodies.map((body) => body.outputTokens)),
    fee: leaves.reduce((all, leaf) => all + leaf.fee, 0n), charge: leaves.reduce((all, leaf) => all + leaf.charge, 0n),
  };
}

function textOf(audit: Audit): string {
  const { view, facts, checks, verdict } = audit;
  const { nodes, relayerId, inputTokens, outputTokens, fee, charge } = totals(view);
  const posting = facts.batch?.posting;
  const rows: [string, string][] = [
    ["task", view.taskId], ["node", nodes.join(", ") || "none"], ["relayer", String(relayerId ?? "none")], ["tokens", `${inputTokens} in, ${outputTokens} out`],
    ["fee", `${fee} to the node (smallest units of the pay token)`], ["charge", `${charge} to the payer`],
    ["batch", view.batch ? `${view.batch.header.batchId}${facts.batch ? ` of ${facts.batch.leafCount} leaves` : ", not on chain"}` : "none yet"],
    ["block", posting ? `${posting.blockNumber}, transaction ${posting.transactionHash}` : "unknown"],
  ];
  const lines = checks.map((check) => `  ${check.passed ? "ok   " : "WRONG"}  ${check.name}: ${check.detail}`);
  const endings = {
    verified: "Verified: the chain holds exactly this.",
    wrong: `WRONG: ${checks.filter((check) => !check.passed).map((check) => check.name).join(", ")}. This receipt does not hold.`,
    unsettled: "Not settled yet: nothing is wrong so far, but the chain does not hold it. Try again in a moment.",
  };
  return `${table(rows)}\n\n${lines.join("\n")}\n\n${endings[verdict]}`;
}
