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
    this.prefillTokens[node]! += job.inputTokens;
    this.inputTokens[node]! += job.inputTokens;
  }

  firstToken(job: Job): void {
    this.prefillTokens[job.node]! -= job.inputTokens;
  }

  ended(job: Job): void {
    this.inFlight[job.node]!--;
    this.inputTokens[job.node]! -= job.inputTokens;
    if (job.firstMs < 0) this.prefillTokens[job.node]! -= job.inputTokens;
  }
}
