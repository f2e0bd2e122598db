// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title The hash of a batch's list of (id, change)
/// @notice Hashes the hashes of groups of 16, so that a proof opens one group and not the whole list.
/// @dev A group is its (bytes32 id, uint256 change) pairs, ABI-encoded; the last may be shorter. An empty list is keccak256("").
library Items {
    uint256 private constant GROUP_BYTES = 16 * 64;

    /// @param count of the items that will be put.
    /// @return list room for them.
    function room(uint256 count) internal pure returns (bytes memory list) {
        return new bytes(64 * count);
    }

    /// @dev `index` is below the count that room was made for.
    function put(bytes memory list, uint256 index, uint256 id, uint256 change) internal pure {
        assembly ("memory-safe") {
            let item := add(add(list, 0x20), shl(6, index))
            mstore(item, id)
            mstore(add(item, 0x20), change)
        }
    }

    function hash(bytes memory list) internal pure returns (bytes32 result) {
        uint256 size = list.length;
        bytes32[] memory groups = new bytes32[]((size + GROUP_BYTES - 1) / GROUP_BYTES);
        for (uint256 i = 0; i < groups.length; ++i) {
            uint256 start = i * GROUP_BYTES;
            uint256 length = size - start < GROUP_BYTES ? size - start : GROUP_BYTES;
            bytes32 group;
            assembly ("memory-safe") {
                group := keccak256(add(add(list, 0x20), start), length)
            }
            groups[i] = group;
        }
        assembly ("memory-safe") {
            result := keccak256(add(groups, 0x20), shl(5, mload(groups)))
        }
    }
}
