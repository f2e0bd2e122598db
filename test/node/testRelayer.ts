// A relayer's end of the link, small and without a will of its own, for tests of the node's end.
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { attemptToJson, eventFromJson, linkDigest, LinkHeader, LINK_PATH, LINK_PROTOCOL, type AttemptEvent } from "../../protocol/link.ts";
import type { Domain } from "../../protocol/typedData.ts";
import type { DigestSigner } from "../../protocol/signing.ts";
import type { Hash } from "../../protocol/units.ts";
import { domain as testDomain, NODE_ID, RELAYER_ID, relayerSigner, type requestOf } from "./fixtures.ts";

export interface TestRelayerOptions {
  readonly signer?: DigestSigner;
  /** Instead of an honest answer to the upgrade. */
  readonly answer?: (socket: Duplex) => void;
  /** Says nothing after the upgrade. */
  readonly isMute?: boolean;
  readonly domain?: Domain;
  readonly relayerId?: number;
  readonly nodeId?: number;
  readonly process?: Hash;
  readonly processes?: string;
}

/** Answers the upgrade as a relayer does, and becomes the HTTP/2 client. */
export class TestRelayer {
  readonly server: Server;
  readonly sessions: http2.ClientHttp2Session[] = [];
  readonly sockets: Duplex[] = [];
  nodeNonce: Hash = "0x";
  readonly relayerNonce: Hash = `0x${"5a".repeat(32)}`;
  tab: { status: number; body: string } = { status: 404, body: "" };

  constructor({ signer = relayerSigner, answer, isMute = false, domain = testDomain, relayerId = RELAYER_ID, nodeId = NODE_ID, process, processes }: TestRelayerOptions = {}) {
    this.server = createServer((request, response) => {
      if (request.url === `/tidelane/v1/nodes/${nodeId}/tab`) response.writeHead(this.tab.status).end(this.tab.body);
      else response.writeHead(404).end();
    });
    this.server.on("upgrade", (request, socket) => {
      this.sockets.push(socket);
      socket.on("error", () => undefined);
      if (answer) return answer(socket);
      if (request.url !== LINK_PATH || request.headers.upgrade !== LINK_PROTOCOL || request.headers[LinkHeader.nodeId] !== String(nodeId)) return void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
      this.nodeNonce = request.headers[LinkHeader.nonce] as Hash;
      void signer.sign(linkDigest(domain, "relayer", { nodeId, relayerId, nodeNonce: this.nodeNonce, relayerNonce: this.relayerNonce })).then((signature) => {
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${LINK_PROTOCOL}\r\n${LinkHeader.relayerId}: ${relayerId}\r\n${LinkHeader.relayerEpoch}: 1\r\n${LinkHeader.nonce}: ${this.relayerNonce}\r\n${LinkHeader.signature}: ${signature}\r\n${process === undefined ? "" : `${LinkHeader.process}: ${process}\r\n`}${processes === undefined ? "" : `${LinkHeader.processes}: ${processes}\r\n`}\r\n`);
        if (!isMute) socket.once("readable", () => {
          const session = http2.connect("http://node", { createConnection: () => socket });
          session.on("error", () => undefined);
          this.sessions.push(session);
        });
      });
    });
  }

  async listen(): Promise<string> {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get session(): http2.ClientHttp2Session {
    return this.sessions.at(-1)!;
  }

  open(method: string, path: string, body?: unknown): http2.ClientHttp2Stream {
    const stream = this.session.request({ ":method": method, ":path": path });
    stream.on("error", () => undefined);
    stream.setEncoding("utf8");
    stream.end(body === undefined ? undefined : JSON.stringify(body));
    return stream;
  }

  async call(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
    const stream = this.open(method, path, body);
    const [headers] = await once(stream, "response") as [http2.IncomingHttpHeaders];
    let text = "";
    for await (const part of stream as AsyncIterable<string>) text += part;
    return { status: Number(headers[":status"]), text };
  }

  async attempt(request: Awaited<ReturnType<typeof requestOf>>): Promise<AttemptEvent[]> {
    const { text } = await this.call("POST", "/attempts", attemptToJson(request));
    return text.trim().split("\n").map((line) => eventFromJson(JSON.parse(line)));
  }

  stop(): void {
    for (const session of this.sessions) session.destroy();
    for (const socket of this.sockets) socket.destroy();
    this.server.closeAllConnections();
    this.server.close();
  }
}
