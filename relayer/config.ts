// The relayer's whole configuration: environment variables, read once, every default here, frozen.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { TidelaneError } from "../protocol/errors.ts";
import { hexOfLength, parse } from "../protocol/json.ts";
import { PROCESSES_MAX } from "../protocol/link.ts";
import { LOG_LEVELS, type LogLevel } from "./adapters/log.ts";
import type { Address, Hex, Millis, Seconds, TokenAmount } from "../protocol/units.ts";

export interface RelayerConfig {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  readonly dataDir: string;
  /** With its password: never logged. */
  readonly databaseUrl: string;
  readonly rpcUrls: readonly string[];
  readonly chainId: number;
  readonly addresses: Readonly<Record<string, Address>>;
  readonly relayerId: number;
  readonly signerKey: Hex;
  readonly posterKey: Hex;
  readonly logLevel: LogLevel;
  /** Where anyone reaches this process; null where nobody outside does. */
  readonly publicUrl: string | null;
  /** How long batches' data, node tables and long answers are served. */
  readonly recordsKeptMs: Millis;
  /** What a session must lock to be opened at the relayer's gas; smallest units of the pay token. */
  readonly leastLock: TokenAmount;
  /** HTTP gateway for prompts at ipfs:// URIs; null for none. */
  readonly ipfsGateway: string | null;
  /** Whether prompts are fetched from this machine too. */
  readonly promptsMayLoopBack: boolean;
  /** URLs by which nodes reach this relayer's further processes. */
  readonly processes: readonly string[];
  /** Null where no page is served. */
  readonly webDir: string | null;
  /** How long running streams may go on after SIGTERM. */
  readonly drainMs: Millis;
  /** From a node's start to its first output, and between two outputs. */
  readonly firstTokenMsMax: Millis;
  readonly gapMsMax: Millis;
}

/** Every variable, with what it is for; an unknown TIDELANE_* is refused, for it is a typing error. */
export const ENVIRONMENT = {
  TIDELANE_HOST: "address to listen on (default 127.0.0.1)",
  TIDELANE_PORT: "port to listen on, 0 for any free one (default 8787)",
  TIDELANE_TLS_CERT: "PEM file of the certificate; with TIDELANE_TLS_KEY the relayer speaks https, which nodes on other machines need",
  TIDELANE_TLS_KEY: "PEM file of the certificate's key",
  TIDELANE_DATA_DIR: "folder of the spool and of the batches' data (default .tidelane/relayer)",
  DATABASE_URL: "Postgres, as postgres://user:password@host:port/database",
  TIDELANE_RECORD_DAYS: "how long batches' data, node tables and long answers are kept, at least 90 (default 90)",
  TIDELANE_RPC_URLS: "RPC URLs of the chain, separated by commas, tried in order",
  TIDELANE_CHAIN_ID: "the chain's number (default: the deployment's)",
  TIDELANE_DEPLOYMENT: "JSON file with the contracts' addresses: {chainId, contracts: {name: address}}",
  TIDELANE_RELAYER_ID: "the registered relayer's number",
  TIDELANE_SIGNER_KEY: "the signing key, 32 bytes in hex",
  TIDELANE_SIGNER_KEY_FILE: "or a file that holds it",
  TIDELANE_POSTER_KEY: "the key that posts batches and pays gas, 32 bytes in hex",
  TIDELANE_POSTER_KEY_FILE: "or a file that holds it",
  TIDELANE_PUBLIC_URL: "where anyone reaches this process: contracts are told to fetch answers over 4 KB there (default: none, and such answers are not delivered)",
  TIDELANE_LEAST_LOCK: "least lock of a session that is opened at this relayer's gas, and least transfer to the Escrow that is credited at it, in the pay token's smallest unit; others open and prove theirs themselves (default 100000)",
  TIDELANE_IPFS_GATEWAY: "http(s) URL of an IPFS gateway for contracts' prompts at ipfs:// URIs (default: none, and such requests are left to others)",
  TIDELANE_PROMPT_LOOPBACK: "`allow` fetches contracts' prompts from this machine too, for local networks and tests (default: public https only)",
  TIDELANE_PROCESSES: "URLs by which nodes reach this relayer's further processes, separated by commas (default: none)",
  TIDELANE_LOG_LEVEL: `${LOG_LEVELS.join(", ")} (default info)`,
  TIDELANE_WEB_DIR: "folder of the status page; `off` for none (default: the one that comes with Tidelane)",
  TIDELANE_DRAIN_SECONDS: "how long running streams may go on after SIGTERM (default 15)",
  TIDELANE_FIRST_TOKEN_SECONDS: "how long a node may take to its first output (default 60)",
  TIDELANE_STALL_SECONDS: "how long a node may pause between two outputs (default 30)",
} as const;

