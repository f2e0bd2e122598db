// The payer's SDK: pays each request of any OpenAI client with a signed order, and never signs beyond its own count.
//
//   const payer = await openPayer({ ... });                               // client/main.ts
//   const openai = new OpenAI({ baseURL: payer.baseUrl, apiKey: "unused", fetch: payer.fetch });
//
// Requests run in parallel in one session. Each order is counted and saved before it leaves; when its answer has ended, its
// receipt is fetched, checked against the chain's keys, and counted as the charge. A relayer whose receipts do not hold gets
// no further signature.
import { bytesToHex } from "viem/utils";
import { PAYMENT_HEADER, paymentToHeader } from "../protocol/payment.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { hashStruct } from "../protocol/typedData.ts";
import { saltedCommit } from "../protocol/ids.ts";
import { signerOfKey, signStruct, type DigestSigner } from "../protocol/signing.ts";
import { Answer, tapped } from "./delivered.ts";
import { OrderBook } from "./orderBook.ts";
import { errorResponse } from "./problems.ts";
import { errorOf, modelNamed, RelayerClient, unreachable, type PricedModel } from "./relayer.ts";
import { answerWhenDone } from "./later.ts";
import { kindOf, quote, readRequest, type PricedRequest, type RequestKind } from "./quote.ts";
import { stateFromText, type PayerState } from "./state.ts";
import type { SentOrder, TaskOutcome } from "./receipt.ts";
import type { Clock, Dice, Fetch, PayerChain, PayerStore } from "./ports.ts";
import type { TaskOrder } from "../protocol/generated/structs.ts";
import type { Bps, Hash, Millis, Seconds, TokenAmount, Tokens } from "../protocol/units.ts";

export interface PayerWorld {
  readonly chain: PayerChain;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly fetch: Fetch;
  readonly store: PayerStore;
}

export interface PayerOptions {
  /** Where the session's relayer is now, if it has moved; it must be the same relayer. */
  readonly relayerUrl?: string;
  /** Output assumed where a request names no maximum. */
  readonly defaultMaxOutTokens?: Tokens;
  /** How long an order may wait and run. */
  readonly orderSeconds?: Seconds;
  /** Called with each judged task, soon after its answer has ended. */
  readonly onOutcome?: (outcome: TaskOutcome) => void;
}

export interface PayerStatus {
  readonly sessionId: Hash;
  readonly relayerUrl: string;
  readonly validUntil: Seconds;
  readonly charged: TokenAmount;
  readonly inFlight: TokenAmount;
  readonly free: TokenAmount;
  readonly orders: number;
  readonly distrust: string | null;
}

interface Prices {
  readonly models: readonly PricedModel[];
  readonly feeBps: Bps;
  readonly readAtMs: Millis;
}

const PRICES_FRESH_MS = 30_000;
const DEFAULT_MAX_OUT_TOKENS = 4_096;
const ORDER_SECONDS = 600;
/** A relayer gives a reservation back a moment after it has answered. */
const BOOKING_MS = 150;
/** Failures of a connection in which no byte of the request can have left. */
const UNSENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"]);

export class TidelanePayer {
  readonly sessionId: Hash;
  /** Give this to an OpenAI client as its base URL. */
  readonly baseUrl: string;
  readonly #world: PayerWorld;
  readonly #options: PayerOptions;
  readonly #session: PayerState;
  readonly #signer: DigestSigner;
  readonly #relayer: RelayerClient;
  readonly #book: OrderBook;
  #prices: Promise<Prices> | null = null;

  private constructor(world: PayerWorld, options: PayerOptions, session: PayerState) {
    this.#world = world;
    this.#options = options;
    this.#session = session;
    this.#signer = signerOfKey(session.sessionPrivateKey);
    this.#relayer = new RelayerClient(session.relayerUrl, world.fetch);
    this.sessionId = hashStruct("SpendingAuthorization", session.authorization);
    this.baseUrl = `${this.#relayer.url}/v1`;
    this.#book = new OrderBook(world, this.#relayer, session, options.onOutcome ?? (() => undefined));
  }

  /**
   * Restores the session that the store holds (`client/session.ts` makes one) and settles what an earlier run left in flight.
   * @throws `no_session`, `invalid_state`, `wrong_deployment`
   */
  static async restore(world: PayerWorld, options: PayerOptions = {}): Promise<TidelanePayer> {
    const text = await world.store.read();
    if (text === null) throw new TidelaneError("There is no session here yet. Open one first: tidelane payer open", { code: "no_session" });
    const saved = stateFromText(text);
    const session = { ...saved, relayerUrl: options.relayerUrl ?? saved.relayerUrl };
    const { domain } = world.chain;
    if (session.domain.chainId !== domain.chainId || session.domain.verifyingContract !== domain.verifyingContract) {
      throw new TidelaneError(`The session is for the contract ${session.domain.verifyingContract} on chain ${session.domain.chainId}, not for this deployment. Open a new session.`, { code: "wrong_deployment" });
    }
    const payer = new TidelanePayer(world, options, session);
    await payer.#book.reconcile().catch(ignoreRetryable);
    return payer;
  }

