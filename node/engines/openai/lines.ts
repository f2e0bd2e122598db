// Reads what an HTTP engine sends with a limit on everything: the length of a line, of the whole, and the silence between.
import { EngineError, type Clock } from "../../ports.ts";
import type { Millis } from "../../../protocol/units.ts";

export interface ReadLimits {
  readonly lineBytesMax: number;
  readonly totalBytesMax: number;
  /** Until the first byte: a long prompt may take its time. */
  readonly firstByteMs: Millis;
  readonly idleMs: Millis;
}

/** Limits of one reading: how long silence may last may change on the way. */
export type ReadingLimits = Omit<ReadLimits, "idleMs"> & { readonly idleMs: Millis | (() => Millis) };

export const READ_LIMITS: ReadLimits = { lineBytesMax: 1_048_576, totalBytesMax: 67_108_864, firstByteMs: 300_000, idleMs: 60_000 };

/** @returns the data of server-sent events; comments and other fields are skipped. @throws EngineError */
export async function* eventData(body: AsyncIterable<Uint8Array>, limits: ReadingLimits, clock: Clock): AsyncGenerator<string> {
  for await (const line of linesOf(body, limits, clock)) {
    if (line.startsWith("data:")) yield line.slice(line.startsWith("data: ") ? 6 : 5);
    else if (line !== "" && !/^(:|event:|id:|retry:)/.test(line)) {
      throw new EngineError("engine_bad_answer", "The engine sent a line that is no server-sent event.");
    }
  }
}

/** @returns the whole body as text. @throws EngineError */
export async function wholeText(body: AsyncIterable<Uint8Array>, limits: ReadingLimits, clock: Clock): Promise<string> {
  const decoder = new TextDecoder();
  const parts: string[] = [];
  for await (const chunk of withinLimits(body, limits, clock)) parts.push(decoder.decode(chunk, { stream: true }));
  return parts.join("") + decoder.decode();
}

async function* linesOf(body: AsyncIterable<Uint8Array>, limits: ReadingLimits, clock: Clock): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let held = "";
  for await (const chunk of withinLimits(body, limits, clock)) {
    held += decoder.decode(chunk, { stream: true });
    const lines = held.split("\n");
    held = lines.pop()!;
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
    // UTF-16 units are at most as many as UTF-8 bytes: a line that is too long here is too long there.
    if (held.length > limits.lineBytesMax) throw tooMuch("line", limits.lineBytesMax);
  }
  if (held !== "") yield held;
}

async function* withinLimits(body: AsyncIterable<Uint8Array>, limits: ReadingLimits, clock: Clock): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  let total = 0;
  try {
    for (;;) {
      const next = await within(chunks.next(), total === 0 ? limits.firstByteMs : idleMsOf(limits), clock);
      if (next.done) return;
      total += next.value.length;
      if (total > limits.totalBytesMax) throw tooMuch("answer", limits.totalBytesMax);
      yield next.value;
    }
  } finally {
    // Not awaited: a stream that hangs would hang its own end, too.
    chunks.return?.().catch(() => undefined);
  }
}

const idleMsOf = ({ idleMs }: ReadingLimits): Millis => (typeof idleMs === "number" ? idleMs : idleMs());

/** @throws EngineError `engine_silent` where the promise takes longer. */
export async function within<Value>(promise: Promise<Value>, ms: Millis, clock: Clock): Promise<Value> {
  const done = new AbortController();
  const silence = clock.sleep(ms, done.signal).then(() => {
    throw new EngineError("engine_silent", `The engine sent nothing for ${Math.round(ms / 1_000)} s.`, { details: { ms } });
  });
  // The loser of the race must not count as an unhandled rejection.
  silence.catch(() => undefined);
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, silence]);
  } finally {
    done.abort();
  }
}

const tooMuch = (what: string, bytes: number): EngineError =>
  new EngineError("engine_too_much", `The engine sent a ${what} of more than ${bytes} bytes.`, { details: { bytes } });
