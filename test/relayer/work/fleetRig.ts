// A fleet with made-up nodes that sign real attestations, on a clock that the test moves.
import { keccak256, numberToHex } from "viem/utils";
import { Fleet, type Choice, type ChooseRequest, type FleetOptions, type TideOfModels, type Unavailable, type UnavailableReason } from "../../../relayer/work/fleet.ts";
import { SeedChain } from "../../../relayer/routing/seeds.ts";
import { offersHash, type ModelInfo, type Offer, type ServiceCurve, type SignedAttestation } from "../../../protocol/link.ts";
import { Tier } from "../../../protocol/constants.ts";
import { TIDE_ONE } from "../../../protocol/tide.ts";
import { modelIdOf } from "../../../protocol/ids.ts";
import { recoverWithViem, signStruct, signerOfKey } from "../../../protocol/signing.ts";
import type { Hash, Millis } from "../../../protocol/units.ts";
import type { SaturationAttestation } from "../../../protocol/generated/structs.ts";
import type { NodeLinkEvents } from "../../../relayer/ports/nodes.ts";
import type { Clock } from "../../../relayer/ports/world.ts";
import type { Deployment } from "../../../relayer/ports/chain.ts";

export const NAME = "tidelane/stories15m@q8_0";
export const MODEL = modelIdOf(NAME);
export const RELAYER = 3;
export const EPOCH_SECONDS = 15;
/** At the beginning of an epoch. */
export const START_MS: Millis = Math.ceil(1_700_000_000 / EPOCH_SECONDS) * EPOCH_SECONDS * 1_000;
export const PROCESS: Hash = `0x${"b2".repeat(32)}`;
const SECRET: Hash = `0x${"5e".repeat(32)}`;

export const deployment: Deployment = {
  domain: { chainId: 31_337, verifyingContract: `0x${"c0".repeat(20)}` }, addresses: {}, windowSeconds: 20, epochSeconds: EPOCH_SECONDS, leverage: 5,
};

export const CURVE: ServiceCurve = { aNs: 2_000_000, bNs: 200_000, cNs: 300, dNs: 500_000, ePs: 0 };

export class ManualClock implements Clock {
  wallMs = START_MS;
  monoMs = 5_000;
  nowMs = (): Millis => this.wallMs;
  monotonicMs = (): Millis => this.monoMs;
  sleep: Clock["sleep"] = () => Promise.resolve();
  pass(ms: Millis): void {
    this.wallMs += ms;
    this.monoMs += ms;
  }
}

export const model = (changes: Partial<ModelInfo> = {}): ModelInfo => ({
  modelId: MODEL, name: NAME, aliases: ["stories"], kind: "generate", contextTokens: 1_024, tokenizer: "llama-2-spm", capabilities: ["seed"], dimensions: 0, ...changes,
});

export interface NodeSettings {
  readonly stakedSlots?: number;
  readonly models?: readonly ModelInfo[];
  readonly curve?: ServiceCurve;
  readonly live?: boolean;
}

/** A board on which nothing has moved. */
export const STILL_TIDE: TideOfModels = { multiplierOf: () => TIDE_ONE, ready: () => Promise.resolve() };

export class FleetRig {
  readonly clock: ManualClock;
  readonly counts = new Map<string, number>();
  readonly tables: { root: Hash; text: string }[] = [];
  readonly fleet: Fleet;
  /** Who hears of the nodes: the fleet itself, or who stands before it. */
  events: NodeLinkEvents;
  readonly #seq = new Map<number, bigint>();

  constructor(options: Partial<FleetOptions> = {}, clock = new ManualClock()) {
    this.clock = clock;
    const count = (name: string, labels: Readonly<Record<string, string>> = {}): void => {
      const key = [name, ...Object.values(labels)].join(":");
      this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    };
    const none = (): void => undefined;
    const epoch = Math.floor(START_MS / 1_000 / EPOCH_SECONDS);
    this.fleet = new Fleet({
      clock: this.clock, crypto: { keccak256, recover: recoverWithViem }, log: { debug: none, info: none, warn: none, error: none },
      metrics: { count, gauge: none, observe: none, text: () => Promise.resolve("") }, deployment, relayerId: RELAYER,
      seeds: new SeedChain(SECRET, epoch, 1_000), tide: STILL_TIDE, processId: PROCESS, onTable: (root, text) => this.tables.push({ root, text }), ...options,
    });
    this.events = this.fleet;
  }

