// The relayer's side of the node link over real sockets: who gets in, what a bad node can do, and what a cut line looks like.
import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import net from "node:net";
import { expect } from "chai";
import { LinkServer } from "../../../relayer/adapters/link.ts";
import { helloOf, switchProtocols } from "../../../relayer/adapters/link/gate.ts";
import { createNativeCrypto } from "../../../relayer/adapters/crypto.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { noMetrics } from "../../../relayer/adapters/metrics.ts";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import { systemDice } from "../../../relayer/adapters/dice.ts";
import { eventToJson, linkDigest, LINE_BYTES_MAX, LinkHeader, type AttemptEvent, type AttemptRequest, type SignedAck } from "../../../protocol/link.ts";
import { recoverWithViem, signerOfKey } from "../../../protocol/signing.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import type { ConnectedNode } from "../../../relayer/ports/nodes.ts";
import type { ChainNode, Deployment } from "../../../relayer/ports/chain.ts";
import { domain, honestRecord, node as nodeSigner, relayer as relayerSigner } from "../../protocol/honest.ts";
import { until } from "../until.ts";
import { selfSigned } from "./selfSigned.ts";
import { answer, attestationLine, dial, DialRefused, type DialledNode, type Serve } from "./linkNode.ts";

const stranger = signerOfKey(`0x${"77".repeat(32)}`);
const chainNode = (over: Partial<ChainNode> = {}): ChainNode => ({ nodeId: 7, hotKey: nodeSigner.address, keyEpoch: 1, hardwareClass: 1, slots: 8, live: true, ...over });

interface World {
  readonly link: LinkServer;
  readonly port: number;
  readonly seen: string[];
  readonly connected: ConnectedNode[];
  readonly attested: bigint[];
  readonly registry: Map<number, ChainNode>;
  isChainDown: boolean;
}

