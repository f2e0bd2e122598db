// Chance for simulations: xoshiro128** (Blackman and Vigna 2018), small, fast, and the same on every machine for a seed.

/** One stream of chance. Streams forked under different names are independent of how much any other stream was used. */
export class Random {
  readonly #state = new Uint32Array(4);
  readonly #seed: number;

  /** @param seed any integer; its lower 32 bits count */
  constructor(seed: number) {
    this.#seed = seed >>> 0;
    let word = this.#seed;
    for (let i = 0; i < 4; i++) {
      // splitmix32, as the authors advise for seeding: never four zeros.
      word = (word + 0x9e3779b9) >>> 0;
      this.#state[i] = mix(word);
    }
  }

  /** A stream of its own for a purpose: the same seed and name give the same stream. */
  fork(name: string): Random {
    let hash = this.#seed ^ 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    return new Random(mix(hash >>> 0));
  }

  /** @returns an even integer in [0, 2^32) */
  word(): number {
    const s = this.#state;
    const result = Math.imul(rotate(Math.imul(s[1]!, 5), 7), 9) >>> 0;
    const shifted = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= shifted;
    s[3] = rotate(s[3]!, 11);
    return result;
  }

  /** @returns a number in [0, 1) with 53 bits */
  uniform(): number {
    return (this.word() * 2 ** 21 + (this.word() >>> 11)) / 2 ** 53;
  }

  /** @param bound 1 to 2^32 @returns an integer in [0, bound), off evenness by less than bound / 2^53 */
  below(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** @returns a draw of the exponential distribution */
  exponential(mean: number): number {
    return -Math.log1p(-this.uniform()) * mean;
  }

  /** @returns a draw of the geometric distribution on 1, 2, ... */
  geometric(mean: number): number {
    return mean <= 1 ? 1 : 1 + Math.floor(Math.log1p(-this.uniform()) / Math.log1p(-1 / mean));
  }

  /** Fills the words of a routing draw. */
  fill(words: Uint32Array): Uint32Array {
    for (let i = 0; i < words.length; i++) words[i] = this.word();
    return words;
  }
}

/** @returns an even number in [0, 1) that depends on the inputs alone: chance for things that are met in any order */
export function hashUnit(seed: number, value: number): number {
  return mix((mix(seed >>> 0) ^ Math.imul(value, 0x9e3779b1)) >>> 0) / 2 ** 32;
}

const rotate = (value: number, by: number): number => ((value << by) | (value >>> (32 - by))) >>> 0;

function mix(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
