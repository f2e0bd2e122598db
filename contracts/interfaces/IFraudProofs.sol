// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {BadSum, ChangeClaim, Entry} from "../fraud/Evidence.sol";
import {ItemsOpening} from "../libraries/Items.sol";
import {Leaf, SumProof} from "../libraries/MerkleSum.sol";
import {Record} from "../libraries/Records.sol";
import {Assignment} from "../types/Assignment.sol";
import {BatchHeader} from "../types/BatchHeader.sol";
import {Refusal} from "../types/Refusal.sol";
import {SaturationAttestation} from "../types/SaturationAttestation.sol";
import {TaskOrder} from "../types/TaskOrder.sol";
import {TaskReceipt} from "../types/TaskReceipt.sol";
import {Party} from "./IBondVault.sol";
import {BoardEntry, EpochCommitment} from "./IBoardEvidence.sol";
import {Tree} from "./ITaskReceipts.sol";
import {IVoids} from "./IVoids.sol";

/// @title Why a proof does not hold
interface IFraudErrors {
    /// @notice The batch was never posted.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    error BatchUnknown(uint32 relayerId, uint64 batchId);
    /// @notice The leaf does not stand at that index of the tree.
    /// @param batchHash the header's struct hash.
    /// @param leafHash of the leaf in question.
    /// @param index that the proof names, from 0.
    error LeafNotThere(bytes32 batchHash, bytes32 leafHash, uint32 index);
    /// @notice The receipt shown is not the one that the leaf holds.
    /// @param leafReceiptHash what the leaf holds.
    /// @param shown hash of what the caller showed.
    error ReceiptOfOtherLeaf(bytes32 leafReceiptHash, bytes32 shown);
    /// @notice The leaf holds the hashes of other signatures or another voucher than those shown.
    /// @param leafHash of the leaf in question.
    error RecordOfOtherLeaf(bytes32 leafHash);
    /// @notice The key epoch never existed, or was closed 2 W ago or longer.
    /// @param id of the node or relayer whose key it is.
    /// @param epoch of the key, counted from 1.
    /// @param closedAt when that key epoch was closed, unix seconds; 0 while open.
    error KeyEpochOver(uint32 id, uint32 epoch, uint48 closedAt);
    /// @notice The message is not signed by that key.
    /// @param key that should have signed.
    /// @param structHash of the message.
    error NotSigned(address key, bytes32 structHash);
    /// @notice The two messages are not about the same thing.
    error NotTheSame();
    /// @notice The two messages are one.
    /// @param structHash of the message.
    error NoConflict(bytes32 structHash);
    /// @notice Everything holds: there is no offence in this evidence.
    error NothingWrong();
    /// @notice The header shown is not that of the batch.
    /// @param batchHash the header's struct hash.
    /// @param shown hash of what the caller showed.
    error HeaderOfOtherBatch(bytes32 batchHash, bytes32 shown);
    /// @notice The entries are not neighbours, not in the place, or too many for what they are to show.
    error WrongNeighbours();
    /// @notice The commitment shown is not the one on the board.
    /// @param onBoard hash of what was committed.
    /// @param shown hash of what the caller showed.
    error CommitmentOfOtherEpoch(bytes32 onBoard, bytes32 shown);
}

/// @notice A demand for one record of a batch.
struct DataChallenge {
    address challenger;
    uint48 openedAt;
    bool isSettled;
}

