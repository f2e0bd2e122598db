// The node's end of the link, against a small relayer side made for the test.
import { once } from "node:events";
import type * as http2 from "node:http2";
import { isDeepStrictEqual } from "node:util";
import type { Duplex } from "node:stream";
import { expect } from "chai";
import { acksToJson, attemptToJson, attestationFromJson, attestationLineFromJson, linkDigest, partyOf, LINK_PROTOCOL, nodeInfoSchema, PROCESSES_MAX, type SignedAttestation } from "../../../protocol/link.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { structToJson } from "../../../protocol/json.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { recoverWithViem } from "../../../protocol/signing.ts";
import { checkedUrl, HttpLinks } from "../../../node/adapters/links.ts";
import { systemClock, systemDice } from "../../../node/adapters/clock.ts";
import { Dialler } from "../../../node/serve/dial.ts";
import { domain, hangsAfter, NODE_ID, nodeSigner, RELAYER_ID, requestOf, silentLog, strangerSigner } from "../fixtures.ts";
import { TestRelayer, type TestRelayerOptions } from "../testRelayer.ts";
import { eventually, failure } from "../engines/suite.ts";
import { ackOf, endOf, worldOf, type World } from "../serve/world.ts";
import type { LinkChallenge } from "../../../node/ports.ts";
import type { Hash } from "../../../protocol/units.ts";

const relayers: TestRelayer[] = [];
function relayerOf(options: TestRelayerOptions = {}): TestRelayer {
  const relayer = new TestRelayer(options);
  relayers.push(relayer);
  return relayer;
}

const linksOf = (more: { pingEveryMs?: number } = {}): HttpLinks => new HttpLinks({ clock: systemClock, dice: systemDice, log: silentLog, dialWithinMs: 1_000, ...more });

/** A node linked to a relayer, until `stop`. */
async function linked(relayer = relayerOf(), world: World = worldOf()): Promise<{ relayer: TestRelayer; world: World; served: Promise<void>; stop: () => Promise<void> }> {
  const url = await relayer.listen();
  const stop = new AbortController();
  const served = linksOf().serve(url, NODE_ID, world.agent, stop.signal);
  served.catch(() => undefined);
  await eventually(() => relayer.sessions.length === 1);
  return { relayer, world, served, stop: async () => { stop.abort(); await served.catch(() => undefined); } };
}

afterEach(() => { for (const relayer of relayers.splice(0)) relayer.stop(); });

describe("link: the handshake", () => {
  it("proves the hot key over both nonces, and tells what the node is", async () => {
    const { relayer, stop } = await linked();
    const auth = JSON.parse((await relayer.call("POST", "/auth", {})).text) as { keyEpoch: number; signature: Hash };
    const signed = linkDigest(domain, "node", { nodeId: NODE_ID, relayerId: RELAYER_ID, nodeNonce: relayer.nodeNonce, relayerNonce: relayer.relayerNonce });
    expect(await recoverWithViem(signed, auth.signature)).to.equal(nodeSigner.address);
    expect(auth.keyEpoch).to.equal(1);
    const info = nodeInfoSchema.parse(JSON.parse((await relayer.call("GET", "/info")).text));
    expect(info).to.include({ nodeId: NODE_ID, engine: "scripted" });
    await stop();
  });

  it("does not serve a relayer that is not the registered one", async () => {
    const relayer = relayerOf({ signer: strangerSigner });
    expect(await failure(linksOf().serve(await relayer.listen(), NODE_ID, worldOf().agent, new AbortController().signal))).to.equal("relayer_not_registered");
    expect(relayer.sessions).to.have.length(0);
  });

  const refusals: Record<string, (socket: Duplex) => void> = {
    "silence": () => undefined,
    "a hang-up": (socket) => void socket.destroy(),
    "garbage": (socket) => void socket.end("hello\r\n\r\n"),
    "an upgrade without proof": (socket) => void socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${LINK_PROTOCOL}\r\n\r\n`),
  };
  for (const [what, answer] of Object.entries(refusals)) {
    it(`fails typed on ${what}`, async () => {
      const url = await relayerOf({ answer }).listen();
      expect(await failure(linksOf().serve(url, NODE_ID, worldOf().agent, new AbortController().signal))).to.equal("link_failed");
    });
  }

  it("tells the reason of a refusal", async () => {
    const url = await relayerOf({ answer: (socket) => void socket.end("HTTP/1.1 403 Refused\r\nContent-Length: 15\r\n\r\nnot registered!") }).listen();
    const error = await linksOf().serve(url, NODE_ID, worldOf().agent, new AbortController().signal).then(() => null, (thrown: unknown) => thrown as Error & { code: string });
    expect(error).to.include({ code: "link_refused" }).and.to.have.property("message").that.includes("not registered!");
  });

  it("fails typed where nobody listens", async () => {
    expect(await failure(linksOf().serve("http://127.0.0.1:1", NODE_ID, worldOf().agent, new AbortController().signal))).to.equal("link_failed");
  });

  it("hears which process answers, and which others there are, and leaves out what is no address", async () => {
    const process: Hash = `0x${"9a".repeat(32)}`;
    const heardFrom = async (options: TestRelayerOptions): Promise<LinkChallenge> => {
      const stop = new AbortController();
      const heard = Promise.withResolvers<LinkChallenge>();
      const served = linksOf().serve(await relayerOf(options).listen(), NODE_ID, worldOf().agent, stop.signal, heard.resolve);
      served.catch(heard.reject);
      const challenge = await heard.promise;
      stop.abort();
      await served.catch(() => undefined);
      return challenge;
    };
    expect(await heardFrom({})).to.deep.include({ process: null, processes: [] });
    const urls = ["https://b.example", "http://127.0.0.1:9"];
    expect(await heardFrom({ process, processes: `${urls.join(", ")}, http://elsewhere.example, nonsense,, file:///etc/passwd` })).to.deep.include({ process, processes: urls });
    expect((await heardFrom({ processes: Array.from({ length: 50 }, (_, i) => `https://${i}.example`).join(",") })).processes).to.have.length(PROCESSES_MAX);
    expect(await failure(linksOf().serve(await relayerOf({ process: "0x1" as Hash }).listen(), NODE_ID, worldOf().agent, new AbortController().signal))).to.equal("link_failed");
  });

  it("ends the connection before it proves itself where its owner does not want it", async () => {
    const relayer = relayerOf();
    const unwanted = linksOf().serve(await relayer.listen(), NODE_ID, worldOf().agent, new AbortController().signal, () => { throw new TidelaneError("test", { code: "link_duplicate" }); });
    expect(await failure(unwanted)).to.equal("link_duplicate");
    expect(relayer.sessions).to.have.length(0);
  });

  it("dials in plain text on this machine only", () => {
    for (const url of ["http://127.0.0.1:5", "http://localhost:5", "http://[::1]:5", "https://relayer.example"]) expect(checkedUrl(url)).to.be.instanceOf(URL);
    for (const url of ["http://relayer.example", "http://10.0.0.1", "http://127.0.0.1.example", "ftp://127.0.0.1", "nonsense"]) expect(() => checkedUrl(url), url).to.throw(/relayer's address/);
  });
});

