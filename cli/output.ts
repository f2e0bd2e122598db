// How every command speaks: words for people, one JSON object on the last line for programs, exit codes that mean something.
import { TidelaneError } from "../protocol/errors.ts";

export const ExitCode = {
  /** Done, or verified. */ OK: 0,
  /** It failed, or what was checked does not hold. */ FAILED: 1,
  /** It could not be done or checked now: not settled yet, unreachable. Trying again may help. */ TRY_AGAIN: 2,
  /** The command line itself is wrong. */ USAGE: 64,
} as const;
export type ExitCodeValue = (typeof ExitCode)[keyof typeof ExitCode];

export const EXIT_CODES_HELP = `
exit codes: 0 done or verified; 1 failed, or what was checked does not hold; 2 not possible now (not settled yet, unreachable):
try again; 64 wrong usage. With --json the last line of stdout is one JSON object; {"error": {"code", "message", ...}} on failure.
Amounts in JSON are decimal strings in the token's smallest unit.`;

/** What a command hands back: an object for programs, lines for people. */
export interface Report {
  readonly json: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly exitCode?: ExitCodeValue;
}

export interface OutputOptions {
  readonly json?: boolean;
}

/**
 * Runs a command's work, prints its report or its error, and sets the exit code.
 * @param exitCodeOf the exit code of an error, where a command has its own table.
 */
export async function run(options: OutputOptions, work: () => Promise<Report>, exitCodeOf = exitCodeOfError): Promise<void> {
  try {
    const report = await work();
    print(options, report.json, report.text);
    process.exitCode = report.exitCode ?? ExitCode.OK;
  } catch (error) {
    fail(options, error, exitCodeOf);
  }
}

const exitCodeOfError = (error: unknown): ExitCodeValue => (error instanceof TidelaneError && error.retryable ? ExitCode.TRY_AGAIN : ExitCode.FAILED);

function print(options: OutputOptions, json: unknown, text: string): void {
  process.stdout.write(options.json ? `${JSON.stringify(json, bigintsAsStrings)}\n` : `${text}\n`);
}

/** Says what went wrong. What Tidelane did not raise on purpose is a fault of ours, so its stack is shown. */
export function fail(options: OutputOptions, error: unknown, exitCodeOf = exitCodeOfError): void {
  const known = error instanceof TidelaneError ? error : null;
  const message = known?.message ?? (error instanceof Error ? error.stack ?? error.message : String(error));
  if (options.json) {
    const { code, retryable, details } = known ?? { code: "internal_error", retryable: false, details: {} };
    process.stdout.write(`${JSON.stringify({ error: { code, message: known ? message : String(error), retryable, details } })}\n`);
  } else {
    process.stderr.write(`tidelane: ${message}\n`);
  }
  process.exitCode = exitCodeOf(error);
}

/** Names a step on stderr if it takes over a second, and again every ten. */
export async function step<Result>(what: string, work: Promise<Result>): Promise<Result> {
  const since = performance.now();
  const first = setTimeout(() => process.stderr.write(`${what} ...\n`), 1_000);
  const again = setInterval(() => process.stderr.write(`${what}: ${Math.round((performance.now() - since) / 1_000)} s\n`), 10_000);
  try {
    return await work;
  } finally {
    clearTimeout(first);
    clearInterval(again);
  }
}

const bigintsAsStrings = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? value.toString() : value);

/** Lines of `name  value`, aligned. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join("\n");
}

/** `5.25` of a token with six decimals and back; exact, never through floating point. */
export function amountFromText(text: string, decimals: number): bigint {
  const match = /^(\d{1,30})(?:\.(\d+))?$/.exec(text.trim());
  const fraction = match?.[2] ?? "";
  if (!match || fraction.length > decimals) {
    throw new TidelaneError(`"${text}" is no amount: write digits, and at most ${decimals} after the point.`, { code: "invalid_amount" });
  }
  return BigInt(match[1]! + fraction.padEnd(decimals, "0"));
}

export function amountToText(amount: bigint, decimals: number): string {
  const digits = amount.toString().padStart(decimals + 1, "0");
  return decimals === 0 ? digits : `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}
