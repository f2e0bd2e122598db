// The node agent: what relayers ask of it over their links, and the state that the answers share.
//
//   attempt ─▶ place free? ─▶ evidence holds? ─▶ engine ─▶ receipt ─▶ (ack)
//                  │ no             │ no            │ nothing delivered
//                  └─ signed refusal ┘               └─ failed, unsigned
import type { Domain } from "../../protocol/typedData.ts";
import { linkDigest, partyOf, type AttemptEvent, type AttemptRequest, type Cancel, type NodeInfo, type SignedAck, type SignedAttestation } from "../../protocol/link.ts";
import { RefusalReason, type RefusalReasonValue } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { recoverWithViem, signStruct, type DigestSigner } from "../../protocol/signing.ts";
import type { Hash, Millis, Seconds, Signature } from "../../protocol/units.ts";
import { Pace } from "../gauge/pace.ts";
import { admit, assignmentHashOf, isInEpoch, RefusedError, type AdmissionWorld } from "./admission.ts";
import { Attempts } from "./attempts.ts";
import { Attestor } from "./attestor.ts";
import { ChainView } from "./chainView.ts";
import { Exposure } from "./exposure.ts";
import { observe } from "./gauge.ts";
import { nodeInfoOf, type ServedModel } from "./models.ts";
import { Tab } from "./tab.ts";
import { work } from "./work.ts";
import type { Attempt } from "./attempt.ts";
import type { Clock, Dice, LinkChallenge, LinkHandler, Log, NodeChain, NodeStore, RelayerLinks, RelayerPeer } from "../ports.ts";

export interface AgentSettings {
  readonly nodeId: number;
  readonly keyEpoch: number;
  /** Attempts at once, whatever their models; the stake may allow fewer. */
  readonly slots: number;
  readonly prepSlots: number;
  readonly paceTokensPerSecond: number | null;
  /** Receipts that one relayer may leave without an ack. */
  readonly unackedMax: number;
  /** Name and version of this program. */
  readonly agent: string;
}

export interface AgentWorld {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  readonly chain: NodeChain;
  readonly store: NodeStore;
  readonly links: RelayerLinks;
  readonly signer: DigestSigner;
}

const SWEEP_EVERY_MS: Millis = 1_000;
/** The relayer is the one to cancel at the deadline: this is for one that does not. */
const DEADLINE_GRACE_MS: Millis = 5_000;
const { FULL, DRAINING, UNACKED, ASSIGNMENT } = RefusalReason;

export class Agent implements LinkHandler {
  readonly #settings: AgentSettings;
  readonly #world: AgentWorld;
  readonly #models: readonly ServedModel[];
  readonly #view: ChainView;
  readonly #admission: AdmissionWorld;
  readonly #attempts: Attempts;
  readonly #pace: Pace;
  readonly #attestors = new Map<number, Attestor>();
  readonly #tabs = new Map<number, Promise<Tab>>();
  readonly #peers = new Set<RelayerPeer>();
  #stakedSlots: number;
  #draining = false;

