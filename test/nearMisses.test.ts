// Counts the near misses of test/contracts/near: for each proof ten situations at least in which an honest party goes free, each
// with its guilty sibling beside it.
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const PROOFS = 13;
const EACH = 10;
/** How a test says that evidence proves nothing, and that its sibling's does: FraudProofs' own condemnation is the proof of F9. */
const REFUSED = /_expect(NotProven|NothingWrong|NotTheSame|Neighbours|NotSigned|KeyOver|NoConflict|Refused)\(/;
const HOLDS = /_guilty\(|proofs\.condemn\(/;

interface NearMiss {
  readonly file: string;
  readonly name: string;
  readonly proof: number;
  /** Its own text and that of all that it calls in its file. */
  readonly text: string;
}

const nearMisses = globSync("test/contracts/near/*.t.sol", { cwd: root }).flatMap(nearMissesOf);

function nearMissesOf(file: string): NearMiss[] {
  const bodies = bodiesOf(readFileSync(join(root, file), "utf8"));
  return [...bodies.keys()].flatMap((name): NearMiss[] => {
    const proof = /^test_near_F(\d+)_\w+$/.exec(name)?.[1];
    return proof === undefined ? [] : [{ file, name, proof: Number(proof), text: reachedFrom(name, bodies) }];
  });
}

/** Each function's text, by name; several of one name together. */
function bodiesOf(source: string): Map<string, string> {
  const bodies = new Map<string, string>();
  for (const part of source.split(/\n {4}function /).slice(1)) {
    const name = /^\w+/.exec(part)![0];
    bodies.set(name, (bodies.get(name) ?? "") + part.slice(name.length, part.indexOf("\n    }")));
  }
  return bodies;
}

function reachedFrom(name: string, bodies: ReadonlyMap<string, string>): string {
  const reached = new Set([name]);
  for (const one of reached) for (const [, called] of bodies.get(one)!.matchAll(/\b(\w+)\(/g)) if (bodies.has(called!)) reached.add(called!);
  return [...reached].map((one) => bodies.get(one)).join("\n");
}

describe("near misses", () => {
  for (let proof = 1; proof <= PROOFS; proof++) {
    it(`of F${proof} are ten at least`, () => {
      const names = new Set(nearMisses.filter((one) => one.proof === proof).map((one) => one.name));
      expect(names.size).to.be.at.least(EACH);
    });
  }

  it("each show what proves nothing, and what does", () => {
    const halves = nearMisses.filter(({ text }) => !REFUSED.test(text) || !HOLDS.test(text)).map(({ file, name }) => `${file}: ${name}`);
    expect(halves).to.deep.equal([]);
  });

  it("are all named after the proof that they miss", () => {
    const tests = globSync("test/contracts/near/*.t.sol", { cwd: root }).flatMap((file) => [...readFileSync(join(root, file), "utf8").matchAll(/function (test\w*)\(/g)].map((match) => match[1]!));
    expect(tests.length).to.equal(nearMisses.length);
  });
});
