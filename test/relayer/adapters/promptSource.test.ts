// Prompts by URI over real connections: what is fetched, what never is, and what a stranger's server may try.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { createPromptSource, isPublicAddress, PROMPT_BYTES_MAX, type PromptSourceOptions } from "../../../relayer/adapters/promptSource.ts";
import { selfSigned } from "./selfSigned.ts";
import { TidelaneError } from "../../../protocol/errors.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

describe("the source of prompts", () => {
  let server: Server;
  let port: number;
  let answer: Answer;
  const seen: IncomingMessage[] = [];
  before(async () => {
    server = createServer((request, response) => {
      seen.push(request);
      answer(request, response);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    seen.length = 0;
    answer = (_, response) => void response.end("What is the tide? ☂");
  });

  const source = (options: Partial<PromptSourceOptions> = {}) => createPromptSource({ ipfsGateway: null, mayLoopBack: true, timeoutMs: 2_000, ...options });
  const text = async (uri: string, options?: Partial<PromptSourceOptions>): Promise<string> => Buffer.from(await source(options).fetch(uri)).toString();
  const codeOf = async (uri: string, options?: Partial<PromptSourceOptions>): Promise<string> => {
    const error = await source(options).fetch(uri).then(() => null, (caught: unknown) => caught);
    expect(error, uri).to.be.instanceOf(TidelaneError);
    expect((error as TidelaneError).retryable, uri).to.equal((error as TidelaneError).code === "prompt_unavailable");
    return (error as TidelaneError).code;
  };
  const here = (path = "/prompt"): string => `http://127.0.0.1:${port}${path}`;

  it("fetches what lies there, and tells the server no more than it must", async () => {
    expect(await text(here("/a?b=c"))).to.equal("What is the tide? ☂");
    const [{ url, method, headers }] = seen as [IncomingMessage];
    expect({ url, method }).to.deep.equal({ url: "/a?b=c", method: "GET" });
    expect(headers).to.have.all.keys("host", "accept", "accept-encoding", "user-agent", "connection");
  });

  it("reads data: URIs, plain and in base64, without a connection", async () => {
    expect(await text("data:,What%20is%20it%3F")).to.equal("What is it?");
    expect(await text("data:text/plain;charset=utf-8,%E2%98%82")).to.equal("☂");
    expect(await text(`data:text/plain;base64,${Buffer.from("☂").toString("base64")}`)).to.equal("☂");
    expect(await codeOf("data:nothing")).to.equal("prompt_refused");
    expect(await codeOf("data:,%ff%fe%")).to.equal("prompt_refused");
    expect(seen).to.have.length(0);
  });

  it("goes to this machine only where a setting allows it, by whatever name or spelling", async () => {
    const names = [here(), `http://localhost:${port}/`, `https://127.0.0.1:${port}/`, `https://[::1]:${port}/`, `https://[::ffff:7f00:1]:${port}/`, `https://0x7f.1:${port}/`, `https://2130706433:${port}/`, `https://0.0.0.0:${port}/`];
    for (const uri of names) expect(await codeOf(uri, { mayLoopBack: false }), uri).to.equal("prompt_refused");
    expect(seen).to.have.length(0);
  });

  it("refuses whatever is not https, carries credentials, or is no URL", async () => {
    const lookup = async () => [{ address: "93.184.215.14" }];
    for (const uri of ["http://example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "https://user:pass@example.org/", "no url", "", "ipfs://bafybeigdyrzt"]) {
      expect(await codeOf(uri, { lookup, mayLoopBack: false }), uri).to.equal("prompt_refused");
    }
  });

  it("refuses a name if any of its addresses is not public", async () => {
    for (const address of ["10.0.0.1", "169.254.169.254", "192.168.1.1", "127.0.0.1", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]) {
      expect(await codeOf("https://prompts.example/", { mayLoopBack: false, lookup: async () => [{ address: "93.184.215.14" }, { address }] }), address).to.equal("prompt_refused");
    }
    expect(await codeOf("https://prompts.example/", { lookup: async () => { throw new Error("ENOTFOUND"); } })).to.equal("prompt_unavailable");
  });

  it("tells public addresses from all others", () => {
    for (const address of ["1.1.1.1", "93.184.215.14", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"]) expect(isPublicAddress(address), address).to.equal(true);
    for (const address of ["0.0.0.0", "10.1.2.3", "100.64.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.2.1", "192.168.0.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "255.255.255.255",
      "::", "::1", "fc00::1", "fe80::1", "ff02::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2001::1", "2001:db8::1", "2002:7f00:1::", "nonsense"]) expect(isPublicAddress(address), address).to.equal(false);
  });

  it("connects to the address that it checked: a name is asked for once, whatever it answers next", async () => {
    const answers = [[{ address: "127.0.0.1" }], [{ address: "10.0.0.1" }]];
    let asked = 0;
    const lookup = async () => answers[asked++]!;
    expect(await text(`http://prompts.example:${port}/`, { lookup })).to.contain("tide");
    expect(asked).to.equal(1);
    expect(seen[0]!.headers.host).to.equal(`prompts.example:${port}`);
  });

  it("follows a few redirections, each checked as if it had been asked for", async () => {
    answer = ({ url }, response) => void (url === "/0" ? response.end("there") : response.writeHead(302, { location: `/${Number(url!.slice(1)) - 1}` }).end());
    expect(await text(here("/3"))).to.equal("there");
    expect(await codeOf(here("/4"))).to.equal("prompt_refused");
    for (const location of ["http://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "file:///etc/passwd", "data:,here", "http://["]) {
      answer = (_, response) => void response.writeHead(301, { location }).end();
      expect(await codeOf(here()), location).to.equal("prompt_refused");
    }
  });

  it("reads no more than it may, announced or not, and takes no compressed surprise", async () => {
    answer = (_, response) => void response.writeHead(200, { "content-length": PROMPT_BYTES_MAX + 1 }).end();
    expect(await codeOf(here())).to.equal("prompt_refused");
    answer = (_, response) => {
      const more = (): void => { if (!response.destroyed) response.write("x".repeat(65_536), () => setImmediate(more)); };
      more();
    };
    expect(await codeOf(here())).to.equal("prompt_refused");
    answer = (_, response) => void response.end("x".repeat(PROMPT_BYTES_MAX));
    expect(await text(here())).to.have.length(PROMPT_BYTES_MAX);
  });

  it("waits no longer than it may, for the beginning or for the rest", async () => {
    answer = () => undefined;
    expect(await codeOf(here(), { timeoutMs: 100 })).to.equal("prompt_unavailable");
    answer = (_, response) => void response.write("half");
    expect(await codeOf(here(), { timeoutMs: 100 })).to.equal("prompt_unavailable");
  });

  it("may be lucky later where it is not there now", async () => {
    for (const status of [404, 500, 204]) {
      answer = (_, response) => void response.writeHead(status).end();
      expect(await codeOf(here())).to.equal("prompt_unavailable");
    }
    expect(await codeOf("http://127.0.0.1:1/")).to.equal("prompt_unavailable");
  });

  it("fetches ipfs: through the operator's gateway, which may be on this machine, and nothing else of it", async () => {
    const gateway = { ipfsGateway: `http://127.0.0.1:${port}`, mayLoopBack: false };
    expect(await text("ipfs://bafybeigdyrzt/prompts/1.txt", gateway)).to.contain("tide");
    expect(await text("ipfs://ipfs/bafybeigdyrzt", gateway)).to.contain("tide");
    expect(seen.map((request) => request.url)).to.deep.equal(["/ipfs/bafybeigdyrzt/prompts/1.txt", "/ipfs/bafybeigdyrzt"]);
    for (const uri of ["ipfs://x/../../admin", "ipfs://x/%2e%2e/%2E%2e/admin", "ipfs://x/..\\..\\admin", "ipfs://../admin"]) expect(await codeOf(uri, gateway), uri).to.equal("prompt_refused");
    answer = (_, response) => void response.writeHead(302, { location: here("/admin") }).end();
    expect(await codeOf("ipfs://bafybeigdyrzt", gateway), "what the content redirects to is a stranger's word").to.equal("prompt_refused");
  });

  it("takes no certificate that nobody vouches for", async () => {
    const tls = createTlsServer(selfSigned("127.0.0.1"), (_, response) => void response.end("mine")).listen(0, "127.0.0.1");
    await once(tls, "listening");
    expect(await codeOf(`https://127.0.0.1:${(tls.address() as AddressInfo).port}/`)).to.equal("prompt_unavailable");
    tls.closeAllConnections();
    tls.close();
  });
});
