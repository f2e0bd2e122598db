// How many tokens a text can be at most: what a payer reserves for, and the bound of an honest claim where the tokenizer is
// not at hand. A token stands for at least one byte of text, but for the few that templates and stop sequences add.

/** Control tokens that a chat template may add to each message, and to the whole. */
export const TOKENS_PER_MESSAGE_OVERHEAD = 16;
/** Output tokens that need not show in the text: end of turn, a stop string that was cut off. */
export const HIDDEN_OUTPUT_TOKENS_MAX = 16;

/** @returns the most input tokens that a prompt of so many UTF-8 bytes in so many messages can honestly be. */
export const inputTokensMax = (promptBytes: number, messages: number): number =>
  promptBytes + TOKENS_PER_MESSAGE_OVERHEAD * (messages + 1);

/** @returns the most output tokens that a delivered text of so many UTF-8 bytes can honestly be. */
export const outputTokensMax = (outputBytes: number): number => outputBytes + HIDDEN_OUTPUT_TOKENS_MAX;
