// `tidelane audit watch`: follows relayers, checks all that they publish, and has what is wrong punished on chain.
import { InvalidArgumentError, type Command } from "commander";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { watchRelayers } from "../auditor/main.ts";
import { relayerPublications } from "../auditor/sourcesReplay.ts";
import { evidenceFromJson } from "../auditor/watch/evidenceFile.ts";
import type { WatchReport } from "../auditor/work/watcher.ts";
import { TidelaneError } from "../protocol/errors.ts";
import type { Hex } from "../protocol/units.ts";
import { ExitCode, run, step, table, type ExitCodeValue, type OutputOptions, type Report } from "./output.ts";
import { jsonFile, keyFileOf, placeOf, withPlace, type Place, type PlaceOptions } from "./place.ts";

interface Options extends PlaceOptions, OutputOptions {
  readonly once?: boolean;
  readonly dryRun?: boolean;
  readonly evidence: readonly string[];
  readonly archive?: string;
  readonly fromBlock: number;
  readonly confirmations?: number;
  readonly every: number;
  readonly graceSeconds?: number;
  readonly challenges: number;
  readonly bondsLost: number;
  readonly keepDays: number;
  readonly archiveGib: number;
  readonly blocks: boolean;
}

const GIB = 1_073_741_824;
/** On a local network blocks are final at once. */
const LOCAL_CHAIN_ID = 31_337;
const CONFIRMATIONS = 5;
const SHOWN_MAX = 50;

/** Adds the command. @param exitCodeOf exit codes of errors, as for the other audits */
export function addWatch(audit: Command, exitCodeOf: (error: unknown) => ExitCodeValue): void {
  const watch = audit.command("watch").description("follow relayers, archive and check all that they publish, and prove every offence on chain (--relayer also takes a relayer's number; default: all)");
  withPlace(watch)
    .option("--once", "stop when all blocks are read and no proof is under way")
    .option("--dry-run", "find and print, send nothing")
    .option("--key-file <file>", "private key in hex of an account with gas, and pay tokens to demand withheld data (TIDELANE_WATCHER_KEY); without one nothing is sent")
    .option("--evidence <file>", "signed messages or a saved receipt to check as well; may be repeated", (file: string, before: readonly string[]) => [...before, file], [])
    .option("--archive <folder>", "where to keep what was published and what was done")
    .option("--from-block <number>", "where to begin in a new folder: the deployment's block", whole, 0)
    .option("--confirmations <blocks>", `blocks to wait before one is believed (default ${CONFIRMATIONS}, 0 locally)`, whole)
    .option("--every <seconds>", "rest between rounds", whole, 5)
    .option("--grace-seconds <seconds>", "how long a relayer may not serve a batch before its data is demanded (default W/4)", whole)
    .option("--challenges <count>", "bonds to put at risk for one batch", whole, 3)
    .option("--bonds-lost <count>", "bonds that one relayer may take by answering before no more is demanded of it", whole, 30)
    .option("--keep-days <days>", "drop what is older", whole, 100)
    .option("--archive-gib <size>", "drop the oldest beyond this", whole, 20)
    .option("--no-blocks", "do not read every transaction for headers that were refused (F8): far fewer questions to the RPC")
    .action((options: Options) => run(options, () => work(options), exitCodeOf));
}

async function work(options: Options): Promise<Report> {
  const { relayer, ...rest } = options;
  const place = placeOf(rest);
  const isLocal = place.chainId === LOCAL_CHAIN_ID;
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stop.abort());
  const setup = {
    folder: options.archive ? resolve(options.archive) : join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "tidelane", String(place.chainId), "watch"),
    limits: { keepDays: options.keepDays, bytesMax: options.archiveGib * GIB }, evidence: options.evidence.map((file) => evidenceFromJson(jsonFile(file), file)),
    options: {
      ...await relayerNamed(relayer), fromBlock: BigInt(options.fromBlock), confirmations: options.confirmations ?? (isLocal ? 0 : CONFIRMATIONS), readHeaders: options.blocks,
      graceSeconds: options.graceSeconds ?? null, challengesMax: options.challenges, bondsLostMax: options.bondsLost, isDryRun: options.dryRun === true,
    },
    senderKey: options.dryRun ? null : watcherKeyOf(options), everyMs: options.once ? null : options.every * 1_000, signal: stop.signal,
    say: (line: string): void => void process.stderr.write(`${line}\n`),
  };
  const report = await (options.once ? step("watching", watchRelayers(setup, place)) : watchRelayers(setup, place));
  return { json: jsonOf(report, place), text: textOf(report), exitCode: exitCodeFor(report) };
}

