// The node agent's whole configuration: environment and one JSON file, read once, every default here, frozen.
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { curveSchema, type ServiceCurve } from "../protocol/link.ts";
import { parse } from "../protocol/json.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { registeredIdOf } from "./serve/dial.ts";
import type { Address, Hex, TokenAmount, Tokens } from "../protocol/units.ts";

export type EngineConfig =
  | { readonly kind: "llama.cpp"; readonly file: string; readonly contextTokens: Tokens; readonly tokenizer: string; readonly curve?: ServiceCurve | undefined }
  | { readonly kind: "embeddings" }
  | {
    readonly kind: "openai-compatible"; readonly baseUrl: string; readonly model: string; readonly apiKey?: string | undefined; readonly metricsUrl?: string | undefined;
    readonly contextTokens: Tokens; readonly capabilities: readonly string[]; readonly tokenizer: string; readonly dimensions: number; readonly kvTokens: Tokens; readonly curve: ServiceCurve;
  }
  | { readonly kind: "timed"; readonly curve: ServiceCurve; readonly contextTokens: Tokens; readonly kvTokens: Tokens; readonly salt: string };

export interface ModelConfig {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly priceInPerMTok: TokenAmount;
  readonly priceOutPerMTok: TokenAmount;
  /** Requests that its engine works on at once. */
  readonly places: number;
  readonly engine: EngineConfig;
}

export interface NodeConfig {
  readonly nodeId: number;
  readonly hotKey: Hex;
  readonly relayers: readonly string[];
  readonly dataFolder: string;
  readonly rpcUrls: readonly string[];
  readonly chainId: number;
  readonly contracts: Readonly<Record<string, Address>>;
  readonly deploymentBlock: number;
  readonly logLevel: string;
  readonly slots: number;
  readonly prepSlots: number;
  readonly paceTokensPerSecond: number | null;
  readonly unackedMax: number;
  readonly drainSeconds: number;
  readonly models: readonly ModelConfig[];
}

/** Every variable that the agent knows, with what it is for. */
export const ENVIRONMENT = {
  TIDELANE_NODE_ID: "the registered node's number",
  TIDELANE_HOT_KEY: "the hot key, 32 bytes in hex",
  TIDELANE_HOT_KEY_FILE: "or a file that holds it",
  TIDELANE_RELAYERS: "relayers, separated by commas: `relayer:` and a registered number, or URLs of processes",
  TIDELANE_DATA_DIR: "folder of the agent's own records (default .tidelane/node)",
  TIDELANE_NODE_CONFIG: "JSON file: engines, models, prices, slots, pace",
  TIDELANE_RPC_URLS: "RPC URLs of the chain, separated by commas",
  TIDELANE_CHAIN_ID: "the chain's number",
  TIDELANE_DEPLOYMENT: "JSON file with the contracts' addresses",
  TIDELANE_LOG_LEVEL: "trace, debug, info (default), warn, error, fatal or silent",
} as const;

const AGENT_ROOT = join(import.meta.dirname, "..");
/** The model that comes with Tidelane, so that a first node needs no download. */
const BUNDLED = { file: join(AGENT_ROOT, "models", "stories15M-q8_0.gguf"), tokenizer: "llama-2-spm" };
/** A 7B-class model on one strong card, to start with; relayers fit the curve to what they observe. */
const REMOTE_CURVE: ServiceCurve = { aNs: 10_000_000, bNs: 150_000, cNs: 400, dNs: 80_000, ePs: 14 };

