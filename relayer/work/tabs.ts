// The running totals of the tabs: every receipt that is accepted must fit between its neighbours in the node's signing order.
//
//   seq        s1            s2            s3              a node signs its receipts of one tab one after the other;
//   cumulative c1   <=  c2 - fee2    c2 <= c3 - fee3       they come back on parallel streams in any order
//
// Where that holds for all accepted receipts, the greatest cumulative covers the sum of all their fees, so a batch can always
// prove its credits with the tab's last receipt. Gaps are allowed: a receipt that was lost or refused is in the node's total,
// but not in any batch.
import type { Hash, Signature, TokenAmount } from "../../protocol/units.ts";
import type { TaskReceipt } from "../../protocol/generated/structs.ts";

/** A receipt that arrives after so many later ones of its tab is refused; a node has far fewer attempts in flight. */
const REMEMBERED = 1_024;

interface Entry {
  readonly seq: bigint;
  readonly fee: TokenAmount;
  readonly cumulative: TokenAmount;
}

export interface SignedReceipt {
  readonly receipt: TaskReceipt;
  readonly signature: Signature;
}

interface Tab {
  /** Ascending by seq. */
  readonly entries: Entry[];
  last: SignedReceipt;
  lastHash: Hash;
  /** Nothing at or below this seq is taken any more: what stood there is forgotten, and no seq may be used twice. */
  floorSeq: bigint;
}

export class Tabs {
  readonly #tabs = new Map<number, Tab>();

  /** Begins a tab with the greatest receipt that the journal holds. No stream of an earlier process can still bring an older one. */
  load(nodeId: number, last: SignedReceipt, receiptHash: Hash): void {
    const entry = entryOf(last.receipt);
    this.#tabs.set(nodeId, { entries: [entry], last, lastHash: receiptHash, floorSeq: entry.seq });
  }

  /** The accepted receipt with the greatest seq: what a node that lost its store goes on from. */
  last(nodeId: number): SignedReceipt | null {
    return this.#tabs.get(nodeId)?.last ?? null;
  }

  /**
   * Takes a receipt into its tab, at once, so that two that arrive together cannot both claim a place.
   * @returns null, or what does not fit, in one sentence; then nothing has changed.
   */
  accept(signed: SignedReceipt, receiptHash: Hash): string | null {
    const { nodeId } = signed.receipt;
    const entry = entryOf(signed.receipt);
    if (entry.cumulative < entry.fee) return "the running total is below the receipt's own fee";
    const tab = this.#tabs.get(nodeId);
    if (!tab) {
      this.#tabs.set(nodeId, { entries: [entry], last: signed, lastHash: receiptHash, floorSeq: -1n });
      return null;
    }
    const misfit = placed(tab, entry, signed.receipt.body.prevReceiptHash);
    if (misfit !== null) return misfit;
    if (entry.seq > tab.last.receipt.nodeSeq) Object.assign(tab, { last: signed, lastHash: receiptHash });
    return null;
  }
}

function placed(tab: Tab, entry: Entry, prevHash: Hash): string | null {
  const { entries } = tab;
  if (entry.seq <= tab.floorSeq) return "its nodeSeq is not above those of this tab that are settled history";
  const place = entries.findLastIndex((other) => other.seq <= entry.seq) + 1;
  const before = entries[place - 1];
  if (before?.seq === entry.seq) return "two receipts carry one nodeSeq";
  const misfit = brokenLink(before, entry) ?? brokenLink(entry, entries[place]);
  if (misfit !== null) return misfit;
  if (prevHash === tab.lastHash && entry.cumulative !== tab.last.receipt.nodeCumulative + entry.fee) return "the running total differs from its predecessor's plus the fee";
  entries.splice(place, 0, entry);
  if (entries.length > REMEMBERED) tab.floorSeq = entries.shift()!.seq;
  return null;
}

/** Two receipts in signing order, next to each other among those accepted; others may lie between that were not. */
function brokenLink(earlier: Entry | undefined, later: Entry | undefined): string | null {
  if (!earlier || !later || later.cumulative - later.fee >= earlier.cumulative) return null;
  return `the running total ${later.cumulative} does not cover the earlier ${earlier.cumulative} and the fee ${later.fee}`;
}

const entryOf = ({ nodeSeq, nodeCumulative, body }: TaskReceipt): Entry => ({ seq: nodeSeq, fee: body.fee, cumulative: nodeCumulative });
