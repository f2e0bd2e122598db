// The fleet: which nodes are there, what they attested, what was sent to them since, and which of them takes the next attempt.
//
//   links ── connected, attested, disconnected ──▶ FleetNode (live)
//                                                    │ each second while asked
//   tasks ── choose ──▶ decide(node table, draw) ◀───┘            board ◀── what was attested, epoch by epoch
//               └──▶ a booking on the chosen node, counted until it is released
import { FleetBooking } from "./booking.ts";
import { EpochAttestations, type HeldAttestation } from "./epochAttestations.ts";
import { Conversations, OutputLengths, type Affinity } from "./fleetMemory.ts";
import { FleetNode } from "./fleetNode.ts";
import { ModelIndex } from "./modelIndex.ts";
import { Tables, shardOf, type Picture } from "./tables.ts";
import { fitsContext, infoOf, isAffordable, isCapable, unavailable } from "./unavailable.ts";
import { decide, GATES, OPEN, Scratch, type DecideTask, type Gate } from "../routing/decide.ts";
import { decisionHashOf, decisionText } from "../routing/decision.ts";
import { wordsOf } from "../routing/draws.ts";
import { correctLoad, keptTokens } from "../routing/saturation.ts";
import { PARAMETERS } from "../routing/parameters.ts";
import { drawOf, epochAt } from "../routing/seeds.ts";
import { pricesAtTide, type Prices, type TideMultiplier } from "../../protocol/tide.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import { noSeed } from "./taskErrors.ts";
import type { AttestedState } from "./attestedState.ts";
import { statusOf } from "./nodeStatus.ts";
import { lastOf, type LearntNode } from "./learnt.ts";
import type { Booking, Choice, ChooseRequest, FleetModel, FleetStatus, Unavailable } from "./routingRequest.ts";
import { standingsOf, type Standing } from "./standing.ts";
import type { SignedAttestation } from "../../protocol/link.ts";
import type { Hash, Millis } from "../../protocol/units.ts";
import type { Clock, Crypto, Log, Metrics } from "../ports/world.ts";
import type { ConnectedNode, NodeLinkEvents } from "../ports/nodes.ts";
import type { ChainNode, Deployment } from "../ports/chain.ts";

export type { Booking, Choice, ChooseRequest, FleetModel, FleetStatus, NodeStatus, Outcome, Unavailable, UnavailableReason } from "./routingRequest.ts";

/** Epoch seeds of the relayer's hash chain; null where the epoch lies outside the chain, or this process may not choose in it. */
export interface EpochSeeds {
  seedOf(epoch: number): Hash | null;
}

export interface TakenEpoch {
  readonly epoch: number;
  readonly held: readonly HeldAttestation[];
  /** Null where no choice was ever made. */
  readonly tableRoot: Hash | null;
}

/** What the tide multiplies a model's prices by at this relayer; the tide loop's. */
export interface TideOfModels {
  /** As read last; one before it was read. */
  multiplierOf(modelId: Hash): TideMultiplier;
  /** Resolves when the multiplier was read, or could not be. */
  ready(modelId: Hash): Promise<void>;
}

export interface FleetOptions {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly deployment: Deployment;
  readonly relayerId: number;
  /** The board loop's. */
  readonly seeds: EpochSeeds;
  readonly tide: TideOfModels;
  /** Names this process in decision records; 32 random bytes, new at each start. */
  readonly processId: Hash;
  /** Called with each node table that decisions are made by: its canonical JSON text, whose keccak256 is the root. To be kept. */
  readonly onTable?: (root: Hash, text: string) => void;
}

/** A round looks at the signatures that the last one met; the fleet may have changed meanwhile, but not for ever. */
const CHECK_ROUNDS_MAX = 8;
/** Nodes that are remembered, connected or not. */
const NODES_MAX = 200_000;
/** Where no table tells how long a task takes. */
const SERVICE_MS_GUESS: Millis = 2_000;

export class Fleet implements NodeLinkEvents {
  readonly #options: FleetOptions;
  readonly #nodes = new Map<number, FleetNode>();
  readonly #recalled = new Map<number, LearntNode>();
  readonly #models = new ModelIndex();
  readonly #tables: Tables;
  readonly #outputs = new OutputLengths();
  readonly #conversations = new Conversations();
  readonly #epochs = new EpochAttestations();
  readonly #scratch = new Scratch();
  /** Already counted against their nodes. */
  readonly #forged = new WeakSet<AttestedState>();
  #seed: { readonly epoch: number; readonly seed: Hash } | null = null;

  constructor(options: FleetOptions) {
    const { clock, crypto, processId, onTable } = options;
    this.#options = options;
    this.#tables = new Tables({ clock, crypto, processId, onTable: onTable ?? (() => undefined) });
  }

