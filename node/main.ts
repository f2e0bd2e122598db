// The node agent's process: configuration, engines, store, chain and links are put together here and nowhere else.
//
//   engines up ─▶ registered? ─▶ store locked ─▶ dial each relayer ─▶ {"ready":true} ─▶ SIGTERM ─▶ drain ─▶ exit 0
import { loadConfig, type ModelConfig, type NodeConfig } from "./config.ts";
import { EmbeddingsEngine } from "./engines/embeddings/engine.ts";
import { LlamaEngine } from "./engines/llama/engine.ts";
import { OpenAiEngine } from "./engines/openai/engine.ts";
import { TimedEngine } from "./engines/timed/engine.ts";
import { openChain } from "./adapters/chain.ts";
import { readEvidence } from "./adapters/evidence.ts";
import { ForceChainReader } from "./adapters/forceChain.ts";
import { systemClock, systemDice } from "./adapters/clock.ts";
import { HttpLinks } from "./adapters/links.ts";
import { pinoLog } from "./adapters/log.ts";
import { FileStore } from "./adapters/store.ts";
import { Agent } from "./serve/agent.ts";
import { Dialler } from "./serve/dial.ts";
import { watchLeftOut } from "./serve/leftOut.ts";
import { modelInfoOf, type ServedModel } from "./serve/models.ts";
import { modelIdOf } from "../protocol/ids.ts";
import { signerOfKey } from "../protocol/signing.ts";
import { TidelaneError } from "../protocol/errors.ts";
import type { Address } from "../protocol/units.ts";
import type { ChainSelf, Engine, Log, NodeChain } from "./ports.ts";

const AGENT = "tidelane-node/0.1.0";
const CHAIN_RETRY_MS = 1_000;
const CHAIN_TRIES = 30;
/** A force is accepted up to 8 W after the ack; two more for what an ack may lag behind. */
const EVIDENCE_WINDOWS = 10;
/** Left-out work is looked for twice a window. */
const LEFT_OUT_MS_PER_WINDOW_SECOND = 500;
/** Receipts of the last moment still travel when the work has ended. */
const FLUSH_MS = 500;

/** Runs the agent until the signal is aborted, then drains. */
export async function runNode(config: NodeConfig, log: Log, signal: AbortSignal, onReady: () => void): Promise<void> {
  const world = { clock: systemClock, dice: systemDice, log };
  const signer = signerOfKey(config.hotKey);
  const chain = await patiently(() => openChain(config), log, signal);
  const self = await registered(chain, config.nodeId, signer.address, log, signal);
  const store = await FileStore.open({ folder: config.dataFolder, evidenceSeconds: EVIDENCE_WINDOWS * chain.windowSeconds, ...world });
  const models: ServedModel[] = [];
  const closing = new AbortController();
  try {
    for (const model of config.models) models.push(await served(model, log));
    const links = new HttpLinks(world);
    const agent = new Agent({ ...config, keyEpoch: self.keyEpoch, agent: AGENT }, models, self.slots, { ...world, chain, store, links, signer });
    const dialler = new Dialler(config.nodeId, agent, { ...world, chain, links });
    const leftOut = { ...world, nodeId: config.nodeId, chain: new ForceChainReader(config), rows: () => readEvidence(config.dataFolder, config.nodeId) };
    const running = [
      agent.run(closing.signal), dialler.run(config.relayers, closing.signal), watchLeftOut(leftOut, chain.windowSeconds * LEFT_OUT_MS_PER_WINDOW_SECOND, closing.signal),
    ];
    onReady();
    await aborted(signal);
    log.info({}, "draining");
    await agent.drain(config.drainSeconds * 1_000);
    await world.clock.sleep(FLUSH_MS);
    closing.abort();
    await Promise.all(running);
  } finally {
    closing.abort();
    await Promise.all(models.map((model) => model.engine.stop()));
    await store.close();
  }
}

async function served(model: ModelConfig, log: Log): Promise<ServedModel> {
  const engine = engineOf(model, log);
  const found = await engine.start().catch(async (error: unknown) => {
    await engine.stop();
    throw error;
  });
  const kind = found.dimensions > 0 ? "embed" as const : "generate" as const;
  const info = modelInfoOf({ modelId: modelIdOf(model.name), name: model.name, aliases: [...model.aliases], kind }, found);
  log.info({ model: model.name, engine: engine.name, contextTokens: found.contextTokens }, "engine ready");
  return { info, engine, curve: found.curve, places: model.places, priceInPerMTok: model.priceInPerMTok, priceOutPerMTok: model.priceOutPerMTok };
}

function engineOf({ engine, places }: ModelConfig, log: Log): Engine {
  const world = { clock: systemClock, log };
  switch (engine.kind) {
    case "llama.cpp": return new LlamaEngine({ file: engine.file, contextTokens: engine.contextTokens, tokenizer: engine.tokenizer, sequences: places, ...(engine.curve ? { curve: engine.curve } : {}) }, world);
    case "embeddings": return new EmbeddingsEngine(world);
    case "timed": return new TimedEngine({ ...engine, places, kvTokens: engine.kvTokens || engine.contextTokens * places }, world);
    case "openai-compatible": {
      const { apiKey, metricsUrl, kind: _kind, ...options } = engine;
      return new OpenAiEngine({ ...options, places, ...(apiKey ? { apiKey } : {}), ...(metricsUrl ? { metricsUrl } : {}) }, world);
    }
  }
}

/** @throws TidelaneError `node_not_registered`, `wrong_hot_key` */
async function registered(chain: NodeChain, nodeId: number, hotKey: Address, log: Log, signal: AbortSignal): Promise<ChainSelf> {
  const self = await patiently(() => chain.self(nodeId), log, signal);
  if (!self?.live) throw new TidelaneError(`Node ${nodeId} is not registered on this chain, or was retired. Register it: tidelane node register`, { code: "node_not_registered", details: { nodeId } });
  if (self.hotKey !== hotKey) throw new TidelaneError(`The hot key is not the one registered for node ${nodeId}: ${hotKey} is here, ${self.hotKey} there. Use the other key, or rotate: tidelane node rotate-key`, { code: "wrong_hot_key", details: { nodeId } });
  if (self.slots === 0) log.warn({ nodeId }, "this node's stake allows no slots: it attests none until it is staked (tidelane node stake)");
  return self;
}

/** A chain that is away for a moment while everything starts is no failure yet. */
async function patiently<Result>(call: () => Promise<Result>, log: Log, signal: AbortSignal): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof TidelaneError) || !error.retryable || tries >= CHAIN_TRIES || signal.aborted) throw error;
      if (tries === 1) log.warn({ error: error.message }, "the chain does not answer yet");
      await systemClock.sleep(CHAIN_RETRY_MS, signal);
    }
  }
}

const aborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => {
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
});

/** The whole process: ends it with 0 after a drain, with 1 and one line of JSON on standard error otherwise. */
export async function startNode(): Promise<void> {
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stop.abort());
  try {
    const config = loadConfig(process.env);
    await runNode(config, pinoLog(config.logLevel), stop.signal, () => process.stdout.write(`${JSON.stringify({ ready: true, what: "node", nodeId: config.nodeId })}\n`));
    process.exit(0);
  } catch (error) {
    const known = error instanceof TidelaneError;
    process.stderr.write(`${JSON.stringify({ level: 60, code: known ? error.code : "internal_error", msg: known ? error.message : String(error instanceof Error ? error.stack : error) })}\n`);
    process.exit(1);
  }
}

if (import.meta.main) await startNode();
