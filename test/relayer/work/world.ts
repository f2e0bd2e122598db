// A relayer's world in memory for the tests of tasks: a fleet of scripted nodes that sign real receipts, and a payer's cover.
import { outputSalt, saltedCommit } from "../../../protocol/ids.ts";
import { feeOf } from "../../../protocol/fees.ts";
import { Mode, Status } from "../../../protocol/constants.ts";
import { TIDE_ONE } from "../../../protocol/tide.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { signStruct, type DigestSigner } from "../../../protocol/signing.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { ZERO_HASH, type Hash, type Hex } from "../../../protocol/units.ts";
import { modelIdOf } from "../../../protocol/ids.ts";
import { createNativeCrypto } from "../../../relayer/adapters/crypto.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { noMetrics } from "../../../relayer/adapters/metrics.ts";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import { tokenCounter } from "../../../relayer/adapters/tokens.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { Tabs } from "../../../relayer/work/tabs.ts";
import type { AttemptLimits } from "../../../relayer/work/attempt.ts";
import { Tasks, type TasksWorld } from "../../../relayer/work/tasks.ts";
import type { AttemptEvent, AttemptRequest, Cancel, FinishReason, SignedAck } from "../../../protocol/link.ts";
import type { CoveredOrder } from "../../../protocol/records.ts";
import type { TaskReceipt } from "../../../protocol/generated/structs.ts";
import { unavailableError } from "../../../relayer/work/taskErrors.ts";
import type { Waiting } from "../../../relayer/work/place.ts";
import type { FleetModel } from "../../../relayer/work/fleet.ts";
import type { ChooseRequest, Choice, Outcome, Unavailable } from "../../../relayer/work/routingRequest.ts";
import type { TaskRequest } from "../../../relayer/work/taskPlan.ts";
import type { Cover, CoverRequest } from "../../../relayer/work/cover.ts";
import type { Deployment } from "../../../relayer/ports/chain.ts";
import { domain, honestRecord, node as nodeSigner, relayer as relayerSigner } from "../../protocol/honest.ts";

export const model: FleetModel = {
  name: "tidelane/test@q8_0", modelId: modelIdOf("tidelane/test@q8_0"), aliases: ["test"], kind: "generate", contextTokens: 1_000, dimensions: 0,
  base: { priceInPerMTok: 1_000_000n, priceOutPerMTok: 2_000_000n }, tideMultiplier: TIDE_ONE, nodes: 3, tokenizer: "", capabilities: ["tools"],
};
export const embedder: FleetModel = { ...model, name: "tidelane/embed@f32", modelId: modelIdOf("tidelane/embed@f32"), aliases: ["embed"], kind: "embed", dimensions: 2, capabilities: [] };

/** What a scripted node does with an attempt. */
export type Script = (attempt: ScriptedAttempt) => AsyncGenerator<AttemptEvent>;

export class ScriptedNode {
  readonly nodeId: number;
  readonly signer: DigestSigner;
  script: Script;
  cumulative = 0n;
  seq = 1n << 20n;
  lastHash: Hash = ZERO_HASH;

  constructor(nodeId: number, script: Script, signer: DigestSigner = nodeSigner) {
    this.nodeId = nodeId;
    this.script = script;
    this.signer = signer;
  }
}

export class ScriptedAttempt {
  readonly node: ScriptedNode;
  readonly request: AttemptRequest;
  readonly cancelled: Promise<Cancel["reason"]>;
  readonly unheard: AbortSignal;
  /** Bytes of what was sent, for the commitment. */
  bytes: Buffer = Buffer.alloc(0);
  tokens = 0;

  constructor(node: ScriptedNode, request: AttemptRequest, cancelled: Promise<Cancel["reason"]>, unheard: AbortSignal) {
    this.node = node;
    this.request = request;
    this.cancelled = cancelled;
    this.unheard = unheard;
  }

  get assignmentHash(): Hash {
    return hashStruct("Assignment", this.request.assignment);
  }

  delta(text: string, tokens = 1): AttemptEvent {
    this.bytes = Buffer.concat([this.bytes, Buffer.from(text)]);
    this.tokens += tokens;
    return { type: "delta", text, tokens };
  }

  embedding(index: number, values: readonly number[]): AttemptEvent {
    const vector = Buffer.from(new Float32Array(values).buffer);
    this.bytes = Buffer.concat([this.bytes, vector]);
    return { type: "embedding", index, vector: vector.toString("base64") };
  }

