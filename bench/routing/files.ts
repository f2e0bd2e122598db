// Traces and fleets from disk.
import { readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { InvalidValueError } from "../../protocol/errors.ts";
import { multiplied, parseFleet, REFERENCE_FLEET, type Fleet } from "../sim/profiles.ts";
import { parseTrace, type Trace } from "../sim/trace.ts";

const TRACES = join(dirname(fileURLToPath(import.meta.url)), "../traces");
/** Long prompts need a larger fleet for the same number of requests. */
const MOONCAKE_TIMES = 8;
const BYTES_MAX = 2 ** 30;

/** @param file a path, or the name of a trace in bench/traces; gzip or plain CSV @throws InvalidValueError where there is none */
export function readTrace(file: string): Trace {
  const path = [file, join(TRACES, file), join(TRACES, `${file}.csv.gz`)].find(isFile);
  if (!path) throw new InvalidValueError("--trace", `a file or a trace of bench/traces, not ${file}`);
  return parseTrace(textOf(path), basename(path).replace(/\.csv(\.gz)?$/, ""));
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

function textOf(path: string): string {
  const bytes = readFileSync(path);
  if (!path.endsWith(".gz")) return bytes.toString("utf8");
  try {
    return gunzipSync(bytes, { maxOutputLength: BYTES_MAX }).toString("utf8");
  } catch (cause) {
    throw new InvalidValueError("--trace", `a gzip file of at most ${BYTES_MAX} bytes of text, which ${basename(path)} is not (${(cause as Error).message})`);
  }
}

/** @param file a path to JSON; undefined: the reference fleet, eight times for Mooncake's traces */
export function readFleet(file: string | undefined, trace: string): Fleet {
  if (file === undefined) return multiplied(REFERENCE_FLEET, trace.startsWith("mooncake") ? MOONCAKE_TIMES : 1);
  if (!isFile(file)) throw new InvalidValueError("--fleet", `a file with a fleet as JSON, not ${file}`);
  return parseFleet(readFileSync(file, "utf8"), basename(file).replace(/\.json$/, ""));
}
