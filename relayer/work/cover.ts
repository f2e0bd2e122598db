// What covers a task: the payer's order, and the reservation that stands behind it.
import type { Payment } from "../../protocol/payment.ts";
import type { ModeValue, TierValue } from "../../protocol/constants.ts";
import type { CoveredOrder } from "../../protocol/records.ts";
import type { Hash, Millis, TokenAmount } from "../../protocol/units.ts";
import type { OpenedTask } from "../ports/journal.ts";

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
  /** What the input alone costs: an order that allows less is refused. */
  readonly leastFee: TokenAmount;
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
  readonly promptSalt: Hash;
  /** saltedCommit(promptSalt, body) of the whole request. */
  readonly inputCommit: Hash;
  /** What the session could at most still be charged, charges and reservations (this one included) taken off. */
  exposure(): TokenAmount;
  /**
   * Resolves when the task's row is durable, which it need not be yet: until then nothing of an answer may leave, and no end of the
   * task may be journaled. Where it rejects, with what Sessions.cover says of the journal, nothing is reserved, charged or journaled.
   */
  readonly opened: Promise<void>;
  /** Turns the reservation into a charge. Call it when the task was journaled as finished. @throws RangeError above the order's maxFee. */
  charged(charge: TokenAmount): void;
  /** Gives the reservation back. Idempotent; does nothing after `charged`. */
  release(): void;
}
