// One try of a task on one node: from the dispatched assignment to a receipt that holds, or to the reason why there is none.
//
//   dispatch ─▶ refusal                              signed: the node's answer, try another
//           └─▶ start ─▶ delta ... ─▶ end(receipt)   checked against what was delivered before anybody believes it
//                   └─▶ failed, cut, stalled, late   unsigned: nothing is owed
//
// A cancel (client gone, deadline) asks the node to stop and waits a little for its CANCELLED receipt: what was produced is
// paid. A node that stalls or breaks the link's contract is only told to stop; nothing of it is accepted any more.
import { hashStruct } from "../../protocol/typedData.ts";
import { outputSalt } from "../../protocol/ids.ts";
import { checkReceipt, type AttemptRecord } from "../../protocol/records.ts";
import { RefusalReason, Status } from "../../protocol/constants.ts";
import { HIDDEN_OUTPUT_TOKENS_MAX } from "../../protocol/bounds.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { digest } from "../../protocol/typedData.ts";
import type { AttemptEvent, AttemptRequest, Cancel, FinishReason } from "../../protocol/link.ts";
import type { Hash, Millis, Tokens } from "../../protocol/units.ts";
import type { Clock, Crypto, Log, TokenCounter } from "../ports/world.ts";
import type { NodeLinks } from "../ports/nodes.ts";
import type { Deployment } from "../ports/chain.ts";
import type { Choice, Outcome } from "./routingRequest.ts";
import { Watchdog } from "./watchdog.ts";
import { outputMax } from "./recount.ts";
import type { Tabs } from "./tabs.ts";

export interface AttemptLimits {
  /** From dispatch to the first event. */
  readonly startMsMax: Millis;
  /** From the start event to the first output. */
  readonly firstTokenMsMax: Millis;
  /** Between two outputs. */
  readonly gapMsMax: Millis;
  /** From a cancel to the node's receipt. */
  readonly cancelMsMax: Millis;
  readonly outputBytesMax: number;
}

export interface AttemptWorld {
  readonly links: NodeLinks;
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly tokens: TokenCounter;
  readonly tabs: Tabs;
  readonly deployment: Deployment;
  readonly log: Log;
  readonly limits: AttemptLimits;
}

/** What of the request the node's claims are held against. */
export interface AttemptTerms {
  readonly inputTokensMax: Tokens;
  /** Embeddings that were asked for; 0 for generation. */
  readonly vectors: number;
}

export type OutputEvent = Extract<AttemptEvent, { type: "delta" | "embedding" }>;

export interface AttemptEnd {
  readonly record: AttemptRecord;
  readonly receiptHash: Hash;
  readonly finishReason: FinishReason;
}

/** Why an attempt ended without a receipt that counts; stands in the journal as its cause. */
export class AttemptFailed extends TidelaneError {
  readonly outcome: Outcome;

  constructor(cause: string, outcome: Outcome, detail: string, underlying?: unknown) {
    super(detail, { code: cause, retryable: true, cause: underlying });
    this.name = "AttemptFailed";
    this.outcome = outcome;
  }
}

/** What a node says that cannot see the payer's lock: while the chain is away, only one that saw it lately works for it. */
export const BLIND = "chain_unreachable";

const UNANSWERED = "cancel_unanswered";
const WITHDRAWN = "withdrawn";
/** Given up after it was stopped from this end: not the node's fault. */
const STOPPED: Readonly<Record<string, string>> = { [UNANSWERED]: "The node did not answer a cancel.", [WITHDRAWN]: "The task could not be journaled." };

const REFUSALS: Readonly<Record<number, string>> = {
  [RefusalReason.FULL]: "refused_full", [RefusalReason.DRAINING]: "refused_draining", [RefusalReason.MODEL]: "refused_model",
  [RefusalReason.UNPAID]: "refused_unpaid", [RefusalReason.INPUT]: "refused_input", [RefusalReason.UNACKED]: "refused_unacked",
  [RefusalReason.ASSIGNMENT]: "refused_assignment",
};

const refusalOutcome = (reason: number): Outcome => (
  reason === RefusalReason.FULL || reason === RefusalReason.DRAINING ? "refused_full"
    : reason === RefusalReason.INPUT || reason === RefusalReason.UNPAID || reason === RefusalReason.ASSIGNMENT ? "rejected" : "refused");

