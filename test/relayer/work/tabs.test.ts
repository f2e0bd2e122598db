// Running totals of tabs: whatever order receipts come in, the greatest total must cover all that was accepted.
import { expect } from "chai";
import fc from "fast-check";
import { Tabs } from "../../../relayer/work/tabs.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";
import type { TaskReceipt } from "../../../protocol/generated/structs.ts";

const hashOf = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;

/** Only what a tab looks at. */
const receiptOf = (seq: number, fee: bigint, cumulative: bigint, prevHash: Hash = ZERO_HASH, nodeId = 7): TaskReceipt =>
  ({ nodeId, nodeSeq: BigInt(seq), nodeCumulative: cumulative, body: { fee, prevReceiptHash: prevHash } }) as TaskReceipt;

const accept = (tabs: Tabs, receipt: TaskReceipt, hash: Hash = hashOf(Number(receipt.nodeSeq))): string | null => tabs.accept({ receipt, signature: "0x" }, hash);

/** A node's honest history: fees in signing order, linked. */
const historyOf = (fees: readonly bigint[]): TaskReceipt[] =>
  fees.map((fee, i) => receiptOf(i + 1, fee, fees.slice(0, i + 1).reduce((sum, one) => sum + one, 0n), i === 0 ? ZERO_HASH : hashOf(i)));

const fees = fc.array(fc.bigInt({ min: 0n, max: 1_000n }), { minLength: 1, maxLength: 40 });

describe("tabs", () => {
  it("accept an honest history in any order, with any part of it lost", () => {
    fc.assert(fc.property(fees.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list.map((_, i) => i), { minLength: 1 }))), ([list, order]) => {
      const tabs = new Tabs();
      const history = historyOf(list);
      for (const i of order) expect(accept(tabs, history[i]!)).to.equal(null);
      const last = tabs.last(7)!.receipt;
      expect(last.nodeSeq).to.equal(BigInt(Math.max(...order) + 1));
      const accepted = order.reduce((sum, i) => sum + list[i]!, 0n);
      expect(last.nodeCumulative >= accepted).to.equal(true);
    }));
  });

  it("never let the accepted fees exceed the greatest total, whatever a node signs", () => {
    const anything = fc.array(fc.record({ seq: fc.integer({ min: 1, max: 30 }), fee: fc.bigInt({ min: 0n, max: 50n }), cumulative: fc.bigInt({ min: 0n, max: 400n }) }), { maxLength: 60 });
    fc.assert(fc.property(anything, (list) => {
      const tabs = new Tabs();
      const accepted = list.map((one, i) => ({ ...one, misfit: accept(tabs, receiptOf(one.seq, one.fee, one.cumulative), hashOf(1_000 + i)) })).filter((one) => one.misfit === null);
      const greatest = accepted.reduce((most, one) => (one.cumulative > most ? one.cumulative : most), 0n);
      expect(accepted.reduce((sum, one) => sum + one.fee, 0n) <= greatest).to.equal(true);
      expect(new Set(accepted.map((one) => one.seq)).size).to.equal(accepted.length);
    }));
  });

  it("refuse equivocation: two receipts of one seq, or a link whose sum is wrong", () => {
    const tabs = new Tabs();
    expect(accept(tabs, receiptOf(1, 10n, 10n))).to.equal(null);
    expect(accept(tabs, receiptOf(1, 10n, 10n))).to.contain("one nodeSeq");
    expect(accept(tabs, receiptOf(1, 9n, 10n), hashOf(99))).to.contain("one nodeSeq");
    expect(accept(tabs, receiptOf(2, 10n, 25n, hashOf(1)))).to.contain("predecessor");
    expect(accept(tabs, receiptOf(2, 10n, 19n))).to.contain("does not cover");
    expect(accept(tabs, receiptOf(2, 10n, 25n)), "a gap is no lie").to.equal(null);
  });

  it("keep the tabs of different nodes apart", () => {
    const tabs = new Tabs();
    expect(accept(tabs, receiptOf(1, 10n, 10n))).to.equal(null);
    expect(accept(tabs, receiptOf(1, 5n, 5n, ZERO_HASH, 8))).to.equal(null);
    expect(tabs.last(8)!.receipt.nodeCumulative).to.equal(5n);
  });

  it("go on from what the journal holds, and remember a bounded number", () => {
    const tabs = new Tabs();
    tabs.load(7, { receipt: receiptOf(5_000, 10n, 500n), signature: "0x" }, hashOf(5_000));
    expect(accept(tabs, receiptOf(5_001, 10n, 505n))).to.contain("does not cover");
    for (const seq of [4_999, 5_000]) expect(accept(tabs, receiptOf(seq, 0n, 400n)), "a seq of an earlier process").to.contain("settled history");
    for (let i = 1; i <= 1_100; i++) expect(accept(tabs, receiptOf(5_000 + 2 * i, 10n, 500n + 10n * BigInt(i)))).to.equal(null);
    expect(accept(tabs, receiptOf(5_003, 0n, 510n), hashOf(1)), "so old that its neighbours are forgotten").to.contain("settled history");
    expect(accept(tabs, receiptOf(7_001, 0n, 500n + 10n * 1_000n), hashOf(2)), "late, but remembered").to.equal(null);
  });
});
