// `tidelane node`: put a node on chain, run it, get its earnings and its stake back.
import { Command } from "commander";
import { randomBytes } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { ENVIRONMENT, parseNodeFile } from "../node/config.ts";
import { startNode } from "../node/main.ts";
import { NodeChainReader, NodeOwnerChain, type Token } from "../node/adapters/ownerChain.ts";
import { modelIdOf } from "../protocol/ids.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { addForce } from "./nodeForce.ts";
import { addressOf, idOf, keyFile, keyOf, nodeIdOf, nodeOwnerKeyOf, type NodeOptions } from "./nodeOptions.ts";
import { amountFromText, amountToText, EXIT_CODES_HELP, run, step, table, type Report } from "./output.ts";
import { jsonFile, placeOf, withPlace, type Place } from "./place.ts";
import type { Hex, TokenAmount } from "../protocol/units.ts";

type Options = NodeOptions;

interface RegisterOptions extends Options {
  readonly class: string;
  readonly config: string;
  readonly payout?: string;
  readonly hotKeyFile?: string;
  readonly newHotKey?: string;
}

const CLASSES: Readonly<Record<string, number>> = { high: 1, mid: 2, low: 3 };
const SLOTS_MAX = 65_535;

export function nodeCommand(): Command {
  const node = new Command("node").description("register, stake and run a node, claim what it earned").addHelpText("after", EXIT_CODES_HELP);
  const read = (name: string, description: string): Command => withPlace(node.command(name).description(description)).option("--node <id>", "the node's number (TIDELANE_NODE_ID)");
  const owned = (name: string, description: string): Command => read(name, description).option("--key-file <file>", "the cold owner's private key in hex (TIDELANE_OWNER_KEY)");
  const hot = (command: Command): Command => command
    .option("--hot-key-file <file>", "the hot key in hex (TIDELANE_HOT_KEY)").option("--new-hot-key <file>", "make a new hot key and keep it in this file");

  hot(owned("register", "register a node with the models and prices of its configuration"))
    .requiredOption("--class <class>", "hardware class: high, mid or low")
    .requiredOption("--config <file>", "the node's configuration (TIDELANE_NODE_CONFIG)")
    .option("--payout <address>", "where credits are paid (default: the owner)")
    .action((options: RegisterOptions) => run(options, () => register(options)));
  owned("stake <amount>", "stake tokens: each slot that the node attests needs its part").action((amount: string, options: Options) => run(options, () => stake(amount, options)));
  node.command("start").description("run the agent until SIGTERM; it is configured by the environment").option("--json", "it speaks JSON lines in any case")
    .addHelpText("after", `\nenvironment:\n${table(Object.entries(ENVIRONMENT))}\n`).action(() => startNode());
  read("status", "what the chain knows of the node").option("--relayer-id <id>", "show its tab at this relayer, too")
    .action((options: Options & { relayerId?: string }) => run(options, () => status(options)));
  owned("unbond <amount>", "start the delay after which stake can be withdrawn").action((amount: string, options: Options) => run(options, () => unbond(amount, options)));
  owned("withdraw", "withdraw stake whose delay has passed").option("--to <address>", "where to (default: the owner)")
    .action((options: Options & { to?: string }) => run(options, () => withdraw(options)));
  owned("claim", "pay the matured credits of a tab to the payout address").requiredOption("--relayer-id <id>", "whose tab")
    .action((options: Options & { relayerId: string }) => run(options, () => claim(options)));
  addForce(owned("force", "claim acked receipts that the relayer left out of its batches"));
  owned("retire", "take no new work for good; what was signed stays valid and claimable").action((options: Options) => run(options, () => retire(options)));
  hot(owned("rotate-key", "replace the hot key; what the old one signed stays valid")).action((options: RegisterOptions) => run(options, () => rotateKey(options)));
  return node;
}

