// The relayer's side of the node links: nodes dial in, prove their hot key, and serve attempts over one HTTP/2 connection each.
//
//   upgrade ─▶ hello ─▶ registry ─▶ 101 ─▶ POST /auth ─▶ GET /info ─▶ connected ─▶ attestations, attempts ─▶ disconnected
//                 └────────┴─────────┴─ refused with a reason; too many failures of one address are refused unheard
//
// The relayer never dials an address that a stranger registered, so request forgery has no door here.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { TidelaneError } from "../../protocol/errors.ts";
import { parse } from "../../protocol/json.ts";
import {
  acksToJson, attemptToJson, attestationLineFromJson, authAnswerSchema, eventFromJson, linkDigest, nodeInfoSchema,
  type AttemptEvent, type AttemptRequest, type Cancel, type SignedAck,
} from "../../protocol/link.ts";
import type { Clock, Crypto, Dice, Identity, Log, Metrics } from "../ports/world.ts";
import type { ConnectedNode, NodeLinkEvents, NodeLinks } from "../ports/nodes.ts";
import type { Chain, ChainNode } from "../ports/chain.ts";
import { NodeConnection } from "./link/connection.ts";
import { answerRefusal, FailureLimit, helloOf, refused, switchProtocols, type Hello } from "./link/gate.ts";
import { protocolError } from "./link/lines.ts";

const HANDSHAKES_MAX = 256;
const NODES_MAX = 20_000;
/** Acks that a node has not taken yet; the oldest go first, for a later ack of the same tab says more. */
const PENDING_ACKS_MAX = 1_000;
/** Attestations come each second and on change, at most every 200 ms; this leaves room for bunching on a bad line. */
const ATTESTATIONS_PER_SECOND_MAX = 10;
const REGISTRY_CHECK_MS = 30_000;

export interface LinkOptions {
  readonly chain: Pick<Chain, "node" | "deployment">;
  readonly identity: Identity;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly events: NodeLinkEvents;
  /** URLs of this relayer's further processes: nodes keep a connection to each. */
  readonly processes?: readonly string[];
  /** 32 bytes that name this process to nodes, and by which they tell of its requests; by default drawn here. */
  readonly process?: `0x${string}`;
}

export class LinkServer implements NodeLinks {
  readonly #world: LinkOptions;
  readonly #connections = new Map<number, NodeConnection>();
  readonly #pendingAcks = new Map<number, SignedAck[]>();
  readonly #failures = new FailureLimit();
  readonly #stopping = new AbortController();
  /** Tells nodes two addresses of this process from two processes. */
  readonly #process: `0x${string}`;
  #handshakes = 0;

  constructor(world: LinkOptions) {
    this.#world = world;
    this.#process = world.process ?? world.dice.bytes32();
  }

