// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {TaskReceipt} from "../types/TaskReceipt.sol";
import {Leaf, SumProof} from "../libraries/MerkleSum.sol";
import {Batch} from "./IBatchSettlement.sol";

/// @notice Which of a batch's two trees: by session, summing charges; by tab, summing fees.
enum Tree {
    SESSION,
    TAB
}

/// @title What auditors and other contracts ask about settled work
/// @notice Stateless: reads the roots that BatchSettlement stored. A leaf is the relayer's claim, bound by its bond; the
/// signatures whose hashes it holds are checked by whoever has the record.
interface ITaskReceipts {
    /// @notice The batch was never posted.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    error UnknownBatch(uint32 relayerId, uint64 batchId);

    /// @notice Whether a receipt stands in both trees of a batch, at the fee that it claims. False also where the batch was
    /// never posted.
    /// @param receipt as the node signed it.
    /// @param batchId of that relayer, counted from 1.
    /// @param leaf must carry the receipt's struct hash and fee.
    /// @param sessionProof of the leaf in the session tree.
    /// @param tabProof of the leaf in the tab tree.
    /// @return whether it stands in both.
    function isSettled(
        TaskReceipt calldata receipt,
        uint64 batchId,
        Leaf calldata leaf,
        SumProof calldata sessionProof,
        SumProof calldata tabProof
    ) external view returns (bool);

    /// @notice Whether a leaf stands at the proof's index of one tree.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param tree by session or by tab.
    /// @param leaf as it stands in the trees.
    /// @param proof its siblings and sums in that tree.
    /// @return stands false also for an unknown batch, a proof of the wrong length, or an index beyond leafCount.
    /// @return leftSum the sum of everything left of it; the total of a session, tab or task is a difference of two.
    function verifyLeaf(uint32 relayerId, uint64 batchId, Tree tree, Leaf calldata leaf, SumProof calldata proof)
        external
        view
        returns (bool stands, uint256 leftSum);

    /// @notice What is kept of a batch.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @return the stored batch. Reverts with UnknownBatch where it was never posted.
    function batchOf(uint32 relayerId, uint64 batchId) external view returns (Batch memory);

    /// @notice A relayer's last posted batch.
    /// @param relayerId in the RelayerRegistry.
    /// @return batchId the relayer's last batch, 0 before its first.
    /// @return batchHash the header's struct hash.
    function lastBatchOf(uint32 relayerId) external view returns (uint64 batchId, bytes32 batchHash);

    /// @notice The hash of a leaf.
    /// @param leaf as it stands in the trees.
    /// @return the leaf's hash: what off-chain code compares its own with.
    function leafHash(Leaf calldata leaf) external pure returns (bytes32);
}
