// All mutants in one compilation: each stands beside the code that it replaces, behind a question that the tests' chain answers.
//
//     if (amount > free) revert ...    becomes    if ((mutantOn(7) ? amount >= free : amount > free)) revert ...
//
// `block.coinbase` is the number of the mutant that is on, and zero in the original; no contract of this project reads it.
import { createHash } from "node:crypto";
import { placesOf, Text, type Node, type Place } from "./operators.ts";
import { compile, testFiles, type CompilerError, type CompilerOutput, type Sources } from "./sources.ts";

export interface Mutant {
  readonly id: number;
  readonly file: string;
  /** A hash of the file's text. */
  readonly text: string;
  readonly line: number;
  readonly operator: string;
  readonly before: string;
  readonly after: string;
  readonly places: readonly Place[];
}

/** Mutants that compile, and what they compile to beside the tests. */
export interface Mutated {
  readonly mutants: readonly Mutant[];
  readonly output: CompilerOutput;
}

const SWITCH = "mutation/Switch.sol";
const GUARD = "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
const ROUNDS_MAX = 12;
const TESTS_OUTPUT = Object.fromEntries(testFiles.map((path) => [path, { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] }]));
const SWITCH_TEXT = `// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;
function isOn(uint256 id) view returns (bool) { return uint160(address(block.coinbase)) == id; }
function mutantOn(uint256 id) pure returns (bool) {
    function(uint256) view returns (bool) reading = isOn;
    function(uint256) pure returns (bool) asking;
    assembly { asking := reading }
    return asking(id);
}
`;

/** @param files the contracts to mutate. */
export function mutate(original: Sources, files: readonly string[]): Mutated {
  const sources = withSwitch(original, files);
  const { sources: trees } = compile(sources, { "*": { "": ["ast"] } });
  let mutants = files.flatMap((file) => mutantsOf(file, sources, placesOf(file, sources, trees[file]!.ast as Node)));
  mutants = mutants.map((mutant, i) => ({ ...mutant, id: i + 1 }));
  for (let round = 0; round < ROUNDS_MAX; ++round) {
    const woven = files.map((file) => weave(file, sources[file]!, mutants));
    const texts = Object.fromEntries(woven.map(({ file, text }) => [file, text]));
    const output = compile({ ...sources, ...texts }, TESTS_OUTPUT);
    const errors = (output.errors ?? []).filter((error) => error.severity === "error");
    if (errors.length === 0) return { mutants, output };
    const spans = woven.flatMap((one) => one.spans);
    const bad = new Set(errors.map((error) => blamed(error, spans)));
    mutants = mutants.filter((mutant) => !bad.has(mutant.id));
  }
  throw new Error(`after ${ROUNDS_MAX} rounds there are still mutants that do not compile`);
}

/** The switch, imported where it is asked, and beside each modifier one that can be switched off; no line moves. */
function withSwitch(sources: Sources, files: readonly string[]): Sources {
  const changed = [...files, GUARD].map((path) => [path, withModifiers(sources[path]!).replace(/^pragma solidity [^;]+;/m, (pragma) => `${pragma} import {mutantOn} from "${SWITCH}";`)]);
  return { ...sources, [SWITCH]: SWITCH_TEXT, ...Object.fromEntries(changed) as Sources };
}

function withModifiers(text: string): string {
  return text.replaceAll(/modifier (nonReentrant|only[A-Z]\w*)\(\) \{([\s\S]*?)_;([\s\S]*?)\n    \}/g, (whole, name: string, before: string, after: string) => {
    const [ask, tell] = [before, after].map((part) => part.replaceAll(/\s+/g, " "));
    return `${whole} modifier ${name}Unless(uint256 mutant) { if (!mutantOn(mutant)) {${ask}} _; if (!mutantOn(mutant)) {${tell}} }`;
  });
}

export const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);

function mutantsOf(file: string, sources: Sources, places: readonly Place[]): Mutant[] {
  const text = new Text(sources[file]!);
  const hash = hashOf(sources[file]!);
  const groups = new Map<string, Place[]>();
  for (const [i, place] of places.entries()) {
    const key = place.group ?? `#${i}`;
    groups.set(key, [...(groups.get(key) ?? []), place]);
  }
  return [...groups.values()].map((group) => {
    const { start, end, operator, after } = group[0]!;
    return { id: 0, file, text: hash, line: text.lineOf(start), operator, before: text.slice(start, end), after, places: group };
  });
}

/** Where a mutant stands in the text as written, in bytes. */
interface Span {
  readonly id: number;
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

type Numbered = Place & { readonly id: number };

/** Pure insertions: an outer place opens before the inner ones at the same offset, and closes after them. */
function weave(file: string, source: string, mutants: readonly Mutant[]): { file: string; text: string; spans: Span[] } {
  const places: Numbered[] = mutants.filter((mutant) => mutant.file === file).flatMap((mutant) => mutant.places.map((place) => ({ ...place, id: mutant.id })));
  const bytes = Buffer.from(source, "utf8");
  const outerFirst = places.toSorted((a, b) => a.start - b.start || b.end - a.end || rank(a) - rank(b));
  const opens = Map.groupBy(outerFirst, (place) => place.start);
  const closes = Map.groupBy(outerFirst.toReversed(), (place) => place.end);
  const marks = [...new Set([...opens.keys(), ...closes.keys()])].sort((a, b) => a - b);
  const parts: Buffer[] = [];
  const started = new Map<Numbered, number>();
  const spans: Span[] = [];
  let length = 0;
  let from = 0;
  const put = (part: Buffer): void => {
    parts.push(part);
    length += part.length;
  };
  for (const mark of marks) {
    put(bytes.subarray(from, mark));
    from = mark;
    for (const place of closes.get(mark) ?? []) {
      put(Buffer.from(close(place)));
      spans.push({ id: place.id, file, start: started.get(place)!, end: length });
    }
    for (const place of opens.get(mark) ?? []) {
      started.set(place, length);
      put(Buffer.from(open(place)));
    }
  }
  put(bytes.subarray(from));
  return { file, text: Buffer.concat(parts).toString("utf8"), spans };
}

/** A statement and the expression that it consists of may span the same bytes. */
const rank = (place: Place): number => (place.form === "statement" ? 0 : 1);

function open({ form, id, after }: Numbered): string {
  if (form === "modifier") return "";
  if (form === "expression") return `(mutantOn(${id}) ? ${after} : `;
  return after === "" ? `{ if (!mutantOn(${id})) { ` : `{ if (mutantOn(${id})) { ${after} } else { `;
}

function close({ form, id }: Numbered): string {
  if (form === "modifier") return `Unless(${id})`;
  return form === "expression" ? ")" : " } }";
}

/** The mutant that an error speaks of: the one that it names whole, else the widest inside it, else the closest around it. */
function blamed(error: CompilerError, spans: readonly Span[]): number {
  const at = error.sourceLocation ?? { file: "", start: 0, end: 0 };
  const inFile = spans.filter((span) => span.file === at.file).toSorted((a, b) => a.end - a.start - (b.end - b.start));
  const whole = inFile.find((span) => Math.abs(at.start - span.start) <= 1 && Math.abs(span.end - at.end) <= 1);
  const inside = inFile.findLast((span) => at.start <= span.start && span.end <= at.end);
  const around = inFile.find((span) => span.start <= at.start && at.end <= span.end);
  const chosen = whole ?? inside ?? around;
  if (!chosen) throw new Error(`the mutated sources do not compile, and not for a mutant:\n${error.formattedMessage}`);
  return chosen.id;
}
