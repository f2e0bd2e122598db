// `tidelane relayer`: put a relayer on chain, run it, get its fees and its bond back.
import { Command } from "commander";
import { readFileSync } from "node:fs";
import { privateKeyToAccount } from "viem/accounts";
import { ENVIRONMENT, loadConfig } from "../relayer/config.ts";
import { RelayerChainReader, RelayerOwnerChain, type PayToken } from "../relayer/adapters/ownerChain.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { amountFromText, amountToText, EXIT_CODES_HELP, fail, run, step, table, type OutputOptions, type Report } from "./output.ts";
import { placeOf, withPlace, type PlaceOptions } from "./place.ts";
import type { Address, Hex, TokenAmount } from "../protocol/units.ts";

interface Options extends PlaceOptions, OutputOptions {
  readonly relayerId?: string;
}

interface RegisterOptions extends Options {
  readonly signerKeyFile?: string;
  readonly poster?: string;
  readonly feeBps: string;
  readonly endpoint: string;
}

const FEE_BPS_MAX = 1_000;
const ENDPOINT_BYTES_MAX = 256;
const WEI_DECIMALS = 18;

export function relayerCommand(): Command {
  const relayer = new Command("relayer").description("register, bond and look after a relayer").addHelpText("after", EXIT_CODES_HELP);
  const read = (name: string, description: string): Command => withPlace(relayer.command(name).description(description)).option("--relayer-id <id>", "the relayer's number (TIDELANE_RELAYER_ID)");
  const owned = (name: string, description: string): Command => read(name, description).option("--key-file <file>", "the cold owner's private key in hex (TIDELANE_OWNER_KEY)");
  const signing = (command: Command): Command => command.option("--signer-key-file <file>", "the signing key in hex (TIDELANE_SIGNER_KEY)");

  signing(owned("register", "register a relayer; the key file's account becomes its cold owner"))
    .option("--poster <address>", "account that sends batches and holds gas only (default: TIDELANE_POSTER_KEY's)")
    .option("--fee-bps <bps>", `what the relayer adds to a node's fee, at most ${FEE_BPS_MAX}`, "300")
    .requiredOption("--endpoint <url>", "where payers and nodes find it")
    .action((options: RegisterOptions) => run(options, () => register(options)));
  owned("bond <amount>", "bond tokens: unsettled debits stay within five times the bond").action((amount: string, options: Options) => run(options, () => bond(amount, options)));
  relayer.command("start").description("run the relayer until SIGTERM; it is configured by the environment").option("--json", "it speaks JSON lines in any case")
    .addHelpText("after", `\nenvironment:\n${table(Object.entries(ENVIRONMENT))}\n`).action((options: OutputOptions) => start(options));
  read("status", "what the chain knows of the relayer").action((options: Options) => run(options, () => status(options)));
  owned("claim-fee", "pay out the fees that have matured").option("--to <address>", "where to (default: the owner)")
    .action((options: Options & { to?: string }) => run(options, () => claimFee(options)));
  signing(owned("rotate-key", "replace the signing key; what the old one signed stays valid")).action((options: RegisterOptions) => run(options, () => rotateKey(options)));
  owned("retire", "take no new sessions for good; what was signed stays valid and can be settled").action((options: Options) => run(options, () => retire(options)));
  owned("unbond <amount>", "start the delay after which the bond can be withdrawn").action((amount: string, options: Options) => run(options, () => unbond(amount, options)));
  owned("withdraw", "withdraw the bond whose delay has passed").option("--to <address>", "where to (default: the owner)")
    .action((options: Options & { to?: string }) => run(options, () => withdraw(options)));
  return relayer;
}

async function register(options: RegisterOptions): Promise<Report> {
  const chain = ownerChainOf(options);
  const feeBps = Number(options.feeBps);
  if (!/^\d{1,4}$/.test(options.feeBps) || feeBps > FEE_BPS_MAX) throw new TidelaneError(`--fee-bps must be a whole number up to ${FEE_BPS_MAX}.`, { code: "invalid_fee" });
  if (!URL.canParse(options.endpoint) || Buffer.byteLength(options.endpoint) > ENDPOINT_BYTES_MAX) throw new TidelaneError(`--endpoint must be a URL of at most ${ENDPOINT_BYTES_MAX} bytes.`, { code: "invalid_url" });
  const poster = posterOf(options);
  const { relayerId, transaction } = await step("waiting for the registration to be mined", chain.register({ poster, signerKey: signerKeyOf(options), feeBps, endpoint: options.endpoint }));
  return {
    json: { relayerId, owner: chain.owner, poster, feeBps, endpoint: options.endpoint, transaction },
    text: `Registered as relayer ${relayerId} in transaction ${transaction}.\nIt settles nothing before it has a bond: tidelane relayer bond <amount> --relayer-id ${relayerId}\nThe poster ${poster} needs gas.`,
  };
}

