// What requests are like at the moment: by the length of their prompts, because that tells much about the length of their answers.
//
// Remembered for a while and then forgotten; nothing of a request is kept but its lengths.
import type { Mix } from "./predict.ts";
import type { Tokens } from "../../protocol/units.ts";

/** A class of prompts of like length, means over its requests; products are averaged as products. */
export interface InputClass {
  /** Part of all requests. */
  readonly share: number;
  readonly inputTokens: Tokens;
  readonly inputSquared: number;
  readonly outTokens: Tokens;
  /** input x output + output^2 / 2: tokens of context over all iterations of decoding. */
  readonly contextTokens: number;
  readonly inputTokensMax: Tokens;
}

/** Four classes for each doubling of the length. */
const PER_OCTAVE = 4;
const CLASSES = 31 * PER_OCTAVE;
/** About so many requests are remembered. */
const REMEMBERED = 4_000;
/** Before anything was seen, and for how many requests that stands. */
const PRIOR = { requests: 20, inputTokens: 512, outTokens: 128 } as const;

/** Sums that fade by the same factor with each request. */
class Sums {
  requests = 0;
  input = 0;
  inputSquared = 0;
  answers = 0;
  out = 0;
  outSquared = 0;
  product = 0;

  arrived(inputTokens: Tokens, weight: number): void {
    this.requests += weight;
    this.input += weight * inputTokens;
    this.inputSquared += weight * inputTokens ** 2;
  }

  finished(inputTokens: Tokens, outTokens: Tokens, weight: number): void {
    this.answers += weight;
    this.out += weight * outTokens;
    this.outSquared += weight * outTokens ** 2;
    this.product += weight * inputTokens * outTokens;
  }

  scale(by: number): void {
    this.requests *= by;
    this.input *= by;
    this.inputSquared *= by;
    this.answers *= by;
    this.out *= by;
    this.outSquared *= by;
    this.product *= by;
  }
}

/** Weights are scaled back before they overflow. */
const WEIGHT_MAX = 1e9;

export class SizeMix implements Mix {
  readonly #all = new Sums();
  readonly #classes: (Sums | undefined)[] = new Array<Sums | undefined>(CLASSES);
  /** Newer requests weigh more, which is the same as the older ones fading. */
  #weight = 1;

  constructor() {
    this.#all.arrived(PRIOR.inputTokens, PRIOR.requests);
    this.#all.finished(PRIOR.inputTokens, PRIOR.outTokens, PRIOR.requests);
    this.#all.inputSquared *= 2;
    this.#all.outSquared *= 2;
  }

  arrived(inputTokens: Tokens): void {
    this.#weight *= 1 + 1 / REMEMBERED;
    this.#all.arrived(inputTokens, this.#weight);
    (this.#classes[classOf(inputTokens)] ??= new Sums()).arrived(inputTokens, this.#weight);
    if (this.#weight > WEIGHT_MAX) this.#rescale();
  }

  finished(inputTokens: Tokens, outTokens: Tokens): void {
    this.#all.finished(inputTokens, outTokens, this.#weight);
    this.#classes[classOf(inputTokens)]?.finished(inputTokens, outTokens, this.#weight);
  }

  get inputTokens(): Tokens {
    return this.#all.input / this.#all.requests;
  }

  get inputSquared(): number {
    return this.#all.inputSquared / this.#all.requests;
  }

  get outTokens(): Tokens {
    return this.#all.out / this.#all.answers;
  }

  get outSquared(): number {
    return this.#all.outSquared / this.#all.answers;
  }

  /** The mean answer to prompts of about this length; of all where too few were seen. */
  expectedOutTokens(inputTokens: Tokens): Tokens {
    const sums = this.#classes[classOf(inputTokens)];
    const answers = (sums?.answers ?? 0) / this.#weight;
    // Ten answers' worth of the general mean, so that one answer alone says little.
    return ((sums?.out ?? 0) / this.#weight + 10 * this.outTokens) / (answers + 10);
  }

  /** Classes that make up at least one part in a thousand. */
  classes(): InputClass[] {
    return this.#classes.flatMap((sums, i) => {
      if (!sums || sums.requests < 1e-3 * this.#all.requests) return [];
      const inputTokens = sums.input / sums.requests;
      const outTokens = this.expectedOutTokens(inputTokens);
      const known = sums.answers / this.#weight >= 10;
      return [{
        share: sums.requests / this.#all.requests, inputTokens, inputSquared: sums.inputSquared / sums.requests, outTokens,
        contextTokens: known ? (sums.product + sums.outSquared / 2) / sums.answers : inputTokens * outTokens + outTokens ** 2, inputTokensMax: 2 ** ((i + 1) / PER_OCTAVE),
      }];
    });
  }

  #rescale(): void {
    const by = 1 / this.#weight;
    this.#all.scale(by);
    for (const sums of this.#classes) sums?.scale(by);
    this.#weight = 1;
  }
}

/** Fewer classes of the same mix: neighbours are put together, those that make up least first. */
export function coarsened(classes: readonly InputClass[], most: number): readonly InputClass[] {
  const left = [...classes];
  while (left.length > Math.max(1, most)) {
    let at = 0;
    for (let i = 1; i + 1 < left.length; i++) if (left[i]!.share + left[i + 1]!.share < left[at]!.share + left[at + 1]!.share) at = i;
    left.splice(at, 2, together(left[at]!, left[at + 1]!));
  }
  return left;
}

function together(one: InputClass, other: InputClass): InputClass {
  const share = one.share + other.share;
  const mean = (of: (each: InputClass) => number): number => (one.share * of(one) + other.share * of(other)) / share;
  return {
    share, inputTokens: mean((each) => each.inputTokens), inputSquared: mean((each) => each.inputSquared), outTokens: mean((each) => each.outTokens),
    contextTokens: mean((each) => each.contextTokens), inputTokensMax: Math.max(one.inputTokensMax, other.inputTokensMax),
  };
}

const classOf = (inputTokens: Tokens): number => Math.min(CLASSES - 1, Math.floor(PER_OCTAVE * Math.log2(Math.max(1, inputTokens))));
