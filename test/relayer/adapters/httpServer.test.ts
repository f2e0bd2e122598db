// The listening socket: a port that is taken, other upgrades, closing while somebody listens, and node links over TLS.
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { expect } from "chai";
import { startHttpServer, type HttpServer, type HttpServerOptions } from "../../../relayer/adapters/httpServer.ts";
import { selfSigned } from "./selfSigned.ts";

const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tidelane-node\r\n\r\n";
const options: HttpServerOptions = { host: "127.0.0.1", port: 0, tls: null, onUpgrade: (_request, socket) => void socket.end(SWITCHED) };
const portOf = (server: HttpServer): number => Number(new URL(server.url).port);

/** All that comes back until the server hangs up. */
const answerTo = (port: number, sent: string): Promise<string> => new Promise((resolve) => {
  const socket = net.connect(port, "127.0.0.1", () => socket.write(sent));
  let text = "";
  socket.on("data", (chunk) => (text += String(chunk)));
  socket.on("error", () => {});
  socket.on("close", () => resolve(text));
});

describe("the HTTP server", () => {
  it("says that its port is in use, and by which name to change it", async () => {
    const server = await startHttpServer((_request, response) => response.end(), options);
    const error = await startHttpServer(() => {}, { ...options, port: portOf(server) }).then(() => null, (thrown: Error & { code: string }) => thrown);
    expect(error).to.include({ code: "port_in_use" });
    expect(error!.message).to.contain("TIDELANE_PORT");
    await server.close(0);
  });

  it("upgrades nodes only; whoever offers another protocol is answered as a plain request", async () => {
    const server = await startHttpServer((_request, response) => response.end("plain"), options);
    const ask = (upgrade: string): Promise<string> => new Promise((resolve, reject) => {
      const request = http.get({ port: portOf(server), host: "127.0.0.1", path: "/node", headers: { connection: "Upgrade", upgrade } });
      request.on("upgrade", (_response, socket) => { socket.destroy(); resolve("upgraded"); });
      request.on("response", (response) => { response.resume(); resolve("answered"); });
      request.on("error", reject);
    });
    expect(await ask("tidelane-node")).to.equal("upgraded");
    expect(await ask("websocket")).to.equal("answered");
    expect(await ask("h2c")).to.equal("answered");
    await server.close(0);
  });

  it("closes in order: idle connections at once, busy ones at the limit", async () => {
    let arrived = (): void => {};
    const busy = new Promise<void>((resolve) => (arrived = resolve));
    const server = await startHttpServer((request, response) => (request.url === "/busy" ? arrived() : void response.end()), options);
    await (await fetch(`${server.url}/idle`)).text();
    const cut = fetch(`${server.url}/busy`).then(() => "answered", () => "cut");
    await busy;
    await server.close(20);
    expect(await cut).to.equal("cut");
    expect(await fetch(server.url).then(() => "answered", () => "refused")).to.equal("refused");
  });

  it("answers what is no request with a typed error, and hangs up", async () => {
    const server = await startHttpServer((_request, response) => response.end(), options);
    const bad: readonly (readonly [string, number, string])[] = [
      ["\x16\x03\x01\x00", 400, "invalid_request"], ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "invalid_request"],
      ["POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400, "invalid_request"],
      [`GET / HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(40_000)}\r\n\r\n`, 431, "headers_too_large"],
    ];
    for (const [sent, status, code] of bad) {
      const answer = await answerTo(portOf(server), sent);
      expect(answer).to.match(new RegExp(`^HTTP/1.1 ${status} `));
      expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4))).to.have.nested.property("error.code", code);
    }
    await server.close(0);
  });

  it("puts no error into an answer that has begun", async () => {
    const server = await startHttpServer((_request, response) => void response.write("begun"), options);
    const answer = await new Promise<string>((resolve) => {
      const socket = net.connect(portOf(server), "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
      let text = "";
      socket.on("data", (chunk) => {
        text += String(chunk);
        if (text.endsWith("begun\r\n")) socket.write("\x00garbage\r\n\r\n");
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(text));
    });
    expect(answer).to.match(/^HTTP\/1.1 200 [^]*begun\r\n$/);
    await server.close(0);
  });

  it("gives up a client that sends endless headers", async () => {
    const server = await startHttpServer((_request, response) => response.end(), options);
    const answer = await answerTo(portOf(server), `GET / HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(40_000)}\r\n\r\n`);
    expect(answer).to.contain("431");
    await server.close(0);
  });

  it("speaks TLS where it is given a certificate, to clients and to nodes", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tidelane-tls-"));
    const { cert, key } = selfSigned("127.0.0.1");
    const tls = { certFile: join(folder, "cert.pem"), keyFile: join(folder, "key.pem") };
    writeFileSync(tls.certFile, cert);
    writeFileSync(tls.keyFile, key, { mode: 0o600 });
    let isEncrypted = false;
    const server = await startHttpServer((_request, response) => response.end("over TLS"), {
      ...options, tls, onUpgrade: (request, socket) => { isEncrypted = (request.socket as TLSSocket).encrypted; socket.end(SWITCHED); },
    });
    expect(server.url).to.match(/^https:/);
    const request = { port: portOf(server), host: "127.0.0.1", ca: cert };
    const text = await new Promise<string>((resolve, reject) => https.get(request, (response) => response.on("data", (chunk) => resolve(String(chunk)))).on("error", reject));
    expect(text).to.equal("over TLS");
    await new Promise<void>((resolve, reject) => {
      const upgrading = https.get({ ...request, headers: { connection: "Upgrade", upgrade: "tidelane-node" } });
      upgrading.on("upgrade", (_response, socket) => { socket.destroy(); resolve(); });
      upgrading.on("error", reject);
    });
    expect(isEncrypted).to.equal(true);
    await server.close(0);
    const unreadable = await startHttpServer(() => {}, { ...options, tls: { certFile: join(folder, "none"), keyFile: tls.keyFile } }).then(() => null, (thrown: unknown) => thrown);
    expect(unreadable).to.include({ code: "tls_unreadable" });
    rmSync(folder, { recursive: true });
  });
});
