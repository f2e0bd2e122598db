// Chance from a hash: a draw's 32 bytes stretched into as many even numbers as a decision needs, the same on every machine.
import type { Hash } from "../../protocol/units.ts";

/** @returns the eight 32-bit words of a hash, most significant first. */
export function wordsOf(hash: Hash): Uint32Array {
  const words = new Uint32Array(8);
  for (let i = 0; i < 8; i++) words[i] = Number.parseInt(hash.slice(2 + 8 * i, 10 + 8 * i), 16);
  return words;
}

/**
 * Small fast counter generator (sfc32, Chris Doty-Humphrey, PractRand), seeded with three words of the draw and a round.
 * Not for secrets: the secret is the epoch's seed, from which the draw was hashed.
 */
export class Draws {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 1;

  /** Starts over for another draw, so that one object serves millions of decisions. */
  seed(words: Uint32Array, round: number): this {
    this.#a = words[0]! | 0;
    this.#b = words[1]! | 0;
    this.#c = (words[2]! ^ Math.imul(round, 0x9e3779b9)) | 0;
    this.#counter = 1;
    for (let i = 0; i < 8; i++) this.next();
    return this;
  }

  /** An even number in [0, 2^32). */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** An even number in [0, bound), 1 <= bound <= 2^32: what lies above is masked and drawn again, so none is favoured. */
  below(bound: number): number {
    const mask = bound <= 1 ? 0 : 0xffffffff >>> Math.clz32(bound - 1);
    for (;;) {
      const value = (this.next() & mask) >>> 0;
      if (value < bound) return value;
    }
  }
}
