// Request traces: reading them, and overlaying copies of them until the load is what is asked for.
import { InvalidValueError } from "../../protocol/errors.ts";
import { hashUnit, type Random } from "./random.ts";

/** Tokens in a block of `hash_blocks_512`. */
export const BLOCK_TOKENS = 512;

/** One row per request, sorted by arrival; columns of equal length. */
export interface Trace {
  readonly name: string;
  readonly arrivalMs: Float64Array;
  readonly inputTokens: Int32Array;
  readonly outputTokens: Int32Array;
  /** -1 where the trace names none. */
  readonly sessions: Int32Array;
  /** Ids of the full blocks of the prompt; null where the trace has none. */
  readonly blocks: readonly Int32Array[] | null;
  /** Above every block id. */
  readonly blockIdsEnd: number;
  readonly sessionsEnd: number;
  /** One period, when copies are laid around a circle. */
  readonly spanMs: number;
  /** Arrivals were rounded down to this; 0 where they are exact. */
  readonly bucketMs: number;
}

/** Requests of a run, sorted by arrival; `row` points into the trace. */
export interface Arrivals {
  readonly trace: Trace;
  readonly copies: number;
  readonly timeMs: Float64Array;
  readonly row: Int32Array;
  readonly copy: Int32Array;
}

const ROWS_MAX = 10_000_000;
const ARRIVALS_MAX = 100_000_000;
const TOKENS_MAX = 2 ** 20;
const BLOCK_ID_MAX = 2 ** 31 - 2;

/**
 * @param text CSV with the columns arrival_ms, input_tokens, output_tokens and optionally session_id and hash_blocks_512
 * @throws InvalidValueError that names line and column
 */
export function parseTrace(text: string, name: string): Trace {
  const lines = text.trimEnd().split("\n");
  const header = cellsOf(lines[0]!);
  const column = (title: string): number => header.indexOf(title);
  const [atArrival, atInput, atOutput, atSession, atBlocks] = ["arrival_ms", "input_tokens", "output_tokens", "session_id", "hash_blocks_512"].map(column) as
    [number, number, number, number, number];
  if (atArrival < 0 || atInput < 0 || atOutput < 0) throw new InvalidValueError(`${name} line 1`, "the columns arrival_ms, input_tokens, output_tokens");
  const rows = lines.length - 1;
  if (rows < 1 || rows > ROWS_MAX) throw new InvalidValueError(name, `1 to ${ROWS_MAX} requests`);
  const arrivalMs = new Float64Array(rows);
  const inputTokens = new Int32Array(rows);
  const outputTokens = new Int32Array(rows);
  const sessions = new Int32Array(rows).fill(-1);
  const blocks: Int32Array[] = [];
  for (let row = 0; row < rows; row++) {
    const cells = cellsOf(lines[row + 1]!);
    // A comma within a cell would move the others, and another column be read in silence.
    if (cells.length > header.length) throw new InvalidValueError(`${name} line ${row + 2}`, `at most ${header.length} cells, as the first line has, not ${cells.length}`);
    const number = (at: number, least: number, most: number): number => {
      const value = Number(cells[at]);
      if (cells[at] === "" || !(value >= least && value <= most)) throw new InvalidValueError(`${name} line ${row + 2}, ${header[at]}`, `a number from ${least} to ${most}`);
      return value;
    };
    arrivalMs[row] = number(atArrival, 0, 2 ** 40);
    if (row > 0 && arrivalMs[row]! < arrivalMs[row - 1]!) throw new InvalidValueError(`${name} line ${row + 2}, arrival_ms`, "no time before that of the line above: a trace sorted by arrival_ms");
    inputTokens[row] = Math.max(1, number(atInput, 0, TOKENS_MAX));
    outputTokens[row] = Math.max(1, number(atOutput, 0, TOKENS_MAX));
    if (atSession >= 0 && cells[atSession] !== "") sessions[row] = number(atSession, 0, 2 ** 31 - 1);
    if (atBlocks >= 0) blocks.push(fullBlocks(cells[atBlocks] ?? "", inputTokens[row]!, `${name} line ${row + 2}, hash_blocks_512`));
  }
  const lastMs = arrivalMs[rows - 1]!;
  const bucketMs = bucketOf(arrivalMs);
  return {
    name, arrivalMs, inputTokens, outputTokens, sessions, blocks: atBlocks >= 0 ? blocks : null, bucketMs,
    blockIdsEnd: blocks.reduce((most, ids) => ids.reduce((end, id) => Math.max(end, id + 1), most), 0),
    sessionsEnd: sessions.reduce((most, id) => Math.max(most, id + 1), 0),
    // The last request is followed by one mean gap, or by its own bucket.
    spanMs: lastMs + (bucketMs > 0 ? bucketMs : Math.max(1, (lastMs - arrivalMs[0]!) / Math.max(1, rows - 1))),
  };
}

