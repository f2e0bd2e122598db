// What a node may claim of its acked receipts when a relayer leaves them out of its batches, and when.
//
//   acked ── W ──▶ claimable ── until 8 W ──▶ late
//                      │ opened ── W ──▶ payable ──▶ paid
//                      └─ answered: it stands in a batch
//
// Whether a receipt was settled is proven by its place in a batch. Where nobody shows it any more, the tab's total decides: no
// more can be unpaid than was signed, less what the chain says was earned. Settlement goes by the oldest acks first, so what is
// unpaid is looked for among the newest.
import { claimableBetween } from "../../protocol/forces.ts";
import type { Hash, Seconds, TokenAmount } from "../../protocol/units.ts";
import type { ForceFact, SignedReceiptRow } from "../ports.ts";

export type ClaimState = "settled" | "early" | "claimable" | "late" | "open" | "payable" | "answered" | "paid";

export interface Claim extends SignedReceiptRow {
  readonly ackedAt: Seconds;
  readonly state: ClaimState;
  /** When it can be claimed, or, once it is open, paid. */
  readonly from: Seconds;
  readonly until: Seconds | null;
}

export interface ClaimFacts {
  readonly nowSeconds: Seconds;
  readonly windowSeconds: Seconds;
  /** What batches and forces have credited to the tab. */
  readonly earned: TokenAmount;
  readonly forcedEarned: TokenAmount;
  readonly forces: ReadonlyMap<Hash, ForceFact>;
  /** Receipts that are proven to stand in a batch. */
  readonly proven: ReadonlySet<Hash>;
}

export interface ClaimBook {
  /** What is signed, acked and neither settled nor claimed, by the tab's total. */
  readonly unpaid: TokenAmount;
  /** Newest ack first. */
  readonly claims: readonly Claim[];
}

/** @param rows of one tab. */
export function claimsOf(rows: readonly SignedReceiptRow[], facts: ClaimFacts): ClaimBook {
  const acked = rows.flatMap((row) => (row.ackedAt === null || row.fee === 0n ? [] : [{ ...row, ackedAt: row.ackedAt }]));
  acked.sort((a, b) => b.ackedAt - a.ackedAt || (a.nodeSeq > b.nodeSeq ? -1 : 1));
  const unpaid = unpaidOf(rows, facts);
  let left = unpaid;
  const claims = acked.map((row): Claim => {
    const force = facts.forces.get(row.receiptHash);
    if (force && force.state !== "none") return { ...row, ...forcedState(force, facts) };
    const between = claimableBetween(row.ackedAt, facts.windowSeconds);
    if (facts.proven.has(row.receiptHash) || row.fee > left) return { ...row, ...between, state: "settled" };
    left -= row.fee;
    return { ...row, ...between, state: facts.nowSeconds < between.from ? "early" : facts.nowSeconds > between.until ? "late" : "claimable" };
  });
  return { unpaid, claims };
}

function forcedState({ state, openedAt }: ForceFact, { nowSeconds, windowSeconds }: ClaimFacts): Pick<Claim, "state" | "from" | "until"> {
  const from = openedAt + windowSeconds + 1;
  if (state === "open") return { state: nowSeconds >= from ? "payable" : "open", from, until: null };
  return { state: state === "answered" ? "answered" : "paid", from, until: null };
}

/** What was signed up to the newest receipt, less what nobody acked, what was credited, and what is claimed already. */
function unpaidOf(rows: readonly SignedReceiptRow[], { earned, forcedEarned, forces }: ClaimFacts): TokenAmount {
  const signed = rows.reduce((most, row) => (row.cumulative > most ? row.cumulative : most), 0n);
  const apart = rows.filter((row) => row.ackedAt === null || forces.get(row.receiptHash)?.state === "open").reduce((sum, row) => sum + row.fee, 0n);
  const unpaid = signed - earned - forcedEarned - apart;
  return unpaid > 0n ? unpaid : 0n;
}
