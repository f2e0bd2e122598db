// Every revert is a custom error with the values at fault, and a test asserts those values: the list is read from the contracts.
import { globSync, readFileSync } from "node:fs";
import { expect } from "chai";

const textOf = (pattern: string): string => globSync(pattern).filter((path) => !path.includes("/mocks/")).sort().map((path) => readFileSync(path, "utf8")).join("\n");
const withoutComments = (text: string): string => text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/\/\/.*$/gm, "");
const contracts = withoutComments(textOf("contracts/**/*.sol"));
const tests = withoutComments(textOf("test/contracts/**/*.sol"));

interface DeclaredError {
  readonly name: string;
  readonly parameters: number;
}

const errors: readonly DeclaredError[] = [...contracts.matchAll(/\berror\s+(\w+)\(([^)]*)\)/g)].map(([, name, list]) => ({ name: name!, parameters: list!.trim() === "" ? 0 : list!.split(",").length }));

/** The text between a bracket and the one that closes it, cut at its outer commas. */
function argumentsAt(text: string, open: number): string[] {
  const parts = [""];
  let depth = 0;
  for (let i = open; i < text.length; ++i) {
    const char = text[i]!;
    if (")]}".includes(char) && --depth === 0) break;
    if (char === "," && depth === 1) parts.push("");
    else if (depth > 0) parts[parts.length - 1] += char;
    if ("([{".includes(char)) ++depth;
  }
  return parts.map((part) => part.trim());
}

/** How many values a test gives each time that it encodes this error. */
function asserted({ name }: DeclaredError): number[] {
  const selected = [...tests.matchAll(/encodeWithSelector(?=\()/g)]
    .map((match) => argumentsAt(tests, match.index + match[0].length))
    .filter(([selector]) => new RegExp(`(^|\\.)${name}\\.selector$`).test(selector!));
  const named = [...tests.matchAll(new RegExp(`encodeWithSignature(?=\\("${name}\\()`, "g"))].map((match) => argumentsAt(tests, match.index + match[0].length));
  return [...selected, ...named].map((found) => found.length - 1);
}

describe("errors of the contracts", () => {
  it("are found, all of them", () => {
    expect(errors.length).to.be.above(100);
    expect(argumentsAt("f(a, g(b, c), [d, e])", 1)).to.deep.equal(["a", "g(b, c)", "[d, e]"]);
  });

  it("are custom errors everywhere", () => {
    expect(contracts.match(/\brequire\s*\(|\brevert\s*\(|\bassert\s*\(/g)).to.equal(null);
  });

  it("are asserted by a test with all of their values", () => {
    const missing = errors.filter((error) => !asserted(error).includes(error.parameters)).map(({ name, parameters }) => `${name} (${parameters} values)`);
    expect([...new Set(missing)]).to.deep.equal([]);
  });
});
