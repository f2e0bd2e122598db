// From OpenAI's messages to the model's tokens, by the chat template that the model's file carries.
import { createRequire } from "node:module";
import type { LlamaModel, Token } from "node-llama-cpp";
import { messagesOf, promptOf } from "../body.ts";
import { EngineError, type EngineRequest } from "../../ports.ts";
import type { Tokens } from "../../../protocol/units.ts";

/** Longer tokens are runs of blanks or markup, and no prompt consists of them. */
const CHARS_PER_TOKEN_MAX = 64;

interface Template {
  render(values: Record<string, unknown>): string;
}

export class PromptReader {
  readonly #model: LlamaModel;
  readonly #template: Template | null;
  /** Whether the template itself writes control tokens, such as `<|im_start|>`. */
  readonly #controls: boolean;

  readonly #charsMax: number;

  constructor(model: LlamaModel, contextTokens: Tokens) {
    this.#model = model;
    this.#charsMax = contextTokens * CHARS_PER_TOKEN_MAX;
    const source: unknown = model.fileInfo.metadata.tokenizer?.chat_template;
    this.#template = typeof source === "string" ? templateOf(source) : null;
    this.#controls = typeof source === "string" && writesControls(model, source);
  }

  /** @returns the prompt's tokens, beginning of sequence included where the model wants it. @throws EngineError `input_rejected` */
  read(request: EngineRequest): Token[] {
    const chat = request.kind === "chat";
    const text = chat ? this.#render(request) : promptOf(request.body);
    // Tokenizing blocks everybody's decoding: what cannot fit is not even looked at.
    if (text.length > this.#charsMax) throw new EngineError("input_rejected", `The prompt has ${text.length} characters; at most ${this.#charsMax} could fit the context.`);
    // Control tokens count as such only where the model's own template needs them; a plain completion cannot forge them.
    const tokens = this.#model.tokenize(text, chat && this.#controls);
    const { bos } = this.#model.tokens;
    return bos !== null && this.#model.tokens.shouldPrependBosToken && tokens[0] !== bos ? [bos, ...tokens] : tokens;
  }

  #render(request: EngineRequest): string {
    const messages = messagesOf(request.body);
    if (!this.#template) return messages.map((message) => message.content).join("\n");
    try {
      return this.#template.render({ messages, add_generation_prompt: true, bos_token: "", eos_token: this.#model.tokens.eosString ?? "" });
    } catch (error) {
      throw new EngineError("input_rejected", `The model's chat template does not take these messages: ${error instanceof Error ? error.message.slice(0, 200) : "unknown"}`);
    }
  }
}

/** node-llama-cpp brings the Jinja engine that it renders templates with; taking it from there keeps the two in step. */
function templateOf(source: string): Template {
  const { Template } = createRequire(import.meta.resolve("node-llama-cpp"))("@huggingface/jinja") as { Template: new (source: string) => Template };
  return new Template(source);
}

function writesControls(model: LlamaModel, source: string): boolean {
  for (const token of model.iterateAllTokens()) {
    if (!model.isSpecialToken(token)) continue;
    const text = model.detokenize([token], true);
    if (text.length > 2 && source.includes(text)) return true;
  }
  return false;
}
