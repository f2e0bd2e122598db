// A place on a node: counted from the choice on, given back once, and what it taught about the node kept.
import { turnedOver } from "../routing/saturation.ts";
import type { FleetNode } from "./fleetNode.ts";
import type { Booking, ChooseRequest, Outcome } from "./routingRequest.ts";
import type { Clock } from "../ports/world.ts";
import type { CurveFit } from "../routing/fit.ts";
import type { LoadEvent } from "../routing/table.ts";
import type { Deed } from "../routing/score.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/** Shorter outputs say too little about the time of one token. */
const DECODED_TOKENS_MIN = 8;

const DEEDS: Readonly<Record<Outcome, Deed | null>> = {
  completed: "kept", cancelled: null, refused_full: "refused", refused: "refused", failed: "silent", unsent: null,
  // Whoever sends what no node can take must not cost the nodes their score; see `contradicted`.
  rejected: null,
};

export interface BookingParts {
  readonly node: FleetNode;
  readonly fit: CurveFit;
  readonly request: ChooseRequest;
  readonly expectedOutTokens: Tokens;
  /** Of the prompt, what the node was believed to hold. */
  readonly cachedTokens: Tokens;
  /** Prompt tokens that were ahead, and sequences running, at dispatch. */
  readonly backlogTokens: Tokens;
  readonly runningBefore: number;
  readonly clock: Clock;
  /** Numbers an event of this booking in the process's sequence. */
  readonly tell: (kind: LoadEvent["kind"]) => void;
  /** Called once, with the output tokens that came. */
  readonly onReleased: (outcome: Outcome, outTokens: Tokens) => void;
}

export class FleetBooking implements Booking {
  readonly #parts: BookingParts;
  readonly #bookedAtMs: Millis;
  /** The attestation that a "full" refusal contradicts. */
  readonly #state: FleetNode["state"];
  /** Where a node held some of the prompt, or of one ahead, what it had to read is only believed, and says nothing of how fast it reads. */
  readonly #tellsReading: boolean;
  #firstAtMs: Millis | null = null;
  #lastAtMs: Millis = 0;
  #firstTokens: Tokens = 0;
  #outTokens: Tokens = 0;
  #isReleased = false;

  constructor(parts: BookingParts) {
    const { node, request } = parts;
    this.#parts = parts;
    this.#bookedAtMs = parts.clock.monotonicMs();
    this.#state = node.state;
    this.#tellsReading = parts.cachedTokens === 0 && node.heldTokens === 0;
    node.count(request.modelId, 1);
    this.#toRead(1);
    node.own.contextTokens += request.inputTokens + parts.expectedOutTokens;
  }

  firstToken(sinceDispatchMs: Millis): void {
    if (this.#isReleased || this.#firstAtMs !== null) return;
    const { tell } = this.#parts;
    this.#firstAtMs = this.#lastAtMs = this.#parts.clock.monotonicMs();
    this.#toRead(-1);
    this.#learnReading(sinceDispatchMs);
    tell("first");
  }

  progress(outTokens: Tokens): void {
    if (this.#isReleased || outTokens <= this.#outTokens) return;
    if (this.#firstAtMs === null) this.firstToken(this.#parts.clock.monotonicMs() - this.#bookedAtMs);
    if (this.#outTokens === 0) this.#firstTokens = outTokens;
    this.#outTokens = outTokens;
    this.#lastAtMs = this.#parts.clock.monotonicMs();
  }

  release(outcome: Outcome): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const { node, request, expectedOutTokens, clock, tell, onReleased } = this.#parts;
    this.#learn(outcome);
    if (this.#firstAtMs !== null || outcome === "completed") this.#turnOver();
    node.count(request.modelId, -1);
    if (this.#firstAtMs === null) this.#toRead(-1);
    node.own.contextTokens -= request.inputTokens + expectedOutTokens;
    const deed = DEEDS[outcome];
    if (deed !== null) node.score(deed, clock.monotonicMs());
    if (outcome === "refused_full") node.refusedState = this.#state;
    tell("release");
    onReleased(outcome, this.#outTokens);
  }

  contradicted(): void {
    if (!this.#isReleased) return;
    this.#parts.node.score("refused", this.#parts.clock.monotonicMs());
  }

  /** Counts its prompt in (1), or out (-1) once it was read or will not be. */
  #toRead(by: 1 | -1): void {
    const { node, request, cachedTokens } = this.#parts;
    node.own.prefillTokens += by * request.inputTokens;
    node.heldTokens += by * cachedTokens;
  }

  #learnReading(elapsedMs: Millis): void {
    const { fit, request, backlogTokens } = this.#parts;
    if (this.#tellsReading) fit.observePrefill(request.inputTokens, backlogTokens, elapsedMs);
  }

  #turnOver(): void {
    const { node, request, cachedTokens } = this.#parts;
    // Embeddings leave nothing behind that a conversation's memory would have to make room for.
    if (request.kind === "embed") return;
    const tokens = request.inputTokens - cachedTokens + this.#outTokens;
    // Who else is there now: an answer may have taken minutes. A node that has gone meanwhile tells nothing newer.
    const state = node.state ?? this.#state;
    node.turnedOver += state === null ? tokens : turnedOver(state.attested, node.own, tokens);
  }

  /** Only work that ran well tells how fast the node is; a stall is the score's business. */
  #learn(outcome: Outcome): void {
    if (outcome !== "completed" && outcome !== "cancelled") return;
    const { request, fit, node, runningBefore } = this.#parts;
    if (request.kind === "embed" && outcome === "completed" && this.#firstAtMs === null) {
      this.#learnReading(this.#parts.clock.monotonicMs() - this.#bookedAtMs);
    }
    const decoded = this.#outTokens - this.#firstTokens;
    if (this.#firstAtMs === null || decoded < DECODED_TOKENS_MIN) return;
    const batch = (runningBefore + 1 + node.own.inFlight) / 2;
    const contextTokens = batch * (request.inputTokens + this.#outTokens / 2);
    fit.observeDecode(contextTokens, batch, (this.#lastAtMs - this.#firstAtMs) / decoded);
  }
}
