// One attempt as its readers see it: a list of events that only grows, kept for a minute after its end, so that whoever lost
// the connection continues the text instead of having it made anew.
import type { AttemptEvent } from "../../protocol/link.ts";
import type { Hash, Millis } from "../../protocol/units.ts";

export class Attempt {
  readonly hash: Hash;
  readonly relayerId: number;
  readonly #abort = new AbortController();
  #events: AttemptEvent[] = [];
  #bytes = 0;
  /** Who listens, by the names under which the node tells of them. */
  readonly #readers = new Set<{ readonly party: string }>();
  #wake: (() => void)[] = [];
  /** Since when nobody reads; null while somebody does. */
  #detachedAtMs: Millis | null;
  #endedAtMs: Millis | null = null;

  constructor(hash: Hash, relayerId: number, nowMs: Millis) {
    this.hash = hash;
    this.relayerId = relayerId;
    this.#detachedAtMs = nowMs;
  }

  /** Aborted when the work is to stop; the reason is a StopReason. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get endedAtMs(): Millis | null {
    return this.#endedAtMs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whose it is: who began to listen last and still does; null where nobody does. */
  get party(): string | null {
    return [...this.#readers].at(-1)?.party ?? null;
  }

  detachedForMs(nowMs: Millis): Millis {
    return this.#detachedAtMs === null ? 0 : nowMs - this.#detachedAtMs;
  }

  push(event: AttemptEvent): void {
    this.#events.push(event);
    this.#bytes += sizeOf(event);
    this.#notify();
  }

  end(nowMs: Millis): void {
    this.#endedAtMs ??= nowMs;
    this.#notify();
  }

  /** The first reason counts. */
  stop(reason: StopReason): void {
    this.#abort.abort(reason);
  }

  get stopReason(): StopReason | null {
    return this.#abort.signal.aborted ? this.#abort.signal.reason as StopReason : null;
  }

  /** The events from the given one on, until the attempt has ended or the reader leaves. */
  async *read(offset: number, party: string, nowMs: () => Millis, signal: AbortSignal): AsyncGenerator<AttemptEvent> {
    const reader = { party };
    this.#readers.add(reader);
    this.#detachedAtMs = null;
    const leave = (): void => this.#notify();
    signal.addEventListener("abort", leave, { once: true });
    try {
      for (let next = offset; !signal.aborted; ) {
        const event = this.#events[next];
        if (event) {
          next++;
          yield event;
        } else if (this.#endedAtMs !== null) return;
        else await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    } finally {
      signal.removeEventListener("abort", leave);
      this.#readers.delete(reader);
      if (this.#readers.size === 0) this.#detachedAtMs = nowMs();
    }
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** client, relayer, deadline: nobody's fault here. drain, overflow: the node's own. */
export type StopReason = "client" | "relayer" | "deadline" | "detached" | "drain" | "overflow";

const sizeOf = (event: AttemptEvent): number =>
  64 + (event.type === "delta" ? 2 * (event.text.length + (event.extra?.length ?? 0)) : event.type === "embedding" ? event.vector.length : 0);