/**
 * Lays copies of the trace around a circle of one span, each from a random phase, and takes what arrives in the first `durationMs`.
 * Time is never compressed. A copy that is only a part keeps each session (each request where there is none) with that probability.
 * Arrivals that were rounded to a bucket are spread over it.
 * @param copies a real number above 0
 * @throws InvalidValueError where that would be more than 100 million requests
 */
export function overlay(trace: Trace, copies: number, durationMs: number, random: Random): Arrivals {
  const rows = trace.arrivalMs.length;
  if (!(copies > 0) || (copies * rows * durationMs) / trace.spanMs > ARRIVALS_MAX) throw new InvalidValueError("copies", "a load above 0 and below 100 million requests");
  const whole = Math.ceil(copies - 1e-9);
  const keptOfLast = copies - (whole - 1);
  const found: { timeMs: number; row: number; copy: number }[] = [];
  for (let copy = 0; copy < whole; copy++) {
    const phaseMs = random.uniform() * trace.spanMs;
    const seed = random.word();
    for (let row = 0; row < rows; row++) {
      const jitterMs = trace.bucketMs > 0 ? hashUnit(seed, row) * trace.bucketMs : 0;
      if (copy === whole - 1 && keptOfLast < 1 && hashUnit(seed ^ 0x5bd1e995, keyOf(trace, row)) >= keptOfLast) continue;
      let timeMs = (trace.arrivalMs[row]! + jitterMs - phaseMs) % trace.spanMs;
      if (timeMs < 0) timeMs += trace.spanMs;
      for (; timeMs < durationMs; timeMs += trace.spanMs) found.push({ timeMs, row, copy });
    }
  }
  found.sort((one, other) => one.timeMs - other.timeMs || one.copy - other.copy || one.row - other.row);
  return {
    trace, copies, timeMs: Float64Array.from(found, (one) => one.timeMs), row: Int32Array.from(found, (one) => one.row), copy: Int32Array.from(found, (one) => one.copy),
  };
}

/** Some write every cell in quotes, or a space after the comma. */
const cellsOf = (line: string): string[] => line.replaceAll('"', "").split(",").map((cell) => cell.trim());

/** The session decides whether a request is kept; where there is none the request itself. */
const keyOf = (trace: Trace, row: number): number => (trace.sessions[row]! >= 0 ? trace.sessions[row]! : trace.sessionsEnd + row);

/** A block that the prompt does not fill is never shared, and of a prompt at least one token is left to compute. */
function fullBlocks(text: string, inputTokens: number, path: string): Int32Array {
  if (text === "") return new Int32Array(0);
  const ids = text.split(" ").map(Number);
  if (!ids.every((id) => Number.isInteger(id) && id >= 0 && id <= BLOCK_ID_MAX)) throw new InvalidValueError(path, `whole numbers from 0 to ${BLOCK_ID_MAX}, separated by spaces`);
  return Int32Array.from(ids).slice(0, Math.floor((inputTokens - 1) / BLOCK_TOKENS));
}

/** Some sources publish whole seconds or more: then arrivals share few values, all multiples of one number. */
function bucketOf(arrivalMs: Float64Array): number {
  const step = 1_000;
  let bucket = 0;
  for (const timeMs of arrivalMs) {
    if (timeMs % step !== 0) return 0;
    bucket = gcd(bucket, timeMs);
  }
  return bucket;
}

const gcd = (one: number, other: number): number => (other === 0 ? one : gcd(other, one % other));
