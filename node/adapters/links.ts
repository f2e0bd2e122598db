// The node's end of the link: dials a relayer, has it prove itself, turns round and serves it over HTTP/2 on the same socket.
// The wire is described in protocol/link.ts.
import { once } from "node:events";
import * as http from "node:http";
import * as http2 from "node:http2";
import * as https from "node:https";
import type { Duplex } from "node:stream";
import { LINK_PATH, LINK_PROTOCOL, LinkHeader, PROCESSES_MAX } from "../../protocol/link.ts";
import { hexOfLength, structFromJson } from "../../protocol/json.ts";
import { signatureFromJson } from "../../protocol/records.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { serveStreams } from "./linkStreams.ts";
import type { Clock, Dice, LinkChallenge, LinkHandler, Log, RelayerLinks, RelayerPeer } from "../ports.ts";
import type { Millis } from "../../protocol/units.ts";

export interface LinkOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  readonly dialWithinMs?: Millis;
  readonly pingEveryMs?: Millis;
}

const DIAL_WITHIN_MS = 10_000;
const PING_EVERY_MS = 5_000;
const TAB_BYTES_MAX = 65_536;
const REASON_BYTES_MAX = 1_000;
/** A node cancels by small requests, but a relayer's client may reset streams by the thousand. */
const SESSION: http2.ServerSessionOptions = {
  maxSessionMemory: 256, streamResetBurst: 100_000, streamResetRate: 10_000,
  settings: { maxConcurrentStreams: 10_000, initialWindowSize: 1_048_576, enablePush: false },
};

