// Reading a stranger's JSON: bytes kept as they came, bounded in size and depth before anything is built of them.
import express, { type Request, type RequestHandler } from "express";
import { InvalidValueError, TidelaneError } from "../../protocol/errors.ts";

export const BODY_BYTES_MAX = 1_048_576;
/** OpenAI's deepest requests (tool schemas) stay far below. */
const DEPTH_MAX = 64;

/** A body as it came and what it says. */
export interface JsonBody {
  readonly bytes: Buffer;
  /** The same as text, without loss: encoding it again gives the same bytes. */
  readonly text: string;
  readonly json: Record<string, unknown>;
}

/** Refuses another content type before the body is read, then reads at most BODY_BYTES_MAX of it, undecoded. */
export const rawJson: RequestHandler[] = [
  (request, _response, next) => {
    // Bodies without a type are let through: curl users forget it, and JSON is all there is.
    const type = request.headers["content-type"];
    if (type !== undefined && !/^application\/([\w.+-]+\+)?json\s*(;\s*charset\s*=\s*"?utf-?8"?\s*)?$/i.test(type)) {
      throw new TidelaneError("Send the body as application/json in UTF-8.", { code: "unsupported_media_type", details: { contentType: type.slice(0, 100) } });
    }
    next();
  },
  express.raw({ type: () => true, limit: BODY_BYTES_MAX, inflate: false }),
];

/** @throws TidelaneError invalid_utf8, json_too_deep, invalid_json; InvalidValueError for what is no object or carries `__proto__`. */
export function jsonBodyOf(request: Request): JsonBody {
  const bytes: Buffer = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const text = utf8Of(bytes);
  requireShallow(bytes);
  const json = parsed(text);
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new InvalidValueError("body", "a JSON object");
  refuseProto(json, "body");
  return { bytes, text, json: json as Record<string, unknown> };
}

function utf8Of(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new TidelaneError("The body is not valid UTF-8.", { code: "invalid_utf8" });
  }
}

/** Counts brackets outside of strings: a hundred thousand of them must not reach a parser, a validator or an engine. */
function requireShallow(bytes: Buffer): void {
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (isInString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) isInString = false;
    } else if (byte === QUOTE) isInString = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > DEPTH_MAX) throw new TidelaneError(`The body is nested more than ${DEPTH_MAX} deep.`, { code: "json_too_deep", details: { depthMax: DEPTH_MAX } });
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
  }
}
const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d];

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text around the fault, which may be a prompt.
    throw new TidelaneError(text.trim() === "" ? "The body is empty; send a JSON object." : "The body is not valid JSON.", { code: "invalid_json" });
  }
}

/** A key of that name is data to some parsers and a prototype to others: nobody means it well. */
function refuseProto(value: object, path: string): void {
  if (Object.hasOwn(value, "__proto__")) throw new InvalidValueError(`${path}.__proto__`, "no member of that name");
  for (const [name, member] of Object.entries(value)) if (typeof member === "object" && member !== null) refuseProto(member, `${path}.${name.slice(0, 50)}`);
}
