// What each node attested last in each epoch, kept until the board has committed it.
import type { AttestedState } from "./attestedState.ts";

/** The board may be late by so many epochs; older ones are given up. */
const EPOCHS_MAX = 8;

export interface HeldAttestation {
  readonly state: AttestedState;
  /** What the node's stake allowed when it arrived. */
  readonly slotsMax: number;
}

export class EpochAttestations {
  readonly #epochs = new Map<number, Map<number, HeldAttestation>>();

  /** Keeps the greatest seq of the node in the epoch. */
  hold(epoch: number, held: HeldAttestation): void {
    const { nodeId, seq } = held.state.signed.attestation;
    const nodes = this.#epochs.get(epoch) ?? this.#open(epoch);
    const before = nodes.get(nodeId);
    if (!before || before.state.signed.attestation.seq < seq) nodes.set(nodeId, held);
  }

  /** What was attested in epochs up to this one, oldest epoch first; they are forgotten here. */
  takeUpTo(epoch: number): { readonly epoch: number; readonly held: readonly HeldAttestation[] }[] {
    const due = [...this.#epochs.keys()].filter((known) => known <= epoch).sort((one, other) => one - other);
    return due.map((known) => {
      const held = [...this.#epochs.get(known)!.values()];
      this.#epochs.delete(known);
      return { epoch: known, held };
    });
  }

  #open(epoch: number): Map<number, HeldAttestation> {
    const nodes = new Map<number, HeldAttestation>();
    this.#epochs.set(epoch, nodes);
    if (this.#epochs.size > EPOCHS_MAX) this.#epochs.delete(Math.min(...this.#epochs.keys()));
    return nodes;
  }
}
