// OpenAI's answers, built from a task's events. Members of Tidelane stand beside OpenAI's under `tidelane`.
import { TidelaneError } from "../../protocol/errors.ts";
import { modelToJson } from "../../protocol/service.ts";
import type { FinishReason } from "../../protocol/link.ts";
import type { Seconds } from "../../protocol/units.ts";
import type { OutputEvent } from "../work/attempt.ts";
import type { TaskEnd } from "../work/taskLife.ts";
import type { RunningTask } from "../work/tasks.ts";
import type { FleetModel } from "../work/fleet.ts";

type Json = Record<string, unknown>;

/** What all chunks of one answer share. */
export interface Frame {
  readonly id: string;
  readonly created: Seconds;
  readonly model: string;
}

export const frameOf = (task: RunningTask, kind: "chat" | "completion", created: Seconds): Frame =>
  ({ id: `${kind === "chat" ? "chatcmpl" : "cmpl"}-${task.taskId.slice(2, 34)}`, created, model: task.model });

export const usageOf = (end: TaskEnd): Json =>
  ({ prompt_tokens: end.inputTokens, completion_tokens: end.outputTokens, total_tokens: end.inputTokens + end.outputTokens });

const reasonOf = (reason: FinishReason): string => (reason === "cancelled" || reason === "error" ? "stop" : reason);

// ---------------------------------------------------------------- streamed

const chunk = (frame: Frame, object: string, choice: Json, includeUsage: boolean): Json =>
  ({ id: frame.id, object, created: frame.created, model: frame.model, choices: [{ index: 0, ...choice }], ...(includeUsage ? { usage: null } : {}) });

export const chatRole = (frame: Frame, includeUsage: boolean): Json =>
  chunk(frame, "chat.completion.chunk", { delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }, includeUsage);

export function chatDelta(frame: Frame, event: OutputEvent, includeUsage: boolean): Json {
  const { text, members, logprobs } = partsOf(event);
  return chunk(frame, "chat.completion.chunk", { delta: { ...(text === "" ? {} : { content: text }), ...members }, logprobs, finish_reason: null }, includeUsage);
}

export function completionDelta(frame: Frame, event: OutputEvent, includeUsage: boolean): Json {
  const { text, members, logprobs } = partsOf(event);
  return chunk(frame, "text_completion", { text, ...members, logprobs, finish_reason: null }, includeUsage);
}

/** The chunk that says why the answer ended, and after it, where asked for, the one with the usage. The last one carries the cost. */
export function lastChunks(frame: Frame, kind: "chat" | "completion", end: TaskEnd, includeUsage: boolean): Json[] {
  const object = kind === "chat" ? "chat.completion.chunk" : "text_completion";
  const content = kind === "chat" ? { delta: {} } : { text: "" };
  const final = chunk(frame, object, { ...content, logprobs: null, finish_reason: reasonOf(end.finishReason) }, includeUsage);
  if (!includeUsage) return [{ ...final, tidelane: end.cost }];
  return [final, { id: frame.id, object, created: frame.created, model: frame.model, choices: [], usage: usageOf(end), tidelane: end.cost }];
}

// ---------------------------------------------------------------- whole

export function chatAnswer(frame: Frame, events: readonly OutputEvent[], end: TaskEnd): Json {
  const { text, members, logprobs } = joined(events);
  const content = text === "" && "tool_calls" in members ? null : text;
  const message = { role: "assistant", content, refusal: null, ...members };
  return answer(frame, "chat.completion", { index: 0, message, logprobs, finish_reason: reasonOf(end.finishReason) }, end);
}

export function completionAnswer(frame: Frame, events: readonly OutputEvent[], end: TaskEnd): Json {
  const { text, members, logprobs } = joined(events);
  return answer(frame, "text_completion", { text, index: 0, ...members, logprobs, finish_reason: reasonOf(end.finishReason) }, end);
}

