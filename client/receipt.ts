// What an order came to, judged by the payer itself: the records that the relayer hands out, against the order that was
// signed, the keys that the chain names, and the answer that arrived.
import { checkRecord, leafOf, type RecordKeys } from "../protocol/records.ts";
import { inputTokensMax, outputTokensMax } from "../protocol/bounds.ts";
import { Status } from "../protocol/constants.ts";
import { hashStruct } from "../protocol/typedData.ts";
import { isCommitted } from "./delivered.ts";
import type { PricedRequest } from "./quote.ts";
import type { TaskOrder } from "../protocol/generated/structs.ts";
import type { SignedAttemptView, TaskView } from "../protocol/taskView.ts";
import type { Hash, TokenAmount, Tokens } from "../protocol/units.ts";

/** An order of this process, with what only the payer knows of it. */
export interface SentOrder {
  readonly order: TaskOrder;
  readonly promptSalt: Hash;
  readonly request: PricedRequest;
  /** The output as it was delivered, to its end; null where it broke off or cannot be told from the answer. */
  readonly output: Uint8Array | null;
}

export interface TaskOutcome {
  readonly taskId: Hash;
  readonly state: "finished" | "failed";
  /** Nodes that signed for a part of it. */
  readonly nodes: readonly number[];
  readonly inputTokens: Tokens;
  readonly outputTokens: Tokens;
  /** The nodes' fees, and the payer's whole charge. */
  readonly fee: TokenAmount;
  readonly charge: TokenAmount;
  /** Whether the node committed to exactly the answer that arrived; null where that cannot be told (tools, several attempts, a cut). */
  readonly answerMatches: boolean | null;
  /** What does not hold, one sentence each; empty where all does. */
  readonly findings: readonly string[];
}

/**
 * Judges an ended task.
 * @param sent null where the order was sent by an earlier process: its text is gone, so tokens and answer are not compared.
 */
export async function judge(taskId: Hash, maxFee: TokenAmount, view: TaskView, keys: RecordKeys, sent: SentOrder | null): Promise<TaskOutcome> {
  const findings: string[] = [];
  if (view.taskId !== taskId) findings.push(`the relayer answered with the receipt of ${view.taskId}`);
  let [fee, charge, inputTokens, outputTokens] = [0n, 0n, 0, 0];
  for (const { record } of view.attempts) {
    const leaf = leafOf(record);
    fee += leaf.fee;
    charge += leaf.charge;
    inputTokens += record.receipt.body.status === Status.ABORTED ? 0 : record.receipt.body.inputTokens;
    outputTokens += record.receipt.body.outputTokens;
    if (hashStruct("TaskOrder", record.order) !== taskId) findings.push("a record is for another order");
    findings.push(...await checkRecord(record, keys));
    if (sent) findings.push(...boundFindings(sent.request, record.receipt.body.inputTokens));
  }
  if (charge > maxFee) findings.push(`the charges of ${charge} exceed the order's maxFee ${maxFee}`);
  const answerMatches = sent && matches(view.attempts, sent);
  if (sent?.output && view.attempts.length === 1 && outputTokens > outputBound(sent)) {
    findings.push(`${outputTokens} output tokens were signed for an answer of ${sent.output.length} bytes`);
  }
  return {
    taskId, state: view.state === "finished" ? "finished" : "failed", nodes: [...new Set(view.attempts.map(({ record }) => record.receipt.nodeId))],
    inputTokens, outputTokens, fee, charge, answerMatches, findings,
  };
}

function boundFindings(request: PricedRequest, inputTokens: Tokens): string[] {
  const most = inputTokensMax(request.bodyBytes, request.parts);
  return request.isPlainText && inputTokens > most ? [`${inputTokens} input tokens were signed for a request of ${request.bodyBytes} bytes`] : [];
}

/** Embeddings put out vectors, not tokens; there the signed maximum of the order is the bound. */
const outputBound = (sent: SentOrder): Tokens =>
  (sent.request.kind === "embeddings" ? sent.order.maxOutTokens : outputTokensMax(sent.output!.length + sent.request.stopBytesMax));

/** Comparable is one complete attempt of a whole task, whose answer was read to its end. */
function matches(attempts: readonly SignedAttemptView[], sent: SentOrder): boolean | null {
  const only = attempts[0]?.record;
  if (attempts.length !== 1 || !only || only.assignment.subtasks !== 1 || only.receipt.body.status !== Status.COMPLETE || !sent.output) return null;
  if (only.assignment.inputCommit !== sent.order.promptCommit) return null;
  return isCommitted(sent.output, sent.promptSalt, hashStruct("Assignment", only.assignment), only.receipt.body.outputCommit);
}