  /**
   * `fetch` with payment: requests to the relayer's paid endpoints carry a signed order, others to it pass unpaid, and any
   * other host is refused. What the payer itself refuses comes back as an answer with OpenAI's error object.
   * @throws retryable `relayer_unreachable`; an aborted signal throws as fetch does.
   */
  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const request = await plainRequest(input, init);
    try {
      if (new URL(request.url).origin !== new URL(this.#relayer.url).origin) {
        throw new TidelaneError(`This payer pays ${this.#relayer.url} only; set the client's base URL to ${this.baseUrl}.`, { code: "wrong_relayer" });
      }
      const kind = request.method === "POST" ? kindOf(new URL(request.url).pathname) : null;
      return kind === null ? await this.#send(request, {}) : await this.#pay(kind, request);
    } catch (error) {
      if (!(error instanceof TidelaneError) || error.code === "relayer_unreachable") throw error;
      return errorResponse(error);
    }
  };

  status(): PayerStatus {
    const { charged, inFlight, free, orders } = this.#book.tally;
    const { authorization } = this.#session;
    return {
      sessionId: this.sessionId, relayerUrl: this.#relayer.url, validUntil: authorization.validUntil, charged, inFlight, free, orders: orders.length,
      distrust: this.#book.distrust,
    };
  }

  /** Resolves when every answer that has ended is judged. */
  async settled(): Promise<void> {
    await this.#book.settled();
  }

  /** Asks the relayer and the chain about every order whose end was not seen. @throws retryable errors of either. */
  async reconcile(): Promise<PayerStatus> {
    await this.#book.reconcile();
    return this.status();
  }

  /** Judges what has ended and lets go of the store; requests still running are settled by the next run. */
  async close(): Promise<void> {
    await this.#book.settled();
    await this.#world.store.close();
  }

