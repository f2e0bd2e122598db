// From an admitted attempt to its end: the engine's events go out paced, the output is committed to, and the tab signs for
// what was delivered. What was not delivered is not owed.
import { feeOf } from "../../protocol/fees.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { outputSalt, saltedCommit } from "../../protocol/ids.ts";
import { Status, type StatusValue } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { checkPaysInput, type Admitted } from "./admission.ts";
import { ATTEMPT_BYTES_MAX } from "./attempts.ts";
import type { Pace } from "../gauge/pace.ts";
import type { AttemptRequest, FinishReason } from "../../protocol/link.ts";
import type { Clock, EngineEvent } from "../ports.ts";
import type { Attempt } from "./attempt.ts";
import type { SignedReceipt, Tab } from "./tab.ts";
import type { Hex, Seconds, Tokens } from "../../protocol/units.ts";

export interface WorkWorld {
  readonly clock: Clock;
  readonly pace: Pace;
}

/** What was produced, counted as it was delivered. */
interface Delivered {
  started: boolean;
  inputTokens: Tokens;
  outputTokens: Tokens;
  readonly output: Uint8Array[];
  finishReason: FinishReason | null;
}

/**
 * Runs the engine and hands its events to the attempt.
 * @returns the signed receipt and how it ended.
 * @throws TidelaneError where nothing was delivered: then nothing is signed and nothing owed. RefusedError where the share does not pay the input.
 */
export async function work(world: WorkWorld, request: AttemptRequest, admitted: Admitted, attempt: Attempt, tab: Tab): Promise<SignedReceipt & { finishReason: FinishReason }> {
  const startedAt = secondsOf(world.clock);
  const delivered: Delivered = { started: false, inputTokens: 0, outputTokens: 0, output: [], finishReason: null };
  const failure = await deliver(world, request, admitted, attempt, delivered).then(() => null, (error: unknown) => error);
  const status = statusOf(delivered, attempt, failure);
  if (status === null) throw failure ?? new TidelaneError("The attempt was stopped before the engine had begun: nothing is owed.", { code: "cancelled" });
  const signed = await tab.sign(request, bodyOf(request, delivered, status, startedAt, Math.max(startedAt, secondsOf(world.clock))));
  return { ...signed, finishReason: delivered.finishReason ?? (status === Status.CANCELLED ? "cancelled" : "error") };
}

async function deliver(world: WorkWorld, request: AttemptRequest, admitted: Admitted, attempt: Attempt, delivered: Delivered): Promise<void> {
  const { model, body, maxOutTokens } = admitted;
  for await (const event of model.engine.run({ kind: request.input.kind, body, maxOutTokens }, attempt.signal)) {
    if (event.type === "delta") await waitPace(world, attempt, event.tokens);
    // What was waited for too long is not delivered: the attempt's readers have been told its end by then.
    if (attempt.signal.aborted) return;
    // The engine is the first to know how much the input is; what its share does not pay is not begun.
    if (event.type === "start") checkPaysInput(request, event.inputTokens);
    take(event, delivered, attempt, request.covered.order.maxOutTokens);
    if (attempt.bytes > ATTEMPT_BYTES_MAX) attempt.stop("overflow");
  }
}

async function waitPace(world: WorkWorld, attempt: Attempt, tokens: Tokens): Promise<void> {
  const waitMs = world.pace.waitMs(tokens, world.clock.monotonicMs());
  if (waitMs > 0) await world.clock.sleep(waitMs, attempt.signal);
}

function take(event: EngineEvent, delivered: Delivered, attempt: Attempt, outTokensMax: Tokens): void {
  if (event.type === "start") {
    Object.assign(delivered, { started: true, inputTokens: event.inputTokens });
    attempt.push({ type: "start", inputTokens: event.inputTokensMax ?? event.inputTokens });
  } else if (event.type === "delta") {
    const text = event.text.toWellFormed();
    delivered.output.push(Buffer.from(text + (event.extra ?? ""), "utf8"));
    delivered.outputTokens = Math.min(outTokensMax, delivered.outputTokens + event.tokens);
    attempt.push({ ...event, text });
  } else if (event.type === "embedding") {
    const bytes = Buffer.from(event.vector.buffer, event.vector.byteOffset, event.vector.byteLength);
    delivered.output.push(bytes);
    attempt.push({ type: "embedding", index: event.index, vector: bytes.toString("base64") });
  } else {
    // The engine's own counts at the end are exact where those of single deltas were not.
    Object.assign(delivered, { inputTokens: event.inputTokens, outputTokens: Math.min(outTokensMax, event.outputTokens), finishReason: event.finishReason });
  }
}

/** @returns null where nothing is owed. */
function statusOf(delivered: Delivered, attempt: Attempt, failure: unknown): StatusValue | null {
  if (delivered.finishReason !== null) return Status.COMPLETE;
  if (!delivered.started) return null;
  const ownFault = failure !== null || attempt.stopReason === "drain" || attempt.stopReason === "overflow" || attempt.stopReason === null;
  if (!ownFault) return Status.CANCELLED;
  return delivered.outputTokens > 0 ? Status.ABORTED : null;
}

function bodyOf(request: AttemptRequest, delivered: Delivered, status: StatusValue, startedAt: Seconds, finishedAt: Seconds) {
  const { assignment, input, covered } = request;
  const assignmentHash = hashStruct("Assignment", assignment);
  // An aborted attempt is the node's fault: its input is not paid.
  const inputTokens = status === Status.ABORTED ? 0 : delivered.inputTokens;
  const outputTokens = input.kind === "embeddings" ? 0 : delivered.outputTokens;
  const bytes: Hex = `0x${Buffer.concat(delivered.output).toString("hex")}`;
  return {
    assignmentHash, sessionId: covered.order.sessionId, taskId: assignment.taskId, subtask: assignment.subtask, attempt: assignment.attempt, role: assignment.role,
    outputCommit: saltedCommit(outputSalt(input.salt, assignmentHash), bytes),
    inputTokens, outputTokens, fee: feeOf(inputTokens, outputTokens, assignment).fee, startedAt, finishedAt, status,
  };
}

const secondsOf = (clock: Clock): Seconds => Math.floor(clock.nowMs() / 1_000);
