// The Solidity sources of contracts and tests, as the compiler wants them, and one way to compile them in this process.
import { globSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Path from the root, or the import path of a package, to text. */
export type Sources = Readonly<Record<string, string>>;

export interface CompilerError {
  readonly severity: "error" | "warning" | "info";
  readonly formattedMessage: string;
  readonly sourceLocation?: { readonly file: string; readonly start: number; readonly end: number };
}

export interface CompiledContract {
  readonly abi: readonly { readonly type: string; readonly name?: string }[];
  readonly evm: { readonly bytecode: { readonly object: string }; readonly deployedBytecode: { readonly object: string } };
}

export interface CompilerOutput {
  readonly errors?: readonly CompilerError[];
  readonly sources: Readonly<Record<string, { readonly ast: unknown }>>;
  readonly contracts: Readonly<Record<string, Readonly<Record<string, CompiledContract>>>>;
}

const solc = createRequire(import.meta.url)("solc") as { compile(input: string): string };
export const testFiles = globSync("test/contracts/**/*.t.sol", { cwd: root }).sort();

/** Everything that the Solidity tests import, themselves included. */
export function readSources(): Sources {
  const sources: Record<string, string> = {};
  const waiting = [...testFiles];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (sources[path] !== undefined) continue;
    sources[path] = readFileSync(join(root, path.startsWith("@") ? "node_modules" : "", path), "utf8");
    for (const [, target] of sources[path]!.matchAll(/(?:import|from)\s+"([^"]+)"/g)) {
      waiting.push(target!.startsWith(".") ? new URL(target!, `file:///${path}`).pathname.slice(1) : target!);
    }
  }
  return sources;
}

/** @param outputs the compiler's outputSelection. */
export function compile(sources: Sources, outputs: unknown): CompilerOutput {
  return JSON.parse(solc.compile(JSON.stringify({
    language: "Solidity",
    sources: Object.fromEntries(Object.entries(sources).map(([path, content]) => [path, { content }])),
    // Not optimised: a third of the time, and nothing that a test sees differs but gas.
    settings: { optimizer: { enabled: false }, evmVersion: "cancun", outputSelection: outputs },
  }))) as CompilerOutput;
}
