// Answers that may be a few seconds old: one question at a time for each key, and an old answer where the source is silent.
import type { Clock } from "../ports.ts";
import type { Millis } from "../../protocol/units.ts";

export interface CacheLimits<Value> {
  /** How long an answer is taken as it is. */
  freshMs(value: Value): Millis;
  /** How long an answer still counts while the source fails. */
  readonly staleMs: Millis;
  /** Keys kept; the one asked longest ago goes first. */
  readonly keysMax: number;
}

export class Cached<Key, Value> {
  readonly #ask: (key: Key) => Promise<Value>;
  readonly #limits: CacheLimits<Value>;
  readonly #clock: Clock;
  readonly #known = new Map<Key, { value: Value; atMs: Millis }>();
  readonly #asking = new Map<Key, Promise<Value>>();

  constructor(ask: (key: Key) => Promise<Value>, limits: CacheLimits<Value>, clock: Clock) {
    this.#ask = ask;
    this.#limits = limits;
    this.#clock = clock;
  }

  /** @throws what the source throws, where no answer is young enough. */
  async get(key: Key): Promise<Value> {
    const known = this.#known.get(key);
    const ageMs = known ? this.#clock.monotonicMs() - known.atMs : Infinity;
    if (known && ageMs < this.#limits.freshMs(known.value)) return known.value;
    try {
      return await this.#refresh(key);
    } catch (error) {
      if (known && ageMs < this.#limits.staleMs) return known.value;
      throw error;
    }
  }

  #refresh(key: Key): Promise<Value> {
    let asking = this.#asking.get(key);
    if (!asking) {
      const atMs = this.#clock.monotonicMs();
      asking = this.#ask(key).then((value) => {
        this.#known.delete(key);
        this.#known.set(key, { value, atMs });
        if (this.#known.size > this.#limits.keysMax) this.#known.delete(this.#known.keys().next().value!);
        return value;
      }).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }
}
