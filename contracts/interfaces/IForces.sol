// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Leaf, SumProof} from "../libraries/MerkleSum.sol";
import {Fault, Record} from "../libraries/Records.sol";
import {Ack} from "../types/Ack.sol";
import {Assignment} from "../types/Assignment.sol";
import {TaskReceipt} from "../types/TaskReceipt.sol";

enum ForceState {
    NONE,
    OPEN,
    ANSWERED,
    RESOLVED
}

/// @notice A node's claim for one acked receipt that no batch holds.
/// @dev Amounts in the pay token's smallest unit, times in unix seconds. `fee` is the receipt's; `held` is what the session's
/// lock keeps back for it. `settled` is what batches charged for the same task, as far as it was shown; `secondInput` says
/// that one of those, or an earlier force, was paid the input of the same subtask.
struct Force {
    bytes32 sessionId;
    bytes32 taskId;
    uint32 relayerId;
    uint32 nodeId;
    uint48 openedAt;
    uint48 resolvedAt;
    uint16 subtask;
    ForceState state;
    bool paysInput;
    bool secondInput;
    uint64 answeredBy;
    uint96 fee;
    uint96 inputFee;
    uint96 maxFee;
    uint96 held;
    uint96 settled;
}

/// @title The exit of a node whose acked receipt is left out
/// @notice Needs nothing of the relayer but its ack: works while new sessions are paused, after key rotation and retirement.
interface IForces {
    /// @notice A node claims an acked receipt; batches have W to answer it.
    /// @param receiptHash the receipt's struct hash.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId in the NodeRegistry.
    /// @param sessionId the authorization's struct hash.
    /// @param fee that the receipt claims.
    /// @param held what an open force holds back of the lock.
    event ForceOpened(
        bytes32 indexed receiptHash, uint32 indexed relayerId, uint32 indexed nodeId, bytes32 sessionId, uint96 fee, uint96 held
    );
    /// @notice The receipt stands in that batch: nothing is owed beside it.
    /// @param receiptHash the receipt's struct hash.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    event ForceAnswered(bytes32 indexed receiptHash, uint32 indexed relayerId, uint64 indexed batchId);
    /// @notice A batch charged that much for the same task.
    /// @param receiptHash the receipt's struct hash.
    /// @param batchId of that relayer, counted from 1.
    /// @param charge of that leaf, in the pay token's smallest unit.
    /// @param secondInput whether it was paid the input of the forced subtask.
    event SettledShown(bytes32 indexed receiptHash, uint64 indexed batchId, uint96 charge, bool secondInput);
    /// @notice The force was paid: from the session's lock, and what that did not owe or hold from the relayer's bond.
    /// @param receiptHash the receipt's struct hash.
    /// @param fromLock what the session paid.
    /// @param fromBond what the relayer's bond paid.
    event ForceResolved(bytes32 indexed receiptHash, uint96 fromLock, uint96 fromBond);