/// @title Fraud proofs: one transaction each, no arbitrator
/// @notice F1 to F13. Every `prove...` call is announced two blocks before by `announce(keccak256(abi.encode(sender,
/// keccak256(calldata))))`; its last argument is any salt, which hides the evidence until then. Selectors are the judges'.
interface IFraudProofs is IVoids, IFraudErrors {
    /// @notice An offence was proven. `refunded` went back to the harmed session's lock or to the harmed party, `taken` is the
    /// penalty of which 30 % are the challenger's, 20 % the harmed party's (burned where there is none), the rest is burned.
    /// @param proof selector of the proof.
    /// @param party node or relayer.
    /// @param offender node or relayer id.
    /// @param challenger who proved it.
    /// @param key of the offence: it is punished once.
    /// @param refunded what went back to the harmed.
    /// @param taken the penalty.
    event Proven(
        bytes4 indexed proof, Party party, uint32 indexed offender, address indexed challenger, bytes32 key, uint96 refunded, uint96 taken
    );
    /// @notice A proof was announced.
    /// @param commitment of sender and calldata.
    event Announced(bytes32 indexed commitment);
    /// @notice A record is demanded; it is to be answered until `until`.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param index of the leaf in the session tree, from 0.
    /// @param challenger who demanded it.
    /// @param until unix seconds.
    event DataChallenged(uint32 indexed relayerId, uint64 indexed batchId, uint32 index, address challenger, uint256 until);
    /// @notice The record was shown; it stands in the transaction.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param index of the leaf in the session tree, from 0.
    event DataAnswered(uint32 indexed relayerId, uint64 indexed batchId, uint32 index);
    /// @notice The batch's data was withheld: its entries can be voided, its acked receipts forced.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    event BatchCondemned(uint32 indexed relayerId, uint64 indexed batchId);
    /// @notice A leaf no longer counts.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param leafHash of the leaf in question.
    event LeafVoided(uint32 indexed relayerId, uint64 indexed batchId, bytes32 indexed leafHash);
    /// @notice Somebody was paid.
    /// @param token pay or stake token.
    /// @param account who was owed it.
    /// @param to who receives it.
    /// @param amount in that token's smallest unit.
    event Claimed(IERC20 indexed token, address indexed account, address to, uint256 amount);
    /// @notice Penalties were sent where nobody can spend them.
    /// @param token pay or stake token.
    /// @param amount in that token's smallest unit.
    event Burned(IERC20 indexed token, uint256 amount);

    /// @notice A proof must be announced by its sender two blocks before, whole.
    /// @param commitment that this call would have needed.
    /// @param announcedAt block of its announcement, 0 for none.
    /// @param blockNumber this block's.
    error NotAnnounced(bytes32 commitment, uint256 announcedAt, uint256 blockNumber);
    /// @notice This offence was punished before.
    /// @param key of the offence.
    error PunishedBefore(bytes32 key);
    /// @notice Data is demanded within W of the posting.
    /// @param until unix seconds.
    error ChallengeTooLate(uint256 until);
    /// @notice Only an index below the leaf count can be demanded.
    /// @param index of the leaf in the session tree, from 0.
    /// @param leafCount of the batch.
    error IndexOutOfRange(uint32 index, uint32 leafCount);
    /// @notice That record was demanded before.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param index of the leaf in the session tree, from 0.
    error ChallengedBefore(uint32 relayerId, uint64 batchId, uint32 index);
    /// @notice No such challenge is open.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param index of the leaf in the session tree, from 0.
    error NoOpenChallenge(uint32 relayerId, uint64 batchId, uint32 index);
    /// @notice W after the challenge has passed.
    /// @param until unix seconds.
    error AnswerTooLate(uint256 until);
    /// @notice W after the challenge has not passed.
    /// @param until unix seconds.
    error AnswerStillPossible(uint256 until);
    /// @notice The batch is not condemned.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    error NotCondemned(uint32 relayerId, uint64 batchId);
    /// @notice The batch's credits have matured.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    error BatchMatured(uint32 relayerId, uint64 batchId);
    /// @notice The pot is empty or nothing is left to void: void the batch's credits first.
    /// @param pot name of what a proof voids: the harmed session or the condemned batch.
    error NothingVoided(bytes32 pot);
    /// @notice Nothing is owed to the account in that token.
    /// @param token pay or stake token.
    /// @param account who asked.
    error NothingOwed(IERC20 token, address account);
    /// @notice The token delivered another amount than asked for.
    /// @param asked what was to come in.
    /// @param received what came in.
    error WrongAmountReceived(uint256 asked, uint256 received);
    /// @notice The deployment names another contract in this place.
    /// @param named the address that is named instead.
    error Miswired(address named);
    /// @notice A parameter must be above zero.
    error ZeroAmount();

    /// @notice Announces a proof; it can be sent from the second block after on.
    /// @param commitment keccak256(abi.encode(sender, keccak256(calldata))) of the call to come.
    function announce(bytes32 commitment) external;

    // ---- nodes