const whole = (least: number, most: number) => z.number().int().min(least).max(most);
const amount = z.string().regex(/^(0|[1-9]\d{0,18})$/, "a decimal string in the token's smallest unit").transform((value) => BigInt(value));
const context = whole(0, 10_000_000).default(0);
const url = z.url({ protocol: /^https?$/ });
const llama = z.strictObject({ kind: z.literal("llama.cpp"), file: z.string().min(1).optional(), contextTokens: context, tokenizer: z.string().max(200).optional(), curve: curveSchema.optional() });
const remote = z.strictObject({
  kind: z.literal("openai-compatible"), baseUrl: url, model: z.string().min(1).max(200), apiKeyEnv: z.string().regex(/^(?!TIDELANE_)[A-Z][A-Z0-9_]*$/).optional(), metricsUrl: url.optional(),
  contextTokens: context, capabilities: z.array(z.string().min(1).max(64)).max(64).default([]), tokenizer: z.string().max(200).default(""),
  dimensions: whole(0, 65_536).default(0), kvTokens: whole(0, 2 ** 32 - 1).default(0), curve: curveSchema.default(REMOTE_CURVE),
});
const timed = z.strictObject({ kind: z.literal("timed"), curve: curveSchema, contextTokens: whole(2, 10_000_000), kvTokens: whole(0, 2 ** 32 - 1).default(0), salt: z.string().max(200).default("") });
const model = z.strictObject({
  name: z.string().regex(/^[^\s@]+\/[^\s@]+@[^\s@]+$/, "a canonical name, org/model@quantisation").max(200), aliases: z.array(z.string().min(1).max(200)).max(32).default([]),
  priceInPerMTok: amount, priceOutPerMTok: amount, places: whole(1, 65_535).optional(),
  engine: z.discriminatedUnion("kind", [llama, z.strictObject({ kind: z.literal("embeddings") }), remote, timed]),
});
const fileSchema = z.strictObject({
  slots: whole(1, 65_535), prepSlots: whole(0, 65_535).default(0),
  pace: z.strictObject({ tokensPerSecond: z.number().positive().max(1e9) }).nullable().default(null),
  unackedMax: whole(1, 10_000).optional(), drainSeconds: whole(0, 3_600).default(15),
  models: z.array(model).min(1).max(32),
});
const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/).transform((value) => value.toLowerCase() as Address);
const deploymentSchema = z.object({ chainId: whole(1, Number.MAX_SAFE_INTEGER), contracts: z.record(z.string(), address), block: whole(0, Number.MAX_SAFE_INTEGER).default(0) });

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws TidelaneError `config_invalid`, InvalidValueError naming the member at fault */
export function loadConfig(env: Environment): NodeConfig {
  const unknown = Object.keys(env).filter((name) => name.startsWith("TIDELANE_") && !Object.hasOwn(ENVIRONMENT, name));
  if (unknown.length > 0) throw invalid(`${unknown.join(", ")}: no such variable. Known are ${Object.keys(ENVIRONMENT).join(", ")}.`);
  const deployment = parse(deploymentSchema, jsonFile(required(env, "TIDELANE_DEPLOYMENT")), "TIDELANE_DEPLOYMENT");
  const chainId = Number(env.TIDELANE_CHAIN_ID ?? deployment.chainId);
  if (chainId !== deployment.chainId) throw invalid(`TIDELANE_CHAIN_ID is ${env.TIDELANE_CHAIN_ID}, but the deployment is on chain ${deployment.chainId}.`);
  const configFile = required(env, "TIDELANE_NODE_CONFIG");
  return deepFreeze({
    nodeId: idOf(required(env, "TIDELANE_NODE_ID")), hotKey: hotKeyOf(env), relayers: relayersOf(required(env, "TIDELANE_RELAYERS")),
    dataFolder: resolve(env.TIDELANE_DATA_DIR ?? join(".tidelane", "node")), rpcUrls: listOf(required(env, "TIDELANE_RPC_URLS")), chainId,
    contracts: deployment.contracts, deploymentBlock: deployment.block, logLevel: levelOf(env.TIDELANE_LOG_LEVEL ?? "info"), ...parseNodeFile(jsonFile(configFile), dirname(resolve(configFile)), env),
  });
}

/** @param folder relative paths in the file start there. @throws InvalidValueError */
export function parseNodeFile(json: unknown, folder: string, env: Environment): Pick<NodeConfig, "slots" | "prepSlots" | "paceTokensPerSecond" | "unackedMax" | "drainSeconds" | "models"> {
  const from = parse(fileSchema, json, "config");
  const names = from.models.flatMap((one) => [one.name, ...one.aliases]);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw invalid(`config.models: ${twice} stands there twice.`);
  const { pace, models, ...rest } = from;
  return {
    ...rest, paceTokensPerSecond: pace?.tokensPerSecond ?? null, unackedMax: from.unackedMax ?? unackedMaxOf(from.slots),
    models: models.map((one) => ({ ...one, places: one.places ?? from.slots, engine: engineOf(one.engine, folder, env) })),
  };
}

