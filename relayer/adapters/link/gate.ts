// The door where nodes dial in: an upgrade of a plain HTTP request, refused early and cheaply wherever it can be.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { TidelaneError } from "../../../protocol/errors.ts";
import { LINK_PATH, LINK_PROTOCOL, LinkHeader } from "../../../protocol/link.ts";
import type { Hash, Millis, Signature } from "../../../protocol/units.ts";

const FAILURES_PER_MINUTE_MAX = 20;
const ADDRESSES_MAX = 10_000;
/** After the 101 a node has this long to speak HTTP/2. */
const FIRST_BYTES_MS_MAX = 5_000;

export interface Hello {
  readonly nodeId: number;
  readonly nodeNonce: Hash;
}

/** @throws TidelaneError `link_refused` naming what does not fit. */
export function helloOf(request: IncomingMessage): Hello {
  if (request.method !== "GET" || request.url !== LINK_PATH || request.headers.upgrade?.toLowerCase() !== LINK_PROTOCOL) {
    throw refused(`nodes dial in with GET ${LINK_PATH} and Upgrade: ${LINK_PROTOCOL}`, 400);
  }
  if (!(request.socket instanceof TLSSocket) && !isLoopback(request.socket.remoteAddress)) {
    throw refused("a node link from another machine needs TLS; use the relayer's https address", 426);
  }
  const nodeId = request.headers[LinkHeader.nodeId];
  const nonce = request.headers[LinkHeader.nonce];
  if (typeof nodeId !== "string" || !/^[1-9]\d{0,9}$/.test(nodeId) || Number(nodeId) >= 2 ** 32) throw refused(`${LinkHeader.nodeId} must be the node's registered number`, 400);
  if (typeof nonce !== "string" || !/^0x[0-9a-f]{64}$/.test(nonce)) throw refused(`${LinkHeader.nonce} must be 32 bytes in lowercase hex`, 400);
  return { nodeId: Number(nodeId), nodeNonce: nonce as Hash };
}

/** Answers 101 with the relayer's half of the proof, and resolves once the node has begun to speak HTTP/2. @throws link_refused */
export async function switchProtocols(
  socket: Duplex, head: Buffer, proof: { relayerId: number; relayerEpoch: number; nonce: Hash; signature: Signature; process: Hash; processes: readonly string[] },
): Promise<void> {
  if (head.length > 0) throw refused("the node spoke before its upgrade was answered", 400);
  socket.write([
    "HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", `Upgrade: ${LINK_PROTOCOL}`,
    `${LinkHeader.relayerId}: ${proof.relayerId}`, `${LinkHeader.relayerEpoch}: ${proof.relayerEpoch}`,
    `${LinkHeader.nonce}: ${proof.nonce}`, `${LinkHeader.signature}: ${proof.signature}`,
    `${LinkHeader.process}: ${proof.process}`, ...(proof.processes.length > 0 ? [`${LinkHeader.processes}: ${proof.processes.join(", ")}`] : []), "", "",
  ].join("\r\n"));
  // The HTTP/2 preface must not overtake the 101 into the node's HTTP/1 parser, so the server side of HTTP/2 speaks first.
  await new Promise<void>((resolve, reject) => {
    const end = (error?: Error): void => {
      clearTimeout(tooLate);
      socket.off("readable", onReadable).off("close", onClose);
      if (!error) return resolve();
      // After the 101 there is no HTTP/1 left to say why in.
      socket.destroy();
      reject(error);
    };
    // The end of the stream makes it readable, too.
    const onReadable = (): void => (socket.readableLength > 0 ? end() : onClose());
    const onClose = (): void => end(refused("the node hung up after the upgrade", 400));
    const tooLate = setTimeout(() => end(refused(`the node did not speak HTTP/2 within ${FIRST_BYTES_MS_MAX} ms`, 408)), FIRST_BYTES_MS_MAX);
    socket.once("readable", onReadable).once("close", onClose);
  });
}

/** Answers a refusal as HTTP, with its reason for the runner's log, and closes the socket. */
export function answerRefusal(socket: Duplex, error: TidelaneError): void {
  if (socket.destroyed || !socket.writable) return void socket.destroy();
  const body = JSON.stringify({ error: { code: error.code, message: error.message } });
  const status = Number(error.details.status ?? 503);
  socket.end([
    `HTTP/1.1 ${status} Refused`, "Connection: close", "Content-Type: application/json", `Content-Length: ${Buffer.byteLength(body)}`,
    ...(error.retryable ? ["Retry-After: 5"] : []), "", body,
  ].join("\r\n"), () => socket.destroy());
}

export const refused = (reason: string, status: number, retryable = false): TidelaneError =>
  new TidelaneError(`The node link was refused: ${reason}.`, { code: "link_refused", retryable, details: { reason, status } });

/** Counts failed attempts per address in windows of a minute: a stranger who guesses keys costs little and learns nothing. */
export class FailureLimit {
  #windowStartMs: Millis = 0;
  readonly #failures = new Map<string, number>();

  /** @returns true while the address may try again. */
  admits(address: string, nowMs: Millis): boolean {
    if (nowMs - this.#windowStartMs >= 60_000) {
      this.#windowStartMs = nowMs;
      this.#failures.clear();
    }
    return (this.#failures.get(address) ?? 0) < FAILURES_PER_MINUTE_MAX;
  }

  failed(address: string): void {
    if (this.#failures.size < ADDRESSES_MAX || this.#failures.has(address)) this.#failures.set(address, (this.#failures.get(address) ?? 0) + 1);
  }
}

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && (address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127."));
