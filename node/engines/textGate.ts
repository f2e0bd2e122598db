// Holds back the end of a text while it may be the beginning of a stop string, and cuts the text where one is complete.
import type { Tokens } from "../../protocol/units.ts";

export interface GatedText {
  readonly text: string;
  /** Of the tokens that came in, those whose text has now left in full. */
  readonly tokens: Tokens;
}

export class TextGate {
  readonly #stops: readonly string[];
  #held = "";
  /** The pieces that make up the held text, oldest first. */
  #pieces: { length: number; tokens: Tokens; begun: boolean }[] = [];

  /** @param stops empty strings are ignored. */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** @returns what may leave now; `stopped` where a stop string is complete: nothing after it ever leaves. */
  push(text: string, tokens: Tokens): GatedText & { readonly stopped: boolean } {
    this.#held += text;
    this.#pieces.push({ length: text.length, tokens, begun: false });
    const at = earliest(this.#held, this.#stops);
    if (at >= 0) return { ...this.#cut(at), stopped: true };
    return { ...this.#release(this.#held.length - this.#doubtful()), stopped: false };
  }

  /** What is left when the text ends without a stop string. */
  flush(): GatedText {
    return this.#release(this.#held.length);
  }

  #release(length: number): GatedText {
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    let tokens = 0;
    let left = length;
    while (this.#pieces.length > 0 && this.#pieces[0]!.length <= left) {
      left -= this.#pieces[0]!.length;
      tokens += this.#pieces.shift()!.tokens;
    }
    if (left > 0) Object.assign(this.#pieces[0]!, { length: this.#pieces[0]!.length - left, begun: true });
    return { text, tokens };
  }

  /** A token that was delivered in part counts: its beginning is in the text. */
  #cut(length: number): GatedText {
    const released = this.#release(length);
    const split = this.#pieces[0]?.begun ? this.#pieces[0].tokens : 0;
    this.#held = "";
    this.#pieces = [];
    return { text: released.text, tokens: released.tokens + split };
  }

  /** Length of the longest end of the held text that begins a stop string. */
  #doubtful(): number {
    let most = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, this.#held.length); length > most; length--) {
        if (this.#held.endsWith(stop.slice(0, length))) most = length;
      }
    }
    return most;
  }
}

const earliest = (text: string, stops: readonly string[]): number =>
  stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0).reduce((least, at) => (least < 0 ? at : Math.min(least, at)), -1);
