// Marks of a prompt: fingerprints of its beginnings, which tell how much of an earlier prompt a later one repeats.
//
// An engine holds what it has read, not what a client calls it: prompts under one cache key may have nothing in common.
import { createHash } from "node:crypto";

export interface PromptMarks {
  /** Of the whole prompt. */
  readonly chars: number;
  /** Fingerprints of the beginnings of LENGTHS, as far as the prompt reaches, one after the other: a hundred thousand of them are kept. */
  readonly marks: string;
}

const CHARS_MIN = 256;
/** Each beginning is so many times as long as the one before: what is repeated is known to about a tenth. */
const TIMES = 1.2;
/** Bodies are shorter than the last one. */
const LENGTHS: readonly number[] = Array.from({ length: 60 }, (_, i) => Math.floor(CHARS_MIN * TIMES ** i));
/** Six bytes: two prompts that differ pass for alike once in 10^14. */
const MARK_CHARS = 8;

/** @param texts of its messages, in order */
export function marksOf(texts: readonly string[]): PromptMarks {
  const text = texts.join("\n");
  const hash = createHash("sha256");
  let read = 0;
  const marks = LENGTHS.filter((length) => length <= text.length).map((length) => {
    hash.update(text.slice(read, length));
    read = length;
    return hash.copy().digest("base64").slice(0, MARK_CHARS);
  });
  return { chars: text.length, marks: marks.join("") };
}

/** Which part of a prompt, 0 to 1, is known to repeat the beginning of an earlier one. */
export function repeatedPart({ chars, marks }: PromptMarks, earlier: PromptMarks): number {
  // Searched by halves, for it is asked for everybody who waits each time a place is looked for: beginnings that differ make all longer ones differ.
  let [alike, differing] = [0, marks.length / MARK_CHARS + 1];
  while (differing - alike > 1) {
    const middle = (alike + differing) >> 1;
    if (marks.slice(0, middle * MARK_CHARS) === earlier.marks.slice(0, middle * MARK_CHARS)) alike = middle;
    else differing = middle;
  }
  return alike === 0 ? 0 : LENGTHS[alike - 1]! / chars;
}
