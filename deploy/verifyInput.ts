// What a block explorer is given to verify a contract: the compiler's standard JSON with just the sources that it needs.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TidelaneError } from "../protocol/errors.ts";
import { artifacts } from "./artifacts.ts";

export interface VerifyInput {
  readonly contract: string;
  /** `path:Name`, as explorers ask for it. */
  readonly qualifiedName: string;
  /** Such as `0.8.37+commit.f401782d`. */
  readonly compiler: string;
  readonly input: StandardJson;
}

export interface StandardJson {
  readonly language: "Solidity";
  readonly sources: Readonly<Record<string, { readonly content: string }>>;
  readonly settings: Readonly<Record<string, unknown>>;
}

interface BuildInfo {
  readonly solcLongVersion: string;
  readonly input: StandardJson;
}

interface Ast {
  readonly nodes?: readonly { readonly nodeType: string; readonly absolutePath?: string }[];
}

/**
 * The same text for the same sources, whatever else was compiled beside them.
 * @param contract a name of a compiled contract; `compile()` comes first.
 * @throws TidelaneError `compilation_failed` where it was not compiled.
 */
export async function verifyInputOf(contract: string): Promise<VerifyInput> {
  const { inputSourceName, buildInfoId } = await artifacts.loadArtifact(contract) as unknown as { inputSourceName: string; buildInfoId: string };
  const info = readBuild(buildInfoId, "") as BuildInfo;
  const { output } = readBuild(buildInfoId, ".output") as { output: { sources: Record<string, { ast: Ast }> } };
  const { language, sources, settings: { optimizer, evmVersion, remappings } } = info.input;
  const needed = closure(inputSourceName, (path) => importsOf(output.sources[path]?.ast ?? {}));
  const own = Object.fromEntries(needed.map((path) => [path, { content: sources[path]!.content }]));
  const outputSelection = { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences", "metadata"] } };
  return {
    contract,
    qualifiedName: `${inputSourceName}:${contract}`,
    compiler: info.solcLongVersion,
    input: { language, sources: own, settings: { optimizer, evmVersion, remappings, outputSelection } },
  };
}

/** Builds are large and few. */
const builds = new Map<string, unknown>();

function readBuild(id: string, suffix: string): unknown {
  const known = builds.get(id + suffix);
  if (known) return known;
  const file = join(import.meta.dirname, "..", "artifacts", "build-info", `${id}${suffix}.json`);
  if (!existsSync(file)) throw new TidelaneError(`${file} is missing; run: npm run compile`, { code: "compilation_failed" });
  const build: unknown = JSON.parse(readFileSync(file, "utf8"));
  builds.set(id + suffix, build);
  return build;
}

const importsOf = (ast: Ast): readonly string[] =>
  (ast.nodes ?? []).filter(({ nodeType }) => nodeType === "ImportDirective").map(({ absolutePath }) => absolutePath!);

/** The path and all that it imports, however far, in order. */
function closure(path: string, importsOf_: (path: string) => readonly string[]): readonly string[] {
  const found = new Set([path]);
  for (const one of found) for (const imported of importsOf_(one)) found.add(imported);
  return [...found].toSorted();
}
