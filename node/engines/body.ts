// Reads the common parameters out of a request body that was checked for shape by nobody yet: wrong types are the caller's fault.
import { EngineError, type EngineRequest } from "../ports.ts";
import type { Tokens } from "../../protocol/units.ts";

const STOPS_MAX = 16;
const STOP_CHARS_MAX = 256;
const MESSAGES_MAX = 10_000;

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** @returns messages with plain text contents. @throws EngineError `input_rejected` */
export function messagesOf(body: EngineRequest["body"]): ChatMessage[] {
  const messages = body.messages;
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MESSAGES_MAX) throw rejected("messages", `an array of 1 to ${MESSAGES_MAX} messages`);
  return messages.map((message: unknown, i) => {
    if (typeof message !== "object" || message === null) throw rejected(`messages[${i}]`, "an object");
    const { role, content } = message as Record<string, unknown>;
    if (typeof role !== "string") throw rejected(`messages[${i}].role`, "a string");
    return { role, content: textOf(content, `messages[${i}].content`) };
  });
}

/** @throws EngineError `input_rejected` */
export function promptOf(body: EngineRequest["body"]): string {
  const prompt = Array.isArray(body.prompt) && body.prompt.length === 1 ? (body.prompt as unknown[])[0] : body.prompt;
  if (typeof prompt !== "string") throw rejected("prompt", "one string");
  return prompt;
}

/** @returns the texts to embed. @throws EngineError `input_rejected` */
export function inputsOf(body: EngineRequest["body"], most: number): string[] {
  const inputs = Array.isArray(body.input) ? (body.input as unknown[]) : [body.input];
  if (inputs.length === 0 || inputs.length > most) throw rejected("input", `1 to ${most} texts`);
  return inputs.map((input, i) => {
    if (typeof input !== "string" || input === "") throw rejected(`input[${i}]`, "a text that is not empty");
    return input;
  });
}

/** @throws EngineError `input_rejected` */
export function stopsOf(body: EngineRequest["body"]): string[] {
  if (body.stop === undefined || body.stop === null) return [];
  const stops = Array.isArray(body.stop) ? (body.stop as unknown[]) : [body.stop];
  if (stops.length > STOPS_MAX || !stops.every((stop) => typeof stop === "string" && stop.length <= STOP_CHARS_MAX)) {
    throw rejected("stop", `at most ${STOPS_MAX} strings of ${STOP_CHARS_MAX} characters`);
  }
  return stops as string[];
}

/** @returns the number, or the default where the body has none. @throws EngineError `input_rejected` */
export function numberOf(body: EngineRequest["body"], name: string, least: number, most: number, otherwise: number): number {
  const value = body[name];
  if (value === undefined || value === null) return otherwise;
  if (typeof value !== "number" || !(value >= least && value <= most)) throw rejected(name, `a number from ${least} to ${most}`);
  return value;
}

/** The least of what the body asks for, what is paid for, and what the context holds. */
export function outTokensOf(request: EngineRequest, roomTokens: Tokens): Tokens {
  const asked = request.body.max_completion_tokens ?? request.body.max_tokens;
  const wanted = typeof asked === "number" && Number.isSafeInteger(asked) && asked >= 0 ? asked : Infinity;
  return Math.max(0, Math.min(wanted, request.maxOutTokens, roomTokens));
}

export const rejected = (name: string, expected: string): EngineError =>
  new EngineError("input_rejected", `${name}: expected ${expected}`, { details: { parameter: name } });

function textOf(content: unknown, path: string): string {
  if (content === null || content === undefined) return "";
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw rejected(path, "a text");
  return content.map((part: unknown) => {
    if (typeof part !== "object" || part === null || !("text" in part) || typeof part.text !== "string") throw rejected(path, "text parts only");
    return part.text;
  }).join("");
}