  /** @param stakedSlots what the stake allows at the start; kept up to date by `run`. */
  constructor(settings: AgentSettings, models: readonly ServedModel[], stakedSlots: number, world: AgentWorld) {
    this.#settings = settings;
    this.#world = world;
    this.#models = models;
    this.#stakedSlots = stakedSlots;
    this.#view = new ChainView(world.chain, world.clock);
    this.#attempts = new Attempts(world.store.assignmentsSince(this.#nowSeconds()));
    this.#pace = new Pace(settings.paceTokensPerSecond);
    this.#admission = {
      nodeId: settings.nodeId, keyEpoch: settings.keyEpoch, domain: world.chain.domain, windowSeconds: world.chain.windowSeconds,
      models, chain: this.#view, exposure: new Exposure(world.store), clock: world.clock,
      hasAttested: (relayerId, hash) => this.#attestorOf(relayerId).hasSigned(hash, world.clock.nowMs()),
    };
  }

  /** Housekeeping until the signal is aborted: old output goes, the stake's slots are read anew. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#attempts.sweep(this.#world.clock.nowMs());
      await this.#readStake();
      await this.#world.clock.sleep(SWEEP_EVERY_MS, signal);
    }
  }

  /** A retired node, or one whose hot key was replaced, attests no slots: nobody would pay for what it signs. */
  async #readStake(): Promise<void> {
    const self = await this.#view.self(this.#settings.nodeId).catch(() => undefined);
    if (self === undefined) return;
    const slots = self?.live && self.keyEpoch === this.#settings.keyEpoch ? self.slots : 0;
    if (slots !== this.#stakedSlots) this.#world.log.warn({ slots, before: this.#stakedSlots }, "the slots that the registry allows this node have changed");
    this.#stakedSlots = slots;
  }

  /** Takes no new work, and resolves when what runs has ended; what has not after the limit is aborted. */
  async drain(limitMs: Millis): Promise<void> {
    this.#draining = true;
    const untilMs = this.#world.clock.monotonicMs() + limitMs;
    while (this.#attempts.running().length > 0) {
      if (this.#world.clock.monotonicMs() >= untilMs) for (const attempt of this.#attempts.running()) attempt.stop("drain");
      await this.#world.clock.sleep(20);
    }
  }

  async authenticate(challenge: LinkChallenge): Promise<{ keyEpoch: number; signature: Signature }> {
    const { nodeId, keyEpoch } = this.#settings;
    const link = { nodeId, relayerId: challenge.relayerId, nodeNonce: challenge.nodeNonce, relayerNonce: challenge.relayerNonce };
    const key = await this.#view.relayerKey(challenge.relayerId, challenge.relayerEpoch);
    const claimed = await recoverWithViem(linkDigest(this.#domain, "relayer", link), challenge.signature);
    if (!key || claimed !== key.key || !isInEpoch(key, this.#nowSeconds(), 0)) {
      throw new TidelaneError(`What answered is not relayer ${challenge.relayerId} as it is registered on this chain.`, { code: "relayer_not_registered", details: { relayerId: challenge.relayerId } });
    }
    return { keyEpoch, signature: await this.#world.signer.sign(linkDigest(this.#domain, "node", link)) };
  }

  info(): NodeInfo {
    return nodeInfoOf(this.#settings.nodeId, this.#settings.agent, this.#models, this.#settings.slots, this.#settings.paceTokensPerSecond);
  }

  async *attestations(peer: RelayerPeer, signal: AbortSignal): AsyncGenerator<SignedAttestation> {
    this.#peers.add(peer);
    // Ahead of the first attempt, so that none has to wait for it.
    this.#tabOf(peer).catch((error: unknown) => this.#world.log.warn({ relayerId: peer.relayerId, error: String(error) }, "the tab at this relayer cannot be resumed yet"));
    try {
      yield* this.#attestorOf(peer.relayerId).read(signal);
    } finally {
      this.#peers.delete(peer);
    }
  }

  async *attempt(peer: RelayerPeer, request: AttemptRequest, signal: AbortSignal): AsyncGenerator<AttemptEvent> {
    const hash = assignmentHashOf(request);
    const nowMs = (): Millis => this.#world.clock.nowMs();
    let attempt = this.#attempts.get(hash);
    if (attempt && attempt.relayerId !== peer.relayerId) return yield await this.#refuse(peer, hash, ASSIGNMENT, "another relayer's attempt");
    if (!attempt) {
      // No await before the place is taken, or two requests could both see the last one free.
      const accepted = this.#attempts.running().length;
      const refused = this.#refusalOf(peer, hash, accepted);
      if (refused) return yield await this.#refuse(peer, hash, ...refused, accepted);
      attempt = this.#attempts.open(hash, peer.relayerId, nowMs());
      void this.#serve(peer, request, attempt);
    }
    yield* attempt.read(0, partyOf(peer.relayerId, peer.process), nowMs, signal);
  }

  attach(peer: RelayerPeer, assignmentHash: Hash, offset: number, signal: AbortSignal): AsyncIterable<AttemptEvent> | null {
    const attempt = this.#attempts.get(assignmentHash);
    return attempt && attempt.relayerId === peer.relayerId ? attempt.read(offset, partyOf(peer.relayerId, peer.process), () => this.#world.clock.nowMs(), signal) : null;
  }

  cancel(peer: RelayerPeer, cancel: Cancel): void {
    const attempt = this.#attempts.get(cancel.assignmentHash);
    if (attempt && attempt.relayerId === peer.relayerId) attempt.stop(cancel.reason);
  }

  async acks(peer: RelayerPeer, acks: readonly SignedAck[]): Promise<void> {
    const tab = await this.#tabOf(peer);
    for (const signed of acks) {
      const key = await this.#view.relayerKey(signed.ack.relayerId, signed.ack.relayerEpoch);
      if (!key || !await tab.take(signed, key.key)) this.#world.log.debug({ relayerId: peer.relayerId }, "an ack was for nothing that waits, or not signed by the relayer");
    }
  }

  async #serve(peer: RelayerPeer, request: AttemptRequest, attempt: Attempt): Promise<void> {
    const { clock, log } = this.#world;
    const timer = new AbortController();
    try {
      const tab = await this.#tabOf(peer);
      if (tab.unacked() >= this.#settings.unackedMax) throw new RefusedError(UNACKED, "too many receipts wait for acks");
      const admitted = await admit(this.#admission, peer, request);
      try {
        void clock.sleep(request.assignment.deadline * 1_000 + DEADLINE_GRACE_MS - clock.nowMs(), timer.signal).then(() => timer.signal.aborted || attempt.stop("deadline"));
        const { receipt, signature, finishReason } = await work({ clock, pace: this.#pace }, request, admitted, attempt, tab);
        this.#attempts.worked(attempt.hash, request.assignment.deadline);
        attempt.push({ type: "end", finishReason, receipt, signature });
      } finally {
        admitted.release();
      }
    } catch (error) {
      await this.#fail(peer, attempt, error);
    } finally {
      timer.abort();
      attempt.end(clock.nowMs());
      log.debug({ assignment: attempt.hash, relayerId: peer.relayerId }, "attempt ended");
    }
  }

  async #fail(peer: RelayerPeer, attempt: Attempt, error: unknown): Promise<void> {
    // Nothing was signed: the same assignment may come again.
    this.#attempts.drop(attempt.hash);
    const code = error instanceof TidelaneError ? error.code : "internal_error";
    const reason = error instanceof RefusedError ? error.reason : code === "input_rejected" ? RefusalReason.INPUT : null;
    if (reason !== null) {
      const others = this.#attempts.running().filter((one) => one !== attempt).length;
      return attempt.push(await this.#refuse(peer, attempt.hash, reason, error instanceof Error ? error.message : code, others));
    }
    if (!(error instanceof TidelaneError)) this.#world.log.error({ error: String(error) }, "an attempt failed in a way that nobody foresaw");
    attempt.push({ type: "failed", code, message: error instanceof TidelaneError ? error.message : "The node failed." });
  }

  #refusalOf(peer: RelayerPeer, hash: Hash, accepted: number): [RefusalReasonValue, string] | null {
    if (this.#draining) return [DRAINING, "this node is shutting down"];
    if (this.#attempts.wasWorked(hash)) return [ASSIGNMENT, "the assignment was worked on already"];
    // Refusing as full below what was just attested would be provable against this node.
    const slots = Math.max(this.#slots(), this.#attestors.get(peer.relayerId)?.promisedSlots(this.#world.clock.nowMs()) ?? 0);
    return accepted >= slots ? [FULL, `all ${slots} slots are taken`] : null;
  }

  async #refuse(peer: RelayerPeer, assignmentHash: Hash, reason: RefusalReasonValue, detail: string, accepted = this.#attempts.running().length): Promise<AttemptEvent> {
    const { nodeId, keyEpoch } = this.#settings;
    const refusal = {
      assignmentHash, nodeId, relayerId: peer.relayerId, keyEpoch, attestationSeq: this.#attestors.get(peer.relayerId)?.latestSeq ?? 0n,
      accepted: Math.min(accepted, 65_535), reason, refusedAtMs: this.#world.clock.nowMs(),
    };
    this.#world.log.info({ assignment: assignmentHash, relayerId: peer.relayerId, reason, detail }, "refused");
    return { type: "refusal", refusal, signature: await signStruct(this.#world.signer, this.#domain, "Refusal", refusal) };
  }

  #attestorOf(relayerId: number): Attestor {
    let attestor = this.#attestors.get(relayerId);
    if (!attestor) {
      const { clock, log, signer, store } = this.#world;
      const attester = { nodeId: this.#settings.nodeId, relayerId, keyEpoch: this.#settings.keyEpoch };
      attestor = new Attestor({ attester, domain: this.#domain, signer, store, clock, log, observe: () => this.#observe(relayerId), presences: () => this.#attempts.presences() });
      this.#attestors.set(relayerId, attestor);
    }
    return attestor;
  }

  #observe(relayerId: number) {
    const own = [...this.#peers].filter((peer) => peer.relayerId === relayerId);
    return observe({
      models: this.#models, slots: this.#slots(), prepSlots: this.#settings.prepSlots, accepted: this.#attempts.running().length,
      paceTokensPerSecond: this.#settings.paceTokensPerSecond, backlogBytes: Math.max(0, ...own.map((peer) => peer.backlogBytes())),
    });
  }

  #tabOf(peer: RelayerPeer): Promise<Tab> {
    let tab = this.#tabs.get(peer.relayerId);
    if (!tab) {
      const { chain, clock, links, signer, store } = this.#world;
      tab = Tab.resume(peer, { nodeId: this.#settings.nodeId, domain: this.#domain, signer, store, chain, links, clock });
      this.#tabs.set(peer.relayerId, tab);
      // A failure is not remembered: the next attempt tries again.
      tab.catch(() => this.#tabs.delete(peer.relayerId));
    }
    return tab;
  }

  #slots(): number {
    return this.#draining ? 0 : Math.min(this.#settings.slots, this.#stakedSlots);
  }

  get #domain(): Domain {
    return this.#world.chain.domain;
  }

  #nowSeconds(): Seconds {
    return Math.floor(this.#world.clock.nowMs() / 1_000);
  }
}
