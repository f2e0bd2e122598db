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
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, options)));
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  return { url: `${options.tls ? "https" : "http"}://${host}:${port}`, close: (graceMs) => close(server, graceMs) };
}

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
