// Whether this relayer can take new work, and what is missing where it cannot. Asked often, so the chain's answer is kept a moment.
import type { Clock } from "../ports/world.ts";
import type { Chain } from "../ports/chain.ts";
import type { Journal } from "../ports/journal.ts";
import type { Millis } from "../../protocol/units.ts";
import type { Fleet } from "../work/fleet.ts";
import type { Readiness } from "./services.ts";

const CHAIN_KEPT_MS: Millis = 2_000;
const CHAIN_MS_MAX: Millis = 3_000;

export interface ReadinessWorld {
  readonly chain: Pick<Chain, "head">;
  readonly journal: Pick<Journal, "isUp">;
  readonly fleet: Pick<Fleet, "status">;
  readonly clock: Clock;
  isStopping(): boolean;
}

export class ReadinessProbe {
  readonly #world: ReadinessWorld;
  #chain: { readonly askedMs: Millis; readonly answer: Promise<boolean> } | null = null;

  constructor(world: ReadinessWorld) {
    this.#world = world;
  }

  async checks(): Promise<readonly Readiness[]> {
    const { journal, fleet } = this.#world;
    const isChainUp = await this.#isChainUp();
    const attested = fleet.status().attested;
    return [
      { name: "chain", ok: isChainUp, detail: isChainUp ? "The chain answers." : "No RPC answers: what is proven locked is still served, settlement waits." },
      { name: "journal", ok: journal.isUp(), detail: journal.isUp() ? "The database answers." : "The database is away: new paid work is refused, finished work waits in the spool." },
      { name: "nodes", ok: attested > 0, detail: attested > 0 ? `${attested} nodes have attested.` : "No node has a valid attestation." },
      ...(this.#world.isStopping() ? [{ name: "running", ok: false, detail: "The relayer is shutting down." }] : []),
    ];
  }

  #isChainUp(): Promise<boolean> {
    const nowMs = this.#world.clock.monotonicMs();
    if (!this.#chain || nowMs - this.#chain.askedMs > CHAIN_KEPT_MS) this.#chain = { askedMs: nowMs, answer: this.#askChain() };
    return this.#chain.answer;
  }

  async #askChain(): Promise<boolean> {
    const { chain, clock } = this.#world;
    const over = new AbortController();
    const late = clock.sleep(CHAIN_MS_MAX, over.signal).then(() => false);
    const answer = await Promise.race([chain.head().then(() => true, () => false), late]);
    over.abort();
    return answer;
  }
}
