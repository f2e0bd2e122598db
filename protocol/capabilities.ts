// Which request parameters every engine honours, and which a node must declare: one list for the relayer, which looks for a
// node that has them, and for the node, which refuses what its engine would silently ignore.

/** Parameters that need nobody's consent: every engine honours them, or they are the relayer's own business. */
const COMMON = new Set([
  "model", "messages", "prompt", "input", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed",
  "stream", "stream_options", "user", "metadata", "store", "service_tier", "encoding_format", "safety_identifier",
  "prompt_cache_key", "prompt_cache_retention", "tidelane",
]);

/** Values that ask for nothing: a client library may send its defaults. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  n: [1], best_of: [1], frequency_penalty: [0], presence_penalty: [0], logprobs: [false], top_logprobs: [0], echo: [false], suffix: [""],
  parallel_tool_calls: [true], tool_choice: ["none", "auto"],
};

/** Parameters that are one ability under several names. */
const SAME: Readonly<Record<string, string>> = {
  tool_choice: "tools", parallel_tool_calls: "tools", functions: "tools", function_call: "tools", top_logprobs: "logprobs",
};

/**
 * @param body a parsed request body of OpenAI's API.
 * @returns the names that a node must declare to serve it, sorted: OpenAI's parameter names, and `images`, `audio`, `files`
 *   for the parts of a message that are not text. Empty for a plain request.
 */
export function capabilitiesNeeded(body: Readonly<Record<string, unknown>>): string[] {
  const needed = new Set<string>();
  for (const [name, value] of Object.entries(body)) {
    if (COMMON.has(name) || asksForNothing(name, value)) continue;
    needed.add(Object.hasOwn(SAME, name) ? SAME[name]! : name);
  }
  for (const message of Array.isArray(body.messages) ? body.messages : []) for (const part of partsOf(message)) needed.add(part);
  return [...needed].sort();
}

function asksForNothing(name: string, value: unknown): boolean {
  if (value === null || value === undefined) return true;
  if (name === "response_format") return typeOf(value) === "text";
  if (name === "modalities") return Array.isArray(value) && value.every((one) => one === "text");
  if (Array.isArray(value) && value.length === 0) return true;
  if (name === "logit_bias" && typeof value === "object" && Object.keys(value).length === 0) return true;
  return Object.hasOwn(NEUTRAL, name) && NEUTRAL[name]!.includes(value);
}

function partsOf(message: unknown): string[] {
  const found: string[] = [];
  if (typeof message !== "object" || message === null) return found;
  if (("tool_calls" in message && message.tool_calls) || ("role" in message && message.role === "tool")) found.push("tools");
  const content = "content" in message && Array.isArray(message.content) ? message.content : [];
  for (const part of content) {
    const type = typeOf(part);
    if (type === "text" || type === "refusal") continue;
    found.push(type === "image_url" ? "images" : type === "input_audio" ? "audio" : type === "file" ? "files" : "content");
  }
  return found;
}

const typeOf = (value: unknown): unknown => (typeof value === "object" && value !== null && "type" in value ? value.type : undefined);