    /// @notice Forces open from W to 8 W after the ack; of a condemned batch's receipts until 3 W after its condemnation.
    /// @param ackedAt unix seconds, as signed.
    /// @param from unix seconds of the first moment.
    /// @param until unix seconds.
    /// @param timestamp of this block, unix seconds.
    error ForceNotNow(uint48 ackedAt, uint256 from, uint256 until, uint256 timestamp);
    /// @notice The receipt was forced before.
    /// @param receiptHash the receipt's struct hash.
    /// @param state what became of it.
    error ForceExists(bytes32 receiptHash, ForceState state);
    /// @notice Only an open force is answered, contested or resolved.
    /// @param receiptHash the receipt's struct hash.
    /// @param state what became of it.
    error ForceNotOpen(bytes32 receiptHash, ForceState state);
    /// @notice W after its opening has passed: it is to be resolved.
    /// @param receiptHash the receipt's struct hash.
    /// @param until unix seconds.
    error ForceTooLate(bytes32 receiptHash, uint256 until);
    /// @notice W after its opening has not passed.
    /// @param receiptHash the receipt's struct hash.
    /// @param from unix seconds of the first moment.
    error ForceNotResolvable(bytes32 receiptHash, uint256 from);
    /// @notice The receipt claims nothing.
    /// @param receiptHash the receipt's struct hash.
    error NothingToForce(bytes32 receiptHash);
    /// @notice What the receipt stands on does not hold.
    /// @param receiptHash the receipt's struct hash.
    /// @param fault the first thing that does not hold.
    error RecordFaulty(bytes32 receiptHash, Fault fault);
    /// @notice The ack is for another receipt or of another relayer.
    /// @param receiptHash the receipt's struct hash.
    /// @param ackedHash receipt that the ack names.
    /// @param relayerId in the RelayerRegistry.
    /// @param ackedBy relayer that the ack names.
    error AckOfOther(bytes32 receiptHash, bytes32 ackedHash, uint32 relayerId, uint32 ackedBy);
    /// @notice The ack is not signed by the relayer's key of that epoch, or lies outside of it.
    /// @param relayerId in the RelayerRegistry.
    /// @param relayerEpoch of the relayer's signing key.
    /// @param ackedAt unix seconds, as signed.
    error AckInvalid(uint32 relayerId, uint32 relayerEpoch, uint48 ackedAt);
    /// @notice The leaf does not stand in the batch's tab tree, or is voided, or the batch is condemned.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param leafHash of the leaf in question.
    error LeafNotSettled(uint32 relayerId, uint64 batchId, bytes32 leafHash);
    /// @notice The leaf is not the one that this call needs: another receipt, another task, or shown before.
    /// @param receiptHash the receipt's struct hash.
    /// @param leafHash of the leaf in question.
    error LeafDoesNotCount(bytes32 receiptHash, bytes32 leafHash);

    /// @notice Claims the fee of an acked receipt. Anyone may send it; the node is credited.
    /// @dev Checks all that an invalid leaf would be slashed for. The session's lock keeps the fee back until it is resolved.
    /// @param record the attempt, with all signatures.
    /// @param ack the relayer's word that it has journaled the receipt.
    /// @param ackSignature by the relayer's key of ack.relayerEpoch: 65 bytes.
    /// @param condemnedBatchId a condemned batch in which the receipt may have stood, for the longer time; else 0.
    /// @return receiptHash the force's id.
    function openForce(Record calldata record, Ack calldata ack, bytes calldata ackSignature, uint64 condemnedBatchId)
        external
        returns (bytes32 receiptHash);

    /// @notice Shows the forced receipt under a batch's tab root, within W of the opening. Anyone may send it.
    /// @param receiptHash the receipt's struct hash.
    /// @param batchId of that relayer, counted from 1.
    /// @param leaf as it stands in the trees.
    /// @param tabProof of the leaf in the tab tree.
    function answerForce(bytes32 receiptHash, uint64 batchId, Leaf calldata leaf, SumProof calldata tabProof) external;

    /// @notice Shows a settled leaf of the same task, within W of the opening: what exceeds the order's maxFee with it, or is a
    /// second input of one subtask, is paid by the relayer's bond and not by the payer. Anyone may send it.
    /// @param receiptHash the receipt's struct hash.
    /// @param batchId of that relayer, counted from 1.
    /// @param leaf as it stands in the trees.
    /// @param tabProof of the leaf in the tab tree.
    /// @param receipt of the settled leaf.
    /// @param assignment of the settled leaf.
    function showSettled(
        bytes32 receiptHash,
        uint64 batchId,
        Leaf calldata leaf,
        SumProof calldata tabProof,
        TaskReceipt calldata receipt,
        Assignment calldata assignment
    ) external;

    /// @notice Pays an unanswered force, W after its opening: into the node's tab, claimable at once, where no void of immature
    /// credits waits to be taken off first. Anyone may send it.
    /// @param receiptHash the receipt's struct hash.
    /// @return fromLock what the session paid, as far as lock, proven cap and bucket reached.
    /// @return fromBond what the relayer's bond paid.
    function resolveForce(bytes32 receiptHash) external returns (uint96 fromLock, uint96 fromBond);

    /// @notice The force as stored; state NONE where there is none.
    /// @param receiptHash the receipt's struct hash.
    /// @return the force.
    function forceOf(bytes32 receiptHash) external view returns (Force memory);
}