describe("the node link", () => {
  let world: World;
  let server: http.Server;
  let dialled: DialledNode[];
  let request: AttemptRequest;

  before(async () => {
    const record = await honestRecord();
    request = { covered: record, assignment: record.assignment, assignmentSignature: record.assignmentSignature, input: { kind: "chat", salt: ZERO_HASH, body: "{}" } };
  });

  beforeEach(async () => {
    dialled = [];
    const seen: string[] = [];
    const connected: ConnectedNode[] = [];
    const attested: bigint[] = [];
    const registry = new Map([[7, chainNode()], [8, chainNode({ nodeId: 8, live: false })]]);
    const deployment = { domain } as Deployment;
    const link = new LinkServer({
      chain: {
        deployment,
        node: async (nodeId) => {
          if (world.isChainDown) throw new TidelaneError("down", { code: "chain_unreachable", retryable: true });
          return registry.get(nodeId) ?? null;
        },
      },
      identity: { relayerId: 1, epoch: 1, feeBps: 300, signer: relayerSigner },
      crypto: await createNativeCrypto(), clock: systemClock, dice: systemDice, log: silentLog, metrics: noMetrics,
      events: {
        connected: (node) => { seen.push(`connected ${node.nodeId}`); connected.push(node); },
        attested: (_, signed) => attested.push(signed.attestation.seq),
        disconnected: (nodeId) => seen.push(`disconnected ${nodeId}`),
      },
      processes: ["https://b.example", "https://c.example"],
    });
    server = http.createServer((_, response) => response.end("plain"));
    server.on("upgrade", (req, socket, head) => void link.handleUpgrade(req, socket, head));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    world = { link, port: (server.address() as AddressInfo).port, seen, connected, attested, registry, isChainDown: false };
  });

  afterEach(async () => {
    for (const node of dialled) node.hangUp();
    world.link.close("test over");
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const dialIn = async (over: Partial<Parameters<typeof dial>[0]> = {}): Promise<DialledNode> => {
    const node = await dial({ port: world.port, signer: nodeSigner, ...over });
    dialled.push(node);
    return node;
  };
  const dialServing = async (serve: Serve): Promise<DialledNode> => {
    const node = await dialIn({ serve });
    await until(() => world.connected.length === 1);
    return node;
  };
  const refusalOf = async (over: Partial<Parameters<typeof dial>[0]>): Promise<DialRefused> => {
    try {
      await dialIn(over);
    } catch (error) {
      return error as DialRefused;
    }
    throw new Error("the node was let in");
  };
  const collect = async (signal?: AbortSignal): Promise<AttemptEvent[]> => {
    const events: AttemptEvent[] = [];
    for await (const event of world.link.attempt(7, request, signal)) events.push(event);
    return events;
  };
  const failure = async (work: Promise<unknown>): Promise<TidelaneError> => {
    const error = await work.then(() => null, (thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(TidelaneError);
    return error as TidelaneError;
  };
  const lines = (...events: object[]): Serve => (stream, path) => {
    if (path !== "/attempts") return answer(stream, {});
    stream.respond({ ":status": 200 });
    stream.end(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  };

  it("lets a registered node in, after both have proved their keys", async () => {
    const node = await dialIn();
    await until(() => world.connected.length === 1);
    expect(world.connected[0]).to.include({ nodeId: 7, keyEpoch: 1, hotKey: nodeSigner.address });
    expect(world.connected[0]!.info.models[0]!.name).to.equal("test/model@q8");
    const header = (name: string): string => String(node.response.headers[name]);
    const digest = linkDigest(domain, "relayer", { nodeId: 7, relayerId: 1, nodeNonce: `0x${"ab".repeat(32)}`, relayerNonce: header(LinkHeader.nonce) as Hash });
    expect(await recoverWithViem(digest, header(LinkHeader.signature) as Hash)).to.equal(relayerSigner.address);
  });

  it("names itself, the same at each dial, and the relayer's further processes", async () => {
    const [one, other] = [await dialIn(), await dialIn()].map(({ response }) => response.headers);
    expect(one![LinkHeader.process]).to.match(/^0x[0-9a-f]{64}$/).and.to.equal(other![LinkHeader.process]);
    expect(one![LinkHeader.processes]).to.equal("https://b.example, https://c.example");
  });

  it("refuses a stranger who dials in as a node with the wrong key, and says why", async () => {
    const node = await dialIn({ signer: stranger });
    expect(await node.goaway).to.contain("the hot key is not the registered one");
    await node.closed;
    expect(world.seen).to.deep.equal([]);
  });

  it("refuses the right key under another epoch", async () => {
    expect(await (await dialIn({ keyEpoch: 2 })).goaway).to.contain("epoch");
    expect(world.seen).to.deep.equal([]);
  });

  it("refuses an unknown node and one that is not live before it upgrades", async () => {
    expect((await refusalOf({ nodeId: 99 })).body).to.contain("node 99 is not registered");
    const retired = await refusalOf({ nodeId: 8 });
    expect(retired.status).to.equal(403);
    expect(retired.body).to.contain("retired");
  });

  it("refuses malformed hellos", async () => {
    expect((await refusalOf({ headers: { [LinkHeader.nodeId]: "0x7" } })).status).to.equal(400);
    expect((await refusalOf({ headers: { [LinkHeader.nonce]: "0x12" } })).status).to.equal(400);
  });

  it("says that a registry it cannot read is its own trouble", async () => {
    world.isChainDown = true;
    const refusal = await refusalOf({});
    expect(refusal.status).to.equal(503);
    world.isChainDown = false;
    await dialIn();
    await until(() => world.connected.length === 1);
  });

  it("stops listening to an address that fails again and again", async () => {
    for (let i = 0; i < 20; i++) expect((await refusalOf({ nodeId: 99 })).status).to.equal(403);
    expect((await refusalOf({ nodeId: 99 })).status).to.equal(429);
    expect((await refusalOf({})).status).to.equal(429);
  });

  it("survives a socket that upgrades and then says nothing or garbage", async () => {
    const socket = net.connect(world.port, "127.0.0.1");
    const hello = [`GET /node HTTP/1.1`, "Host: x", "Connection: Upgrade", "Upgrade: tidelane-node", `${LinkHeader.nodeId}: 7`, `${LinkHeader.nonce}: 0x${"ab".repeat(32)}`, "", ""].join("\r\n");
    socket.write(hello);
    await new Promise((resolve) => socket.once("data", resolve));
    socket.write("this is no HTTP/2 at all\r\n\r\n".repeat(100));
    await new Promise((resolve) => socket.once("close", resolve));
    await dialIn();
    await until(() => world.connected.length === 1);
  });

  it("notices at once a node that hangs up after the upgrade, politely or not", async () => {
    const proof = { relayerId: 1, relayerEpoch: 1, nonce: ZERO_HASH, signature: `0x${"00".repeat(65)}` as const, process: ZERO_HASH, processes: [] };
    for (const hangUp of ["end", "destroy", "resetAndDestroy"] as const) {
      const seen = Promise.withResolvers<unknown>();
      const listening = net.createServer((socket) => {
        socket.on("error", () => {});
        switchProtocols(socket, Buffer.alloc(0), proof).then(() => seen.resolve("spoke"), seen.resolve);
      }).listen(0, "127.0.0.1");
      await new Promise((resolve) => listening.once("listening", resolve));
      const client = net.connect((listening.address() as AddressInfo).port, "127.0.0.1");
      client.on("error", () => {}).once("data", () => client[hangUp]());
      expect(await seen.promise, hangUp).to.be.instanceOf(TidelaneError).with.property("message").that.includes("hung up");
      client.destroy();
      await new Promise((resolve) => listening.close(resolve));
    }
  });

  it("passes attestations on, and drops a node that attests for another", async () => {
    await dialIn({ attestations: [await attestationLine(nodeSigner, 5n), await attestationLine(nodeSigner, 6n)] });
    await until(() => world.attested.length === 2);
    expect(world.attested).to.deep.equal([5n, 6n]);
    const bad = await dialIn({ attestations: [await attestationLine(nodeSigner, 7n, 9)] });
    expect(await bad.goaway).to.contain("another node");
    await until(() => world.seen.at(-1) === "disconnected 7");
    expect(world.attested).to.deep.equal([5n, 6n]);
  });

  it("drops a node that claims what is no figure at all: negative, a million slots, parts, no number", async () => {
    const line = JSON.parse(await attestationLine(nodeSigner, 5n)) as { attestation: Record<string, unknown>; offers: unknown[] };
    const absurd: object[] = [
      ...[{ slots: 1_000_000 }, { slots: -1 }, { computeBps: -1 }, { memoryBps: 70_000 }, { queueBps: 0.5 }, { networkBps: null }, { queuedTokens: 2 ** 40 }, { kvFreeTokens: "all" }, { validUntilMs: "1e99" }]
        .map((figure) => ({ ...line, attestation: { ...line.attestation, ...figure } })),
      { ...line, offers: Array(1_000).fill(line.offers[0]) }, { ...line, attestation: [] }, [],
    ];
    for (const claim of absurd) {
      const node = await dialIn({ attestations: [JSON.stringify(claim)] });
      expect(await node.goaway, JSON.stringify(claim)).to.match(/attestation|expected/);
    }
    expect(world.attested).to.deep.equal([]);
    await dialIn({ attestations: [JSON.stringify(line)] });
    await until(() => world.attested.length === 1);
  });

  it("drops a node that floods it with attestations", async () => {
    const line = await attestationLine(nodeSigner, 5n);
    const node = await dialIn({ attestations: Array<string>(100).fill(line) });
    expect(await node.goaway).to.contain("attestations a second");
    expect(world.attested.length).to.be.at.most(20);
  });

  it("streams an attempt's events in order and ends after the receipt", async () => {
    const record = await honestRecord();
    const events: AttemptEvent[] = [
      { type: "start", inputTokens: 40 }, { type: "delta", text: "Once", tokens: 1 }, { type: "delta", text: " upon 🌊", tokens: 2 },
      { type: "end", finishReason: "stop", receipt: record.receipt, signature: record.receiptSignature },
    ];
    let received = "";
    await dialServing((stream, path, body) => { received = body; void lines(...events.map(eventToJson))(stream, path, body); });
    expect(await collect()).to.deep.equal(events);
    expect(JSON.parse(received).input).to.deep.equal(request.input);
  });

  it("takes many attempts at once over the one connection", async () => {
    await dialServing(lines({ type: "failed", code: "x", message: "y" }));
    const all = await Promise.all(Array.from({ length: 200 }, () => collect()));
    expect(all.flat().map((event) => event.type)).to.deep.equal(Array(200).fill("failed"));
    expect(world.seen).to.deep.equal(["connected 7"]);
  });

  it("calls an endless line, text that is no JSON, a wrong event and a premature end what they are", async () => {
    let say: Serve = () => {};
    await dialServing((stream, path, body) => say(stream, path, body));
    say = (stream) => { stream.respond({ ":status": 200 }); stream.write(`{"type":"delta","text":"${"x".repeat(LINE_BYTES_MAX + 10)}`); };
    expect((await failure(collect())).message).to.contain("a line exceeds");
    say = (stream) => { stream.respond({ ":status": 200 }); stream.end("<html>\n"); };
    expect((await failure(collect())).message).to.contain("not JSON");
    say = lines({ type: "delta", text: 3, tokens: 1 });
    expect(await failure(collect())).to.include({ code: "node_protocol_error", retryable: true });
    say = lines({ type: "start", inputTokens: 4 });
    expect((await failure(collect())).message).to.contain("without refusal, end or failure");
    say = (stream) => { stream.respond({ ":status": 500 }); stream.end(); };
    expect((await failure(collect())).message).to.contain("answered with 500");
    expect(world.seen, "the connection outlives bad attempts").to.deep.equal(["connected 7"]);
  });

  it("reports a connection cut in mid-stream as node_disconnected", async () => {
    const node = await dialServing((stream) => { stream.respond({ ":status": 200 }); stream.write(`${JSON.stringify({ type: "start", inputTokens: 1 })}\n`); });
    const events = world.link.attempt(7, request);
    expect((await events.next()).value).to.include({ type: "start" });
    node.hangUp();
    expect(await failure(events.next())).to.include({ code: "node_disconnected", retryable: true });
    await until(() => world.seen.length === 2);
    expect(await failure(collect()), "the next attempt fails at once").to.include({ code: "node_disconnected" });
  });

  it("only stops listening when the signal says so", async () => {
    await dialServing((stream) => { stream.respond({ ":status": 200 }); stream.write(`${JSON.stringify({ type: "start", inputTokens: 1 })}\n`); });
    const stop = new AbortController();
    const waiting = failure(collect(stop.signal));
    await until(() => true);
    stop.abort();
    await waiting;
    expect(world.seen).to.deep.equal(["connected 7"]);
  });

  it("lets a newer connection of the same node replace the older one", async () => {
    const first = await dialIn();
    await until(() => world.connected.length === 1);
    await dialIn({ serve: lines({ type: "failed", code: "second", message: "" }) });
    await until(() => world.connected.length === 2);
    expect(await first.goaway).to.contain("replaced");
    await first.closed;
    expect(world.seen).to.deep.equal(["connected 7", "disconnected 7", "connected 7"]);
    expect(await collect()).to.deep.equal([{ type: "failed", code: "second", message: "" }]);
  });

  it("keeps acks until the node has taken them, across a reconnect", async () => {
    const record = await honestRecord();
    const ack = (n: number): SignedAck => ({ ack: { receiptHash: `0x${String(n).padStart(64, "0")}`, relayerId: 1, relayerEpoch: 1, ackedAt: n }, signature: record.receiptSignature });
    const taken: number[][] = [];
    let isDeaf = true;
    const serve: Serve = (stream, path, body) => {
      if (path !== "/acks" || isDeaf) { stream.respond({ ":status": 503 }); stream.end(); return; }
      taken.push(JSON.parse(body).acks.map((one: { ack: { ackedAt: number } }) => one.ack.ackedAt));
      answer(stream, {});
    };
    const first = await dialIn({ serve });
    await until(() => world.connected.length === 1);
    await world.link.ack(7, [ack(1)]);
    first.hangUp();
    await until(() => world.seen.length === 2);
    await world.link.ack(7, [ack(2)]);
    isDeaf = false;
    await dialIn({ serve });
    await until(() => taken.length === 1);
    expect(taken).to.deep.equal([[1, 2]]);
    await world.link.ack(7, [ack(3)]);
    expect(taken).to.deep.equal([[1, 2], [3]]);
  });

  it("works the same over TLS", async () => {
    const { cert, key } = selfSigned("127.0.0.1");
    const secure = https.createServer({ cert, key });
    secure.on("upgrade", (req, socket, head) => void world.link.handleUpgrade(req, socket, head));
    await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
    const node = await dialIn({ port: (secure.address() as AddressInfo).port, ca: cert, serve: lines({ type: "failed", code: "over TLS", message: "" }), attestations: [await attestationLine(nodeSigner, 5n)] });
    await until(() => world.connected.length === 1 && world.attested.length === 1);
    expect(await collect()).to.deep.equal([{ type: "failed", code: "over TLS", message: "" }]);
    node.hangUp();
    await until(() => world.seen.at(-1) === "disconnected 7");
    secure.closeAllConnections();
    await new Promise((resolve) => secure.close(resolve));
  });

  it("refuses a plain connection from another machine, which could be listened to", () => {
    const from = (remoteAddress: string): http.IncomingMessage => ({
      method: "GET", url: "/node", socket: { remoteAddress }, headers: { upgrade: "tidelane-node", [LinkHeader.nodeId]: "7", [LinkHeader.nonce]: `0x${"ab".repeat(32)}` },
    }) as unknown as http.IncomingMessage;
    for (const loopback of ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]) expect(helloOf(from(loopback)).nodeId).to.equal(7);
    for (const other of ["10.0.0.1", "192.168.1.1", "::ffff:10.0.0.1", "2001:db8::1", "128.0.0.1"]) expect(() => helloOf(from(other)), other).to.throw("needs TLS");
  });

  it("cancels with a small request", async () => {
    const paths: string[] = [];
    await dialServing((stream, path, body) => { paths.push(`${path} ${JSON.parse(body).reason}`); answer(stream, {}); });
    await world.link.cancel(7, { assignmentHash: ZERO_HASH, reason: "client" });
    expect(paths).to.deep.equal(["/cancel client"]);
  });
});