async function register(options: RegisterOptions): Promise<Report> {
  const place = placeOf(options);
  const chain = ownerChainOf(options, place);
  const hardwareClass = CLASSES[options.class.toLowerCase()];
  if (hardwareClass === undefined) throw new TidelaneError(`"${options.class}" is no hardware class: high, mid or low.`, { code: "invalid_class" });
  const config = parseNodeFile(jsonFile(options.config), dirname(resolve(options.config)), process.env);
  const models = config.models.map((model) => ({ modelId: modelIdOf(model.name), priceInPerMTok: model.priceInPerMTok, priceOutPerMTok: model.priceOutPerMTok }));
  const payout = options.payout === undefined ? chain.owner : addressOf(options.payout, "--payout");
  const { nodeId, transaction } = await step("waiting for the registration to be mined", chain.register({ hardwareClass, payout, models, hotKey: hotKeyOf(options) }));
  const perSlot = await chain.stakePerSlot();
  const token = await chain.token("stakeToken");
  const needed = perSlot * BigInt(config.slots);
  return {
    json: { nodeId, owner: chain.owner, payout, models: models.length, stakeNeeded: needed, transaction },
    text: `Registered as node ${nodeId} in transaction ${transaction}.\nIts ${config.slots} slots need a stake: tidelane node stake ${amountToText(needed, token.decimals)} --node ${nodeId}   (${token.symbol})`,
  };
}

async function stake(text: string, options: Options): Promise<Report> {
  const { chain, nodeId, token } = await withStake(options);
  const amount = amountFromText(text, token.decimals);
  const transaction = await step("waiting for the stake to be mined", chain.stake(nodeId, amount));
  const { slots } = await chain.overview(nodeId);
  return { json: { nodeId, amount, slots, transaction }, text: `Staked ${show(amount, token)} in transaction ${transaction}. The node may attest ${Math.min(slots, SLOTS_MAX)} slots.` };
}

async function unbond(text: string, options: Options): Promise<Report> {
  const { chain, nodeId, token } = await withStake(options);
  const amount = amountFromText(text, token.decimals);
  const transaction = await step("waiting for the request to be mined", chain.unbond(nodeId, amount));
  const { withdrawableAt, slots } = await chain.overview(nodeId);
  const when = new Date(withdrawableAt * 1_000).toISOString();
  return { json: { nodeId, amount, withdrawableAt, slots, transaction }, text: `${show(amount, token)} can be withdrawn from ${when}; until then it can be slashed. The node may attest ${slots} slots.` };
}

async function withdraw(options: Options & { to?: string }): Promise<Report> {
  const { chain, nodeId, token } = await withStake(options);
  const to = options.to === undefined ? chain.owner : addressOf(options.to, "--to");
  const { unbonding } = await chain.overview(nodeId);
  const transaction = await step("waiting for the withdrawal to be mined", chain.withdraw(nodeId, to));
  return { json: { nodeId, amount: unbonding, to, transaction }, text: `Withdrew ${show(unbonding, token)} to ${to} in transaction ${transaction}.` };
}

async function claim(options: Options & { relayerId: string }): Promise<Report> {
  const place = placeOf(options);
  const chain = ownerChainOf(options, place);
  const [nodeId, relayerId] = [nodeIdOf(options), idOf(options.relayerId, "--relayer-id")];
  const token = await chain.token("payToken");
  const { claimable } = await chain.tab(relayerId, nodeId);
  if (claimable === 0n) throw new TidelaneError("Nothing has matured in this tab yet: credits can be claimed 3 to 6 windows after they are settled.", { code: "nothing_matured", retryable: true });
  const transaction = await step("waiting for the claim to be mined", chain.claim(relayerId, nodeId));
  const { payout } = await chain.overview(nodeId);
  return { json: { nodeId, relayerId, amount: claimable, payout, transaction }, text: `Paid ${show(claimable, token)} to ${payout} in transaction ${transaction}.` };
}

async function retire(options: Options): Promise<Report> {
  const nodeId = nodeIdOf(options);
  const transaction = await step("waiting for the retirement to be mined", ownerChainOf(options, placeOf(options)).retire(nodeId));
  return { json: { nodeId, transaction }, text: `Node ${nodeId} is retired. Claim what its tabs hold, then unbond: tidelane node unbond <amount> --node ${nodeId}` };
}

