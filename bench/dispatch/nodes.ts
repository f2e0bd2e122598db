// Nodes for a bench of the relayer: they attest each second, and answer what they are sent with a little text and a good receipt.
import { saltedCommit, outputSalt } from "../../protocol/ids.ts";
import { feeOf } from "../../protocol/fees.ts";
import { Status } from "../../protocol/constants.ts";
import { offersHash, type AttemptEvent, type AttemptRequest, type ModelInfo, type Offer } from "../../protocol/link.ts";
import { signStruct, type DigestSigner } from "../../protocol/signing.ts";
import { hashStruct, type Domain } from "../../protocol/typedData.ts";
import { BPS, ZERO_HASH, type Hash, type Hex, type Millis } from "../../protocol/units.ts";
import { numberToHex } from "viem/utils";
import { nativeSignerOfKey } from "../../relayer/adapters/crypto.ts";
import { systemClock } from "../../relayer/adapters/clock.ts";
import type { Crypto } from "../../relayer/ports/world.ts";
import type { NodeLinkEvents, NodeLinks } from "../../relayer/ports/nodes.ts";
import type { SaturationAttestation, TaskReceipt } from "../../protocol/generated/structs.ts";

/** A 4090 with an 8B model. */
const CURVE = { aNs: 7_600_000, bNs: 133_000, cNs: 360, dNs: 50_000, ePs: 14_000 };
const SLOTS = 64;
const ATTEST_EVERY_MS: Millis = 1_000;
/** As the curve says: a node that is slower than it says is asked less. */
const [FIRST_TOKEN_MS, REST_MS] = [15, 200] as const;
const TEXT = "Once upon a time there was a tide.";
const TEXT_TOKENS = 9;
const INPUT_TOKENS = 6;

export interface BenchNodesOptions {
  readonly count: number;
  readonly relayerId: number;
  readonly domain: Domain;
  readonly model: ModelInfo;
  readonly crypto: Crypto;
  /** Told each attempt as it reaches the link. */
  readonly onDispatch: (taskNonce: bigint) => void;
}

/** Keys are the nodes' numbers: nobody's. */
export class BenchNodes implements NodeLinks {
  readonly #options: BenchNodesOptions;
  readonly #signers: readonly DigestSigner[];
  readonly #running: number[];
  readonly #tabs = new Map<number, { cumulative: bigint; seq: bigint; lastHash: Hash }>();
  #seq = BigInt(systemClock.nowMs()) << 20n;

  constructor(options: BenchNodesOptions) {
    this.#options = options;
    this.#signers = Array.from({ length: options.count }, (_, i) => nativeSignerOfKey(numberToHex(i + 1, { size: 32 })));
    this.#running = this.#signers.map(() => 0);
  }

  /** Connects all of them and goes on attesting, in turn, until the signal is aborted. */
  async join(events: NodeLinkEvents, signal: AbortSignal): Promise<void> {
    const { model } = this.#options;
    for (const [i, { address: hotKey }] of this.#signers.entries()) {
      const nodeId = i + 1;
      events.connected({ nodeId, keyEpoch: 1, hotKey, info: { nodeId, agent: "bench/1", models: [model], curve: CURVE, engine: "bench" } }, { nodeId, hotKey, keyEpoch: 1, hardwareClass: 1, slots: SLOTS, live: true });
      await this.#attest(nodeId, events);
    }
    void this.#keepAttesting(events, signal);
  }

  async *attempt(nodeId: number, request: AttemptRequest): AsyncGenerator<AttemptEvent> {
    this.#options.onDispatch(request.covered.order.nonce);
    this.#running[nodeId - 1]!++;
    await systemClock.sleep(FIRST_TOKEN_MS);
    yield { type: "start", inputTokens: INPUT_TOKENS };
    yield { type: "delta", text: TEXT, tokens: TEXT_TOKENS };
    await systemClock.sleep(REST_MS);
    this.#running[nodeId - 1]!--;
    yield await this.#end(nodeId, request);
  }

  async cancel(): Promise<void> {}

  async ack(): Promise<void> {}

  async #keepAttesting(events: NodeLinkEvents, signal: AbortSignal): Promise<void> {
    for (let i = 0; !signal.aborted; i = (i + 1) % this.#signers.length) {
      await systemClock.sleep(ATTEST_EVERY_MS / this.#signers.length, signal);
      await this.#attest(i + 1, events);
    }
  }

  async #attest(nodeId: number, events: NodeLinkEvents): Promise<void> {
    const { model, relayerId, domain } = this.#options;
    const offers: Offer[] = [{ modelId: model.modelId, slots: SLOTS, priceInPerMTok: 100_000n, priceOutPerMTok: 200_000n }];
    const nowMs = systemClock.nowMs();
    const attestation: SaturationAttestation = {
      nodeId, relayerId, keyEpoch: 1, seq: this.#seq++, prevHash: ZERO_HASH, slots: SLOTS, prepSlots: 0, computeBps: Math.floor((this.#running[nodeId - 1]! * BPS) / SLOTS), memoryBps: 0, queueBps: 0, networkBps: 0,
      queuedTokens: 0, kvFreeTokens: 100_000, offersHash: offersHash(offers), observedAtMs: nowMs, validUntilMs: nowMs + 5_000,
    };
    events.attested(nodeId, { attestation, signature: await signStruct(this.#signers[nodeId - 1]!, domain, "SaturationAttestation", attestation), offers }, nowMs);
  }

  async #end(nodeId: number, { assignment, covered, input }: AttemptRequest): Promise<AttemptEvent> {
    const { domain, crypto: { keccak256 } } = this.#options;
    const tab = this.#tabs.get(nodeId) ?? { cumulative: 0n, seq: this.#seq, lastHash: ZERO_HASH };
    this.#tabs.set(nodeId, tab);
    const assignmentHash = hashStruct("Assignment", assignment, keccak256);
    const { fee } = feeOf(INPUT_TOKENS, TEXT_TOKENS, assignment);
    tab.cumulative += fee;
    tab.seq++;
    const receipt: TaskReceipt = {
      body: {
        assignmentHash, sessionId: covered.order.sessionId, taskId: assignment.taskId, subtask: 0, attempt: assignment.attempt, role: assignment.role, prevReceiptHash: tab.lastHash,
        outputCommit: saltedCommit(outputSalt(input.salt, assignmentHash), `0x${Buffer.from(TEXT).toString("hex")}` as Hex), inputTokens: INPUT_TOKENS, outputTokens: TEXT_TOKENS, fee,
        startedAt: assignment.issuedAt, finishedAt: Math.floor(systemClock.nowMs() / 1_000), status: Status.COMPLETE,
      },
      nodeId, relayerId: assignment.relayerId, keyEpoch: 1, nodeSeq: tab.seq, nodeCumulative: tab.cumulative,
    };
    tab.lastHash = hashStruct("TaskReceipt", receipt, keccak256);
    return { type: "end", finishReason: "stop", receipt, signature: await signStruct(this.#signers[nodeId - 1]!, domain, "TaskReceipt", receipt) };
  }
}
