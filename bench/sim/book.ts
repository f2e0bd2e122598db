// What every relayer knows of its own: what it sent to whom and what came back, counted at once.
import type { Job } from "./job.ts";

/** One relayer's dispatches that have not ended, by node. */
export class Book {
  readonly inFlight: Int32Array;
  /** Prompt tokens whose first output token has not come. */
  readonly prefillTokens: Float64Array;
  /** Prompt tokens of everything in flight. */
  readonly inputTokens: Float64Array;

  constructor(nodes: number) {
    this.inFlight = new Int32Array(nodes);
    this.prefillTokens = new Float64Array(nodes);
    this.inputTokens = new Float64Array(nodes);
  }

  sent(job: Job, node: number): void {
    this.inFlight[node]!++;
    this.#unread(job, node, 1);
    this.inputTokens[node]! += job.inputTokens;
  }

  firstToken(job: Job): void {
    this.#unread(job, job.node, -1);
  }

  ended(job: Job): void {
    this.inFlight[job.node]!--;
    this.inputTokens[job.node]! -= job.inputTokens;
    if (job.firstMs < 0) this.#unread(job, job.node, -1);
  }

  #unread(job: Job, node: number, sign: 1 | -1): void {
    this.prefillTokens[node]! += sign * job.inputTokens;
  }
}