export class HttpLinks implements RelayerLinks {
  readonly #options: LinkOptions;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  async serve(url: string, nodeId: number, handler: LinkHandler, signal: AbortSignal, onProved: (challenge: LinkChallenge) => void = () => undefined): Promise<void> {
    const { socket, challenge } = await this.#dial(url, nodeId, signal);
    try {
      const answer = await handler.authenticate(challenge);
      onProved(challenge);
      await this.#serveOn(socket, { url, relayerId: challenge.relayerId, relayerEpoch: challenge.relayerEpoch, process: challenge.process }, handler, answer, signal);
    } finally {
      socket.destroy();
    }
  }

  async lastReceipt(url: string, nodeId: number): ReturnType<RelayerLinks["lastReceipt"]> {
    const from = new URL(`/tidelane/v1/nodes/${nodeId}/tab`, checkedUrl(url));
    const stop = AbortSignal.timeout(this.#options.dialWithinMs ?? DIAL_WITHIN_MS);
    try {
      const answer = await fetch(from, { signal: stop, redirect: "error" });
      if (answer.status === 404) return null;
      const text = await answer.text();
      if (!answer.ok || text.length > TAB_BYTES_MAX) throw new Error(`HTTP ${answer.status}`);
      const json: unknown = JSON.parse(text);
      if (json === null || typeof json !== "object" || !("receipt" in json) || json.receipt === null) return null;
      return { receipt: structFromJson("TaskReceipt", json.receipt), signature: signatureFromJson("receiptSignature" in json ? json.receiptSignature : null, "receiptSignature") };
    } catch (error) {
      throw new TidelaneError(`${from.origin} does not tell this node's last receipt.`, { code: "relayer_unreachable", retryable: true, cause: error });
    }
  }

  /** Upgrades one connection. @throws retryable `link_failed`, or `link_refused` where the relayer answered no */
  async #dial(url: string, nodeId: number, signal: AbortSignal): Promise<{ socket: Duplex; challenge: LinkChallenge }> {
    const target = new URL(LINK_PATH, checkedUrl(url));
    const nodeNonce = this.#options.dice.bytes32();
    const stop = AbortSignal.any([signal, AbortSignal.timeout(this.#options.dialWithinMs ?? DIAL_WITHIN_MS)]);
    const request = (target.protocol === "https:" ? https : http).request(target, {
      agent: false, signal: stop, headers: { connection: "Upgrade", upgrade: LINK_PROTOCOL, [LinkHeader.nodeId]: String(nodeId), [LinkHeader.nonce]: nodeNonce },
    });
    request.end();
    try {
      const upgraded = once(request, "upgrade", { signal: stop }) as Promise<[http.IncomingMessage, Duplex, Buffer]>;
      const refused = (once(request, "response", { signal: stop }) as Promise<[http.IncomingMessage]>).then(async ([response]) => {
        throw new TidelaneError(`${target.origin} refused the link (HTTP ${response.statusCode}): ${await reasonOf(response)}`, { code: "link_refused", retryable: true });
      });
      refused.catch(() => undefined);
      const [response, socket, head] = await Promise.race([upgraded, refused]);
      // The time limit was for the handshake: from here on only the connection's own signal may end it.
      socket.on("error", () => undefined);
      if (head.length > 0) socket.unshift(head);
      return { socket, challenge: challengeOf(response.headers, nodeNonce) };
    } catch (error) {
      request.destroy();
      if (error instanceof TidelaneError && error.code === "link_refused") throw error;
      throw new TidelaneError(`${target.origin} did not take the link: ${error instanceof Error ? error.message : "unknown"}`, { code: "link_failed", retryable: true, cause: error });
    }
  }

  async #serveOn(
    socket: Duplex, relayer: Omit<RelayerPeer, "backlogBytes">, handler: LinkHandler, answer: Awaited<ReturnType<LinkHandler["authenticate"]>>, signal: AbortSignal,
  ): Promise<void> {
    const open = new Set<http2.ServerHttp2Stream>();
    const peer: RelayerPeer = { ...relayer, backlogBytes: () => [...open].reduce((sum, stream) => sum + stream.writableLength, 0) };
    const session = http2.performServerHandshake(socket, SESSION);
    const closed = new AbortController();
    const end = (): void => session.destroy();
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    session.on("error", (error) => this.#options.log.debug({ url: peer.url, error: String(error) }, "the link broke"));
    session.on("goaway", (_code: number, _last: number, reason?: Uint8Array) => {
      if (reason?.length) this.#options.log.warn({ url: peer.url, reason: Buffer.from(reason).toString("utf8").slice(0, REASON_BYTES_MAX) }, "the relayer ends the link");
    });
    serveStreams(session, { peer, open, handler, answer, log: this.#options.log, closed: closed.signal });
    const pings = this.#ping(session, closed.signal);
    try {
      if (!session.destroyed) await once(session, "close");
    } finally {
      signal.removeEventListener("abort", end);
      closed.abort();
      await pings;
    }
  }

  /** A connection that swallows pings is dead, whatever the operating system believes. */
  async #ping(session: http2.ServerHttp2Session, closed: AbortSignal): Promise<void> {
    const everyMs = this.#options.pingEveryMs ?? PING_EVERY_MS;
    while (!closed.aborted && !session.destroyed) {
      let answered = false;
      session.ping((error) => { answered = error === null; });
      await this.#options.clock.sleep(everyMs, closed);
      if (!answered && !closed.aborted) session.destroy();
    }
  }
}

/** Plain TCP stays on this machine; anything further needs TLS. @throws TidelaneError `relayer_url_invalid` */
export function checkedUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const loopback = parsed !== null && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(parsed.hostname);
  if (parsed?.protocol === "https:" || (parsed?.protocol === "http:" && loopback)) return parsed;
  throw new TidelaneError(`${url}: a relayer's address is https://..., or http:// on this machine only.`, { code: "relayer_url_invalid" });
}

/** The beginning of what a relayer says beside its refusal. */
async function reasonOf(response: http.IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of response.setEncoding("utf8") as AsyncIterable<string>) {
    text += part;
    if (text.length >= REASON_BYTES_MAX) break;
  }
  return text.slice(0, REASON_BYTES_MAX) || "no reason given";
}

function challengeOf(headers: http.IncomingHttpHeaders, nodeNonce: `0x${string}`): LinkChallenge {
  return {
    relayerId: idOf(headers[LinkHeader.relayerId], LinkHeader.relayerId), relayerEpoch: idOf(headers[LinkHeader.relayerEpoch], LinkHeader.relayerEpoch),
    nodeNonce, relayerNonce: hexOfLength(headers[LinkHeader.nonce], 32, LinkHeader.nonce), signature: signatureFromJson(headers[LinkHeader.signature], LinkHeader.signature),
    process: headers[LinkHeader.process] === undefined ? null : hexOfLength(headers[LinkHeader.process], 32, LinkHeader.process),
    processes: processesOf(headers[LinkHeader.processes]),
  };
}

/** What is no address of a relayer is left out: it comes from a stranger, and nothing is lost without it. */
function processesOf(value: string | string[] | undefined): string[] {
  const named = typeof value === "string" ? value.split(",", PROCESSES_MAX).map((url) => url.trim()) : [];
  return named.filter((url) => {
    try {
      return checkedUrl(url) !== null;
    } catch {
      return false;
    }
  });
}

function idOf(value: string | string[] | undefined, name: string): number {
  const id = typeof value === "string" && /^[1-9]\d{0,9}$/.test(value) ? Number(value) : 0;
  if (id < 1 || id >= 2 ** 32) throw new Error(`${name} is no id`);
  return id;
}
