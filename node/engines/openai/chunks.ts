// What the chunks of an OpenAI-compatible stream mean: text, further members, the end, the engine's own counts.
import { z } from "zod";
import { EngineError } from "../../ports.ts";
import type { FinishReason } from "../../../protocol/link.ts";
import type { Tokens } from "../../../protocol/units.ts";

export interface Usage {
  readonly inputTokens: Tokens;
  readonly outputTokens: Tokens;
}

export interface Chunk {
  readonly text: string;
  /** JSON text of further members of the delta or choice; null where there are none. */
  readonly extra: string | null;
  readonly finishReason: FinishReason | null;
  readonly usage: Usage | null;
}

const count = z.number().int().min(0).max(2 ** 32 - 1);
const usage = z.object({ prompt_tokens: count, completion_tokens: count.nullish() });
const choice = z.object({
  index: z.number().int().nullish(),
  delta: z.record(z.string(), z.unknown()).nullish(),
  text: z.string().nullish(),
  logprobs: z.unknown().optional(),
  finish_reason: z.string().nullish(),
});
const chunk = z.object({ choices: z.array(choice).max(1).nullish(), usage: usage.nullish(), error: z.unknown().optional() });

/** Members of a delta that are text or say nothing. */
const PLAIN = new Set(["content", "role"]);

/** @param data one event's data. @throws EngineError `engine_bad_answer` */
export function readChunk(data: string): Chunk {
  const parsed = chunk.safeParse(jsonOf(data));
  if (!parsed.success) throw new EngineError("engine_bad_answer", `The engine sent a chunk that is none of OpenAI's: ${parsed.error.issues[0]!.path.join(".")} ${parsed.error.issues[0]!.message}`);
  const { choices, usage: counted, error } = parsed.data;
  if (error !== undefined && error !== null) throw new EngineError("engine_bad_answer", "The engine reported an error in the middle of its answer.");
  const first = choices?.[0];
  if (first?.index) throw new EngineError("engine_bad_answer", `The engine answered choice ${first.index}; one choice was asked for.`);
  const content = first?.delta?.content ?? first?.text ?? "";
  if (typeof content !== "string") throw new EngineError("engine_bad_answer", "The engine sent content that is no text.");
  return {
    text: content, extra: first ? extraOf(first) : null,
    finishReason: first?.finish_reason ? finishReasonOf(first.finish_reason) : null,
    usage: counted ? { inputTokens: counted.prompt_tokens, outputTokens: counted.completion_tokens ?? 0 } : null,
  };
}

const vector = z.object({ index: count.nullish(), embedding: z.array(z.number()).max(65_536) });
const embeddings = z.object({ data: z.array(vector).max(2_048), usage: usage.nullish() });

/** @returns vectors in the order of the inputs. @throws EngineError `engine_bad_answer` */
export function readEmbeddings(text: string, expected: number): { vectors: Float32Array[]; inputTokens: Tokens | null } {
  const parsed = embeddings.safeParse(jsonOf(text));
  if (!parsed.success) throw new EngineError("engine_bad_answer", "The engine answered with something else than embeddings.");
  const vectors = new Array<Float32Array | undefined>(expected).fill(undefined);
  parsed.data.data.forEach((one, i) => { vectors[one.index ?? i] = Float32Array.from(one.embedding); });
  const whole = vectors.slice(0, expected).filter((one): one is Float32Array => one !== undefined && one.every(Number.isFinite));
  if (parsed.data.data.length !== expected || whole.length !== expected) {
    throw new EngineError("engine_bad_answer", `The engine answered ${parsed.data.data.length} embeddings; ${expected} were asked for.`);
  }
  return { vectors: whole, inputTokens: parsed.data.usage?.prompt_tokens ?? null };
}

function extraOf(first: z.infer<typeof choice>): string | null {
  const extra: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(first.delta ?? {})) {
    if (!PLAIN.has(name) && value !== null && value !== "" && value !== undefined) extra[name] = value;
  }
  if (first.logprobs) extra.logprobs = first.logprobs;
  return Object.keys(extra).length === 0 ? null : JSON.stringify(extra);
}

const KNOWN: Readonly<Record<string, FinishReason>> = { stop: "stop", length: "length", tool_calls: "tool_calls", function_call: "tool_calls", content_filter: "content_filter" };
/** Engines have reasons of their own (`eos_token`, `load`): whatever ended the answer by itself is a stop. */
const finishReasonOf = (reason: string): FinishReason => KNOWN[reason] ?? "stop";

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new EngineError("engine_bad_answer", "The engine sent something that is no JSON.");
  }
}
