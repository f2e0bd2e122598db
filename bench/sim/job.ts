// A request on its way through a simulated system.
import type { Arrivals } from "./trace.ts";

export type JobState = "offered" | "refused" | "sent" | "first" | "done" | "failed";

/** What a policy may know of a request, and what became of it. */
export class Job {
  /** Place in the arrivals. */
  readonly id: number;
  readonly arrivalMs: number;
  readonly inputTokens: number;
  /** The truth, which no policy may read before the end. */
  readonly outputTokens: number;
  /** As the client declares it. */
  readonly maxOutTokens: number;
  /** Unique over copies; -1 where the trace names none. */
  readonly session: number;
  /** Whose bill it is: fairness is between payers. */
  readonly payer: number;
  readonly blocks: Int32Array | null;
  /** Added to each block id: copies of a trace share nothing. */
  readonly blockOffset: number;
  readonly ttftTargetMs: number;
  readonly tpotTargetMs: number;
  /** Which relayer it came to. */
  readonly relayer: number;
  state: JobState = "offered";
  node = -1;
  sentMs = -1;
  firstMs = -1;
  endMs = -1;
  preemptions = 0;
  /** When the client was first told that it would start; -1 where it was told nothing. */
  announcedStartMs = -1;

  constructor(parts: JobParts) {
    const { arrivals, id, targets, maxOutTokens, payer, relayer } = parts;
    const { trace } = arrivals;
    const row = arrivals.row[id]!;
    const copy = arrivals.copy[id]!;
    this.id = id;
    this.arrivalMs = arrivals.timeMs[id]!;
    this.inputTokens = trace.inputTokens[row]!;
    this.outputTokens = trace.outputTokens[row]!;
    this.maxOutTokens = maxOutTokens;
    this.session = trace.sessions[row]! < 0 ? -1 : trace.sessions[row]! + copy * trace.sessionsEnd;
    this.payer = payer;
    this.blocks = trace.blocks?.[row] ?? null;
    this.blockOffset = copy * trace.blockIdsEnd;
    this.ttftTargetMs = targets.ttftMs;
    this.tpotTargetMs = targets.tpotMs;
    this.relayer = relayer;
  }

  get deadlineMs(): number {
    return this.arrivalMs + this.ttftTargetMs;
  }

  get ttftMs(): number {
    return this.firstMs < 0 ? Infinity : this.firstMs - this.arrivalMs;
  }

  /** 0 where there is one token only. */
  get tpotMs(): number {
    if (this.state !== "done") return Infinity;
    return this.outputTokens <= 1 ? 0 : (this.endMs - this.firstMs) / (this.outputTokens - 1);
  }

  get isGood(): boolean {
    return this.state === "done" && this.ttftMs <= this.ttftTargetMs && this.tpotMs <= this.tpotTargetMs;
  }
}

export interface Targets {
  readonly ttftMs: number;
  readonly tpotMs: number;
}

export interface JobParts {
  readonly arrivals: Arrivals;
  readonly id: number;
  readonly targets: Targets;
  readonly maxOutTokens: number;
  readonly payer: number;
  readonly relayer: number;
}