async function bond(text: string, options: Options): Promise<Report> {
  const { chain, relayerId, token } = await withBond(options);
  const amount = amountFromText(text, token.decimals);
  const transaction = await step("waiting for the bond to be mined", chain.bond(relayerId, amount));
  const { bond: bonded, debitCapacity } = await chain.overview(relayerId);
  return {
    json: { relayerId, amount, bond: bonded, debitCapacity, transaction },
    text: `Bonded ${show(amount, token)} in transaction ${transaction}. ${show(debitCapacity, token)} can be debited before anything has matured.`,
  };
}

async function claimFee(options: Options & { to?: string }): Promise<Report> {
  const { chain, relayerId, token } = await withBond(options);
  const to = options.to === undefined ? chain.owner : addressOf(options.to, "--to");
  const { feesClaimable } = await chain.overview(relayerId);
  if (feesClaimable === 0n) throw new TidelaneError("No fee has matured yet: fees can be claimed from seven windows after they are settled, once the seeds of that time are revealed.", { code: "nothing_matured", retryable: true });
  const transaction = await step("waiting for the claim to be mined", chain.claimFee(relayerId, to));
  return { json: { relayerId, amount: feesClaimable, to, transaction }, text: `Paid ${show(feesClaimable, token)} to ${to} in transaction ${transaction}.` };
}

async function rotateKey(options: RegisterOptions): Promise<Report> {
  const { chain, relayerId } = await withBond(options);
  const transaction = await step("waiting for the new key to be mined", chain.rotateKey(relayerId, signerKeyOf(options)));
  const { signer, keyEpoch } = await chain.overview(relayerId);
  return { json: { relayerId, signer, keyEpoch, transaction }, text: `Relayer ${relayerId} signs with ${signer} from now on (epoch ${keyEpoch}). Start it again with the new key.` };
}

async function retire(options: Options): Promise<Report> {
  const relayerId = relayerIdOf(options);
  const transaction = await step("waiting for the retirement to be mined", ownerChainOf(options).retire(relayerId));
  return { json: { relayerId, transaction }, text: `Relayer ${relayerId} is retired. Let it run until all is settled, then unbond: tidelane relayer unbond <amount> --relayer-id ${relayerId}` };
}

async function unbond(text: string, options: Options): Promise<Report> {
  const { chain, relayerId, token } = await withBond(options);
  const amount = amountFromText(text, token.decimals);
  const transaction = await step("waiting for the request to be mined", chain.unbond(relayerId, amount));
  const { withdrawableAt } = await chain.overview(relayerId);
  return { json: { relayerId, amount, withdrawableAt, transaction }, text: `${show(amount, token)} can be withdrawn from ${dateOf(withdrawableAt)}; until then it can be slashed.` };
}

async function withdraw(options: Options & { to?: string }): Promise<Report> {
  const { chain, relayerId, token } = await withBond(options);
  const to = options.to === undefined ? chain.owner : addressOf(options.to, "--to");
  const { unbonding } = await chain.overview(relayerId);
  const transaction = await step("waiting for the withdrawal to be mined", chain.withdraw(relayerId, to));
  return { json: { relayerId, amount: unbonding, to, transaction }, text: `Withdrew ${show(unbonding, token)} to ${to} in transaction ${transaction}.` };
}

