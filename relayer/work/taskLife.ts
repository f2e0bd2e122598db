// The life of one covered task: assigned to a node, streamed, checked, journaled, charged, acked.
//
//   choose ─▶ assign ─▶ attempt ─▶ receipt checked ─▶ journaled ─▶ charged ─▶ acked ─▶ the client sees the end
//     ▲                    │ nothing delivered yet, at most ATTEMPTS_MAX
//     └──── with a cause ──┘
//
// The reservation becomes a charge in one place only, right after the receipt is durable, and is released on every other path.
// The first attempt may go ahead of the task's row (headStart.ts); whoever reads the events holds the first one back until the row
// is durable, and so does this before it journals an end or makes another attempt.
// An answer that breaks off in the middle ends with a typed error and costs nothing; going on elsewhere would begin where
// `interrupted` is thrown.
import { chargeDown } from "../../protocol/fees.ts";
import { Status, Tier, type TierValue } from "../../protocol/constants.ts";
import { waitMsMaxOf } from "../lobby/targets.ts";
import { digest } from "../../protocol/typedData.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Cost } from "../../protocol/payment.ts";
import type { FinishReason, SignedAck } from "../../protocol/link.ts";
import type { Hash, TokenAmount, Tokens } from "../../protocol/units.ts";
import type { Identity, Metrics } from "../ports/world.ts";
import type { EndedAttempt, Journal, SignedAttempt } from "../ports/journal.ts";
import { Attempt, AttemptFailed, BLIND, type AttemptEnd, type AttemptWorld, type OutputEvent } from "./attempt.ts";
import { assignmentToJson, signAssignment, type SignedAssignment } from "./assignment.ts";
import { attemptsFailed, deadlineExceeded, interrupted } from "./taskErrors.ts";
import { marksOf, type PromptMarks } from "./promptMarks.ts";
import { inputTokensMaxOf, type Plan } from "./taskPlan.ts";
import type { Reception } from "./reception.ts";
import type { Waiting } from "./place.ts";
import type { Wish } from "./hall.ts";
import type { Booking, Choice, Outcome } from "./routingRequest.ts";
import type { Cover } from "./cover.ts";

export const ATTEMPTS_MAX = 3;
/**
 * A node that signs that it is full has answered, and may be free a moment later: others send to it too. One that cannot reach the
 * chain says nothing about the next, which may have seen the payer's lock. So many such answers are taken.
 */
const SPARED_MAX = 12;
const FULL = "refused_full";
/** Who pays for priority is entitled to twice as much of a full fleet. */
const PRIORITY_WEIGHT = 0.5;

export interface TaskWorld extends AttemptWorld {
  readonly reception: Pick<Reception, "enter">;
  readonly journal: Pick<Journal, "finishTask">;
  readonly identity: Identity;
  readonly metrics: Metrics;
}

export interface TaskEnd {
  readonly type: "end";
  readonly finishReason: FinishReason;
  readonly inputTokens: Tokens;
  readonly outputTokens: Tokens;
  readonly cost: Cost;
}

/** Waiting comes before any output, of the first attempt or of a further one. */
export type TaskEvent = OutputEvent | TaskEnd | Waiting;

export class TaskLife {
  readonly #world: TaskWorld;
  readonly #plan: Plan;
  readonly #cover: Cover;
  readonly #onOver: () => void;
  readonly #ended: EndedAttempt[] = [];
  /** Nodes that refused the request as such. */
  readonly #rejectedBy: Booking[] = [];
  #isFinished = false;
  #marks: PromptMarks | null = null;
  #nodeId = 0;
  #attempt: Attempt | null = null;
  /** Set when the journal refused the task: then it never was one. */
  #refusal: { readonly error: unknown } | null = null;

  /** @param onOver called once, when nothing is left to do */
  constructor(world: TaskWorld, plan: Plan, cover: Cover, onOver: () => void) {
    this.#world = world;
    this.#plan = plan;
    this.#cover = cover;
    this.#onOver = onOver;
    cover.opened.catch((error: unknown) => {
      this.#refusal = { error };
      this.#attempt?.withdraw();
    });
  }

  /** Of the latest attempt. */
  get nodeId(): number {
    return this.#nodeId;
  }