  connect(nodeId: number, settings: NodeSettings = {}): void {
    const { stakedSlots = 8, models = [model()], curve = CURVE, live = true } = settings;
    this.events.connected(
      { nodeId, keyEpoch: 1, hotKey: signer(nodeId).address, info: { nodeId, agent: "test/1", models: [...models], curve, engine: "timed" } },
      { nodeId, hotKey: signer(nodeId).address, keyEpoch: 1, hardwareClass: 1, slots: stakedSlots, live },
    );
  }

  /** Signs and hands in an attestation of an idle node with 4 slots. */
  async attest(nodeId: number, changes: Partial<SaturationAttestation> = {}, offers?: readonly Offer[], signedBy = nodeId): Promise<SignedAttestation> {
    const signed = await this.signed(nodeId, changes, offers, signedBy);
    this.events.attested(nodeId, signed, this.clock.nowMs());
    return signed;
  }

  async signed(nodeId: number, changes: Partial<SaturationAttestation> = {}, offers?: readonly Offer[], signedBy = nodeId): Promise<SignedAttestation> {
    const seq = (this.#seq.get(nodeId) ?? 0n) + 1n;
    this.#seq.set(nodeId, seq);
    const nowMs = this.clock.nowMs();
    const offered = offers ?? [offer({ slots: changes.slots ?? 4 })];
    const attestation: SaturationAttestation = {
      nodeId, relayerId: RELAYER, keyEpoch: 1, seq, prevHash: `0x${"00".repeat(32)}`, slots: 4, prepSlots: 0, computeBps: 0, memoryBps: 0, queueBps: 0, networkBps: 0,
      queuedTokens: 0, kvFreeTokens: 100_000, offersHash: offersHash(offered), observedAtMs: nowMs, validUntilMs: nowMs + 5_000, ...changes,
    };
    return { attestation, signature: await signStruct(signer(signedBy), deployment.domain, "SaturationAttestation", attestation), offers: offered };
  }

  /** Connects and attests. */
  async join(nodeId: number, changes: Partial<SaturationAttestation> = {}, settings: NodeSettings = {}): Promise<void> {
    this.connect(nodeId, settings);
    await this.attest(nodeId, changes);
  }

  choose(changes: Partial<ChooseRequest> = {}): Promise<Choice | Unavailable> {
    return this.fleet.choose(request(changes));
  }

  /** @throws where there is no node. */
  async chosen(changes: Partial<ChooseRequest> = {}): Promise<Choice> {
    const choice = await this.choose(changes);
    if (!choice.ok) throw new Error(`no node: ${choice.reason} (${choice.detail})`);
    return choice;
  }

  async reason(changes: Partial<ChooseRequest> = {}): Promise<UnavailableReason | "chosen"> {
    const choice = await this.choose(changes);
    return choice.ok ? "chosen" : choice.reason;
  }

  node(nodeId: number) {
    return this.fleet.status().nodes.find((one) => one.nodeId === nodeId)!;
  }
}

export const offer = (changes: Partial<Offer> = {}): Offer => ({ modelId: MODEL, slots: 4, priceInPerMTok: 100_000n, priceOutPerMTok: 200_000n, ...changes });

let tasks = 0;
/** A new task each time. */
export const request = (changes: Partial<ChooseRequest> = {}): ChooseRequest => ({
  taskId: keccak256(numberToHex(++tasks, { size: 32 })), sessionId: `0x${"88".repeat(32)}`, nonce: BigInt(tasks), mode: 0, subtask: 0, attempt: 0, modelId: MODEL, kind: "generate", tier: Tier.DEFAULT,
  inputTokens: 100, maxOutTokens: 200, maxPriceIn: 10n ** 6n, maxPriceOut: 10n ** 6n, capabilities: [], exclude: [], cause: null, ...changes,
});

const signers = new Map<number, ReturnType<typeof signerOfKey>>();
/** Keys for tests only: the node's id as a private key. */
export function signer(nodeId: number): ReturnType<typeof signerOfKey> {
  const known = signers.get(nodeId) ?? signerOfKey(numberToHex(nodeId + 1_000, { size: 32 }));
  signers.set(nodeId, known);
  return known;
}
