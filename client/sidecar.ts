// A local OpenAI-compatible server that pays: any program on this machine sends it plain requests, it adds the signed order and
// streams the relayer's answer back untouched.
//
//   program ──plain OpenAI request──▶ sidecar (127.0.0.1) ──the same + payment──▶ relayer
//
// Whoever may connect may spend the session's budget. So it listens on the loopback only, and refuses what a web page in the
// user's browser could send: requests with an Origin, cross-site fetches, and Host names that are not this machine's.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createHash, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { TidelaneError } from "../protocol/errors.ts";
import { BODY_BYTES_MAX, kindOf } from "./quote.ts";
import { errorBody, errorHeaders, statusOf } from "./problems.ts";
import type { TidelanePayer } from "./payer.ts";

export interface SidecarOptions {
  /** 0 chooses a free one. */
  readonly port: number;
  /** Where given, requests must carry it as their bearer token: for machines with other users. */
  readonly key?: string;
  /** Told of each request when it has ended: method, path, status; never its text. */
  readonly onRequest?: (line: { readonly method: string; readonly path: string; readonly status: number; readonly ms: number }) => void;
}

export interface Sidecar {
  /** What an OpenAI client takes as its base URL. */
  readonly baseUrl: string;
  /** Takes nothing new, lets running answers end up to the limit, then cuts. */
  close(limitMs?: number): Promise<void>;
}

const HOST = "127.0.0.1";
const CONNECTIONS_MAX = 1_024;
const CLOSE_LIMIT_MS = 30_000;
/** Answered by the relayer for nothing. */
const FREE_ROUTES = /^\/v1\/models(\/[^/]+)*$/;
/** Of one connection each, so not passed on; the platform has decoded the body already. */
const HOP_HEADERS = new Set(["connection", "keep-alive", "transfer-encoding", "content-encoding", "content-length", "upgrade", "proxy-authenticate", "trailer"]);
/** What the relayer may learn of the program; cookies, for one, are not among it. */
const PASSED_HEADERS = ["content-type", "accept", "user-agent", "idempotency-key", "last-event-id", "x-request-id", "x-tidelane-wait"];

/** @throws `port_in_use` */
export async function startSidecar(payer: TidelanePayer, options: SidecarOptions): Promise<Sidecar> {
  const server = createServer({ requestTimeout: 60_000, headersTimeout: 15_000, maxHeaderSize: 32_768 }, (request, response) => {
    const since = performance.now();
    response.once("close", () => options.onRequest?.({
      method: request.method ?? "", path: pathOf(request), status: response.statusCode, ms: Math.round(performance.now() - since),
    }));
    handle(payer, options, request, response).catch((error: unknown) => fail(response, error));
  });
  server.maxConnections = CONNECTIONS_MAX;
  await listen(server, options.port);
  const { port } = server.address() as { port: number };
  return { baseUrl: `http://${HOST}:${port}/v1`, close: (limitMs = CLOSE_LIMIT_MS) => close(server, limitMs) };
}

async function handle(payer: TidelanePayer, options: SidecarOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  refuseStrangers(request, options);
  const path = pathOf(request);
  if (path === "/healthz") return answer(response, 200, { "content-type": "application/json" }, JSON.stringify({ ok: true }));
  const isPaid = path.startsWith("/v1/") && kindOf(path) !== null;
  if (!isPaid && !FREE_ROUTES.test(path)) throw new TidelaneError(`There is nothing at ${path}; this server speaks OpenAI's chat, completions, embeddings and models.`, { code: "route_not_found" });
  if (request.method !== (isPaid ? "POST" : "GET")) throw new TidelaneError(`${path} takes ${isPaid ? "POST" : "GET"} only.`, { code: "method_not_allowed" });
  const body = isPaid ? await bodyOf(request) : null;
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const { search } = targetOf(request);
  const upstream = await payer.fetch(`${new URL(payer.baseUrl).origin}${path}${search}`, { method: request.method, headers: passed(request), signal: gone.signal, ...(body ? { body: body as Uint8Array<ArrayBuffer> } : {}) });
  await stream(upstream, response);
}

/** @throws `forbidden_host`, `forbidden_origin`, `wrong_proxy_key` */
function refuseStrangers(request: IncomingMessage, options: SidecarOptions): void {
  const { host, origin, "sec-fetch-site": site, authorization } = request.headers;
  // A name that a stranger's DNS points here is not ours, whatever address it resolves to.
  if (!host || !/^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/i.test(host)) {
    throw new TidelaneError("This server answers to 127.0.0.1 and localhost only.", { code: "forbidden_host" });
  }
  if (origin !== undefined || (site !== undefined && site !== "none")) {
    throw new TidelaneError("Requests from web pages are refused: a page must not spend your budget. Call this server from a program.", { code: "forbidden_origin" });
  }
  if (options.key !== undefined && !isSame(authorization ?? "", `Bearer ${options.key}`)) {
    throw new TidelaneError("This server wants its key as the client's API key.", { code: "wrong_proxy_key" });
  }
}

const isSame = (a: string, b: string): boolean => timingSafeEqual(digestOf(a), digestOf(b));
const digestOf = (text: string): Buffer => createHash("sha256").update(text).digest();

/** @throws `body_too_large` */
async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new TidelaneError(`The body exceeds ${BODY_BYTES_MAX} bytes.`, { code: "body_too_large" });
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function passed(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of PASSED_HEADERS) {
    const value = request.headers[name];
    if (typeof value === "string") headers[name] = value;
  }
  return headers;
}

/** Passes the answer on at the reader's own pace. */
async function stream(upstream: Response, response: ServerResponse): Promise<void> {
  response.statusCode = upstream.status;
  for (const [name, value] of upstream.headers) {
    // The relayer's permissions for web pages are not this server's.
    if (!HOP_HEADERS.has(name) && !name.startsWith("access-control-")) response.setHeader(name, value);
  }
  response.flushHeaders();
  if (!upstream.body) return void response.end();
  const reader = upstream.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!response.write(value) && !response.destroyed) await Promise.race([once(response, "drain"), once(response, "close")]);
      if (response.destroyed) return await reader.cancel();
    }
    response.end();
  } catch {
    // The relayer broke off in mid-answer: a cut must not look like an end.
    response.destroy();
  }
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.destroyed) return;
  if (response.headersSent) return void response.destroy();
  const known = error instanceof TidelaneError ? error : new TidelaneError("The request could not be passed on.", { code: "internal_error", retryable: true, cause: error });
  answer(response, statusOf(known), { ...errorHeaders(known), connection: "close" }, JSON.stringify(errorBody(known)));
}

function answer(response: ServerResponse, status: number, headers: Record<string, string>, body: string): void {
  response.writeHead(status, headers);
  response.end(body);
}

/** The request's target with dots and escapes resolved, so that it cannot mean one thing here and another at the relayer. */
function targetOf(request: IncomingMessage): URL {
  const target = request.url ?? "";
  return new URL(target.startsWith("/") && !target.startsWith("//") ? target : "/", `http://${HOST}`);
}

const pathOf = (request: IncomingMessage): string => targetOf(request).pathname;

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, HOST);
  try {
    await once(server, "listening");
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "EADDRINUSE"
      ? new TidelaneError(`Port ${port} is in use. Choose another: tidelane payer proxy --port ${port + 1}`, { code: "port_in_use", details: { port }, cause: error })
      : error;
  }
}

async function close(server: Server, limitMs: number): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), limitMs);
  await closed;
  clearTimeout(cut);
}