type Variable = keyof typeof ENVIRONMENT;
type Environment = Readonly<Record<string, string | undefined>>;

const deploymentSchema = z.object({ chainId: z.number().int().min(1), contracts: z.record(z.string().max(64), z.string()) });

/** A tenth of a token with six decimals: what opening one costs on a cheap chain, many times over. */
const LEAST_LOCK = 100_000;

/** What the protocol asks of a relayer. */
const RECORD_DAYS_LEAST = 90;
const MS_PER_DAY: Millis = 86_400_000;

/** @throws TidelaneError `config_invalid` naming the variable at fault */
export function loadConfig(env: Environment): RelayerConfig {
  const unknown = Object.keys(env).filter((name) => name.startsWith("TIDELANE_") && !Object.hasOwn(ENVIRONMENT, name));
  if (unknown.length > 0) throw invalid(`${unknown.join(", ")}: no such variable. Known are ${Object.keys(ENVIRONMENT).join(", ")}.`);
  const deployment = deploymentOf(required(env, "TIDELANE_DEPLOYMENT"));
  const chainId = wholeOf(env, "TIDELANE_CHAIN_ID", deployment.chainId, 1, Number.MAX_SAFE_INTEGER);
  if (chainId !== deployment.chainId) throw invalid(`TIDELANE_CHAIN_ID is ${chainId}, but the contracts of TIDELANE_DEPLOYMENT are on chain ${deployment.chainId}.`);
  required(env, "TIDELANE_RELAYER_ID");
  return Object.freeze({
    host: env.TIDELANE_HOST || "127.0.0.1", port: wholeOf(env, "TIDELANE_PORT", 8_787, 0, 65_535), tls: tlsOf(env),
    dataDir: resolve(env.TIDELANE_DATA_DIR || join(".tidelane", "relayer")), databaseUrl: databaseOf(env),
    rpcUrls: Object.freeze(urlsOf("TIDELANE_RPC_URLS", required(env, "TIDELANE_RPC_URLS"))), chainId, addresses: deployment.addresses,
    relayerId: wholeOf(env, "TIDELANE_RELAYER_ID", 0, 1, 2 ** 32 - 1), signerKey: keyOf(env, "TIDELANE_SIGNER_KEY"), posterKey: keyOf(env, "TIDELANE_POSTER_KEY"),
    logLevel: levelOf(env.TIDELANE_LOG_LEVEL || "info"), webDir: webDirOf(env.TIDELANE_WEB_DIR), publicUrl: baseUrlOf(env, "TIDELANE_PUBLIC_URL"),
    recordsKeptMs: MS_PER_DAY * wholeOf(env, "TIDELANE_RECORD_DAYS", RECORD_DAYS_LEAST, RECORD_DAYS_LEAST, 36_500),
    leastLock: BigInt(wholeOf(env, "TIDELANE_LEAST_LOCK", LEAST_LOCK, 0, Number.MAX_SAFE_INTEGER)),
    ipfsGateway: baseUrlOf(env, "TIDELANE_IPFS_GATEWAY"), promptsMayLoopBack: isAllowed(env, "TIDELANE_PROMPT_LOOPBACK"), processes: Object.freeze(processesOf(env.TIDELANE_PROCESSES)),
    drainMs: 1_000 * secondsOf(env, "TIDELANE_DRAIN_SECONDS", 15), firstTokenMsMax: 1_000 * secondsOf(env, "TIDELANE_FIRST_TOKEN_SECONDS", 60),
    gapMsMax: 1_000 * secondsOf(env, "TIDELANE_STALL_SECONDS", 30),
  });
}

