// `tidelane payer`: money in, a session with signed limits, a local server that pays, money out.
import { Command } from "commander";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { openPayer, payerWorld } from "../client/main.ts";
import { issueKey, openSession, type SessionTerms } from "../client/session.ts";
import { ownerChain, ownerOfKey, payerChain } from "../client/adapters/chain.ts";
import { readOrNull } from "../client/adapters/fileStore.ts";
import { RelayerClient } from "../client/relayer.ts";
import { stateFromText, type PayerState } from "../client/state.ts";
import { startSidecar } from "../client/sidecar.ts";
import { hashStruct } from "../protocol/typedData.ts";
import { Mode } from "../protocol/constants.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { DEVNET_PORT } from "./devnet/devnetFile.ts";
import { addClaims } from "./payerClaims.ts";
import { noSession, notReleased, putAside } from "./payerRelease.ts";
import { amountFromText, amountToText, EXIT_CODES_HELP, run, step, table, type OutputOptions, type Report } from "./output.ts";
import { ownerKeyOf, placeOf, relayerOf, sessionFileOf, withPlace, type Place, type PlaceOptions } from "./place.ts";
import type { CreditedTransfer, OwnerChain } from "../client/ports.ts";
import type { Address, Hash } from "../protocol/units.ts";

type Options = PlaceOptions & OutputOptions;

interface OpenOptions extends Options {
  readonly lock: string;
  readonly allowance?: boolean;
  readonly ownTransaction?: boolean;
  readonly deposit?: string;
  readonly days: string;
  readonly maxPerTask?: string;
  readonly maxPerDay?: string;
  readonly maxPriceIn?: string;
  readonly maxPriceOut?: string;
}

/** Free beside a local network, whose relayer and chain have the two before it. */
const PROXY_PORT = DEVNET_PORT + 2;
const SECONDS_PER_DAY = 86_400;

export function payerCommand(): Command {
  const payer = new Command("payer").description("deposit, open a session, pay from any OpenAI client, get the rest back").addHelpText("after", EXIT_CODES_HELP);
  const owned = (name: string, description: string): Command =>
    withPlace(payer.command(name).description(description)).option("--key-file <file>", "the owner's private key in hex (TIDELANE_OWNER_KEY)");
  const sessioned = (command: Command): Command => command.option("--session <file>", "the session's file (TIDELANE_SESSION)");

  owned("balance", "what the owner's wallet holds, and what lies free in the escrow").action((options: Options) => run(options, () => balance(options)));
  owned("deposit <amount>", "move tokens from the wallet into the escrow").option("--for <payer>", "credit another payer")
    .action((amount: string, options: Options & { for?: string }) => run(options, () => deposit(amount, options)));
  owned("deposit-address", "where plain transfers and x402 payments become deposits").option("--payer <address>", "whose (default: the owner's)")
    .action((options: Options & { payer?: string }) => run(options, () => depositAddress(options)));
  owned("collect", "credit what was sent to a deposit address").option("--payer <address>", "whose (default: the owner's)")
    .action((options: Options & { payer?: string }) => run(options, () => collect(options)));
  owned("prove-transfer", "credit what a signed transfer (x402, ERC-3009) brought to the Escrow itself, to its signer")
    .requiredOption("--transaction <hash>", "the transaction that submitted it, whoever sent it")
    .action((options: Options & { transaction: string }) => run(options, () => proveTransfer(options)));
  owned("withdraw <amount>", "move free tokens out of the escrow").option("--to <address>", "where to (default: the owner)")
    .action((amount: string, options: Options & { to?: string }) => run(options, () => withdraw(amount, options)));
  sessioned(owned("open", "sign limits, lock a budget, open a session"))
    .requiredOption("--lock <amount>", "the session's whole budget, in tokens")
    .option("--allowance", "a plain API key instead of signed orders: simpler, bounded by --max-per-day")
    .option("--days <number>", "how long it is valid", "30")
    .option("--max-per-task <amount>", "most for one request (default: a tenth of the lock)")
    .option("--max-per-day <amount>", "with --allowance: refill for each 24 h (default: half of the lock)")
    .option("--max-price-in <amount>", "most for a million input tokens (default: four times the dearest listed)")
    .option("--max-price-out <amount>", "most for a million output tokens (default: likewise)")
    .option("--deposit <amount>", "deposit that much in the same transaction as the opening (with --own-transaction)")
    .option("--own-transaction", "send the opening transaction yourself instead of through the relayer")
    .action((options: OpenOptions) => run(options, () => open(options)));
  sessioned(withPlace(payer.command("proxy").description("serve OpenAI's API on this machine and pay each request")))
    .option("--port <port>", "0 chooses a free one", String(PROXY_PORT))
    .addHelpText("after", "\nWhere TIDELANE_PROXY_KEY is set, clients must give it as their API key.\n")
    .action((options: Options & { port: string }) => run(options, () => proxy(options)));
  sessioned(withPlace(payer.command("keys").description("a further API key for an allowance session"))).action((options: Options) => run(options, () => keys(options)));
  sessioned(withPlace(payer.command("sessions").description("your sessions: by your own count, the relayer's and the chain's")))
    .action((options: Options) => run(options, () => sessions(options)));
  sessioned(owned("top-up <amount>", "add to the session's lock")).action((amount: string, options: Options) => run(options, () => topUp(amount, options)));
  addClaims(sessioned(owned("claims", "what nodes claim from the session's lock, and proofs that it was charged already")), async (options) => (await saved(options)).state);
  sessioned(owned("revoke", "end the session, also one that was signed and never opened")).action((options: Options) => run(options, () => revoke(options)));
  sessioned(owned("close", "end the session; its rest is free three windows later")).action((options: Options) => run(options, () => close(options)));
  sessioned(owned("release", "free a closed session's rest, and put its file aside; again where more has come back")).action((options: Options) => run(options, () => release(options)));
  return payer;
}