/** A relayer that crashes leaves every place's receipt without an ack: that must not be the end of serving it. */
const unackedMaxOf = (slots: number): number => Math.min(10_000, Math.max(64, 2 * slots));

function engineOf(engine: z.output<typeof model>["engine"], folder: string, env: Environment): EngineConfig {
  if (engine.kind === "llama.cpp") {
    const { file, tokenizer, ...rest } = engine;
    if (file === undefined) return { ...rest, file: BUNDLED.file, tokenizer: tokenizer ?? BUNDLED.tokenizer };
    return { ...rest, file: resolve(folder, file), tokenizer: tokenizer ?? "" };
  }
  if (engine.kind !== "openai-compatible") return engine;
  const { apiKeyEnv, ...rest } = engine;
  const apiKey = apiKeyEnv === undefined ? undefined : env[apiKeyEnv];
  if (apiKeyEnv !== undefined && !apiKey) throw invalid(`config names ${apiKeyEnv} for an engine's key, but that variable is not set.`);
  return { ...rest, apiKey };
}

/** The hot key signs receipts: whoever has it can have the stake slashed. */
function hotKeyOf(env: Environment): Hex {
  const text = env.TIDELANE_HOT_KEY ?? (env.TIDELANE_HOT_KEY_FILE === undefined ? undefined : textFile(env.TIDELANE_HOT_KEY_FILE).trim());
  if (text === undefined) throw invalid("The hot key is needed: set TIDELANE_HOT_KEY or TIDELANE_HOT_KEY_FILE.");
  if (!/^(0x)?[0-9a-fA-F]{64}$/.test(text)) throw invalid("The hot key must be 32 bytes in hex.");
  return `0x${text.replace(/^0x/, "").toLowerCase()}`;
}

function required(env: Environment, name: keyof typeof ENVIRONMENT): string {
  const value = env[name];
  if (!value) throw invalid(`${name} is not set: ${ENVIRONMENT[name]}.`);
  return value;
}

function idOf(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text) || Number(text) >= 2 ** 32) throw invalid("TIDELANE_NODE_ID must be the registered node's number.");
  return Number(text);
}

function listOf(text: string, isTaken: (one: string) => boolean = isWebUrl): string[] {
  const all = [...new Set(text.split(",").map((one) => one.trim()).filter((one) => one !== ""))];
  const wrong = all.find((one) => !isTaken(one));
  if (wrong !== undefined || all.length === 0 || all.length > 64) throw invalid(`"${wrong ?? text}" is no list of 1 to 64 URLs.`);
  return all;
}

const isWebUrl = (text: string): boolean => URL.canParse(text) && /^https?:/i.test(text);

function relayersOf(text: string): string[] {
  return listOf(text, (one) => isWebUrl(one) || registeredIdOf(one) !== null);
}

function levelOf(level: string): string {
  if (!["trace", "debug", "info", "warn", "error", "fatal", "silent"].includes(level)) throw invalid(`TIDELANE_LOG_LEVEL is "${level}": ${ENVIRONMENT.TIDELANE_LOG_LEVEL}.`);
  return level;
}

function jsonFile(path: string): unknown {
  try {
    return JSON.parse(textFile(path));
  } catch (error) {
    if (error instanceof TidelaneError) throw error;
    throw invalid(`${path} is not JSON.`);
  }
}

function textFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new TidelaneError(`${path} cannot be read.`, { code: "config_invalid", cause: error });
  }
}

const invalid = (message: string): TidelaneError => new TidelaneError(message, { code: "config_invalid" });

function deepFreeze<Value extends object>(value: Value): Value {
  for (const member of Object.values(value)) if (typeof member === "object" && member !== null) deepFreeze(member as object);
  return Object.freeze(value);
}
