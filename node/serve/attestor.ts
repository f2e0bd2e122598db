// Attests to one relayer, all its processes alike: each second and on change, chained, remembered on disk before it is signed.
import { ATTESTATION_VALID_MS, type Presence, type SignedAttestation } from "../../protocol/link.ts";
import { attestationOf, differs, dueInMs, NO_ATTESTATION, type Attester, type Observation } from "../attest/attestation.ts";
import { digestOfHash, hashStruct, type Domain } from "../../protocol/typedData.ts";
import type { DigestSigner } from "../../protocol/signing.ts";
import type { Clock, Log, NodeStore } from "../ports.ts";
import { timeOfSeq } from "../../protocol/ids.ts";
import type { Hash, Millis } from "../../protocol/units.ts";

export interface AttestorWorld {
  readonly attester: Attester;
  readonly domain: Domain;
  readonly signer: DigestSigner;
  readonly store: NodeStore;
  readonly clock: Clock;
  readonly log: Log;
  observe(): Observation;
  /** Who shares the node; told beside each attestation. */
  presences(): readonly Presence[];
}

/** Looking costs little, and a change must not wait long. */
const LOOK_EVERY_MS: Millis = 50;
/** A relayer counts the validity from when it received an attestation; its way there and the assignment's way back come on top. */
const TRAVEL_MS: Millis = 10_000;

export class Attestor {
  readonly #world: AttestorWorld;
  readonly #readers = new Set<Reader>();
  #latest: { signed: SignedAttestation; observed: Observation; atMs: Millis } | null = null;
  /** When each attestation that an assignment may still name was signed, oldest first. */
  readonly #named = new Map<Hash, Millis>();
  #looping = false;

  constructor(world: AttestorWorld) {
    this.#world = world;
    // What was signed just before a restart may be named right after it.
    const last = world.store.attestation(world.attester.relayerId);
    if (last) this.#named.set(last.hash, timeOfSeq(last.seq));
  }

  /** Whether this node signed the attestation for this relayer so lately that an assignment may name it. */
  hasSigned(hash: Hash, nowMs: Millis): boolean {
    const atMs = this.#named.get(hash);
    return atMs !== undefined && nowMs - atMs <= ATTESTATION_VALID_MS + TRAVEL_MS;
  }

  /** Of the newest attestation that left; 0 before the first. */
  get latestSeq(): bigint {
    return this.#latest?.signed.attestation.seq ?? 0n;
  }

  /** Slots that the newest attestation promised, while it is valid. */
  promisedSlots(nowMs: Millis): number {
    const attestation = this.#latest?.signed.attestation;
    return attestation && attestation.validUntilMs > nowMs ? attestation.slots : 0;
  }

  /** The newest attestation, then each new one; a slow reader skips what is outdated. Ends when the signal is aborted. */
  async *read(signal: AbortSignal): AsyncGenerator<SignedAttestation> {
    const reader = new Reader(signal);
    this.#readers.add(reader);
    if (this.#latest && dueInMs(this.#latest.atMs, false, this.#world.clock.monotonicMs()) > 0) reader.put(this.#latest.signed);
    void this.#loop();
    try {
      for (;;) {
        const signed = await reader.next();
        if (signed === null) return;
        yield signed;
      }
    } finally {
      this.#readers.delete(reader);
    }
  }

  async #loop(): Promise<void> {
    if (this.#looping) return;
    this.#looping = true;
    try {
      while (this.#readers.size > 0) {
        await this.#attestWhereDue();
        await this.#world.clock.sleep(LOOK_EVERY_MS);
      }
    } catch (error) {
      // A disk that fails ends all signing; relayers see the silence and choose others.
      this.#world.log.error({ error: String(error) }, "attesting has stopped");
      for (const reader of this.#readers) reader.fail(error);
    } finally {
      this.#looping = false;
    }
  }

  async #attestWhereDue(): Promise<void> {
    const { attester, clock, domain, signer, store } = this.#world;
    const observed = this.#world.observe();
    const nowMs = clock.monotonicMs();
    if (dueInMs(this.#latest?.atMs ?? null, this.#latest !== null && differs(this.#latest.observed, observed), nowMs) > 0) return;
    const attestation = attestationOf(attester, store.attestation(attester.relayerId) ?? NO_ATTESTATION, observed, clock.nowMs());
    const hash = hashStruct("SaturationAttestation", attestation);
    await store.putAttestation(attester.relayerId, { seq: attestation.seq, hash });
    const signed = { attestation, signature: await signer.sign(digestOfHash(domain, hash)), offers: observed.offers, presences: this.#world.presences() };
    this.#latest = { signed, observed, atMs: nowMs };
    this.#remember(hash);
    for (const reader of this.#readers) reader.put(signed);
  }

  #remember(hash: Hash): void {
    const nowMs = this.#world.clock.nowMs();
    for (const old of this.#named.keys()) if (!this.hasSigned(old, nowMs)) this.#named.delete(old);
    this.#named.set(hash, nowMs);
  }
}

/** Holds the newest attestation only: an older one is of no use to anybody. */
class Reader {
  readonly #signal: AbortSignal;
  #next: SignedAttestation | null = null;
  #failure: unknown = null;
  #wake: (() => void) | null = null;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake?.(), { once: true });
  }

  put(signed: SignedAttestation): void {
    this.#next = signed;
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#failure = error;
    this.#wake?.();
  }

  async next(): Promise<SignedAttestation | null> {
    for (;;) {
      if (this.#signal.aborted) return null;
      if (this.#failure) throw this.#failure;
      const signed = this.#next;
      this.#next = null;
      if (signed) return signed;
      await new Promise<void>((resolve) => { this.#wake = resolve; });
    }
  }
}
