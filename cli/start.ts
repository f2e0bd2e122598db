// `npm start`: a whole local network, one real question through it, and then yours.
import { parseArgs } from "node:util";
import { join, resolve } from "node:path";
import { TidelaneError } from "../protocol/errors.ts";
import { verifyReceipt } from "./audit.ts";
import { Devnet } from "./devnet/devnet.ts";
import { DEVNET_DIRECTORY, DEVNET_PORT } from "./devnet/devnetFile.ts";
import { engineBehind, embeddedEngine, type EngineChoice, type RemoteOptions } from "./devnet/fleet.ts";
import { apiKeyOf, ask, sessionOf, settlementOf, type Answer, type Settlement } from "./devnet/firstQuestion.ts";
import type { TaskOutcome } from "../client/receipt.ts";

const HELP = `usage: npm start -- [options]

Starts a local chain, the contracts, a database, a relayer and four nodes; asks one question, settles it, verifies it.

  --once              end after the first question, and leave nothing running
  --json              print one JSON object on the last line (amounts in the token's smallest unit)
  --engine-url URL    put a real engine behind the nodes, such as http://127.0.0.1:11434/v1 (Ollama, vLLM, llama.cpp server)
  --engine-model NAME the model to ask that engine for (default: the first that it lists)
  --engine-context N  how many tokens of context it has, where it does not tell (or fewer, to offer less)
  --engine-key-env V  the environment variable that holds the engine's API key, where it wants one
  --port PORT         the relayer's port; the chain takes the next one (default ${DEVNET_PORT}; 0 chooses free ones)
  --data-dir FOLDER   where the network keeps its state (default .tidelane)
  --help              this text
`;

interface Options {
  readonly isOnce: boolean;
  readonly isJson: boolean;
  readonly directory: string;
  readonly port: number;
  readonly engine: EngineChoice;
}

async function main(): Promise<void> {
  const options = await optionsFrom(process.argv.slice(2));
  if (!options) return void process.stdout.write(HELP);
  const ending = endingSignals();
  const devnet = new Devnet({
    directory: options.directory, port: options.port, engine: options.engine, onProgress: (text) => say(`  ${secondsSinceStart()}  ${text}`), onFailure: ending.fail,
  });
  try {
    // Whatever runs when a signal comes is given up; stopping the network makes it fail, and nobody listens any more.
    await Promise.race([run(devnet, options, ending.signal), ending.signal]);
  } finally {
    say("\nending ...");
    await devnet.stop();
  }
}

async function run(devnet: Devnet, options: Options, ended: Promise<void>): Promise<void> {
  await devnet.start();
  const readyMs = Math.round(performance.now());
  say(`  ${secondsSinceStart()}  ready\n`);
  const { report, model } = await firstQuestion(devnet, options);
  const apiKey = await apiKeyOf(devnet);
  if (options.isJson) process.stdout.write(`${JSON.stringify({ ...report, readyMs })}\n`);
  if (!report.verified) throw new TidelaneError("the first receipt does not hold; see above", { code: "not_verified" });
  if (options.isOnce) return;
  say(whatToTry(devnet, options, apiKey, report.taskId, model));
  await ended;
}

async function firstQuestion(devnet: Devnet, options: Options) {
  const outcomes = Promise.withResolvers<TaskOutcome>();
  const payer = await sessionOf(devnet, outcomes.resolve);
  try {
    const { model } = options.engine;
    say(`One question to ${model}, paid with a voucher of session ${payer.sessionId}:\n`);
    const answer = await ask(payer, model, outcomes.promise, (text) => process.stderr.write(text));
    say("\n\nSettling ...");
    const settlement = await settlementOf(devnet, answer.outcome.taskId);
    const verification = await verifyReceipt({ taskId: answer.outcome.taskId, relayerUrl: devnet.relayerUrl, rpcUrls: [devnet.rpcUrl], contracts: devnet.contracts });
    const verified = verification.verdict === "verified";
    const report = reportOf(answer, settlement, verified);
    say(inWords(devnet, report));
    return { report, model };
  } finally {
    await payer.close();
  }
}

function reportOf({ outcome, firstTokenMs }: Answer, settlement: Settlement, verified: boolean) {
  return {
    taskId: outcome.taskId, node: outcome.nodes[0]!, inputTokens: outcome.inputTokens, outputTokens: outcome.outputTokens,
    fee: outcome.fee.toString(), charge: outcome.charge.toString(), ...settlement, verified, firstTokenMs,
  };
}