/** The owner's chain with its token's decimals. */
async function owned(options: Options): Promise<{ place: Place; chain: OwnerChain; decimals: number; symbol: string; wallet: bigint; free: bigint }> {
  const place = placeOf(options);
  const chain = ownerChain(place, ownerKeyOf(options, place));
  return { place, chain, ...await step("reading the chain", chain.balances()) };
}

async function balance(options: Options): Promise<Report> {
  const { chain, wallet, free, decimals, symbol } = await owned(options);
  return {
    json: { owner: chain.owner, wallet, free, decimals, symbol },
    text: table([["owner", chain.owner], ["wallet", `${amountToText(wallet, decimals)} ${symbol}`], ["free in escrow", `${amountToText(free, decimals)} ${symbol}`]]),
  };
}

async function deposit(text: string, options: Options & { for?: string }): Promise<Report> {
  const { chain, decimals, symbol } = await owned(options);
  const amount = amountFromText(text, decimals);
  const payer = addressOr(options.for, chain.owner);
  const sent = payer === chain.owner ? chain.deposit(amount) : chain.depositFor(payer, amount);
  const transaction = await step("waiting for the deposit to be mined", sent);
  return { json: { amount, payer, transaction }, text: `Deposited ${amountToText(amount, decimals)} ${symbol}${payer === chain.owner ? "" : ` for ${payer}`} in transaction ${transaction}.` };
}

async function depositAddress(options: Options & { payer?: string }): Promise<Report> {
  const { chain, symbol } = await owned(options);
  const payer = addressOr(options.payer, chain.owner);
  const address = await step("reading the chain", chain.boxOf(payer));
  return { json: { payer, address }, text: `${address}\nWhatever ${symbol} is sent there belongs to ${payer}. Then: tidelane payer collect` };
}

async function collect(options: Options & { payer?: string }): Promise<Report> {
  const { chain } = await owned(options);
  const payer = addressOr(options.payer, chain.owner);
  const transaction = await step("waiting for the transaction to be mined", chain.collect(payer));
  return { json: { payer, transaction }, text: `What lay at the deposit address of ${payer} is in its free balance, by transaction ${transaction}.` };
}