  /** The honest end, unless it is bent. */
  async end(bend: { body?: Partial<TaskReceipt["body"]>; receipt?: Partial<TaskReceipt>; signer?: DigestSigner; finishReason?: FinishReason } = {}): Promise<AttemptEvent> {
    const { assignment, covered, input } = this.request;
    const inputTokens = bend.body?.inputTokens ?? 5;
    const outputTokens = bend.body?.outputTokens ?? this.tokens;
    const { fee } = feeOf(bend.body?.status === Status.ABORTED ? 0 : inputTokens, outputTokens, assignment);
    this.node.cumulative += fee;
    this.node.seq += 1n;
    const receipt: TaskReceipt = {
      body: {
        assignmentHash: this.assignmentHash, sessionId: covered.order.sessionId, taskId: assignment.taskId, subtask: 0, attempt: assignment.attempt, role: assignment.role,
        prevReceiptHash: this.node.lastHash, outputCommit: saltedCommit(outputSalt(input.salt, this.assignmentHash), `0x${this.bytes.toString("hex")}`), inputTokens, outputTokens,
        fee, startedAt: assignment.issuedAt, finishedAt: assignment.issuedAt + 1, status: Status.COMPLETE, ...bend.body,
      },
      nodeId: this.node.nodeId, relayerId: 1, keyEpoch: 1, nodeSeq: this.node.seq, nodeCumulative: this.node.cumulative, ...bend.receipt,
    };
    this.node.lastHash = hashStruct("TaskReceipt", receipt);
    return { type: "end", finishReason: bend.finishReason ?? "stop", receipt, signature: await signStruct(bend.signer ?? this.node.signer, domain, "TaskReceipt", receipt) };
  }

  async refuse(reason: number, signer: DigestSigner = this.node.signer): Promise<AttemptEvent> {
    const refusal = { assignmentHash: this.assignmentHash, nodeId: this.node.nodeId, relayerId: 1, keyEpoch: 1, attestationSeq: 1n, accepted: 0, reason, refusedAtMs: 1 };
    return { type: "refusal", refusal, signature: await signStruct(signer, domain, "Refusal", refusal) };
  }

  /** Never resolves until the relayer stops listening; then it throws as a cut link does. */
  async hang(): Promise<never> {
    if (!this.unheard.aborted) await new Promise((resolve) => this.unheard.addEventListener("abort", resolve));
    throw cut();
  }
}

export const cut = (): TidelaneError => new TidelaneError("cut", { code: "node_disconnected", retryable: true });

export const answers = (...texts: string[]): Script => async function* (attempt) {
  yield { type: "start", inputTokens: 5 };
  for (const text of texts) yield attempt.delta(text);
  yield await attempt.end();
};

export interface TestWorld {
  readonly tasks: Tasks;
  /** The same nodes with other parts around them. */
  readonly tasksWith: (parts: Partial<TasksWorld>) => Tasks;
  readonly journal: MemoryJournal;
  readonly nodes: ScriptedNode[];
  readonly chosen: ChooseRequest[];
  readonly outcomes: Outcome[];
  /** Nodes whose refusal of the request another node contradicted. */
  readonly contradicted: number[];
  readonly requests: AttemptRequest[];
  readonly cancels: Cancel[];
  readonly acks: SignedAck[];
  readonly covers: { charged: bigint | null; released: boolean; request: CoverRequest }[];
  readonly tabs: Tabs;
  readonly steps: string[];
  unavailable: Unavailable | null;
  /** Whether a node that was full may be asked again at once. */
  isSoonFree: boolean;
  /** What each attempt is told before it has a node. */
  waiting: readonly Waiting[];
  opening: Promise<void>;
  /** How long orders are good for. */
  orderSeconds: number;
  /** Generous, so that a busy machine fails no test; a test of slowness lowers the one it is about. */
  readonly limits: { -readonly [Name in keyof AttemptLimits]: AttemptLimits[Name] };
}

