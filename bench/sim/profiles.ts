// The machines of a simulated fleet: service curves of an 8B-class model (KV 131,072 bytes per token), and how many of each there are.
import { InvalidValueError } from "../../protocol/errors.ts";

export type HardwareClass = "HIGH" | "MID" | "LOW";

/** iteration_ms = a + b * prefill + e * sum(chunk_end^2 - chunk_start^2) + c * context + d * batch; tokens and milliseconds. */
export interface Curve {
  readonly a: number;
  readonly b: number;
  readonly e: number;
  readonly c: number;
  readonly d: number;
}

export interface NodeProfile extends Curve {
  readonly name: string;
  readonly hardwareClass: HardwareClass;
  readonly kvTokens: number;
  /** Sequences that run at once. */
  readonly batchLimit: number;
  /** Tokens of one iteration, decode and prefill together. */
  readonly chunkTokens: number;
  /** Where the figures come from. */
  readonly basis: string;
}

export interface Fleet {
  readonly name: string;
  /** One entry per node. */
  readonly nodes: readonly NodeProfile[];
}

const CHUNK_TOKENS_MAX = 2_048;
const CHUNK_TOKENS_STEP = 64;
const NODES_MAX = 200_000;

/**
 * Token budget of an iteration, after Sarathi-Serve (OSDI'24): the greatest multiple of 64, up to 2,048, with which reading prompts
 * takes three quarters of the time per output token, so that a quarter is left to the sequences that decode beside it. An engine's
 * setting: every policy meets the same.
 */
export function chunkTokensFor(curve: Curve, tpotMs = 100): number {
  const inTime = curve.b > 0 ? (0.75 * tpotMs - curve.a) / curve.b : CHUNK_TOKENS_MAX;
  return Math.min(CHUNK_TOKENS_MAX, Math.max(CHUNK_TOKENS_STEP, Math.floor(inTime / CHUNK_TOKENS_STEP) * CHUNK_TOKENS_STEP));
}

type Figures = readonly [HardwareClass, a: number, b: number, e: number, c: number, d: number, kvTokens: number, batchLimit: number, basis: string];

const FIGURES: Readonly<Record<string, Figures>> = {
  h100: ["HIGH", 7.5, 0.0218, 2e-6, 5.8e-5, 0.01, 419_000, 256, "H100-80G bf16: Vidur 7B profile, scaled"],
  a100: ["HIGH", 12, 0.0661, 4e-6, 9.5e-5, 0.027, 419_000, 256, "A100-80G bf16: Vidur Llama-3-8B + overhead"],
  a40: ["MID", 28, 0.133, 8e-6, 2.8e-4, 0.1, 200_000, 128, "A40-48G bf16: Vidur 7B, scaled; predicts 1.30k tok/s where 1.02k is published"],
  l4: ["LOW", 74, 0.165, 1e-5, 6.4e-4, 0.15, 34_000, 64, "L4-24G bf16: derived, uncertain"],
  "4090": ["MID", 7.6, 0.133, 1.4e-5, 3.6e-4, 0.05, 119_000, 64, "4090 Q4_K_M: fitted to published llama.cpp figures; d assumed"],
  "3090": ["MID", 8.5, 0.238, 1.92e-5, 7.2e-4, 0.1, 119_000, 64, "3090 Q4_K_M: fitted; d assumed"],
  "3070": ["LOW", 13.6, 0.397, 3.75e-5, 6.5e-4, 0.15, 10_000, 16, "3070-8G Q4: fitted; d assumed"],
  "3060": ["LOW", 17, 0.63, 5e-5, 8e-4, 0.2, 37_000, 32, "3060-12G Q4: derived from the 3070"],
};

export const PROFILES: Readonly<Record<string, NodeProfile>> = Object.fromEntries(Object.entries(FIGURES).map(([name, figures]) => {
  const [hardwareClass, a, b, e, c, d, kvTokens, batchLimit, basis] = figures;
  return [name, { name, hardwareClass, a, b, e, c, d, kvTokens, batchLimit, chunkTokens: chunkTokensFor({ a, b, e, c, d }), basis }];
}));

/** 64 nodes of seven kinds. */
export const REFERENCE_FLEET: Fleet = fleetOf("reference", { h100: 2, a100: 4, a40: 8, "4090": 12, "3090": 12, "3070": 10, "3060": 16 });

