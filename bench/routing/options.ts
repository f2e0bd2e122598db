// Options of the benches: numbers within bounds, lists, and one line in place of a stack for what was asked wrongly.
import { InvalidValueError, TidelaneError } from "../../protocol/errors.ts";

export const SEED_MAX = 2 ** 32 - 1;

export const listOf = (text: string): string[] => text.split(",").map((one) => one.trim());

type Read = (name: string, text: string, least: number, most: number) => number;

export const numbersOf = (name: string, text: string, read: Read, least = 0, most = SEED_MAX): number[] => listOf(text).map((one) => read(name, one, least, most));

/** @throws InvalidValueError */
export function wholeOf(name: string, text: string, least: number, most: number): number {
  const value = numberOf(name, text, least, most);
  if (!Number.isInteger(value)) throw new InvalidValueError(name, `a whole number, not ${text}`);
  return value;
}

/** @throws InvalidValueError */
export function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= least && value <= most)) throw new InvalidValueError(name, `a number from ${least} to ${most}, not ${text}`);
  return value;
}

/** Runs a command; what its user asked wrongly is told in one line, with exit code 2. */
export async function withoutNoise(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    const isTold = error instanceof TidelaneError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
    if (!isTold) throw error;
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 2;
  }
}
