// One node's reversed HTTP/2 connection, seen from the relayer, which is its client: small calls and streams of lines.
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { TidelaneError } from "../../../protocol/errors.ts";
import { LINE_BYTES_MAX } from "../../../protocol/link.ts";
import { jsonLines, protocolError } from "./lines.ts";

/** Small calls (auth, info, cancel, acks) must be answered within this. */
const CALL_MS_MAX = 5_000;
const PING_EVERY_MS = 5_000;
const PING_MS_MAX = 5_000;
/** All lines of one attempt together. */
const ATTEMPT_BYTES_MAX = 64 * LINE_BYTES_MAX;
/** After the last line a node has this long to end its stream. */
const LINGER_MS_MAX = 1_000;
/** Flow-control window of each stream: how much of an answer a slow client lets pile up here. */
const STREAM_WINDOW_BYTES = 256 * 1_024;
const CONNECTION_WINDOW_BYTES = 16 * 1_024 * 1_024;

export class NodeConnection {
  readonly nodeId: number;
  /** Resolves with the reason once the connection is gone. */
  readonly closed: Promise<string>;
  readonly #session: ClientHttp2Session;
  readonly #pings: NodeJS.Timeout;
  #closeReason = "the connection was cut";

  /** The socket has been upgraded, and the node has spoken first: it is ready for HTTP/2. */
  constructor(nodeId: number, socket: Duplex) {
    this.nodeId = nodeId;
    this.#session = http2.connect("http://node", {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
      maxSessionMemory: 64,
    });
    // Sockets of an HTTP server may stay half open: without this a node that hung up would seem connected until the next ping.
    socket.once("end", () => this.#session.destroy());
    this.#session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    this.closed = new Promise((resolve) => this.#session.once("close", () => resolve(this.#closeReason)));
    this.#session.on("error", (error) => (this.#closeReason = error.message));
    this.#pings = setInterval(() => this.#ping(), PING_EVERY_MS);
    this.#pings.unref();
    this.#session.once("close", () => clearInterval(this.#pings));
  }

  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** Tells the node why (as GOAWAY's debug data) and ends the connection with all its streams. */
  close(reason: string): void {
    if (this.#session.destroyed) return;
    this.#closeReason = reason;
    if (!this.#session.closed) this.#session.goaway(http2.constants.NGHTTP2_NO_ERROR, 0, Buffer.from(reason));
    // The frame leaves before the socket goes: destroy() alone would drop it.
    setImmediate(() => this.#session.destroy());
  }

  /**
   * A small call. @returns the answer's JSON.
   * @throws retryable `node_disconnected`, `node_timeout`, `node_protocol_error`.
   */
  async call(method: "GET" | "POST", path: string, body?: object): Promise<unknown> {
    const stream = this.#open(method, path, body);
    const tooLate = AbortSignal.timeout(CALL_MS_MAX);
    const onLate = (): void => void stream.close(http2.constants.NGHTTP2_CANCEL);
    tooLate.addEventListener("abort", onLate);
    try {
      await answered(stream, path);
      for await (const answer of jsonLines(stream, { lineBytesMax: LINE_BYTES_MAX, totalBytesMax: LINE_BYTES_MAX })) return answer;
      return {};
    } catch (error) {
      if (tooLate.aborted) throw new TidelaneError(`Node ${this.nodeId} did not answer ${path} within ${CALL_MS_MAX} ms.`, { code: "node_timeout", retryable: true });
      throw this.#explained(error);
    } finally {
      tooLate.removeEventListener("abort", onLate);
      stream.resume();
    }
  }

  /** A stream of lines that lasts. @throws as `call` */
  async *lines(path: string): AsyncGenerator<unknown> {
    const stream = this.#open("GET", path);
    try {
      await answered(stream, path);
      yield* jsonLines(stream, { lineBytesMax: LINE_BYTES_MAX, totalBytesMax: Infinity });
    } catch (error) {
      throw this.#explained(error);
    } finally {
      stream.close(http2.constants.NGHTTP2_CANCEL);
    }
  }

  /**
   * An attempt's lines. Whoever stops reading early, by `return` or by the signal, stops listening only.
   * @throws as `call`
   */
  async *attempt(body: object, signal?: AbortSignal): AsyncGenerator<unknown> {
    const stream = this.#open("POST", "/attempts", body);
    const stop = (): void => void stream.close(http2.constants.NGHTTP2_CANCEL);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      await answered(stream, "/attempts");
      yield* jsonLines(stream, { lineBytesMax: LINE_BYTES_MAX, totalBytesMax: ATTEMPT_BYTES_MAX });
      // A cut connection ends its streams without an error; one that was whole has been read to its last event by now.
      if (!this.isOpen || stream.rstCode !== 0) throw this.#disconnected();
    } catch (error) {
      stop();
      throw this.#explained(error);
    } finally {
      signal?.removeEventListener("abort", stop);
      linger(stream);
    }
  }

  #open(method: "GET" | "POST", path: string, body?: object): ClientHttp2Stream {
    if (!this.isOpen) throw this.#disconnected();
    const stream = this.#session.request({ ":method": method, ":path": path, "content-type": "application/json" }, { endStream: method === "GET" });
    // Errors surface where the stream is read; without a listener here one that comes later would end the process.
    stream.on("error", () => {});
    if (method === "POST") stream.end(JSON.stringify(body ?? {}));
    return stream;
  }

  #ping(): void {
    if (!this.isOpen) return;
    const tooLate = setTimeout(() => this.close(`no answer to a ping within ${PING_MS_MAX} ms`), PING_MS_MAX);
    tooLate.unref();
    this.#session.ping((error) => {
      clearTimeout(tooLate);
      if (error) this.close("a ping failed");
    });
  }

  #explained(error: unknown): TidelaneError {
    return error instanceof TidelaneError ? error : this.#disconnected(error);
  }

  #disconnected(cause?: unknown): TidelaneError {
    return new TidelaneError(`The connection to node ${this.nodeId} is gone; the attempt may be made elsewhere.`, {
      code: "node_disconnected", retryable: true, details: { nodeId: this.nodeId }, cause,
    });
  }
}

/** @throws node_protocol_error unless the node answers 200; rejects with the stream's error where it ends before an answer. */
function answered(stream: ClientHttp2Stream, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once("response", (headers) => {
      const status = headers[":status"];
      if (status === 200) resolve();
      else reject(protocolError(`${path} was answered with ${status}`));
    });
    stream.once("error", reject);
    stream.once("close", () => reject(new Error("the stream was closed before an answer")));
  });
}

/** Lets a stream that is nearly over end by itself: many resets in a row make an HTTP/2 server give up the connection. */
function linger(stream: ClientHttp2Stream): void {
  if (stream.closed || stream.destroyed) return;
  stream.resume();
  const tooLong = setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), LINGER_MS_MAX);
  tooLong.unref();
  stream.once("close", () => clearTimeout(tooLong));
}