/** @param times whole; copies of each node */
export function multiplied(fleet: Fleet, times: number): Fleet {
  return times === 1 ? fleet : { name: `${fleet.name} x ${times}`, nodes: fleet.nodes.flatMap((node) => Array.from({ length: times }, () => node)) };
}

/** @throws InvalidValueError where a profile is unknown */
export function fleetOf(name: string, counts: Readonly<Record<string, number>>, profiles: Readonly<Record<string, NodeProfile>> = PROFILES): Fleet {
  return { name, nodes: Object.entries(counts).flatMap(([profile, count]) => Array.from({ length: count }, () => known(profiles, profile, "profile"))) };
}

/**
 * Reads `{"nodes": [{"profile": "h100", "count": 2}], "profiles": {"mine": {"a": 10, "b": 0.1, "e": 0, "c": 1e-4, "d": 0.1, "kvTokens": 1e5,
 * "batchLimit": 64}}}`; profiles beside the built-in ones are optional, so are their `class` and `chunkTokens`.
 * @throws InvalidValueError that names the member at fault
 */
export function parseFleet(text: string, name: string): Fleet {
  const json = asObject(parseJson(text, name), "fleet");
  const own = json["profiles"] === undefined ? {} : asObject(json["profiles"], "profiles");
  const profiles = { ...PROFILES, ...Object.fromEntries(Object.entries(own).map(([key, value]) => [key, parseProfile(key, value)])) };
  if (!Array.isArray(json["nodes"])) throw new InvalidValueError("nodes", "a list of {profile, count}");
  const nodes = json["nodes"].flatMap((entry, i) => {
    const { profile, count } = asObject(entry, `nodes[${i}]`);
    const times = wholeNumber(count ?? 1, `nodes[${i}].count`, NODES_MAX);
    return Array.from({ length: times }, () => known(profiles, String(profile), `nodes[${i}].profile`));
  });
  if (nodes.length === 0 || nodes.length > NODES_MAX) throw new InvalidValueError("nodes", `1 to ${NODES_MAX} nodes in all`);
  return { name, nodes };
}

function parseProfile(name: string, value: unknown): NodeProfile {
  const json = asObject(value, `profiles.${name}`);
  const figure = (key: string): number => {
    const number = json[key];
    if (typeof number !== "number" || !Number.isFinite(number) || number < 0) throw new InvalidValueError(`profiles.${name}.${key}`, "a number from 0 on");
    return number;
  };
  const curve = { a: figure("a"), b: figure("b"), e: figure("e"), c: figure("c"), d: figure("d") };
  if (curve.a <= 0) throw new InvalidValueError(`profiles.${name}.a`, "a number above 0: an iteration takes time");
  const hardwareClass = json["class"] ?? "MID";
  if (hardwareClass !== "HIGH" && hardwareClass !== "MID" && hardwareClass !== "LOW") throw new InvalidValueError(`profiles.${name}.class`, "HIGH, MID or LOW");
  return {
    name, hardwareClass, ...curve,
    kvTokens: wholeNumber(json["kvTokens"], `profiles.${name}.kvTokens`, 2 ** 31), batchLimit: wholeNumber(json["batchLimit"], `profiles.${name}.batchLimit`, 65_535),
    chunkTokens: json["chunkTokens"] === undefined ? chunkTokensFor(curve) : wholeNumber(json["chunkTokens"], `profiles.${name}.chunkTokens`, 2 ** 20),
    basis: typeof json["basis"] === "string" ? json["basis"] : "given",
  };
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InvalidValueError(name, `a fleet as JSON (${(cause as Error).message})`);
  }
}

function known(profiles: Readonly<Record<string, NodeProfile>>, name: string, path: string): NodeProfile {
  if (!Object.hasOwn(profiles, name)) throw new InvalidValueError(path, `one of ${Object.keys(profiles).join(", ")}, not ${name}`);
  return profiles[name]!;
}

function asObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new InvalidValueError(path, "an object");
  return value as Record<string, unknown>;
}

function wholeNumber(value: unknown, path: string, most: number): number {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > most) throw new InvalidValueError(path, `a whole number from 1 to ${most}`);
  return value as number;
}