export class Attempt {
  readonly #world: AttemptWorld;
  readonly #choice: Choice;
  readonly #request: AttemptRequest;
  readonly #assignmentHash: Hash;
  readonly #terms: AttemptTerms;
  readonly #vectors = new Set<number>();
  readonly #stopListening = new AbortController();
  readonly #dispatchedMs: Millis;
  readonly #watch: Watchdog;
  readonly #chunks: Buffer[] = [];
  #text: string | null = "";
  #outputBytes = 0;
  #hasDelivered = false;
  #announcedTokens: Tokens = 0;
  #startedTokens: Tokens | null = null;
  #cancelledFor: Cancel["reason"] | null = null;
  #cancelDueMs: Millis = Infinity;
  /** Since the last event that was worth waiting for: a node that sends empty ones is as good as silent. */
  #waitedMs: Millis = 0;
  /** Set when this end gives up; then nothing that the node still says counts. */
  #gaveUp: AttemptFailed | null = null;

  constructor(world: AttemptWorld, choice: Choice, request: AttemptRequest, assignmentHash: Hash, terms: AttemptTerms) {
    this.#world = world;
    this.#choice = choice;
    this.#request = request;
    this.#assignmentHash = assignmentHash;
    this.#terms = terms;
    this.#dispatchedMs = world.clock.monotonicMs();
    this.#watch = new Watchdog(world.clock, (reason) => this.#giveUp(reason));
  }

  get hasDelivered(): boolean {
    return this.#hasDelivered;
  }

  get deliveredTokens(): Tokens {
    return this.#announcedTokens;
  }

  /** The first reason for which the node was asked to stop, or null. */
  get cancelledFor(): Cancel["reason"] | null {
    return this.#cancelledFor;
  }

