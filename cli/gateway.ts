// `tidelane gateway`: money of contracts' requests, out again: refunds, balances, what nodes and relayers earned there.
import { Command } from "commander";
import { gatewayBooks, gatewayCalls } from "../client/adapters/gateway.ts";
import { ownerChain } from "../client/adapters/chain.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { addressOf, idOf } from "./nodeOptions.ts";
import { amountFromText, amountToText, EXIT_CODES_HELP, run, step, table, type OutputOptions, type Report } from "./output.ts";
import { ownerKeyOf, placeOf, withPlace, type Place, type PlaceOptions } from "./place.ts";
import type { Address, Hash } from "../protocol/units.ts";

interface Options extends PlaceOptions, OutputOptions {
  readonly account?: string;
  readonly to?: string;
  readonly node?: string;
  readonly relayerId?: string;
}

const WEI_DECIMALS = 18;

export function gatewayCommand(): Command {
  const gateway = new Command("gateway").description("requests from contracts: take back what nobody answered, pay out what they earned").addHelpText("after", EXIT_CODES_HELP);
  const read = (name: string, description: string): Command => withPlace(gateway.command(name).description(description));
  const sent = (name: string, description: string): Command => read(name, description).option("--key-file <file>", "the private key that sends it, in hex (TIDELANE_OWNER_KEY)");
  const paid = (command: Command): Command => command.option("--account <address>", "whose balance (default: the key's own)").option("--to <address>", "where to (default: the account)");

  read("status", "what lies there for an account, a node or a relayer").option("--account <address>", "a requester, or a relayer's poster")
    .option("--node <id>", "a node's number").option("--relayer-id <id>", "a relayer's number").action((options: Options) => run(options, () => status(options)));
  sent("refund <request>", "end a request whose deadline has passed; anyone may, the requester is credited").action((request: string, options: Options) => run(options, () => refund(request, options)));
  paid(sent("withdraw", "pay out a balance in pay tokens: refunds, and what answers did not use")).action((options: Options) => run(options, () => withdraw(options, "withdraw")));
  paid(sent("withdraw-gas", "pay out native coin: refunds, or a poster's payment for deliveries")).action((options: Options) => run(options, () => withdraw(options, "withdrawGas")));
  sent("claim-node", "pay a node's matured earnings to its payout address; anyone may").requiredOption("--node <id>", "the node's number").action((options: Options) => run(options, () => claimNode(options)));
  sent("claim-fee", "pay out a relayer's matured fees").requiredOption("--relayer-id <id>", "the relayer's number").option("--to <address>", "where to (default: the owner)")
    .action((options: Options) => run(options, () => claimFee(options)));
  sent("bond-commits <amount>", "put tokens behind a relayer's commits to open requests").requiredOption("--relayer-id <id>", "the relayer's number")
    .action((amount: string, options: Options) => run(options, () => bondCommits(amount, options)));
  sent("withdraw-commit-bond <amount>", "take back what stands behind a relayer's commits and is not held").requiredOption("--relayer-id <id>", "the relayer's number")
    .option("--to <address>", "where to (default: the owner)").action((amount: string, options: Options) => run(options, () => withdrawCommitBond(amount, options)));
  return gateway;
}

async function status(options: Options): Promise<Report> {
  const books = gatewayBooks(placeOf(options));
  const account = options.account === undefined ? null : await books.account(addressOf(options.account, "--account"));
  const node = options.node === undefined ? null : await books.node(idOf(options.node, "--node"));
  const relayer = options.relayerId === undefined ? null : await books.relayer(idOf(options.relayerId, "--relayer-id"));
  const rows: [string, string][] = [];
  if (account) rows.push([`account ${options.account}`, `${account.balance} and ${amountToText(account.gasWei, WEI_DECIMALS)} of native coin can be withdrawn`]);
  if (node) rows.push([`node ${options.node}`, `${node.earned} earned, ${node.claimable} can be claimed, ${node.claimed} paid`]);
  if (relayer) rows.push([`relayer ${options.relayerId}`, `${relayer.fees} of fees, ${relayer.claimable} can be claimed, ${relayer.feesClaimed} paid; ${relayer.commitBond} behind commits`]);
  if (rows.length === 0) throw new TidelaneError("Say whose: --account <address>, --node <id> or --relayer-id <id>.", { code: "nobody_named" });
  return { json: { account, node, relayer }, text: `${table(rows)}\n  Pay tokens in their smallest unit.` };
}

async function refund(text: string, options: Options): Promise<Report> {
  const place = placeOf(options);
  if (!/^0x[0-9a-fA-F]{64}$/.test(text)) throw new TidelaneError(`"${text}" is no request: 0x and 64 hex digits.`, { code: "invalid_request" });
  const requestId = text.toLowerCase() as Hash;
  const { request, state } = await step("looking for the request", gatewayBooks(place).request(requestId));
  const { requester, maxFee, gasPayment, deadline } = request;
  if (state !== "pending") throw new TidelaneError(`The request is ${state} already: nothing is left to refund.`, { code: "request_ended", details: { state } });
  const transaction = await step("waiting for the refund to be mined", calls(options, place).refund(request).catch(tooEarly(deadline)));
  return {
    json: { requestId, requester, maxFee, gasPayment, transaction },
    text: `Refunded in transaction ${transaction}: ${maxFee} and ${amountToText(gasPayment, WEI_DECIMALS)} of native coin are ${requester}'s balance.\nPay them out: tidelane gateway withdraw, withdraw-gas --account ${requester}`,
  };
}

