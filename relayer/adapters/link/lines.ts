// Newline-delimited JSON from a stream that a stranger writes: every line is bounded before it is parsed.
import type { Readable } from "node:stream";
import { TidelaneError } from "../../../protocol/errors.ts";

export interface LineLimits {
  /** A longer line is refused as soon as it is seen to be longer, not when it ends. */
  readonly lineBytesMax: number;
  /** Of the whole stream; Infinity where the stream is meant to last. */
  readonly totalBytesMax: number;
}

/**
 * @returns each line's parsed JSON; empty lines are skipped, and what follows the last newline counts as a line.
 * @throws TidelaneError `node_protocol_error` for a line or stream over its limit and for what is no JSON; the stream's own errors as they come.
 */
export async function* jsonLines(stream: Readable, limits: LineLimits): AsyncGenerator<unknown> {
  let parts: Buffer[] = [];
  let partBytes = 0;
  let totalBytes = 0;
  // The stream outlives this loop on purpose: an early end here must not reset it (see NodeConnection.attempt).
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    totalBytes += chunk.length;
    if (totalBytes > limits.totalBytesMax) throw protocolError(`the stream exceeds ${limits.totalBytesMax} bytes`);
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      if (partBytes + end - start > limits.lineBytesMax) throw protocolError(`a line exceeds ${limits.lineBytesMax} bytes`);
      const line = Buffer.concat([...parts, chunk.subarray(start, end)]);
      parts = [];
      partBytes = 0;
      start = end + 1;
      if (line.length > 0) yield parseLine(line);
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start));
      partBytes += chunk.length - start;
      if (partBytes > limits.lineBytesMax) throw protocolError(`a line exceeds ${limits.lineBytesMax} bytes`);
    }
  }
  if (partBytes > 0) yield parseLine(Buffer.concat(parts));
}

const NEWLINE = 0x0a;

function parseLine(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString("utf8"));
  } catch {
    // The parser's own message quotes the text, which may be an answer's.
    throw protocolError("a line is not JSON");
  }
}

/** The node broke the link's contract; what it did not finish may be tried elsewhere. */
export const protocolError = (what: string): TidelaneError =>
  new TidelaneError(`The node broke the link protocol: ${what}.`, { code: "node_protocol_error", retryable: true });