  /** The link has proved the node's hot key; `chain` is what the registry and the vault say about it. Replaces an earlier connection. */
  connected(node: ConnectedNode, chain: ChainNode): void {
    const known = this.#nodes.get(node.nodeId) ?? this.#remember(node.nodeId);
    this.#models.remove(known);
    known.connect(node, chain);
    this.#models.add(known);
    for (const modelId of known.models.keys()) void this.#options.tide.ready(modelId);
    this.#tables.outdate();
  }

  /** Takes an attestation as it came; out of order, doubled or absurd ones change nothing or are clamped. */
  attested(nodeId: number, signed: SignedAttestation, receivedAtMs: Millis): void {
    const { clock, relayerId, metrics, deployment } = this.#options;
    const node = this.#nodes.get(nodeId);
    if (!node?.isConnected) return;
    const nowMs = clock.monotonicMs();
    const wasUsable = node.validState(nowMs) !== null;
    // Time spent between the socket and here counts as age; a stepped wall clock must not make anything younger or ancient.
    const waitedMs = Math.min(Math.max(0, clock.nowMs() - receivedAtMs), 60_000);
    const ignored = node.attest(signed, relayerId, nowMs - waitedMs);
    if (ignored) return metrics.count("attestations_ignored_total", { reason: ignored });
    if (!wasUsable) this.#tables.outdate();
    this.#epochs.hold(epochAt(receivedAtMs, deployment.epochSeconds), { state: node.state!, slotsMax: node.slotsMax });
  }

  /** The node takes nothing new from here on; bookings on it stay the caller's to release. */
  disconnected(nodeId: number): void {
    const node = this.#nodes.get(nodeId);
    if (!node) return;
    this.#models.remove(node);
    node.disconnect();
  }

  /** Takes what an earlier process learnt, for nodes that come from now on. */
  recall(nodes: readonly LearntNode[]): void {
    for (const node of nodes) this.#recalled.set(node.nodeId, node);
  }

