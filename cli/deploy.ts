// `tidelane deploy`: whether a live deployment is what its parameter file says, and what block explorers verify it with.
import { Command } from "commander";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { differences, type Difference } from "../deploy/check.ts";
import { readParameters } from "../deploy/deployLocal.ts";
import { compile } from "../deploy/artifacts.ts";
import { rpc } from "../deploy/provider.ts";
import { verifyInputOf } from "../deploy/verifyInput.ts";
import { parse } from "../protocol/json.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { CONTRACT_NAMES, type Addresses } from "../deploy/plan.ts";
import type { Address } from "../protocol/units.ts";
import { ExitCode, EXIT_CODES_HELP, run, step, table, type OutputOptions, type Report } from "./output.ts";
import { jsonFile, urlOf } from "./place.ts";

interface CheckOptions extends OutputOptions {
  readonly rpc: string;
  readonly parameters: string;
  readonly addresses?: string;
}

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/).transform((value) => value.toLowerCase() as Address);
const addressesSchema = z.object({ chainId: z.number().int().min(1), block: z.number().int().min(0).default(0), contracts: z.record(z.string(), address) });

export function deployCommand(): Command {
  const deploy = new Command("deploy").description("compare a live deployment with its parameters").addHelpText("after", EXIT_CODES_HELP);
  deploy.command("check").description("each bound, role, window, address and code that differs from the parameter file; exit code 0 only where nothing does")
    .requiredOption("--rpc <url>", "RPC URL of the chain")
    .requiredOption("--parameters <network>", "main, test, local, or a parameter file")
    .option("--addresses <file>", "the deployment's addresses (default: deploy/addresses/<chainId>.json)")
    .option("--json", "print one JSON object on the last line")
    .action((options: CheckOptions) => run(options, () => check(options)));
  deploy.command("verify-input").description("what block explorers verify the contracts with: one standard JSON file for each")
    .option("--out <folder>", "where to write them", join(".tidelane", "verify-input"))
    .option("--json", "print one JSON object on the last line")
    .action((options: OutputOptions & { out: string }) => run(options, () => writeInputs(options.out)));
  return deploy;
}

async function check(options: CheckOptions): Promise<Report> {
  const rpcUrl = urlOf(options.rpc, "--rpc");
  const parameters = readParameters(options.parameters);
  const addresses = await addressesOf(options, rpcUrl);
  const found = await step("reading the deployment", differences({ rpcUrl, parameters, addresses }));
  return {
    json: { ok: found.length === 0, chainId: addresses.chainId, parameters: options.parameters, differences: found },
    text: found.length === 0 ? "Nothing differs: code, bounds, roles, windows and wiring are those of the parameter file." : describe(found),
    exitCode: found.length === 0 ? ExitCode.OK : ExitCode.FAILED,
  };
}

const describe = (found: readonly Difference[]): string =>
  `${found.length} ${found.length === 1 ? "thing differs" : "things differ"}:\n${table(found.map(({ contract, what, expected, found: is }) => [`${contract}.${what}`, `expected ${expected}, found ${is}`]))}`;

/** @throws `no_deployment`, `chain_unreachable` (retryable), InvalidValueError where the file does not fit. */
async function addressesOf(options: CheckOptions, rpcUrl: string): Promise<Addresses> {
  const chainId = Number(await rpc(rpcUrl, "eth_chainId", []));
  const file = options.addresses ?? join(import.meta.dirname, "..", "deploy", "addresses", `${chainId}.json`);
  if (options.addresses === undefined && !existsSync(file)) {
    throw new TidelaneError(`No deployment on chain ${chainId} is known here. Give --addresses <file>.`, { code: "no_deployment", details: { chainId } });
  }
  return parse(addressesSchema, jsonFile(file), file);
}

/** The box of each payer is a proxy of DepositBox, which DepositBoxes makes: it is verified too. */
async function writeInputs(out: string): Promise<Report> {
  const folder = resolve(out);
  await step("compiling the contracts", compile());
  mkdirSync(folder, { recursive: true });
  const inputs = await Promise.all([...CONTRACT_NAMES, "DepositBox"].map(verifyInputOf));
  const written = inputs.map(({ contract, qualifiedName, compiler, input }) => {
    const file = join(folder, `${contract}.json`);
    writeFileSync(file, `${JSON.stringify(input, null, 2)}\n`);
    return { contract, qualifiedName, compiler, file };
  });
  const rows = written.map(({ qualifiedName, file }): [string, string] => [qualifiedName, file]);
  return {
    json: { compiler: inputs[0]!.compiler, contracts: written },
    text: `${table(rows)}\n\nVerify as "Solidity (Standard-Json-Input)" with compiler v${inputs[0]!.compiler}.`,
  };
}
