// `tidelane oracle`: the example dApp from deployment to answer, so that a first contract request takes two commands.
import { Command } from "commander";
import { RelayerClient } from "../client/relayer.ts";
import { OracleChain, type AskedQuestion, type OracleAnswer } from "../client/adapters/oracle.ts";
import { artifacts, compile } from "../deploy/artifacts.ts";
import { ownerChain } from "../client/adapters/chain.ts";
import { gatewayBooks } from "../client/adapters/gateway.ts";
import { modelIdOf } from "../protocol/ids.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { amountFromText, amountToText, EXIT_CODES_HELP, ExitCode, run, step, table, type OutputOptions, type Report } from "./output.ts";
import { addressOf } from "./nodeOptions.ts";
import { ownerKeyOf, placeOf, relayerOf, withPlace, type Place, type PlaceOptions } from "./place.ts";
import type { Address, Hash, Hex, Millis } from "../protocol/units.ts";

type Options = PlaceOptions & OutputOptions;

interface DeployOptions extends Options {
  readonly model: string;
  readonly open?: boolean;
  readonly maxFee: string;
  readonly maxTokens: string;
  readonly callbackGas: string;
  readonly seconds: string;
}

const CALLBACK_GAS_MAX = 500_000;
const LIFETIME_SECONDS_MAX = 30 * 86_400;
const POLL_MS: Millis = 500;
/** How long `ask` waits beyond the deadline before it gives up: a refund is due then. */
const AFTER_DEADLINE_MS: Millis = 5_000;

export function oracleCommand(): Command {
  const oracle = new Command("oracle").description("an example dApp: a contract that asks a model and receives the answer").addHelpText("after", EXIT_CODES_HELP);
  const command = (name: string, description: string): Command =>
    withPlace(oracle.command(name).description(description)).option("--key-file <file>", "the private key of whoever pays, in hex (TIDELANE_OWNER_KEY)");
  command("deploy", "deploy contracts/examples/Oracle.sol").requiredOption("--model <name>", "a model that the relayer lists, by name or alias")
    .option("--open", "let any bonded relayer answer, instead of the one at --relayer")
    .option("--max-fee <amount>", "most that one question may cost, in tokens; the rest comes back", "0.01")
    .option("--max-tokens <number>", "longest answer", "64").option("--callback-gas <gas>", "what receiving an answer may use", "200000")
    .option("--seconds <number>", "how long an answer is waited for before the money comes back", "120")
    .action((options: DeployOptions) => run(options, () => deploy(options)));
  command("ask <oracle> <question>", "ask, and wait for the answer. Both are public").action((oracle_: string, question: string, options: Options) => run(options, () => ask(oracle_, question, options)));
  command("answers <oracle>", "every answer of the last month").action((oracle_: string, options: Options) => run(options, () => answers(oracle_, options)));
  command("pull <request>", "hand in an answer whose callback failed, or that lies at a URI").action((request: string, options: Options) => run(options, () => pull(request, options)));
  return oracle;
}

async function deploy(options: DeployOptions): Promise<Report> {
  const { place, chain, key } = owned(options);
  const relayer = new RelayerClient(relayerOf(place), fetch);
  const [{ relayerId }, modelId, { decimals, symbol }] = await step("asking the relayer", Promise.all([relayer.info(), modelOf(relayer, options.model), ownerChain(place, key).balances()]));
  const terms = {
    modelId, maxOutTokens: wholeOf(options.maxTokens, "--max-tokens", 1, 2 ** 32 - 1), maxFee: amountFromText(options.maxFee, decimals),
    callbackGas: wholeOf(options.callbackGas, "--callback-gas", 0, CALLBACK_GAS_MAX), lifetimeSeconds: wholeOf(options.seconds, "--seconds", 1, LIFETIME_SECONDS_MAX),
    relayerId: options.open ? 0 : relayerId,
  };
  await step("compiling the contracts", compile());
  const { bytecode } = await artifacts.loadArtifact("Oracle");
  const oracle = await step("waiting for the oracle to be deployed", chain.deploy(bytecode as Hex, terms));
  const rows: [string, string][] = [
    ["oracle", oracle], ["model", `${options.model} (${modelId})`], ["answered by", options.open ? "any bonded relayer" : `relayer ${relayerId}`],
    ["a question costs", `at most ${amountToText(terms.maxFee, decimals)} ${symbol}`],
  ];
  return { json: { oracle, ...terms }, text: `${table(rows)}\n\nNow ask it: tidelane oracle ask ${oracle} "What is the tide?"` };
}

