// Makes a session: limits that the owner signs once, a session key that signs each order, opened on chain by the relayer's gas.
import { apiKeyRequestDigest } from "../protocol/payment.ts";
import { Mode, type ModeValue } from "../protocol/constants.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { hashStruct } from "../protocol/typedData.ts";
import { signerOfKey } from "../protocol/signing.ts";
import { RelayerClient, type PricedModel } from "./relayer.ts";
import type { RelayerInfo } from "../protocol/service.ts";
import { stateToText, type PayerState } from "./state.ts";
import type { SpendingAuthorization } from "../protocol/generated/structs.ts";
import type { Bps, Hash, Seconds, TokenAmount } from "../protocol/units.ts";
import type { Clock, Dice, Fetch, Owner, OwnerChain, PayerChain, PayerStore } from "./ports.ts";

/** What the owner allows. Only the lock must be given; the rest has defaults that are shown before anything is signed. */
export interface SessionTerms {
  /** Taken from the owner's free balance and held for this session. */
  readonly lock: TokenAmount;
  readonly mode?: ModeValue;
  readonly validSeconds?: Seconds;
  /** Default: the lock. */
  readonly maxTotal?: TokenAmount;
  /** Default: a tenth of the lock. */
  readonly maxPerTask?: TokenAmount;
  /** ALLOWANCE: refilled at this rate for each 24 h, and at most the double at once. Default: half of the lock. */
  readonly maxPerDay?: TokenAmount;
  /** Default: four times the greatest price listed now, so that prices can move. */
  readonly maxPriceInPerMTok?: TokenAmount;
  readonly maxPriceOutPerMTok?: TokenAmount;
  /** Default: the relayer's fee of today. */
  readonly maxFeeBps?: Bps;
}

export interface SessionWorld {
  readonly chain: PayerChain;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly fetch: Fetch;
  readonly store: PayerStore;
}

export interface OpenedSession {
  readonly sessionId: Hash;
  readonly authorization: SpendingAuthorization;
  /** ALLOWANCE mode: shown once, kept nowhere. */
  readonly apiKey: string | null;
}

const VALID_SECONDS = 30 * 86_400;
/** Blocks may carry a time a little behind this machine's. */
const BACKDATED_SECONDS = 300;
/** Over the base price: the tide at its height, a priority order, and a third more for a dearer node. */
const PRICE_ROOM = 4n;

/**
 * Signs the limits, saves them, and has the session opened.
 * @param own the owner's way to the chain, where it opens the session itself instead of through the relayer.
 * @throws `session_exists` (the store holds one), `wrong_deployment`, the relayer's and the contract's refusals
 */
export async function openSession(world: SessionWorld, owner: Owner, relayerUrl: string, terms: SessionTerms, own?: OwnerChain): Promise<OpenedSession> {
  if (await world.store.read() !== null) throw new TidelaneError("There is a session in this place already. Close it, or name another place.", { code: "session_exists" });
  const relayer = new RelayerClient(relayerUrl, world.fetch);
  const [info, models] = await Promise.all([relayer.info(), relayer.models()]);
  expectDeployment(info, world.chain);
  const sessionPrivateKey = world.dice.bytes32();
  const authorization = authorizationFor(world, owner, info, models, terms, signerOfKey(sessionPrivateKey).address);
  const authorizationSignature = await owner.signAuthorization(info.domain, authorization);
  const state: PayerState = {
    relayerUrl: relayer.url, domain: info.domain, authorization, authorizationSignature, sessionPrivateKey, nextNonce: 0n, charged: 0n, orders: [], distrust: null,
  };
  // Saved before it is opened: a budget must not be locked behind a key that is lost.
  await world.store.write(stateToText(state));
  const sessionId = hashStruct("SpendingAuthorization", authorization);
  if (own && await world.chain.session(sessionId) === null) await own.openSession(authorization, authorizationSignature);
  const registered = await relayer.register(authorization, authorizationSignature);
  if (registered.sessionId !== sessionId || await world.chain.session(sessionId) === null) {
    throw new TidelaneError("The relayer says that the session is open; the chain does not know it. Do not use this relayer.", { code: "session_not_on_chain", details: { sessionId } });
  }
  return { sessionId, authorization, apiKey: registered.apiKey };
}

/** A further API key for an ALLOWANCE session. @throws the relayer's refusal */
export async function issueKey(world: SessionWorld, state: PayerState): Promise<string> {
  if (state.authorization.mode !== Mode.ALLOWANCE) {
    throw new TidelaneError("Only an ALLOWANCE session has API keys; a VOUCHER session is paid through `tidelane payer proxy`.", { code: "not_an_allowance" });
  }
  const sessionId = hashStruct("SpendingAuthorization", state.authorization);
  const issuedAt = Math.floor(world.clock.nowMs() / 1000);
  const signature = await signerOfKey(state.sessionPrivateKey).sign(apiKeyRequestDigest(state.domain, state.authorization.relayerId, sessionId, issuedAt));
  return new RelayerClient(state.relayerUrl, world.fetch).issueKey(sessionId, issuedAt, signature);
}

/** The owner's deployment decides; a relayer that names another one wants a signature for somebody else's contract. */
function expectDeployment(info: RelayerInfo, chain: PayerChain): void {
  const { domain } = chain;
  if (info.domain.chainId === domain.chainId && info.domain.verifyingContract === domain.verifyingContract) return;
  throw new TidelaneError(
    `The relayer works with the contract ${info.domain.verifyingContract} on chain ${info.domain.chainId}; yours is ${domain.verifyingContract} on chain ${domain.chainId}. Check both addresses.`,
    { code: "wrong_deployment" },
  );
}

function authorizationFor(world: SessionWorld, owner: Owner, info: RelayerInfo, models: readonly PricedModel[], terms: SessionTerms, sessionKey: PayerState["sessionPrivateKey"]): SpendingAuthorization {
  const nowSeconds = Math.floor(world.clock.nowMs() / 1000);
  const mode = terms.mode ?? Mode.VOUCHER;
  const greatest = (prices: readonly TokenAmount[]): TokenAmount => prices.reduce((most, price) => (price > most ? price : most), 0n);
  if (models.length === 0 && (terms.maxPriceInPerMTok === undefined || terms.maxPriceOutPerMTok === undefined)) {
    throw new TidelaneError("The relayer lists no model at the moment, so there is no price to go by. Give the greatest prices yourself, or try again later.", { code: "no_prices", retryable: true });
  }
  return {
    payer: owner.address, sessionKey, relayerId: info.relayerId, lock: terms.lock, maxTotal: terms.maxTotal ?? terms.lock,
    maxPerTask: terms.maxPerTask ?? atLeastOne(terms.lock / 10n), maxPerDay: terms.maxPerDay ?? (mode === Mode.ALLOWANCE ? atLeastOne(terms.lock / 2n) : 0n),
    maxPriceInPerMTok: terms.maxPriceInPerMTok ?? greatest(models.map((model) => model.base.priceInPerMTok)) * PRICE_ROOM,
    maxPriceOutPerMTok: terms.maxPriceOutPerMTok ?? greatest(models.map((model) => model.base.priceOutPerMTok)) * PRICE_ROOM,
    maxFeeBps: terms.maxFeeBps ?? info.feeBps, mode, validAfter: nowSeconds - BACKDATED_SECONDS, validUntil: nowSeconds + (terms.validSeconds ?? VALID_SECONDS),
    salt: BigInt(world.dice.bytes32()),
  };
}

const atLeastOne = (amount: TokenAmount): TokenAmount => (amount > 0n ? amount : 1n);