function deploymentOf(file: string): { chainId: number; addresses: Readonly<Record<string, Address>> } {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    throw invalid(`TIDELANE_DEPLOYMENT: ${file} cannot be read, or is not JSON.`);
  }
  try {
    const { chainId, contracts } = parse(deploymentSchema, json, "deployment");
    return { chainId, addresses: Object.freeze(Object.fromEntries(Object.entries(contracts).map(([name, address]) => [name, hexOfLength(address, 20, `contracts.${name}`)]))) };
  } catch (error) {
    throw invalid(`TIDELANE_DEPLOYMENT: ${file}: ${(error as Error).message}.`);
  }
}

function required(env: Environment, name: Variable): string {
  const value = env[name];
  if (!value) throw invalid(`${name} is not set: ${ENVIRONMENT[name]}.`);
  return value;
}

function wholeOf(env: Environment, name: Variable, otherwise: number, least: number, most: number): number {
  const text = env[name];
  if (!text) return otherwise;
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || value < least || value > most) throw invalid(`${name} is "${text}"; it must be a whole number from ${least} to ${most}.`);
  return value;
}

const secondsOf = (env: Environment, name: Variable, otherwise: Seconds): Seconds => wholeOf(env, name, otherwise, 1, 3_600);

function keyOf(env: Environment, name: "TIDELANE_SIGNER_KEY" | "TIDELANE_POSTER_KEY"): Hex {
  const file = env[`${name}_FILE`];
  const text = env[name] || (file ? fileOf(`${name}_FILE`, file) : "");
  if (text === "") throw invalid(`${name} or ${name}_FILE is not set: ${ENVIRONMENT[name]}.`);
  // The value is not repeated: it may be a key with a typing error.
  if (!/^(0x)?[0-9a-fA-F]{64}$/.test(text)) throw invalid(`${name} must be 32 bytes in hex.`);
  return `0x${text.replace(/^0x/, "").toLowerCase()}`;
}

function fileOf(name: Variable, file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    throw invalid(`${name}: ${file} cannot be read.`);
  }
}

function databaseOf(env: Environment): string {
  const url = required(env, "DATABASE_URL");
  if (!/^postgres(ql)?:\/\//.test(url)) throw invalid(`DATABASE_URL must be ${ENVIRONMENT.DATABASE_URL}.`);
  return url;
}

function isAllowed(env: Environment, name: Variable): boolean {
  const text = env[name];
  if (text && text !== "allow") throw invalid(`${name} is "${text}"; it must be allow, or not set.`);
  return text === "allow";
}

function baseUrlOf(env: Environment, name: Variable): string | null {
  const text = env[name];
  if (!text) return null;
  if (!URL.canParse(text) || !/^https?:/.test(text) || text.length > 256) throw invalid(`${name} must be an http(s) URL of at most 256 characters.`);
  return text.replace(/\/+$/, "");
}

function processesOf(text: string | undefined): string[] {
  const urls = text ? urlsOf("TIDELANE_PROCESSES", text) : [];
  if (urls.length > PROCESSES_MAX) throw invalid(`TIDELANE_PROCESSES names more than ${PROCESSES_MAX} processes.`);
  return urls;
}

function urlsOf(name: Variable, text: string): string[] {
  const urls = text.split(",").map((url) => url.trim()).filter((url) => url !== "");
  if (urls.length === 0 || !urls.every((url) => URL.canParse(url) && /^https?:/.test(url))) throw invalid(`${name} must be http(s) URLs, separated by commas.`);
  return urls;
}

function tlsOf(env: Environment): RelayerConfig["tls"] {
  const { TIDELANE_TLS_CERT: certFile, TIDELANE_TLS_KEY: keyFile } = env;
  if (!certFile && !keyFile) return null;
  if (!certFile || !keyFile) throw invalid("TIDELANE_TLS_CERT and TIDELANE_TLS_KEY must be set together.");
  return Object.freeze({ certFile, keyFile });
}

function levelOf(level: string): LogLevel {
  if (!(LOG_LEVELS as readonly string[]).includes(level)) throw invalid(`TIDELANE_LOG_LEVEL is "${level}"; it must be one of ${LOG_LEVELS.join(", ")}.`);
  return level as LogLevel;
}

const webDirOf = (value: string | undefined): string | null => (value === "off" ? null : resolve(value || join(import.meta.dirname, "..", "web")));

const invalid = (message: string): TidelaneError => new TidelaneError(message, { code: "config_invalid" });
