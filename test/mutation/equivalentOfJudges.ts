// Mutants of the judges and of what they read with that no test can kill, each with its reason.
import type { Equivalent } from "./equivalent.ts";

const EITHER = "where they are equal, either is the answer";
const DIFFER = "asked only where they differ";
const IN_THE_TREE = "it stands in the tree, so its index is below a count of 32 bits";
const COUNT = "a count has 32 bits, and 2^32 is above every one of them";
const LEAF = "fraud/LeafJudge.sol";
const NODE = "fraud/NodeJudge.sol";
const RELAYER = "fraud/RelayerJudge.sol";
const TREE = "fraud/TreeJudge.sol";
const MERKLE = "libraries/MerkleSum.sol";

/** `a < b` as `a <= b`, or `a > b` as `a >= b`. */
const bordered = (file: string, before: string, reason: string, within?: string): Equivalent => ({
  file, before, after: before.replace(/ [<>] /, (operator) => `${operator.trimEnd()}= `), reason, ...(within && { within }),
});

/** `uint256(a) + b` as `uint256(a + b)`. */
const narrowed = (file: string, operand: string, rest: string, reason: string): Equivalent => ({
  file, before: `uint256(${operand}) ${rest}`, after: `uint256(${operand} ${rest})`, reason,
});

export const EQUIVALENT_OF_JUDGES: readonly Equivalent[] = [
  bordered(LEAF, "leaf.fee < record.receipt.body.fee", EITHER),
  bordered(LEAF, "penalty < minimumPenalty", EITHER),
  bordered(LEAF, "penalty < type(uint96).max", EITHER),
  narrowed(LEAF, "force.openedAt", "+ windowSeconds", "asked only of a resolved force, and it resolves once that time has passed: the time of a block"),
  narrowed(LEAF, "entry.leaf.charge", "+ force.fee", "the leaf stands under a total of 96 bits and the force's fee has as many: together far below 128"),
  { file: NODE, before: "verdict.party = Party.NODE;", after: "", reason: "a new verdict's party is the first of the two, which is the node" },
  { file: RELAYER, before: "32", after: "33", within: "offers[i:i + 32]", reason: "the first 32 bytes of a longer slice are taken, and an offer's 128 lie within the text" },
  { file: RELAYER, before: "return false;", after: "", reason: "what a function returns without a word is false" },
  narrowed(RELAYER, "entry.slots", "* _greatest(attestation)", "more slots than an attestation can name were answered before, and 65,535 x 10,000 is below 2^32"),
  narrowed(RELAYER, "others[0].proof.index", "+ 1", IN_THE_TREE),
  { file: RELAYER, before: "bounds.length == 0 || bounds.length < lefts", after: "bounds.length == 0", reason: "at most one is a left one, so fewer than that are none" },
  bordered(RELAYER, "entry.modelId < modelId", DIFFER),
  bordered(RELAYER, "entry.modelId > modelId", DIFFER),
  bordered(RELAYER, "attestation.memoryBps > greatest", EITHER),
  bordered(RELAYER, "attestation.queueBps > greatest", EITHER),
  bordered(RELAYER, "attestation.networkBps > greatest", EITHER),
  bordered(RELAYER, "greatest > WHOLE_BPS", EITHER),
  { file: RELAYER, before: "nodeId != 0", after: "true", reason: "no node has the id zero, and the payout of none is nobody" },
  bordered(TREE, "to < from", "where they are equal nothing was charged, and no order pays for less than that", "order.maxFee"),
  { file: TREE, before: "badSum.level == 0 && badSum.index >= batch.leafCount", after: "badSum.index >= batch.leafCount", reason: "above the leaves an index is below half of the padded width, and the count is above that half" },
  narrowed(TREE, "left.proof.index", "+ 1", IN_THE_TREE),
  narrowed(TREE, "others[0].proof.index", "+ 1", IN_THE_TREE),
  bordered(TREE, "one.major < other.major", DIFFER),
  bordered(TREE, "one.minor < other.minor", DIFFER),
  bordered(TREE, "one.least < other.least", DIFFER),
  { file: TREE, before: "0", after: "1", within: "receipt.nodeSeq, 0)", reason: "of two places in the tab tree the least members are the same, whatever they are" },
  bordered(TREE, "order > 0", "an equal place was answered one branch before", "bool atEdge"),
  { file: TREE, before: "return 0;", after: "", reason: "what a function returns without a word is zero" },
  { file: MERKLE, before: "32", after: "33", within: "depth < 32", reason: COUNT },
  bordered(MERKLE, "depth < 32", COUNT),
  bordered(MERKLE, "width > 1", "a width of one has no pairs, and half of it is none"),
  { file: MERKLE, before: "depth < 32 && uint256(1) << depth < leafCount", after: "uint256(1) << depth < leafCount", reason: COUNT },
];
