// The process's one listening socket: the HTTP API, and the upgrade where nodes dial in, behind limits for slow and many clients.
import { readFileSync } from "node:fs";
import http, { type RequestListener } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { TidelaneError } from "../../protocol/errors.ts";
import { LINK_PROTOCOL } from "../../protocol/link.ts";
import type { Millis } from "../../protocol/units.ts";

export interface HttpServerOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** PEM files; null for plain HTTP. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

export interface HttpServer {
  /** With the port that was taken. */
  readonly url: string;
  /** Takes no new connections and closes idle ones; resolves when the last one has ended, or is ended here after the time. */
  close(graceMs: Millis): Promise<void>;
}

/** The payment header alone may take 8 KiB. */
const HEADER_BYTES_MAX = 32_768;
const HEADERS_MAX = 100;
const CONNECTIONS_MAX = 16_384;
/** From the first byte of a request to the end of its headers, and to the end of its body: slow senders hold sockets. */
const HEADERS_MS_MAX = 10_000;
const REQUEST_MS_MAX = 60_000;
/** Longer than common load balancers keep their idle connections, so that they close first. */
const KEEP_ALIVE_MS = 65_000;

/** @throws TidelaneError `port_in_use`, `address_unavailable`, `tls_unreadable` */
export async function startHttpServer(listener: RequestListener, options: HttpServerOptions): Promise<HttpServer> {
  const limits = {
    maxHeaderSize: HEADER_BYTES_MAX, headersTimeout: HEADERS_MS_MAX, requestTimeout: REQUEST_MS_MAX, keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true,
    // Any other upgrade, which browsers and curl offer, is ignored and answered as the plain request that it also is.
    shouldUpgradeCallback: (request: IncomingMessage) => request.headers.upgrade?.toLowerCase() === LINK_PROTOCOL,
  };
  const server = options.tls ? https.createServer({ ...limits, ...pemsOf(options.tls) }, listener) : http.createServer(limits, listener);
  server.maxHeadersCount = HEADERS_MAX;
  server.maxConnections = CONNECTIONS_MAX;
  server.on("upgrade", options.onUpgrade);
  const answering = new WeakSet<Duplex>();
  server.on("request", ({ socket }: IncomingMessage, response: http.ServerResponse) => {
    answering.add(socket);
    response.once("close", () => answering.delete(socket));
  });
  // In the middle of an answer an error would be taken for a part of it.
  server.on("clientError", (error, socket) => (answering.has(socket) ? void socket.destroy() : refuse(error, socket)));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, options)));
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  return { url: `${options.tls ? "https" : "http"}://${host}:${port}`, close: (graceMs) => close(server, graceMs) };
}

/** What is no HTTP request gets the same typed error as what is a wrong one. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy();
  const { status, code, message } = UNREADABLE[error.code ?? ""] ?? { status: "400 Bad Request", code: "invalid_request", message: "This is no HTTP/1.1 request." };
  const body = JSON.stringify({ error: { message, type: "invalid_request_error", param: null, code } });
  socket.end([`HTTP/1.1 ${status}`, "connection: close", "content-type: application/json; charset=utf-8", `content-length: ${Buffer.byteLength(body)}`, "", body].join("\r\n"), () => socket.destroy());
}

const UNREADABLE: Readonly<Record<string, { readonly status: string; readonly code: string; readonly message: string }>> = {
  HPE_HEADER_OVERFLOW: { status: "431 Request Header Fields Too Large", code: "headers_too_large", message: `The request's headers exceed ${HEADER_BYTES_MAX} bytes, or there are more than ${HEADERS_MAX}.` },
  HPE_INVALID_EOF_STATE: { status: "400 Bad Request", code: "request_aborted", message: "The request ended early." },
  ERR_HTTP_REQUEST_TIMEOUT: { status: "408 Request Timeout", code: "request_timeout", message: "The request was not sent in time." },
};

async function close(server: http.Server | https.Server, graceMs: Millis): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const tooLong = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(tooLong);
}

function pemsOf({ certFile, keyFile }: { certFile: string; keyFile: string }): { cert: Buffer; key: Buffer } {
  try {
    return { cert: readFileSync(certFile), key: readFileSync(keyFile) };
  } catch (cause) {
    throw new TidelaneError("The TLS certificate or its key cannot be read; check TIDELANE_TLS_CERT and TIDELANE_TLS_KEY.", { code: "tls_unreadable", cause });
  }
}

function listenError(error: NodeJS.ErrnoException, { host, port }: HttpServerOptions): TidelaneError {
  if (error.code === "EADDRINUSE") {
    return new TidelaneError(`Port ${port} of ${host} is in use. End the process that holds it, or set TIDELANE_PORT to another one.`, { code: "port_in_use", details: { host, port }, cause: error });
  }
  return new TidelaneError(`Cannot listen on ${host}:${port} (${error.code ?? error.message}). Check TIDELANE_HOST and TIDELANE_PORT.`, { code: "address_unavailable", details: { host, port }, cause: error });
}