function inWords(devnet: Devnet, report: ReturnType<typeof reportOf>): string {
  const name = Object.entries(devnet.ids.nodeIds).find(([, id]) => id === report.node)?.[0] ?? "?";
  return [
    `  task      ${report.taskId}`,
    `  node      ${report.node} (${name})`,
    `  tokens    ${report.inputTokens} in, ${report.outputTokens} out`,
    `  fee       ${money(report.fee)} to the node, ${money(report.charge)} charged in all`,
    `  batch     ${report.batchId} in block ${report.block}, ${report.gasUsed} gas`,
    `  receipt   ${report.verified ? "verified against the chain" : "DOES NOT HOLD"}`,
  ].join("\n");
}

/** Six decimals, as the local token has. */
const money = (amount: string): string => `${(Number(amount) / 1e6).toFixed(6)} tUSD`;

function whatToTry(devnet: Devnet, options: Options, apiKey: string, taskId: string, model: string): string {
  const directory = options.directory === resolve(DEVNET_DIRECTORY) ? "" : ` --data-dir ${options.directory}`;
  return `
The network is up. Try:

  curl ${devnet.relayerUrl}/v1/chat/completions -H 'content-type: application/json' \\
    -H 'authorization: Bearer ${apiKey}' \\
    -d '{"model":"${model}","messages":[{"role":"user","content":"Once upon a time"}],"max_tokens":60}'

  ${devnet.relayerUrl}/        the status page

  npx tidelane audit verify ${taskId}${directory}

  npx tidelane oracle deploy --model ${model}${directory}        a contract that asks

Ctrl-C ends it; the next npm start continues from the same chain and database.`;
}

async function optionsFrom(args: string[]): Promise<Options | null> {
  const { values } = parseArgs({
    args, strict: true, options: {
      once: { type: "boolean" }, json: { type: "boolean" }, help: { type: "boolean" }, port: { type: "string" },
      "data-dir": { type: "string" }, "engine-url": { type: "string" }, "engine-model": { type: "string" }, "engine-context": { type: "string" }, "engine-key-env": { type: "string" },
    },
  });
  if (values.help) return null;
  const port = values.port === undefined ? DEVNET_PORT : Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_534) throw new TidelaneError("--port takes a whole number from 0 to 65534", { code: "invalid_option" });
  return {
    isOnce: values.once ?? false, isJson: values.json ?? false, port,
    directory: resolve(values["data-dir"] ?? join(import.meta.dirname, "..", DEVNET_DIRECTORY)),
    engine: await engineFrom(values["engine-url"], { model: values["engine-model"], contextTokens: tokensFrom(values["engine-context"]), keyVariable: values["engine-key-env"] }),
  };
}

async function engineFrom(url: string | undefined, options: RemoteOptions): Promise<EngineChoice> {
  if (url !== undefined) return engineBehind(url, options);
  if (Object.values(options).some((one) => one !== undefined)) throw new TidelaneError("--engine-model, --engine-context and --engine-key-env go with --engine-url", { code: "invalid_option" });
  return embeddedEngine();
}

function tokensFrom(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new TidelaneError("--engine-context takes a number of tokens from 1 to 9999999", { code: "invalid_option" });
  return Number(text);
}

/** Resolves with the first signal, or rejects with the first process that ends by itself. */
function endingSignals(): { readonly signal: Promise<void>; readonly fail: (error: TidelaneError) => void } {
  const { promise, resolve: end, reject: fail } = Promise.withResolvers<void>();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => end());
  promise.catch(() => { /* Told to whoever waits for it. */ });
  return { signal: promise, fail };
}

/** A terminal that has gone, or `| head`, must not leave the network's processes without their parent. */
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => { /* Nobody listens any more. */ });

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Since this process started, installing excepted. */
const secondsSinceStart = (): string => `${(performance.now() / 1000).toFixed(1).padStart(5)} s`;

try {
  await main();
} catch (error) {
  const known = error instanceof TidelaneError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  process.stderr.write(known ? `\ntidelane: ${(error as Error).message}\n` : `\n${(error as Error).stack}\n`);
  process.exitCode = 1;
}