  /** Takes the HTTP server's `upgrade` event. Never throws. */
  async handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const address = request.socket.remoteAddress ?? "unknown";
    socket.on("error", () => socket.destroy());
    try {
      if (this.#stopping.signal.aborted) throw refused("this relayer is shutting down", 503, true);
      if (!this.#failures.admits(address, this.#world.clock.nowMs())) throw refused("too many failed attempts from this address; wait a minute", 429, true);
      if (this.#handshakes >= HANDSHAKES_MAX || this.#connections.size >= NODES_MAX) throw refused("too many nodes are dialling in", 503, true);
      this.#handshakes += 1;
      try {
        await this.#admit(request, socket, head, address);
      } finally {
        this.#handshakes -= 1;
      }
    } catch (error) {
      answerRefusal(socket, this.#refusal(address, error));
    }
  }

  async *attempt(nodeId: number, request: AttemptRequest, signal?: AbortSignal): AsyncGenerator<AttemptEvent> {
    let isOver = false;
    for await (const line of this.#connection(nodeId).attempt(attemptToJson(request), signal)) {
      const event = eventOf(line);
      yield event;
      isOver = ["refusal", "end", "failed"].includes(event.type);
      if (isOver) return;
    }
    throw protocolError("an attempt's stream ended without refusal, end or failure");
  }

  async cancel(nodeId: number, cancel: Cancel): Promise<void> {
    await this.#connection(nodeId).call("POST", "/cancel", cancel);
  }

  async ack(nodeId: number, acks: readonly SignedAck[]): Promise<void> {
    const pending = [...(this.#pendingAcks.get(nodeId) ?? []), ...acks].slice(-PENDING_ACKS_MAX);
    if (pending.length === 0) return;
    const connection = this.#connections.get(nodeId);
    this.#pendingAcks.set(nodeId, connection ? [] : pending);
    if (!connection) return;
    try {
      await connection.call("POST", "/acks", acksToJson(pending));
    } catch (error) {
      this.#pendingAcks.set(nodeId, [...pending, ...(this.#pendingAcks.get(nodeId) ?? [])].slice(-PENDING_ACKS_MAX));
      this.#world.log.debug({ nodeId, error: (error as Error).message }, "acks wait for the node");
    }
  }

  /** Refuses new nodes and closes the connections that are open. */
  close(reason: string): void {
    this.#stopping.abort();
    for (const connection of this.#connections.values()) connection.close(reason);
  }

  async #admit(request: IncomingMessage, socket: Duplex, head: Buffer, address: string): Promise<void> {
    const hello = helloOf(request);
    const chainNode = await this.#registered(hello.nodeId);
    (socket as Socket).setTimeout?.(0).setNoDelay(true).setKeepAlive(true, 30_000);
    const relayerNonce = this.#world.dice.bytes32();
    await switchProtocols(socket, head, {
      relayerId: this.#world.identity.relayerId, relayerEpoch: this.#world.identity.epoch, nonce: relayerNonce,
      signature: await this.#world.identity.signer.sign(this.#linkDigest("relayer", hello, relayerNonce)),
      process: this.#process, processes: this.#world.processes ?? [],
    });
    const connection = new NodeConnection(hello.nodeId, socket);
    try {
      await this.#prove(connection, chainNode, this.#linkDigest("node", hello, relayerNonce));
      const info = parse(nodeInfoSchema, await connection.call("GET", "/info"), "info");
      if (info.nodeId !== hello.nodeId) throw refused(`the node calls itself ${info.nodeId}`, 403);
      this.#connected(connection, { nodeId: hello.nodeId, keyEpoch: chainNode.keyEpoch, hotKey: chainNode.hotKey, info }, chainNode);
    } catch (error) {
      // The socket speaks HTTP/2 by now, so the reason goes with its GOAWAY.
      connection.close(this.#refusal(address, error).message);
    }
  }

  /** Counts and logs a refusal. Only what the relayer itself is short of is not held against the address. */
  #refusal(address: string, error: unknown): TidelaneError {
    const reason = error instanceof TidelaneError ? error : refused("the handshake failed", 500);
    if (!(reason.code === "link_refused" && reason.retryable)) this.#failures.failed(address);
    this.#world.metrics.count("link_refused_total");
    this.#world.log.warn({ address, code: reason.code, reason: reason.message }, "node link refused");
    return reason;
  }

  /** @throws link_refused; retryable where the chain cannot be asked. */
  async #registered(nodeId: number): Promise<ChainNode> {
    let node: ChainNode | null;
    try {
      node = await this.#world.chain.node(nodeId);
    } catch {
      throw refused("the node registry cannot be read at the moment", 503, true);
    }
    if (!node) throw refused(`node ${nodeId} is not registered`, 403);
    if (!node.live) throw refused(`node ${nodeId} is retired, jailed or without stake`, 403);
    return node;
  }

  /** @throws link_refused unless the registered hot key signed this very link. */
  async #prove(connection: NodeConnection, node: ChainNode, linkDigestSigned: `0x${string}`): Promise<void> {
    const answer = parse(authAnswerSchema, await connection.call("POST", "/auth", {}), "auth");
    if (answer.keyEpoch !== node.keyEpoch) throw refused(`the node's key is of epoch ${answer.keyEpoch}, the registry's of ${node.keyEpoch}`, 403);
    if (await this.#world.crypto.recover(linkDigestSigned, answer.signature) !== node.hotKey) throw refused("the hot key is not the registered one", 403);
  }

  #connected(connection: NodeConnection, node: ConnectedNode, chainNode: ChainNode): void {
    const { nodeId } = node;
    // A node that dials again has lost its old connection, whether or not this end has noticed.
    this.#connections.get(nodeId)?.close("replaced by a newer connection of the same node");
    if (this.#connections.has(nodeId)) this.#world.events.disconnected(nodeId);
    this.#connections.set(nodeId, connection);
    this.#world.log.info({ nodeId, engine: node.info.engine, models: node.info.models.map((model) => model.name) }, "node connected");
    this.#world.events.connected(node, chainNode);
    this.#world.metrics.gauge("nodes_connected", this.#connections.size);
    void connection.closed.then((reason) => this.#gone(connection, reason));
    void this.#attestations(connection);
    void this.#watchRegistry(connection, chainNode);
    void this.ack(nodeId, []);
  }

  #gone(connection: NodeConnection, reason: string): void {
    this.#world.log.info({ nodeId: connection.nodeId, reason }, "node disconnected");
    if (this.#connections.get(connection.nodeId) !== connection) return;
    this.#connections.delete(connection.nodeId);
    this.#world.metrics.gauge("nodes_connected", this.#connections.size);
    this.#world.events.disconnected(connection.nodeId);
  }

  async #attestations(connection: NodeConnection): Promise<void> {
    const { clock, events, identity } = this.#world;
    let second = 0;
    let inSecond = 0;
    try {
      for await (const line of connection.lines("/attestations")) {
        const nowMs = clock.nowMs();
        inSecond = Math.floor(nowMs / 1_000) === second ? inSecond + 1 : 1;
        second = Math.floor(nowMs / 1_000);
        if (inSecond > ATTESTATIONS_PER_SECOND_MAX) throw protocolError(`more than ${ATTESTATIONS_PER_SECOND_MAX} attestations a second`);
        const signed = attestationLineFromJson(line);
        if (signed.attestation.nodeId !== connection.nodeId || signed.attestation.relayerId !== identity.relayerId) throw protocolError("an attestation for another node or relayer");
        if (this.#connections.get(connection.nodeId) === connection) events.attested(connection.nodeId, signed, nowMs);
      }
      connection.close("the attestations ended");
    } catch (error) {
      // A node without attestations cannot be chosen: it had better dial again.
      connection.close((error as Error).message);
    }
  }

  /** A node that was jailed, retired or given another key since it dialled in has to prove itself again. */
  async #watchRegistry(connection: NodeConnection, proved: ChainNode): Promise<void> {
    while (connection.isOpen) {
      await this.#world.clock.sleep(REGISTRY_CHECK_MS, this.#stopping.signal);
      if (this.#stopping.signal.aborted || !connection.isOpen) return;
      const node = await this.#world.chain.node(connection.nodeId).catch(() => proved);
      if (!node?.live || node.keyEpoch !== proved.keyEpoch) return connection.close("the registry's entry has changed");
    }
  }

  #connection(nodeId: number): NodeConnection {
    const connection = this.#connections.get(nodeId);
    if (!connection) throw new TidelaneError(`Node ${nodeId} is not connected; the attempt may be made elsewhere.`, { code: "node_disconnected", retryable: true, details: { nodeId } });
    return connection;
  }

  #linkDigest(party: "node" | "relayer", hello: Hello, relayerNonce: `0x${string}`): `0x${string}` {
    const { chain, identity } = this.#world;
    return linkDigest(chain.deployment.domain, party, { nodeId: hello.nodeId, relayerId: identity.relayerId, nodeNonce: hello.nodeNonce, relayerNonce });
  }
}

function eventOf(line: unknown): AttemptEvent {
  try {
    return eventFromJson(line);
  } catch (error) {
    throw protocolError((error as Error).message);
  }
}
