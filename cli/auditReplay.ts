// `tidelane audit replay`: makes a relayer's routing decisions again and names each that differs.
import { InvalidArgumentError, type Command } from "commander";
import { auditRouting, type RoutingAudit } from "../auditor/main.ts";
import { ExitCode, run, step, table, type ExitCodeValue, type OutputOptions, type Report } from "./output.ts";
import { placeOf, relayerOf, withPlace, type PlaceOptions } from "./place.ts";
import type { Finding, ReplayScope } from "../auditor/replay/evidence.ts";

type Options = PlaceOptions & OutputOptions & { readonly epoch?: number; readonly batch?: number };

/** So many findings are shown to people; programs get all. */
const SHOWN_MAX = 50;

/** Adds the command. @param exitCodeOf exit codes of errors, as for the other audits */
export function addReplay(audit: Command, exitCodeOf: (error: unknown) => ExitCodeValue): void {
  const replay = audit.command("replay").description("make a relayer's routing decisions again from what it published, and name each that differs (default: those of its newest batch)");
  withPlace(replay)
    .option("--epoch <number>", "the decisions of one saturation epoch: unix seconds / epoch length", whole)
    .option("--batch <number>", "the decisions of one settlement batch", whole)
    .action((options: Options) => {
      if (options.epoch !== undefined && options.batch !== undefined) replay.error("error: give --epoch or --batch, not both");
      return run(options, () => work(options), exitCodeOf);
    });
}

async function work(options: Options): Promise<Report> {
  const place = placeOf(options);
  const audit = await step("replaying the decisions", auditRouting(scopeOf(options), relayerOf(place), place));
  return { json: jsonOf(audit), text: textOf(audit), exitCode: { verified: ExitCode.OK, wrong: ExitCode.FAILED, unchecked: ExitCode.TRY_AGAIN }[audit.verdict] };
}

function scopeOf({ epoch, batch }: Options): ReplayScope | null {
  if (epoch !== undefined) return { kind: "epoch", epoch };
  return batch === undefined ? null : { kind: "batch", batchId: BigInt(batch) };
}

function whole(text: string): number {
  if (!/^(0|[1-9]\d{0,14})$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

function jsonOf({ evidence, ...report }: RoutingAudit): Record<string, unknown> {
  const { scope, relayerId, batches, epochs } = evidence;
  return {
    ...report, verified: report.verdict === "verified", relayerId, epoch: scope.kind === "epoch" ? scope.epoch : null, batchId: scope.kind === "batch" ? scope.batchId : null,
    epochs: epochs.map((one) => one.epoch), batches: batches.map((one) => one.batchId),
  };
}

function textOf({ evidence, ...report }: RoutingAudit): string {
  const { scope, relayerId, batches } = evidence;
  const words = Object.entries(report.atItsWord).map(([reason, count]) => `${count} ${reason}`).join(", ");
  const rows: [string, string][] = [
    ["relayer", String(relayerId)], ["scope", scope.kind === "epoch" ? `epoch ${scope.epoch}` : `batch ${scope.batchId}`],
    ["decisions", `${report.recomputed} of ${report.decisions} made again`], ["read", `${batches.length} batches, ${report.tables} node tables`],
    ["nonces", `${report.nonces} of ALLOWANCE sessions`], ["open draws", String(report.openDraws)], ["at its word", words === "" ? "no candidate left out for a reason of the relayer's own" : `candidates left out: ${words}`],
  ];
  const shown = report.findings.slice(0, SHOWN_MAX).map((finding) => `  WRONG  ${finding.kind}${placeOfFinding(finding)}: ${finding.detail}`);
  const more = report.findings.length > SHOWN_MAX ? [`  ... and ${report.findings.length - SHOWN_MAX} more; --json shows all`] : [];
  const left = report.unchecked.map((one) => `  left   ${one.kind}: ${one.detail}${one.count > 1 ? ` (${one.count} times)` : ""}`);
  return [table(rows), ...([...shown, ...more, ...left].length > 0 ? ["", ...shown, ...more, ...left] : []), "", ENDINGS[report.verdict]].join("\n");
}

const ENDINGS = {
  verified: "Verified: every decision comes out the same.",
  wrong: "WRONG: this relayer did not decide as it had to.",
  unchecked: "Nothing is wrong so far, but not all can be checked yet. Try again in a moment.",
} as const;

const placeOfFinding = ({ taskId, attempt, batchId }: Finding): string =>
  [batchId === null ? "" : ` in batch ${batchId}`, taskId === null ? "" : `, task ${taskId}`, attempt === null ? "" : `, attempt ${attempt}`].join("");
