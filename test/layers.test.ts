// Reads every import in the tree: layers may only look down, nobody goes in circles, no file only re-exports.
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const parts = ["protocol", "relayer", "node", "client", "auditor", "cli", "web", "bench", "deploy", "scripts"];
const files = parts.flatMap((part) => globSync(`${part}/**/*.{ts,mjs}`, { cwd: root })).filter((path) => !path.includes("node_modules"));

type Layer = 1 | 2 | 3 | 4 | 5;

/** The table of docs/ARCHITECTURE.md. */
function layerOf(path: string): Layer {
  const [part = "", folder = ""] = path.split("/");
  if (part === "protocol") return 1;
  if (["cli", "deploy", "scripts"].includes(part) || /(^|\/)(main|config)\.ts$/.test(path)) return 5;
  if (/\/(adapters|engines)\//.test(path) || path.startsWith("auditor/sources") || (part === "bench" && folder !== "sim")) return 4;
  if (part === "relayer" && ["routing", "lobby", "planner", "settlement"].includes(folder)) return 2;
  if (part === "node" && ["gauge", "attest"].includes(folder)) return 2;
  if (part === "auditor" && /^(verify|replay|watch|proofs)/.test(folder)) return 2;
  if (part === "bench" && folder === "sim") return 2;
  return 3;
}

const isPorts = (path: string): boolean => /^[a-z]+\/ports(\/[a-zA-Z]+)?\.ts$/.test(path);
const partOf = (path: string): string => path.split("/")[0]!;

/** Whether one file may import another, by the layers table. */
function mayImport(from: string, to: string): boolean {
  const [above, below] = [layerOf(from), layerOf(to)];
  if (above === 5 || below === 1) return true;
  if (above === 1) return false;
  if (above === 2) return below === 2 && (partOf(from) === partOf(to) || (["auditor", "bench"].includes(partOf(from)) && partOf(to) === "relayer"));
  if (isPorts(from)) return partOf(from) === partOf(to) && (below === 2 || isPorts(to));
  if (above === 3) return partOf(from) === partOf(to) && (below === 2 || below === 3);
  // Benches measure the real thing: they are load generators and may reach whatever they measure.
  if (partOf(from) === "bench") return true;
  return partOf(from) === partOf(to) && (below === 4 || isPorts(to));
}

interface Import {
  readonly from: string;
  readonly specifier: string;
  readonly target: string | null;
}

function importsOf(path: string): Import[] {
  const text = readFileSync(join(root, path), "utf8").replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const found = text.matchAll(/(?:^|\n)\s*(?:import|export)\s[^;"']*?from\s*["']([^"']+)["']|(?:^|\n)\s*import\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)/g);
  return [...found].map((match) => {
    const specifier = (match[1] ?? match[2] ?? match[3])!;
    const target = specifier.startsWith(".") ? relative(root, resolve(root, dirname(path), specifier)) : null;
    return { from: path, specifier, target };
  });
}

const imports = files.flatMap(importsOf);

describe("the layers", () => {
  it("sees the tree it judges", () => {
    expect(files.length).to.be.greaterThan(10);
    expect(imports.length).to.be.greaterThan(files.length);
  });

  it("look only down", () => {
    const breaches = imports.filter((one) => one.target !== null && partOf(one.target) !== "package.json" && !mayImport(one.from, one.target));
    expect(breaches.map((one) => `${one.from} (${layerOf(one.from)}) -> ${one.target} (${layerOf(one.target!)})`)).to.deep.equal([]);
  });

  it("import files that exist", () => {
    expect(imports.filter((one) => one.target !== null && !existsSync(join(root, one.target))).map((one) => `${one.from} -> ${one.specifier}`)).to.deep.equal([]);
  });

  it("keep clock, dice, disk, network, environment and log out of words and thought", () => {
    const world = /Date\.now|new Date\(\)|Math\.random|process\.|performance\.|crypto\.random|getRandomValues|\bfetch\(|console\.|setTimeout|setInterval/;
    const breaches = files.filter((path) => layerOf(path) <= 2).flatMap((path) => {
      const code = readFileSync(join(root, path), "utf8").replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
      const touched = code.split("\n").filter((line) => world.test(line)).map((line) => `${path}: ${line.trim()}`);
      const packages = importsOf(path).filter((one) => one.target === null && !["viem/utils", "viem/accounts", "viem", "zod"].includes(one.specifier));
      return [...touched, ...packages.map((one) => `${path} imports ${one.specifier}`)];
    });
    expect(breaches).to.deep.equal([]);
  });

  it("have no import cycles", () => {
    const graph = new Map<string, string[]>();
    for (const one of imports) if (one.target) graph.set(one.from, [...(graph.get(one.from) ?? []), one.target]);
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) return void cycles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
      if (done.has(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of files) visit(path, []);
    expect(cycles).to.deep.equal([]);
  });

  it("have no barrels", () => {
    const barrels = files.filter((path) => !path.includes("generated/")).filter((path) => {
      const lines = readFileSync(join(root, path), "utf8").split("\n").filter((line) => line.trim() !== "" && !line.trim().startsWith("//"));
      return lines.length > 0 && lines.every((line) => /^export\s.*\sfrom\s/.test(line));
    });
    expect(barrels).to.deep.equal([]);
  });
});
