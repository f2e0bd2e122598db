// Deploys to a named network and writes deploy/addresses/<chainId>.json.
// usage: TIDELANE_DEPLOYER_KEY=0x... node deploy/main.ts <test|main|parameter-file> <rpc-url>
import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { InvalidValueError, TidelaneError } from "../protocol/errors.ts";
import type { Hex } from "../protocol/units.ts";
import { deploy } from "./deploy.ts";
import { readParameters, writeAddresses } from "./deployLocal.ts";

// Five blocks deep before the next contract names an address: a reorganisation there would move it.
const CONFIRMATIONS = 5;

async function main(network: string | undefined, rpcUrl: string | undefined): Promise<void> {
  if (!network || network === "local" || !rpcUrl) throw new InvalidValueError("arguments", "<test|main|parameter-file> <rpc-url>");
  const deployerKey = process.env["TIDELANE_DEPLOYER_KEY"] ?? "";
  if (!/^0x[0-9a-fA-F]{64}$/.test(deployerKey)) throw new InvalidValueError("TIDELANE_DEPLOYER_KEY", "a private key: 0x and 64 hex digits");
  const deploymentDir = join(import.meta.dirname, "deployments", basename(network, ".json"));
  const addresses = await deploy({ rpcUrl, deployerKey: deployerKey as Hex, parameters: readParameters(network), deploymentDir, confirmations: CONFIRMATIONS });
  const folder = join(import.meta.dirname, "addresses");
  mkdirSync(folder, { recursive: true });
  writeAddresses(join(folder, `${addresses.chainId}.json`), addresses);
  console.log(JSON.stringify(addresses, null, 2));
}

try {
  await main(process.argv[2], process.argv[3]);
} catch (error) {
  if (!(error instanceof TidelaneError)) throw error;
  console.error(`tidelane: ${error.message}`);
  process.exitCode = 1;
}