const answer = (frame: Frame, object: string, choice: Json, end: TaskEnd): Json =>
  ({ id: frame.id, object, created: frame.created, model: frame.model, choices: [choice], usage: usageOf(end), tidelane: end.cost });

export function embeddingsAnswer(model: string, events: readonly OutputEvent[], end: TaskEnd, encoding: "float" | "base64"): Json {
  const vectors = events.filter((event) => event.type === "embedding").toSorted((a, b) => a.index - b.index);
  const data = vectors.map(({ index, vector }) => ({ object: "embedding", index, embedding: encoding === "base64" ? vector : floatsOf(vector) }));
  return { object: "list", data, model, usage: { prompt_tokens: end.inputTokens, total_tokens: end.inputTokens }, tidelane: end.cost };
}

function floatsOf(vector: string): number[] {
  const bytes = Buffer.from(vector, "base64");
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

/** `context_length` is where other gateways put it. */
export const modelEntry = (model: FleetModel, created: Seconds): Json => ({ ...modelToJson(model, created), context_length: model.contextTokens });

// ---------------------------------------------------------------- what is not text

interface Parts {
  readonly text: string;
  /** Further members of OpenAI's delta or message, such as tool_calls. */
  readonly members: Json;
  readonly logprobs: unknown;
}

function partsOf(event: OutputEvent): Parts {
  if (event.type !== "delta") return { text: "", members: {}, logprobs: null };
  if (event.extra === undefined) return { text: event.text, members: {}, logprobs: null };
  const { logprobs = null, ...others } = extraOf(event.extra);
  const members = Object.fromEntries(Object.entries(others).filter(([name]) => !OWN_MEMBERS.has(name)));
  return { text: event.text, members, logprobs };
}

/** What the answer says itself: a node's further members cannot put another text, index or end in its place. */
const OWN_MEMBERS = new Set(["content", "text", "role", "index", "finish_reason", "delta", "message", "__proto__"]);

function extraOf(text: string): Json {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Json;
  } catch {
    // As below: a node's text is not quoted.
  }
  throw new TidelaneError("The node's answer cannot be read.", { code: "generation_failed", retryable: true });
}

/** Joins deltas as OpenAI's clients do: texts end to end, tool calls by index, log probabilities in order. */
function joined(events: readonly OutputEvent[]): Parts {
  let text = "";
  const members: Json = {};
  let logprobs: unknown = null;
  for (const event of events) {
    const parts = partsOf(event);
    text += parts.text;
    for (const [name, value] of Object.entries(parts.members)) members[name] = merge(members[name], value);
    logprobs = merge(logprobs, parts.logprobs ?? undefined) ?? null;
  }
  if (Array.isArray(members.tool_calls)) members.tool_calls = (members.tool_calls as Json[]).map(({ index: _, ...call }) => call);
  return { text, members, logprobs };
}

function merge(known: unknown, more: unknown): unknown {
  if (more === undefined || more === null) return known;
  if (known === undefined || known === null) return more;
  if (typeof known === "string" && typeof more === "string") return known + more;
  if (Array.isArray(known) && Array.isArray(more)) return mergeLists(known as unknown[], more as unknown[]);
  if (typeof known !== "object" || typeof more !== "object") return more;
  const out: Json = { ...known };
  // Names and types come whole and may be repeated; only arguments come in pieces.
  for (const [name, value] of Object.entries(more)) out[name] = ["id", "type", "name", "index"].includes(name) ? value : merge(out[name], value);
  return out;
}

function mergeLists(known: readonly unknown[], more: readonly unknown[]): unknown[] {
  const out = [...known];
  for (const item of more) {
    const index = (item as { index?: unknown } | null)?.index;
    const at = typeof index === "number" ? out.findIndex((one) => (one as { index?: unknown } | null)?.index === index) : -1;
    if (at < 0) out.push(item);
    else out[at] = merge(out[at], item);
  }
  return out;
}
