// Finds out what a remote engine does not say in OpenAI's API: how much context it really has, and how busy it is.
import { EngineError, type Clock } from "../../ports.ts";
import { READ_LIMITS, wholeText, within } from "./lines.ts";
import type { Millis, Tokens } from "../../../protocol/units.ts";

export interface ProbeTarget {
  /** With `/v1`, without a slash at the end. */
  readonly baseUrl: string;
  /** The name that the engine knows the model by. */
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
}

const PROBE_MS: Millis = 5_000;
/** What Ollama loads where nobody sets num_ctx. */
const OLLAMA_CONTEXT_TOKENS = 4_096;

/** Whether anything answers there at all, in whatever words. */
export async function isReachable({ baseUrl, headers }: ProbeTarget, clock: Clock): Promise<boolean> {
  const stop = new AbortController();
  try {
    const answer = await within(fetch(`${baseUrl}/models`, { headers, redirect: "manual", signal: stop.signal }), PROBE_MS, clock);
    await answer.body?.cancel();
    return true;
  } catch {
    return false;
  } finally {
    stop.abort();
  }
}

export interface ContextFound {
  /** Null where the engine does not tell. */
  readonly contextTokens: Tokens | null;
  /** True where a longer prompt is cut without a word, so that this agent has to look. */
  readonly truncates: boolean;
}

/**
 * Ollama first: its OpenAI endpoint ignores num_ctx and truncates silently, so only its native API tells the truth.
 * Then llama.cpp's server (`/props`) and vLLM (`max_model_len` in `/models`).
 */
export async function contextOf(target: ProbeTarget, clock: Clock): Promise<ContextFound> {
  const ollama = await ollamaContext(target, clock);
  if (ollama !== null) return { contextTokens: ollama, truncates: true };
  return { contextTokens: await llamaServerContext(target, clock) ?? await listedContext(target, clock), truncates: false };
}

async function ollamaContext({ baseUrl, model, headers }: ProbeTarget, clock: Clock): Promise<Tokens | null> {
  const root = rootOf(baseUrl);
  const loaded = arrayOf(await getJson(`${root}/api/ps`, headers, clock), "models")
    .find((one) => one.name === model || one.model === model || one.name === `${model}:latest`);
  const context = positive(loaded?.context_length);
  if (context !== null) return context;
  const shown = await getJson(`${root}/api/show`, headers, clock, { model });
  if (!shown || typeof shown.model_info !== "object" || shown.model_info === null) return null;
  const configured = typeof shown.parameters === "string" ? /^num_ctx\s+(\d+)/m.exec(shown.parameters)?.[1] : undefined;
  const trained = positive(Object.entries(shown.model_info).find(([name]) => name.endsWith(".context_length"))?.[1]) ?? Infinity;
  return Math.min(configured ? Number(configured) : OLLAMA_CONTEXT_TOKENS, trained);
}

async function llamaServerContext({ baseUrl, headers }: ProbeTarget, clock: Clock): Promise<Tokens | null> {
  const props = await getJson(`${rootOf(baseUrl)}/props`, headers, clock);
  const settings = props?.default_generation_settings;
  return typeof settings === "object" && settings !== null && "n_ctx" in settings ? positive(settings.n_ctx) : null;
}

async function listedContext({ baseUrl, model, headers }: ProbeTarget, clock: Clock): Promise<Tokens | null> {
  const listed = arrayOf(await getJson(`${baseUrl}/models`, headers, clock), "data").find((one) => one.id === model);
  return positive(listed?.max_model_len);
}

/** What an engine's Prometheus page tells; null for what it does not. */
export interface EngineMetrics {
  readonly running: number | null;
  readonly waiting: number | null;
  /** From 0 to 1. */
  readonly kvShare: number | null;
}

/** vLLM's and llama.cpp's names. */
const METRICS = {
  running: ["vllm:num_requests_running", "llamacpp:requests_processing"],
  waiting: ["vllm:num_requests_waiting", "llamacpp:requests_deferred"],
  kvShare: ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "llamacpp:kv_cache_usage_ratio"],
} as const;

/** @returns null where the page cannot be read. */
export async function metricsOf(url: string, headers: Readonly<Record<string, string>>, clock: Clock): Promise<EngineMetrics | null> {
  const text = await getText(url, headers, clock);
  return text === null ? null : readMetrics(text);
}

export function readMetrics(text: string): EngineMetrics {
  const sum = (names: readonly string[]): number | null => {
    for (const name of names) {
      const values = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `)).map((line) => Number(line.slice(line.lastIndexOf(" ") + 1)));
      const good = values.filter((value) => Number.isFinite(value) && value >= 0);
      if (good.length > 0) return good.reduce((total, value) => total + value, 0);
    }
    return null;
  };
  const share = sum(METRICS.kvShare);
  return { running: sum(METRICS.running), waiting: sum(METRICS.waiting), kvShare: share === null ? null : Math.min(1, share) };
}

type Json = Record<string, unknown>;

async function getJson(url: string, headers: Readonly<Record<string, string>>, clock: Clock, body?: Json): Promise<Json | null> {
  const text = await getText(url, headers, clock, body);
  if (text === null) return null;
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? json as Json : null;
  } catch {
    return null;
  }
}

async function getText(url: string, headers: Readonly<Record<string, string>>, clock: Clock, body?: Json): Promise<string | null> {
  const stop = new AbortController();
  try {
    const asked = fetch(url, {
      headers: body ? { ...headers, "content-type": "application/json" } : headers, redirect: "error", signal: stop.signal,
      ...(body ? { method: "POST", body: JSON.stringify(body) } : {}),
    });
    const answer = await within(asked, PROBE_MS, clock);
    if (!answer.ok || !answer.body) return null;
    return await wholeText(answer.body, { ...READ_LIMITS, totalBytesMax: 8 * 1_048_576, firstByteMs: PROBE_MS, idleMs: PROBE_MS }, clock);
  } catch (error) {
    if (error instanceof EngineError || error instanceof Error) return null;
    throw error;
  } finally {
    stop.abort();
  }
}

const rootOf = (baseUrl: string): string => baseUrl.replace(/\/v1$/, "");
const arrayOf = (json: Json | null, name: string): Json[] => (Array.isArray(json?.[name]) ? json[name] as unknown[] : []).filter((one): one is Json => typeof one === "object" && one !== null);
const positive = (value: unknown): number | null => (typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : null);
