// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {BadSum, ChangeClaim, Entry} from "../fraud/Evidence.sol";
import {ItemsOpening} from "../libraries/Items.sol";
import {Leaf, SumProof} from "../libraries/MerkleSum.sol";
import {Fault, Record} from "../libraries/Records.sol";
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
    error BatchUnknown(uint32 relayerId, uint64 batchId);
    /// @notice The leaf does not stand at that index of the tree.
    error LeafNotThere(bytes32 batchHash, bytes32 leafHash, uint32 index);
    /// @notice The receipt shown is not the one that the leaf holds.
    error ReceiptOfOtherLeaf(bytes32 leafReceiptHash, bytes32 shown);
    /// @notice The leaf holds the hashes of other signatures or another voucher than those shown.
    error RecordOfOtherLeaf(bytes32 leafHash);
    /// @notice The key epoch never existed, or was closed 2 W ago or longer.
    error KeyEpochOver(uint32 id, uint32 epoch, uint48 closedAt);
    /// @notice The message is not signed by that key.
    error NotSigned(address key, bytes32 structHash);
    /// @notice The two messages are not about the same thing.
    error NotTheSame();
    /// @notice The two messages are one.
    error NoConflict(bytes32 structHash);
    /// @notice Everything holds: there is no offence in this evidence.
    error NothingWrong();
    /// @notice The header shown is not that of the batch.
    error HeaderOfOtherBatch(bytes32 batchHash, bytes32 shown);
    /// @notice The entries are not neighbours, not in the place, or too many for what they are to show.
    error WrongNeighbours();
    /// @notice The commitment shown is not the one on the board.
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
    event Proven(
        bytes4 indexed proof, Party party, uint32 indexed offender, address indexed challenger, bytes32 key, uint96 refunded, uint96 taken
    );
    /// @notice A proof was announced.
    event Announced(bytes32 indexed commitment);
    /// @notice A record is demanded; it is to be answered until `until`.
    event DataChallenged(uint32 indexed relayerId, uint64 indexed batchId, uint32 index, address challenger, uint256 until);
    /// @notice The record was shown; it stands in the transaction.
    event DataAnswered(uint32 indexed relayerId, uint64 indexed batchId, uint32 index);
    /// @notice The batch's data was withheld: its entries can be voided, its acked receipts forced.
    event BatchCondemned(uint32 indexed relayerId, uint64 indexed batchId);
    /// @notice A leaf no longer counts.
    event LeafVoided(uint32 indexed relayerId, uint64 indexed batchId, bytes32 indexed leafHash);
    /// @notice Somebody was paid.
    event Claimed(IERC20 indexed token, address indexed account, address to, uint256 amount);
    /// @notice Penalties were sent where nobody can spend them.
    event Burned(IERC20 indexed token, uint256 amount);

    /// @notice A proof must be announced by its sender two blocks before, whole.
    error NotAnnounced(bytes32 commitment, uint256 announcedAt, uint256 blockNumber);
    /// @notice This offence was punished before.
    error PunishedBefore(bytes32 key);
    /// @notice Data is demanded within W of the posting.
    error ChallengeTooLate(uint256 until);
    /// @notice Only an index below the leaf count can be demanded.
    error IndexOutOfRange(uint32 index, uint32 leafCount);
    /// @notice That record was demanded before.
    error ChallengedBefore(uint32 relayerId, uint64 batchId, uint32 index);
    /// @notice No such challenge is open.
    error NoOpenChallenge(uint32 relayerId, uint64 batchId, uint32 index);
    /// @notice W after the challenge has passed.
    error AnswerTooLate(uint256 until);
    /// @notice W after the challenge has not passed.
    error AnswerStillPossible(uint256 until);
    /// @notice The batch is not condemned.
    error NotCondemned(uint32 relayerId, uint64 batchId);
    /// @notice The batch's credits have matured.
    error BatchMatured(uint32 relayerId, uint64 batchId);
    /// @notice The pot is empty or nothing is left to void: void the batch's credits first.
    error NothingVoided(bytes32 pot);
    /// @notice Nothing is owed to the account in that token.
    error NothingOwed(IERC20 token, address account);
    /// @notice The token delivered another amount than asked for.
    error WrongAmountReceived(uint256 asked, uint256 received);
    /// @notice The deployment names another contract in this place.
    error Miswired(address named);
    /// @notice A parameter must be above zero.
    error ZeroAmount();

    /// @notice Announces a proof; it can be sent from the second block after on.
    function announce(bytes32 commitment) external;

    // ---- nodes

    /// @notice F1: two attestations of one (node, relayer, keyEpoch, seq). Node: 10 %, jail.
    function proveSaturationEquivocation(
        SaturationAttestation calldata one, bytes calldata oneSignature,
        SaturationAttestation calldata other, bytes calldata otherSignature, bytes32 salt
    ) external;

    /// @notice F2: two receipts of one (tab, nodeSeq), or a successor whose total is not its predecessor's plus its fee.
    /// Node: 100 %.
    function proveReceiptEquivocation(
        TaskReceipt calldata one, bytes calldata oneSignature, TaskReceipt calldata other, bytes calldata otherSignature,
        bytes32 salt
    ) external;

    /// @notice F3: an attestation with slots, an assignment that names it, and a refusal as full inside its validity with fewer
    /// accepted than slots. Node: 1 %, doubling with each within a day.
    function proveFalseRefusal(
        SaturationAttestation calldata attestation, bytes calldata attestationSignature, Assignment calldata assignment,
        bytes calldata assignmentSignature, Refusal calldata refusal, bytes calldata refusalSignature, bytes32 salt
    ) external;

    // ---- leaves

    /// @notice F4: a leaf of the session tree whose record does not hold. Relayer: max(3 x fee, minimum); the charge goes back.
    function proveInvalidLeaf(
        uint32 relayerId, uint64 batchId, Leaf calldata leaf, SumProof calldata sessionProof, Record calldata record, bytes32 salt
    ) external;

    /// @notice F13: a leaf of a batch posted after a force of its task resolved, if both exceed maxFee, pay input twice, or are
    /// one receipt. Relayer: twice its charge to the payer.
    function provePaidAfterForce(
        bytes32 forcedReceiptHash, uint64 batchId, Entry calldata entry, Assignment calldata assignment, bytes32 salt
    ) external;

    // ---- trees

    /// @notice F5: the change of a session or tab is not that of its leaves. Relayer: 10 %; twice the excess to the harmed.
    /// @param opening of the header's debits or credits, around the id.
    function proveWrongChange(
        BatchHeader calldata header, ItemsOpening calldata opening, ChangeClaim calldata claim, bytes32 salt
    ) external;

    /// @notice F5: a task's charges in a batch exceed its order's maxFee. Relayer: 10 %; twice the excess to the payer.
    function proveTaskAboveMaxFee(
        uint32 relayerId, uint64 batchId, TaskOrder calldata order, Entry calldata first, Entry calldata last, bytes32 salt
    ) external;

    /// @notice F6: a sum that is not that of what lies below it, or padding that is not empty. Relayer: 100 %.
    function proveBadSum(uint32 relayerId, uint64 batchId, Tree tree, BadSum calldata badSum, bytes32 salt) external;

    /// @notice F7: a task in two batches. Relayer: 100 %; the later leaf's charge goes back.
    function proveTaskInTwoBatches(
        uint32 relayerId, uint64 earlierBatchId, Entry calldata earlier, uint64 laterBatchId, Entry calldata later, bytes32 salt
    ) external;

    /// @notice F7: two leaves of one (task, subtask) that both charge input. Relayer: 100 %; the later leaf's charge goes back.
    function proveSecondInput(
        uint32 relayerId, uint64 batchId, Entry calldata one, Assignment calldata oneAssignment, Entry calldata other,
        Assignment calldata otherAssignment, bytes32 salt
    ) external;

    /// @notice F7: two neighbours of a tree out of order. Relayer: 100 %.
    function proveDisorder(
        uint32 relayerId, uint64 batchId, Tree tree, Entry calldata left, Entry calldata right, bytes32 salt
    ) external;

    /// @notice F11: a leaf of one tree whose place in the other is empty or holds other bytes. Relayer: 100 %.
    /// @param others of the other tree: the leaf in its place, its two neighbours, or the one at the edge.
    function proveAsymmetry(
        uint32 relayerId, uint64 batchId, Tree tree, Entry calldata entry, Entry[] calldata others, bytes32 salt
    ) external;

    // ---- relayers

    /// @notice F8: two headers of one batch id whose [periodEnd, postBy] overlap. Relayer: 100 %.
    function proveHeaderEquivocation(
        BatchHeader calldata one, bytes calldata oneSignature, BatchHeader calldata other, bytes calldata otherSignature,
        bytes32 salt
    ) external;

    /// @notice F10: two assignments of one (task, subtask, attempt). Relayer: 10 %.
    function proveDoubleAssignment(
        Assignment calldata one, bytes calldata oneSignature, Assignment calldata other, bytes calldata otherSignature,
        bytes32 salt
    ) external;

    /// @notice F10: share caps, one attempt for each of at most 16 subtasks in rising order, above maxFee. Relayer: 10 %.
    function proveSharesAboveMaxFee(
        TaskOrder calldata order, Assignment[] calldata assignments, bytes[] calldata signatures, bytes32 salt
    ) external;

    /// @notice F12: a leaf of the board that is not what its attestation says. Relayer: 10 %.
    function proveBadBoardLeaf(
        EpochCommitment calldata commitment, BoardEntry calldata entry, SaturationAttestation calldata attestation, bytes32 salt
    ) external;

    /// @notice F12: a later attestation than the leaf's stands in an assignment that the relayer signed in the epoch.
    /// Relayer: 10 %.
    function proveStaleBoardLeaf(
        EpochCommitment calldata commitment, BoardEntry calldata entry, SaturationAttestation calldata attestation,
        SaturationAttestation calldata later, Assignment calldata assignment, bytes calldata assignmentSignature, bytes32 salt
    ) external;

    /// @notice F12: an attestation that stands in an assignment of the epoch and offers the model has no leaf. Relayer: 10 %.
    /// @param offers the list behind offersHash: (modelId, slots, priceIn, priceOut) words of each.
    /// @param others of the board: the two neighbours of the empty place, or the one at the edge.
    function proveOmittedBoardLeaf(
        EpochCommitment calldata commitment, bytes32 modelId, SaturationAttestation calldata omitted, bytes calldata offers,
        Assignment calldata assignment, bytes calldata assignmentSignature, BoardEntry[] calldata others, bytes32 salt
    ) external;

    /// @notice F12: a committed pool figure is not the sum of the model's leaves. Relayer: 10 %.
    /// @param bounds where `isOver`, the neighbours of the model's leaves that exist; else its first and last leaf.
    function proveWrongPool(
        EpochCommitment calldata commitment, uint256 pool, BoardEntry[] calldata bounds, bool isOver, bool hasLeft, bytes32 salt
    ) external;

    // ---- F9: withheld data

    /// @notice Demands the record at an index of the session tree, within W of the posting, for the challenge bond.
    function challengeData(uint32 relayerId, uint64 batchId, uint32 index) external;

    /// @notice Shows a demanded record, within W. Anyone may send it; the bond goes to the relayer's owner.
    function answerData(uint32 relayerId, uint64 batchId, Leaf calldata leaf, SumProof calldata sessionProof, Record calldata record)
        external;

    /// @notice After W without answer: condemns the batch (relayer 100 %, jail), and gives the challenger its bond back.
    function condemn(uint32 relayerId, uint64 batchId, uint32 index) external;

    /// @notice Voids entries of a condemned batch while it is immature: credits into its pot, debits from there back into the
    /// sessions' locks. Anyone may send it, credits first.
    /// @param isDebit whether the opening is of the header's debits.
    function voidEntries(BatchHeader calldata header, bool isDebit, ItemsOpening calldata opening) external;

    // ---- payments

    /// @notice Pays what is owed to the caller.
    function claim(IERC20 token, address to) external returns (uint256 amount);

    /// @notice Sends burned penalties where nobody can spend them. Anyone may send it.
    function burn(IERC20 token) external returns (uint256 amount);

    /// @notice What `claim` would pay.
    function owedTo(IERC20 token, address account) external view returns (uint256);
    /// @notice What `burn` would burn.
    function toBurn(IERC20 token) external view returns (uint256);
    /// @notice Whether an offence was punished.
    function isPunished(bytes32 key) external view returns (bool);
    /// @notice A challenge as stored; the challenger is zero where there is none.
    function challengeOf(uint32 relayerId, uint64 batchId, uint32 index) external view returns (DataChallenge memory);
}