describe("link: what is served", () => {
  it("streams attestations, attempts and their refusals, and takes acks", async () => {
    const { relayer, world, stop } = await linked();
    const stream = relayer.open("GET", "/attestations");
    const [line] = await once(stream, "data") as [string];
    expect(attestationFromJson(JSON.parse(line)).attestation.slots).to.equal(2);
    stream.close();
    const events = await relayer.attempt(await requestOf());
    expect(events.map((event) => event.type)).to.deep.equal(["start", "delta", "delta", "end"]);
    expect((await relayer.attempt(await requestOf({ assignment: { nodeId: 9 } })))[0]!.type).to.equal("refusal");
    expect(await relayer.call("POST", "/acks", acksToJson([await ackOf(endOf(events))]))).to.deep.equal({ status: 200, text: "{}" });
    expect(world.store.unacked()).to.have.length(0);
    await stop();
  });

  it("cancels by a small request", async () => {
    const world = worldOf();
    world.engine.script = hangsAfter(["one"]);
    const { relayer, stop } = await linked(undefined, world);
    const request = await requestOf();
    const events = relayer.attempt(request);
    await eventually(() => world.engine.running === 1);
    await relayer.call("POST", "/cancel", { assignmentHash: hashStruct("Assignment", request.assignment), reason: "client" });
    expect(endOf(await events).finishReason).to.equal("cancelled");
    await stop();
  });

  it("hands on the rest of an attempt after a cut connection", async () => {
    const world = worldOf();
    const relayer = relayerOf();
    let release = (): void => {};
    world.engine.script = async function* () {
      yield { type: "start", inputTokens: 5 };
      await new Promise<void>((resolve) => { release = resolve; });
      yield { type: "delta", text: "after", tokens: 1 };
      yield { type: "end", finishReason: "stop", inputTokens: 5, outputTokens: 1 };
    };
    const stop = new AbortController();
    const dialler = new Dialler(NODE_ID, world.agent, { links: linksOf(), chain: world.chain, clock: systemClock, dice: systemDice, log: silentLog });
    const keeping = dialler.run([await relayer.listen()], stop.signal);
    await eventually(() => relayer.sessions.length === 1);
    const request = await requestOf();
    relayer.open("POST", "/attempts", attemptToJson(request));
    await eventually(() => world.engine.running === 1);
    relayer.sockets[0]!.destroy();
    await eventually(() => relayer.sessions.length === 2, 10_000);
    const rest = relayer.call("GET", `/attempts/${hashStruct("Assignment", request.assignment)}?offset=1`);
    await eventually(() => world.engine.running === 1);
    release();
    const lines = (await rest).text.trim().split("\n").map((line) => (JSON.parse(line) as { type: string }).type);
    expect(lines).to.deep.equal(["delta", "end"]);
    expect(world.engine.worked).to.equal(1);
    stop.abort();
    await keeping;
  });

  it("tells of who listens to its attempts, by relayer and process: not of a process that is gone, though its place is taken", async () => {
    const [gone, heir] = [`0x${"0a".repeat(32)}`, `0x${"0b".repeat(32)}`] as const;
    const world = worldOf();
    world.engine.script = hangsAfter(["one"]);
    const [first, second] = [await linked(relayerOf({ process: gone }), world), await linked(relayerOf({ process: heir }), world)];
    const heard: SignedAttestation[] = [];
    second.relayer.open("GET", "/attestations").on("data", (text: string) => heard.push(...text.trim().split("\n").map((line) => attestationLineFromJson(JSON.parse(line)))));
    const hasTold = (...parties: readonly string[]) => eventually(() => isDeepStrictEqual(heard.at(-1)?.presences, parties.map((party) => ({ party, running: 1 }))), 10_000);
    const request = await requestOf();
    first.relayer.open("POST", "/attempts", attemptToJson(request));
    await hasTold(partyOf(RELAYER_ID, gone));
    first.relayer.sockets[0]!.destroy();
    await hasTold();
    expect(heard.at(-1)!.attestation.computeBps).to.equal(5_000);
    second.relayer.open("GET", `/attempts/${hashStruct("Assignment", request.assignment)}?offset=0`);
    await hasTold(partyOf(RELAYER_ID, heir));
    await world.agent.drain(0);
    await first.stop();
    await second.stop();
  });

  it("tells two relayers apart, though one takes the other's process's name", () => {
    const process: Hash = `0x${"0a".repeat(32)}`;
    const parties = [partyOf(1, process), partyOf(2, process), partyOf(1, null), partyOf(2, null)];
    expect(new Set(parties).size).to.equal(parties.length);
  });

  it("answers what it does not understand with a status and a code, and goes on", async () => {
    const { relayer, stop } = await linked();
    const asked = async (method: string, path: string, body?: unknown) => {
      const { status, text } = await relayer.call(method, path, body);
      return [status, (JSON.parse(text) as { code: string }).code];
    };
    expect(await asked("GET", "/nonsense")).to.deep.equal([404, "not_found"]);
    expect(await asked("POST", "/info")).to.deep.equal([404, "not_found"]);
    expect(await asked("GET", `/attempts/0x${"00".repeat(32)}`)).to.deep.equal([404, "not_found"]);
    expect(await asked("GET", `/attempts/0x${"00".repeat(32)}?offset=-1`)).to.deep.equal([400, "invalid_value"]);
    expect(await asked("POST", "/attempts", { nonsense: true })).to.deep.equal([400, "invalid_value"]);
    expect(await asked("POST", "/cancel", { assignmentHash: "0x" })).to.deep.equal([400, "invalid_value"]);
    expect(await asked("POST", "/acks", { acks: [{ ack: structToJson("Ack", { receiptHash: `0x${"00".repeat(32)}`, relayerId: 1, relayerEpoch: 1, ackedAt: 1 }) }] })).to.deep.equal([400, "invalid_value"]);
    const broken = relayer.session.request({ ":method": "POST", ":path": "/attempts" });
    broken.end("{oops");
    const [headers] = await once(broken, "response") as [http2.IncomingHttpHeaders];
    expect(headers[":status"]).to.equal(400);
    broken.close();
    expect((await relayer.attempt(await requestOf())).at(-1)!.type).to.equal("end");
    await stop();
  });

  it("serves 200 attempts at once over one connection", async function () {
    this.timeout(60_000);
    const { relayer, stop } = await linked(undefined, worldOf({ slots: 200, unackedMax: 1_000 }));
    const small = { order: { maxFee: 1_000n }, assignment: { shareCap: 1_000n } };
    const all = await Promise.all((await Promise.all(Array.from({ length: 200 }, () => requestOf(small)))).map((request) => relayer.attempt(request)));
    expect(all.filter((events) => events.at(-1)!.type === "end")).to.have.length(200);
    await stop();
  });

  it("ends a connection that swallows pings", async () => {
    const url = await relayerOf({ isMute: true }).listen();
    await linksOf({ pingEveryMs: 100 }).serve(url, NODE_ID, worldOf().agent, new AbortController().signal);
  });
});

describe("link: the relayer's last receipt", () => {
  it("is read, is null where there is none, and fails typed on anything else", async () => {
    const relayer = relayerOf();
    const url = await relayer.listen();
    const end = endOf(await worldOf().send(await requestOf()));
    const read = () => linksOf().lastReceipt(url, NODE_ID);
    expect(await read()).to.equal(null);
    relayer.tab = { status: 200, body: "null" };
    expect(await read()).to.equal(null);
    relayer.tab = { status: 200, body: JSON.stringify({ receipt: structToJson("TaskReceipt", end.receipt), receiptSignature: end.signature }) };
    expect(await read()).to.deep.equal({ receipt: end.receipt, signature: end.signature });
    for (const tab of [{ status: 500, body: "" }, { status: 200, body: "{oops" }, { status: 200, body: '{"receipt":{}}' }, { status: 200, body: `"${"x".repeat(100_000)}"` }]) {
      relayer.tab = tab;
      expect(await failure(read()), tab.body.slice(0, 20)).to.equal("relayer_unreachable");
    }
  });
});