    /// @notice F1: two attestations of one (node, relayer, keyEpoch, seq). Node: 10 %, jail.
    /// @param one of the two messages.
    /// @param oneSignature of the first message: 65 bytes.
    /// @param other of the two messages.
    /// @param otherSignature of the second message: 65 bytes.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveSaturationEquivocation(
        SaturationAttestation calldata one, bytes calldata oneSignature,
        SaturationAttestation calldata other, bytes calldata otherSignature, bytes32 salt
    ) external;

    /// @notice F2: two receipts of one (tab, nodeSeq), or a successor whose total is not its predecessor's plus its fee.
    /// Node: 100 %.
    /// @param one of the two receipts, or the earlier one.
    /// @param oneSignature of the first message: 65 bytes.
    /// @param other of the two receipts, or its successor.
    /// @param otherSignature of the second message: 65 bytes.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveReceiptEquivocation(
        TaskReceipt calldata one, bytes calldata oneSignature, TaskReceipt calldata other, bytes calldata otherSignature,
        bytes32 salt
    ) external;

    /// @notice F3: an attestation with slots, an assignment that names it, and a refusal as full inside its validity with fewer
    /// accepted than slots. Node: 1 %, doubling with each within a day.
    /// @param attestation that promised slots.
    /// @param attestationSignature the node's: 65 bytes.
    /// @param assignment the relayer's order to the node, as signed.
    /// @param assignmentSignature the relayer's: 65 bytes.
    /// @param refusal as the node signed it.
    /// @param refusalSignature the node's: 65 bytes.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveFalseRefusal(
        SaturationAttestation calldata attestation, bytes calldata attestationSignature, Assignment calldata assignment,
        bytes calldata assignmentSignature, Refusal calldata refusal, bytes calldata refusalSignature, bytes32 salt
    ) external;

    // ---- leaves

    /// @notice F4: a leaf of the session tree whose record does not hold. Relayer: max(3 x fee, minimum); the charge goes back.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param leaf as it stands in the trees.
    /// @param sessionProof of the leaf in the session tree.
    /// @param record the attempt with all its signatures.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveInvalidLeaf(
        uint32 relayerId, uint64 batchId, Leaf calldata leaf, SumProof calldata sessionProof, Record calldata record, bytes32 salt
    ) external;

    /// @notice F13: a leaf of a batch posted later than W after a force of its task was opened, when no answer to it counted any
    /// more, once the force resolved: if both exceed maxFee, pay input twice, or are one receipt. Relayer: twice its charge to the
    /// payer.
    /// @param forcedReceiptHash the force's id.
    /// @param batchId of that relayer, counted from 1.
    /// @param entry the leaf, its receipt and its place.
    /// @param assignment of the leaf.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function provePaidAfterForce(
        bytes32 forcedReceiptHash, uint64 batchId, Entry calldata entry, Assignment calldata assignment, bytes32 salt
    ) external;

    // ---- trees

    /// @notice F5: the change of a session or tab is not that of its leaves. Relayer: 10 %; twice the excess to the harmed. Of an
    /// excess greater than one proven before, the rest.
    /// @param header the batch's, as signed.
    /// @param opening of the header's debits or credits, around the id.
    /// @param claim session or tab, the leaves around it, and the change that they come to.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveWrongChange(
        BatchHeader calldata header, ItemsOpening calldata opening, ChangeClaim calldata claim, bytes32 salt
    ) external;

    /// @notice F5: a task's charges in a batch exceed its order's maxFee. Relayer: 10 %; twice the excess to the payer.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param order as the payer ordered it.
    /// @param first the task's first leaf in the batch.
    /// @param last the task's last leaf in the batch.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveTaskAboveMaxFee(
        uint32 relayerId, uint64 batchId, TaskOrder calldata order, Entry calldata first, Entry calldata last, bytes32 salt
    ) external;

    /// @notice F6: a sum that is not that of what lies below it, or padding that is not empty. Relayer: 100 %.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param tree by session or by tab.
    /// @param badSum the nodes around the sum that does not add up.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveBadSum(uint32 relayerId, uint64 batchId, Tree tree, BadSum calldata badSum, bytes32 salt) external;

    /// @notice F7: a task in two batches. Relayer: 100 %; the later leaf's charge goes back.
    /// @param relayerId in the RelayerRegistry.
    /// @param earlierBatchId where the task was settled first.
    /// @param earlier the leaf in the earlier batch.
    /// @param laterBatchId where it was settled again.
    /// @param later the leaf in the later batch.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveTaskInTwoBatches(
        uint32 relayerId, uint64 earlierBatchId, Entry calldata earlier, uint64 laterBatchId, Entry calldata later, bytes32 salt
    ) external;

    /// @notice F7: two leaves of one (task, subtask) that both charge input. Relayer: 100 %; the later leaf's charge goes back.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param one the earlier leaf.
    /// @param oneAssignment of the earlier leaf.
    /// @param other the later leaf, whose charge goes back.
    /// @param otherAssignment of the later leaf.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveSecondInput(
        uint32 relayerId, uint64 batchId, Entry calldata one, Assignment calldata oneAssignment, Entry calldata other,
        Assignment calldata otherAssignment, bytes32 salt
    ) external;

    /// @notice F7: two neighbours of a tree out of order. Relayer: 100 %.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param tree by session or by tab.
    /// @param left of the two neighbours.
    /// @param right of the two neighbours.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveDisorder(
        uint32 relayerId, uint64 batchId, Tree tree, Entry calldata left, Entry calldata right, bytes32 salt
    ) external;

    /// @notice F11: a leaf of one tree whose place in the other is empty or holds other bytes. Relayer: 100 %.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param tree by session or by tab.
    /// @param entry the leaf, its receipt and its place.
    /// @param others of the other tree: the leaf in its place, its two neighbours, or the one at the edge.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveAsymmetry(
        uint32 relayerId, uint64 batchId, Tree tree, Entry calldata entry, Entry[] calldata others, bytes32 salt
    ) external;

    // ---- relayers

    /// @notice F8: two headers of one batch id whose [periodEnd, postBy] overlap. Relayer: 100 %.
    /// @param one of the two messages.
    /// @param oneSignature of the first message: 65 bytes.
    /// @param other of the two messages.
    /// @param otherSignature of the second message: 65 bytes.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveHeaderEquivocation(
        BatchHeader calldata one, bytes calldata oneSignature, BatchHeader calldata other, bytes calldata otherSignature,
        bytes32 salt
    ) external;

    /// @notice F10: two assignments of one (task, subtask, attempt). Relayer: 10 %.
    /// @param one of the two messages.
    /// @param oneSignature of the first message: 65 bytes.
    /// @param other of the two messages.
    /// @param otherSignature of the second message: 65 bytes.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveDoubleAssignment(
        Assignment calldata one, bytes calldata oneSignature, Assignment calldata other, bytes calldata otherSignature,
        bytes32 salt
    ) external;

    /// @notice F10: share caps, one attempt for each of at most 16 subtasks in rising order, above maxFee. Relayer: 10 %.
    /// @param order as the payer ordered it.
    /// @param assignments one for each subtask, rising.
    /// @param signatures of the assignments, in their order.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveSharesAboveMaxFee(
        TaskOrder calldata order, Assignment[] calldata assignments, bytes[] calldata signatures, bytes32 salt
    ) external;

    /// @notice F12: a leaf of the board that is not what its attestation says. Relayer: 10 %.
    /// @param commitment what the relayer committed on the board, whole.
    /// @param entry the leaf and its place.
    /// @param attestation that the leaf names.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveBadBoardLeaf(
        EpochCommitment calldata commitment, BoardEntry calldata entry, SaturationAttestation calldata attestation, bytes32 salt
    ) external;

    /// @notice F12: a later attestation than the leaf's, observed in the epoch, stands in an assignment that the relayer signed in
    /// it. Relayer: 10 %.
    /// @param commitment what the relayer committed on the board, whole.
    /// @param entry the leaf and its place.
    /// @param attestation that the leaf names.
    /// @param later the attestation that was left out.
    /// @param assignment that names the later attestation.
    /// @param assignmentSignature the relayer's: 65 bytes.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveStaleBoardLeaf(
        EpochCommitment calldata commitment, BoardEntry calldata entry, SaturationAttestation calldata attestation,
        SaturationAttestation calldata later, Assignment calldata assignment, bytes calldata assignmentSignature, bytes32 salt
    ) external;

    /// @notice F12: an attestation observed in the epoch that stands in an assignment of it and offers the model has no leaf.
    /// Relayer: 10 %.
    /// @param commitment what the relayer committed on the board, whole.
    /// @param modelId of the board's leaf that is missing.
    /// @param omitted the attestation without a leaf.
    /// @param offers the list behind offersHash: (modelId, slots, priceIn, priceOut) words of each.
    /// @param assignment that names the attestation.
    /// @param assignmentSignature the relayer's: 65 bytes.
    /// @param others of the board: the two neighbours of the empty place, or the one at the edge.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveOmittedBoardLeaf(
        EpochCommitment calldata commitment, bytes32 modelId, SaturationAttestation calldata omitted, bytes calldata offers,
        Assignment calldata assignment, bytes calldata assignmentSignature, BoardEntry[] calldata others, bytes32 salt
    ) external;

    /// @notice F12: a committed pool figure is not the sum of the model's leaves. Relayer: 10 %.
    /// @param commitment what the relayer committed on the board, whole.
    /// @param pool index of the figure in the commitment.
    /// @param bounds where `isOver`, the neighbours of the model's leaves that exist, or any leaf where there are none; else its
    /// first and last leaf.
    /// @param isOver whether the figure claims more than all that could be the model's.
    /// @param hasLeft whether a left neighbour exists.
    /// @param salt any; part of what was announced, so that nobody can guess it.
    function proveWrongPool(
        EpochCommitment calldata commitment, uint256 pool, BoardEntry[] calldata bounds, bool isOver, bool hasLeft, bytes32 salt
    ) external;

    // ---- F9: withheld data

    /// @notice Demands the record at an index of the session tree, within W of the posting, for the challenge bond.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param index of the leaf in the session tree, from 0.
    function challengeData(uint32 relayerId, uint64 batchId, uint32 index) external;

    /// @notice Shows a demanded record, within W. Anyone may send it; the bond goes to the relayer's owner.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param leaf as it stands in the trees.
    /// @param sessionProof of the leaf in the session tree.
    /// @param record the attempt with all its signatures.
    function answerData(uint32 relayerId, uint64 batchId, Leaf calldata leaf, SumProof calldata sessionProof, Record calldata record)
        external;

    /// @notice After W without answer: condemns the batch (relayer 100 %, jail), and gives the challenger its bond back. Once the
    /// batch's credits have matured they stay, and so do its answers to forces: then only the bond falls.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param index of the leaf in the session tree, from 0.
    function condemn(uint32 relayerId, uint64 batchId, uint32 index) external;

    /// @notice Voids entries of a condemned batch while it is immature: credits into its pot, debits from there back into the
    /// sessions' locks. Anyone may send it, credits first.
    /// @param header the batch's, as signed.
    /// @param isDebit whether the opening is of the header's debits.
    /// @param opening of the entries to be voided, within the header's list.
    function voidEntries(BatchHeader calldata header, bool isDebit, ItemsOpening calldata opening) external;

    // ---- payments

    /// @notice Pays what is owed to the caller.
    /// @param token pay or stake token.
    /// @param to who receives it.
    /// @return amount what was paid.
    function claim(IERC20 token, address to) external returns (uint256 amount);

    /// @notice Sends burned penalties where nobody can spend them. Anyone may send it.
    /// @param token pay or stake token.
    /// @return amount what was burned.
    function burn(IERC20 token) external returns (uint256 amount);

    /// @notice What `claim` would pay.
    /// @param token pay or stake token.
    /// @param account who is owed.
    /// @return in that token's smallest unit.
    function owedTo(IERC20 token, address account) external view returns (uint256);
    /// @notice What `burn` would burn.
    /// @param token pay or stake token.
    /// @return in that token's smallest unit.
    function toBurn(IERC20 token) external view returns (uint256);
    /// @notice Whether an offence was punished.
    /// @param key of the offence, as Proven names it.
    /// @return true for good.
    function isPunished(bytes32 key) external view returns (bool);
    /// @notice A challenge as stored; the challenger is zero where there is none.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param index of the leaf in the session tree, from 0.
    /// @return the challenge.
    function challengeOf(uint32 relayerId, uint64 batchId, uint32 index) external view returns (DataChallenge memory);
}
