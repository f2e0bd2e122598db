// One accepted attestation of a node: clamped, dated by the relayer's own clock, its hash and signature looked at when first needed.
import { ATTESTATION_VALID_MS, type Offer, type SignedAttestation } from "../../protocol/link.ts";
import { digestOfHash, hashStruct, type Domain } from "../../protocol/typedData.ts";
import { SLOTS_MAX, clamp } from "../routing/parameters.ts";
import { BPS, type Address, type Hash, type Millis } from "../../protocol/units.ts";
import type { Attested, OwnLoad } from "../routing/saturation.ts";
import type { Crypto } from "../ports/world.ts";

export class AttestedState {
  readonly signed: SignedAttestation;
  /** The key that must have signed it: the node's registered one when it arrived. */
  readonly hotKey: Address;
  /** Monotonic time of arrival. */
  readonly atMs: Millis;
  /** On the relayer's receive clock, so that a node's clock does not matter; a node may claim less than the rule's 5 s. */
  readonly validForMs: Millis;
  /** What decisions read. */
  readonly attested: Attested;
  #hash: Hash | null = null;
  #isGenuine: boolean | null = null;
  #checking: Promise<boolean> | null = null;

  /** @param slotsMax what the node's stake allows @param own the relayer's load on the node at this moment */
  constructor(signed: SignedAttestation, hotKey: Address, atMs: Millis, slotsMax: number, own: Readonly<OwnLoad>) {
    const { attestation } = signed;
    const bps = (value: number): number => clamp(value, 0, BPS);
    this.signed = signed;
    this.hotKey = hotKey;
    this.atMs = atMs;
    this.validForMs = clamp(attestation.validUntilMs - attestation.observedAtMs, 0, ATTESTATION_VALID_MS);
    this.attested = {
      slots: clamp(attestation.slots, 0, Math.min(slotsMax, SLOTS_MAX)),
      computeBps: bps(attestation.computeBps), memoryBps: bps(attestation.memoryBps), queueBps: bps(attestation.queueBps), networkBps: bps(attestation.networkBps),
      queuedTokens: clamp(attestation.queuedTokens, 0, 2 ** 31), kvFreeTokens: clamp(attestation.kvFreeTokens, 0, 2 ** 31), base: { ...own },
    };
  }

  isValidAt(nowMs: Millis): boolean {
    return nowMs - this.atMs < this.validForMs;
  }

  offerOf(modelId: Hash): Offer | undefined {
    return this.signed.offers.find((offer) => offer.modelId === modelId);
  }

  /** Struct hash, as assignments carry it. */
  hash(crypto: Crypto): Hash {
    return (this.#hash ??= hashStruct("SaturationAttestation", this.signed.attestation, crypto.keccak256));
  }

  /** Null until it was checked. */
  get isGenuine(): boolean | null {
    return this.#isGenuine;
  }

  /** Checks the signature once, whoever asks. @returns whether the hot key signed it */
  check(domain: Domain, crypto: Crypto): Promise<boolean> {
    this.#checking ??= crypto.recover(digestOfHash(domain, this.hash(crypto), crypto.keccak256), this.signed.signature)
      .then((signer) => (this.#isGenuine = signer === this.hotKey));
    return this.#checking;
  }
}
