// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Batch, IBatchSettlement} from "./interfaces/IBatchSettlement.sol";
import {ITaskReceipts, Tree} from "./interfaces/ITaskReceipts.sol";
import {Leaf, MerkleSum, PathEnd, SumProof} from "./libraries/MerkleSum.sol";
import {TaskReceipt} from "./types/TaskReceipt.sol";

/// @title What auditors and other contracts ask about settled work
contract TaskReceipts is ITaskReceipts {
    IBatchSettlement public immutable batchSettlement;

    constructor(IBatchSettlement batchSettlement_) {
        batchSettlement = batchSettlement_;
    }

    /// @inheritdoc ITaskReceipts
    function isSettled(
        TaskReceipt calldata receipt,
        uint64 batchId,
        Leaf calldata leaf,
        SumProof calldata sessionProof,
        SumProof calldata tabProof
    ) external view override returns (bool) {
        if (leaf.receiptHash != receipt.hash() || leaf.fee != receipt.body.fee) return false;
        Batch memory batch = batchSettlement.batchOf(receipt.relayerId, batchId);
        (bool inSessions,) = _stands(batch, Tree.SESSION, leaf, sessionProof);
        (bool inTabs,) = _stands(batch, Tree.TAB, leaf, tabProof);
        return inSessions && inTabs;
    }

    /// @inheritdoc ITaskReceipts
    function verifyLeaf(uint32 relayerId, uint64 batchId, Tree tree, Leaf calldata leaf, SumProof calldata proof)
        external
        view
        override
        returns (bool stands, uint256 leftSum)
    {
        return _stands(batchSettlement.batchOf(relayerId, batchId), tree, leaf, proof);
    }

    /// @inheritdoc ITaskReceipts
    function lastBatchOf(uint32 relayerId) external view override returns (uint64 batchId, bytes32 batchHash) {
        return batchSettlement.lastBatchOf(relayerId);
    }

    /// @inheritdoc ITaskReceipts
    function leafHash(Leaf calldata leaf) external pure override returns (bytes32) {
        return MerkleSum.leafHash(leaf);
    }

    /// @inheritdoc ITaskReceipts
    function batchOf(uint32 relayerId, uint64 batchId) external view override returns (Batch memory batch) {
        batch = batchSettlement.batchOf(relayerId, batchId);
        if (batch.batchHash == 0) revert UnknownBatch(relayerId, batchId);
    }

    /// @dev A tree's root sum is the batch's total of that side: a path with another sum proves nothing.
    function _stands(Batch memory batch, Tree tree, Leaf calldata leaf, SumProof calldata proof)
        private
        pure
        returns (bool stands, uint256 leftSum)
    {
        (uint128 sum, bytes32 root, uint96 total) = tree == Tree.SESSION
            ? (leaf.charge, batch.sessionRoot, batch.totalDebit)
            : (leaf.fee, batch.tabRoot, batch.totalCredit);
        PathEnd memory end = MerkleSum.walk(MerkleSum.leafHash(leaf), sum, proof, batch.leafCount);
        stands = end.fits && end.rootHash == root && end.rootSum == total;
        leftSum = stands ? end.leftSum : 0;
    }
}
