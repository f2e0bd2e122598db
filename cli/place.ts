// Where a command works: which chain, which contracts, which relayer. Flags first, then the environment, then a local network.
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import type { Command } from "commander";
import { parse } from "../protocol/json.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { DEVNET_DIRECTORY, readDevnetFile, type DevnetFile } from "./devnet/devnetFile.ts";
import type { Address, Hex } from "../protocol/units.ts";

export interface PlaceOptions {
  readonly dataDir?: string;
  readonly deployment?: string;
  readonly rpc?: string;
  readonly relayer?: string;
  readonly session?: string;
  readonly keyFile?: string;
}

export interface Place {
  readonly chainId: number;
  readonly rpcUrls: readonly string[];
  readonly contracts: Readonly<Record<string, Address>>;
  /** Null where none is known; only some commands need it. */
  readonly relayerUrl: string | null;
  readonly devnet: DevnetFile | null;
}

/** Adds the options that every command of payer and audit understands. */
export const withPlace = (command: Command): Command => command
  .option("--rpc <urls>", "RPC URLs of the chain, comma separated (TIDELANE_RPC_URLS)")
  .option("--deployment <file>", "JSON file with chainId and contracts (TIDELANE_DEPLOYMENT)")
  .option("--relayer <url>", "the relayer's URL (TIDELANE_RELAYER_URL)")
  .option("--data-dir <folder>", `the state of a local network (default ${DEVNET_DIRECTORY})`)
  .option("--json", "print one JSON object on the last line");

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/).transform((value) => value.toLowerCase() as Address);
const deploymentSchema = z.object({ chainId: z.number().int().min(1), contracts: z.record(z.string(), address) });

/** @throws `no_deployment`, InvalidValueError where a file does not fit. */
export function placeOf(options: PlaceOptions, env: NodeJS.ProcessEnv = process.env): Place {
  const devnet = devnetOf(options);
  const file = options.deployment ?? env.TIDELANE_DEPLOYMENT;
  const deployment = file === undefined ? devnet : parse(deploymentSchema, jsonFile(file), file);
  const rpc = options.rpc ?? env.TIDELANE_RPC_URLS ?? (deployment === devnet ? devnet?.rpcUrl : undefined);
  if (!deployment || !rpc) {
    throw new TidelaneError("No deployment is known here. Start a local network with `npm start`, or give --deployment <file> and --rpc <url>.", { code: "no_deployment" });
  }
  return {
    chainId: deployment.chainId, contracts: deployment.contracts, rpcUrls: rpc.split(",").map((url) => urlOf(url.trim(), "--rpc")),
    relayerUrl: relayerUrlOf(options, env, deployment === devnet ? devnet : null), devnet: deployment === devnet ? devnet : null,
  };
}

function relayerUrlOf(options: PlaceOptions, env: NodeJS.ProcessEnv, devnet: DevnetFile | null): string | null {
  const url = options.relayer ?? env.TIDELANE_RELAYER_URL ?? devnet?.relayerUrl;
  return url === undefined ? null : urlOf(url, "--relayer");
}

/** @throws `no_relayer` */
export function relayerOf(place: Place): string {
  if (place.relayerUrl === null) throw new TidelaneError("No relayer is known here. Give --relayer <url>.", { code: "no_relayer" });
  return place.relayerUrl;
}

/** The session's file: named, a local network's, or the user's own. */
export function sessionFileOf(options: PlaceOptions, place: Place, env: NodeJS.ProcessEnv = process.env): string {
  const named = options.session ?? env.TIDELANE_SESSION ?? place.devnet?.payer.sessionFile;
  if (named !== undefined) return resolve(named);
  return join(env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "tidelane", String(place.chainId), "session.json");
}

/**
 * The owner's key: from a file, from TIDELANE_OWNER_KEY, or a local network's. Never from the command line, which others can read.
 * @throws `no_owner_key`, `invalid_owner_key`
 */
export function ownerKeyOf(options: PlaceOptions, place: Place, env: NodeJS.ProcessEnv = process.env): Hex {
  const file = options.keyFile ?? (env.TIDELANE_OWNER_KEY === undefined ? place.devnet?.payer.ownerKeyFile : undefined);
  const text = file === undefined ? env.TIDELANE_OWNER_KEY : keyFileOf(file);
  if (text === undefined) throw new TidelaneError("The owner's key is needed: give --key-file <file>, or set TIDELANE_OWNER_KEY.", { code: "no_owner_key" });
  if (!/^(0x)?[0-9a-fA-F]{64}$/.test(text)) throw new TidelaneError("The owner's key must be 32 bytes in hex.", { code: "invalid_owner_key" });
  return `0x${text.replace(/^0x/, "").toLowerCase()}`;
}

/** The folder that was named, else the one here, else the one beside the program. */
function devnetOf(options: PlaceOptions): DevnetFile | null {
  if (options.dataDir !== undefined) {
    const named = readDevnetFile(options.dataDir);
    if (!named) throw new TidelaneError(`There is no local network's state in ${options.dataDir}.`, { code: "no_deployment" });
    return named;
  }
  return readDevnetFile(DEVNET_DIRECTORY) ?? readDevnetFile(join(import.meta.dirname, "..", DEVNET_DIRECTORY));
}

export function urlOf(text: string, flag: string): string {
  if (!URL.canParse(text) || !/^https?:/.test(text)) throw new TidelaneError(`${flag}: "${text}" is no http or https URL.`, { code: "invalid_url" });
  return text;
}

/** @throws `invalid_file` */
export function jsonFile(path: string): unknown {
  try {
    return JSON.parse(textFile(path));
  } catch (error) {
    if (error instanceof TidelaneError) throw error;
    throw new TidelaneError(`${path} is not JSON.`, { code: "invalid_file", details: { path }, cause: error });
  }
}

/** A key's text. @throws `file_not_found` */
export const keyFileOf = (path: string): string => textFile(path).trim();

function textFile(path: string): string {
  if (!existsSync(path)) throw new TidelaneError(`There is no file ${path}.`, { code: "file_not_found", details: { path } });
  return readFileSync(path, "utf8");
}
