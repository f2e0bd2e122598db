// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title Who receives answers
interface IInferenceConsumer {
    /// @notice Called once by the gateway, with exactly the gas that was asked for; what it does cannot undo the delivery.
    /// @dev Check that the caller is the gateway. The gateway's own doors are shut meanwhile: ask again in another transaction.
    /// @param requestId as the request returned it.
    /// @param output the answer's bytes, UTF-8; empty where it is longer than 4 KB.
    /// @param outputCommit the node-signed commitment to it.
    /// @param uri where a longer answer lies; empty otherwise.
    function onInference(bytes32 requestId, bytes calldata output, bytes32 outputCommit, string calldata uri) external;
}