async function proveTransfer(options: Options & { transaction: string }): Promise<Report> {
  if (!/^0x[0-9a-fA-F]{64}$/.test(options.transaction)) throw new TidelaneError(`"${options.transaction}" is no transaction's hash: 0x and 64 hex digits, as explorers show it.`, { code: "invalid_hash" });
  const { chain, decimals, symbol } = await owned(options);
  const transfers = await step("proving it, and waiting for the transaction to be mined", chain.creditTransfers(options.transaction.toLowerCase() as Hash));
  if (transfers.length === 0) throw new TidelaneError("No authorization of that transaction moved tokens to the Escrow without a deposit. A plain transfer is nobody's deposit; what went to a deposit address: tidelane payer collect", { code: "nothing_to_credit" });
  const line = ({ payer, amount, transaction }: CreditedTransfer): string => `${amountToText(amount, decimals)} ${symbol} of ${payer}: ${transaction === null ? "credited before" : `credited in transaction ${transaction}`}`;
  return { json: { transfers }, text: transfers.map(line).join("\n") };
}

/** @throws `invalid_address` */
function addressOr(text: string | undefined, otherwise: Address): Address {
  if (text !== undefined && !/^0x[0-9a-fA-F]{40}$/.test(text)) throw new TidelaneError(`"${text}" is no address: 0x and 40 hex digits.`, { code: "invalid_address" });
  return (text?.toLowerCase() ?? otherwise) as Address;
}

async function withdraw(text: string, options: Options & { to?: string }): Promise<Report> {
  const { chain, decimals, symbol } = await owned(options);
  const amount = amountFromText(text, decimals);
  const to = addressOr(options.to, chain.owner);
  const transaction = await step("waiting for the withdrawal to be mined", chain.withdraw(amount, to));
  return { json: { amount, to, transaction }, text: `Withdrew ${amountToText(amount, decimals)} ${symbol} to ${to} in transaction ${transaction}.` };
}

async function open(options: OpenOptions): Promise<Report> {
  if (options.deposit !== undefined && !options.ownTransaction) throw new TidelaneError("--deposit goes with --own-transaction: the relayer cannot spend your tokens.", { code: "invalid_options" });
  const { place, chain, decimals, symbol } = await owned(options);
  const file = sessionFileOf(options, place);
  const terms = termsOf(options, decimals);
  const world = await payerWorld({ ...place, sessionFile: file });
  try {
    const own = options.ownTransaction ? ownWay(chain, options.deposit === undefined ? null : amountFromText(options.deposit, decimals)) : undefined;
    const { sessionId, authorization, apiKey } = await step("opening the session on chain",
      openSession(world, ownerOfKey(ownerKeyOf(options, place)), relayerOf(place), terms, own));
    const money = (amount: bigint): string => `${amountToText(amount, decimals)} ${symbol}`;
    const rows: [string, string][] = [
      ["session", sessionId], ["file", file], ["locked", money(authorization.lock)], ["most per task", money(authorization.maxPerTask)],
      ["most per million", `${money(authorization.maxPriceInPerMTok)} in, ${money(authorization.maxPriceOutPerMTok)} out`],
      ["valid until", new Date(authorization.validUntil * 1_000).toISOString()],
    ];
    const next = apiKey ? `API key (shown once): ${apiKey}\nUse it with base URL ${relayerOf(place)}/v1` : "Now pay with it: tidelane payer proxy";
    return {
      json: { sessionId, file, mode: apiKey ? "allowance" : "voucher", lock: authorization.lock, maxPerTask: authorization.maxPerTask, validUntil: authorization.validUntil, apiKey },
      text: `${table(rows)}\n\n${next}`,
    };
  } finally {
    await world.store.close();
  }
}

/** The owner's way to the chain, on which opening also deposits. */
const ownWay = (chain: OwnerChain, amount: bigint | null): OwnerChain =>
  amount === null ? chain : { ...chain, openSession: (authorization, signature) => chain.depositAndOpen(amount, authorization, signature) };

function termsOf(options: OpenOptions, decimals: number): SessionTerms {
  const days = Number(options.days);
  if (!(days > 0 && days <= 3_650)) throw new TidelaneError("--days takes a number above 0, at most 3650.", { code: "invalid_days" });
  const amount = <Name extends string>(name: Name, text: string | undefined): Partial<Record<Name, bigint>> =>
    (text === undefined ? {} : { [name]: amountFromText(text, decimals) } as Record<Name, bigint>);
  return {
    lock: amountFromText(options.lock, decimals), mode: options.allowance ? Mode.ALLOWANCE : Mode.VOUCHER, validSeconds: Math.ceil(days * SECONDS_PER_DAY),
    ...amount("maxPerTask", options.maxPerTask), ...amount("maxPerDay", options.maxPerDay),
    ...amount("maxPriceInPerMTok", options.maxPriceIn), ...amount("maxPriceOutPerMTok", options.maxPriceOut),
  };
}