async function status(options: Options): Promise<Report> {
  const reader = new RelayerChainReader(placeOf(options));
  const [seen, token] = await Promise.all([reader.overview(relayerIdOf(options)), reader.payToken()]);
  const rows: [string, string][] = [
    ["relayer", `${seen.relayerId}, ${seen.live ? "live" : "retired"}, fee ${seen.feeBps} bps`], ["owner", seen.owner], ["signer", `${seen.signer} (epoch ${seen.keyEpoch})`],
    ["poster", `${seen.poster}, ${amountToText(seen.posterBalance, WEI_DECIMALS)} for gas`], ["bond", `${show(seen.bond, token)}, ${show(seen.debitCapacity, token)} can be debited now`],
    ["last batch", String(seen.lastBatch)], ["fees", `${show(seen.feesEarned, token)} earned, ${show(seen.feesClaimable, token)} can be claimed`],
  ];
  if (seen.unbonding > 0n) rows.push(["unbonding", `${show(seen.unbonding, token)}, from ${dateOf(seen.withdrawableAt)}`]);
  if (seen.jailedUntil * 1_000 > Date.now()) rows.push(["jailed until", dateOf(seen.jailedUntil)]);
  return { json: { ...seen }, text: table(rows) };
}

async function start(options: OutputOptions): Promise<void> {
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stop.abort());
  try {
    const config = loadConfig(process.env);
    // Only this command needs the whole relayer; the others start faster without.
    const [{ runRelayer }, { createLog }] = await Promise.all([import("../relayer/main.ts"), import("../relayer/adapters/log.ts")]);
    await runRelayer(config, createLog("relayer", config.logLevel), stop.signal, (url) => process.stdout.write(`${JSON.stringify({ ready: true, what: "relayer", url })}\n`));
    process.exit(0);
  } catch (error) {
    fail(options, error);
    process.exit(process.exitCode ?? 1);
  }
}

async function withBond(options: Options): Promise<{ chain: RelayerOwnerChain; relayerId: number; token: PayToken }> {
  const chain = ownerChainOf(options);
  return { chain, relayerId: relayerIdOf(options), token: await chain.payToken() };
}

/** The cold owner's key: from a file or from TIDELANE_OWNER_KEY. Never from the command line, which others can read. */
function ownerChainOf(options: Options): RelayerOwnerChain {
  const text = options.keyFile === undefined ? process.env.TIDELANE_OWNER_KEY : textOf(options.keyFile);
  if (text === undefined) throw new TidelaneError("The cold owner's key is needed: give --key-file <file>, or set TIDELANE_OWNER_KEY.", { code: "no_owner_key" });
  return new RelayerOwnerChain(placeOf(options), keyOf(text, "the owner's key"));
}

function signerKeyOf(options: RegisterOptions): Hex {
  const text = options.signerKeyFile === undefined ? process.env.TIDELANE_SIGNER_KEY : textOf(options.signerKeyFile);
  if (text === undefined) throw new TidelaneError("The signing key is needed: give --signer-key-file <file>, or set TIDELANE_SIGNER_KEY.", { code: "no_signer_key" });
  return keyOf(text, "the signing key");
}

function posterOf(options: RegisterOptions): Address {
  if (options.poster !== undefined) return addressOf(options.poster, "--poster");
  const text = process.env.TIDELANE_POSTER_KEY;
  if (text === undefined) throw new TidelaneError("Name the account that sends batches: --poster <address>, or set TIDELANE_POSTER_KEY.", { code: "no_poster" });
  return privateKeyToAccount(keyOf(text, "the poster's key")).address.toLowerCase() as Address;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new TidelaneError(`${path} cannot be read.`, { code: "file_not_found", details: { path }, cause: error });
  }
}

function keyOf(text: string, what: string): Hex {
  const key = text.trim().replace(/^0x/, "");
  if (!/^[0-9a-fA-F]{64}$/.test(key)) throw new TidelaneError(`${what} must be 32 bytes in hex.`, { code: "invalid_key" });
  return `0x${key.toLowerCase()}`;
}

/** Named, from the environment, or the local network's. */
function relayerIdOf(options: Options): number {
  const text = options.relayerId ?? process.env.TIDELANE_RELAYER_ID ?? placeOf(options).devnet?.relayerId.toString() ?? "";
  if (!/^[1-9]\d{0,9}$/.test(text) || Number(text) >= 2 ** 32) throw new TidelaneError("--relayer-id must be a registered number.", { code: "invalid_id" });
  return Number(text);
}

function addressOf(text: string, flag: string): Address {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text)) throw new TidelaneError(`${flag}: "${text}" is no address: 0x and 40 hex digits.`, { code: "invalid_address" });
  return text.toLowerCase() as Address;
}

const show = (amount: TokenAmount, token: PayToken): string => `${amountToText(amount, token.decimals)} ${token.symbol}`;
const dateOf = (seconds: number): string => new Date(seconds * 1_000).toISOString();