  async #pay(kind: RequestKind, http: PlainRequest): Promise<Response> {
    this.#refuseWhereOver();
    const request = readRequest(kind, http.body);
    const prices = await this.#pricesFor(request);
    const model = modelNamed(prices.models, request.model, kind);
    if (!model) throw new TidelaneError(`The relayer lists no model ${request.model} for this kind of request at the moment.`, { code: "model_not_found", details: { model: request.model } });
    const first = await this.#payOnce(http, request, model, prices.feeBps);
    if (await codeOf(first) !== "voucher_cap_too_low") return first;
    // The relayer counts more than we do: the end of an earlier order was missed, or is just being booked there. Once is enough
    // for both; a cap beyond our own count is never signed.
    await this.#book.reconcile();
    await this.#world.clock.sleep(BOOKING_MS);
    this.#refuseWhereOver();
    return this.#payOnce(http, request, model, prices.feeBps);
  }

  async #payOnce(http: PlainRequest, request: PricedRequest, model: PricedModel, feeBps: Bps): Promise<Response> {
    const { authorization, domain } = this.#session;
    const { maxOutTokens, maxFee } = quote(request, model, { ...authorization, feeBps, defaultMaxOutTokens: this.#options.defaultMaxOutTokens ?? DEFAULT_MAX_OUT_TOKENS });
    const promptSalt = this.#world.dice.bytes32();
    const order: TaskOrder = {
      sessionId: this.sessionId, nonce: this.#book.takeNonce(), promptCommit: saltedCommit(promptSalt, bytesToHex(http.body)), modelId: model.modelId,
      tier: request.tier, maxOutTokens, maxFee, deadline: Math.floor(this.#world.clock.nowMs() / 1000) + (this.#options.orderSeconds ?? ORDER_SECONDS),
    };
    const taskId = hashStruct("TaskOrder", order);
    const cumulativeCap = await this.#book.reserve({ taskId, maxFee, deadline: order.deadline });
    if (http.signal?.aborted) {
      await this.#book.release(taskId);
      throw http.signal.reason;
    }
    const voucher = { sessionId: this.sessionId, cumulativeCap, taskId };
    const voucherSignature = await signStruct(this.#signer, domain, "Voucher", voucher);
    const header = paymentToHeader({ order, voucher, voucherSignature, promptSalt });
    return this.#follow(taskId, { order, promptSalt, request, output: null }, await this.#sendOrder(taskId, http, header));
  }

  async #sendOrder(taskId: Hash, http: PlainRequest, payment: string): Promise<SentAnswer> {
    let isTaken = false;
    try {
      const first = await this.#send(http, { [PAYMENT_HEADER]: payment });
      isTaken = first.status === 202;
      return { response: await this.#whenDone(first, http), isTaken };
    } catch (error) {
      if (!isTaken && isUnsent(error)) await this.#book.release(taskId);
      else this.#book.follow(taskId, null, "unknown");
      throw error;
    }
  }

  /** A long wait without a stream is answered with an address at first. */
  #whenDone(first: Response, { signal }: PlainRequest): Promise<Response> {
    const get = (path: string): Promise<Response> => this.#world.fetch(new URL(path, this.#relayer.url).href, signal ? { signal } : {})
      .catch((error: unknown) => { throw signal?.aborted ? error : unreachable(this.#relayer.url, error); });
    return answerWhenDone(first, get, this.#world.clock, signal);
  }

  /** Passes the answer on and judges the task when it has ended. */
  #follow(taskId: Hash, sent: SentOrder, { response, isTaken }: SentAnswer): Response {
    if (!response.ok || !response.body) {
      this.#book.follow(taskId, sent, response.ok ? "answered" : response.status < 500 && !isTaken ? "refused" : "failed");
      return response;
    }
    const answer = new Answer(sent.request.kind, sent.request.isStream);
    const body = tapped(response.body, (chunk) => answer.add(chunk), () => this.#book.follow(taskId, { ...sent, output: answer.output() }, "answered"));
    return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
  }

  async #send(request: PlainRequest, extra: Readonly<Record<string, string>>): Promise<Response> {
    const headers = new Headers(request.headers);
    // A key that the application holds for somebody else is none of the relayer's business.
    headers.delete("authorization");
    headers.delete("content-length");
    for (const [name, value] of Object.entries(extra)) headers.set(name, value);
    try {
      return await this.#world.fetch(request.url, {
        ...request.init, method: request.method, headers, ...(request.signal ? { signal: request.signal } : {}),
        ...(request.method === "GET" || request.method === "HEAD" ? {} : { body: request.body as Uint8Array<ArrayBuffer> }),
      });
    } catch (error) {
      if (request.signal?.aborted) throw error;
      throw unreachable(this.#relayer.url, error);
    }
  }

  #refuseWhereOver(): void {
    if (this.#book.distrust !== null) {
      throw new TidelaneError(`Nothing more is signed for this relayer: ${this.#book.distrust}. Close the session: tidelane payer close`, { code: "relayer_distrusted" });
    }
    if (this.#session.authorization.validUntil * 1000 <= this.#world.clock.nowMs()) {
      throw new TidelaneError("The session has expired. Open a new one: tidelane payer open", { code: "session_expired" });
    }
  }

  /** Prices no older than half a minute; asked again at once for a model that is not among them. */
  async #pricesFor(request: PricedRequest): Promise<Prices> {
    const known = await (this.#prices ??= this.#readPrices());
    const isFresh = this.#world.clock.nowMs() - known.readAtMs < PRICES_FRESH_MS;
    if (isFresh && modelNamed(known.models, request.model, request.kind)) return known;
    return (this.#prices = this.#readPrices());
  }

  async #readPrices(): Promise<Prices> {
    try {
      const [info, models] = await Promise.all([this.#relayer.info(), this.#relayer.models()]);
      const { domain, authorization } = this.#session;
      if (info.domain.chainId !== domain.chainId || info.domain.verifyingContract !== domain.verifyingContract || info.relayerId !== authorization.relayerId) {
        throw new TidelaneError(`The relayer at ${this.#relayer.url} is not the one that this session is for (relayer ${authorization.relayerId}). Check the address.`, { code: "wrong_relayer" });
      }
      return { models, feeBps: Math.min(info.feeBps, authorization.maxFeeBps), readAtMs: this.#world.clock.nowMs() };
    } catch (error) {
      this.#prices = null;
      throw error;
    }
  }
}

interface SentAnswer {
  readonly response: Response;
  /** The relayer took the order and promised an answer: whatever it says later, the order may be charged. */
  readonly isTaken: boolean;
}

interface PlainRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
  readonly signal: AbortSignal | null;
  /** What else the caller handed to fetch (an agent, for example). */
  readonly init: RequestInit;
}

/** Reads the body once, for the order commits to its very bytes. */
async function plainRequest(input: string | URL | Request, init: RequestInit): Promise<PlainRequest> {
  const request = new Request(input, { ...init, ...(init.body instanceof ReadableStream ? { duplex: "half" } : {}) } as RequestInit);
  const body = new Uint8Array(await request.arrayBuffer());
  const { method: _method, headers: _headers, body: _body, signal: _signal, ...rest } = init;
  return { url: request.url, method: request.method, headers: request.headers, body, signal: init.signal ?? (input instanceof Request ? input.signal : null), init: rest };
}

function isUnsent(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const code = (at as { code?: unknown }).code;
    if (typeof code === "string" && UNSENT.has(code)) return true;
    if (at instanceof AggregateError && at.errors.length > 0 && at.errors.every(isUnsent)) return true;
  }
  return false;
}

/** The code of an error answer; its body stays readable for the caller. */
async function codeOf(response: Response): Promise<string | null> {
  if (response.ok || !response.headers.get("content-type")?.includes("json")) return null;
  try {
    return errorOf(await response.clone().json()).code;
  } catch {
    return null;
  }
}

function ignoreRetryable(error: unknown): void {
  if (!(error instanceof TidelaneError) || !error.retryable) throw error;
}
