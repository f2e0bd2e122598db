// What tests of the node agent share: an honest relayer and payer, a chain in memory, an engine that does as it is told.
import { concatHex, keccak256, stringToHex } from "viem/utils";
import { hashStruct, type Domain } from "../../protocol/typedData.ts";
import { signerOfKey, signStruct } from "../../protocol/signing.ts";
import { TIDE_ONE } from "../../protocol/tide.ts";
import { modelIdOf, nextSeq } from "../../protocol/ids.ts";
import { Mode, Role, Tier } from "../../protocol/constants.ts";
import { ZERO_HASH, type Hash, type Hex } from "../../protocol/units.ts";
import type { Assignment, SpendingAuthorization, TaskOrder, Voucher } from "../../protocol/generated/structs.ts";
import type { AttemptEvent, AttemptInput, AttemptRequest } from "../../protocol/link.ts";
import type { CoveredOrder } from "../../protocol/records.ts";
import { EngineError, type ChainSession, type Engine, type EngineEvent, type EngineLoad, type EngineModel, type EngineRequest, type Log, type NodeChain, type NodeStore, type ReceiptEntry, type RelayerLinks, type RelayerPeer, type TabHead, type UnackedReceipt } from "../../node/ports.ts";

export const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const keyOf = (name: string): Hex => keccak256(stringToHex(`tidelane node test ${name}`));
export const nodeSigner = signerOfKey(keyOf("node"));
export const relayerSigner = signerOfKey(keyOf("relayer"));
export const sessionSigner = signerOfKey(keyOf("session"));
export const strangerSigner = signerOfKey(keyOf("stranger"));

export const domain: Domain = { chainId: 31_337, verifyingContract: `0x${"c1".repeat(20)}` };
export const WINDOW_SECONDS = 3_600;
export const NODE_ID = 7;
export const RELAYER_ID = 3;
export const modelName = "test/words@q0";
export const prices = { priceInPerMTok: 1_000_000n, priceOutPerMTok: 2_000_000n };
export const nowSeconds = (): number => Math.floor(Date.now() / 1_000);

export const peer: RelayerPeer = { url: "http://127.0.0.1:1", relayerId: RELAYER_ID, relayerEpoch: 1, process: null, backlogBytes: () => 0 };

export interface Bends {
  readonly authorization?: Partial<SpendingAuthorization>;
  readonly order?: Partial<TaskOrder>;
  readonly voucher?: Partial<Voucher>;
  readonly assignment?: Partial<Assignment>;
  readonly input?: Partial<AttemptInput>;
  readonly body?: Record<string, unknown>;
}

/** What assignments of the tests name: as if it had been signed just before the node was started. */
export const ATTESTED: Hash = keccak256(stringToHex("tidelane node test attestation"));

let salts = 0;
/** One session for all orders of a test, whatever second it runs in. */
const LOADED_AT = nowSeconds();

/** An attempt that an honest relayer would send, bent where asked; each call is a new order. */
export async function requestOf(bends: Bends = {}, voucherSigner = sessionSigner, assigner = relayerSigner): Promise<AttemptRequest> {
  const now = nowSeconds();
  const authorization: SpendingAuthorization = {
    payer: `0x${"aa".repeat(20)}`, sessionKey: sessionSigner.address, relayerId: RELAYER_ID, lock: 1_000_000n, maxTotal: 1_000_000n, maxPerTask: 100_000n, maxPerDay: 500_000n,
    maxPriceInPerMTok: 5_000_000n, maxPriceOutPerMTok: 5_000_000n, maxFeeBps: 500, mode: Mode.VOUCHER, validAfter: LOADED_AT - 1_000, validUntil: LOADED_AT + 100_000, salt: 1n, ...bends.authorization,
  };
  const sessionId = hashStruct("SpendingAuthorization", authorization);
  const input: AttemptInput = { kind: "chat", salt: keccak256(stringToHex(`salt ${salts}`)), body: JSON.stringify({ model: "words", messages: [{ role: "user", content: "hi" }], ...bends.body }), ...bends.input };
  const inputCommit = keccak256(concatHex([input.salt, stringToHex(input.body)]));
  const order: TaskOrder = {
    sessionId, nonce: BigInt(++salts), promptCommit: inputCommit, modelId: modelIdOf(modelName), tier: Tier.DEFAULT, maxOutTokens: 100, maxFee: 10_000n, deadline: now + 600, ...bends.order,
  };
  const taskId = hashStruct("TaskOrder", order);
  const isVoucher = authorization.mode === Mode.VOUCHER;
  const voucher: Voucher | null = isVoucher ? { sessionId, cumulativeCap: 500_000n, taskId, ...bends.voucher } : null;
  const covered: CoveredOrder = { authorization, order, voucher, voucherSignature: voucher ? await signStruct(voucherSigner, domain, "Voucher", voucher) : "0x" };
  const assignment: Assignment = {
    taskId, subtask: 0, subtasks: 1, attempt: 0, relayerId: RELAYER_ID, relayerEpoch: 1, nodeId: NODE_ID, keyEpoch: 1, role: Role.GENERATE,
    voucherHash: voucher ? hashStruct("Voucher", voucher) : ZERO_HASH, attestationHash: ATTESTED, decisionHash: ZERO_HASH, contextHead: ZERO_HASH, ...prices,
    feeBps: 300, shareCap: 10_000n, inputCommit, issuedAt: now, deadline: now + 600, ...bends.assignment,
  };
  return { covered, assignment, assignmentSignature: await signStruct(assigner, domain, "Assignment", assignment), input };
}

export class TestChain implements NodeChain {
  readonly domain = domain;
  readonly windowSeconds = WINDOW_SECONDS;
  session_: Partial<ChainSession> | null = {};
  proven = 0n;
  unreachable = false;
  slots = 100;
  closedAt = 0;

