// One node as the relayer knows it live: connection, last attestation, own load, learnt curves, score.
import { AttestedState } from "./attestedState.ts";
import { CurveFit } from "../routing/fit.ts";
import { partOfAge, type LearntNode } from "./learnt.ts";
import { fadedKept, keptAfter } from "../lobby/warmUp.ts";
import { PRICE_MAX } from "../routing/parameters.ts";
import { SCORE_START_BPS, fadedScore, forgiven, scoreAfter, type Deed } from "../routing/score.ts";
import { modelIdOf } from "../../protocol/ids.ts";
import type { ModelInfo, NodeInfo, ServiceCurve, SignedAttestation } from "../../protocol/link.ts";
import { MEMORY_TOKENS_MAX, type OwnLoad } from "../routing/saturation.ts";
import type { TableRow } from "../routing/table.ts";
import type { Address, Bps, Hash, Millis, Tokens } from "../../protocol/units.ts";
import type { Crypto } from "../ports/world.ts";
import type { ConnectedNode } from "../ports/nodes.ts";
import type { ChainNode } from "../ports/chain.ts";

/** A model on a node. */
export interface ServedModel {
  readonly info: ModelInfo;
  readonly fit: CurveFit;
}

/** What an earlier process learnt of its curves, and how much of it still counts. */
interface LearntFits {
  readonly part: number;
  readonly stated: string;
  readonly models: LearntNode["models"];
}

/** Why an attestation was not taken. */
export type Ignored = "other_node" | "other_relayer" | "other_key_epoch" | "old_seq";

export class FleetNode {
  readonly nodeId: number;
  /** Shared with the node tables: the one part of a decision's picture that moves. */
  readonly own: OwnLoad = { inFlight: 0, prefillTokens: 0, contextTokens: 0 };
  /** Of `own.prefillTokens`, what the node was believed to hold when it was sent there. */
  heldTokens: Tokens = 0;
  /** Tokens that have come and gone there since this process began: what it was asked long ago it holds no more. */
  turnedOver: Tokens = 0;
  keyEpoch = 0;
  hotKey: Address = "0x";
  engine = "";
  /** As the node states it. */
  curve: ServiceCurve = { aNs: 0, bNs: 0, cNs: 0, dNs: 0, ePs: 0 };
  slotsMax = 0;
  hardwareClass = 0;
  isConnected = false;
  /** The last one accepted; null after a disconnection, so an absent node is not chosen until it attests again. */
  state: AttestedState | null = null;
  models: ReadonlyMap<Hash, ServedModel> = new Map();
  /** A signed "full" closes the node until it attests anew. */
  refusedState: AttestedState | null = null;
  /** Outlives connections, as bookings do. */
  readonly #inFlight = new Map<Hash, number>();
  #lastSeq = -1n;
  #statedCurve = "";
  #kept = 0;
  #scoreBps: Bps = SCORE_START_BPS;
  #scoredAtMs: Millis;
  #didAnything = false;
  readonly #recalled: LearntFits | null = null;

  /** @param learnt what an earlier process learnt of it; what is old counts less */
  constructor(nodeId: number, nowMs: Millis, learnt?: LearntNode) {
    this.nodeId = nodeId;
    this.#scoredAtMs = nowMs;
    if (!learnt) return;
    const part = partOfAge(nowMs - learnt.atMs);
    // A clock that was set back makes nothing younger than now.
    this.#scoredAtMs = Math.min(nowMs, learnt.atMs);
    this.#scoreBps = fadedScore(learnt.scoreBps, part);
    this.#kept = fadedKept(learnt.kept, part);
    this.#recalled = { part, stated: learnt.stated, models: learnt.models };
  }

