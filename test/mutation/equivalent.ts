// Mutants that no test can kill, because what they do differently cannot be reached, each with its reason.

export interface Equivalent {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly reason: string;
  /** What else stands in its line, where the same text stands in several. */
  readonly within?: string;
}

export const EQUIVALENT: readonly Equivalent[] = [
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
    file: "Escrow.sol",
    before: "paid != 0",
    after: "true",
    reason: "to credit nothing changes nothing and reports nothing",
  },
  {
    file: "escrow/EscrowBase.sol",
    before: "one < other",
    after: "one <= other",
    reason: "where they are equal, either is the answer",
  },
  {
    file: "escrow/Sessions.sol",
    before: "book.payer == address(0)",
    after: "false",
    reason: "what was never opened has neither a closing nor a validUntil, so that its closing is zero either way",
  },
  {
    file: "escrow/Sessions.sol",
    before: "book.mode == VOUCHER",
    after: "true",
    reason: "in the other mode the proven cap is maxTotal from opening, and no cap within maxTotal is above it",
  },
  {
    file: "escrow/Sessions.sol",
    before: "_least(cap, book.maxTotal)",
    after: "_least(book.maxTotal, cap)",
    reason: "the least of two is the same in either order",
  },
  {
    file: "escrow/Sessions.sol",
    before: "_least(amount, potOf[pot])",
    after: "_least(potOf[pot], amount)",
    reason: "the least of two is the same in either order",
  },
  {
    file: "escrow/Sessions.sol",
    before: "_least(paid, _bucketLevel(book.bucketLevel, book.maxPerDay, book.bucketAt))",
    after: "_least(_bucketLevel(book.bucketLevel, book.maxPerDay, book.bucketAt), paid)",
    reason: "the least of two is the same in either order",
  },
  {
    file: "escrow/Sessions.sol",
    before: "cap < maxTotal",
    after: "cap <= maxTotal",
    reason: "where they are equal, either is the answer",
  },
  {
    file: "escrow/Sessions.sol",
    before: "2 * uint256(maxPerDay)",
    after: "uint256(2 * maxPerDay)",
    reason: "what is stored is zero or was held against half of 96 bits at opening",
  },
  {
    file: "escrow/Sessions.sol",
    before: "refilled < capacity",
    after: "refilled <= capacity",
    reason: "where they are equal, either is the answer",
  },
  {
    file: "escrow/Sessions.sol",
    before: "book.bucketAt = uint48(block.timestamp);",
    after: "",
    within: "            book.bucketAt",
    reason: "at opening only: the bucket starts full, which is what any time makes of it, and its first draw sets the time",
  },
  {
    file: "escrow/Tabs.sol",
    before: "_restOf(uint256(matured) + tab.forcedEarned, tab.voidedEarned, tab.claimed)",
    after: "_restOf(uint256(matured) + tab.forcedEarned, tab.claimed, tab.voidedEarned)",
    reason: "what is voided and claimed is added up",
  },
  {
    file: "escrow/Tabs.sol",
    before: "_least(amount, _restOf(relayer.fees, relayer.feesVoided, relayer.feesClaimed))",
    after: "_least(_restOf(relayer.fees, relayer.feesVoided, relayer.feesClaimed), amount)",
    reason: "the least of two is the same in either order",
  },
  {
    file: "escrow/Tabs.sol",
    before: "_least(amount, _restOf(uint256(tab.earned) + tab.forcedEarned, tab.voidedEarned, tab.claimed))",
    after: "_least(_restOf(uint256(tab.earned) + tab.forcedEarned, tab.voidedEarned, tab.claimed), amount)",
    reason: "the least of two is the same in either order",
  },
  {
    file: "BatchSettlement.sol",
    before: "uint256(header.periodEnd) + windowSeconds / 2",
    after: "uint256(header.periodEnd + windowSeconds / 2)",
    reason: "W / 2 is below 2^47, and so is periodEnd for four million years: it was held against the block's time before",
  },
  {
    file: "settlement/Forces.sol",
    before: "inputFee < force.fee",
    after: "inputFee <= force.fee",
    reason: "where they are equal, either is the answer",
  },
  {
    file: "settlement/Forces.sol",
    before: "total > force.maxFee",
    after: "total >= force.maxFee",
    reason: "where they are equal, the difference is the zero that stands there otherwise",
  },
  {
    file: "fraud/Penalties.sol",
    before: "bps < BPS",
    after: "bps <= BPS",
    reason: "where they are equal, either is the answer",
  },
  {
    file: "fraud/Penalties.sol",
    before: "uint256(entry.lastAt) + 1 days",
    after: "uint256(entry.lastAt + 1 days)",
    reason: "lastAt is the time of a block, a day below 2^48 seconds for eight million years",
  },
  {
    file: "fraud/Penalties.sol",
    before: "count < DOUBLINGS_MAX",
    after: "count <= DOUBLINGS_MAX",
    reason: "an eighth doubling of one percent is as much more than the whole stake as the seventh",
  },
  {
    file: "fraud/Penalties.sol",
    before: "amount < type(uint96).max",
    after: "amount <= type(uint96).max",
    reason: "where they are equal, either is the answer",
  },
  {
    file: "fraud/DataChallenges.sol",
    before: "uint256(batch.postedAt) + windowSeconds",
    after: "uint256(batch.postedAt + windowSeconds)",
    reason: "settlement needs 7 W within 48 bits, so that W and the time of a batch or of a demand together stay far below",
  },
  {
    file: "fraud/DataChallenges.sol",
    before: "uint256(challenge.openedAt) + windowSeconds",
    after: "uint256(challenge.openedAt + windowSeconds)",
    reason: "settlement needs 7 W within 48 bits, so that W and the time of a batch or of a demand together stay far below",
  },
  {
    file: "fraud/DataChallenges.sol",
    before: "verdict.relayerId = relayerId;",
    after: "",
    reason: "read where something is refunded or voided, and this verdict does neither",
  },
  {
    file: "libraries/TidelaneDomain.sol",
    before: "block.chainid == deployedChainId",
    after: "false",
    reason: "on its own chain what is built anew is what was built at deployment",
  },
  {
    file: "settlement/Forces.sol",
    before: "uint256(force.openedAt) + _window()",
    after: "uint256(force.openedAt + _window())",
    reason: "what is open was opened W after 1970 at least, so that this is at most twice the time of a block",
  },
  {
    file: "fraud/Penalties.sol",
    before: "return 0;",
    after: "",
    within: "        return 0;",
    reason: "in _beyond, where zero is what the named result starts as",
  },
  {
    file: "fraud/Penalties.sol",
    before: "uint256(bond.active) + bond.unbonding",
    after: "uint256(bond.active + bond.unbonding)",
    reason: "the vault keeps the sum of all bonds of a kind within 96 bits",
  },
  {
    file: "fraud/Penalties.sol",
    before: "penalty < verdict.penaltyLeast",
    after: "penalty <= verdict.penaltyLeast",
    reason: "where they are equal, either is the answer",
  },
  {
    file: "fraud/Penalties.sol",
    before: "toHarmed != 0",
    after: "true",
    reason: "to owe nothing more changes nothing and reports nothing",
  },
  {
    file: "fraud/DataChallenges.sol",
    before: "WHOLE_BPS",
    after: "WHOLE_BPS + 1",
    reason: "the penalty is held to the whole bond",
  },
  {
    file: "escrow/Tabs.sol",
    before: "_restOf(matured, relayer.feesVoided, relayer.feesClaimed)",
    after: "_restOf(matured, relayer.feesClaimed, relayer.feesVoided)",
    reason: "what is voided and claimed is added up",
  },
  {
    file: "escrow/Tabs.sol",
    before: "_restOf(uint256(tab.earned) + tab.forcedEarned, tab.voidedEarned, tab.claimed)",
    after: "_restOf(uint256(tab.earned) + tab.forcedEarned, tab.claimed, tab.voidedEarned)",
    reason: "what is voided and claimed is added up",
  },
  {
    file: "escrow/Tabs.sol",
    before: "_restOf(relayer.fees, relayer.feesVoided, relayer.feesClaimed)",
    after: "_restOf(relayer.fees, relayer.feesClaimed, relayer.feesVoided)",
    reason: "what is voided and claimed is added up",
  },
  {
    file: "escrow/Tabs.sol",
    before: "most > unmatured",
    after: "most >= unmatured",
    reason: "where they are equal, the difference is the zero that stands there otherwise",
  },
  {
    file: "escrow/Tabs.sol",
    before: "uint256(relayers[relayerId].lastFeePeriod) + 1",
    after: "uint256(relayers[relayerId].lastFeePeriod + 1)",
    reason: "a period is seven seconds at least, so that the last one of 32 bits begins in 2922",
  },
  {
    file: "escrow/Tabs.sol",
    before: "uint256(_feePeriod()) - 1",
    after: "uint256(_feePeriod() - 1)",
    reason: "before the first period both panic, and from then on both have one to take off",
  },
  {
    file: "escrow/Tabs.sol",
    before: "matured > gone",
    after: "matured >= gone",
    reason: "where they are equal, the difference is the zero that stands there otherwise",
  },
  {
    file: "settlement/Forces.sol",
    before: "condemnedBatchId != 0",
    after: "true",
    reason: "no batch has the number zero, so that none is condemned under it",
  },
  {
    file: "settlement/Forces.sol",
    before: "condemned != 0 && ack.ackedAt <= _batchOf(ack.relayerId, condemnedBatchId).postedAt",
    after: "ack.ackedAt <= _batchOf(ack.relayerId, condemnedBatchId).postedAt",
    reason: "what was never condemned counts from zero, and three windows from there are not above eight from any ack",
  },
  {
    file: "settlement/Forces.sol",
    before: "condemned + CONDEMNED_WINDOWS * _window() > until",
    after: "condemned + CONDEMNED_WINDOWS * _window() >= until",
    reason: "where they are equal, either is the answer",
  },
  {
    file: "settlement/Forces.sol",
    before: "force.paysInput && inputForced[force.taskId][force.subtask]",
    after: "inputForced[force.taskId][force.subtask]",
    reason: "who pays no input has an input fee of zero, which is above nothing",
  },
  {
    file: "settlement/Forces.sol",
    before: "force.inputFee > over",
    after: "force.inputFee >= over",
    reason: "where they are equal, either is the answer",
  },
  {
    file: "settlement/Forces.sol",
    before: "over < fee",
    after: "over <= fee",
    reason: "where they are equal, the difference is the zero that stands there otherwise",
  },
  {
    file: "settlement/Forces.sol",
    before: "0",
    after: "1",
    within: "condemned != 0",
    reason: "where it is asked whether a batch was condemned: none was in the second 1",
  },
  {
    file: "fraud/Judge.sol",
    before: "uint256(epoch.closedAt) + CLOSED_WINDOWS * windowSeconds",
    after: "uint256(epoch.closedAt + CLOSED_WINDOWS * windowSeconds)",
    reason: "a closing is the time of a block, a few windows below 2^48 seconds for nine million years",
  },
];
