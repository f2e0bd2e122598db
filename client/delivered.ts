// Watches an answer pass by, without delaying or changing a byte, so that the payer can compare what it got with what the
// node signed for: outputCommit covers the text, and the text bounds the tokens.
import { bytesToHex } from "viem/utils";
import { outputSalt, saltedCommit } from "../protocol/ids.ts";
import type { RequestKind } from "./quote.ts";
import type { Hash } from "../protocol/units.ts";

/** An answer beyond this is passed on, but not compared. */
export const ANSWER_BYTES_MAX = 8 * 1_048_576;

/** @returns the same body; `ended` is called once, when it was read to its end, broke off, or was given up by its reader. */
export function tapped(body: ReadableStream<Uint8Array>, onChunk: (chunk: Uint8Array) => void, ended: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) {
          controller.close();
          return ended();
        }
        onChunk(value);
        controller.enqueue(value);
      } catch (error) {
        controller.error(error);
        ended();
      }
    },
    async cancel(reason) {
      ended();
      await reader.cancel(reason);
    },
  });
}

/** Collects an answer's bytes up to the limit. */
export class Answer {
  readonly #kind: RequestKind;
  readonly #isStream: boolean;
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(kind: RequestKind, isStream: boolean) {
    this.#kind = kind;
    this.#isStream = isStream;
  }

  add(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= ANSWER_BYTES_MAX) this.#chunks.push(chunk);
    else this.#chunks = [];
  }

  /**
   * @returns the output's bytes as the node committed to them, or null where the answer is not whole or does not show them.
   * Clients stop reading at a stream's [DONE], so that is its end, not the connection's.
   */
  output(): Uint8Array | null {
    if (this.#bytes > ANSWER_BYTES_MAX) return null;
    try {
      const text = new TextDecoder().decode(joined(this.#chunks));
      const messages = this.#isStream ? eventsOf(text) : [JSON.parse(text) as unknown];
      return this.#kind === "embeddings" ? vectorBytes(messages) : textBytes(messages);
    } catch {
      return null;
    }
  }
}

/** Whether the delivered output is the one that the node signed. */
export const isCommitted = (output: Uint8Array, promptSalt: Hash, assignmentHash: Hash, outputCommit: Hash): boolean =>
  saltedCommit(outputSalt(promptSalt, assignmentHash), bytesToHex(output)) === outputCommit;

/** The JSON values of a server-sent event stream up to [DONE]; comments are no values. @throws where it does not end so. */
function eventsOf(text: string): unknown[] {
  const data = text.split(/\r\n|\r|\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).filter((line) => line !== "");
  const end = data.indexOf("[DONE]");
  if (end < 0) throw new RangeError("the stream broke off");
  return data.slice(0, end).map((line) => JSON.parse(line) as unknown);
}

/** Members of a choice or message that carry no output of their own. */
const plain = new Set(["role", "content", "text", "index", "finish_reason", "message", "delta", "refusal", "annotations", "logprobs"]);

/** UTF-8 of the text; null where there are several choices, or other output (tools, log probabilities) beside it. */
function textBytes(messages: readonly unknown[]): Uint8Array | null {
  const parts: string[] = [];
  for (const message of messages) {
    const choices = memberOf(message, "choices");
    if (!Array.isArray(choices) || choices.length > 1) return null;
    for (const choice of choices as unknown[]) {
      const inner = memberOf(choice, "delta") ?? memberOf(choice, "message") ?? choice;
      if (memberOf(choice, "index") !== 0 || [choice, inner].some((one) => hasOther(one))) return null;
      const text = memberOf(inner, "content") ?? memberOf(inner, "text");
      if (typeof text === "string") parts.push(text);
    }
  }
  return new TextEncoder().encode(parts.join(""));
}

const hasOther = (value: unknown): boolean => typeof value === "object" && value !== null
  && Object.entries(value).some(([key, member]) => !plain.has(key) || (["refusal", "logprobs"].includes(key) && member !== null));

/** float32 values, little-endian, in order; null where the answer gave decimal numbers, which do not show the bits. */
function vectorBytes(messages: readonly unknown[]): Uint8Array | null {
  const list = memberOf(messages[0], "data");
  if (!Array.isArray(list)) return null;
  const vectors = (list as unknown[]).map((one) => memberOf(one, "embedding"));
  if (!vectors.every((vector) => typeof vector === "string")) return null;
  return joined(vectors.map((vector) => Uint8Array.from(atob(vector), (char) => char.charCodeAt(0))));
}

const memberOf = (value: unknown, key: string): unknown =>
  (typeof value === "object" && value !== null && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined);

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
