// Who pays: turns a payment header or an API key into an order that is covered by a payer's signature and a lock on chain.
//
//   cover ─▶ reserved ─▶ charged(charge)   the task was journaled as finished
//                    └─▶ release()         nothing is owed; on every other path
//
// The task is journaled as open before `cover` resolves, because an order must never be assigned twice under one attempt
// number, not even across a restart (double assignment is slashable). So whoever covers must also end the task with
// `journal.finishTask`, with no attempts where none was made.
import type { Journal, Chain, Clock, Crypto, Dice, Identity, Log, OpenedTask } from "../ports.ts";
import type { Payment } from "../../protocol/payment.ts";
import type { CoveredOrder } from "../../protocol/records.ts";
import type { ModeValue, TierValue } from "../../protocol/constants.ts";
import type { SpendingAuthorization } from "../../protocol/generated/structs.ts";
import type { Hash, Hex, Millis, Seconds, Signature, TokenAmount } from "../../protocol/units.ts";

/** What a request says about its payment; the request itself is already parsed and its model resolved. */
export interface CoverRequest {
  /** VOUCHER: the parsed payment header; null where there is none. */
  readonly payment: Payment | null;
  /** ALLOWANCE: the bearer token (`tl_...`); null where there is none. A payment wins where both are given. */
  readonly apiKey: string | null;
  /** The body's bytes exactly as they came: promptCommit covers them. */
  readonly body: Uint8Array;
  readonly kind: OpenedTask["kind"];
  /** Canonical model name, for the journal. */
  readonly model: string;
  readonly modelId: Hash;
  readonly tier: TierValue;
  /** Output tokens that the request may produce (0 for embeddings). In VOUCHER mode the signed order must allow as many. */
  readonly maxOutTokens: number;
  /** The greatest charge that is expected, relayer fee included: the order's maxFee in ALLOWANCE mode, cut to maxPerTask. */
  readonly estimatedMaxFee: TokenAmount;
  readonly nowMs: Millis;
}

/** A covered order with its reservation. Exactly one of `charged` and `release` counts: the first; later calls do nothing. */
export interface Cover {
  readonly covered: CoveredOrder;
  readonly sessionId: Hash;
  readonly taskId: Hash;
  readonly mode: ModeValue;
  /** `voucher` or `allowance`, for the response header. */
  readonly modeName: "voucher" | "allowance";
  /** inputCommit of the whole request = order.promptCommit = saltedCommit(promptSalt, body). */
  readonly promptSalt: Hash;
  /** What the session could at most still be charged, charges and reservations (this one included) taken off. */
  exposure(): TokenAmount;
  /** Turns the reservation into a charge. Call it when the task was journaled as finished. @throws RangeError above the order's maxFee. */
  charged(charge: TokenAmount): void;
  /** Gives the reservation back. Idempotent; does nothing after `charged`. */
  release(): void;
}

export interface Registered {
  readonly sessionId: Hash;
  readonly mode: "voucher" | "allowance";
  /** ALLOWANCE, and only where this very call opened the session: its calldata is public afterwards, see `issueKey`. */
  readonly apiKey: string | null;
}

/** Plain values for JSON; amounts as decimal strings. */
export interface SessionDescription {
  readonly sessionId: Hash;
  readonly payer: Hex;
  readonly sessionKey: Hex;
  readonly relayerId: number;
  readonly mode: "voucher" | "allowance";
  readonly state: "unopened" | "open" | "closing" | "closed";
  readonly lock: string;
  readonly maxTotal: string;
  readonly maxPerTask: string;
  /** Charges of all finished tasks, settled or not. */
  readonly charged: string;
  /** Charges that batches have settled on chain. */
  readonly settled: string;
  readonly reserved: string;
  /** Greatest voucher cap seen (VOUCHER). */
  readonly cap: string;
  readonly exposure: string;
  readonly validAfter: Seconds;
  readonly validUntil: Seconds;
  readonly readAt: Seconds;
}

/** A request for an API key: `sessionKey` signs apiKeyRequestDigest (protocol/payment.ts). */
export interface KeyRequest {
  /** Unix seconds; at most 60 s from the relayer's clock, and later than the last request's. */
  readonly issuedAt: Seconds;
  readonly signature: Signature;
}

export interface SessionsOptions {
  readonly chain: Chain;
  readonly journal: Journal;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly identity: Identity;
  readonly log: Log;
}

export class Sessions {
  readonly #world: SessionsOptions;

  constructor(world: SessionsOptions) {
    this.#world = world;
  }

  /** Loads the journal's sessions. Call it once, after the journal is open and before the first `cover`. */
  async load(): Promise<void> {
    await this.#world.journal.sessions();
  }

  /**
   * Checks that a payer covers this request, reserves its greatest charge and journals the task as open.
   * @throws TidelaneError with one of the codes
   *   missing_key (neither payment nor key), unknown_key, invalid_payment (header, commitment, model, tier or links do not fit),
   *   wrong_key (voucher not signed by the session key), unknown_session (not registered here), unopened_session,
   *   session_expired, session_not_yet_valid, session_closing, order_expired, order_replayed, order_above_maximum (maxFee > maxPerTask),
   *   voucher_cap_too_low (details.needed, details.cap), insufficient_escrow (details.needed, details.free),
   *   allowance_exhausted (retryable), fee_above_maximum (relayer fee > maxFeeBps),
   *   journal_unavailable (retryable), chain_unreachable (retryable; only where no recent reading of the session exists).
   */
  async cover(_request: CoverRequest): Promise<Cover> {
    throw new Error("not built yet");
  }

  /**
   * Takes a payer's signed authorization: opens the session on chain where it is not open (the relayer pays the gas) and remembers it.
   * @throws invalid_authorization, authorization_rejected (the contract's reason), chain_unreachable, journal_unavailable
   */
  async register(_authorization: SpendingAuthorization, _signature: Hex): Promise<Registered> {
    throw new Error("not built yet");
  }

  /** @throws unknown_session */
  async describe(_sessionId: Hash): Promise<SessionDescription> {
    throw new Error("not built yet");
  }

  /**
   * A further API key for an ALLOWANCE session, asked for by its session key.
   * @throws unknown_session, wrong_key, invalid_request (not an ALLOWANCE session, or issuedAt out of range)
   */
  async issueKey(_sessionId: Hash, _request: KeyRequest): Promise<string> {
    throw new Error("not built yet");
  }
}