async function rotateKey(options: RegisterOptions): Promise<Report> {
  const place = placeOf(options);
  const chain = ownerChainOf(options, place);
  const nodeId = nodeIdOf(options);
  const transaction = await step("waiting for the new key to be mined", chain.rotateKey(nodeId, hotKeyOf(options)));
  const { hotKey, keyEpoch } = await chain.overview(nodeId);
  return { json: { nodeId, hotKey, keyEpoch, transaction }, text: `Node ${nodeId} signs with ${hotKey} from now on (epoch ${keyEpoch}). Start the agent again with the new key.` };
}

async function status(options: Options & { relayerId?: string }): Promise<Report> {
  const reader = new NodeChainReader(placeOf(options));
  const nodeId = nodeIdOf(options);
  const [seen, stakeToken, payToken] = await Promise.all([reader.overview(nodeId), reader.token("stakeToken"), reader.token("payToken")]);
  const relayerId = options.relayerId === undefined ? null : idOf(options.relayerId, "--relayer-id");
  const tab = relayerId === null ? null : await reader.tab(relayerId, nodeId);
  const rows: [string, string][] = [
    ["node", `${nodeId}, ${seen.live ? "live" : "retired"}, class ${Object.keys(CLASSES)[seen.hardwareClass - 1] ?? seen.hardwareClass}`], ["owner", seen.owner], ["payout", seen.payout],
    ["hot key", `${seen.hotKey} (epoch ${seen.keyEpoch})`], ["stake", `${show(seen.staked, stakeToken)}, ${Math.min(seen.slots, SLOTS_MAX)} slots`],
  ];
  if (seen.unbonding > 0n) rows.push(["unbonding", `${show(seen.unbonding, stakeToken)}, from ${new Date(seen.withdrawableAt * 1_000).toISOString()}`]);
  if (seen.jailedUntil * 1_000 > Date.now()) rows.push(["jailed until", new Date(seen.jailedUntil * 1_000).toISOString()]);
  if (tab) rows.push([`tab at relayer ${relayerId}`, `${show(tab.earned, payToken)} earned, ${show(tab.claimable, payToken)} can be claimed, ${show(tab.claimed, payToken)} paid`]);
  return { json: { nodeId, ...seen, ...(tab ? { tab: { relayerId, ...tab } } : {}) }, text: table(rows) };
}

async function withStake(options: Options): Promise<{ chain: NodeOwnerChain; nodeId: number; token: Token }> {
  const chain = ownerChainOf(options, placeOf(options));
  return { chain, nodeId: nodeIdOf(options), token: await chain.token("stakeToken") };
}

const ownerChainOf = (options: Options, place: Place): NodeOwnerChain => new NodeOwnerChain(place, nodeOwnerKeyOf(options));

function hotKeyOf(options: RegisterOptions): Hex {
  if (options.newHotKey !== undefined) return newKey(options.newHotKey);
  const key = options.hotKeyFile === undefined ? process.env.TIDELANE_HOT_KEY : keyFile(options.hotKeyFile);
  if (key === undefined) throw new TidelaneError("The hot key is needed: give --new-hot-key <file> to make one, --hot-key-file <file>, or set TIDELANE_HOT_KEY.", { code: "no_hot_key" });
  return keyOf(key, "the hot key");
}

/** Readable by its owner alone. An existing file is never overwritten: it may hold a key that is in use. */
function newKey(file: string): Hex {
  const key: Hex = `0x${randomBytes(32).toString("hex")}`;
  if (existsSync(file)) throw new TidelaneError(`${file} exists already. Name another file, or use it with --hot-key-file.`, { code: "file_exists" });
  writeFileSync(file, `${key}\n`, { mode: 0o600, flag: "wx" });
  return key;
}

const show = (amount: TokenAmount, token: Token): string => `${amountToText(amount, token.decimals)} ${token.symbol}`;