/** Serves until it is told to end; then lets running answers end. */
async function proxy(options: Options & { port: string }): Promise<Report> {
  const port = Number(options.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new TidelaneError("--port takes a whole number from 0 to 65535.", { code: "invalid_port" });
  const place = placeOf(options);
  const payer = await step("asking about earlier orders", openPayer({ ...place, sessionFile: sessionFileOf(options, place) }, {
    ...(place.relayerUrl === null ? {} : { relayerUrl: place.relayerUrl }),
    onOutcome: (outcome) => {
      const doubt = outcome.findings[0] ?? (outcome.answerMatches === false ? "the answer that arrived is not the one that the node signed" : null);
      process.stderr.write(`task ${outcome.taskId}: ${outcome.inputTokens} tokens in, ${outcome.outputTokens} out, ${outcome.charge} charged${doubt === null ? "" : `; DOES NOT HOLD: ${doubt}`}\n`);
    },
  }));
  try {
    const ended = new Promise<void>((end) => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => end());
    });
    const key = process.env.TIDELANE_PROXY_KEY;
    const sidecar = await startSidecar(payer, { port, ...(key ? { key } : {}), onRequest: (line) => process.stderr.write(`${line.method} ${line.path} ${line.status} ${line.ms} ms\n`) });
    process.stdout.write(options.json ? `${JSON.stringify({ ready: true, what: "proxy", url: sidecar.baseUrl, sessionId: payer.sessionId })}\n` : `Point any OpenAI client at ${sidecar.baseUrl} (any API key). Ctrl-C ends it.\n`);
    await ended;
    await sidecar.close();
  } finally {
    await payer.close();
  }
  const { sessionId, charged, inFlight } = payer.status();
  return { json: { sessionId, charged, inFlight }, text: `Ended. ${charged} charged in this session so far, ${inFlight} still open.` };
}

async function keys(options: Options): Promise<Report> {
  const place = placeOf(options);
  const all = await sessionsAt(options, place);
  // One named file is taken as it is; of several, the one that has keys.
  const { file, state } = all.find((one) => one.state.authorization.mode === Mode.ALLOWANCE) ?? all[0]!;
  const world = await payerWorld({ ...place, sessionFile: file });
  try {
    const apiKey = await issueKey(world, state);
    return { json: { sessionId: idOf(state), file, apiKey }, text: `API key (shown once): ${apiKey}\nUse it with base URL ${state.relayerUrl}/v1` };
  } finally {
    await world.store.close();
  }
}

async function sessions(options: Options): Promise<Report> {
  const place = placeOf(options);
  const found = await Promise.all((await sessionsAt(options, place)).map((one) => describe(place, one)));
  return { json: { sessions: found.map((one) => one.json) }, text: found.map((one) => one.text).join("\n\n") };
}

async function describe(place: Place, { file, state }: SavedSession): Promise<Report> {
  const sessionId = idOf(state);
  const relayer = await new RelayerClient(state.relayerUrl, fetch).session(sessionId).catch(unlessUnreachable);
  const chain = await payerChain(place).session(sessionId).catch(unlessUnreachable);
  const inFlight = state.orders.reduce((sum, order) => sum + order.maxFee, 0n);
  const mode = state.authorization.mode === Mode.VOUCHER ? "voucher" : "allowance";
  const own = { charged: state.charged, inFlight, orders: state.orders.length, distrust: state.distrust };
  const rows: [string, string][] = [
    ["session", sessionId], ["file", file], ["relayer", state.relayerUrl], ["mode", mode], ["locked", String(state.authorization.lock)],
    // Whoever holds an API key orders without telling this file.
    ["own count", mode === "voucher" ? `${state.charged} charged, ${inFlight} open in ${state.orders.length} orders` : "none: an allowance is counted by the relayer"],
    ["relayer's count", relayer ? `${String(relayer.charged)} charged, ${String(relayer.settled)} settled, ${String(relayer.state)}` : "not reachable"],
    ["chain", chain ? `${chain.charged} charged${chain.closingSinceSeconds > 0 ? ", closing" : ""}` : "not opened, or not reachable"],
    ["trust", state.distrust ?? "nothing found"],
  ];
  return { json: { sessionId, file, mode, relayerUrl: state.relayerUrl, own, relayer, chain: chain && { ...chain } }, text: table(rows) };
}

