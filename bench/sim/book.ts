// What every relayer knows of its own: what it sent to whom and has not come back, counted at once.
import type { Job } from "./job.ts";

/** One relayer's dispatches that have not ended, by node. */
export class Book {
  readonly inFlight: Int32Array;

  constructor(nodes: number) {
    this.inFlight = new Int32Array(nodes);
  }

  sent(node: number): void {
    this.inFlight[node]!++;
  }

  ended(job: Job): void {
    this.inFlight[job.node]!--;
  }
}
