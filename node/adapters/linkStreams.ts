// The routes of the link: what a relayer asks over the node's HTTP/2 session, one stream each, read and answered within limits.
import type * as http2 from "node:http2";
import { acksFromJson, attemptFromJson, attestationLineToJson, cancelSchema, eventToJson, REQUEST_BYTES_MAX } from "../../protocol/link.ts";
import { parse } from "../../protocol/json.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Hash, Signature } from "../../protocol/units.ts";
import type { LinkHandler, Log, RelayerPeer } from "../ports.ts";

export interface StreamWorld {
  readonly peer: RelayerPeer;
  /** The streams that are open: what they hold back is the connection's backlog. */
  readonly open: Set<http2.ServerHttp2Stream>;
  readonly handler: LinkHandler;
  /** What POST /auth answers. */
  readonly answer: { keyEpoch: number; signature: Signature };
  readonly log: Log;
  /** Aborted when the connection is gone. */
  readonly closed: AbortSignal;
}

type Route = (stream: http2.ServerHttp2Stream, world: StreamWorld, match: RegExpExecArray, query: URLSearchParams) => Promise<void>;

const routes: readonly { method: string; path: RegExp; route: Route }[] = [
  { method: "POST", path: /^\/auth$/, route: async (stream, { answer }) => answerJson(stream, answer) },
  { method: "GET", path: /^\/info$/, route: async (stream, { handler }) => answerJson(stream, handler.info()) },
  { method: "GET", path: /^\/attestations$/, route: async (stream, { handler, peer, closed }) => sendLines(stream, mapped(handler.attestations(peer, endOf(stream, closed)), attestationLineToJson)) },
  { method: "POST", path: /^\/attempts$/, route: async (stream, { handler, peer, closed }) => sendLines(stream, mapped(handler.attempt(peer, attemptFromJson(await jsonOf(stream)), endOf(stream, closed)), eventToJson)) },
  { method: "GET", path: /^\/attempts\/(0x[0-9a-f]{64})$/, route: attach },
  { method: "POST", path: /^\/cancel$/, route: async (stream, { handler, peer }) => {
    handler.cancel(peer, parse(cancelSchema, await jsonOf(stream), "cancel"));
    answerJson(stream, {});
  } },
  { method: "POST", path: /^\/acks$/, route: async (stream, { handler, peer }) => {
    await handler.acks(peer, acksFromJson(await jsonOf(stream)));
    answerJson(stream, {});
  } },
];

export function serveStreams(session: http2.ServerHttp2Session, world: StreamWorld): void {
  session.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    world.open.add(stream);
    stream.once("close", () => world.open.delete(stream));
    void answerStream(stream, headers, world);
  });
}

async function answerStream(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, world: StreamWorld): Promise<void> {
  const [path = "", query = ""] = (headers[":path"] ?? "").split("?", 2);
  try {
    const at = routes.map(({ method, path: pattern, route }) => ({ match: method === headers[":method"] ? pattern.exec(path) : null, route })).find(({ match }) => match !== null);
    if (!at?.match) return answerJson(stream, { code: "not_found" }, 404);
    await at.route(stream, world, at.match, new URLSearchParams(query));
  } catch (error) {
    const known = error instanceof TidelaneError;
    if (!known) world.log.error({ path, error: String(error) }, "a request over the link failed in a way that nobody foresaw");
    if (stream.headersSent) stream.close();
    else answerJson(stream, { code: known ? error.code : "internal_error", message: known ? error.message : "The node failed." }, known ? 400 : 500);
  }
}

async function attach(stream: http2.ServerHttp2Stream, { handler, peer, closed }: StreamWorld, match: RegExpExecArray, query: URLSearchParams): Promise<void> {
  const offset = Number(query.get("offset") ?? 0);
  if (!Number.isSafeInteger(offset) || offset < 0) return answerJson(stream, { code: "invalid_value", message: "offset: expected a whole number" }, 400);
  const events = handler.attach(peer, match[1] as Hash, offset, endOf(stream, closed));
  if (!events) return answerJson(stream, { code: "not_found" }, 404);
  await sendLines(stream, mapped(events, eventToJson));
}

/** One line for each value, written no faster than the other side reads. */
async function sendLines(stream: http2.ServerHttp2Stream, values: AsyncIterable<unknown>): Promise<void> {
  stream.respond({ ":status": 200, "content-type": "application/x-ndjson" });
  for await (const value of values) {
    if (stream.destroyed || stream.closed) return;
    if (!stream.write(`${JSON.stringify(value)}\n`)) await drained(stream);
  }
  if (!stream.destroyed) stream.end();
}

const drained = (stream: http2.ServerHttp2Stream): Promise<void> => new Promise((resolve) => {
  const done = (): void => {
    stream.off("drain", done);
    stream.off("close", done);
    resolve();
  };
  stream.on("drain", done);
  stream.on("close", done);
});

async function* mapped<From, To>(values: AsyncIterable<From>, to: (value: From) => To): AsyncGenerator<To> {
  for await (const value of values) yield to(value);
}

function endOf(stream: http2.ServerHttp2Stream, closed: AbortSignal): AbortSignal {
  const ended = new AbortController();
  stream.once("close", () => ended.abort());
  return AbortSignal.any([closed, ended.signal]);
}

function answerJson(stream: http2.ServerHttp2Stream, body: unknown, status = 200): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond({ ":status": status, "content-type": "application/json" });
  stream.end(JSON.stringify(body));
}

/** @throws TidelaneError `body_too_large`, `invalid_json` */
async function jsonOf(stream: http2.ServerHttp2Stream): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of stream as AsyncIterable<Buffer>) {
    bytes += part.length;
    // The body stands in the request as a JSON string: escapes may double it.
    if (bytes > 3 * REQUEST_BYTES_MAX) throw new TidelaneError(`The request has more than ${3 * REQUEST_BYTES_MAX} bytes.`, { code: "body_too_large" });
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch {
    throw new TidelaneError("The request is no JSON.", { code: "invalid_json" });
  }
}
