// The contracts of a local network: found where they are on the chain already, deployed where they are not.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TidelaneError } from "../protocol/errors.ts";
import { deploy, isDeployed, type DeployOptions } from "./deploy.ts";
import { parseParameters, type Addresses, type Parameters } from "./plan.ts";

const ADDRESSES_FILE = "addresses.json";

/**
 * Deploys once per chain; later calls only compare the addresses file with the chain, without Hardhat.
 * @param options `deploymentDir` holds Ignition's journal and the addresses file.
 * @throws TidelaneError `deployment_failed`, `chain_unreachable` (retryable), `compilation_failed`.
 */
export async function deployLocal(options: DeployOptions): Promise<Addresses> {
  const file = join(options.deploymentDir, ADDRESSES_FILE);
  const known = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) as Addresses : null;
  if (known && await isDeployed(options.rpcUrl, known)) return known;
  const addresses = await deploy(options);
  writeAddresses(file, addresses);
  return addresses;
}

/**
 * @param network `local`, `test`, `main`, or the path of a parameter file of one's own.
 * @throws TidelaneError `parameter_missing`, `file_not_found`, `invalid_file`; InvalidValueError naming the field that does not fit.
 */
export function readParameters(network: string): Parameters {
  const file = /^(local|test|main)$/.test(network) ? join(import.meta.dirname, "parameters", `${network}.json`) : network;
  if (!existsSync(file)) throw new TidelaneError(`${network} is neither local, test or main nor a parameter file`, { code: "file_not_found", details: { network } });
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new TidelaneError(`${file} is not JSON`, { code: "invalid_file", details: { file }, cause });
  }
  return parseParameters(json);
}

/** Whole or not at all: a reader never meets half a file. */
export function writeAddresses(file: string, addresses: Addresses): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(addresses, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}
