// A task's place in the lobby: what it is told while it waits, and the node that it is given in the end.
import type { Announced } from "../lobby/errand.ts";
import type { Choice } from "./routingRequest.ts";
import type { Millis } from "../../protocol/units.ts";

/** What a waiting client is told; its clock need not be ours. */
export interface Waiting {
  readonly type: "waiting";
  /** From 1. */
  readonly position: number;
  readonly expectedInMs: Millis;
}

export class Place {
  #choice: Choice | null = null;
  #error: unknown = null;
  #isTaken = false;
  #isOver = false;
  #announced: Waiting | null = null;
  #wake: () => void = () => undefined;
  readonly #onLeft: () => void;

  /** @param onLeft called when nobody wants it any more */
  constructor(onLeft: () => void) {
    this.#onLeft = onLeft;
  }

  /** Resolved with a node, refused, or left. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get hasNode(): boolean {
    return this.#choice !== null;
  }

  /** What is to be told changes at each announcement; one that nobody has heard yet is replaced. */
  announce({ position, expectedStartMs }: Announced, nowMs: Millis): void {
    this.#announced = { type: "waiting", position, expectedInMs: Math.max(0, expectedStartMs - nowMs) };
    this.#wake();
  }

  give(choice: Choice): void {
    if (this.#isOver) return choice.booking.release("unsent");
    this.#choice = choice;
    this.#over();
  }

  refuse(error: unknown): void {
    if (this.#isOver) return;
    this.#error = error;
    this.#over();
  }

  /**
   * Announcements, then the node.
   * @throws what it was refused with; the signal's error where the client leaves meanwhile
   */
  async *wait(client: AbortSignal, goneError: () => Error): AsyncGenerator<Waiting, Choice> {
    const onGone = (): void => this.refuse(goneError());
    client.addEventListener("abort", onGone, { once: true });
    try {
      if (client.aborted) onGone();
      for (;;) {
        if (this.#choice) {
          this.#isTaken = true;
          return this.#choice;
        }
        if (this.#isOver) throw this.#error;
        const told = this.#announced;
        this.#announced = null;
        if (told) yield told;
        else await new Promise<void>((wake) => (this.#wake = wake));
      }
    } finally {
      client.removeEventListener("abort", onGone);
      this.#leave();
    }
  }

  /** Of no effect once the node was taken: from then on it is the taker's to release. */
  #leave(): void {
    if (this.#isTaken) return;
    this.#choice?.booking.release("unsent");
    this.#choice = null;
    this.#over();
    this.#onLeft();
  }

  #over(): void {
    this.#isOver = true;
    this.#wake();
  }
}
