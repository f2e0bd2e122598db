// OpenAI's requests, checked: what every engine honours is validated here, what only some honour becomes a needed capability.
import { z } from "zod";
import { capabilitiesNeeded } from "../../protocol/capabilities.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import { parse } from "../../protocol/json.ts";
import { Tier, type TierValue } from "../../protocol/constants.ts";
import type { Tokens } from "../../protocol/units.ts";
import type { Prompt } from "../work/recount.ts";
import type { OpenedTask } from "../ports/journal.ts";
import type { JsonBody } from "./body.ts";

const MESSAGES_MAX = 4_096;
const INPUTS_MAX = 2_048;

export interface ParsedRequest {
  readonly kind: OpenedTask["kind"];
  readonly model: string;
  readonly prompt: Prompt;
  readonly maxOutTokens: Tokens | null;
  readonly capabilities: readonly string[];
  readonly tier: TierValue;
  readonly isStreamed: boolean;
  readonly includeUsage: boolean;
  /** Base64 of float32 values, or plain numbers. */
  readonly encoding: "float" | "base64";
  readonly conversation: string;
}

const model = z.string("the name of a model").min(1, "the name of a model").max(200, "at most 200 characters");
const tokens = z.number("a whole number").int("a whole number").min(1, "at least 1").max(2 ** 32 - 1, "fewer than 2^32");
const stop = z.union([z.string(), z.array(z.string()).max(4)], "a string or at most 4 strings");
const tier = z.enum(["auto", "default", "priority", "flex", "scale"], "auto, default, priority or flex");
const unit = (most: number) => z.number(`a number from 0 to ${most}`).min(0, `a number from 0 to ${most}`).max(most, `a number from 0 to ${most}`);

const sampled = {
  model, temperature: unit(2).nullish(), top_p: unit(1).nullish(), max_tokens: tokens.nullish(), stop: stop.nullish(), seed: z.number("a whole number").int("a whole number").nullish(),
  stream: z.boolean("true or false").nullish(), stream_options: z.object({ include_usage: z.boolean("true or false").nullish() }, "an object").nullish(),
  n: tokens.nullish(), user: z.string("a string").max(512, "at most 512 characters").nullish(), service_tier: tier.nullish(),
};

const part = z.looseObject({ type: z.string("the type of a content part") }, "a content part: an object with a type");
const message = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool", "function"], "one of system, developer, user, assistant, tool, function"),
  content: z.union([z.string(), z.array(part).max(INPUTS_MAX), z.null()], "a string or content parts").optional(),
}, "a message: an object with role and content");

const chatSchema = z.looseObject({
  ...sampled, max_completion_tokens: tokens.nullish(), prompt_cache_key: z.string("a string").max(512, "at most 512 characters").nullish(),
  messages: z.array(message, "a list of messages").min(1, "at least one message").max(MESSAGES_MAX, `at most ${MESSAGES_MAX} messages`),
});

/** @throws InvalidValueError naming the first member that does not fit. */
export function parseChat(body: JsonBody): ParsedRequest {
  const from = parse(chatSchema, body.json, "body");
  const texts: string[] = [];
  let isPlainText = true;
  for (const [i, { role, content, ...others }] of from.messages.entries()) {
    if (content === undefined || content === null) {
      // An assistant's turn may be tool calls alone.
      if (role !== "assistant") throw new InvalidValueError(`body.messages.${i}.content`, "a string or content parts");
      isPlainText = false;
    } else {
      texts.push(textOf(content, `body.messages.${i}.content`));
      isPlainText &&= typeof content === "string" || content.every((one) => one.type === "text");
    }
    isPlainText &&= Object.keys(others).length === 0;
  }
  return {
    ...common("chat", from, body, promptOf(texts, isPlainText, body)), maxOutTokens: from.max_completion_tokens ?? from.max_tokens ?? null,
    conversation: from.prompt_cache_key ?? texts.slice(0, 2).join("\n").slice(0, 4_096),
  };
}

const completionSchema = z.looseObject({
  ...sampled,
  prompt: z.union([z.string(), z.array(z.string()).length(1, "one prompt; send several requests for several")], "a string; lists of tokens are not taken, for nodes count them in text"),
});

/** @throws InvalidValueError */
export function parseCompletion(body: JsonBody): ParsedRequest {
  const from = parse(completionSchema, body.json, "body");
  const prompt = typeof from.prompt === "string" ? from.prompt : from.prompt[0]!;
  return { ...common("completion", from, body, promptOf([prompt], true, body)), maxOutTokens: from.max_tokens ?? null, conversation: prompt.slice(0, 4_096) };
}

const embeddingsSchema = z.looseObject({
  model, user: sampled.user, service_tier: sampled.service_tier,
  encoding_format: z.enum(["float", "base64"], "float or base64").nullish(),
  dimensions: tokens.nullish(),
  input: z.union(
    [z.string().min(1, "a text that is not empty"), z.array(z.string().min(1, "texts that are not empty")).min(1, "at least one text").max(INPUTS_MAX, `at most ${INPUTS_MAX} texts`)],
    "a text or a list of texts; lists of tokens are not taken, for nodes count them in text",
  ),
});

/** @throws InvalidValueError */
export function parseEmbeddings(body: JsonBody): ParsedRequest {
  const from = parse(embeddingsSchema, body.json, "body");
  const texts = typeof from.input === "string" ? [from.input] : from.input;
  return { ...common("embeddings", from, body, promptOf(texts, true, body)), isStreamed: false, maxOutTokens: null, encoding: from.encoding_format ?? "float" };
}

interface Common {
  readonly model: string;
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: { readonly include_usage?: boolean | null | undefined } | null | undefined;
  readonly service_tier?: z.infer<typeof tier> | null | undefined;
}

function common(kind: ParsedRequest["kind"], from: Common, body: JsonBody, prompt: Prompt): Omit<ParsedRequest, "maxOutTokens"> {
  if (from.stream_options && !from.stream) throw new InvalidValueError("body.stream_options", "stream: true beside it");
  return {
    kind, model: from.model, prompt, capabilities: capabilitiesNeeded(body.json), isStreamed: from.stream === true,
    includeUsage: from.stream_options?.include_usage === true, encoding: "float", conversation: "",
    tier: from.service_tier === "priority" ? Tier.PRIORITY : from.service_tier === "flex" ? Tier.FLEX : Tier.DEFAULT,
  };
}

/** What is not text, or not in the messages' texts, is bounded by the body's bytes; pictures and sound by the context alone. */
function promptOf(texts: readonly string[], isPlainText: boolean, body: JsonBody): Prompt {
  const needed = capabilitiesNeeded(body.json);
  const hasMedia = ["images", "audio", "files", "content"].some((one) => needed.includes(one));
  const isPlain = isPlainText && needed.length === 0;
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return { texts, isPlainText: isPlain, bytes: hasMedia ? Infinity : isPlain ? bytes : body.bytes.length };
}

function textOf(content: string | readonly z.infer<typeof part>[], path: string): string {
  if (typeof content === "string") return content;
  return content.map((one, i) => {
    if (one.type !== "text") return "";
    if (typeof one.text !== "string") throw new InvalidValueError(`${path}.${i}.text`, "a string");
    return one.text;
  }).join("");
}
