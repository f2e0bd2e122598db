// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title The hash of a batch's list of (id, change)
/// @notice Hashes the hashes of groups of 16, so that a proof opens one group and not the whole list.
/// @dev A group is its (bytes32 id, uint256 change) pairs, ABI-encoded; the last may be shorter. An empty list is keccak256("").
library Items {
    uint256 internal constant GROUP_SIZE = 16;

    /// @param pairs id and change of each item in turn: pairs[2 i] and pairs[2 i + 1].
    function hash(uint256[] memory pairs) internal pure returns (bytes32 result) {
        uint256 words = pairs.length;
        uint256 groupWords = 2 * GROUP_SIZE;
        bytes32[] memory groups = new bytes32[]((words + groupWords - 1) / groupWords);
        for (uint256 i = 0; i < groups.length; ++i) {
            uint256 start = i * groupWords;
            uint256 size = words - start < groupWords ? words - start : groupWords;
            bytes32 group;
            assembly ("memory-safe") {
                group := keccak256(add(add(pairs, 0x20), shl(5, start)), shl(5, size))
            }
            groups[i] = group;
        }
        assembly ("memory-safe") {
            result := keccak256(add(groups, 0x20), shl(5, mload(groups)))
        }
    }
}