  /** What was learnt of nodes that did anything since the process began, as many of them as are remembered. */
  learnt(): readonly LearntNode[] {
    return lastOf([...this.#nodes.values()].flatMap((node) => node.learnt() ?? []));
  }

  /**
   * Picks a node softly and books a slot on it. Choosing and booking are one step: no other choice can come between.
   * @throws retryable `no_seed` outside the relayer's seed chain; InvalidValueError for a further attempt without a cause
   */
  async choose(request: ChooseRequest): Promise<Choice | Unavailable> {
    await this.ready(request.modelId);
    for (let round = 0; round < CHECK_ROUNDS_MAX; round++) {
      const outcome = this.tryChoose(request);
      if (outcome === null) break;
      if (!(outcome instanceof Promise)) return outcome;
      await outcome;
    }
    const found = this.whyNot(request);
    this.#options.metrics.count("unavailable_total", { reason: found.reason });
    return found;
  }

  /**
   * The same at once, among the nodes that are open to the caller too.
   * @param more what the caller knows of a node, as a number of GATES
   * @returns null where none is open; a promise where signatures of candidates have to be looked at first, to be tried again after it
   */
  tryChoose(request: ChooseRequest, more: (nodeId: number) => number = () => OPEN): Choice | null | Promise<unknown> {
    if ((request.attempt === 0) !== (request.cause === null)) throw new InvalidValueError("cause", "null for attempt 0, and why there is another attempt for any other");
    const unchecked = new Set<AttestedState>();
    const choice = this.#decide(request, more, unchecked) ?? (unchecked.size === 0 && this.#tables.isOutdated ? this.#decide(request, more, unchecked) : null);
    return choice ?? (unchecked.size > 0 ? Promise.all([...unchecked].map((state) => this.#check(state))) : null);
  }

  /** The prices of the model are known from then on. */
  ready(modelId: Hash): Promise<void> {
    return this.#options.tide.ready(modelId);
  }

  /** Why a node cannot take a request now, by all that the fleet knows but a signature not looked at yet; a number of GATES. */
  gateOf(nodeId: number, request: ChooseRequest): number {
    return gateNumber(this.#gateOf(request, this.#tables.current(this.#nodes.values()), nodeId, this.#options.clock.monotonicMs(), new Set()));
  }

  /** Why no node takes a request: `saturated` where nothing but load stands in its way. */
  whyNot(request: ChooseRequest): Unavailable {
    return unavailable(request, this.#models.nodesOf(request.modelId), this.#serviceMsOf(request.modelId), this.#options.clock.monotonicMs(), (state) => this.#pricesOf(state, request));
  }

  /** Mean time of a typical task of a model, by the nodes' curves. */
  #serviceMsOf(modelId: Hash): Millis {
    return shardOf(this.#tables.current(this.#nodes.values()), modelId)?.pressure.serviceMs ?? SERVICE_MS_GUESS;
  }

  /** What each model of a node offers at the moment; of one that is gone or stale, nothing. */
  standingsOf(nodeId: number): readonly Standing[] {
    const node = this.#nodes.get(nodeId);
    return node ? standingsOf(node, this.#options.clock.monotonicMs()) : [];
  }

  /** The node that is likely to hold the beginning of a conversation, and how much of the prompt that is. */
  holderOf(request: ChooseRequest): Pick<Affinity, "nodeId" | "tokens"> | null {
    const last = this.#conversations.lastOf(request, this.#options.clock.monotonicMs());
    const node = last && this.#nodes.get(last.nodeId);
    if (!node?.state) return null;
    return { nodeId: node.nodeId, tokens: keptTokens(node.state.attested, node.own, last!.tokens, node.turnedOver - last!.turnedOver) };
  }

  /** @returns the id of a model by canonical name, alias or id; null where no node has declared it. */
  modelIdOf(name: string): Hash | null {
    return this.#models.modelIdOf(name);
  }

  models(): readonly FleetModel[] {
    return this.#models.list(this.#options.clock.monotonicMs(), this.#options.tide);
  }

  status(): FleetStatus {
    return { ...statusOf([...this.#nodes.values()], this.#options.clock.monotonicMs()), tableRoot: this.#tables.root };
  }

  /**
   * Genuine attestations of epochs that have ended, each node's greatest, for the board; they are handed out once. With them goes the
   * root of a node table that tells everything up to now, so that in-flight corrections of the last choices can be rebuilt too.
   */
  async takeEpochs(upTo: number): Promise<readonly TakenEpoch[]> {
    const taken = this.#epochs.takeUpTo(upTo);
    const tableRoot = taken.length === 0 ? null : this.#tables.tellRest(this.#nodes.values());
    return Promise.all(taken.map(async ({ epoch, held }) => {
      const genuine = await Promise.all(held.map((one) => one.state.check(this.#options.deployment.domain, this.#options.crypto)));
      return { epoch, held: held.filter((_, i) => genuine[i]), tableRoot };
    }));
  }

  #decide(request: ChooseRequest, more: (nodeId: number) => number, unchecked: Set<AttestedState>): Choice | null {
    const picture = this.#tables.current(this.#nodes.values());
    const shard = shardOf(picture, request.modelId);
    if (!shard) return null;
    const nowMs = this.#options.clock.monotonicMs();
    const task = this.#taskOf(request, picture, nowMs);
    const atMs = this.#options.clock.nowMs();
    const { epoch, seed } = this.#epochSeed(atMs);
    const draw = drawOf(seed, request, this.#options.crypto.keccak256);
    const gate = (row: number): number => {
      const { nodeId } = shard.rows[row]!;
      const known = gateNumber(this.#gateOf(request, picture, nodeId, nowMs, unchecked));
      return known === OPEN ? more(nodeId) : known;
    };
    const row = decide(shard, task, wordsOf(draw), gate, this.#scratch);
    if (unchecked.size > 0 || row < 0) return null;
    const sequence = this.#tables.next();
    const decision = decisionText({
      processId: this.#options.processId, sequence, tableRoot: picture.table.root, epoch, draw, drawnFor: request, cause: request.cause, task,
    }, shard, this.#scratch, row);
    return this.#choice(request, picture, shard.rows[row]!.nodeId, decision, sequence, task, atMs);
  }

  #choice(request: ChooseRequest, picture: Picture, nodeId: number, decision: string, sequence: number, task: DecideTask, atMs: Millis): Choice {
    const { crypto, deployment, metrics } = this.#options;
    const node = this.#nodes.get(nodeId)!;
    const state = picture.stateOf.get(nodeId)!;
    // The board must hold what assignments of this epoch name, also where the node attested it just before the epoch began.
    this.#epochs.hold(epochAt(atMs, deployment.epochSeconds), { state, slotsMax: node.slotsMax });
    metrics.count("choices_total", { attempt: request.attempt === 0 ? "first" : "later" });
    return {
      ok: true, atMs, nodeId, keyEpoch: node.keyEpoch, hotKey: node.hotKey, prices: this.#pricesOf(state, request)!, model: infoOf(node, request)!,
      attestationHash: state.hash(crypto), attestationSeq: state.signed.attestation.seq,
      decision, decisionHash: decisionHashOf(decision, crypto.keccak256), booking: this.#book(request, node, sequence, task),
    };
  }

  #book(request: ChooseRequest, node: FleetNode, sequence: number, task: DecideTask): Booking {
    const { clock } = this.#options;
    const { attested } = node.state!;
    const load = correctLoad(attested, node.own, PARAMETERS.unknownContextTokens);
    return new FleetBooking({
      node, request, clock, fit: node.models.get(request.modelId)!.fit, expectedOutTokens: task.expectedOutTokens, cachedTokens: task.affinityNodeId === node.nodeId ? task.cachedTokens : 0,
      backlogTokens: load.backlogTokens, runningBefore: load.running,
      tell: (kind) => this.#tables.tell(kind, sequence),
      onReleased: (outcome, outTokens) => {
        if (outcome !== "completed") return;
        if (request.kind === "generate") this.#outputs.observe(request.sessionId, request.modelId, outTokens);
        this.#conversations.served(request, { nodeId: node.nodeId, tokens: request.inputTokens + outTokens, turnedOver: node.turnedOver }, clock.monotonicMs());
      },
    });
  }

  #taskOf(request: ChooseRequest, picture: Picture, nowMs: Millis): DecideTask {
    const holder = this.holderOf(request);
    return {
      inputTokens: request.inputTokens, expectedOutTokens: request.kind === "embed" ? 0 : this.#outputs.expect(request.sessionId, request.modelId, request.maxOutTokens),
      affinityNodeId: holder?.nodeId ?? -1, cachedTokens: holder?.tokens ?? 0, ageMs: Math.max(0, Math.floor(nowMs - picture.madeAtMs)),
    };
  }

  /** What is known of a row's node beyond the table; a signature not looked at yet is collected, and passes for the moment. */
  #gateOf(request: ChooseRequest, picture: Picture, nodeId: number, nowMs: Millis, unchecked: Set<AttestedState>): Gate {
    const node = this.#nodes.get(nodeId);
    const state = picture.stateOf.get(nodeId);
    if (!node?.isConnected || !state || node.state === null) return "gone";
    if (state.isGenuine === false || node.state.isGenuine === false) return "unsigned";
    if (node.validState(nowMs) === null) return "stale";
    if (!state.isValidAt(nowMs)) {
      this.#tables.outdate();
      return "stale";
    }
    if (request.exclude.includes(nodeId)) return "excluded";
    if (infoOf(node, request)?.kind !== request.kind || !fitsContext(node, request) || !isCapable(node, request)) return "unfit";
    if (!isAffordable(this.#pricesOf(state, request), request)) return "price";
    if (node.isFull(request.modelId, node.state)) return "full";
    if (state.isGenuine === null) unchecked.add(state);
    return "open";
  }

  /** The node's attested prices at the tide and the order's tier. */
  #pricesOf(state: AttestedState | null, request: ChooseRequest): Prices | null {
    const offer = state?.offerOf(request.modelId);
    return offer ? pricesAtTide(offer, this.#options.tide.multiplierOf(request.modelId), request.tier) : null;
  }

  async #check(state: AttestedState): Promise<void> {
    const { crypto, deployment, log, clock } = this.#options;
    if (await state.check(deployment.domain, crypto) || this.#forged.has(state)) return;
    this.#forged.add(state);
    const { nodeId } = state.signed.attestation;
    log.warn({ nodeId }, "a node's attestation is not signed by its hot key; it is left out until it attests anew");
    this.#nodes.get(nodeId)?.score("silent", clock.monotonicMs());
  }

  #epochSeed(atMs: Millis): { readonly epoch: number; readonly seed: Hash } {
    const { deployment, seeds } = this.#options;
    const epoch = epochAt(atMs, deployment.epochSeconds);
    if (this.#seed?.epoch === epoch) return this.#seed;
    const seed = seeds.seedOf(epoch);
    if (seed === null) throw noSeed(epoch);
    return (this.#seed = { epoch, seed });
  }

  #remember(nodeId: number): FleetNode {
    if (this.#nodes.size >= NODES_MAX) {
      const gone = [...this.#nodes.values()].find((node) => !node.isConnected && node.own.inFlight === 0);
      if (gone) this.#nodes.delete(gone.nodeId);
    }
    const node = new FleetNode(nodeId, this.#options.clock.monotonicMs(), this.#recalled.get(nodeId));
    this.#nodes.set(nodeId, node);
    return node;
  }
}

const GATE_NUMBERS: Readonly<Record<Gate, number>> = Object.fromEntries(GATES.map((name, i) => [name, i])) as Record<Gate, number>;
const gateNumber = (gate: Gate): number => GATE_NUMBERS[gate];
