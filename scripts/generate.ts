// Makes protocol/generated from the compiled contracts, so that Solidity stays the only source of structs and ABIs.
// usage: npm run generate [-- --check]   (--check writes nothing and exits 1 where a file would change)
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "../deploy/artifacts.ts";

interface Parameter {
  readonly name: string;
  readonly type: string;
  readonly internalType?: string;
  readonly components?: readonly Parameter[];
}
interface AbiItem {
  readonly type: string;
  readonly name?: string;
  readonly inputs?: readonly Parameter[];
}

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(root, "protocol", "generated");
const contracts = [
  "TideToken", "NodeRegistry", "RelayerRegistry", "BondVault", "Escrow", "BatchSettlement", "TaskReceipts", "SaturationBoard", "FraudProofs",
  "InferenceGateway", "DepositBoxes", "TransferProofs", "StructHashes",
];
const header = "// Generated from the Solidity sources by `npm run generate`. Do not edit.\n";

async function main(check: boolean): Promise<void> {
  await compile();
  const files = new Map(contracts.map((name) => [join("abi", `${name}.ts`), abiFile(name)]));
  files.set("structs.ts", structsFile(abiOf("StructHashes")));
  const changed = [...files].filter(([path, text]) => !isSame(join(out, path), text));
  const stale = globSync("**/*.ts", { cwd: out }).filter((path) => !files.has(path));
  if (check && changed.length + stale.length > 0) {
    console.error(`protocol/generated differs from the contracts: ${[...changed.map(([path]) => path), ...stale].join(", ")}. Run: npm run generate`);
    process.exitCode = 1;
    return;
  }
  if (check) return;
  for (const path of stale) rmSync(join(out, path));
  for (const [path, text] of changed) {
    mkdirSync(dirname(join(out, path)), { recursive: true });
    writeFileSync(join(out, path), text);
  }
  console.log(`protocol/generated: ${changed.length} written, ${stale.length} removed, ${files.size - changed.length} unchanged`);
}

const isSame = (path: string, text: string): boolean => existsSync(path) && readFileSync(path, "utf8") === text;

function abiOf(name: string): readonly AbiItem[] {
  const found = globSync(`artifacts/contracts/**/${name}.json`, { cwd: root }).filter((path) => basename(path) === `${name}.json`);
  if (found.length !== 1) throw new Error(`${found.length} artifacts are named ${name}; expected one`);
  return (JSON.parse(readFileSync(join(root, found[0]!), "utf8")) as { abi: AbiItem[] }).abi;
}

function abiFile(name: string): string {
  const items = abiOf(name).map((item) => `  ${JSON.stringify(named(item, name))},`).join("\n");
  return `${header}export const ${name}Abi = [\n${items}\n] as const;\n`;
}

/** Arguments that a contract hands on unread have their names in its interface only. */
function named(item: AbiItem, contract: string): AbiItem {
  if (item.type !== "function" || (item.inputs ?? []).every((input) => input.name !== "")) return item;
  const declared = abiOf(`I${contract}`).find((other) => other.name === item.name && typesOf(other) === typesOf(item));
  return declared ? { ...item, inputs: declared.inputs ?? [] } : item;
}

const typesOf = (item: AbiItem): string => JSON.stringify(item.inputs ?? [], (key, value: unknown) => (key === "name" || key === "internalType" ? undefined : value));

/** Structs become interfaces with viem's value types, and field lists from which EIP-712 hashes are made. */
function structsFile(abi: readonly AbiItem[]): string {
  const structs = new Map<string, readonly Parameter[]>();
  const visit = (parameter: Parameter): void => {
    if (!parameter.components) return;
    for (const component of parameter.components) visit(component);
    structs.set(structName(parameter), parameter.components);
  };
  for (const item of abi) for (const input of item.inputs ?? []) visit(input);
  const interfaces = [...structs].map(([name, fields]) =>
    `export interface ${name} {\n${fields.map((field) => `  readonly ${field.name}: ${tsType(field)};`).join("\n")}\n}\n`);
  const lists = [...structs].map(([name, fields]) =>
    `  ${name}: [\n${fields.map((field) => `    { name: "${field.name}", type: "${field.components ? structName(field) : field.type}" },`).join("\n")}\n  ],`);
  return [
    header, "type Hex = `0x${string}`;\n\n", interfaces.join("\n"),
    `\nexport interface Structs {\n${[...structs.keys()].map((name) => `  readonly ${name}: ${name};`).join("\n")}\n}\n`,
    "\nexport type StructName = keyof Structs;\n",
    `\n/** Field lists in signing order; a type that names a struct is nested. */\nexport const structFields = {\n${lists.join("\n")}\n} as const;\n`,
  ].join("");
}

const structName = (parameter: Parameter): string => parameter.internalType!.replace(/^struct (?:\w+\.)?/, "");

function tsType(field: Parameter): string {
  if (field.components) return structName(field);
  if (field.type === "address" || field.type.startsWith("bytes")) return "Hex";
  const bits = /^uint(\d+)$/.exec(field.type);
  if (!bits) throw new Error(`no TypeScript type is known for ${field.type}`);
  return Number(bits[1]) <= 48 ? "number" : "bigint";
}

await main(process.argv.includes("--check"));
