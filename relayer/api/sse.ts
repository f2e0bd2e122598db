// Server-sent events with a slow reader in mind: what a client does not read is not produced for it.
import type { Response } from "express";
import type { Clock } from "../ports/world.ts";
import type { Millis } from "../../protocol/units.ts";

/** Proxies give up silent connections after about a minute. */
const COMMENT_EVERY_MS: Millis = 15_000;
/** A client that takes nothing for so long counts as gone. */
const STALLED_MS_MAX: Millis = 60_000;

export class EventStream {
  readonly #response: Response;
  readonly #clock: Clock;
  readonly #over = new AbortController();
  #written = "";
  readonly #keepBytesMax: number;

  /** @param keepBytesMax how much of what is written is kept, for `Idempotency-Key`; 0 for nothing */
  constructor(response: Response, clock: Clock, keepBytesMax = 0) {
    this.#response = response;
    this.#clock = clock;
    this.#keepBytesMax = keepBytesMax;
    response.status(200).set(SSE_HEADERS).flushHeaders();
    response.once("close", () => this.#over.abort());
    void this.#comments();
  }

  /** One event. Resolves when the client has room for more, or has gone. */
  async data(value: object | "[DONE]"): Promise<void> {
    const event = textOf(value);
    if (this.#written.length <= this.#keepBytesMax) this.#written += event;
    await this.#write(event);
  }

  /** A line that clients skip; a newer one makes an older one worthless, so nobody waits until it is read. */
  comment(text: string): void {
    const response = this.#response;
    if (!response.destroyed && !response.writableEnded && !response.writableNeedDrain) response.write(`: ${text}\n\n`);
  }

  end(): void {
    this.#over.abort();
    this.#response.end();
  }

  /** Everything that was written but the comments, and the [DONE] to come; null where it was more than is kept. */
  get writtenWithEnd(): string | null {
    return this.#written.length <= this.#keepBytesMax ? this.#written + textOf("[DONE]") : null;
  }

  async #write(text: string): Promise<void> {
    const response = this.#response;
    if (response.destroyed || response.writableEnded || response.write(text)) return;
    const drained = new AbortController();
    const stop = (): void => drained.abort();
    response.once("drain", stop).once("close", stop);
    await this.#clock.sleep(STALLED_MS_MAX, drained.signal);
    response.off("drain", stop).off("close", stop);
    if (!drained.signal.aborted) response.destroy();
  }

  async #comments(): Promise<void> {
    while (!this.#over.signal.aborted) {
      await this.#clock.sleep(COMMENT_EVERY_MS, this.#over.signal);
      if (!this.#over.signal.aborted) this.comment("still here");
    }
  }
}

const textOf = (value: object | "[DONE]"): string => `data: ${value === "[DONE]" ? value : JSON.stringify(value)}\n\n`;

export const SSE_HEADERS = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache, no-transform", "x-accel-buffering": "no" } as const;
