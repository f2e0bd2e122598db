// Exact token counts for the tokenizers that are at hand; a name that is not known gives null, and bounds count instead.
import llama2 from "llama-tokenizer-js";
import type { TokenCounter } from "../ports/world.ts";

/** The 32,000-entry SentencePiece vocabulary of Llama 2, which the embedded model uses too. */
export const LLAMA_2 = "llama-2-spm";
/** Encoding blocks the event loop for about 2 us per character: longer texts are left to the byte bounds. */
const TEXT_CHARS_MAX = 20_000;

export const tokenCounter: TokenCounter = {
  /** The beginning-of-sequence token is not counted: it belongs to the request, not to the text. */
  count: (tokenizer, text) => (tokenizer === LLAMA_2 && text.length <= TEXT_CHARS_MAX ? llama2.encode(text, false, true).length : null),
};
