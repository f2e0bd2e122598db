// Every function, error and event of the interfaces is described, and so is each of its arguments and answers: the compiler's
// own documentation output is asked, not the sources.
import { expect } from "chai";
import { globSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

interface Parameter {
  readonly name: string;
  readonly type: string;
  readonly components?: readonly Parameter[];
}

interface AbiItem {
  readonly type: "function" | "error" | "event" | "constructor";
  readonly name: string;
  readonly inputs: readonly Parameter[];
  readonly outputs?: readonly Parameter[];
}

interface Docs {
  readonly notice?: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly returns?: Readonly<Record<string, string>>;
}

/** Errors may be overloaded by the compiler's reckoning: theirs are lists. */
type PerItem = Readonly<Record<string, Docs | readonly Docs[]>>;

interface Described {
  readonly abi: readonly AbiItem[];
  readonly userdoc: { readonly methods?: PerItem; readonly errors?: PerItem; readonly events?: PerItem };
  readonly devdoc: { readonly methods?: PerItem; readonly errors?: PerItem; readonly events?: PerItem };
}

const root = join(import.meta.dirname, "../..");
const solc = createRequire(import.meta.url)("solc") as { compile(input: string, callbacks: { import(path: string): { contents: string } }): string };
const tables = { function: "methods", error: "errors", event: "events" } as const;

describe("the interfaces' documentation", function () {
  this.timeout(60_000);
  const paths = globSync("contracts/interfaces/*.sol", { cwd: root }).toSorted();

  it("says what every function, error and event is for, and each argument and answer", () => {
    const described = describeAll(paths, (text) => text);
    const names = described.map(([name]) => name);
    expect(names).to.include.members(["IEscrow", "IBatchSettlement", "IFraudProofs", "IInferenceGateway", "IDepositBoxes"]);
    expect(described.flatMap(([, contract]) => contract.abi).length).to.be.above(250);
    expect(described.flatMap(([name, contract]) => missingOf(name, contract))).to.deep.equal([]);
  });

  it("would notice whatever is not described", () => {
    const bare = describeAll(["contracts/interfaces/IVoids.sol"], (text) => text.replace(/^ *\/\/\/ @(param leafHash|return).*\n/gm, ""));
    expect(bare.flatMap(([name, contract]) => missingOf(name, contract))).to.deep.equal([
      "IVoids.condemnedAt: @return 0", "IVoids.isVoided: @param leafHash", "IVoids.isVoided: @return 0",
    ]);
    const silent = describeAll(["contracts/interfaces/IVoids.sol"], (text) => text.replace(/^ *\/\/\/ @notice.*\n/gm, ""));
    expect(silent.flatMap(([name, contract]) => missingOf(name, contract))).to.deep.equal(["IVoids.condemnedAt: @notice", "IVoids.isVoided: @notice"]);
  });
});

function describeAll(paths: readonly string[], bend: (text: string) => string): readonly [string, Described][] {
  const read = (path: string): string => readFileSync(join(root, path.startsWith("@") ? "node_modules" : ".", path), "utf8");
  const sources = Object.fromEntries(paths.map((path) => [path, { content: bend(read(path)) }]));
  const settings = { evmVersion: "cancun", outputSelection: { "*": { "*": ["abi", "devdoc", "userdoc"] } } };
  const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings }), { import: (path) => ({ contents: read(path) }) })) as { contracts: Record<string, Record<string, Described>> };
  return paths.flatMap((path) => Object.entries(output.contracts[path] ?? {}));
}

function missingOf(contract: string, { abi, userdoc, devdoc }: Described): readonly string[] {
  return abi.flatMap((item) => {
    if (item.type === "constructor") return [];
    const table = tables[item.type];
    const signature = `${item.name}(${item.inputs.map(canonical).join(",")})`;
    const user = docsOf(userdoc[table], signature);
    const developer = docsOf(devdoc[table], signature);
    const inputs = item.inputs.filter(({ name }) => name !== "" && !developer.params?.[name]).map(({ name }) => `@param ${name}`);
    const outputs = (item.outputs ?? []).map(({ name }, i) => name || `_${i}`).filter((name) => !developer.returns?.[name]).map((name) => `@return ${name.replace(/^_/, "")}`);
    return [...(user.notice ? [] : ["@notice"]), ...inputs, ...outputs].map((what) => `${contract}.${item.name}: ${what}`);
  });
}

function docsOf(items: PerItem | undefined, signature: string): Docs {
  const found = items?.[signature];
  return (Array.isArray(found) ? (found as readonly Docs[])[0] : found as Docs | undefined) ?? {};
}

const canonical = ({ type, components }: Parameter): string => (components ? `(${components.map(canonical).join(",")})${type.slice("tuple".length)}` : type);
