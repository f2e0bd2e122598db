// Opens the published batches: checks that they are what the chain holds, and takes tasks and decisions out of them.
import { bytesToHex, keccak256 } from "viem/utils";
import { batchDataFromBytes, type BatchDataTask } from "../../protocol/batchData.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { recordsOf, treesOf } from "../../relayer/settlement/batch.ts";
import { epochAt } from "../../relayer/routing/seeds.ts";
import { assignmentOf, decisionFromText, linkFindings, type PublishedDecision } from "./decisions.ts";
import type { BatchEvidence, Evidence, ReplayScope } from "./evidence.ts";
import type { Journal } from "./journal.ts";
import type { Hash, Seconds } from "../../protocol/units.ts";

export interface OpenedTask {
  readonly batchId: bigint;
  readonly task: BatchDataTask;
  readonly isJudged: boolean;
}

export interface OpenedBatches {
  readonly tasks: readonly OpenedTask[];
  readonly decisions: readonly PublishedDecision[];
  /** Each session's mode: by the payer's signed authorization where a record holds it, else by what its decisions say. */
  readonly modes: ReadonlyMap<Hash, number>;
  /** Up to here all is published that the batches publish. */
  readonly publishedUntil: Seconds;
}

export function openBatches(evidence: Evidence, journal: Journal): OpenedBatches {
  const tasks: OpenedTask[] = [];
  const decisions: PublishedDecision[] = [];
  let publishedUntil: Seconds = 0;
  for (const batch of evidence.batches) {
    const opened = openBatch(batch, evidence, journal);
    if (!opened) continue;
    publishedUntil = Math.max(publishedUntil, batch.header.periodEnd);
    for (const task of opened) {
      const found = decisionsOf(batch.batchId, task, evidence, journal);
      decisions.push(...found);
      tasks.push({ batchId: batch.batchId, task, isJudged: isTaskJudged(batch.batchId, task, found, evidence) });
    }
  }
  return { tasks, decisions, modes: modesOf(decisions), publishedUntil };
}

/** @returns the batch's tasks, or null where its data cannot be relied on; the journal is told why */
function openBatch(batch: BatchEvidence, { relayerId }: Evidence, journal: Journal): readonly BatchDataTask[] | null {
  const { batchId, header, data } = batch;
  const wrong = (detail: string): null => journal.find("data", detail, { batchId });
  if (batch.storedHash === null || hashStruct("BatchHeader", header) !== batch.storedHash) return wrong(`the header of batch ${batchId} is not the one that the chain stores`);
  if (header.relayerId !== relayerId || header.batchId !== batchId) return wrong(`the header is another batch's than ${batchId} of relayer ${relayerId}`);
  if (data === null) return journal.leave("data", `the data of batch ${batchId} is not served: challenge the relayer to show it`);
  if (keccak256(bytesToHex(data)) !== header.dataHash) return wrong(`the data of batch ${batchId} does not hash to the dataHash on chain`);
  try {
    const opened = batchDataFromBytes(data);
    if (opened.relayerId !== relayerId || opened.batchId !== batchId) return wrong(`the data behind batch ${batchId} is another batch's`);
    const trees = treesOf(recordsOf(opened.tasks), keccak256);
    if (trees.session.root.hash !== header.sessionRoot || trees.tab.root.hash !== header.tabRoot) return wrong(`the records in the data of batch ${batchId} are not the leaves under its roots`);
    return opened.tasks;
  } catch (error) {
    return wrong(`the data of batch ${batchId} cannot be read: ${(error as Error).message}`);
  }
}

/** Each attempt's decision; what is no decision, or not the one that its assignment names, is a finding and not replayed. */
function decisionsOf(batchId: bigint, task: BatchDataTask, { scope }: Evidence, journal: Journal): PublishedDecision[] {
  return task.attempts.flatMap((published, i): PublishedDecision[] => {
    const place = { batchId, taskId: task.taskId, attempt: i };
    try {
      const assignment = assignmentOf(published);
      const decision = decisionFromText(published.decision);
      const isJudged = scope.kind === "batch" ? batchId === scope.batchId : decision.epoch === scope.epoch;
      const found = linkFindings(task, published, assignment, decision);
      // A decision of another epoch is another replay's business, whatever is wrong with it.
      if (isJudged) for (const detail of found) journal.find("hash", detail, { ...place, attempt: assignment.attempt });
      return found.length > 0 ? [] : [{ batchId, task, published, assignment, decision, isJudged }];
    } catch (error) {
      journal.find("hash", `the attempt's decision or assignment cannot be read: ${(error as Error).message}`, place);
      return [];
    }
  });
}

function isTaskJudged(batchId: bigint, task: BatchDataTask, decisions: readonly PublishedDecision[], { scope, epochSeconds }: { scope: ReplayScope; epochSeconds: Seconds }): boolean {
  if (scope.kind === "batch") return batchId === scope.batchId;
  return decisions.some((one) => one.isJudged) || epochAt(task.openedAtMs, epochSeconds) === scope.epoch;
}

function modesOf(decisions: readonly PublishedDecision[]): Map<Hash, number> {
  const claimed = decisions.map(({ task, decision }): [Hash, number] => [task.order.sessionId, decision.mode]);
  const signed = decisions.flatMap(({ task, published }): [Hash, number][] => (published.signed ? [[task.order.sessionId, published.signed.record.authorization.mode]] : []));
  return new Map([...claimed, ...signed]);
}
