// Which seed an epoch's draws must come from, as far as the chain has it revealed.
import { keccak256 } from "viem/utils";
import type { Hash } from "../../protocol/units.ts";
import type { SeedChainFact } from "./evidence.ts";

/**
 * open: the anchor of the chain that comes next, which everybody could know. forfeited: the chain in force then was given up, so its
 * seeds stay unknown; after its end draws were made from that same anchor.
 */
export type SeedState = { readonly state: "revealed" | "open" | "forfeited"; readonly seed: Hash } | { readonly state: "unrevealed" };

/** Answers for many epochs; each chain is hashed down once. */
export class Seeds {
  readonly #chains: readonly SeedChainFact[];
  readonly #walks = new Map<SeedChainFact, Hash[]>();

  /** @param chains ascending by first epoch */
  constructor(chains: readonly SeedChainFact[]) {
    this.#chains = chains;
  }

  of(epoch: number): SeedState {
    const chain = this.#chains.findLast((one) => one.firstEpoch <= epoch);
    if (chain && epoch <= chain.lastRevealed) return { state: "revealed", seed: this.#down(chain, chain.lastRevealed - epoch) };
    const next = this.#chains.find((one) => one.firstEpoch > epoch);
    if (!next || (chain && !this.#hasTakenOver(next))) return { state: "unrevealed" };
    return { state: chain ? "forfeited" : "open", seed: this.#down(next, next.lastRevealed - next.firstEpoch + 1) };
  }

  /** A chain that only waits for the one before it is the newest, and nothing of it is revealed. */
  #hasTakenOver(chain: SeedChainFact): boolean {
    return chain.lastRevealed >= chain.firstEpoch || chain.isInUse || this.#chains.some((one) => one.firstEpoch > chain.firstEpoch);
  }

  /** `reached` hashed so many times. */
  #down(chain: SeedChainFact, steps: number): Hash {
    const walk = this.#walks.get(chain) ?? [chain.reached];
    this.#walks.set(chain, walk);
    while (walk.length <= steps) walk.push(keccak256(walk.at(-1)!));
    return walk[steps]!;
  }
}