/** @param scripts one node each; attempts go to them in order, as far as they are not excluded. */
export async function worldOf(...scripts: Script[]): Promise<TestWorld> {
  const journal = new MemoryJournal();
  const limits = { startMsMax: 10_000, firstTokenMsMax: 10_000, gapMsMax: 10_000, cancelMsMax: 10_000, outputBytesMax: 1_000_000 };
  const steps: string[] = [];
  const world: Omit<TestWorld, "tasks" | "tasksWith"> = {
    journal, nodes: scripts.map((script, i) => new ScriptedNode(7 + i, script)), chosen: [], outcomes: [], contradicted: [], requests: [], cancels: [], acks: [], covers: [], tabs: new Tabs(), steps, unavailable: null, waiting: [], isSoonFree: false, opening: Promise.resolve(), orderSeconds: 600, limits,
  };
  const finish = journal.finishTask.bind(journal);
  journal.finishTask = async (...args) => {
    await finish(...args);
    steps.push(`journaled ${args[1]}`);
  };
  let lastNodeId = 0;
  const fullNodes = new Set<number>();
  const cancellers = new Map<Hash, (reason: Cancel["reason"]) => void>();
  const base: TasksWorld = {
    clock: systemClock, crypto: await createNativeCrypto(), tokens: tokenCounter, tabs: world.tabs, log: silentLog, metrics: noMetrics, journal,
    deployment: { domain, addresses: {}, windowSeconds: 20, epochSeconds: 15, leverage: 5 } satisfies Deployment,
    identity: { relayerId: 1, epoch: 1, feeBps: 300, signer: relayerSigner },
    limits,
    links: {
      attempt(nodeId, request, signal = new AbortController().signal) {
        world.requests.push(request);
        const cancelled = new Promise<Cancel["reason"]>((resolve) => cancellers.set(hashStruct("Assignment", request.assignment), resolve));
        const node = world.nodes.find((one) => one.nodeId === nodeId)!;
        return node.script(new ScriptedAttempt(node, request, cancelled, signal));
      },
      async cancel(_nodeId, cancel) {
        world.cancels.push(cancel);
        cancellers.get(cancel.assignmentHash)?.(cancel.reason);
      },
      async ack(_nodeId, acks) {
        world.acks.push(...acks);
        steps.push("acked");
      },
    },
    fleet: {
      models: () => [model, embedder],
      modelIdOf: (name) => [model, embedder].find((one) => one.name === name || one.aliases.includes(name))?.modelId ?? null,
    },
    reception: {
      close: () => {},
      async *enter(request) {
        world.chosen.push(request);
        for (const waiting of tested.waiting) yield waiting;
        // A node that has said that it is full is closed until it says otherwise.
        if (request.cause === "refused_full" && !tested.isSoonFree) fullNodes.add(lastNodeId);
        const node = world.nodes.find((one) => !request.exclude.includes(one.nodeId) && !fullNodes.has(one.nodeId));
        lastNodeId = node?.nodeId ?? 0;
        if (node && !tested.unavailable) return choiceOf(node, request, world);
        throw unavailableError(tested.unavailable ?? { ok: false, reason: "no_node", retryAfterMs: 2_000, detail: "All were tried." });
      },
    },
    sessions: { cover: (request) => coverOf(request, tested) },
  };
  const tested: TestWorld = { ...world, tasks: new Tasks(base), tasksWith: (parts) => new Tasks({ ...base, ...parts }) };
  return tested;
}

function choiceOf(node: ScriptedNode, request: ChooseRequest, { outcomes, contradicted }: Pick<TestWorld, "outcomes" | "contradicted">): Choice {
  const of = request.modelId === embedder.modelId ? embedder : model;
  let isReleased = false;
  return {
    ok: true, atMs: systemClock.nowMs(), nodeId: node.nodeId, keyEpoch: 1, hotKey: nodeSigner.address, attestationHash: `0x${"a7".repeat(32)}`, attestationSeq: 1n,
    prices: of.base!,
    model: { modelId: of.modelId, name: of.name, aliases: [], kind: of.kind, contextTokens: of.contextTokens, tokenizer: of.tokenizer, capabilities: [], dimensions: of.dimensions },
    decision: "{}", decisionHash: `0x${"d0".repeat(32)}`,
    booking: {
      firstToken: () => {}, progress: () => {}, contradicted: () => void contradicted.push(node.nodeId),
      release: (outcome) => { if (!isReleased) outcomes.push(outcome); isReleased = true; },
    },
  };
}

async function coverOf(request: CoverRequest, world: TestWorld): Promise<Cover> {
  const promptSalt: Hash = `0x${"5a".repeat(32)}`;
  const state: TestWorld["covers"][number] = { charged: null, released: false, request };
  const nonce = BigInt(world.covers.push(state) - 1);
  const record = await honestRecord({
    authorization: { mode: Mode.ALLOWANCE },
    order: { nonce, modelId: request.modelId, maxOutTokens: request.maxOutTokens, promptCommit: saltedCommit(promptSalt, `0x${Buffer.from(request.body).toString("hex")}` as Hex), deadline: Math.floor(request.nowMs / 1_000) + world.orderSeconds },
  });
  const covered: CoveredOrder = { authorization: record.authorization, order: record.order, voucher: null, voucherSignature: "0x" };
  const taskId = hashStruct("TaskOrder", record.order);
  await world.journal.putSession({ sessionId: record.order.sessionId, authorization: record.authorization, nextNonce: 0n, charged: 0n, voucher: null });
  // In the order of the nonces, as one process does it.
  world.opening = world.opening.then(() => world.journal.openTask({ taskId, sessionId: record.order.sessionId, order: record.order, kind: request.kind, model: request.model, openedAtMs: request.nowMs }, null));
  await world.opening;
  return {
    covered, sessionId: record.order.sessionId, taskId, mode: Mode.ALLOWANCE, modeName: "allowance", promptSalt, inputCommit: record.order.promptCommit, opened: Promise.resolve(), exposure: () => 900_000n,
    charged: (charge) => { world.steps.push("charged"); state.charged ??= charge; },
    release: () => { if (state.charged === null) state.released = true; },
  };
}

export function requestOf(over: Partial<TaskRequest> = {}): TaskRequest {
  const text = JSON.stringify({ model: "test", messages: [{ role: "user", content: "Tell me a story" }] });
  return {
    kind: "chat", model: "test", body: Buffer.from(text), text, prompt: { texts: ["Tell me a story"], bytes: 15, isPlainText: true }, maxOutTokens: 50, capabilities: [], tier: 0,
    payment: null, apiKey: "tl_test", isStreamed: true, conversation: "", signal: new AbortController().signal, ...over,
  };
}
