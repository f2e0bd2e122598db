// An agent with everything around it in memory, for the tests of serve/.
import { Agent, type AgentSettings } from "../../../node/serve/agent.ts";
import { modelInfoOf, type ServedModel } from "../../../node/serve/models.ts";
import { systemClock, systemDice } from "../../../node/adapters/clock.ts";
import { modelIdOf } from "../../../protocol/ids.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { isSignedBy, signStruct } from "../../../protocol/signing.ts";
import type { AttemptEvent, AttemptRequest, SignedAck } from "../../../protocol/link.ts";
import { curve, domain, eventsOf, MemoryStore, modelName, NODE_ID, nodeSigner, nowSeconds, peer, prices, RELAYER_ID, relayerSigner, ScriptedEngine, silentLog, TestChain, TestLinks } from "../fixtures.ts";

export interface World {
  readonly agent: Agent;
  readonly chain: TestChain;
  readonly store: MemoryStore;
  readonly links: TestLinks;
  readonly engine: ScriptedEngine;
  send(request: AttemptRequest): Promise<AttemptEvent[]>;
}

export const settings: AgentSettings = { nodeId: NODE_ID, keyEpoch: 1, slots: 2, prepSlots: 0, paceTokensPerSecond: null, unackedMax: 64, agent: "test" };
export const never = new AbortController().signal;

export function worldOf(more: Partial<AgentSettings> = {}, parts: { store?: MemoryStore; chain?: TestChain; links?: TestLinks; engine?: ScriptedEngine } = {}): World {
  const { store = new MemoryStore(), chain = new TestChain(), links = new TestLinks(), engine = new ScriptedEngine() } = parts;
  const model: ServedModel = {
    info: modelInfoOf({ modelId: modelIdOf(modelName), name: modelName, aliases: ["words"], kind: "generate" }, { contextTokens: 1_000, tokenizer: "", capabilities: ["tools"], dimensions: 0, curve }),
    engine, curve, places: 8, ...prices,
  };
  const agent = new Agent({ ...settings, ...more }, [model], chain.slots, { clock: systemClock, dice: systemDice, log: silentLog, chain, store, links, signer: nodeSigner });
  return { agent, chain, store, links, engine, send: (request) => eventsOf(agent.attempt(peer, request, never)) };
}

export function endOf(events: readonly AttemptEvent[]): Extract<AttemptEvent, { type: "end" }> {
  const last = events.at(-1);
  if (last?.type !== "end") throw new Error(`the last event is ${JSON.stringify(last, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))}`);
  return last;
}

/** @returns the reason of a refusal that the node signed, and how many it had accepted. */
export async function refusalOf(events: readonly AttemptEvent[], request: AttemptRequest): Promise<{ reason: number; accepted: number }> {
  const [only] = events;
  if (events.length !== 1 || only?.type !== "refusal") throw new Error(`no refusal but ${events.map((event) => event.type).join(", ")}`);
  if (!await isSignedBy(nodeSigner.address, domain, "Refusal", only.refusal, only.signature)) throw new Error("the refusal is not signed by the node");
  if (only.refusal.assignmentHash !== hashStruct("Assignment", request.assignment)) throw new Error("the refusal is for another assignment");
  return { reason: only.refusal.reason, accepted: only.refusal.accepted };
}

export async function ackOf(end: Extract<AttemptEvent, { type: "end" }>, signer = relayerSigner): Promise<SignedAck> {
  const ack = { receiptHash: hashStruct("TaskReceipt", end.receipt), relayerId: RELAYER_ID, relayerEpoch: 1, ackedAt: nowSeconds() };
  return { ack, signature: await signStruct(signer, domain, "Ack", ack) };
}

