// What a node may claim, by its evidence and the chain: when, and never what was settled.
import { expect } from "chai";
import { claimsOf, type ClaimFacts } from "../../../node/serve/claims.ts";
import type { ForceFact, SignedReceiptRow } from "../../../node/ports.ts";
import type { Hash } from "../../../protocol/units.ts";

const W = 100;
const hash = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;
/** Receipts of 10 each, acked at those times. */
const rowsOf = (...ackedAt: (number | null)[]): SignedReceiptRow[] => ackedAt.map((at, i) =>
  ({ receiptHash: hash(i), relayerId: 1, taskId: hash(100 + i), nodeSeq: BigInt(i + 1), cumulative: BigInt(10 * (i + 1)), fee: 10n, ackedAt: at }));
const factsOf = (nowSeconds: number, bends: Partial<ClaimFacts> = {}): ClaimFacts =>
  ({ nowSeconds, windowSeconds: W, earned: 0n, forcedEarned: 0n, forces: new Map(), proven: new Set(), ...bends });
const statesOf = (rows: SignedReceiptRow[], facts: ClaimFacts): Record<string, string> =>
  Object.fromEntries(claimsOf(rows, facts).claims.map(({ receiptHash, state }) => [Number(receiptHash), state]));

describe("a node's claims", () => {
  it("open from W to 8 W after the ack, to the second", () => {
    const at = (now: number): string | undefined => statesOf(rowsOf(1_000), factsOf(now))[0];
    expect([1_099, 1_100, 1_800, 1_801].map(at)).to.deep.equal(["early", "claimable", "claimable", "late"]);
  });

  it("are none for what is unacked or free", () => {
    expect(statesOf([{ ...rowsOf(1_000)[0]!, fee: 0n }], factsOf(1_200))).to.deep.equal({});
    expect(claimsOf(rowsOf(1_000, null), factsOf(1_200))).to.deep.include({ unpaid: 10n });
    expect(statesOf(rowsOf(1_000, null), factsOf(1_200))).to.deep.equal({ 0: "claimable" });
  });

  it("go by the tab's total where nobody shows proofs: the oldest acks were settled first", () => {
    const rows = rowsOf(1_000, 1_001, 1_002, 1_003);
    expect(statesOf(rows, factsOf(1_200, { earned: 20n }))).to.deep.equal({ 0: "settled", 1: "settled", 2: "claimable", 3: "claimable" });
    expect(statesOf(rows, factsOf(1_200, { earned: 40n }))).to.deep.equal({ 0: "settled", 1: "settled", 2: "settled", 3: "settled" });
  });

  it("never come to more than the total leaves, though no receipt fits it exactly", () => {
    expect(statesOf(rowsOf(1_000, 1_001), factsOf(1_200, { earned: 15n }))).to.deep.equal({ 0: "settled", 1: "settled" });
  });

  it("find the one that was left out, once the others are proven to be settled", () => {
    const rows = rowsOf(1_000, 1_001, 1_002);
    const facts = factsOf(1_200, { earned: 20n });
    expect(statesOf(rows, facts)).to.deep.equal({ 0: "settled", 1: "settled", 2: "claimable" });
    expect(statesOf(rows, { ...facts, proven: new Set([hash(1), hash(2)]) })).to.deep.equal({ 0: "claimable", 1: "settled", 2: "settled" });
  });

  it("count what was claimed before: open, answered, paid", () => {
    const forces = new Map<Hash, ForceFact>([[hash(0), { state: "open", openedAt: 1_150 }], [hash(1), { state: "answered", openedAt: 1_150 }], [hash(2), { state: "resolved", openedAt: 1_000 }]]);
    const facts = factsOf(1_250, { earned: 10n, forcedEarned: 10n, forces });
    const rows = rowsOf(1_000, 1_001, 1_002, 1_003);
    expect(statesOf(rows, facts)).to.deep.equal({ 0: "open", 1: "answered", 2: "paid", 3: "claimable" });
    expect(claimsOf(rows, facts).unpaid).to.equal(10n);
    expect(statesOf(rows, { ...facts, nowSeconds: 1_251 })[0]).to.equal("payable");
  });

  it("have nothing to claim where the chain credited more than the evidence tells", () => {
    expect(claimsOf(rowsOf(1_000), factsOf(1_200, { earned: 500n }))).to.deep.include({ unpaid: 0n });
    expect(claimsOf([], factsOf(1_200))).to.deep.equal({ unpaid: 0n, claims: [] });
  });
});