/** Says until when in words. @throws `deadline_not_passed` (retryable), or what it was given */
const tooEarly = (deadline: number) => (error: unknown): never => {
  if (!(error instanceof TidelaneError) || !/^DeadlineNotPassed\(/.test(String(error.details.reason))) throw error;
  throw new TidelaneError(`A relayer may still answer: the request can be refunded after ${new Date(deadline * 1_000).toISOString()}.`, { code: "deadline_not_passed", retryable: true, details: { deadline }, cause: error });
};

async function withdraw(options: Options, what: "withdraw" | "withdrawGas"): Promise<Report> {
  const place = placeOf(options);
  const sender = calls(options, place);
  const account = options.account === undefined ? sender.address : addressOf(options.account, "--account");
  const to = options.to === undefined ? account : addressOf(options.to, "--to");
  const { balance, gasWei } = await gatewayBooks(place).account(account);
  const amount = what === "withdraw" ? balance : gasWei;
  if (amount === 0n) throw new TidelaneError(`Nothing lies in the gateway for ${account}.`, { code: "nothing_to_pay" });
  const transaction = await step("waiting for the withdrawal to be mined", sender[what](account, to));
  const words = what === "withdraw" ? await money(options, place, amount) : `${amountToText(amount, WEI_DECIMALS)} of native coin`;
  return { json: { account, to, amount, transaction }, text: `Paid ${words} to ${to} in transaction ${transaction}.` };
}

async function claimNode(options: Options): Promise<Report> {
  const place = placeOf(options);
  const nodeId = idOf(options.node ?? "", "--node");
  const { claimable } = await gatewayBooks(place).node(nodeId);
  if (claimable === 0n) throw nothingMatured("Credits of requests can be claimed 3 to 6 windows after the answer.");
  const transaction = await step("waiting for the claim to be mined", calls(options, place).claimNode(nodeId));
  return { json: { nodeId, amount: claimable, transaction }, text: `Paid ${await money(options, place, claimable)} to the payout address of node ${nodeId} in transaction ${transaction}.` };
}

async function claimFee(options: Options): Promise<Report> {
  const place = placeOf(options);
  const sender = calls(options, place);
  const [relayerId, to] = [idOf(options.relayerId ?? "", "--relayer-id"), payee(options, sender.address)];
  const { claimable } = await gatewayBooks(place).relayer(relayerId);
  if (claimable === 0n) throw nothingMatured("Fees of requests can be claimed from seven windows after the answer, once the seeds of that time are revealed.");
  const transaction = await step("waiting for the claim to be mined", sender.claimRelayerFee(relayerId, to));
  return { json: { relayerId, amount: claimable, to, transaction }, text: `Paid ${await money(options, place, claimable)} to ${to} in transaction ${transaction}.` };
}

async function bondCommits(text: string, options: Options): Promise<Report> {
  const place = placeOf(options);
  const relayerId = idOf(options.relayerId ?? "", "--relayer-id");
  const amount = amountFromText(text, (await ownerChain(place, ownerKeyOf(options, place)).balances()).decimals);
  const transaction = await step("waiting for the bond to be mined", calls(options, place).bondCommits(relayerId, amount));
  const { commitBond } = await gatewayBooks(place).relayer(relayerId);
  return { json: { relayerId, amount, commitBond, transaction }, text: `${await money(options, place, commitBond)} stand behind the commits of relayer ${relayerId}, since transaction ${transaction}.` };
}

async function withdrawCommitBond(text: string, options: Options): Promise<Report> {
  const place = placeOf(options);
  const sender = calls(options, place);
  const [relayerId, to] = [idOf(options.relayerId ?? "", "--relayer-id"), payee(options, sender.address)];
  const amount = amountFromText(text, (await ownerChain(place, ownerKeyOf(options, place)).balances()).decimals);
  const transaction = await step("waiting for the withdrawal to be mined", sender.withdrawCommitBond(relayerId, amount, to));
  return { json: { relayerId, amount, to, transaction }, text: `Paid ${await money(options, place, amount)} to ${to} in transaction ${transaction}.` };
}

const calls = (options: Options, place: Place) => gatewayCalls(place, ownerKeyOf(options, place));
const payee = ({ to }: Options, owner: Address): Address => (to === undefined ? owner : addressOf(to, "--to"));
const nothingMatured = (why: string): TidelaneError => new TidelaneError(`Nothing has matured yet. ${why}`, { code: "nothing_matured", retryable: true });

async function money(options: Options, place: Place, amount: bigint): Promise<string> {
  const { decimals, symbol } = await ownerChain(place, ownerKeyOf(options, place)).balances();
  return `${amountToText(amount, decimals)} ${symbol}`;
}
