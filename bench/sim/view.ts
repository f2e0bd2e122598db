// What predicting policies share: nodes as the relayer's predictor sees them, own work in flight, and what requests are like.
import { Book } from "./book.ts";
import type { Job } from "./job.ts";
import type { NodeProfile } from "./profiles.ts";
import type { World } from "./policy.ts";
import type { Mix, NodeLoad, NodeModel } from "../../relayer/lobby/predict.ts";

/** The curve as a node attests it. */
export const modelOf = (profile: NodeProfile): NodeModel => ({
  curve: {
    aNs: Math.round(profile.a * 1e6), bNs: Math.round(profile.b * 1e6), cNs: Math.round(profile.c * 1e6), dNs: Math.round(profile.d * 1e6), ePs: Math.round(profile.e * 1e9),
  },
  slots: profile.batchLimit, kvTokens: profile.kvTokens, chunkTokens: profile.chunkTokens,
});

/** About so many finished requests are remembered. */
const REMEMBERED = 500;
/** What stands before anything was seen, and for how many requests it stands. */
const PRIOR = 20;
const MIX_START = { inputTokens: 512, outTokens: 128, inputSquared: 512 * 1_024 };

/** Running means of what arrives and of what comes back. */
export class RunningMix implements Mix {
  inputTokens: number = MIX_START.inputTokens;
  outTokens: number = MIX_START.outTokens;
  inputSquared: number = MIX_START.inputSquared;
  #seenIn = PRIOR;
  #seenOut = PRIOR;

  arrived(inputTokens: number): void {
    const part = 1 / Math.min(++this.#seenIn, REMEMBERED);
    this.inputTokens += part * (inputTokens - this.inputTokens);
    this.inputSquared += part * (inputTokens ** 2 - this.inputSquared);
  }

  finished(outTokens: number): void {
    this.outTokens += (outTokens - this.outTokens) / Math.min(++this.#seenOut, REMEMBERED);
  }
}

/** Nodes with the load that the relayer itself has put on them. */
export class OwnView {
  readonly models: readonly NodeModel[];
  readonly book: Book;
  readonly mix = new RunningMix();

  constructor(world: World) {
    this.models = world.profiles.map(modelOf);
    this.book = new Book(world.profiles.length);
  }

  /** @param more requests like this one are added */
  loadOf(node: number, more: Job | null = null): NodeLoad {
    const running = this.book.inFlight[node]! + (more ? 1 : 0);
    const grown = (running * this.mix.outTokens) / 2;
    return { running, backlogTokens: this.book.prefillTokens[node]!, backlogSquares: this.book.prefillSquares[node]!, contextTokens: this.book.inputTokens[node]! + (more?.inputTokens ?? 0) + grown };
  }

  ended(job: Job, isDone: boolean): void {
    this.book.ended(job);
    if (isDone) this.mix.finished(job.outputTokens);
  }
}
