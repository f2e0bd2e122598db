// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title Many calls in one
/// @notice Lets a test compare thousands of random inputs without a round trip for each, or put several calls into one
/// transaction. Deployed in tests only.
contract CallBatcher {
    error CallFailed(uint256 index, bytes reason);

    function all(address target, bytes[] calldata calls) external view returns (bytes[] memory results) {
        results = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool ok, bytes memory result) = target.staticcall(calls[i]);
            if (!ok) revert CallFailed(i, result);
            results[i] = result;
        }
    }

    /// @notice The same in earnest.
    function send(address[] calldata targets, bytes[] calldata calls) external {
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool ok, bytes memory result) = targets[i].call(calls[i]);
            if (!ok) revert CallFailed(i, result);
        }
    }
}
