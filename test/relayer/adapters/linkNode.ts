// A small node for the relayer's link tests: dials in over a real socket and serves what each test wants.
import http from "node:http";
import https from "node:https";
import http2, { type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { LINK_PATH, LINK_PROTOCOL, LinkHeader, attestationToJson, linkDigest, offersHash, type NodeInfo, type Offer } from "../../../protocol/link.ts";
import { modelIdOf } from "../../../protocol/ids.ts";
import { signStruct, type DigestSigner } from "../../../protocol/signing.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import { domain } from "../../protocol/honest.ts";

export type Serve = (stream: ServerHttp2Stream, path: string, body: string) => void | Promise<void>;

export interface DialOptions {
  readonly port: number;
  readonly nodeId?: number;
  readonly signer: DigestSigner;
  readonly keyEpoch?: number;
  readonly headers?: Record<string, string>;
  /** Dials over TLS, trusting this certificate. */
  readonly ca?: string;
  readonly serve?: Serve;
  /** Lines of the attestation stream; it stays open behind them. */
  readonly attestations?: readonly string[];
}

export interface DialledNode {
  readonly session: ServerHttp2Session;
  readonly response: http.IncomingMessage;
  /** Debug data of the relayer's GOAWAY. */
  readonly goaway: Promise<string>;
  readonly closed: Promise<void>;
  hangUp(): void;
}

export class DialRefused extends Error {
  readonly status: number;
  readonly body: string;
  constructor(status: number, body: string) {
    super(`${status} ${body}`);
    this.status = status;
    this.body = body;
  }
}

const NONCE: Hash = `0x${"ab".repeat(32)}`;

export const infoOf = (nodeId: number): NodeInfo => ({
  nodeId, agent: "test", engine: "test", curve: { aNs: 1, bNs: 1, cNs: 1, dNs: 1, ePs: 1 },
  models: [{ modelId: modelIdOf("test/model@q8"), name: "test/model@q8", aliases: ["test"], kind: "generate", contextTokens: 256, tokenizer: "", capabilities: [], dimensions: 0 }],
});

/** @throws DialRefused where the relayer does not upgrade. */
export function dial(options: DialOptions): Promise<DialledNode> {
  const nodeId = options.nodeId ?? 7;
  const request = (options.ca === undefined ? http : https).request({
    host: "127.0.0.1", port: options.port, path: LINK_PATH, ...(options.ca === undefined ? {} : { ca: options.ca }),
    headers: { connection: "Upgrade", upgrade: LINK_PROTOCOL, [LinkHeader.nodeId]: String(nodeId), [LinkHeader.nonce]: NONCE, ...options.headers },
  });
  return new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", async (response) => reject(new DialRefused(response.statusCode ?? 0, await text(response))));
    request.on("upgrade", (response, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(serveOn(socket as Socket, response, nodeId, options));
    });
    request.end();
  });
}

function serveOn(socket: Socket, response: http.IncomingMessage, nodeId: number, options: DialOptions): DialledNode {
  const session = http2.performServerHandshake(socket);
  session.on("error", () => {});
  const goaway = new Promise<string>((resolve) => session.once("goaway", (_code, _last, data) => resolve(data?.toString() ?? "")));
  const closed = new Promise<void>((resolve) => session.once("close", resolve));
  session.on("stream", async (stream, headers) => {
    stream.on("error", () => {});
    const path = String(headers[":path"]);
    const body = headers[":method"] === "POST" ? await text(stream).catch(() => "") : "";
    if (path === "/auth") return answer(stream, await authAnswer(response, nodeId, options));
    if (path === "/info") return answer(stream, infoOf(nodeId));
    if (path === "/attestations") {
      stream.respond({ ":status": 200 });
      stream.write((options.attestations ?? []).map((line) => `${line}\n`).join(""));
      return;
    }
    // Whoever asked may have gone while the body was read.
    if (!stream.destroyed) await options.serve?.(stream, path, body);
  });
  return { session, response, goaway, closed, hangUp: () => socket.destroy() };
}

export function answer(stream: ServerHttp2Stream, body: object): void {
  stream.respond({ ":status": 200 });
  stream.end(JSON.stringify(body));
}

async function authAnswer(response: http.IncomingMessage, nodeId: number, options: DialOptions): Promise<object> {
  const digest = linkDigest(domain, "node", {
    nodeId, relayerId: Number(response.headers[LinkHeader.relayerId]), nodeNonce: NONCE, relayerNonce: String(response.headers[LinkHeader.nonce]) as Hash,
  });
  return { keyEpoch: options.keyEpoch ?? 1, signature: await options.signer.sign(digest) };
}

export async function attestationLine(signer: DigestSigner, seq: bigint, nodeId = 7, relayerId = 1): Promise<string> {
  const offers: Offer[] = [{ modelId: modelIdOf("test/model@q8"), slots: 2, priceInPerMTok: 1_000_000n, priceOutPerMTok: 3_000_000n }];
  const attestation = {
    nodeId, relayerId, keyEpoch: 1, seq, prevHash: ZERO_HASH, slots: 2, prepSlots: 0, computeBps: 0, memoryBps: 0, queueBps: 0, networkBps: 0,
    queuedTokens: 0, kvFreeTokens: 1_000, offersHash: offersHash(offers), observedAtMs: 1_790_000_000_000, validUntilMs: 1_790_000_005_000,
  };
  return JSON.stringify(attestationToJson({ attestation, signature: await signStruct(signer, domain, "SaturationAttestation", attestation), offers }));
}
