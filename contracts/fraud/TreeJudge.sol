// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../BatchSettlement.sol";
import {Batch} from "../interfaces/IBatchSettlement.sol";
import {Party} from "../interfaces/IBondVault.sol";
import {Tree} from "../interfaces/ITaskReceipts.sol";
import {Items, ItemsOpening} from "../libraries/Items.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";
import {Records} from "../libraries/Records.sol";
import {Assignment} from "../types/Assignment.sol";
import {BatchHeader} from "../types/BatchHeader.sol";
import {TaskOrder} from "../types/TaskOrder.sol";
import {TaskReceipt} from "../types/TaskReceipt.sol";
import {BadSum, ChangeClaim, Entry, Verdict} from "./Evidence.sol";
import {Judge} from "./Judge.sol";

/// @title What a batch's trees must be: F5, F6, F7, F11
contract TreeJudge is Judge {
    /// @dev A leaf's place in the order of a tree, compared member by member.
    struct Place {
        uint256 major;
        uint256 minor;
        uint256 least;
    }

    constructor(BatchSettlement batchSettlement_) Judge(batchSettlement_) {}

    /// @notice F5: sessions and tabs.
    function proveWrongChange(
        BatchHeader calldata header,
        ItemsOpening calldata opening,
        ChangeClaim calldata claim,
        bytes32
    ) external view returns (Verdict memory verdict) {
        Batch memory batch = _batchOf(header);
        bytes32 listHash = claim.tree == Tree.SESSION ? header.debitsHash : header.creditsHash;
        uint256 change = Items.changeOf(claim.id, listHash, opening);
        uint256 ofLeaves = claim.isOver ? _sumBetween(batch, claim) : _sumFromTo(batch, claim);
        bool wrong = claim.isOver ? change > ofLeaves : change < ofLeaves;
        if (!wrong) revert NothingWrong();
        verdict = _ofRelayer(
            keccak256(abi.encode("F5", header.relayerId, header.batchId, claim.tree, claim.id)), header.relayerId, TENTH_BPS
        );
        verdict.batchId = header.batchId;
        uint96 excess = uint96(claim.isOver ? change - ofLeaves : ofLeaves - change);
        _name(verdict, batch, claim.tree, claim.id, excess, claim.isOver);
    }

    /// @notice F5: tasks.
    function proveTaskAboveMaxFee(
        uint32 relayerId,
        uint64 batchId,
        TaskOrder calldata order,
        Entry calldata first,
        Entry calldata last,
        bytes32
    ) external view returns (Verdict memory verdict) {
        Batch memory batch = _batch(relayerId, batchId);
        bytes32 taskId = order.hash();
        // Of one session too, or all that stands between two of them would be the task's.
        bool about = first.receipt.body.taskId == taskId && last.receipt.body.taskId == taskId
            && first.receipt.body.sessionId == order.sessionId && last.receipt.body.sessionId == order.sessionId;
        if (!about) revert NotTheSame();
        uint256 from = _stands(batch, Tree.SESSION, first);
        uint256 to = _stands(batch, Tree.SESSION, last) + last.leaf.charge;
        if (to < from || to - from <= order.maxFee) revert NothingWrong();
        uint96 excess = uint96(to - from - order.maxFee);
        verdict = _ofRelayer(keccak256(abi.encode("F5 task", relayerId, batchId, taskId)), relayerId, TENTH_BPS);
        verdict.batchId = batchId;
        verdict.sessionId = order.sessionId;
        verdict.harmed = _payerOf(order.sessionId);
        verdict.extra = excess;
        verdict.excess = excess;
        if (_isImmature(batch)) verdict.refund = excess;
    }

    /// @notice F6.
    function proveBadSum(uint32 relayerId, uint64 batchId, Tree tree, BadSum calldata badSum, bytes32)
        external
        view
        returns (Verdict memory)
    {
        Batch memory batch = _batch(relayerId, batchId);
        (bytes32 hash, uint256 trueSum) = _below(badSum, tree, batch.leafCount);
        uint256 depth = MerkleSum.depthOf(batch.leafCount);
        (bytes32 root, uint256 claimed) =
            _climb(hash, badSum, depth, tree == Tree.SESSION ? batch.totalDebit : batch.totalCredit);
        if (root != (tree == Tree.SESSION ? batch.sessionRoot : batch.tabRoot)) {
            revert LeafNotThere(batch.batchHash, hash, badSum.index);
        }
        bool fullPadding = badSum.level == 0 && badSum.index >= batch.leafCount && hash != 0;
        if (trueSum == claimed && !fullPadding) revert NothingWrong();
        return _ofRelayer(keccak256(abi.encode("F6", relayerId, batchId, tree)), relayerId, WHOLE_BPS);
    }

    /// @notice F7: one task in two batches.
    function proveTaskInTwoBatches(
        uint32 relayerId,
        uint64 earlierBatchId,
        Entry calldata earlier,
        uint64 laterBatchId,
        Entry calldata later,
        bytes32
    ) external view returns (Verdict memory verdict) {
        bool about = earlier.receipt.body.taskId == later.receipt.body.taskId && earlierBatchId < laterBatchId;
        if (!about) revert NotTheSame();
        _stands(_batch(relayerId, earlierBatchId), Tree.SESSION, earlier);
        Batch memory batch = _batch(relayerId, laterBatchId);
        _stands(batch, Tree.SESSION, later);
        // Of each leaf, so that the first one shown does not keep the others' charges from going back.
        verdict = _ofRelayer(
            keccak256(abi.encode("F7", relayerId, laterBatchId, MerkleSum.leafHash(later.leaf))), relayerId, WHOLE_BPS
        );
        _void(verdict, batch, laterBatchId, later);
    }

    /// @notice F7: the input of one subtask twice.
    function proveSecondInput(
        uint32 relayerId,
        uint64 batchId,
        Entry calldata one,
        Assignment calldata oneAssignment,
        Entry calldata other,
        Assignment calldata otherAssignment,
        bytes32
    ) external view returns (Verdict memory verdict) {
        bool about = one.receipt.body.taskId == other.receipt.body.taskId
            && one.receipt.body.subtask == other.receipt.body.subtask && one.proof.index < other.proof.index
            && one.receipt.body.assignmentHash == oneAssignment.hash()
            && other.receipt.body.assignmentHash == otherAssignment.hash();
        if (!about) revert NotTheSame();
        if (!Records.paysInput(one.receipt, oneAssignment) || !Records.paysInput(other.receipt, otherAssignment)) {
            revert NothingWrong();
        }
        Batch memory batch = _batch(relayerId, batchId);
        _stands(batch, Tree.SESSION, one);
        _stands(batch, Tree.SESSION, other);
        verdict = _ofRelayer(
            keccak256(abi.encode("F7 input", relayerId, batchId, MerkleSum.leafHash(other.leaf))),
            relayerId,
            WHOLE_BPS
        );
        _void(verdict, batch, batchId, other);
    }

    /// @notice F7: neighbours out of order.
    function proveDisorder(
        uint32 relayerId,
        uint64 batchId,
        Tree tree,
        Entry calldata left,
        Entry calldata right,
        bytes32
    ) external view returns (Verdict memory) {
        Batch memory batch = _batch(relayerId, batchId);
        _stands(batch, tree, left);
        _stands(batch, tree, right);
        if (uint256(left.proof.index) + 1 != right.proof.index) revert WrongNeighbours();
        if (_compare(_placeOf(tree, left.receipt), _placeOf(tree, right.receipt)) < 0) revert NothingWrong();
        return _ofRelayer(
            keccak256(abi.encode("F7 order", relayerId, batchId, tree, right.proof.index)), relayerId, WHOLE_BPS
        );
    }

    /// @notice F11.
    function proveAsymmetry(
        uint32 relayerId,
        uint64 batchId,
        Tree tree,
        Entry calldata entry,
        Entry[] calldata others,
        bytes32
    ) external view returns (Verdict memory) {
        Batch memory batch = _batch(relayerId, batchId);
        _stands(batch, tree, entry);
        Tree otherTree = tree == Tree.SESSION ? Tree.TAB : Tree.SESSION;
        for (uint256 i = 0; i < others.length; ++i) _stands(batch, otherTree, others[i]);
        _requireAbsent(_placeOf(otherTree, entry.receipt), otherTree, entry, others, batch.leafCount);
        return _ofRelayer(
            keccak256(abi.encode("F11", relayerId, batchId, MerkleSum.leafHash(entry.leaf))), relayerId, WHOLE_BPS
        );
    }

    // ---- F5

    /// @dev At most what stands between the neighbours; without a neighbour, from the tree's edge.
    function _sumBetween(Batch memory batch, ChangeClaim calldata claim) private pure returns (uint256) {
        uint256 lefts = claim.hasLeft ? 1 : 0;
        Entry[] calldata bounds = claim.bounds;
        if (bounds.length < lefts || bounds.length > lefts + 1) revert WrongNeighbours();
        uint256 from;
        uint256 to = claim.tree == Tree.SESSION ? batch.totalDebit : batch.totalCredit;
        if (claim.hasLeft) {
            from = _stands(batch, claim.tree, bounds[0]) + _sumOf(claim.tree, bounds[0]);
            if (_placeOf(claim.tree, bounds[0].receipt).major >= uint256(claim.id)) revert WrongNeighbours();
        }
        if (bounds.length > lefts) {
            to = _stands(batch, claim.tree, bounds[lefts]);
            if (_placeOf(claim.tree, bounds[lefts].receipt).major <= uint256(claim.id)) revert WrongNeighbours();
        }
        if (to < from) revert WrongNeighbours();
        return to - from;
    }

    /// @dev At least what stands from one of its leaves to another.
    function _sumFromTo(Batch memory batch, ChangeClaim calldata claim) private pure returns (uint256) {
        Entry[] calldata bounds = claim.bounds;
        if (bounds.length != 2) revert WrongNeighbours();
        bool own = _placeOf(claim.tree, bounds[0].receipt).major == uint256(claim.id)
            && _placeOf(claim.tree, bounds[1].receipt).major == uint256(claim.id);
        uint256 from = _stands(batch, claim.tree, bounds[0]);
        uint256 to = _stands(batch, claim.tree, bounds[1]) + _sumOf(claim.tree, bounds[1]);
        if (!own || to < from) revert WrongNeighbours();
        return to - from;
    }

    /// @dev Too much debited: the payer gets it twice. Too much credited: the tab loses it. Too little credited: the node gets
    /// it twice. Too little debited harms nobody but its relayer.
    function _name(Verdict memory verdict, Batch memory batch, Tree tree, bytes32 id, uint96 excess, bool isOver)
        private
        view
    {
        bool immature = _isImmature(batch);
        verdict.excess = excess;
        if (tree == Tree.SESSION) {
            verdict.sessionId = id;
            verdict.harmed = _payerOf(id);
            if (!isOver) return;
            verdict.extra = excess;
            if (immature) verdict.refund = excess;
        } else if (isOver) {
            verdict.nodeId = uint32(uint256(id));
            if (immature) verdict.fromTab = excess;
        } else {
            verdict.harmed = nodeRegistry.payoutOf(uint32(uint256(id)));
            verdict.extra = 2 * excess;
        }
    }

    // ---- F6

    /// @return hash of the place, from what lies below it.
    /// @return sum that this makes.
    function _below(BadSum calldata badSum, Tree tree, uint32 leafCount) private pure returns (bytes32 hash, uint256 sum) {
        if (badSum.level != 0) {
            hash = MerkleSum.nodeHash(badSum.leftHash, badSum.leftSum, badSum.rightHash, badSum.rightSum);
            return (hash, uint256(badSum.leftSum) + badSum.rightSum);
        }
        if (badSum.index >= leafCount) return (badSum.leftHash, 0);
        return (MerkleSum.leafHash(badSum.leaf), tree == Tree.SESSION ? badSum.leaf.charge : badSum.leaf.fee);
    }

    /// @dev By hashes alone: the sums are those that the parents name, whether they add up or not.
    /// @return hash that the path leads to.
    /// @return claimed the sum under which the place is named.
    function _climb(bytes32 start, BadSum calldata badSum, uint256 depth, uint256 total)
        private
        pure
        returns (bytes32 hash, uint256 claimed)
    {
        hash = start;
        uint256 levels = badSum.ownSums.length;
        bool fits = badSum.level + levels == depth && badSum.siblingHashes.length == levels
            && badSum.siblingSums.length == levels && uint256(badSum.index) < uint256(1) << levels;
        if (!fits) revert WrongNeighbours();
        claimed = levels == 0 ? total : badSum.ownSums[0];
        for (uint256 i = 0; i < levels; ++i) {
            bytes32 sibling = badSum.siblingHashes[i];
            uint128 siblingSum = badSum.siblingSums[i];
            hash = (badSum.index >> i) & 1 == 1
                ? MerkleSum.nodeHash(sibling, siblingSum, hash, badSum.ownSums[i])
                : MerkleSum.nodeHash(hash, badSum.ownSums[i], sibling, siblingSum);
        }
    }

    // ---- order

    function _placeOf(Tree tree, TaskReceipt calldata receipt) private pure returns (Place memory) {
        if (tree == Tree.TAB) return Place(receipt.nodeId, receipt.nodeSeq, 0);
        uint256 least = uint256(receipt.body.subtask) << 8 | receipt.body.attempt;
        return Place(uint256(receipt.body.sessionId), uint256(receipt.body.taskId), least);
    }

    /// @return below zero where `one` stands before `other`, zero where both claim one place.
    function _compare(Place memory one, Place memory other) private pure returns (int256) {
        if (one.major != other.major) return one.major < other.major ? -1 : int256(1);
        if (one.minor != other.minor) return one.minor < other.minor ? -1 : int256(1);
        if (one.least != other.least) return one.least < other.least ? -1 : int256(1);
        return 0;
    }

    /// @dev Its place holds other bytes, lies between two neighbours, or beyond an edge.
    function _requireAbsent(
        Place memory place,
        Tree otherTree,
        Entry calldata entry,
        Entry[] calldata others,
        uint32 leafCount
    ) private pure {
        if (others.length == 0 || others.length > 2) revert WrongNeighbours();
        int256 order = _compare(_placeOf(otherTree, others[0].receipt), place);
        if (others.length == 2) {
            bool around = order < 0 && _compare(_placeOf(otherTree, others[1].receipt), place) > 0
                && uint256(others[0].proof.index) + 1 == others[1].proof.index;
            if (!around) revert WrongNeighbours();
        } else if (order == 0) {
            if (MerkleSum.leafHash(others[0].leaf) == MerkleSum.leafHash(entry.leaf)) revert NothingWrong();
        } else {
            bool atEdge = order > 0 ? others[0].proof.index == 0 : others[0].proof.index + 1 == leafCount;
            if (!atEdge) revert WrongNeighbours();
        }
    }

    // ---- verdicts

    function _batchOf(BatchHeader calldata header) private view returns (Batch memory batch) {
        batch = _batch(header.relayerId, header.batchId);
        bytes32 shown = header.hash();
        if (shown != batch.batchHash) revert HeaderOfOtherBatch(batch.batchHash, shown);
    }

    function _ofRelayer(bytes32 key, uint32 relayerId, uint16 bps) private pure returns (Verdict memory verdict) {
        verdict.key = key;
        verdict.party = Party.RELAYER;
        verdict.offender = relayerId;
        verdict.relayerId = relayerId;
        verdict.penaltyBps = bps;
    }

    function _void(Verdict memory verdict, Batch memory batch, uint64 batchId, Entry calldata entry) private view {
        verdict.batchId = batchId;
        verdict.voidedLeaf = MerkleSum.leafHash(entry.leaf);
        verdict.sessionId = entry.receipt.body.sessionId;
        verdict.harmed = _payerOf(verdict.sessionId);
        if (_isImmature(batch)) verdict.refund = uint96(entry.leaf.charge);
    }
}