  self = async () => this.#answer({ hotKey: nodeSigner.address, keyEpoch: 1, slots: this.slots, live: true });
  nodeKey = async () => this.#answer({ key: nodeSigner.address, openedAt: 1, closedAt: 0 });
  relayerKey = async (relayerId: number, epoch: number) => this.#answer(relayerId === RELAYER_ID && epoch === 1 ? { key: relayerSigner.address, openedAt: 1, closedAt: this.closedAt } : null);
  endpoint: string | null = null;
  relayerEndpoint = async () => this.#answer(this.endpoint);
  tide = TIDE_ONE;
  tideMultiplier = async () => this.#answer(this.tide);
  provenEarned = async () => this.#answer(this.proven);
  session = async () => this.#answer(this.session_ && {
    mode: Mode.VOUCHER, relayerId: RELAYER_ID, lock: 1_000_000n, reserved: 0n, charged: 0n, maxTotal: 1_000_000n, bucketLevel: 0n, validUntil: nowSeconds() + 100_000, closing: false, ...this.session_,
  } as ChainSession);

  #answer<Value>(value: Value): Value {
    if (this.unreachable) throw Object.assign(new EngineError("engine_unavailable", "test: unreachable"), { code: "chain_unreachable" });
    return value;
  }
}

export class MemoryStore implements NodeStore {
  readonly tabs = new Map<number, TabHead>();
  readonly attested = new Map<number, { seq: bigint; hash: Hash }>([[RELAYER_ID, { seq: nextSeq(0n, Date.now()), hash: ATTESTED }]]);
  readonly charges = new Map<Hash, bigint>();
  readonly waiting = new Map<Hash, UnackedReceipt>();
  readonly entries: ReceiptEntry[] = [];
  readonly assignments = new Map<Hash, number>();
  failing = false;

  tab = (relayerId: number) => this.tabs.get(relayerId) ?? null;
  attestation = (relayerId: number) => this.attested.get(relayerId) ?? null;
  sessionCharges = (sessionId: Hash) => this.charges.get(sessionId) ?? 0n;
  assignmentsSince = () => this.assignments;
  unacked = () => [...this.waiting.values()];
  putRecord = async () => {};
  close = async () => {};
  forget = (hash: Hash) => void this.waiting.delete(hash);

  async putReceipt(entry: ReceiptEntry) {
    if (this.failing) throw Object.assign(new EngineError("engine_unavailable", "test: disk"), { code: "store_failed" });
    this.entries.push(entry);
    this.tabs.set(entry.relayerId, entry.head);
    this.waiting.set(entry.receiptHash, entry);
  }

  async putAttestation(relayerId: number, head: { seq: bigint; hash: Hash }) {
    this.attested.set(relayerId, head);
  }

  async putAck({ ack }: { ack: { receiptHash: Hash } }) {
    const entry = this.waiting.get(ack.receiptHash);
    this.waiting.delete(ack.receiptHash);
    if (entry) this.charges.set(entry.sessionId, (this.charges.get(entry.sessionId) ?? 0n) + entry.charge);
  }
}

/** Says words until it is told to stop; `gate` lets a test decide when. */
export class ScriptedEngine implements Engine {
  readonly name = "scripted";
  up = true;
  running = 0;
  worked = 0;
  seen: EngineRequest | null = null;
  script: (request: EngineRequest, signal: AbortSignal) => AsyncIterable<EngineEvent> = says(["one", " two"]);

  start = async (): Promise<EngineModel> => ({ contextTokens: 1_000, tokenizer: "", capabilities: ["tools"], dimensions: 0, curve });
  load = (): EngineLoad => ({ up: this.up, running: this.running, queued: 0, queuedTokens: 0, kvTokens: 1_000, kvUsedTokens: 100 * this.running });
  stop = async (): Promise<void> => {};

  async *run(request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    this.seen = request;
    this.worked++;
    this.running++;
    try {
      yield* this.script(request, signal);
    } finally {
      this.running--;
    }
  }
}

export const curve = { aNs: 1_000_000, bNs: 100_000, cNs: 0, dNs: 100_000, ePs: 0 };

/** Five input tokens, one output token for each word. */
export const says = (words: readonly string[], finishReason: "stop" | "length" = "stop") => async function* (): AsyncGenerator<EngineEvent> {
  yield { type: "start", inputTokens: 5 };
  for (const text of words) yield { type: "delta", text, tokens: 1 };
  yield { type: "end", finishReason, inputTokens: 5, outputTokens: words.length };
};

/** Says words, then waits until it is stopped. */
export const hangsAfter = (words: readonly string[]) => async function* (_request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  yield { type: "start", inputTokens: 5 };
  for (const text of words) yield { type: "delta", text, tokens: 1 };
  if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
};

export const failsAfter = (words: readonly string[], started = true) => async function* (): AsyncGenerator<EngineEvent> {
  if (started) yield { type: "start", inputTokens: 5 };
  for (const text of words) yield { type: "delta", text, tokens: 1 };
  throw new EngineError("engine_crashed", "test: crashed");
};

export class TestLinks implements RelayerLinks {
  last: Awaited<ReturnType<RelayerLinks["lastReceipt"]>> = null;
  unreachable = false;
  serve: RelayerLinks["serve"] = async () => {};
  async lastReceipt() {
    if (this.unreachable) throw Object.assign(new EngineError("engine_unavailable", "test: unreachable"), { code: "relayer_unreachable" });
    return this.last;
  }
}

export async function eventsOf(events: AsyncIterable<AttemptEvent>): Promise<AttemptEvent[]> {
  const all: AttemptEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}
