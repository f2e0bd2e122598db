// Recounting a node's token claims: exact where the tokenizer is at hand, by bytes where it is not. Only claims that are too
// high are refused: a low one costs nobody but the node.
import { inputTokensMax, HIDDEN_OUTPUT_TOKENS_MAX, outputTokensMax, TOKENS_PER_MESSAGE_OVERHEAD } from "../../protocol/bounds.ts";
import { BPS, type Bps, type Tokens } from "../../protocol/units.ts";
import type { TokenCounter } from "../ports/world.ts";

/** A model may spell a text with more tokens than the tokenizer would; on top of this come the hidden ones of protocol/bounds.ts. */
export const OUTPUT_TOLERANCE_BPS: Bps = 500;
/** Without a tokenizer: English is near four bytes a token. Used to predict, never to refuse. */
const BYTES_PER_TOKEN_GUESS = 4;
/** Counting blocks everybody for about 2 us a character, and it comes before it is known who asks: longer prompts are bounded by bytes. */
const EXACT_CHARS_MAX = 20_000;
/** The longest tokens of common vocabularies are runs of 128 blanks: a prompt of so many bytes is one token at least. */
const BYTES_PER_TOKEN_MAX = 256;
/** Beginning of sequence, and what else precedes a prompt in the common models. */
const PREFIX_TOKENS = 1;

/** What of a request becomes input tokens. */
export interface Prompt {
  /** The texts of its messages, prompts or inputs, in order. */
  readonly texts: readonly string[];
  /** UTF-8 bytes of all that may become input, tool definitions and the like included; Infinity where images or audio do. */
  readonly bytes: number;
  /** True where the texts are all there is. */
  readonly isPlainText: boolean;
}

export interface InputCount {
  /** What routing reckons with. */
  readonly expected: Tokens;
  /** Of the longest text alone: inputs of an embedding are read one by one. */
  readonly longest: Tokens;
  /** What all and the longest of its texts are at least, whatever the tokenizer. */
  readonly least: Tokens;
  readonly longestLeast: Tokens;
  /** The greatest claim that is accepted, and what is reserved for. */
  readonly max: Tokens;
  /** True where the tokenizer is at hand. */
  readonly isExact: boolean;
}

export function countInput(prompt: Prompt, tokenizer: string, counter: TokenCounter): InputCount {
  const isCountable = prompt.isPlainText && prompt.texts.reduce((sum, text) => sum + text.length, 0) <= EXACT_CHARS_MAX;
  const counts = isCountable ? prompt.texts.map((text) => counter.count(tokenizer, text)) : [null];
  const exact = counts.reduce<number | null>((sum, count) => (sum === null || count === null ? null : sum + count), 0);
  const parts = prompt.texts.length;
  if (exact !== null) {
    const longest = Math.max(0, ...counts.map((count) => count ?? 0)) + PREFIX_TOKENS;
    return { expected: exact + PREFIX_TOKENS, longest, least: exact + PREFIX_TOKENS, longestLeast: longest, max: exact + TOKENS_PER_MESSAGE_OVERHEAD * (parts + 1), isExact: true };
  }
  const bytes = prompt.texts.map((text) => Buffer.byteLength(text));
  const guesses = bytes.map((count) => Math.ceil(count / BYTES_PER_TOKEN_GUESS));
  const longestLeast = Math.max(1, ...bytes.map((count) => Math.ceil(count / BYTES_PER_TOKEN_MAX)));
  const least = Math.max(1, Math.ceil(bytes.reduce((sum, count) => sum + count, 0) / BYTES_PER_TOKEN_MAX));
  const expected = guesses.reduce((sum, guess) => sum + guess, PREFIX_TOKENS);
  return { expected, longest: Math.max(0, ...guesses) + PREFIX_TOKENS, least, longestLeast, max: inputTokensMax(prompt.bytes, parts), isExact: false };
}

export interface Delivered {
  /** Null where the output was not text alone (tool calls and the like). */
  readonly text: string | null;
  readonly bytes: number;
  /** Sum of what the deltas said they add. */
  readonly announcedTokens: Tokens;
}

/** @returns the greatest honest claim for what was delivered. */
export function outputMax(delivered: Delivered, tokenizer: string, counter: TokenCounter): Tokens {
  const exact = delivered.text === null ? null : counter.count(tokenizer, delivered.text);
  const counted = exact === null ? outputTokensMax(delivered.bytes) : exact + Math.ceil((exact * OUTPUT_TOLERANCE_BPS) / BPS) + HIDDEN_OUTPUT_TOKENS_MAX;
  return Math.min(counted, delivered.announcedTokens + HIDDEN_OUTPUT_TOKENS_MAX);
}