/** A number, or the address of one, which then is asked for its number. */
async function relayerNamed(text: string | undefined): Promise<{ relayerId: number | null; relayerUrl: string | null }> {
  if (text === undefined) return { relayerId: null, relayerUrl: null };
  if (/^[1-9]\d{0,9}$/.test(text)) return { relayerId: Number(text), relayerUrl: null };
  if (!URL.canParse(text) || !/^https?:/.test(text)) throw new TidelaneError(`--relayer: "${text}" is neither a relayer's number nor an http or https URL.`, { code: "invalid_url" });
  return { relayerId: await relayerPublications(text).relayerId(), relayerUrl: text };
}

/** Never from the command line, which others can read. */
function watcherKeyOf(options: Options): Hex | null {
  const text = options.keyFile === undefined ? process.env.TIDELANE_WATCHER_KEY : keyFileOf(options.keyFile);
  if (text === undefined) return null;
  if (!/^(0x)?[0-9a-fA-F]{64}$/.test(text.trim())) throw new TidelaneError("The watcher's key must be 32 bytes in hex.", { code: "invalid_watcher_key" });
  return `0x${text.trim().replace(/^0x/, "").toLowerCase()}`;
}

/** 1 where something is wrong, 2 where data is not known whole or blocks are left to read. */
const exitCodeFor = ({ cases, waiting, isCaughtUp }: WatchReport): ExitCodeValue =>
  (cases.some((one) => one.status !== "answered") ? ExitCode.FAILED : waiting.batches > 0 || !isCaughtUp ? ExitCode.TRY_AGAIN : ExitCode.OK);

function jsonOf({ blockNumber, isCaughtUp, checked, waiting, cases }: WatchReport, place: Place): Record<string, unknown> {
  return {
    chainId: place.chainId, blockNumber, isCaughtUp, checked, waiting,
    findings: cases.map(({ key, offence, functionName, party, offender, detail, status, transaction, reason }) => ({ key, offence, functionName, party, offender, detail, status, transaction, reason })),
  };
}

function textOf({ blockNumber, isCaughtUp, checked, waiting, cases }: WatchReport): string {
  const rows: [string, string][] = [
    ["read", blockNumber === null ? "nothing yet" : `up to block ${blockNumber}${isCaughtUp ? "" : ", and there are more: run it again"}`], ["checked", `${checked.batches} batches, ${checked.boards} boards`],
    ["not known whole", `${waiting.batches} batches, ${waiting.boards} boards`],
  ];
  const shown = cases.slice(-SHOWN_MAX).map((one) => `  ${one.offence.padEnd(3)} ${one.party} ${one.offender}: ${one.detail}\n      ${one.status}${one.transaction ? ` in transaction ${one.transaction}` : ""}${one.reason ? ` (${one.reason})` : ""}`);
  const more = cases.length > SHOWN_MAX ? [`  ... and ${cases.length - SHOWN_MAX} before these; --json shows all`] : [];
  const ending = cases.length === 0 ? "Nothing wrong was found." : `${cases.length} offence${cases.length === 1 ? "" : "s"} found.`;
  return [table(rows), ...(cases.length > 0 ? ["", ...more, ...shown] : []), "", ending].join("\n");
}

function whole(text: string): number {
  if (!/^(0|[1-9]\d{0,14})$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}
