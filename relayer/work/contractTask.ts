// A contract's request as a task: covered by the gateway's word, worked on as every other, its output kept for the delivery.
import { outputSalt, saltedCommit, textCommit } from "../../protocol/ids.ts";
import { bodyOfRequest, coveredByGateway } from "../../protocol/requests.ts";
import { Mode, Tier } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import type { CoveredOrder } from "../../protocol/records.ts";
import type { AttemptEvent } from "../../protocol/link.ts";
import type { Address, Hash } from "../../protocol/units.ts";
import type { NodeLinks } from "../ports/nodes.ts";
import type { SeenRequest } from "../ports/readers.ts";
import type { EndedAttempt, Journal, RecordStore } from "../ports/journal.ts";
import type { Cover } from "./cover.ts";
import type { FleetModel } from "./fleet.ts";
import { Tasks, type TasksWorld } from "./tasks.ts";

export interface ContractWorld extends Omit<TasksWorld, "sessions" | "journal"> {
  readonly journal: Pick<Journal, "putSession" | "openTask" | "finishTask">;
  readonly records: Pick<RecordStore, "put">;
  /** InferenceGateway's. */
  readonly gateway: Address;
}

/** One try of the task. */
export interface ContractTry {
  readonly seen: SeenRequest;
  readonly prompt: string;
  readonly model: FleetModel;
  /** Attempts are numbered from here; an earlier try used those below. */
  readonly firstAttempt: number;
  /** What earlier tries of this process came to; those of this one are added. */
  readonly earlier: EndedAttempt[];
  readonly signal: AbortSignal;
}

export interface ContractTask {
  readonly covered: CoveredOrder;
  readonly taskId: Hash;
}

/** The session, order and task that a request stands for. */
export function contractTaskOf({ request }: SeenRequest, gateway: Address): ContractTask {
  const covered = coveredByGateway(request, gateway);
  return { covered, taskId: hashStruct("TaskOrder", covered.order) };
}

/**
 * Resolves when the answer is journaled and its output kept under its receipt's outputCommit.
 * @throws TidelaneError those of Tasks.start; the task stays open, so that it can be tried again.
 */
export async function answerContract(world: ContractWorld, one: ContractTry): Promise<void> {
  const { covered, taskId } = contractTaskOf(one.seen, world.gateway);
  const { maxOutTokens } = one.seen.request;
  const text = bodyOfRequest(one.model.name, one.prompt, maxOutTokens);
  const tasks = new Tasks({
    ...world, links: keepingOutput(world.links, world.records), journal: stayingOpen(world.journal, one.earlier),
    sessions: { cover: () => coverOf(world, covered, taskId, text, one) },
  });
  const { events } = await tasks.start({
    kind: "chat", model: one.model.name, body: new TextEncoder().encode(text), text,
    prompt: { texts: [one.prompt], bytes: Buffer.byteLength(one.prompt), isPlainText: true }, maxOutTokens, capabilities: [], tier: Tier.DEFAULT,
    payment: null, apiKey: null, isStreamed: false, conversation: "", signal: one.signal, firstAttempt: one.firstAttempt,
  });
  for await (const _ of events) { /* Not streamed: everything is journaled before the first event. */ }
}

async function coverOf({ journal, clock }: ContractWorld, covered: CoveredOrder, taskId: Hash, body: string, { seen, model }: ContractTry): Promise<Cover> {
  const { authorization, order } = covered;
  await journal.putSession({ sessionId: seen.requestId, authorization, nextNonce: 0n, charged: 0n, voucher: null });
  await journal.openTask({ taskId, sessionId: seen.requestId, order, kind: "chat", model: model.name, openedAtMs: clock.nowMs() }, null).catch((error: unknown) => {
    // Opened by an earlier try.
    if (!(error instanceof TidelaneError) || error.code !== "order_replayed") throw error;
  });
  return {
    covered, sessionId: seen.requestId, taskId, mode: Mode.REQUEST, modeName: "allowance", promptSalt: seen.requestId,
    // The order commits to the prompt as the contract gave it; the node gets the body that it becomes.
    inputCommit: textCommit(seen.requestId, body),
    opened: Promise.resolve(), exposure: () => 0n, charged: () => {}, release: () => {},
  };
}

/** A try that failed ends nothing: its attempts go into the record with those of the try that succeeds. */
const stayingOpen = (journal: Pick<Journal, "finishTask">, earlier: EndedAttempt[]): Pick<Journal, "finishTask"> => ({
  finishTask: async (taskId, state, attempts) => {
    if (state === "finished") await journal.finishTask(taskId, state, [...earlier, ...attempts]);
    else earlier.push(...attempts);
  },
});

/** Passes every event on, the end only once the output that it commits to is on disk: a crash after the journal loses no answer. */
const keepingOutput = (links: NodeLinks, records: Pick<RecordStore, "put">): NodeLinks => ({
  attempt: (nodeId, request, signal) => kept(links.attempt(nodeId, request, signal), outputSalt(request.input.salt, hashStruct("Assignment", request.assignment)), records),
  cancel: (nodeId, cancel) => links.cancel(nodeId, cancel),
  ack: (nodeId, acks) => links.ack(nodeId, acks),
});

/** Only under its own commitment: a node could name the hash of anything, and write over what this relayer has to publish. */
async function* kept(events: AsyncIterable<AttemptEvent>, salt: Hash, records: Pick<RecordStore, "put">): AsyncGenerator<AttemptEvent> {
  const chunks: Buffer[] = [];
  for await (const event of events) {
    if (event.type === "delta") chunks.push(Buffer.from(event.text + (event.extra ?? ""), "utf8"));
    if (event.type === "end") {
      const output = Buffer.concat(chunks);
      const { outputCommit } = event.receipt.body;
      if (outputCommit === saltedCommit(salt, `0x${output.toString("hex")}`)) await records.put(outputCommit, output);
    }
    yield event;
  }
}