async function topUp(text: string, options: Options): Promise<Report> {
  const { state } = await saved(options);
  const { chain, decimals, symbol } = await owned(options);
  const amount = amountFromText(text, decimals);
  const transaction = await step("waiting for the transaction to be mined", chain.topUp(idOf(state), amount));
  return { json: { sessionId: idOf(state), amount, transaction }, text: `Added ${amountToText(amount, decimals)} ${symbol} to the lock. What may be charged in all stays as it was signed.` };
}

async function revoke(options: Options): Promise<Report> {
  const { state } = await saved(options);
  const { chain } = await owned(options);
  const transaction = await step("waiting for the transaction to be mined", chain.revoke(idOf(state)));
  return { json: { sessionId: idOf(state), transaction }, text: "Revoked: nobody can open it any more. Where it was open it closes now; then free the rest: tidelane payer release" };
}

async function close(options: Options): Promise<Report> {
  const { state } = await saved(options);
  const { chain } = await owned(options);
  const transaction = await step("waiting for the transaction to be mined", chain.closeSession(idOf(state)));
  return { json: { sessionId: idOf(state), transaction }, text: "The session is closing. What was ordered is settled within three windows; then free the rest: tidelane payer release" };
}

async function release(options: Options): Promise<Report> {
  const { place, file, state } = await saved(options);
  const { chain } = await owned(options);
  // Held, so that no proxy pays from the session while its file goes.
  const world = await payerWorld({ ...place, sessionFile: file });
  try {
    const transaction = await step("waiting for the transaction to be mined", chain.releaseLock(idOf(state)).catch(notReleased));
    // What was charged stays in the lock's book for ever; only what claims hold back can still come free.
    const rest = (await world.chain.session(idOf(state)))?.reserved ?? 0n;
    const kept = rest === 0n ? putAside(file, idOf(state)) : file;
    return {
      json: { sessionId: idOf(state), transaction, stillLocked: rest, file: kept },
      text: rest > 0n ? `Freed, but for ${rest} that open claims of nodes still hold. Release again later.`
        : `The rest is free again: tidelane payer withdraw <amount>\nThe session's file is ${kept} now. Where a batch is proven wrong later, what was charged comes back to its lock: tidelane payer release --session ${kept}`,
    };
  } finally {
    await world.store.close();
  }
}

interface SavedSession {
  readonly file: string;
  readonly state: PayerState;
}

/** The session's file as it is, without taking it from a proxy that runs on it. @throws `no_session` */
async function saved(options: Options): Promise<SavedSession & { place: Place }> {
  const place = placeOf(options);
  const file = sessionFileOf(options, place);
  const text = await readOrNull(file);
  if (text === null) throw noSession(file);
  return { place, file, state: stateAt(place, text) };
}

/** The relayer may have moved since the file was written. */
function stateAt(place: Place, text: string): PayerState {
  const state = stateFromText(text);
  return { ...state, relayerUrl: place.relayerUrl ?? state.relayerUrl };
}

/** The named session, or all that lie beside the usual one; files that are something else are passed over. @throws `no_session` */
async function sessionsAt(options: Options, place: Place): Promise<readonly SavedSession[]> {
  if (options.session !== undefined) return [await saved(options)];
  const folder = dirname(sessionFileOf(options, place));
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")).sort() : [];
  const found = await Promise.all(files.map(async (name): Promise<SavedSession | null> => {
    const file = join(folder, name);
    try {
      return { file, state: stateAt(place, await readOrNull(file) ?? "") };
    } catch {
      return null;
    }
  }));
  const sessions = found.filter((one) => one !== null);
  if (sessions.length === 0) throw noSession(folder);
  return sessions;
}

const idOf = (state: PayerState): Hash => hashStruct("SpendingAuthorization", state.authorization);

function unlessUnreachable(error: unknown): null {
  if (error instanceof TidelaneError && error.retryable) return null;
  throw error;
}
