// Assembles the contracts' npm package: what a dApp compiles against, ABIs of the deployed contracts, addresses, one tarball.
// usage: npm run pack:contracts [-- --out <folder>]      (default: .tidelane/contracts-package)
import { execFile } from "node:child_process";
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { artifacts, compile } from "../deploy/artifacts.ts";
import { CONTRACT_NAMES } from "../deploy/plan.ts";

const root = join(import.meta.dirname, "..");
const NAME = "tidelane-contracts";
/** What dApps, auditors and other contracts name; everything that these import comes along. */
const ENTRIES = ["interfaces/*.sol", "examples/*.sol", "mocks/GatewayMock.sol", "token/TideToken.sol"];
const ABIS = [...CONTRACT_NAMES, "IInferenceConsumer", "IInferenceRequests", "GatewayMock", "TideToken"];
const NPM_MS_MAX = 60_000;

async function main(out: string): Promise<void> {
  await compile();
  rmSync(out, { recursive: true, force: true });
  const folder = join(out, "package");
  const sources = closure(globSync(ENTRIES, { cwd: join(root, "contracts") }).toSorted());
  for (const path of sources) put(join(folder, path), readFileSync(join(root, "contracts", path)));
  for (const name of ABIS) put(join(folder, "abi", `${name}.json`), `${JSON.stringify((await artifacts.loadArtifact(name)).abi, null, 2)}\n`);
  for (const path of globSync("deploy/addresses/*.json", { cwd: root })) cpSync(join(root, path), join(folder, "addresses", basename(path)));
  cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  put(join(folder, "README.md"), readme());
  put(join(folder, "remappings.txt"), `${NAME}/=node_modules/${NAME}/\n@openzeppelin/contracts/=node_modules/@openzeppelin/contracts/\n`);
  put(join(folder, "package.json"), `${JSON.stringify(manifest(), null, 2)}\n`);
  const { stdout } = await promisify(execFile)("npm", ["pack", "--silent", "--pack-destination", out, folder], { timeout: NPM_MS_MAX });
  console.log(JSON.stringify({ tarball: join(out, stdout.trim()), folder, sources: sources.length, abis: ABIS.length }));
}

function put(file: string, content: string | Buffer): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

/** Those files and all that they import, however far, by path below contracts/. */
function closure(entries: readonly string[]): readonly string[] {
  const found = new Set(entries);
  for (const path of found) {
    const text = readFileSync(join(root, "contracts", path), "utf8");
    for (const [, imported] of text.matchAll(/from "(\.[^"]+)"/g)) found.add(relative(root, resolve(root, dirname(path), imported!)));
  }
  return [...found].toSorted();
}

interface Own {
  readonly version: string;
  readonly license: string;
  readonly devDependencies: Readonly<Record<string, string>>;
}

function manifest(): object {
  const { version, license, devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Own;
  return {
    name: NAME, version, license, description: "Tidelane's interfaces, the base contract of a dApp, its mock gateway, ABIs and addresses.",
    peerDependencies: { "@openzeppelin/contracts": `^${devDependencies["@openzeppelin/contracts"]}` },
  };
}

function readme(): string {
  const deployed = existsSync(join(root, "deploy/addresses")) ? "`addresses/<chainId>.json` names the contracts of each deployment." : "There is no public deployment yet, so no `addresses/`.";
  return `# ${NAME}
What a contract needs to ask Tidelane: inherit \`examples/InferenceConsumer.sol\`, test with \`mocks/GatewayMock.sol\`.

\`\`\`solidity
import {InferenceConsumer} from "${NAME}/examples/InferenceConsumer.sol";
import {IInferenceRequests} from "${NAME}/interfaces/IInferenceRequests.sol";
\`\`\`

- Hardhat: \`npm install ${NAME} @openzeppelin/contracts\`; imports work as they stand.
- Foundry: the two lines of \`remappings.txt\`; or with the repository as a submodule \`${NAME}/=lib/tidelane/contracts/\`.
- ABIs: \`${NAME}/abi/InferenceGateway.json\` and so on. ${deployed}

Solidity >= 0.8.27, evmVersion cancun. MIT.
`;
}

const { values } = parseArgs({ options: { out: { type: "string", default: join(root, ".tidelane", "contracts-package") } } });
await main(resolve(values.out));
