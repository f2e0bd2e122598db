// Gauges an engine from what this agent gave it: enough where the engine tells nothing, exact where it has no other clients.
import { capabilitiesNeeded } from "../../protocol/capabilities.ts";
import { inputTokensMax } from "../../protocol/bounds.ts";
import type { EngineEvent, EngineLoad, EngineRequest } from "../ports.ts";
import type { Tokens } from "../../protocol/units.ts";

/** UTF-8 bytes of text for one token, until the engine has counted: about right for English prose. */
const BYTES_PER_TOKEN = 4;

interface Running {
  started: boolean;
  inputTokens: Tokens;
  outputTokens: Tokens;
}

export class InFlight {
  /** Requests that the engine works on at once. */
  readonly places: number;
  readonly #running = new Set<Running>();

  constructor(places: number) {
    this.places = places;
  }

  /** Passes the events through and keeps count, on every way out. */
  async *watch(request: EngineRequest, events: AsyncIterable<EngineEvent>): AsyncGenerator<EngineEvent> {
    const running: Running = { started: false, inputTokens: estimateTokens(request.body), outputTokens: 0 };
    this.#running.add(running);
    try {
      for await (const event of events) {
        if (event.type === "start") Object.assign(running, { started: true, inputTokens: event.inputTokens });
        else if (event.type === "delta") running.outputTokens += event.tokens;
        yield event;
      }
    } finally {
      this.#running.delete(running);
    }
  }

  /** @param kvTokens what the KV cache holds in all; 0 where there is none or nobody knows. */
  load(up: boolean, kvTokens: Tokens): EngineLoad {
    const all = [...this.#running];
    const waiting = all.filter((one) => !one.started);
    return {
      up, kvTokens, running: Math.min(all.length, this.places), queued: Math.max(0, all.length - this.places),
      queuedTokens: waiting.reduce((sum, one) => sum + one.inputTokens, 0),
      kvUsedTokens: Math.min(kvTokens, all.reduce((sum, one) => sum + (one.started ? one.inputTokens + one.outputTokens : 0), 0)),
    };
  }
}

/** @returns a guess at the tokens of all texts in a body: of messages, their contents only. */
export const estimateTokens = (body: EngineRequest["body"]): Tokens => Math.max(1, Math.floor(promptBytes(body) / BYTES_PER_TOKEN));

/** @returns the most tokens that an honest engine can count for a body; without limit where it holds more than text. */
export function inputBound(body: EngineRequest["body"]): Tokens {
  const needed = capabilitiesNeeded(body);
  if (["images", "audio", "files", "content"].some((media) => needed.includes(media))) return Infinity;
  // Tool definitions and the like become input, too.
  const bytes = needed.length === 0 ? promptBytes(body) : Buffer.byteLength(JSON.stringify(body));
  return inputTokensMax(bytes, Array.isArray(body.messages) ? body.messages.length : 1);
}

function promptBytes(body: EngineRequest["body"]): number {
  const messages: unknown[] = Array.isArray(body.messages) ? body.messages : [];
  const contents = messages.map((message) => (typeof message === "object" && message !== null && "content" in message ? message.content : ""));
  return textBytes([contents, body.prompt, body.input], 0);
}

const DEPTH_MAX = 8;

function textBytes(value: unknown, depth: number): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return 0;
  return Object.values(value).reduce<number>((sum, member) => sum + textBytes(member, depth + 1), 0);
}