async function ask(text: string, question: string, options: Options): Promise<Report> {
  const { place, chain } = owned(options);
  const oracle = addressOf(text, "<oracle>");
  const asked = await step("waiting for the question to be mined", chain.ask(oracle, question));
  const answer = await step("waiting for the answer", answerTo(chain, gatewayBooks(place), oracle, asked));
  const json = { requestId: asked.requestId, transaction: asked.transaction, answer: answer?.answer ?? null, uri: answer?.uri ?? null };
  if (answer) return { json, text: `Request ${asked.requestId}\n\n${shown(answer)}` };
  if (await gatewayBooks(place).state(asked.requestId) === "fulfilled") {
    return { json, text: `Request ${asked.requestId} was answered, and the oracle's callback failed.\nHand the answer in: tidelane oracle pull ${asked.requestId}`, exitCode: ExitCode.FAILED };
  }
  return { json, text: `Nobody answered request ${asked.requestId} in time.\nGet its money back: tidelane gateway refund ${asked.requestId}`, exitCode: ExitCode.FAILED };
}

/** Null where the deadline has passed, or where it was answered and the oracle did not take it. */
async function answerTo(chain: OracleChain, books: ReturnType<typeof gatewayBooks>, oracle: Address, { requestId, request, block }: AskedQuestion): Promise<OracleAnswer | null> {
  const until = request.deadline * 1_000 + AFTER_DEADLINE_MS;
  for (;;) {
    // In this order: an answer comes in the transaction that ends the request.
    const isOver = await books.state(requestId) !== "pending" || Date.now() > until;
    const [answer] = await chain.answers(oracle, { requestId, block });
    if (answer || isOver) return answer ?? null;
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

async function answers(text: string, options: Options): Promise<Report> {
  const found = await step("reading the chain", owned(options).chain.answers(addressOf(text, "<oracle>")));
  return { json: { answers: found }, text: found.length === 0 ? "No answers yet." : found.map((one) => `${one.requestId}\n${shown(one)}`).join("\n\n") };
}

async function pull(text: string, options: Options): Promise<Report> {
  const requestId = requestIdOf(text);
  const transaction = await step("waiting for the answer to be handed in", owned(options).chain.pull(requestId));
  return { json: { requestId, transaction }, text: `Handed in with transaction ${transaction}.` };
}

function owned(options: Options): { place: Place; chain: OracleChain; key: Hex } {
  const place = placeOf(options);
  const key = ownerKeyOf(options, place);
  return { place, key, chain: new OracleChain(place, key) };
}

/** @throws `model_not_found` */
async function modelOf(relayer: RelayerClient, name: string): Promise<Hash> {
  const model = (await relayer.models()).find((one) => one.kind === "generate" && (one.name === name || one.aliases.includes(name)));
  if (!model) throw new TidelaneError(`The relayer lists no model ${name} that generates text.`, { code: "model_not_found", retryable: true, details: { model: name } });
  return modelIdOf(model.name);
}

const shown = ({ answer, uri }: OracleAnswer): string => (uri === "" ? answer : `The answer is too long for a callback and lies at ${uri}`);

function wholeOf(text: string, flag: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d{1,10}$/.test(text) || value < least || value > most) throw new TidelaneError(`${flag} takes a whole number from ${least} to ${most}.`, { code: "invalid_number" });
  return value;
}

function requestIdOf(text: string): Hash {
  if (!/^0x[0-9a-fA-F]{64}$/.test(text)) throw new TidelaneError(`"${text}" is no request's id: 32 bytes in hex.`, { code: "invalid_request_id" });
  return text.toLowerCase() as Hash;
}
