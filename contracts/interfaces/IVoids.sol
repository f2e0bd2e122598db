// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title What of the posted batches no longer counts
interface IVoids {
    /// @notice Whether and when a batch was condemned.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @return unix seconds at which the batch was condemned for withheld data, 0 where it was not.
    function condemnedAt(uint32 relayerId, uint64 batchId) external view returns (uint48);

    /// @notice Whether a leaf no longer counts.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param leafHash of the leaf in question.
    /// @return whether a leaf of the batch was proven invalid.
    function isVoided(uint32 relayerId, uint64 batchId, bytes32 leafHash) external view returns (bool);
}