  /** What was learnt of it, where it did anything since the process began; what its halls know is theirs to add. */
  learnt(): LearntNode | null {
    if (!this.#didAnything) return null;
    const models = Object.fromEntries([...this.models].map(([modelId, { fit }]) => [modelId, { fit: fit.numbers, hall: null }]));
    return { nodeId: this.nodeId, atMs: this.#scoredAtMs, scoreBps: this.#scoreBps, kept: this.#kept, stated: this.#statedCurve, models };
  }

  /** Takes what a (new) connection and the chain say; own load, score and what was learnt of an unchanged engine stay. */
  connect(node: ConnectedNode, chain: ChainNode): void {
    const statedCurve = JSON.stringify([node.info.engine, node.info.curve]);
    const recalled = statedCurve === this.#recalled?.stated ? this.#recalled : null;
    this.models = servedModels(node.info, statedCurve === this.#statedCurve ? this.models : new Map(), recalled);
    // Another engine holds nothing of what the last one read.
    if (statedCurve !== this.#statedCurve) this.turnedOver += MEMORY_TOKENS_MAX;
    this.#statedCurve = statedCurve;
    this.curve = node.info.curve;
    this.keyEpoch = node.keyEpoch;
    this.hotKey = node.hotKey.toLowerCase() as Address;
    this.engine = node.info.engine;
    this.hardwareClass = chain.hardwareClass;
    this.slotsMax = chain.live ? chain.slots : 0;
    this.isConnected = true;
    // A node that lost its clock may start lower; it proved its key again, and the old connection's lines are gone with it.
    this.#lastSeq = -1n;
    this.state = null;
    this.refusedState = null;
  }

  disconnect(): void {
    this.isConnected = false;
    this.state = null;
  }

  /** @returns null where it was taken. */
  attest(signed: SignedAttestation, relayerId: number, atMs: Millis): Ignored | null {
    const { attestation } = signed;
    if (attestation.nodeId !== this.nodeId) return "other_node";
    if (attestation.relayerId !== relayerId) return "other_relayer";
    if (attestation.keyEpoch !== this.keyEpoch) return "other_key_epoch";
    if (attestation.seq <= this.#lastSeq) return "old_seq";
    this.#lastSeq = attestation.seq;
    this.state = new AttestedState(signed, this.hotKey, atMs, this.slotsMax, this.own);
    return null;
  }

  /** The state a decision may rely on now, or null: absent, stale, or proven forged. */
  validState(nowMs: Millis): AttestedState | null {
    return this.isConnected && this.state !== null && this.state.isValidAt(nowMs) && this.state.isGenuine !== false ? this.state : null;
  }

  /** Every slot of the latest attestation is taken, or the node said so itself. */
  isFull(modelId: Hash, state: AttestedState): boolean {
    const offered = Math.min(state.offerOf(modelId)?.slots ?? 0, state.attested.slots);
    return this.own.inFlight >= state.attested.slots || (this.#inFlight.get(modelId) ?? 0) >= offered || this.refusedState === state;
  }

  /** Counts a booking in (1) or out (-1). */
  count(modelId: Hash, by: 1 | -1): void {
    const inFlight = (this.#inFlight.get(modelId) ?? 0) + by;
    if (inFlight === 0) this.#inFlight.delete(modelId);
    else this.#inFlight.set(modelId, inFlight);
    this.own.inFlight += by;
  }

  /** Engine and curve as the node states them. */
  get statedCurve(): string {
    return this.#statedCurve;
  }

  /** Good answers, as warming up counts them. */
  get kept(): number {
    return this.#kept;
  }

  scoreBps(nowMs: Millis): Bps {
    return forgiven(this.#scoreBps, nowMs - this.#scoredAtMs);
  }

  score(deed: Deed, nowMs: Millis): void {
    this.#scoreBps = scoreAfter(this.scoreBps(nowMs), deed);
    this.#kept = keptAfter(this.#kept, deed);
    this.#scoredAtMs = nowMs;
    this.#didAnything = true;
  }

  /** The node's row for a model in a table, or null where the attestation offers it not. */
  rowFor(modelId: Hash, state: AttestedState, nowMs: Millis, crypto: Crypto): TableRow | null {
    const offer = state.offerOf(modelId);
    const model = this.models.get(modelId);
    if (!offer || !model) return null;
    return {
      ...state.attested, nodeId: this.nodeId, keyEpoch: this.keyEpoch, attestationHash: state.hash(crypto),
      modelSlots: Math.min(offer.slots, state.attested.slots), ageMs: Math.max(0, Math.floor(nowMs - state.atMs)), curve: model.fit.curve,
      priceIn: boundedPrice(offer.priceInPerMTok), priceOut: boundedPrice(offer.priceOutPerMTok), scoreBps: this.scoreBps(nowMs),
    };
  }
}

/** A name whose hash is not the id it stands beside would let one node answer for another's model: it is left out. */
function servedModels(info: NodeInfo, known: ReadonlyMap<Hash, ServedModel>, recalled: LearntFits | null): Map<Hash, ServedModel> {
  const honest = info.models.filter((model) => model.modelId === modelIdOf(model.name));
  return new Map(honest.map((model) => {
    const before = known.get(model.modelId);
    return [model.modelId, { info: model, fit: before?.fit ?? fitOf(info, recalled, model.modelId) }];
  }));
}

function fitOf({ curve }: NodeInfo, recalled: LearntFits | null, modelId: Hash): CurveFit {
  const fit = new CurveFit(curve);
  const learnt = recalled?.models[modelId];
  if (recalled && learnt) fit.recall(learnt.fit, recalled.part);
  return fit;
}

const boundedPrice = (price: bigint): number => (price > BigInt(PRICE_MAX) ? PRICE_MAX : Number(price));
