// Mutants that no test can kill, because what they do differently cannot be reached, each with its reason.

export interface Equivalent {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly reason: string;
}

export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: "escrow/Tabs.sol",
    before: "uint256(tab.earned) + tab.forcedEarned",
    after: "uint256(tab.earned + tab.forcedEarned)",
    reason: "both are parts of the tracked balance, which stays within 96 bits",
  },
  {
    file: "escrow/Tabs.sol",
    before: "lastOfFees < lastOfMatured",
    after: "lastOfFees <= lastOfMatured",
    reason: "where they are equal, either is the answer",
  },
  {
    file: "escrow/Sessions.sol",
    before: "_least(_least(amount, potOf[pot]), book.charged - book.voidedCharge)",
    after: "_least(book.charged - book.voidedCharge, _least(amount, potOf[pot]))",
    reason: "the least of two is the same in either order",
  },
  {
    file: "escrow/Sessions.sol",
    before: "cap > book.provenCap",
    after: "cap >= book.provenCap",
    reason: "where they are equal, the cap is written as it was",
  },
  {
    file: "fraud/Penalties.sol",
    before: "DOUBLINGS_MAX",
    after: "DOUBLINGS_MAX + 1",
    reason: "seven doublings of one percent are more than the whole stake already",
  },
  {
    file: "fraud/Penalties.sol",
    before: "refund > fromTab",
    after: "refund >= fromTab",
    reason: "where they are equal, nothing is left to void",
  },
  {
    file: "fraud/Penalties.sol",
    before: "due != 0 && verdict.harmed != address(0)",
    after: "verdict.harmed != address(0)",
    reason: "a slash of nothing takes nothing",
  },
  {
    file: "fraud/Penalties.sol",
    before: "bps < BPS",
    after: "true",
    reason: "the vault takes no more than the whole bond, whatever more is asked for",
  },
  {
    file: "libraries/Items.sol",
    before: "items[j].id > id",
    after: "items[j].id >= id",
    reason: "an equal id has been answered one line above",
  },
  {
    file: "fraud/Judge.sol",
    before: "uint256(epoch.closedAt) + CLOSED_WINDOWS * windowSeconds",
    after: "uint256(epoch.closedAt + CLOSED_WINDOWS * windowSeconds)",
    reason: "a closing is the time of a block, a few windows below 2^48 seconds for nine million years",
  },
  {
    file: "fraud/RelayerJudge.sol",
    before: "!end.fits || end.rootHash != commitment.root",
    after: "end.rootHash != commitment.root",
    reason: "a path that does not fit ends at zero or below the root, whose hash nothing else has",
  },
];