  /** @throws TidelaneError as Tasks.start and RunningTask.events say. Leaving early abandons the task: nothing is charged. */
  async *run(): AsyncGenerator<TaskEvent> {
    const first = this.#plan.request.firstAttempt ?? 0;
    try {
      for (let attempt = 0, spared = 0, failure: AttemptFailed | null = null; ; attempt++) {
        const earlier: AttemptFailed | null = failure;
        failure = yield* this.#try(first + attempt, earlier);
        if (!failure) return;
        await this.#cover.opened;
        if (this.#isSpared(failure) && spared < SPARED_MAX) spared++;
        if (attempt + 1 - spared >= ATTEMPTS_MAX || isFinal(failure, earlier) || this.#plan.request.signal.aborted) throw attemptsFailed(failure, attempt + 1);
      }
    } finally {
      if (!this.#isFinished) await this.#abandon();
      this.#world.metrics.count("tasks_total", { kind: this.#plan.request.kind, state: this.#isFinished ? "finished" : "failed" });
      this.#onOver();
    }
  }

  /** A task that was tried before has few numbers of attempts left. */
  #isSpared({ code }: AttemptFailed): boolean {
    return code === FULL ? this.#waitsForFull : code === BLIND && this.#plan.request.firstAttempt === undefined;
  }

  /** Who waits anyway waits for a full node too. */
  get #waitsForFull(): boolean {
    return this.#plan.request.firstAttempt === undefined && this.#wish().waitMsMax > 0;
  }

  /** @returns null when the task has ended well, or why another attempt is due. @throws TidelaneError where none may follow. */
  async *#try(number: number, earlier: AttemptFailed | null): AsyncGenerator<TaskEvent, AttemptFailed | null> {
    const choice = yield* this.#choose(number, earlier);
    this.#nodeId = choice.nodeId;
    let outcome: Outcome = "unsent";
    let cause: string | null = "abandoned";
    let signed: SignedAssignment | null = null;
    try {
      signed = await this.#assign(choice, number);
      if (this.#refusal) throw this.#refusal.error;
      const attempt = (this.#attempt = this.#dispatch(choice, signed));
      outcome = "failed";
      try {
        const held: OutputEvent[] = [];
        const outputs = attempt.run(this.#plan.request.signal);
        const end = this.#plan.request.isStreamed ? yield* outputs : await collect(outputs, held);
        const isCancelled = end.record.receipt.body.status === Status.CANCELLED;
        const taskEnd = await this.#finish(choice, signed, end);
        cause = null;
        outcome = isCancelled ? "cancelled" : "completed";
        for (const booking of this.#rejectedBy) booking.contradicted();
        if (isCancelled && attempt.cancelledFor === "deadline" && this.#plan.request.kind === "embeddings") throw deadlineExceeded();
        yield* held;
        // The order's deadline is a limit that the payer set, as max_tokens is.
        yield isCancelled && attempt.cancelledFor === "deadline" ? { ...taskEnd, finishReason: "length" } : taskEnd;
        return null;
      } catch (error) {
        if (!(error instanceof AttemptFailed)) {
          // The node has done its part: what it is not paid for must not cost it its score too.
          if (cause !== null) [cause, outcome] = ["not_journaled", "cancelled"];
          throw error;
        }
        ({ code: cause, outcome } = error);
        if (outcome === "rejected") this.#rejectedBy.push(choice.booking);
        if (this.#plan.request.isStreamed && attempt.hasDelivered) throw interrupted(error, attempt.deliveredTokens);
        return error;
      }
    } finally {
      // The reader left because the journal refused the task: that is not the node's fault.
      if (this.#refusal && outcome === "failed") outcome = "cancelled";
      choice.booking.release(outcome);
      if (signed && cause !== null) this.#ended.push({ ...this.#recordOf(choice, signed), signed: null, cause });
      this.#world.metrics.count("attempts_total", { outcome });
    }
  }

  async *#choose(number: number, earlier: AttemptFailed | null): AsyncGenerator<Waiting, Choice> {
    const { request, model, routed, priceMax } = this.#plan;
    const { authorization, order } = this.#cover.covered;
    try {
      return yield* this.#world.reception.enter({
        taskId: this.#cover.taskId, sessionId: this.#cover.sessionId, nonce: order.nonce, mode: this.#cover.mode, subtask: 0, attempt: number,
        modelId: model.modelId, kind: model.kind, tier: order.tier as TierValue, ...routed,
        maxPriceIn: least(authorization.maxPriceInPerMTok, priceMax?.in), maxPriceOut: least(authorization.maxPriceOutPerMTok, priceMax?.out),
        capabilities: request.capabilities, exclude: this.#ended.filter((one) => !this.#waitsForFull || one.cause !== FULL).map((one) => one.nodeId), cause: earlier?.code ?? (number === 0 ? null : "tried_before"),
        ...(request.conversation === "" ? {} : { conversationKey: `${this.#cover.sessionId}:${request.conversation}`, promptMarks: (this.#marks ??= marksOf(request.prompt.texts)) }),
      }, this.#wish(), request.signal);
    } catch (error) {
      // What went wrong before says more than that nobody is left to ask.
      throw earlier ? attemptsFailed(earlier, number) : error;
    }
  }

  #wish(): Wish {
    const { tier, waitMsMax } = this.#plan.request;
    const { order, authorization } = this.#cover.covered;
    const { clock } = this.#world;
    const orderMs = order.deadline * 1_000 - clock.nowMs();
    return {
      payer: authorization.payer, waitMsMax: waitMsMaxOf(tier, waitMsMax ?? null, orderMs), isDeferrable: tier === Tier.FLEX, weight: tier === Tier.PRIORITY ? PRIORITY_WEIGHT : 1,
      untilMs: clock.monotonicMs() + orderMs,
    };
  }

  #assign(choice: Choice, attempt: number): Promise<SignedAssignment> {
    const { identity, deployment, crypto } = this.#world;
    const terms = { covered: this.#cover.covered, taskId: this.#cover.taskId, inputCommit: this.#cover.inputCommit, kind: this.#plan.request.kind, choice, attempt };
    return signAssignment(terms, identity, deployment, crypto);
  }

  #dispatch(choice: Choice, signed: SignedAssignment): Attempt {
    const { request } = this.#plan;
    return new Attempt(this.#world, choice, {
      covered: this.#cover.covered, assignment: signed.assignment, assignmentSignature: signed.signature,
      input: { kind: request.kind, salt: this.#cover.promptSalt, body: request.text },
    }, signed.hash, { inputTokensMax: inputTokensMaxOf(this.#plan, choice.model.contextTokens), vectors: request.kind === "embeddings" ? request.prompt.texts.length : 0 });
  }

  /** Durable first: journal, then charge, then ack, and only then may the client see the end. */
  async #finish(choice: Choice, signed: SignedAssignment, end: AttemptEnd): Promise<TaskEnd> {
    const { record, receiptHash, finishReason } = end;
    const { fee, inputTokens, outputTokens } = record.receipt.body;
    const charge = chargeDown(fee, record.assignment.feeBps);
    const attempt: SignedAttempt = { record, receiptHash, charge, ack: await this.#ack(receiptHash) };
    await this.#cover.opened;
    await this.#world.journal.finishTask(this.#cover.taskId, "finished", [...this.#ended, { ...this.#recordOf(choice, signed), signed: attempt, cause: null }]).catch(refusedReceipt);
    this.#cover.charged(charge);
    this.#isFinished = true;
    this.#send(choice.nodeId, attempt.ack);
    this.#world.metrics.count("tokens_total", { direction: "in" }, inputTokens);
    this.#world.metrics.count("tokens_total", { direction: "out" }, outputTokens);
    const cost: Cost = { task: this.#cover.taskId, node: choice.nodeId, fee: String(fee), charge: String(charge), receipt: receiptHash };
    return { type: "end", finishReason, inputTokens, outputTokens, cost };
  }

  async #ack(receiptHash: Hash): Promise<SignedAck> {
    const { identity, clock, deployment, crypto } = this.#world;
    const ack = { receiptHash, relayerId: identity.relayerId, relayerEpoch: identity.epoch, ackedAt: Math.floor(clock.nowMs() / 1_000) };
    return { ack, signature: await identity.signer.sign(digest(deployment.domain, "Ack", ack, crypto.keccak256)) };
  }

  /** The client does not wait for it: the link sends it again until the node has taken it. */
  #send(nodeId: number, ack: SignedAck): void {
    const { links, log } = this.#world;
    links.ack(nodeId, [ack]).catch((error: Error) => log.debug({ nodeId, error: error.message }, "an ack did not reach its node"));
  }

  #recordOf(choice: Choice, signed: SignedAssignment): Omit<EndedAttempt, "signed" | "cause"> {
    return { taskId: this.#cover.taskId, assignmentHash: signed.hash, nodeId: choice.nodeId, decision: choice.decision, assignment: assignmentToJson(signed) };
  }

  /** What never was journaled has no end to be journaled. */
  #isOpened(): Promise<boolean> {
    return this.#cover.opened.then(() => true, () => false);
  }

  async #abandon(): Promise<void> {
    try {
      if (await this.#isOpened()) await this.#world.journal.finishTask(this.#cover.taskId, "failed", this.#ended);
    } catch (error) {
      // It stays open in the journal, which ends such tasks by itself after a while; nothing is owed for it.
      this.#world.log.error({ taskId: this.#cover.taskId, error: (error as Error).message }, "a failed task could not be journaled");
    } finally {
      // After the journal, which counts open tasks too: the next order must not be told that this one still runs.
      this.#cover.release();
    }
  }
}

/** What was stopped is not begun again, and two nodes that refuse the request for the same reason are right. */
const isFinal = (failure: AttemptFailed, earlier: AttemptFailed | null): boolean =>
  failure.outcome === "cancelled" || (failure.outcome === "rejected" && earlier?.code === failure.code);

/** Another process took this very receipt, or one of its place in the tab: the node signed twice, and is paid once. */
function refusedReceipt(error: unknown): never {
  if (error instanceof TidelaneError && error.code === "receipt_reused") throw new AttemptFailed("bad_receipt", "failed", error.message, error);
  throw error;
}

async function collect(outputs: AsyncGenerator<OutputEvent, AttemptEnd>, into: OutputEvent[]): Promise<AttemptEnd> {
  for (;;) {
    const next = await outputs.next();
    if (next.done) return next.value;
    into.push(next.value);
  }
}

const least = (signed: TokenAmount, own: TokenAmount | undefined): TokenAmount => (own !== undefined && own < signed ? own : signed);
