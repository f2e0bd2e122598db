// The running totals of the tabs: every receipt that is accepted must fit between its neighbours in the node's signing order.
//
//   seq        s1            s2            s3              a node signs its receipts of one tab one after the other;
//   cumulative c1   <=  c2 - fee2    c2 <= c3 - fee3       they come back on parallel streams in any order
//
// Where that holds for all accepted receipts, the greatest cumulative covers the sum of all their fees, so a batch can always
// prove its credits with the tab's last receipt. Gaps are allowed: a receipt that was lost or refused is in the node's total,
// but not in any batch.
import { ZERO_HASH, type Hash, type Signature, type TokenAmount } from "../../protocol/units.ts";
import type { TaskReceipt } from "../../protocol/generated/structs.ts";

/** A receipt that arrives after so many later ones of its tab is refused; a node has far fewer attempts in flight. */
const REMEMBERED = 1_024;

interface Entry {
  readonly seq: bigint;
  readonly hash: Hash;
  readonly fee: TokenAmount;
  readonly cumulative: TokenAmount;
  readonly prevHash: Hash;
}

export interface SignedReceipt {
  readonly receipt: TaskReceipt;
  readonly signature: Signature;
}

export class Tabs {
  /** By node; ascending by seq. */
  readonly #entries = new Map<number, Entry[]>();
  readonly #last = new Map<number, SignedReceipt>();

  /** Begins a tab with the greatest receipt that the journal holds. */
  load(nodeId: number, last: SignedReceipt, receiptHash: Hash): void {
    this.#entries.set(nodeId, [entryOf(last.receipt, receiptHash)]);
    this.#last.set(nodeId, last);
  }

  /** The accepted receipt with the greatest seq: what a node that lost its store goes on from. */
  last(nodeId: number): SignedReceipt | null {
    return this.#last.get(nodeId) ?? null;
  }

  /**
   * Takes a receipt into its tab, at once, so that two that arrive together cannot both claim a place.
   * @returns null, or what does not fit, in one sentence; then nothing has changed.
   */
  accept(signed: SignedReceipt, receiptHash: Hash): string | null {
    const { nodeId } = signed.receipt;
    const entries = this.#entries.get(nodeId) ?? [];
    const entry = entryOf(signed.receipt, receiptHash);
    const place = entries.findLastIndex((other) => other.seq <= entry.seq) + 1;
    const misfit = misfitOf(entry, entries[place - 1], entries[place], entries.length >= REMEMBERED);
    if (misfit) return misfit;
    entries.splice(place, 0, entry);
    if (place === entries.length - 1) this.#last.set(nodeId, signed);
    if (entries.length > REMEMBERED) entries.shift();
    this.#entries.set(nodeId, entries);
    return null;
  }
}

function misfitOf(entry: Entry, before: Entry | undefined, after: Entry | undefined, isFull: boolean): string | null {
  if (entry.cumulative < entry.fee) return "the running total is below the receipt's own fee";
  if (before?.seq === entry.seq) return before.hash === entry.hash ? "the receipt was delivered before" : "two receipts carry one nodeSeq";
  if (!before && isFull) return "the receipt is older than all that are remembered of its tab";
  return brokenLink(before, entry) ?? brokenLink(entry, after);
}

/** Two receipts in signing order, next to each other among those accepted; others may lie between that were not. */
function brokenLink(earlier: Entry | undefined, later: Entry | undefined): string | null {
  if (!earlier || !later) return null;
  const unaccounted = later.cumulative - later.fee - earlier.cumulative;
  if (unaccounted < 0n) return `the running total ${later.cumulative} does not cover the earlier ${earlier.cumulative} and the fee ${later.fee}`;
  if (later.prevHash !== ZERO_HASH && later.prevHash === earlier.hash && unaccounted !== 0n) return "the running total differs from its predecessor's plus the fee";
  return null;
}

const entryOf = (receipt: TaskReceipt, hash: Hash): Entry =>
  ({ seq: receipt.nodeSeq, hash, fee: receipt.body.fee, cumulative: receipt.nodeCumulative, prevHash: receipt.body.prevReceiptHash });