  /**
   * Sends the assignment and passes the output on as it comes.
   * @param client aborts when the client has gone: the node is cancelled, and the events go on until its receipt is here.
   * @returns the checked end. @throws AttemptFailed
   */
  async *run(client: AbortSignal): AsyncGenerator<OutputEvent, AttemptEnd> {
    const onClientGone = (): void => this.#cancel("client");
    client.addEventListener("abort", onClientGone, { once: true });
    let isOver = true;
    const over = new AbortController();
    void this.#keepDeadline(over.signal);
    const events = this.#world.links.attempt(this.#choice.nodeId, this.#request, this.#stopListening.signal)[Symbol.asyncIterator]();
    try {
      if (client.aborted) throw new AttemptFailed("client_gone", "unsent", "The client has gone before the assignment was sent.");
      for (;;) {
        this.#expectNext();
        isOver = true;
        const askedMs = this.#world.clock.monotonicMs();
        const next = await events.next();
        this.#watch.rest();
        this.#waitedMs += this.#world.clock.monotonicMs() - askedMs;
        if (this.#gaveUp) throw this.#gaveUp;
        if (next.done) throw new AttemptFailed("no_receipt", "failed", "The node ended its answer without a receipt.");
        const event = next.value;
        if (event.type === "end") return await this.#checkedEnd(event);
        if (event.type === "refusal") throw await this.#refusal(event);
        if (event.type === "failed") throw this.#failed(event.code);
        if (event.type === "start") this.#start(event.inputTokens);
        else if (this.#take(event)) {
          isOver = false;
          this.#waitedMs = 0;
          this.#hasDelivered = true;
          yield event;
        }
      }
    } catch (error) {
      throw this.#failureOf(error);
    } finally {
      // The reader has left in the middle: nobody wants the rest.
      if (!isOver && !this.#gaveUp) this.#tellToStop("relayer");
      this.#watch.stop();
      over.abort();
      client.removeEventListener("abort", onClientGone);
      await events.return?.(undefined).catch(() => {});
    }
  }

  /** The task could not be journaled: the node is told to stop, and nothing that it says counts. */
  withdraw(): void {
    this.#giveUp(WITHDRAWN);
  }

  /** Only the time is counted in which the node is waited for: a client that reads slowly is not the node's fault. */
  #expectNext(): void {
    const { limits } = this.#world;
    if (this.#cancelledFor) this.#watch.expect(this.#cancelDueMs - this.#world.clock.monotonicMs(), UNANSWERED);
    else if (this.#startedTokens === null) this.#watch.expect(limits.startMsMax - this.#waitedMs, "no_answer");
    else this.#watch.expect((this.#outputBytes === 0 ? limits.firstTokenMsMax : limits.gapMsMax) - this.#waitedMs, "stalled");
  }

  async #keepDeadline(over: AbortSignal): Promise<void> {
    const { clock } = this.#world;
    await clock.sleep(Math.max(0, this.#request.assignment.deadline * 1_000 - clock.nowMs()), over);
    if (!over.aborted) this.#cancel("deadline");
  }

  #start(inputTokens: Tokens): void {
    if (this.#startedTokens !== null) throw broken("it started twice");
    this.#startedTokens = inputTokens;
    this.#waitedMs = 0;
  }

  /** A node that was told to stop before its engine had begun has nothing to sign for: that is no fault. */
  #failed(code: string): AttemptFailed {
    if (this.#startedTokens === null && code === BLIND) return new AttemptFailed(BLIND, "refused", "The node cannot reach the chain to see what pays it.");
    if (this.#cancelledFor === null) return new AttemptFailed("engine_failed", "failed", `The node's engine failed (${code}).`);
    const isLate = this.#cancelledFor === "deadline";
    return new AttemptFailed(isLate ? "deadline_exceeded" : "client_gone", "cancelled", isLate ? "The order's deadline passed before the answer began." : "The client has gone before the answer began.");
  }

  /** @returns true where there is something to pass on. */
  #take(event: OutputEvent): boolean {
    if (this.#startedTokens === null) throw broken("output came before the start");
    if (this.#outputBytes === 0 && this.#announcedTokens === 0) this.#choice.booking.firstToken(this.#world.clock.monotonicMs() - this.#dispatchedMs);
    if (event.type === "delta" && event.extra !== undefined && !isJsonObject(event.extra)) throw broken("further members of a delta are no JSON object");
    const bytes = event.type === "delta" ? Buffer.from(event.text + (event.extra ?? ""), "utf8") : Buffer.from(event.vector, "base64");
    this.#chunks.push(bytes);
    this.#outputBytes += bytes.length;
    this.#announcedTokens += event.type === "delta" ? event.tokens : 0;
    if (this.#outputBytes > this.#world.limits.outputBytesMax) throw broken(`more than ${this.#world.limits.outputBytesMax} bytes of output`);
    if (this.#announcedTokens > this.#request.covered.order.maxOutTokens + HIDDEN_OUTPUT_TOKENS_MAX) throw broken("more output than was ordered");
    if (event.type === "embedding") this.#vectors.add(event.index);
    if (event.type === "embedding" || event.extra !== undefined) this.#text = null;
    else if (this.#text !== null) this.#text += event.text;
    this.#choice.booking.progress(this.#announcedTokens);
    return event.type === "embedding" || event.text !== "" || event.extra !== undefined;
  }

  async #checkedEnd(event: Extract<AttemptEvent, { type: "end" }>): Promise<AttemptEnd> {
    const { crypto, deployment, tabs, log } = this.#world;
    const { covered, assignment, assignmentSignature } = this.#request;
    const record: AttemptRecord = { ...covered, assignment, assignmentSignature, receipt: event.receipt, receiptSignature: event.signature };
    const receiptHash = hashStruct("TaskReceipt", event.receipt, crypto.keccak256);
    const found = await checkReceipt(record, this.#choice.hotKey, deployment.domain, crypto.recover, crypto.keccak256);
    found.push(...this.#claimsBeyondDelivery(record));
    // The tab changes only for a receipt that holds in all else.
    const misfit = found.length > 0 ? null : this.#abortedOrMisfit(record, () => tabs.accept({ receipt: event.receipt, signature: event.signature }, receiptHash));
    if (misfit) found.push(misfit);
    if (found.length === 0) return { record, receiptHash, finishReason: event.finishReason };
    log.warn({ nodeId: this.#choice.nodeId, assignmentHash: this.#assignmentHash, found }, "a node's receipt was refused");
    const isAborted = event.receipt.body.status === Status.ABORTED;
    throw new AttemptFailed(isAborted ? "node_aborted" : "bad_receipt", "failed", `The node's receipt does not hold: ${found.join("; ")}.`);
  }

  /** Until a task can go on elsewhere, half an answer through the node's fault is worth nothing to the client, so it is not paid. */
  #abortedOrMisfit(record: AttemptRecord, accept: () => string | null): string | null {
    return record.receipt.body.status === Status.ABORTED ? "the node aborted the attempt" : accept();
  }

  #claimsBeyondDelivery(record: AttemptRecord): string[] {
    const { body } = record.receipt;
    const found: string[] = [];
    // A node may claim less than it announced: engines over HTTP count at the end, so the start is what it can be at most.
    if (body.inputTokens > (this.#startedTokens ?? 0)) found.push(`${body.inputTokens} input tokens exceed the ${this.#startedTokens} of the start`);
    if (body.inputTokens > this.#terms.inputTokensMax) found.push(`${body.inputTokens} input tokens are claimed; the request can be ${this.#terms.inputTokensMax} at most`);
    const most = this.#request.input.kind === "embeddings" ? 0
      : outputMax({ text: this.#text, bytes: this.#outputBytes, announcedTokens: this.#announcedTokens }, this.#choice.model.tokenizer, this.#world.tokens);
    if (this.#request.input.kind === "embeddings" && body.status === Status.COMPLETE && !this.#hasAllVectors()) found.push(`the ${this.#terms.vectors} vectors are not all there`);
    if (body.outputTokens > most) found.push(`${body.outputTokens} output tokens are claimed; what was delivered can be ${most} at most`);
    if (body.outputCommit !== this.#outputCommit()) found.push("the output's commitment is not that of what was delivered");
    if (body.status === Status.CANCELLED && this.#cancelledFor === null) found.push("nobody cancelled the attempt");
    return found;
  }

  /** One for each input, in any order, each of the model's dimensions. */
  #hasAllVectors(): boolean {
    const expected = this.#terms.vectors;
    return this.#vectors.size === expected && this.#chunks.length === expected && [...this.#vectors].every((index) => index < expected)
      && this.#chunks.every((chunk) => chunk.length === 4 * this.#choice.model.dimensions);
  }

  #outputCommit(): Hash {
    const salt = outputSalt(this.#request.input.salt, this.#assignmentHash);
    return this.#world.crypto.keccak256(`${salt}${Buffer.concat(this.#chunks).toString("hex")}`);
  }

  async #refusal(event: Extract<AttemptEvent, { type: "refusal" }>): Promise<AttemptFailed> {
    const { refusal } = event;
    const { crypto, deployment } = this.#world;
    const isGenuine = refusal.assignmentHash === this.#assignmentHash && refusal.nodeId === this.#choice.nodeId
      && await crypto.recover(digest(deployment.domain, "Refusal", refusal, crypto.keccak256), event.signature) === this.#choice.hotKey;
    const reason = REFUSALS[refusal.reason];
    if (!isGenuine || reason === undefined) return new AttemptFailed("unsigned_refusal", "failed", "The node refused without a valid signature.");
    return new AttemptFailed(reason, refusalOutcome(refusal.reason), `The node refused the assignment (${reason}).`);
  }

  /** The first reason stands. The node's receipt still comes on the stream. */
  #cancel(reason: Cancel["reason"]): void {
    if (this.#cancelledFor || this.#gaveUp) return;
    this.#cancelledFor = reason;
    this.#cancelDueMs = this.#world.clock.monotonicMs() + this.#world.limits.cancelMsMax;
    if (this.#watch.isWaiting) this.#expectNext();
    this.#tellToStop(reason);
  }

  #giveUp(cause: string): void {
    if (this.#gaveUp) return;
    this.#gaveUp = new AttemptFailed(cause, cause in STOPPED ? "cancelled" : "failed", STOPPED[cause] ?? `The node stopped answering (${cause}).`);
    if (cause !== UNANSWERED) this.#tellToStop("relayer");
    this.#stopListening.abort();
  }

  #tellToStop(reason: Cancel["reason"]): void {
    this.#world.links.cancel(this.#choice.nodeId, { assignmentHash: this.#assignmentHash, reason }).catch((error: Error) => {
      this.#world.log.debug({ nodeId: this.#choice.nodeId, error: error.message }, "a cancel did not reach the node");
    });
  }

  #failureOf(error: unknown): AttemptFailed {
    if (this.#gaveUp) return this.#gaveUp;
    if (error instanceof AttemptFailed) {
      // What broke the contract may still be working: it should stop.
      if (error.code === "node_protocol_error") this.#tellToStop("relayer");
      return error;
    }
    if (error instanceof TidelaneError) return new AttemptFailed(error.code, "failed", error.message, error);
    throw error;
  }
}

const broken = (how: string): AttemptFailed => new AttemptFailed("node_protocol_error", "failed", `The node broke the link protocol: ${how}.`);

function isJsonObject(text: string): boolean {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null && !Array.isArray(json);
  } catch {
    return false;
  }
}
