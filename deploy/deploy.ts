// Deploys Tidelane with Hardhat Ignition: resumes what was interrupted, and trusts nothing that is not on the chain.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deploy as ignite, DeploymentResultType, type DeploymentResult } from "@nomicfoundation/ignition-core";
import { getContractAddress, hexToNumber } from "viem/utils";
import { TidelaneError } from "../protocol/errors.ts";
import type { Address, Hash, Hex } from "../protocol/units.ts";
import { artifacts, compile } from "./artifacts.ts";
import { onTokens, withTestTokens } from "./modules/Tidelane.ts";
import { CONTRACT_NAMES, MODULE_ID, moduleParameters, type Addresses, type Parameters } from "./plan.ts";
import { rpc, signingProvider, type SigningProvider } from "./provider.ts";

export interface DeployOptions {
  readonly rpcUrl: string;
  /** Pays for the deployment and, with test tokens, mints them. It should send nothing else meanwhile. */
  readonly deployerKey: Hex;
  readonly parameters: Parameters;
  /** Ignition's journal and our plan; one folder per deployment. */
  readonly deploymentDir: string;
  /** Blocks on top of a transaction before the next step. */
  readonly confirmations?: number;
}

/** Kept beside Ignition's journal, because a resumed deployment must foretell the same addresses. */
interface Plan {
  readonly genesis: Hash;
  readonly deployer: Address;
  readonly firstNonce: number;
  readonly firstBlock: number;
}

const POLL_MS = 100;

/** @throws TidelaneError `deployment_failed` saying which contract and why; `token_missing`; `chain_unreachable`; `compilation_failed`. */
export async function deploy(options: DeployOptions): Promise<Addresses> {
  await expectTokens(options);
  await compile();
  const provider = signingProvider(options.rpcUrl, options.deployerKey);
  const plan = await planOf(options, provider);
  const parameters = moduleParameters(options.parameters, plan.deployer, plan.firstNonce);
  const result = await ignite({
    config: { blockPollingInterval: POLL_MS, requiredConfirmations: options.confirmations ?? 1 },
    artifactResolver: artifacts,
    provider,
    deploymentDir: options.deploymentDir,
    ignitionModule: options.parameters.tokens === null ? withTestTokens : onTokens,
    deploymentParameters: { [MODULE_ID]: parameters },
    accounts: [provider.address],
    defaultSender: provider.address,
  });
  if (result.type !== DeploymentResultType.SUCCESSFUL_DEPLOYMENT) throw failure(result, options.deploymentDir);
  const deployed = Object.fromEntries(Object.values(result.contracts).map(({ id, address }) => [nameOf(id), address.toLowerCase() as Address]));
  const chainId = hexToNumber(await provider.request({ method: "eth_chainId" }) as Hex);
  return { chainId, block: plan.firstBlock, contracts: { ...options.parameters.tokens, ...deployed } };
}

/** A deployment on tokens that are not there could never be corrected. */
async function expectTokens({ rpcUrl, parameters }: DeployOptions): Promise<void> {
  for (const [role, address] of Object.entries(parameters.tokens ?? {})) {
    if (await rpc(rpcUrl, "eth_getCode", [address, "latest"]) !== "0x") continue;
    throw new TidelaneError(`${role} ${address} is no contract on this chain; check the network and its parameter file`, { code: "token_missing", details: { role, address } });
  }
}

/** @returns whether every contract of the deployment has code on this chain. */
export async function isDeployed(rpcUrl: string, addresses: Addresses): Promise<boolean> {
  const chainId = hexToNumber(await rpc(rpcUrl, "eth_chainId", []) as Hex);
  if (chainId !== addresses.chainId) return false;
  // An addresses file of an earlier version names fewer contracts.
  if (CONTRACT_NAMES.some((name) => addresses.contracts[name] === undefined)) return false;
  const codes = await Promise.all(CONTRACT_NAMES.map(async (name) => {
    const address = addresses.contracts[name];
    return address ? rpc(rpcUrl, "eth_getCode", [address, "latest"]) : "0x";
  }));
  return codes.every((code) => code !== "0x");
}

/** `Tidelane#Escrow` is Escrow; the tokens are roles, not contracts, and are named as the parameters name them. */
const nameOf = (futureId: string): string => futureId.replace(`${MODULE_ID}#`, "").replace(/^(Pay|Stake)Token$/, (role) => role[0]!.toLowerCase() + role.slice(1));

/** The plan of an interrupted deployment where it still fits the chain, else a new one in an emptied folder. */
async function planOf(options: DeployOptions, provider: SigningProvider): Promise<Plan> {
  const file = join(options.deploymentDir, "plan.json");
  const genesis = ((await provider.request({ method: "eth_getBlockByNumber", params: ["0x0", false] })) as { hash: Hash }).hash;
  if (existsSync(file)) {
    const kept = JSON.parse(readFileSync(file, "utf8")) as Plan;
    if (kept.genesis === genesis && kept.deployer === provider.address && await isContinued(kept, provider)) return kept;
  }
  rmSync(options.deploymentDir, { recursive: true, force: true });
  mkdirSync(options.deploymentDir, { recursive: true });
  const plan: Plan = {
    genesis,
    deployer: provider.address,
    firstNonce: await nonceOf(provider),
    firstBlock: hexToNumber(await provider.request({ method: "eth_blockNumber" }) as Hex),
  };
  writeFileSync(file, `${JSON.stringify(plan, null, 2)}\n`);
  return plan;
}

/** Whether what the deployer has sent since the plan are its contracts; a chain that was reset, or another transaction, shows here. */
async function isContinued(plan: Plan, provider: SigningProvider): Promise<boolean> {
  const nonce = await nonceOf(provider);
  if (nonce < plan.firstNonce) return false;
  const created = Array.from({ length: Math.min(nonce - plan.firstNonce, CONTRACT_NAMES.length) }, (_, i) =>
    getContractAddress({ from: plan.deployer, nonce: BigInt(plan.firstNonce + i) }));
  const codes = await Promise.all(created.map((address) => provider.request({ method: "eth_getCode", params: [address, "latest"] })));
  return codes.every((code) => code !== "0x");
}

const nonceOf = async (provider: SigningProvider): Promise<number> =>
  hexToNumber(await provider.request({ method: "eth_getTransactionCount", params: [provider.address, "latest"] }) as Hex);

function failure(result: DeploymentResult, deploymentDir: string): TidelaneError {
  const failed = "failed" in result ? result.failed.map(({ futureId, error }) => `${futureId}: ${error}`) : [];
  const timedOut = "timedOut" in result ? result.timedOut.map(({ futureId }) => `${futureId}: not mined in time`) : [];
  const errors = "errors" in result ? Object.entries(result.errors).map(([id, texts]) => `${id}: ${texts.join(", ")}`) : [];
  const why = [...failed, ...timedOut, ...errors].join("; ") || result.type;
  return new TidelaneError(`the contracts were not deployed: ${why}. Run it again to resume; delete ${deploymentDir} to start anew.`, { code: "deployment_failed" });
}
